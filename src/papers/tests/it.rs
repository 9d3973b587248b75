//! The experiments as a whole: published figures are complete, every part of every experiment can be run, and the order
//! in which units are run changes nothing.

use gorgo_papers::{
    Arrivals, Experiment, Options, Plan, Published, Relation, experiments, to_json,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn experiments() -> Vec<Experiment> {
    experiments::NAMES
        .iter()
        .map(|name| experiments::by_name(name).expect("it is listed"))
        .collect()
}

/// No recorded data: the same on every machine.
fn options(seeds: u64, only: &[&str]) -> Options {
    let only = only.iter().map(|&name| name.to_owned()).collect();
    Options { seeds: Some(seeds), only, data: PathBuf::from("there-is-no-such-folder") }
}

#[test]
fn published_figures_are_complete() {
    for (file, text, count) in [
        ("v1", include_str!("../../../data/papers/v1.csv"), 17),
        ("v2", include_str!("../../../data/papers/v2.csv"), 248),
        ("summary", include_str!("../../../data/papers/summary.csv"), 12),
    ] {
        let published = Published::read(file, text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(published.0.len(), count, "{file}");
        for figure in &published.0 {
            assert!(figure.value > 0.0, "{file}: {figure:?}");
            assert!(figure.relation.is_value() || figure.relation == Relation::Above, "{figure:?}");
        }
    }
    let v2 = Published::read("v2", include_str!("../../../data/papers/v2.csv")).expect("it reads");
    for window in ["apr5_ts1", "apr5_june10", "apr6_ts2", "apr7_ts3", "apr7_ts2"] {
        let policies: BTreeSet<&str> = v2.of_window(window).map(|f| f.policy.as_str()).collect();
        assert_eq!(policies.len(), 5, "{window}");
        assert!(v2.of_window(window).count() >= 35, "{window}: seven figures of each");
    }
}

/// Percentiles of one policy do not fall, and the extremes are in order: a slip of the keyboard would show.
#[test]
fn published_percentiles_grow() {
    let v2 = Published::read("v2", include_str!("../../../data/papers/v2.csv")).expect("it reads");
    let value = |window: &str, policy: &str, metric: &str| {
        let is_it = |f: &&gorgo_papers::Figure| f.policy == policy && f.metric == metric;
        v2.of_window(window).find(is_it).map(|figure| figure.value)
    };
    let rows: BTreeSet<(&str, &str)> =
        v2.0.iter().map(|f| (f.window.as_str(), f.policy.as_str())).collect();
    assert_eq!(rows.len(), 34);
    for (window, policy) in rows {
        for kind in ["ttft_ms", "e2e_s"] {
            let percentiles =
                ["p50", "p95", "p99"].map(|p| value(window, policy, &format!("{kind}_{p}")));
            // Of the window over capacity no P99 of E2E is known.
            let known: Vec<f64> = percentiles.into_iter().flatten().collect();
            assert_eq!(known.len(), if (window, kind) == ("apr7_ts1", "e2e_s") { 2 } else { 3 });
            assert!(known.is_sorted_by(|a, b| a < b), "{window} {policy} {kind}");
        }
    }
}

#[test]
fn names_of_parts_are_unique_and_fit_for_files() {
    for experiment in experiments() {
        let windows = experiment.windows.iter().map(|window| window.name);
        let names: Vec<&str> = windows.chain(experiment.studies.iter().map(|s| s.id)).collect();
        let unique: BTreeSet<&&str> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{}", experiment.name);
        for name in names {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            assert!(!name.is_empty() && name.chars().all(plain), "{name}");
        }
    }
}

#[test]
fn rows_are_well_formed_and_the_order_of_units_changes_nothing() {
    let experiment = experiments::by_name("v2").expect("it is listed");
    let window = experiment.windows[0].name;
    let plan = Plan::new(&experiment, &options(2, &[window])).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(plan.units().len(), 2);
    let run = |unit| plan.run(unit, &|_| {}).unwrap_or_else(|error| panic!("{error}"));
    let forward: Vec<_> = plan.units().iter().map(|&unit| run(unit)).collect();
    let backward: Vec<_> = plan.units().iter().rev().map(|&unit| run(unit)).collect();
    let outcome = plan.finish(forward).expect("all policies ran");
    let text = to_json(&outcome);
    assert_eq!(text, to_json(&plan.finish(backward).expect("all policies ran")));

    assert_eq!(outcome.windows[0].arrivals, Arrivals::Generated, "there is no recorded data");
    let document: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(document["arrivals"], "generated");
    let rows = document["rows"].as_array().expect("a list");
    let published = Published::read("v2", experiment.published.toml).expect("it reads");
    assert_eq!(rows.len(), published.of_window(window).count(), "a row for every figure");
    for row in rows {
        for key in ["window", "policy", "metric", "paper", "ours", "ours_ci95", "error_pct"] {
            assert!(!row[key].is_null(), "{key} of {row}");
        }
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("a number in {row}"));
        let (paper, ours) = (number(&row["paper"]), number(&row["ours"]));
        let (low, high) = (number(&row["ours_ci95"][0]), number(&row["ours_ci95"][1]));
        assert!(low <= ours && ours <= high, "{row}");
        let error = 100.0 * (ours / paper - 1.0);
        assert!((number(&row["error_pct"]) - error).abs() < 1e-9, "{row}");
    }
}

#[test]
fn options_that_name_nothing_are_refused() {
    let experiment = experiments::by_name("v2").expect("it is listed");
    let refused = |options| Plan::new(&experiment, &options).expect_err("refused").to_string();
    assert!(refused(options(0, &[])).contains("--seeds: got 0"));
    let said = refused(options(1, &["nothing"]));
    assert!(said.contains("--only") && said.contains("apr5_ts1"), "{said}");
    assert!(experiments::by_name("v3").is_none());
}

#[test]
fn a_page_that_a_person_wrote_is_kept() {
    let experiment = experiments::by_name("v2").expect("it is listed");
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::new(&experiment, &options(1, &["apr5_ts1"])).unwrap_or_else(|e| panic!("{e}"));
    let unit = plan.run(plan.units()[0], &|_| {}).unwrap_or_else(|error| panic!("{error}"));
    let outcome = plan.finish(vec![unit]).expect("all policies ran");
    let about = gorgo_papers::About {
        command: "gorgo reproduce v2".into(),
        seconds: 1.0,
        cpu_seconds: None,
        threads: 1,
    };
    let write = || gorgo_papers::write_page(folder.path(), &experiment, &outcome, &about);
    write().expect("an empty folder");
    write().expect("its own page");
    for file in ["README.md", "rows.csv", "plots/apr5_ts1.svg"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    std::fs::write(folder.path().join("README.md"), "# Mine\n").expect("it can be written");
    let refused = write().expect_err("a foreign page").to_string();
    assert!(refused.contains("README.md"), "{refused}");
    let kept = std::fs::read_to_string(folder.path().join("README.md")).expect("it is there");
    assert_eq!(kept, "# Mine\n");
}

/// A part names its values by paths: one that is misspelt, or a policy that is not there, would show only when it runs.
#[test]
fn every_part_of_v1_and_summary_runs() {
    for name in ["v1", "summary"] {
        let experiment = experiments::by_name(name).expect("it is listed");
        let plan = Plan::new(&experiment, &options(1, &[])).unwrap_or_else(|e| panic!("{e}"));
        let run = |unit: &_| plan.run(*unit, &|_| {}).unwrap_or_else(|error| panic!("{error}"));
        let outcome = plan.finish(plan.units().iter().map(run).collect()).expect("all ran");
        assert_eq!(outcome.studies.len(), experiment.studies.len());
        let window = &outcome.windows[0];
        let published = Published::read(name, experiment.published.toml).expect("it reads");
        assert_eq!(window.rows.len(), published.of_window(window.window.name).count());
        for study in &outcome.studies {
            let medians = study.rows.iter().filter(|row| row.metric.name == "ttft_ms_p50");
            let medians: Vec<_> = medians.map(|row| row.ours.median).collect();
            assert!(medians.iter().all(Option::is_some), "{}", study.study.id);
            assert!(medians.iter().any(|value| *value != medians[0]), "{} varies", study.study.id);
        }
    }
}

/// The page's table of what two measured runs of one policy differ by says what the two windows' figures say.
#[test]
fn what_two_measured_runs_differ_by_is_told_right() {
    const METRICS: [&str; 6] =
        ["ttft_ms_p50", "ttft_ms_p95", "e2e_s_p50", "e2e_s_p95", "itl_ms_p50", "in_flight_mean"];
    let v2 = Published::read("v2", include_str!("../../../data/papers/v2.csv")).expect("it reads");
    let value = |window: &str, policy: &str, metric: &str| {
        let mut figures = v2.of_window(window);
        figures.find(|f| f.policy == policy && f.metric == metric).expect("published").value
    };
    let text = include_str!("../experiments/v2/june10.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| policy"))
        .map(|line| line.trim_matches(['|', ' ']).split(" | ").collect())
        .collect();
    assert_eq!(rows.len(), 4);
    for row in rows {
        for (cell, metric) in row[1..].iter().zip(METRICS) {
            let number = |text: &str| text.trim().parse::<f64>().expect("a number");
            let (first, rest) = cell.split_once(',').expect("two values");
            let (second, percent) = rest.split_once('(').expect("and a difference");
            let percent = number(percent.trim_end_matches(")").trim_end_matches('%'));
            let measured = ["apr5_ts1", "apr5_june10"].map(|window| value(window, row[0], metric));
            for (told, measured) in [number(first), number(second)].into_iter().zip(measured) {
                assert!((told / measured - 1.0).abs() < 0.005, "{row:?} {metric}: {measured}");
            }
            let difference = 100.0 * (measured[1] / measured[0] - 1.0);
            assert!((percent - difference).abs() < 0.051, "{row:?} {metric}: {difference}");
        }
    }
}
