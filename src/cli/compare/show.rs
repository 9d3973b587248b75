//! A judgement as text: a table, markdown for a pull request, JSON, `JUnit`.

use super::judge::{ALPHA, Cell, Change, Judgement, Outcome, Verdict};
use super::rule::Bound;
use crate::simulate::terminal_style;
use gorgo_report::{Grid, short_number};
use gorgo_stats::Estimate;
use serde_json::{Value, json};
use std::fmt::Write;

/// The probability that an interval holds the truth.
const LEVEL: f64 = 0.95;
/// Columns of a plotted interval.
const PLOT: usize = 45;
/// What the columns are.
const METHOD: &str = "BASE, NEW: medians over seeds, of shares means; change: seed by seed, the median over seeds, order \
    statistics (6 seeds or more); of unlike seeds: of the medians; of shares in points: Student's t; each interval for itself";
/// How far out is drawn at most, in bounds.
const FARTHEST: [f64; 2] = [-3.0, 5.0];

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Fails => "FAILS",
            Self::Holds => "holds",
            Self::Open => "open",
            Self::Unknown => "cannot be judged",
        }
    }
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), short_number)
}

fn percent(estimate: Option<&Estimate>) -> [String; 2] {
    estimate.map_or_else(
        || ["-".to_owned(), "-".to_owned()],
        |estimate| {
            let [low, high] = estimate.interval(LEVEL);
            [
                format!("{:+.2}", 100.0 * estimate.value()),
                format!("{:+.2} to {:+.2}", 100.0 * low, 100.0 * high),
            ]
        },
    )
}

fn plain(estimate: Option<&Estimate>) -> [String; 2] {
    estimate.map_or_else(
        || ["-".to_owned(), "-".to_owned()],
        |estimate| {
            let [low, high] = estimate.interval(LEVEL);
            let signed = |value: f64| {
                if value < 0.0 { short_number(value) } else { format!("+{}", short_number(value)) }
            };
            [signed(estimate.value()), format!("{} to {}", signed(low), signed(high))]
        },
    )
}

/// What a rule is about, as text: the value and its interval, in % for relative changes.
fn about(verdict: &Verdict) -> [String; 2] {
    match verdict.rule.bound {
        Bound::Relative(_) => percent(verdict.estimate.as_ref()).map(|text| format!("{text} %")),
        Bound::Absolute(_) => plain(verdict.estimate.as_ref()),
        Bound::Level(_) => verdict.estimate.as_ref().map_or_else(
            || ["-".to_owned(), "-".to_owned()],
            |estimate| {
                let [low, high] = estimate.interval(LEVEL);
                [
                    short_number(estimate.value()),
                    format!("{} to {}", short_number(low), short_number(high)),
                ]
            },
        ),
    }
}

/// Why there is no interval.
fn why_unknown(change: &Change) -> String {
    match change.missing {
        [0, 0] => {
            format!("{} of a run is zero or negative: there is no relative change", change.metric)
        }
        [base, new] => format!(
            "{base} runs of BASE and {new} of NEW do not have {}: it falls on a request that never ended, or there is none",
            change.metric
        ),
    }
}

/// Rows, the first of them the head, as aligned text or as a markdown table.
fn grid(rows: &[Vec<String>], markdown: bool) -> String {
    let Some((head, rest)) = rows.split_first() else { return String::new() };
    if !markdown {
        let mut grid = Grid::new(terminal_style());
        grid.header(head.iter().map(|words| {
            let (above, below) = words.split_once('\n').unwrap_or((words, ""));
            [above, below]
        }));
        for row in rest {
            grid.row(row.iter().map(|cell| (cell.clone(), false)));
        }
        return grid.finish();
    }
    let line = |row: &[String]| format!("| {} |\n", row.join(" | ").replace('\n', " "));

    let rule = format!("|---|{}\n", "--:|".repeat(head.len() - 1));
    let body: String = rest.iter().map(|row| line(row)).collect();
    format!("{}{rule}{body}", line(head))
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// The metrics of a cell.
fn changes(cell: &Cell, precision: f64, markdown: bool) -> String {
    let seeds = format!("seeds for\n±{} %", 100.0 * precision);
    let head = [
        "metric",
        "BASE",
        "NEW",
        "change",
        "95 %\ninterval",
        "change\n%",
        "95 %\ninterval",
        &seeds,
    ];
    let mut rows = vec![words(head)];
    for change in &cell.changes {
        let [value, interval] = plain(change.difference.as_ref());
        let [ratio, ratio_interval] = percent(change.ratio.as_ref());
        let wanted = change.ratio.as_ref().and_then(|ratio| ratio.samples_for(precision));
        rows.push(vec![
            change.metric.clone(),
            optional(change.base),
            optional(change.new),
            value,
            interval,
            ratio,
            ratio_interval,
            wanted.map_or_else(|| "-".to_owned(), |seeds| seeds.to_string()),
        ]);
    }
    grid(&rows, markdown)
}

fn headline(cell: &Cell) -> String {
    match (cell.paired, cell.runs) {
        (true, [runs, _]) => format!("{}: {runs} seeds, compared seed by seed", cell.label),
        (false, [base, new]) => format!("{}: {base} seeds against {new} others", cell.label),
    }
}

fn verdicts(judgement: &Judgement, markdown: bool) -> String {
    let mut rows = vec![words(["rule", "runs", "found", "95 %\ninterval", "p", "verdict"])];
    for verdict in &judgement.verdicts {
        let [value, interval] = about(verdict);
        rows.push(vec![
            if markdown { format!("`{}`", verdict.rule) } else { verdict.rule.to_string() },
            verdict.label.clone(),
            value,
            interval,
            if verdict.p < 0.0001 { "<0.0001".to_owned() } else { format!("{:.4}", verdict.p) },
            verdict.outcome.word().to_owned(),
        ]);
    }
    grid(&rows, markdown)
}

/// A change as multiples of its rule's bound: 0 is no change, 1 the bound, more is worse. None for a level, and for a rule
/// that asks for an improvement, whose good side would lie the other way round.
fn in_bounds(verdict: &Verdict) -> Option<[f64; 3]> {
    let (Bound::Relative(bound) | Bound::Absolute(bound)) = verdict.rule.bound else { return None };
    let is_worse_beyond = if verdict.rule.above { bound > 0.0 } else { bound < 0.0 };
    let estimate = verdict.estimate.as_ref().filter(|_| is_worse_beyond)?;
    let mut places = [estimate.value(); 3];
    [places[0], places[2]] = estimate.interval(LEVEL);
    let places = places.map(|value| value / bound);
    let [first, value, last] = places;
    places.iter().all(|place| place.is_finite()).then_some([
        first.min(last),
        value,
        first.max(last),
    ])
}

/// Changes with their intervals and bounds, drawn with letters, each rule on a scale on which its bound is 1.
fn plot(judgement: &Judgement) -> String {
    let drawn: Vec<(&Verdict, [f64; 3])> = judgement
        .verdicts
        .iter()
        .filter_map(|verdict| Some((verdict, in_bounds(verdict)?)))
        .collect();
    if drawn.is_empty() {
        return String::new();
    }
    let ends = || drawn.iter().flat_map(|(_, [low, _, high])| [*low, *high]);
    let least = ends().fold(-0.2, f64::min).max(FARTHEST[0]);
    let most = ends().fold(1.2, f64::max).min(FARTHEST[1]);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a column of the plot"
    )]
    let column = |place: f64| {
        let share = (place.clamp(least, most) - least) / (most - least);
        (share * (PLOT - 1) as f64).round() as usize
    };
    let mut text = String::new();
    for (verdict, [low, value, high]) in drawn {
        let mut line = vec!['·'; PLOT];
        line[column(low)..=column(high)].fill('━');
        line[column(0.0)] = '0';
        line[column(1.0)] = '┃';
        line[column(value)] = '●';
        // What lies farther out than is drawn.
        if low < least {
            line[0] = '◀';
        }
        if high > most {
            line[PLOT - 1] = '▶';
        }
        let line: String = line.into_iter().collect();
        let _ = writeln!(text, "{line}  {} ({})", verdict.rule, verdict.label);
    }
    let _ = writeln!(
        text,
        "0 no change, ┃ the rule's bound, ●━ change and 95 % interval; worse to the right, each rule on its own scale"
    );
    text
}

fn conclusion(judgement: &Judgement) -> String {
    let count = |outcome| judgement.verdicts.iter().filter(|v| v.outcome == outcome).count();
    let [fails, holds, open, unknown] =
        [Outcome::Fails, Outcome::Holds, Outcome::Open, Outcome::Unknown].map(count);
    if judgement.verdicts.is_empty() {
        return "no rule was given (--fail-if)".to_owned();
    }
    let verb = if judgement.passes() { "passes" } else { "fails" };
    format!(
        "{verb}: {fails} fail, {holds} hold, {open} are open (the interval has the bound inside), {unknown} cannot be judged"
    )
}

/// For people at a terminal.
pub fn table(judgement: &Judgement, precision: f64) -> String {
    let mut text = String::new();
    for cell in &judgement.cells {
        let _ = writeln!(text, "{}\n\n{}", headline(cell), changes(cell, precision, false));
    }
    let _ = writeln!(text, "{METHOD}");
    if !judgement.verdicts.is_empty() {
        let _ = writeln!(text, "\n{}\n{}", verdicts(judgement, false), plot(judgement));
        let _ = writeln!(
            text,
            "p: of being past the bound, after Holm over {} verdicts; fails at {ALPHA}",
            judgement.verdicts.len()
        );
    }
    for why in remarks(judgement) {
        let _ = writeln!(text, "{why}");
    }
    let _ = writeln!(text, "{}", conclusion(judgement));
    text
}

/// What is to be said of verdicts that are neither kept nor broken.
fn remarks(judgement: &Judgement) -> Vec<String> {
    let remark = |v: &Verdict| {
        let said = match v.outcome {
            Outcome::Unknown => why_unknown(&v.change),
            Outcome::Open => seeds_to_settle(v)?,
            Outcome::Fails | Outcome::Holds => return None,
        };
        Some(format!("'{}' ({}): {said}", v.rule, v.label))
    };
    judgement.verdicts.iter().filter_map(remark).collect()
}

/// How many seeds would mostly take the bound out of the interval, if the truth is what was found.
fn seeds_to_settle(verdict: &Verdict) -> Option<String> {
    let (Bound::Relative(bound) | Bound::Absolute(bound) | Bound::Level(bound)) =
        verdict.rule.bound;
    let estimate = verdict.estimate.as_ref()?;
    let samples = estimate.samples();
    let wanted = estimate.samples_to_tell_from(bound).filter(|wanted| *wanted > samples)?;
    Some(format!(
        "open with {samples} seeds; about {wanted} would settle it in most cases if the truth is as found"
    ))
}

/// For a pull request. Its plot is text, because a comment or a job's summary shows no picture that is not hosted
/// somewhere.
pub fn markdown(judgement: &Judgement, precision: f64) -> String {
    let mut text = format!("### gorgo compare: {}\n\n", conclusion(judgement));
    if !judgement.verdicts.is_empty() {
        let _ = writeln!(text, "{}", verdicts(judgement, true));
        let plot = plot(judgement);
        if !plot.is_empty() {
            let _ = writeln!(text, "```text\n{plot}```\n");
        }
    }
    let _ = writeln!(text, "{METHOD}.\n");
    for cell in &judgement.cells {
        let (head, changes) = (headline(cell), changes(cell, precision, true));
        let _ = writeln!(
            text,
            "<details><summary>{}</summary>\n\n{changes}\n</details>\n",
            escape(&head)
        );
    }
    for line in remarks(judgement).iter().chain(&judgement.warnings) {
        let _ = writeln!(text, "- {line}");
    }
    text
}

fn estimate_json(estimate: Option<&Estimate>) -> Value {
    estimate.map_or(
        Value::Null,
        |estimate| json!({"value": estimate.value(), "ci95": estimate.interval(LEVEL)}),
    )
}

/// `{"schema":1,"passes":...,"cells":[...],"verdicts":[...]}`.
pub fn to_json(judgement: &Judgement, precision: f64) -> String {
    let change = |change: &Change| {
        json!({
            "metric": change.metric, "base": change.base, "new": change.new, "missing": change.missing,
            "difference": estimate_json(change.difference.as_ref()),
            "ratio": estimate_json(change.ratio.as_ref()),
            "seeds_wanted": change.ratio.as_ref().and_then(|ratio| ratio.samples_for(precision)),
        })
    };
    let cell = |cell: &Cell| {
        let changes: Vec<Value> = cell.changes.iter().map(change).collect();
        json!({"runs": cell.label, "seeds": cell.runs, "paired": cell.paired, "changes": changes})
    };
    let verdict = |verdict: &Verdict| {
        json!({
            "rule": verdict.rule.text, "runs": verdict.label, "outcome": verdict.outcome.word(),
            "found": estimate_json(verdict.estimate.as_ref()), "p_holm": verdict.p,
        })
    };
    let document = json!({
        "schema": 1,
        "passes": judgement.passes(),
        "precision": precision,
        "cells": judgement.cells.iter().map(cell).collect::<Vec<_>>(),
        "verdicts": judgement.verdicts.iter().map(verdict).collect::<Vec<_>>(),
        "warnings": judgement.warnings,
    });
    format!("{document:#}\n")
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A test case a verdict.
pub fn junit(judgement: &Judgement) -> String {
    let count = |outcome| judgement.verdicts.iter().filter(|v| v.outcome == outcome).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"gorgo compare\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n",
        judgement.verdicts.len(),
        count(Outcome::Fails),
        count(Outcome::Unknown)
    );
    for verdict in &judgement.verdicts {
        let [value, interval] = about(verdict);
        let said = escape(&format!("found {value}, 95 % interval {interval}, p {:.4}", verdict.p));
        let (name, class) = (escape(&verdict.rule.text), escape(&verdict.label));
        let _ = writeln!(text, "  <testcase classname=\"{class}\" name=\"{name}\">");
        let _ = match verdict.outcome {
            Outcome::Fails => writeln!(text, "    <failure message=\"{said}\"/>"),
            Outcome::Unknown => {
                writeln!(text, "    <error message=\"{}\"/>", escape(&why_unknown(&verdict.change)))
            }
            Outcome::Holds | Outcome::Open => {
                writeln!(text, "    <system-out>{}: {said}</system-out>", verdict.outcome.word())
            }
        };
        let _ = writeln!(text, "  </testcase>");
    }
    text.push_str("</testsuite>\n");
    text
}
