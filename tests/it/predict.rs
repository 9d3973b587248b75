//! `gorgo decisions predict`: its output, what it refuses, and how well it foretells the recorded fleet.

use crate::support::{gorgo, gorgo_ok, shared};
use serde_json::Value;
use std::path::Path;

/// A table of two replicas and ten requests, one of them refused.
fn table(folder: &Path) -> String {
    let mut text = "request_id,decided_s,request_tokens,engine_prompt_tokens,completion_tokens,status,metrics_age_s,\
chosen,r0_scrape_latency_ms,r0_rtt_ewma_ms,r0_running,r0_queued_requests,r0_used_tokens,r0_queued_tokens,\
r0_cached_tokens,r1_scrape_latency_ms,r1_rtt_ewma_ms,r1_running,r1_queued_requests,r1_used_tokens,\
r1_queued_tokens,r1_cached_tokens,ttft_ms,e2e_ms\n"
        .to_owned();
    for i in 0..10_u32 {
        let (at, chosen, tokens) = (f64::from(i) * 0.9, i % 2, 20 + 900 * i);
        let outcome = if i == 4 { ("", "400", "") } else { ("30", "200", "250") };
        let (output, status, ttft) = outcome;
        text += &format!(
            "r{i},{at},{tokens},{tokens},{output},{status},5,{chosen},100,100,1,0,0,{i},0,20,20,{i},0,0,0,0,{ttft},900\n"
        );
    }
    let path = folder.join("decisions_small.csv");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_log_is_foretold_by_every_model_and_written_out() {
    let folder = tempfile::tempdir().unwrap();
    let log = table(folder.path());
    let out = folder.path().join("out");
    let arguments = ["decisions", "predict", &log, "--fit", &log, "--out", out.to_str().unwrap()];
    let text = gorgo_ok(&arguments);
    for part in ["10 decisions, 9 served", "replay, fitted on this log", "snapshot, as the profile"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let rows = std::fs::read_to_string(out.join("decisions_small.csv")).unwrap();
    assert_eq!(rows.lines().count(), 10, "a header and what was served: {rows}");
    let svg = std::fs::read_to_string(out.join("decisions_small.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("Errors"));

    let without = gorgo_ok(&[&arguments[..], &["--without", "connections"]].concat());
    assert!(without.contains("without connections") && without != text, "{without}");

    let json = gorgo_ok(&[&arguments[..], &["--format", "json"]].concat());
    assert_eq!(json, gorgo_ok(&[&arguments[..], &["--format", "json"]].concat()), "the same bytes");
    let report: Value = serde_json::from_str(&json).unwrap();
    let models = report["logs"][0]["models"].as_array().unwrap();
    assert_eq!(models.len(), 7, "three fitted, the regression, three as the profile is");
    for model in models {
        assert_eq!(model["all"]["requests"], 9, "{model}");
        let of_replicas = model["replicas"].as_array().unwrap();
        let sum: u64 = of_replicas.iter().filter_map(|r| r["requests"].as_u64()).sum();
        assert_eq!(sum, 9, "{model}");
    }
}

#[test]
fn what_cannot_be_foretold_is_an_input_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(table(folder.path())).unwrap();
    let bad = folder.path().join("bad.csv");
    let cases = [
        (good.replace("status", "state"), "`status` is missing"),
        (good.replace(",250,900", ",-250,900"), "bad.csv:2: `ttft_ms` is `-250`"),
        (good.replace("r3,2.7,", "r3,0.1,"), "bad.csv:5: `decided_s`"),
        (good.replace(",200,5", ",503,5"), "status 200"),
        (good.lines().next().unwrap().to_owned(), "no decisions"),
        (String::new(), "no decisions"),
    ];
    for (text, wanted) in cases {
        std::fs::write(&bad, text).unwrap();
        let output = gorgo(&["decisions", "predict", bad.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(wanted) && said.contains("bad"), "{wanted}: {said}");
    }
    let unknown = gorgo(&["decisions", "predict", bad.to_str().unwrap(), "--profile", "nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
}

/// The yardstick: least squares on what the router saw, fitted on the very log. The replay, whatever it was fitted on,
/// was fitted on another.
#[test]
fn the_replica_model_beats_a_regression_on_logs_that_it_was_not_fitted_on() {
    let Some(fit) = shared("gorgo/decisions_least-load.csv.gz") else { return };
    for name in ["gorgo/decisions_random.csv.gz", "gorgo/decisions_gorgo-static.csv.gz"] {
        let Some(log) = shared(name) else { return };
        let [log, fit] = [&log, &fit].map(|path| path.to_str().unwrap());
        let json = gorgo_ok(&["decisions", "predict", log, "--fit", fit, "--format", "json"]);
        let report: Value = serde_json::from_str(&json).unwrap();
        let models = report["logs"][0]["models"].as_array().unwrap();
        let find = |name: &str, fitted: bool, in_sample: bool| {
            let is = |model: &&Value| {
                model["model"] == name
                    && model["fitted_on"].is_string() == fitted
                    && model["in_sample"] == in_sample
            };
            let model = models.iter().find(is).expect("the model is there");
            let of = |key: &str| model["all"][key].as_f64().unwrap();
            (of("spearman"), of("median_abs_error_ms"), of("mean_abs_error_ms"))
        };
        let regression = find("regression", true, true);
        for model in ["replay", "replay-causal"] {
            let ours = find(model, true, false);
            println!("{name}: {model}: {ours:?} against {regression:?}");
            let better = ours.0 > regression.0 && ours.1 < regression.1 && ours.2 < regression.2;
            assert!(better, "{name}: {model}: {ours:?}, {regression:?}");
        }
    }
}
