//! What is wanted of a setting: objectives, bounds that it must keep, and which of two settings is the better.
//!
//! Numbers over seeds come together as their mean; a run that does not have a number (a percentile that falls on a request
//! that never ended) counts as infinitely bad. Between two settings (K. Deb's rules, 2000): one that keeps all bounds is
//! better than one that does not; of two that do, the better objective wins; of two that do not, the one that breaks them by
//! less, where the breach of a bound is the excess over it as a share of its size, and breaches add up.

use crate::error::TuneError;
use std::cmp::Ordering;

/// A number to make small or large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objective {
    /// Its dotted path in a run's summary.
    pub metric: String,
    /// Whether less is better.
    pub less: bool,
}

/// A number that must stay on one side of a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Its dotted path in a run's summary.
    pub metric: String,
    /// At most the limit; else at least.
    pub at_most: bool,
    /// In the metric's own unit.
    pub limit: f64,
}

impl Bound {
    /// From `metric <= number` or `metric >= number`. A number may have a unit: `us`, `ms`, `s` or `min` where the metric's
    /// name has `_ms` or `_s`, and `%` where it is a share.
    ///
    /// # Errors
    /// Where it is not that, the number is not finite, or the unit is not one of the metric's.
    pub fn parse(text: &str) -> Result<Self, TuneError> {
        let bad = || {
            let wanted = "METRIC <= NUMBER or METRIC >= NUMBER, such as 'ttft_ms.p99 <= 800ms'";
            TuneError::new("a bound", format!("{text:?}"), wanted)
        };
        let (metric, at_most, number) = if let Some((metric, number)) = text.split_once("<=") {
            (metric, true, number)
        } else {
            let (metric, number) = text.split_once(">=").ok_or_else(bad)?;
            (metric, false, number)
        };
        let (metric, number) = (metric.trim(), number.trim());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        if metric.is_empty() || !metric.chars().all(is_plain) {
            return Err(bad());
        }
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
        let end = number.find(|c| !is_number(c)).unwrap_or(number.len());
        let value = number[..end].parse::<f64>().ok().filter(|value| value.is_finite());
        let value = value.ok_or_else(bad)?;
        let unit = number[end..].trim();
        let factor = factor(metric, unit).ok_or_else(|| {
            let wanted = "a unit of the metric: us, ms, s or min for times, % for shares, or none";
            TuneError::new(format!("the bound on {metric}"), format!("the unit {unit:?}"), wanted)
        })?;
        Ok(Self { metric: metric.to_owned(), at_most, limit: value * factor })
    }

    /// By how much of the limit's size a value breaks it; 0 where it keeps it.
    #[must_use]
    pub fn breach(&self, value: f64) -> f64 {
        let excess = if self.at_most { value - self.limit } else { self.limit - value };
        // A limit of 0 has no size of its own: the excess is taken as it is.
        let size = if self.limit == 0.0 { 1.0 } else { self.limit.abs() };
        if excess.is_nan() { f64::INFINITY } else { (excess / size).max(0.0) }
    }

    /// As it is written.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} {} {}", self.metric, if self.at_most { "<=" } else { ">=" }, self.limit)
    }
}

/// What a number in this unit is to be multiplied by.
fn factor(metric: &str, unit: &str) -> Option<f64> {
    let is_share = ["_fraction", "_share", "_rate"].iter().any(|end| metric.ends_with(end));
    let in_ms = match unit {
        "" => return Some(1.0),
        "%" if is_share => return Some(0.01),
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "min" => 6e4,
        _ => return None,
    };
    if metric.contains("_ms") {
        Some(in_ms)
    } else if metric.split('.').any(|part| part.ends_with("_s")) {
        Some(in_ms / 1e3)
    } else {
        None
    }
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// One objective, or several whose trade-off is asked for. None where only bounds are.
    pub objectives: Vec<Objective>,
    /// What must hold.
    pub bounds: Vec<Bound>,
}

/// How good a setting is: compare with [`Score::order`].
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// How far the bounds are broken, 0 where they are kept.
    pub breach: f64,
    /// The objectives' means, turned so that less is better.
    pub costs: Vec<f64>,
}

impl Goal {
    /// The metrics that a trial must tell, in the order of its numbers: objectives, then bounds.
    #[must_use]
    pub fn metrics(&self) -> Vec<&str> {
        let objectives = self.objectives.iter().map(|objective| objective.metric.as_str());
        objectives.chain(self.bounds.iter().map(|bound| bound.metric.as_str())).collect()
    }

    /// The score of a setting by its trials, one row of [`Goal::metrics`] for each seed.
    #[must_use]
    pub fn score(&self, rows: &[Vec<Option<f64>>]) -> Score {
        let mean = |column: usize, worst: f64| {
            let values = rows.iter().map(|row| row.get(column).copied().flatten().unwrap_or(worst));
            let sum: f64 = values.sum();
            if rows.is_empty() { worst } else { sum / rows.len() as f64 }
        };
        let costs = self.objectives.iter().enumerate().map(|(column, objective)| {
            let sign = if objective.less { 1.0 } else { -1.0 };
            sign * mean(column, sign * f64::INFINITY)
        });
        let costs = costs.collect();
        let first = self.objectives.len();
        let breaches = self.bounds.iter().enumerate().map(|(index, bound)| {
            let worst = if bound.at_most { f64::INFINITY } else { f64::NEG_INFINITY };
            bound.breach(mean(first + index, worst))
        });
        // A sum of nothing would be -0.
        Score { breach: breaches.fold(0.0, |sum, breach| sum + breach), costs }
    }
}

impl Score {
    /// Whether all bounds are kept.
    #[must_use]
    pub fn is_feasible(&self) -> bool {
        self.breach <= 0.0
    }

    /// Which is better, by the first objective: less is the better one.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        let first = |score: &Self| score.costs.first().copied().unwrap_or(0.0);
        self.order_by(other, &first)
    }

    /// Which is better, by a number made of the objectives.
    #[must_use]
    pub fn order_by(&self, other: &Self, cost: &dyn Fn(&Self) -> f64) -> Ordering {
        self.breach.total_cmp(&other.breach).then_with(|| cost(self).total_cmp(&cost(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str) -> Bound {
        Bound::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn bounds_know_the_units_of_their_metrics() {
        assert_eq!(bound("ttft_ms.p99 <= 800ms").limit, 800.0);
        assert_eq!(bound("ttft_ms.p99<=0.8 s").limit, 800.0);
        assert_eq!(bound("good_fraction >= 99%").limit, 0.99);
        assert_eq!(bound("cost_usd.total <= 1.5e1").limit, 15.0);
        assert!(!bound("goodput_rps >= 20").at_most);
    }

    #[test]
    fn bounds_that_make_no_sense_are_refused() {
        for text in [
            "",
            "ttft_ms.p99",
            "ttft_ms.p99 < 800",
            "<= 800",
            "ttft_ms.p99 <= NaN",
            "ttft_ms.p99 <= inf",
            "ttft_ms.p99 <= 1e999",
            "ttft_ms.p99 <= 800 req/s",
            "good_fraction >= 5ms",
            "ttft_ms.p99 <= 5%",
            "a b <= 5",
        ] {
            let error = Bound::parse(text).expect_err(text).to_string();
            assert!(error.contains("got") && error.contains("wanted"), "{error}");
        }
    }

    #[test]
    fn feasible_comes_first_then_the_objective_then_the_lesser_breach() {
        let goal = Goal {
            objectives: vec![Objective { metric: "cost".into(), less: true }],
            bounds: vec![bound("ttft_ms.p99 <= 100")],
        };
        let score = |cost, ttft| goal.score(&[vec![Some(cost), ttft]]);
        let (dear, cheap) = (score(9.0, Some(100.0)), score(1.0, Some(101.0)));
        assert!(dear.is_feasible() && !cheap.is_feasible());
        assert_eq!(dear.order(&cheap), Ordering::Less);
        assert_eq!(score(3.0, Some(50.0)).order(&dear), Ordering::Less);
        assert_eq!(cheap.order(&score(0.1, Some(150.0))), Ordering::Less);
        let never = score(0.0, None);
        assert_eq!(never.breach, f64::INFINITY);
        assert_eq!(cheap.order(&never), Ordering::Less);
    }

    #[test]
    fn a_missing_number_is_the_worst_one_whichever_way() {
        let more = Goal {
            objectives: vec![Objective { metric: "good_fraction".into(), less: false }],
            bounds: Vec::new(),
        };
        assert_eq!(more.score(&[vec![Some(0.5)], vec![Some(1.0)]]).costs, [-0.75]);
        assert_eq!(more.score(&[vec![Some(0.5)], vec![None]]).costs, [f64::INFINITY]);
        assert_eq!(more.score(&[]).costs, [f64::INFINITY]);
    }
}
