//! `gorgo trace import`, from files to a run.

use crate::support::{gorgo, gorgo_ok};
use serde_json::{Value, json};
use std::path::Path;

/// A hundred prompts and places for some of them; gives the arguments of the import.
fn pair(folder: &Path, out: &str) -> Vec<String> {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let question = "What is the capital of France?";
    let prompts: String = (0..100)
        .map(|i| {
            let text = if i % 2 == 0 { question.to_owned() } else { format!("{i} {question}") };
            json!({"prompt": text}).to_string() + "\n"
        })
        .collect();
    std::fs::write(file("prompts.jsonl"), prompts).unwrap();
    // The key of the even ones, by the formula of GORGO's preprocessing.
    let places = json!({"03a36b7d83855bc2": {"lat": 46.2276, "lon": 2.2137, "country": "France"}});
    std::fs::write(file("places.json"), places.to_string()).unwrap();
    let command = ["trace", "import", "gorgo"].map(str::to_owned);
    let rest = [file("prompts.jsonl"), "--locations".to_owned(), file("places.json")];
    command.into_iter().chain(rest).chain(["--out".to_owned(), file(out)]).collect()
}

#[test]
fn the_pair_of_gorgo_is_imported_described_and_run_under_a_load() {
    let folder = tempfile::tempdir().unwrap();
    for out in ["trace.jsonl", "trace.jsonl.zst"] {
        let said = gorgo_ok(&pair(folder.path(), out));
        assert!(said.starts_with("100 requests of 100 conversations"), "{said}");
        let trace = folder.path().join(out);
        let trace = trace.to_str().unwrap();
        let info: Value =
            serde_json::from_str(&gorgo_ok(&["trace", "info", trace, "--format", "json"])).unwrap();
        assert_eq!(info["requests"], 100);
        assert_eq!(info["tokens"], "4-characters");
        assert_eq!(info["origins"][0]["requests"], 50);
        let table = gorgo_ok(&["trace", "info", trace]);
        assert!(table.contains("tokens of text counted as") && table.contains("4-characters"));
        let workload = format!("workload={{trace={{path={trace:?}}}}}");
        let load = "load={poisson={rate=\"20/s\"}}";
        let run = ["run", "--policy", "round-robin", "--no-files", "--format", "json"];
        let sets = ["--set", &workload, "--set", load, "--set", "measure.warm_up=0s"];
        let json = gorgo_ok(&[&run[..], &sets[..]].concat());
        let run: Value = serde_json::from_str(&json).unwrap();
        let requests = &run["runs"][0]["requests"];
        assert_eq!((&requests["injected"], &requests["completed"]), (&json!(100), &json!(100)));
        assert!(run["runs"][0]["duration_s"].as_f64().unwrap() > 2.0, "the load spreads them");
    }
}

#[test]
fn a_trace_that_was_imported_keeps_its_rule_when_it_is_converted() {
    let folder = tempfile::tempdir().unwrap();
    gorgo_ok(&pair(folder.path(), "trace.jsonl"));
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    gorgo_ok(&["trace", "convert", &file("trace.jsonl"), &file("again.jsonl.gz")]);
    let info = gorgo_ok(&["trace", "info", &file("again.jsonl.gz"), "--format", "json"]);
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["tokens"], "4-characters");
}

#[test]
fn bad_options_end_with_code_2_and_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    for (more, part) in [
        (["--regions", "west=1"], "--regions: got `west=1`"),
        (["--unknown-at", "91,0"], "--unknown-at: got `91,0`"),
        (["--template-tokens", "100000"], "--template-tokens: got 100000"),
        (["--limit", "0"], "no request"),
    ] {
        let mut arguments = pair(folder.path(), "trace.jsonl");
        arguments.extend(more.map(str::to_owned));
        let output = gorgo(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(part), "{error}");
        assert!(!folder.path().join("trace.jsonl").exists());
    }
}

#[test]
fn a_build_without_a_feature_names_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer = pair(folder.path(), "trace.jsonl");
    tokenizer.extend(["--tokenizer", "none.json"].map(str::to_owned));
    let wildchat =
        ["trace", "import", "wildchat", "none.parquet", "--out", "none.jsonl"].map(str::to_owned);
    let cases = [
        (tokenizer, cfg!(feature = "tokenizer"), "--features tokenizer", "none.json"),
        (wildchat.to_vec(), cfg!(feature = "parquet"), "--features parquet", "none.parquet"),
    ];
    for (arguments, has_feature, flag, file) in cases {
        let output = gorgo(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        // With the feature it is the file that is missing.
        assert!(error.contains(if has_feature { file } else { flag }), "{error}");
    }
}
