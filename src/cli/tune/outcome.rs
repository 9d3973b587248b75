//! What a search came to: the table, `summary.json`, `trajectory.csv`, `trajectory.svg`, `best.toml`, and of two
//! objectives `front.svg`.

use super::{Made, Proposer};
use crate::exit::Failure;
use crate::simulate::terminal_style;
use gorgo_report::plot::{FrontAxis, FrontPoint, SweepUnit, TrajectoryPoint, front, trajectory};
use gorgo_report::{Grid, in_two_lines, short_number};
use gorgo_tune::{Candidate, Gain};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Candidates that the table shows, the best first.
const SHOWN: usize = 5;

impl Made<'_> {
    /// Writes the files.
    pub fn write(&self, out: &Path) -> Result<(), Failure> {
        let write = |name: &str, text: &str| {
            let path = out.join(name);
            std::fs::write(&path, text)
                .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
        };
        write("summary.json", &self.json_text())?;
        write("trajectory.csv", &self.trajectory_csv()?)?;
        write("trajectory.svg", &self.trajectory_svg())?;
        if let Some(svg) = self.front_svg() {
            write("front.svg", &svg)?;
        }
        write("best.toml", &self.best.to_toml_in(out))
    }

    /// The table for people: what was sought, what was found, and what it is worth elsewhere.
    pub fn table(&self) -> String {
        let mut text = self.head();
        let full: Vec<usize> = self.ranked();
        let seeds = self.args.seeds;
        let _ = writeln!(text, "\non the seeds of the search (mean over {seeds}):");
        let mut lines = vec![self.header()];
        lines.push(self.line("as it stands", 0));
        // Of a front every setting is worth a row.
        let shown = if self.goal.objectives.len() > 1 { full.len() } else { SHOWN };
        for (rank, &place) in full.iter().filter(|&&place| place != 0).take(shown).enumerate() {
            lines.push(self.line(&format!("{}", rank + 1), place));
        }
        text.push_str(&table_of(&lines));
        let _ = writeln!(text, "\n{}", self.held_out_head());
        for (index, &place) in self.tested.iter().enumerate() {
            let setting = words(&self.search.candidates[place].setting);
            let _ = writeln!(text, "{setting}");
            for line in self.gain_lines(index) {
                let _ = writeln!(text, "  {line}");
            }
        }
        if self.tested.is_empty() {
            let _ = writeln!(text, "no setting keeps the bounds on the seeds of the search");
        }
        let _ = writeln!(text, "\n{}", self.counts_line());
        text
    }

    fn head(&self) -> String {
        let verb = |less: bool| if less { "least" } else { "most" };
        let objectives = self.goal.objectives.iter();
        let objectives: Vec<String> = objectives
            .map(|objective| format!("{} {}", verb(objective.less), objective.metric))
            .collect();
        let bounds = self.goal.bounds.iter().map(|bound| bound.words());
        let bounds: Vec<String> = bounds.collect();
        let kept = if bounds.is_empty() {
            String::new()
        } else {
            format!(" with {}", bounds.join(" and "))
        };
        format!("{}, policy {}: {}{kept}\n", self.name, self.policy, objectives.join(" against "))
    }

    fn held_out_head(&self) -> String {
        let first = self.args.first_seed + self.args.seeds;
        let last = first + self.args.held_out - 1;
        let sets = if self.args.test_set.is_empty() && self.args.train_set.is_empty() {
            String::new()
        } else {
            format!(" under {}", words(&self.args.test_set))
        };
        format!(
            "held out (seeds {first} to {last}{sets}), against the setting as it stands, paired by seed:"
        )
    }

    /// For one tested setting, a line for each of the goal's numbers.
    fn gain_lines(&self, index: usize) -> Vec<String> {
        let metrics = self.goal.metrics();
        let mut lines: Vec<String> = metrics
            .iter()
            .zip(&self.gains[index])
            .map(|(metric, gain)| gain_line(metric, gain.as_ref()))
            .collect();
        if self.tested[index] == 0 {
            lines = vec!["the setting as it stands is the best that was found: no gain".to_owned()];
        }
        for (bound, &value) in self.goal.bounds.iter().zip(&self.held[index]) {
            let kept = if bound.breach(value) <= 0.0 { "kept" } else { "BROKEN" };
            lines.push(format!("{}: {kept}, the mean is {}", bound.words(), short_number(value)));
        }
        lines
    }

    fn counts_line(&self) -> String {
        let counts = self.search.counts;
        let all = counts.proposed * self.args.seeds;
        let method = match self.args.method {
            Proposer::CmaEs => "CMA-ES",
            Proposer::OnePlusOne if self.search.ended => "(1+1)-ES, which ended by itself",
            Proposer::OnePlusOne => "(1+1)-ES",
        };
        format!(
            "{method}: {} candidates in {} steps, {} runs of {all} ({} saved by stopping bad settings early, {} of equal settings, {} of \
             equal scenarios)",
            counts.proposed,
            self.search.steps,
            self.runs,
            counts.saved_by_racing,
            counts.saved_as_equal,
            counts.run.saturating_sub(self.runs)
        )
    }

    /// Those that met all seeds, the best first.
    fn ranked(&self) -> Vec<usize> {
        let candidates = &self.search.candidates;
        let seeds = self.args.seeds as usize;
        let mut full: Vec<usize> = if self.goal.objectives.len() > 1 {
            self.search.front.clone()
        } else {
            (0..candidates.len()).filter(|&place| candidates[place].seeds == seeds).collect()
        };
        if self.goal.objectives.len() == 1 {
            full.sort_by(|&a, &b| candidates[a].score.order(&candidates[b].score).then(a.cmp(&b)));
        }
        full
    }

    fn header(&self) -> Vec<String> {
        let mut header = vec![String::new()];
        header.extend(self.bench.axes().iter().map(|axis| axis.short_name().to_owned()));
        header.extend(self.goal.objectives.iter().map(|objective| objective.metric.clone()));
        if !self.goal.bounds.is_empty() {
            header.push("bounds".to_owned());
        }
        header
    }

    fn line(&self, name: &str, place: usize) -> Vec<String> {
        let candidate = &self.search.candidates[place];
        let mut line = vec![name.to_owned()];
        line.extend(
            self.values(candidate)
                .into_iter()
                .map(|value| if value.is_empty() { "-".to_owned() } else { value }),
        );
        line.extend(self.objectives(candidate).into_iter().map(short_number));
        if !self.goal.bounds.is_empty() {
            let breach = candidate.score.breach;
            let kept =
                if breach <= 0.0 { "kept".to_owned() } else { format!("+{}", percent(breach)) };
            line.push(kept);
        }
        line
    }

    /// A candidate's value of each axis, empty for the setting as it stands.
    fn values(&self, candidate: &Candidate) -> Vec<String> {
        let axes = self.bench.axes().len();
        let value = |set: &String| {
            let value = set.split_once('=').map_or("", |(_, value)| value);
            value.trim_matches('"').to_owned()
        };
        let mut values: Vec<String> = candidate.setting.iter().map(value).collect();
        values.resize(axes, String::new());
        values
    }

    /// The means of the objectives, as the metric has them.
    fn objectives(&self, candidate: &Candidate) -> Vec<f64> {
        let pairs = self.goal.objectives.iter().zip(&candidate.score.costs);
        pairs.map(|(objective, cost)| if objective.less { *cost } else { -cost }).collect()
    }

    /// `summary.json`.
    pub fn json_text(&self) -> String {
        format!("{:#}\n", self.json())
    }

    fn json(&self) -> Value {
        let finite = |value: f64| value.is_finite().then_some(value);
        let setting = |place: usize| {
            let candidate = &self.search.candidates[place];
            json!({
                "set": candidate.setting,
                "objectives": self.objectives(candidate).into_iter().map(finite).collect::<Vec<_>>(),
                "breach": finite(candidate.score.breach),
            })
        };
        let tested: Vec<Value> = self
            .tested
            .iter()
            .zip(&self.gains)
            .map(|(&place, gains)| {
                let metrics = self.goal.metrics();
                let gains: Vec<Value> = metrics
                    .iter()
                    .zip(gains)
                    .map(|(metric, gain)| gain_json(metric, gain.as_ref()))
                    .collect();
                json!({"setting": setting(place), "held_out": gains})
            })
            .collect();
        let objectives: Vec<Value> = self
            .goal
            .objectives
            .iter()
            .map(|o| json!({"metric": o.metric, "less_is_better": o.less}))
            .collect();
        let counts = self.search.counts;
        json!({
            "schema": 1,
            "scenario": self.name,
            "policy": self.policy,
            "objectives": objectives,
            "bounds": self.goal.bounds.iter().map(|bound| bound.words()).collect::<Vec<_>>(),
            "over": self.args.over,
            "set": self.args.set,
            "train_set": self.args.train_set,
            "test_set": self.args.test_set,
            "train_seeds": {"first": self.args.first_seed, "count": self.args.seeds},
            "held_out_seeds": {"first": self.args.first_seed + self.args.seeds, "count": self.args.held_out},
            "search_seed": self.args.search_seed,
            "as_it_stands": setting(0),
            "best": setting(self.search.best),
            "tested": tested,
            "candidates": counts.proposed,
            "steps": self.search.steps,
            "runs": self.runs,
            "runs_saved_by_racing": counts.saved_by_racing,
            "runs_saved_as_equal": counts.saved_as_equal,
        })
    }

    /// A row a candidate, in the order of their first proposal.
    fn trajectory_csv(&self) -> Result<String, Failure> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        let mut head = vec!["candidate".to_owned(), "step".to_owned(), "seeds".to_owned()];
        head.extend(self.bench.axes().iter().map(|axis| axis.path.clone()));
        head.extend(self.goal.objectives.iter().map(|objective| objective.metric.clone()));
        head.extend(["breach".to_owned(), "best_so_far".to_owned()]);
        csv.write_record(&head).map_err(Failure::failed)?;
        let cell = |value: f64| if value.is_finite() { value.to_string() } else { String::new() };
        for (place, candidate) in self.search.candidates.iter().enumerate() {
            let mut row =
                vec![place.to_string(), candidate.step.to_string(), candidate.seeds.to_string()];
            row.extend(self.values(candidate));
            row.extend(self.objectives(candidate).into_iter().map(cell));
            row.extend([cell(candidate.score.breach), candidate.best.to_string()]);
            csv.write_record(&row).map_err(Failure::failed)?;
        }
        let bytes = csv.into_inner().map_err(Failure::failed)?;
        String::from_utf8(bytes).map_err(Failure::failed)
    }

    /// Two objectives against each other, of the settings that met all seeds and keep the bounds; none for one objective.
    fn front_svg(&self) -> Option<String> {
        let [first, second] = &self.goal.objectives[..] else { return None };
        let axis = |objective: &gorgo_tune::Objective| FrontAxis {
            title: objective.metric.clone(),
            unit: if objective.metric.contains("_ms") { SweepUnit::Time } else { SweepUnit::Plain },
            less: objective.less,
        };
        let seeds = self.args.seeds as usize;
        let all = self.search.candidates.iter().enumerate();
        let points: Vec<FrontPoint> = all
            .filter(|(_, candidate)| candidate.seeds == seeds && candidate.score.is_feasible())
            .filter_map(|(place, candidate)| {
                let [x, y] = self.objectives(candidate)[..] else { return None };
                let is_front = self.search.front.contains(&place);
                (x.is_finite() && y.is_finite()).then_some(FrontPoint { x, y, series: 0, is_front })
            })
            .collect();
        let title = format!("{}: {} against {}", self.name, first.metric, second.metric);
        let subtitle = format!("means over the {seeds} seeds of the search");
        let names = [self.policy.clone()];
        Some(front(&title, &subtitle, [&axis(first), &axis(second)], &names, &points))
    }

    fn trajectory_svg(&self) -> String {
        let candidates = &self.search.candidates;
        let first = |candidate: &Candidate| self.objectives(candidate)[0];
        let points: Vec<TrajectoryPoint> = candidates
            .iter()
            .map(|candidate| TrajectoryPoint {
                value: first(candidate),
                best: first(&candidates[candidate.best]),
                is_full: candidate.seeds == self.args.seeds as usize,
                is_kept: candidate.score.is_feasible(),
            })
            .collect();
        let title = format!("{}: {} by candidate", self.name, self.goal.objectives[0].metric);
        let subtitle = format!(
            "policy {}, mean over the seeds that each met, at most {}",
            self.policy, self.args.seeds
        );
        trajectory(&title, &subtitle, &self.goal.objectives[0].metric, &points)
    }
}

/// The gain in words; says plainly where there is none.
fn gain_line(metric: &str, gain: Option<&Gain>) -> String {
    let Some(gain) = gain else {
        return format!("{metric}: no seed has it under both settings");
    };
    let (share, shares) = gain.share();
    let interval = match (gain.interval, shares) {
        (Some([low, high]), Some([from, to])) => format!(
            "95 % interval {} to {} ({} to {})",
            signed(low),
            signed(high),
            signed_percent(from),
            signed_percent(to)
        ),
        _ => "no interval from one pair".to_owned(),
    };
    let verdict = if gain.missing > 0 {
        format!("; {} pairs left out, where a run does not have it", gain.missing)
    } else if gain.is_there() {
        String::new()
    } else if gain.is_a_loss() {
        "; it is WORSE here".to_owned()
    } else {
        "; no gain is shown here: the interval has zero in it".to_owned()
    };
    format!(
        "{metric}: {} to {}, {} ({}), {interval}, better in {} of {}{verdict}",
        short_number(gain.before),
        short_number(gain.after),
        signed(gain.difference),
        signed_percent(share),
        gain.better,
        gain.pairs
    )
}

fn gain_json(metric: &str, gain: Option<&Gain>) -> Value {
    let Some(gain) = gain else { return json!({"metric": metric, "pairs": 0}) };
    json!({
        "metric": metric,
        "pairs": gain.pairs,
        "missing": gain.missing,
        "as_it_stands": gain.before,
        "setting": gain.after,
        "difference": gain.difference,
        "interval_95": gain.interval,
        "better": gain.better,
        "gain_is_there": gain.is_there(),
        "is_a_loss": gain.is_a_loss(),
    })
}

/// A setting in words.
pub(super) fn words(setting: &[String]) -> String {
    if setting.is_empty() { "as it stands".to_owned() } else { setting.join(", ") }
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", short_number(value)) } else { short_number(value) }
}

fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", share * 100.0) } else { "-".to_owned() }
}

fn signed_percent(share: f64) -> String {
    if share > 0.0 { format!("+{}", percent(share)) } else { percent(share) }
}

/// Lines as a table, the first of them its head.
pub(super) fn table_of(lines: &[Vec<String>]) -> String {
    let mut grid = Grid::new(terminal_style());
    let (head, rows) =
        lines.split_first().map_or((&[][..], &[][..]), |(head, rows)| (&head[..], rows));
    grid.header(head.iter().map(|name| in_two_lines(name)));
    for row in rows {
        grid.row(row.iter().map(|cell| (cell.clone(), false)));
    }
    grid.finish()
}
