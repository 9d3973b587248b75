//! The page: for each question what was asked, a picture, what was found, tables with the spread over seeds, and the
//! command; and the same as JSON. One CSV for each question, one picture for each panel.

use super::claims::unheld;
use super::measure::{Kind, METRICS, metric_of};
use super::question::{Look, Panel, Question};
use super::table::Table;
use super::text::{cell, findings};
use crate::error::PapersError;
use crate::page::{About, owned_page, write};
use gorgo_report::plot::{SweepPanel, SweepSeries, SweepUnit, SweepValue, dots, sweep};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Above the questions.
const HEAD: &str = include_str!("head.md");
/// Below them.
const TAIL: &str = include_str!("tail.md");

/// Writes the page, its pictures and its CSV files.
///
/// # Errors
/// When a finding asks for what was not measured, the folder holds a page that gorgo did not write, or the system
/// refuses.
pub fn write_page(
    folder: &Path,
    tables: &[Table<'_>],
    seeds: u64,
    about: &About,
) -> Result<(), PapersError> {
    let text = page(tables, seeds, about)?;
    let page = owned_page(folder)?;
    for table in tables {
        let name = format!("{}.csv", table.question().id);
        write(&folder.join(name), &table.csv())?;
        for (name, picture) in pictures(table, seeds) {
            write(&folder.join("plots").join(name), &picture)?;
        }
    }
    write(&page, &text)
}

/// The page.
///
/// # Errors
/// When a finding asks for what was not measured.
pub fn page(tables: &[Table<'_>], seeds: u64, about: &About) -> Result<String, PapersError> {
    let mut text = format!("{}\n# What GORGO's reviewers asked for\n\n", crate::page::MARK);
    let _ = writeln!(
        text,
        "`{}`: seeds 1 to {seeds}, {:.0} s on {} threads.\n",
        about.command, about.seconds, about.threads
    );
    let _ = writeln!(text, "{}\n", HEAD.trim());
    for table in tables {
        text.push_str(&section(table)?);
    }
    let _ = writeln!(text, "{}", TAIL.trim());
    Ok(text)
}

/// Every figure: `{"rows":[{"question","panel","point","policy","metric","median","p10","p90","seeds"}, ...]}`. A figure
/// that fell on a request that never ended is null.
#[must_use]
pub fn to_json(tables: &[Table<'_>]) -> String {
    let mut rows: Vec<Value> = Vec::new();
    for table in tables {
        for at in table.places() {
            for policy in table.policies(at.0) {
                for metric in METRICS.iter().filter(|metric| table.has(at, policy, metric.key)) {
                    let panel = &table.question().panels[at.0];
                    let spread = table.spread(at, policy, metric.key);
                    rows.push(json!({
                        "question": table.question().id,
                        "panel": panel.key,
                        "point": panel.points[at.1].label,
                        "policy": policy,
                        "metric": metric.key,
                        "median": spread.map(|spread| spread.median),
                        "p10": spread.map(|spread| spread.p10),
                        "p90": spread.map(|spread| spread.p90),
                        "seeds": table.seeds(at, policy),
                    }));
                }
            }
        }
    }
    let mut text = json!({ "rows": rows }).to_string();
    text.push('\n');
    text
}

/// A picture for each panel that is drawn: its file and its SVG.
fn pictures(table: &Table<'_>, seeds: u64) -> Vec<(String, String)> {
    let question = table.question();
    let mut files = Vec::new();
    for (number, panel) in question.panels.iter().enumerate() {
        let drawn: Vec<SweepPanel> =
            panel.drawn.iter().filter_map(|key| picture(table, number, key)).collect();
        if drawn.is_empty() {
            continue;
        }
        let subtitle = if panel.one_seed {
            "from the engines' times; nothing is drawn by lot".to_owned()
        } else {
            format!("median of {seeds} seeds; whiskers: 10th to 90th percentile of seeds")
        };
        let svg = match panel.look {
            Look::Lines => sweep(panel.title, &subtitle, &drawn, columns(panel)),
            Look::Dots => dots(panel.title, &subtitle, &drawn),
        };
        files.push((picture_name(question, panel), svg));
    }
    files
}

/// Panels side by side: as many as leave room for the labels of the steps.
fn columns(panel: &Panel) -> usize {
    let longest = panel.points.iter().map(|point| point.label.chars().count()).max().unwrap_or(0);
    if longest * panel.points.len() > 60 { 1 } else { 2 }
}

fn picture_name(question: &Question, panel: &Panel) -> String {
    if question.panels.len() == 1 {
        format!("{}.svg", question.id)
    } else {
        format!("{}_{}.svg", question.id, panel.key)
    }
}

fn picture(table: &Table<'_>, number: usize, key: &str) -> Option<SweepPanel> {
    let (panel, metric) = (&table.question().panels[number], metric_of(key)?);
    let shown = |policy: &&str| !panel.undrawn.contains(policy);
    let series = table.policies(number).into_iter().filter(shown).map(|policy| {
        let value = |point| {
            let spread = table.spread((number, point), policy, key)?;
            Some(SweepValue { middle: spread.median, spread: (spread.p10, spread.p90) })
        };
        let values = (0..panel.points.len()).map(value).collect();
        SweepSeries { name: policy.to_owned(), values }
    });
    Some(SweepPanel {
        title: metric.title.to_owned(),
        axis: panel.axis.to_owned(),
        steps: panel.points.iter().map(|point| point.label.clone()).collect(),
        unit: if metric.kind == Kind::Time { SweepUnit::Time } else { SweepUnit::Plain },
        series: series.collect(),
    })
}

/// The section of one question.
fn section(table: &Table<'_>) -> Result<String, PapersError> {
    let question = table.question();
    let mut text = format!("## {}\n\n*{}*\n\n", question.title, question.asked);
    let _ = writeln!(text, "{}\n", findings(table)?.trim());
    for unheld in unheld(table)? {
        let _ = writeln!(text, "**These runs do not bear out** {unheld}.\n");
    }
    for panel in question.panels.iter().filter(|panel| !panel.drawn.is_empty()) {
        let _ = writeln!(text, "![{}](plots/{})\n", panel.title, picture_name(question, panel));
    }
    for (number, panel) in question.panels.iter().enumerate() {
        for key in panel.tabled {
            tabulate(&mut text, table, number, panel, key);
        }
    }
    let files = scenario_files(question);
    let id = question.id;
    let _ = writeln!(
        text,
        "`gorgo reproduce reviewers --only {id}`; scenario{} {}; every run in [`{id}.csv`]({id}.csv).\n",
        if files.len() == 1 { "" } else { "s" },
        files.join(", "),
    );
    Ok(text)
}

fn scenario_files(question: &Question) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for panel in &question.panels {
        let file = format!("`scenarios/papers/reviewers/{}`", panel.scenario.file);
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

fn tabulate(text: &mut String, table: &Table<'_>, number: usize, panel: &Panel, key: &str) {
    let Some(metric) = metric_of(key) else { return };
    let unit = if metric.kind == Kind::Time { ", ms" } else { "" };
    let _ = writeln!(text, "{}: {}{unit}\n", panel.title, metric.title);
    let labels: Vec<&str> = panel.points.iter().map(|point| point.label.as_str()).collect();
    let _ = writeln!(text, "| {} | {} |", panel.axis, labels.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(labels.len()));
    for policy in table.policies(number) {
        let cells: Vec<String> = (0..labels.len())
            .map(|point| cell(metric, table.spread((number, point), policy, key)))
            .collect();
        let _ = writeln!(text, "| {policy} | {} |", cells.join(" | "));
    }
    text.push('\n');
}
