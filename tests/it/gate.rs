//! `gorgo run --seeds` and `gorgo compare --fail-if`: what they leave, when they fail, what they refuse.

use crate::support::{files, gorgo, gorgo_ok, root};
use serde_json::Value;
use std::path::{Path, PathBuf};

const SMALL: [&str; 6] = [
    "--set",
    "workload.wildchat.requests=400",
    "--set",
    "measure.warm_up=0s",
    "--set",
    "measure.stop=30s",
];

/// A small scenario under some seeds.
fn seeds(folder: &Path, name: &str, more: &[&str]) -> PathBuf {
    let out = folder.join(name);
    let path = out.to_str().unwrap().to_owned();
    let head = ["run", "--policy", "gorgo", "--quiet", "--out", &path];
    gorgo_ok(&[&head[..], &SMALL[..], more].concat());
    out
}

fn compare(base: &Path, new: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let head = ["compare", base.to_str().unwrap(), new.to_str().unwrap()];
    let output = gorgo(&[&head[..], more].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_gate_fails_a_change_for_the_worse_and_passes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let base = seeds(folder.path(), "base", &["--seeds", "12"]);
    let same = seeds(folder.path(), "same", &["--seeds", "12", "--threads", "1"]);
    assert_eq!(files(&base), files(&same), "threads change nothing");
    let rate = ["--set", "load.poisson.rate=60 sessions/s", "--seeds", "12"];
    let busy = seeds(folder.path(), "busy", &rate);
    let rule = ["--fail-if", "e2e_ms.p50 > +5%", "--fail-if", "good_fraction < -50pt"];

    // A folder, its baseline file, and a folder of runs in it are the same side.
    for side in [base.clone(), base.join("baseline.json"), base.join("runs")] {
        let (code, text, _) = compare(&side, &busy, &rule);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("12 seeds, compared seed by seed"), "{text}");
        assert!(text.contains("FAILS") && text.contains("holds"), "{text}");
        let (code, text, _) = compare(&side, &same, &rule);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("passes: 0 fail, 2 hold"), "{text}");
    }

    let format = |format| {
        let (code, text, _) = compare(&base, &busy, &[&rule[..], &["--format", format]].concat());
        assert_eq!(code, Some(1));
        text
    };
    let json: Value = serde_json::from_str(&format("json")).unwrap();
    assert_eq!(json["passes"], false);
    assert_eq!(json["verdicts"][0]["outcome"], "FAILS");
    let ends = &json["verdicts"][0]["found"]["ci95"];
    assert!(ends[0].as_f64().unwrap() > 0.05 && ends[1].as_f64() > ends[0].as_f64(), "{ends}");
    let junit = format("junit");
    assert!(junit.contains("tests=\"2\" failures=\"1\" errors=\"0\""), "{junit}");
    assert!(junit.contains("e2e_ms.p50 &gt; +5%"), "{junit}");
    let markdown = format("markdown");
    assert!(
        markdown.starts_with("### gorgo compare: fails") && markdown.contains("●"),
        "{markdown}"
    );
    // Both rules are drawn, each with its bound in the same column.
    let drawn: Vec<&str> = markdown.lines().filter(|line| line.contains('┃')).collect();
    let bound = |line: &str| line.chars().position(|c| c == '┃');
    assert_eq!(drawn.len(), 3, "{markdown}");
    assert_eq!(bound(drawn[0]), bound(drawn[1]), "{markdown}");

    // A level, and fresh seeds: two samples, not pairs.
    let fresh = seeds(folder.path(), "fresh", &["--seeds", "12", "--seed", "1001"]);
    let level = ["--fail-if", "e2e_ms.p50 > 1ms", "--fail-if", "e2e_ms.p50 > 1000s"];
    let (code, text, notes) = compare(&base, &fresh, &level);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("12 seeds against 12 others") && notes.contains("not paired"), "{notes}");
    // Five seeds have no interval of their median: however clear a level looks, it fails nothing.
    let few = seeds(folder.path(), "few", &["--seeds", "5"]);
    let (code, text, notes) = compare(&few, &few, &["--fail-if", "e2e_ms.p50 > 1ms"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("open") && notes.contains("wanted 6 or more"), "{text}{notes}");
}

#[test]
fn what_cannot_be_compared_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let base = seeds(folder.path(), "base", &["--seeds", "3"]);
    let file = folder.path().join("other.json");
    let kept = std::fs::read_to_string(base.join("baseline.json")).unwrap();
    let cases = [
        (kept.replace("\"gorgo_baseline\":1", "\"gorgo_baseline\":2"), "version 2"),
        (kept.replace("\"schema\":1", "\"schema\":7"), "runs[0]: schema: got 7: wanted 1"),
        (kept.replace("\"gorgo_baseline\":1,", ""), "is no baseline"),
        (kept.replace("\"seed\":2", "\"seed\":1"), "with seed 1 twice"),
        (kept.replace("\"scenario\":", "\"scenari\":"), "unknown field `scenari`"),
        (kept.replace("\"ttft_ms\":{", "\"ttft\":{"), "runs[0]: missing field `ttft_ms`"),
        (kept[..kept.len() / 2].to_owned(), "EOF"),
        (String::new(), "EOF"),
    ];
    for (text, words) in cases {
        std::fs::write(&file, text).unwrap();
        let (code, _, said) = compare(&file, &base, &["--fail-if", "ttft_ms.p99 > +5%"]);
        assert_eq!(code, Some(2), "{words}: {said}");
        assert!(said.contains(words) && said.contains("other.json"), "{words}: {said}");
    }
    for (rule, words) in [
        ("ttft_ms.p98 > +5%", "no run has a number ttft_ms.p98"),
        ("ttft_ms.p99 > 5%", "has a sign"),
        ("ttft_ms.p99", "no > or <"),
    ] {
        let (code, _, said) = compare(&base, &base, &["--fail-if", rule]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
    // The folder above holds `base` alone: the same runs. With a copy beside it, each seed is there twice.
    let (code, _, said) = compare(&base, folder.path(), &["--fail-if", "ttft_ms.p99 > +5%"]);
    assert_eq!(code, Some(0), "{said}");
    let copy = seeds(folder.path(), "copy", &["--seeds", "3"]);
    let (_, _, said) = compare(&copy, folder.path(), &["--fail-if", "ttft_ms.p99 > +5%"]);
    assert!(said.contains("twice"), "{said}");

    let one = seeds(folder.path(), "one", &["--seeds", "1"]);
    let (code, _, said) = compare(&one, &one, &["--fail-if", "ttft_ms.p99 > +5%"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("1 seeds in common: wanted 2 or more"), "{said}");
}

/// Three of twelve seeds far worse: the median change is none, and it is said that the mean's is large.
#[test]
fn a_minority_of_bad_seeds_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let base = seeds(folder.path(), "base", &["--seeds", "12"]);
    let kept = std::fs::read_to_string(base.join("baseline.json")).unwrap();
    let mut worse: Value = serde_json::from_str(&kept).unwrap();
    for run in 0..3 {
        let p99 = &mut worse["runs"][run]["ttft_ms"]["p99"];
        *p99 = (10.0 * p99.as_f64().unwrap()).into();
    }
    let file = folder.path().join("worse.json");
    std::fs::write(&file, worse.to_string()).unwrap();
    let (code, text, notes) = compare(&base, &file, &["--fail-if", "ttft_ms.p99 > +5%"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(notes.contains("a minority of the seeds changes far more"), "{notes}");
}

#[test]
fn a_percentile_that_no_run_has_cannot_be_judged_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let base = seeds(folder.path(), "base", &["--seeds", "3"]);
    let kept = std::fs::read_to_string(base.join("baseline.json")).unwrap();
    let mut broken: Value = serde_json::from_str(&kept).unwrap();
    broken["runs"][1]["ttft_ms"]["p99"] = Value::Null;
    let file = folder.path().join("broken.json");
    std::fs::write(&file, broken.to_string()).unwrap();
    let (code, text, notes) = compare(&base, &file, &["--fail-if", "ttft_ms.p99 > +5%"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("0 runs of BASE and 1 of NEW do not have ttft_ms.p99"), "{text}");
    assert!(notes.contains("3 seeds are few"), "{notes}");
}

#[test]
fn a_folder_of_seeds_is_not_written_over_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let base = seeds(folder.path(), "base", &["--seeds", "2"]);
    let path = base.to_str().unwrap();
    let again = [&["run", "--policy", "gorgo", "--seeds", "2", "--out", path][..], &SMALL].concat();
    assert_eq!(gorgo(&again).status.code(), Some(2));
    gorgo_ok(&[&again[..], &["--overwrite"]].concat());
    for bad in [["--seeds", "0"], ["--seeds", "-1"], ["--seeds", "x"]] {
        assert_eq!(gorgo(&[&["run"][..], &bad].concat()).status.code(), Some(2));
    }
}

#[test]
fn a_sweep_is_a_side_cell_by_cell_and_two_policies_are_two_sides() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("both");
    let path = out.to_str().unwrap();
    let policies = [
        "run", "--policy", "gorgo", "--policy", "random", "--seeds", "3", "--quiet", "--out", path,
    ];
    gorgo_ok(&[&policies[..], &SMALL].concat());
    let rule = ["--fail-if", "e2e_ms.p50 > +50%", "--format", "json"];
    let (code, text, _) = compare(&out, &out, &rule);
    assert_eq!(code, Some(0), "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    let cells: Vec<&str> = json["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell["runs"].as_str().unwrap())
        .collect();
    assert_eq!(cells, ["gorgo", "random"]);
    assert_eq!(json["verdicts"].as_array().unwrap().len(), 2, "a rule is held against each cell");

    // One policy on each side is compared whatever its name; of several, those that both have.
    let alone = |policy: &str| {
        let out = folder.path().join(policy);
        let path = out.to_str().unwrap();
        let flags = ["run", "--policy", policy, "--seeds", "3", "--quiet", "--out", path];
        gorgo_ok(&[&flags[..], &SMALL].concat());
        out
    };
    let (gorgo, random) = (alone("gorgo"), alone("random"));
    let (_, text, _) = compare(&gorgo, &random, &[]);
    assert!(text.contains("gorgo to random: 3 seeds, compared seed by seed"), "{text}");
    let (_, _, notes) = compare(&out, &random, &[]);
    assert!(notes.contains("not compared: gorgo"), "{notes}");

    // A table that leads elsewhere, a table without its columns, and none.
    let cells = out.join("cells.csv");
    let kept = std::fs::read_to_string(&cells).unwrap();
    let run = kept.lines().nth(1).unwrap().split(',').find(|field| field.len() == 32).unwrap();
    for (text, words) in [
        (Some(kept.replace(run, "../../etc")), "a name of hexadecimal digits"),
        (Some(kept.replace(run, &"0".repeat(32))), "summary.json"),
        (Some(kept.replace("policy", "polity")), "no columns policy and run"),
        (Some(kept.replacen(',', "", 1)), "cells.csv"),
        (None, "a finished sweep"),
    ] {
        match text {
            Some(text) => std::fs::write(&cells, text).unwrap(),
            None => std::fs::remove_file(&cells).unwrap(),
        }
        let (code, _, said) = compare(&out, &random, &[]);
        assert_eq!(code, Some(2), "{words}: {said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// The workflow's own rules, on the baseline that it reads: each can be judged, and the same runs pass.
#[test]
fn the_workflow_can_judge_its_baseline() {
    let workflow = std::fs::read_to_string(root().join(".github/workflows/gate.yml")).unwrap();
    let rules: Vec<&str> = workflow
        .split("--fail-if '")
        .skip(1)
        .map(|rest| rest.split('\'').next().unwrap())
        .collect();
    assert_eq!(rules.len(), 3);
    let baseline = root().join("results/gate/baseline.json");
    assert!(workflow.contains("results/gate/baseline.json"));
    let flags: Vec<&str> = rules.iter().flat_map(|rule| ["--fail-if", rule]).collect();
    let (code, text, notes) = compare(&baseline, &baseline, &flags);
    assert_eq!(code, Some(0), "{text}{notes}");
    assert!(text.contains("40 seeds, compared seed by seed") && text.contains("3 hold"), "{text}");
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let copied = workflow.split("- name: simulate").nth(1).unwrap().trim_end();
    assert!(readme.contains(copied), "the README shows the workflow's lines");
}
