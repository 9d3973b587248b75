//! Weights that change when it is written that they did: the published run of a tuner, played again.
//!
//! A published log says how many requests had completed when which weights were installed. Played so, a run is routed by
//! the very weights that the published one was, where a tuner with draws of its own would go elsewhere. Nothing is judged
//! and nothing drawn: a step's score and step size are 0, and its weights are accepted. Read [`super::paired`] next.

use super::config::{Bounds, TunerError, check, number};
use super::step::TuneStep;
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most changes of a schedule.
const LONGEST: usize = 10_000;

/// What is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleParameters {
    /// The changes, in the order of their times. From 1 to 10,000.
    pub changes: Vec<Change>,
}

/// From here on other weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// How many requests have completed by then: more than at the change before, and at least 1.
    pub completed: u64,
    /// The weights, each by its name, inside its box.
    pub weights: BTreeMap<String, f64>,
}

impl ScheduleParameters {
    /// Checks what needs no box.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), TunerError> {
        let changes = &self.changes;
        let good = (1..=LONGEST).contains(&changes.len());
        check("changes", format!("{} changes", changes.len()), good, "from 1 to 10,000 changes")?;
        let mut before = 0;
        for (place, change) in changes.iter().enumerate() {
            let parameter = format!("changes[{place}].completed");
            check(
                parameter,
                change.completed,
                change.completed > before,
                format!("more than {before}"),
            )?;
            before = change.completed;
        }
        Ok(())
    }
}

/// A schedule under way.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Those to come, the next one last: after so many completed requests, which weights.
    to_come: Vec<(u64, Vec<f64>)>,
    current: Vec<f64>,
    completed: u64,
    made: u64,
}

impl Schedule {
    /// A schedule that starts from these weights.
    ///
    /// # Errors
    /// When a parameter is out of range, a start or a weight outside its box, a weight unknown or missing.
    pub fn new(
        parameters: &ScheduleParameters,
        bounds: &[Bounds],
        start: &[f64],
    ) -> Result<Self, TunerError> {
        parameters.validate()?;
        Bounds::check_start(bounds, start)?;
        let mut to_come = Vec::with_capacity(parameters.changes.len());
        for (place, change) in parameters.changes.iter().enumerate() {
            to_come.push((change.completed, change.in_order(place, bounds)?));
        }
        to_come.reverse();
        Ok(Self { to_come, current: start.to_vec(), completed: 0, made: 0 })
    }

    /// A request has completed.
    pub fn observe(&mut self, now: Nanos) -> Option<TuneStep> {
        self.completed += 1;
        let (_, weights) = self.to_come.pop_if(|(completed, _)| *completed == self.completed)?;
        self.made += 1;
        self.current.clone_from(&weights);
        Some(TuneStep {
            step: self.made,
            at_ns: now,
            samples: self.completed,
            weight: None,
            candidate: weights.clone(),
            score: 0.0,
            accepted: true,
            sigma: 0.0,
            best: weights,
            next: self.to_come.last().map(|(_, weights)| weights.clone()),
        })
    }

    /// The weights that route the next request.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.current
    }
}

impl Change {
    /// Its weights in the order of the boxes.
    fn in_order(&self, place: usize, bounds: &[Bounds]) -> Result<Vec<f64>, TunerError> {
        let of = |name: &str| format!("changes[{place}].weights.{name}");
        if let Some((name, value)) =
            self.weights.iter().find(|(name, _)| bounds.iter().all(|b| b.name != **name))
        {
            check(of(name), number(*value), false, "a weight that has a box")?;
        }
        let value = |Bounds { name, low, high }: &Bounds| {
            let value = self.weights.get(name).copied();
            let shown = value.map_or_else(|| "nothing".to_owned(), number);
            let good = value.is_some_and(|value| value >= *low && value <= *high);
            check(of(name), shown, good, format!("a weight inside its box, from {low} to {high}"))?;
            Ok(value.unwrap_or(*low))
        };
        bounds.iter().map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes() -> Vec<Bounds> {
        let one = |name: &str, low, high| Bounds { name: name.to_owned(), low, high };
        vec![one("w_queue", 0.05, 0.5), one("w_rtt", 0.05, 2.0)]
    }

    fn change(completed: u64, weights: &[(&str, f64)]) -> Change {
        let weights = weights.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        Change { completed, weights }
    }

    #[test]
    fn weights_change_at_the_written_completions_and_stay_after_the_last() {
        let changes = vec![
            change(2, &[("w_rtt", 0.4), ("w_queue", 0.1)]),
            change(3, &[("w_rtt", 0.3), ("w_queue", 0.2)]),
        ];
        let mut schedule =
            Schedule::new(&ScheduleParameters { changes }, &boxes(), &[0.1, 0.5]).expect("good");
        let mut seen = vec![schedule.weights().to_vec()];
        let mut steps = 0;
        for completed in 1..=5 {
            steps += u64::from(schedule.observe(Nanos(completed)).is_some());
            seen.push(schedule.weights().to_vec());
        }
        let (start, first, second) = (vec![0.1, 0.5], vec![0.1, 0.4], vec![0.2, 0.3]);
        assert_eq!(seen, [&start, &start, &first, &second, &second, &second].map(Clone::clone));
        assert_eq!(steps, 2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let says = |changes: Vec<Change>, wanted: &str| {
            let error = Schedule::new(&ScheduleParameters { changes }, &boxes(), &[0.1, 0.5])
                .expect_err("it is wrong")
                .to_string();
            assert!(error.contains(wanted), "{error}");
        };
        let good = [("w_rtt", 0.4), ("w_queue", 0.1)];
        says(vec![], "`changes`: got 0 changes");
        says(vec![change(0, &good)], "`changes[0].completed`: got 0, wanted more than 0");
        says(
            vec![change(5, &good), change(5, &good)],
            "`changes[1].completed`: got 5, wanted more than 5",
        );
        says(vec![change(5, &good[..1])], "`changes[0].weights.w_queue`: got nothing");
        says(vec![change(5, &[("w_rtt", 3.0), good[1]])], "`changes[0].weights.w_rtt`: got 3");
        says(vec![change(5, &[("w_rtt", f64::NAN), good[1]])], "got NaN");
        says(vec![change(5, &[good[0], good[1], ("w_used", 1.0)])], "a weight that has a box");
    }
}
