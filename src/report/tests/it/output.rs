//! The output directory: what is written, what is refused, what survives.

use crate::{completed, many, rejected, run};
use gorgo_metrics::compare;
use gorgo_report::{OutputDir, ReportError, load_run};
use std::fs;
use std::path::Path;

fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(
                    path.strip_prefix(directory).unwrap().to_str().unwrap().replace('\\', "/"),
                );
            }
        }
    }
    found.sort();
    found
}

fn write_all(directory: &Path, overwrite: bool, policies: &[&str]) {
    let out = OutputDir::open(directory, overwrite).unwrap();
    let runs: Vec<_> = policies.iter().map(|policy| run(policy, &many(50), 5)).collect();
    out.write_scenario("seed = 7\n").unwrap();
    for run in &runs {
        out.write_run(run).unwrap();
    }
    out.write_combined(&runs).unwrap();
    out.write_about(&serde_json::json!({"schema": 1})).unwrap();
}

#[test]
fn every_file_is_where_it_should_be() {
    let home = tempfile::tempdir().unwrap();
    write_all(&home.path().join("deep/run"), false, &["gorgo"]);
    assert_eq!(
        files(&home.path().join("deep/run")),
        [
            "gorgo/plots/timeline.svg",
            "gorgo/plots/ttft_histogram.svg",
            "gorgo/requests.csv",
            "gorgo/summary.json",
            "gorgo/timeline.csv",
            "plots/timeline.svg",
            "plots/ttft_cdf.svg",
            "plots/ttft_parts.svg",
            "run.json",
            "scenario.resolved.toml",
        ]
    );
}

#[test]
fn a_directory_with_anything_in_it_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("notes.txt"), "mine").unwrap();
    let error = OutputDir::open(home.path(), false).unwrap_err();
    assert!(matches!(error, ReportError::NotEmpty { .. }), "{error}");
    assert!(error.to_string().contains("--overwrite"), "{error}");
    assert_eq!(files(home.path()), ["notes.txt"]);
    let file = home.path().join("notes.txt");
    assert!(matches!(OutputDir::open(&file, true), Err(ReportError::NotADirectory { .. })));
}

#[test]
fn overwriting_replaces_what_gorgo_wrote_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    write_all(home.path(), false, &["gorgo", "random"]);
    fs::write(home.path().join("notes.txt"), "mine").unwrap();
    fs::write(home.path().join("random/notes.txt"), "mine").unwrap();
    fs::create_dir(home.path().join("data")).unwrap();
    fs::write(home.path().join("data/requests.csv"), "mine: no summary beside it").unwrap();
    fs::create_dir(home.path().join("other")).unwrap();
    fs::write(home.path().join("other/summary.json"), "{\"mine\": true}").unwrap();
    fs::write(home.path().join("other/requests.csv"), "mine").unwrap();
    OutputDir::open(home.path(), true).unwrap();
    assert_eq!(
        files(home.path()),
        [
            "data/requests.csv",
            "notes.txt",
            "other/requests.csv",
            "other/summary.json",
            "random/notes.txt"
        ]
    );
}

#[test]
fn odd_names_stay_inside_the_directory() {
    let home = tempfile::tempdir().unwrap();
    let out = OutputDir::open(&home.path().join("out"), false).unwrap();
    for policy in ["../escape", "a/b c", "..", "plots"] {
        out.write_run(&run(policy, &[completed(1, 0, 10, 20)], 0)).unwrap();
    }
    let written = files(home.path());
    assert!(written.iter().all(|file| file.starts_with("out/")), "{written:?}");
    assert_eq!(written.iter().filter(|file| file.ends_with("/summary.json")).count(), 4);
    let clash = [run("a b", &[], 0), run("A/b", &[], 0)];
    let error = out.write_combined(&clash).unwrap_err();
    assert!(matches!(error, ReportError::SameDirectory { .. }), "{error}");
}

#[test]
fn the_same_runs_give_the_same_bytes() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_all(a.path(), false, &["gorgo", "random"]);
    write_all(b.path(), false, &["gorgo", "random"]);
    for file in files(a.path()) {
        assert!(
            fs::read(a.path().join(&file)).unwrap() == fs::read(b.path().join(&file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn a_run_reads_back_and_compares() {
    let home = tempfile::tempdir().unwrap();
    let records = [completed(1, 0, 30, 40), completed(2, 0, 50, 60), rejected(3, 0)];
    let result = run("gorgo", &records, 0);
    let out = OutputDir::open(home.path(), false).unwrap();
    out.write_run(&result).unwrap();
    for path in [home.path().to_owned(), home.path().join("gorgo")] {
        let loaded = load_run(&path).unwrap();
        assert_eq!(loaded.summary, result.summary);
        assert_eq!((loaded.name.as_str(), loaded.window), ("gorgo", result.window));
        let comparison = compare(&loaded.side(), &loaded.side()).unwrap();
        assert_eq!(comparison.paired, 3);
        assert_eq!(comparison.a.ttft_ms, result.summary.ttft_ms);
    }
}

#[test]
fn what_is_no_run_is_named() {
    let home = tempfile::tempdir().unwrap();
    let said = |path: &Path| load_run(path).unwrap_err().to_string();
    assert!(said(home.path()).contains("holds no run"), "{}", said(home.path()));
    assert!(said(&home.path().join("missing")).contains("missing"));
    write_all(home.path(), true, &["gorgo", "random"]);
    assert!(said(home.path()).contains("one of gorgo, random"), "{}", said(home.path()));
    fs::remove_file(home.path().join("gorgo/requests.csv")).unwrap();
    assert!(said(&home.path().join("gorgo")).contains("has no requests.csv"));
    fs::write(home.path().join("random/summary.json"), "{").unwrap();
    assert!(said(&home.path().join("random")).contains("wanted a summary.json"));
}

#[test]
fn a_decision_log_is_one_object_a_line() {
    let home = tempfile::tempdir().unwrap();
    let out = OutputDir::open(home.path(), false).unwrap();
    let mut log = out.decision_log("gorgo").unwrap();
    log.write(&serde_json::json!({"request": "1.0"})).unwrap();
    log.write(&serde_json::json!({"request": "1.1"})).unwrap();
    log.finish().unwrap();
    let text = fs::read_to_string(home.path().join("gorgo/decisions.jsonl")).unwrap();
    assert_eq!(text, "{\"request\":\"1.0\"}\n{\"request\":\"1.1\"}\n");
}
