//! The page of an experiment: `README.md`, `rows.csv`, `studies.csv` and `plots/*.svg` in a folder of results. Files that
//! it did not write stay; a page that a person wrote is never replaced.

use crate::error::PapersError;
use crate::experiment::Experiment;
use crate::metric::Metric;
use crate::outcome::{Outcome, Row, Spread, StudyOutcome, WindowOutcome};
use crate::words::{agrees, arrivals, cell, group, number, order, paper, percent, range};
use gorgo_report::plot::{ArmsPanel, ArmsSeries, BesidePanel, BesideRow, arms, beside};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The first line of a page that this code wrote.
pub(crate) const MARK: &str =
    "<!-- written by `gorgo reproduce`: edit the experiment, not this page -->";

/// How the page came about.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// The command.
    pub command: String,
    /// Wall time of the runs, seconds.
    pub seconds: f64,
    /// Processor time of the runs, seconds, where the system tells: what a busy machine does not lengthen.
    pub cpu_seconds: Option<f64>,
    /// Threads.
    pub threads: usize,
}

/// Writes the page and its files.
///
/// # Errors
/// When the folder holds a page that gorgo did not write, or the system refuses.
pub fn write_page(
    folder: &Path,
    experiment: &Experiment,
    outcome: &Outcome,
    about: &About,
) -> Result<(), PapersError> {
    let page = owned_page(folder)?;
    write(&page, &markdown(experiment, outcome, about))?;
    write(&folder.join("rows.csv"), &rows_csv(outcome))?;
    if !outcome.studies.is_empty() {
        write(&folder.join("studies.csv"), &studies_csv(outcome))?;
    }
    for window in &outcome.windows {
        let name = format!("plots/{}.svg", window.window.name);
        write(&folder.join(name), &window_plot(window, outcome.seeds))?;
    }
    for study in outcome.studies.iter().filter(|study| !study.study.drawn.is_empty()) {
        write(&folder.join(format!("plots/{}.svg", study.study.id)), &study_plot(study))?;
    }
    Ok(())
}

/// The page of a folder, if it is not there yet or this code wrote it.
pub(crate) fn owned_page(folder: &Path) -> Result<PathBuf, PapersError> {
    let page = folder.join("README.md");
    match fs::read_to_string(&page) {
        Ok(old) if !old.starts_with(MARK) => Err(PapersError::ForeignPage { path: page }),
        _ => Ok(page),
    }
}

/// Writes a file, and the folders above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), PapersError> {
    let at = |source| PapersError::Io { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(at)?;
    }
    fs::write(path, text).map_err(at)
}

fn markdown(experiment: &Experiment, outcome: &Outcome, about: &About) -> String {
    let mut text = format!("{MARK}\n# {}\n\n", experiment.title);
    let cpu =
        about.cpu_seconds.map_or_else(String::new, |cpu| format!(" ({cpu:.0} s of CPU time)"));
    let _ = writeln!(
        text,
        "`{}`: seeds 1 to {}, {:.0} s on {} threads{cpu}. `ours` is the median of the seeds; its 95 % interval is a percentile\n\
         bootstrap over seeds (2,000 keyed resamples); the band is where the middle 8 of 10 seeds lie. An error is ours against the\n\
         paper's; a figure agrees when it lies in the band, a bound when our median keeps it. Times count from the client's send.\n",
        about.command, outcome.seeds, about.seconds, about.threads,
    );
    let _ = writeln!(text, "{}\n", experiment.head.trim());
    if !outcome.groups.is_empty() {
        text.push_str("## In short\n\n");
        for verdict in &outcome.groups {
            let _ = writeln!(text, "- {}.", group(verdict));
        }
        for verdict in outcome.windows.iter().flat_map(|window| &window.orders) {
            let _ = writeln!(text, "- {}.", order(verdict));
        }
        text.push('\n');
    }
    for window in &outcome.windows {
        window_section(&mut text, window);
    }
    for study in &outcome.studies {
        study_section(&mut text, study);
    }
    if !experiment.tail.is_empty() {
        let _ = writeln!(text, "{}", experiment.tail.trim());
    }
    text.trim_end().to_owned() + "\n"
}

fn window_section(text: &mut String, outcome: &WindowOutcome) {
    let window = &outcome.window;
    let [least, most] = outcome.measured;
    let count = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let _ = writeln!(text, "## {}\n", window.title);
    let _ = writeln!(
        text,
        "`{}`, {}, {count} measured requests a run.\n",
        window.case.scenario.name,
        arrivals(outcome.arrivals),
    );
    if !window.text.is_empty() {
        let _ = writeln!(text, "{}\n", window.text.trim());
    }
    let _ = writeln!(text, "![paper and ours](plots/{}.svg)\n", window.name);
    text.push_str("| policy | metric | unit | paper | ours | 95 % of it | 10-90 % of seeds | error | agrees |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for row in &outcome.rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.policy,
            row.metric.title,
            row.metric.unit,
            paper(row),
            number(row.ours.median),
            range(row.ours.ci95),
            range(row.ours.band),
            percent(row.error_pct()),
            agrees(row),
        );
    }
    text.push('\n');
    further_table(text, outcome);
    for (warning, runs) in &outcome.warnings {
        let _ = writeln!(text, "- {runs} runs say, one of them in these numbers: {warning}.");
    }
    if !outcome.warnings.is_empty() {
        text.push('\n');
    }
}

/// What nothing is published of: a row for each policy, a column for each metric.
fn further_table(text: &mut String, outcome: &WindowOutcome) {
    if outcome.further.is_empty() {
        return;
    }
    let mut metrics: Vec<&Metric> = Vec::new();
    let mut policies: Vec<&str> = Vec::new();
    for row in &outcome.further {
        if !metrics.iter().any(|metric| metric.name == row.metric.name) {
            metrics.push(row.metric);
        }
        if !policies.contains(&row.policy.as_str()) {
            policies.push(&row.policy);
        }
    }
    text.push_str("Not published: medians, and where the middle 8 of 10 seeds lie.\n\n| policy |");
    for metric in &metrics {
        let _ = write!(text, " {}, {} |", metric.title, metric.unit);
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(metrics.len()));
    for policy in policies {
        let _ = write!(text, "| {policy} |");
        for metric in &metrics {
            let is_it = |row: &&Row| row.policy == policy && row.metric.name == metric.name;
            let found = outcome.further.iter().find(is_it);
            let cell = found.map_or_else(String::new, |row| {
                format!("{} ({})", number(row.ours.median), range(row.ours.band))
            });
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text.push('\n');
}

fn study_section(text: &mut String, outcome: &StudyOutcome) {
    let study = &outcome.study;
    let _ = writeln!(text, "## {}\n", study.title);
    if !study.text.is_empty() {
        let _ = writeln!(text, "{}\n", study.text.trim());
    }
    let _ = writeln!(text, "Seeds 1 to {}; medians.\n", outcome.seeds);
    if !study.drawn.is_empty() {
        let _ = writeln!(text, "![{}](plots/{}.svg)\n", study.title, study.id);
    }
    let _ = write!(text, "| {} | policy |", study.varied);
    let metrics: Vec<_> =
        study.metrics.iter().filter_map(|name| crate::metric::by_name(name)).collect();
    for metric in &metrics {
        let _ = write!(text, " {}, {} |", metric.title, metric.unit);
    }
    let _ = writeln!(text, "\n|---|---|{}", "---|".repeat(metrics.len()));
    for (arm, named) in study.arms.iter().enumerate() {
        for policy in &outcome.policies {
            let cells: Vec<String> = metrics
                .iter()
                .filter_map(|metric| cell(outcome, arm, policy, metric.name))
                .collect();
            if !cells.is_empty() {
                let _ = writeln!(text, "| {} | {policy} | {} |", named.label, cells.join(" | "));
            }
        }
    }
    text.push('\n');
}

/// Every metric of the window as a panel, every policy as a row.
fn window_plot(outcome: &WindowOutcome, seeds: u64) -> String {
    let mut panels: Vec<(&str, BesidePanel)> = Vec::new();
    for row in &outcome.rows {
        let panel = match panels.iter_mut().find(|(metric, _)| *metric == row.metric.name) {
            Some((_, panel)) => panel,
            None => {
                let title = format!("{}, {}", row.metric.title, row.metric.unit);
                panels.push((row.metric.name, BesidePanel { title, rows: Vec::new() }));
                &mut panels.last_mut().expect("one was just added").1
            }
        };
        panel.rows.push(beside_row(row));
    }
    // Policies that the paper does not have stand below its own, where their order is looked at.
    let orders = &outcome.window.orders;
    for row in outcome.further.iter().filter(|row| orders.contains(&row.metric.name)) {
        if let Some((_, panel)) = panels.iter_mut().find(|(metric, _)| *metric == row.metric.name) {
            panel.rows.push(beside_row(row));
        }
    }
    let subtitle = format!(
        "{}, {}, {seeds} seeds",
        outcome.window.case.scenario.name,
        arrivals(outcome.arrivals),
    );
    let panels: Vec<BesidePanel> = panels.into_iter().map(|(_, panel)| panel).collect();
    beside(outcome.window.title, &subtitle, &panels)
}

fn beside_row(row: &Row) -> BesideRow {
    BesideRow {
        name: row.policy.clone(),
        paper: row.paper.map(|(_, value)| value),
        relation: row.paper.map_or("", |(relation, _)| relation.sign().trim()),
        ours: row.ours.median,
        interval: row.ours.ci95,
        band: row.ours.band,
    }
}

fn study_plot(outcome: &StudyOutcome) -> String {
    let study = &outcome.study;
    let panels: Vec<ArmsPanel> = study
        .drawn
        .iter()
        .filter_map(|name| crate::metric::by_name(name))
        .map(|metric| ArmsPanel {
            title: format!("{}, {}", metric.title, metric.unit),
            series: outcome
                .policies
                .iter()
                .map(|policy| series(outcome, policy, metric.name))
                .collect(),
        })
        .collect();
    let labels: Vec<String> = study.arms.iter().map(|arm| arm.label.clone()).collect();
    let subtitle =
        format!("medians of {} seeds; bars: where the middle 8 of 10 seeds lie", outcome.seeds);
    arms(study.title, &subtitle, study.varied, &labels, &panels)
}

fn series(outcome: &StudyOutcome, policy: &str, metric: &str) -> ArmsSeries {
    let point = |arm: usize| {
        let is_it = |row: &&crate::StudyRow| {
            row.arm == arm && row.policy == policy && row.metric.name == metric
        };
        let Spread { median, band: [low, high], .. } = outcome.rows.iter().find(is_it)?.ours;
        let middle = median?;
        Some([middle, low.unwrap_or(middle), high.unwrap_or(middle)])
    };
    let points = (0..outcome.study.arms.len()).map(point).collect();
    ArmsSeries { name: policy.to_owned(), points }
}

fn csv_line(cells: &[String]) -> String {
    let quoted = cells.iter().map(|cell| {
        if cell.contains([',', '"', '\n']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}

/// A number that reads back; nothing where there is none.
fn exact(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn rows_csv(outcome: &Outcome) -> String {
    let mut text = "window,policy,metric,unit,relation,paper,ours,ours_ci95_low,ours_ci95_high,ours_p10,ours_p90,error_pct,source\n".to_owned();
    for row in outcome.windows.iter().flat_map(|window| window.rows.iter().chain(&window.further)) {
        let relation = row.paper.map_or("", |(relation, _)| match relation.sign().trim() {
            "" => "equal",
            "~" => "about",
            ">" => "above",
            _ => "below",
        });
        text += &csv_line(&[
            row.window.to_owned(),
            row.policy.clone(),
            row.metric.name.to_owned(),
            row.metric.unit.to_owned(),
            relation.to_owned(),
            exact(row.paper.map(|(_, value)| value)),
            exact(row.ours.median),
            exact(row.ours.ci95[0]),
            exact(row.ours.ci95[1]),
            exact(row.ours.band[0]),
            exact(row.ours.band[1]),
            exact(row.error_pct()),
            row.source.clone(),
        ]);
    }
    text
}

fn studies_csv(outcome: &Outcome) -> String {
    let mut text =
        "study,varied,arm,policy,metric,unit,ours,ours_ci95_low,ours_ci95_high,ours_p10,ours_p90\n"
            .to_owned();
    for study in &outcome.studies {
        for row in &study.rows {
            text += &csv_line(&[
                study.study.id.to_owned(),
                study.study.varied.to_owned(),
                study.study.arms[row.arm].label.clone(),
                row.policy.clone(),
                row.metric.name.to_owned(),
                row.metric.unit.to_owned(),
                exact(row.ours.median),
                exact(row.ours.ci95[0]),
                exact(row.ours.ci95[1]),
                exact(row.ours.band[0]),
                exact(row.ours.band[1]),
            ]);
        }
    }
    text
}
