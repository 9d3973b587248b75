//! `gorgo run --seeds` and `gorgo compare --fail-if`: what they leave, when they fail, what they refuse.

use crate::support::{files, gorgo, gorgo_ok};
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

    // A level, and fresh seeds: two samples, not pairs.
    let fresh = seeds(folder.path(), "fresh", &["--seeds", "12", "--seed", "1001"]);
    let level = ["--fail-if", "e2e_ms.p50 > 1ms", "--fail-if", "e2e_ms.p50 > 1000s"];
    let (code, text, notes) = compare(&base, &fresh, &level);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("12 seeds against 12 others") && notes.contains("not paired"), "{notes}");
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
