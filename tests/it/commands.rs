//! Each command once, as a user would call it.

use crate::support::{files, gorgo, gorgo_ok, shared};
use serde_json::Value;
use std::path::Path;

const SMALL: [&str; 2] = ["--set", "workload.wildchat.requests=1500"];

fn run_small(out: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["run", "--quiet", "--out", out.to_str().expect("a plain path")];
    arguments.extend(SMALL);
    arguments.extend_from_slice(more);
    gorgo_ok(&arguments)
}

#[test]
fn run_prints_a_table_and_writes_what_the_page_promises() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let table = run_small(&out, &[]);
    for word in ["TTFT P50", "TTFT P99", "E2E P50", "hit real", "busiest", "goodput", "gorgo"] {
        assert!(table.contains(word), "`{word}` is not in:\n{table}");
    }
    for file in [
        "run.json",
        "scenario.resolved.toml",
        "plots/ttft_cdf.svg",
        "plots/ttft_parts.svg",
        "plots/timeline.svg",
        "gorgo/summary.json",
        "gorgo/requests.csv",
        "gorgo/timeline.csv",
        "gorgo/plots/ttft_histogram.svg",
    ] {
        assert!(out.join(file).is_file(), "{file} is missing");
    }
    let again = gorgo(&["run", "--quiet", "--out", out.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(2), "a directory in use is refused");
}

#[test]
fn json_on_stdout_holds_every_summary_and_conserves_requests() {
    let mut arguments = vec!["run", "--quiet", "--no-files", "--format", "json"];
    arguments.extend(SMALL);
    let document: Value = serde_json::from_str(&gorgo_ok(&arguments)).unwrap();
    assert_eq!(document["schema"], 1);
    let runs = document["runs"].as_array().unwrap();
    assert!(runs.len() >= 6);
    for run in runs {
        let requests = &run["requests"];
        let count = |key: &str| requests[key].as_u64().unwrap();
        let ended = ["completed", "failed", "rejected", "cancelled", "timed_out", "in_flight"];
        assert_eq!(count("injected"), ended.iter().map(|key| count(key)).sum::<u64>());
        assert!(run["ttft_ms"]["p50"].as_f64().unwrap() > 0.0);
        assert!(run["ttft_ms"]["p99"].as_f64() >= run["ttft_ms"]["p50"].as_f64());
    }
}

#[test]
fn a_load_sweep_goes_from_one_at_a_time_to_as_many_as_fit() {
    let arguments =
        ["run", "--quiet", "--no-files", "--format", "json", "scenarios/04_load_sweep.toml"];
    let sets = [
        "--policy",
        "nearest",
        "--policy",
        "random",
        "--set",
        "workload.prefix_groups.requests=200",
    ];
    let document: Value =
        serde_json::from_str(&gorgo_ok(&[&arguments[..], &sets[..]].concat())).unwrap();
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 14);
    for (first, policy) in [(0, "nearest"), (7, "random")] {
        let label = |run: usize| runs[first + run]["policy"].as_str().unwrap();
        assert_eq!((label(0), label(1)), (&*format!("{policy}@sync"), &*format!("{policy}@max")));
        let in_flight = |run: usize| runs[first + run]["load"]["mean_in_flight"].as_f64().unwrap();
        assert!(in_flight(0) <= 1.0 + 1e-9 && in_flight(1) > 20.0 && in_flight(1) <= 256.0);
        let ttft = |run: usize| runs[first + run]["ttft_ms"]["p50"].as_f64().unwrap();
        assert!(ttft(2) < ttft(1), "{policy}: a fifth of the way is not saturated");
    }
    // The same rates for both: from the slowest of one at a time, not included, to the fastest, included.
    let rps = |run: usize| {
        let window = &runs[run]["window"];
        let length_s = window["to_s"].as_f64().unwrap() - window["from_s"].as_f64().unwrap();
        window["measured_completed"].as_f64().unwrap() / length_s
    };
    let (slowest, fastest) = (rps(0).min(rps(7)), rps(1).max(rps(8)));
    for run in 2..7 {
        let label = runs[run]["policy"].as_str().unwrap().strip_prefix("nearest@").unwrap();
        let wanted = slowest + (fastest - slowest) * (run - 1) as f64 / 5.0;
        assert!((label.parse::<f64>().unwrap() - wanted).abs() < 0.006, "{label}, not {wanted}");
        assert_eq!(runs[run + 7]["policy"].as_str().unwrap(), format!("random@{label}"));
    }
}

#[test]
fn every_replicas_books_balance_after_every_step() {
    let mut arguments = vec!["run", "--quiet", "--no-files", "--check", "--policy", "gorgo"];
    arguments.extend(["--set", "workload.wildchat.requests=400"]);
    gorgo_ok(&arguments);
}

#[test]
fn explain_tells_every_term_and_the_regret() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    run_small(&out, &["--policy", "gorgo", "--set", "workload.wildchat.requests=300"]);
    let text = gorgo_ok(&["explain", out.to_str().unwrap(), "10.0"]);
    for word in ["decided on", "rtt", "prefill", "queue", "first token came after", "Regret"] {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    let nobody = gorgo(&["explain", out.to_str().unwrap(), "999999.0", "--no-regret"]);
    assert_eq!(nobody.status.code(), Some(2));
}

#[test]
fn compare_pairs_two_policies_by_request() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    run_small(&out, &["--policy", "gorgo", "--policy", "round-robin"]);
    let base = out.join("round-robin");
    let new = out.join("gorgo");
    let text = gorgo_ok(&["compare", base.to_str().unwrap(), new.to_str().unwrap()]);
    assert!(text.contains("TTFT P99") && text.contains("paired by request"), "{text}");
    let json =
        gorgo_ok(&["compare", base.to_str().unwrap(), new.to_str().unwrap(), "--format", "json"]);
    assert!(serde_json::from_str::<Value>(&json).is_ok());
    let both = gorgo(&["compare", out.to_str().unwrap(), new.to_str().unwrap()]);
    assert_eq!(both.status.code(), Some(2), "a directory of several policies is ambiguous");
}

#[test]
fn a_policys_own_log_is_verified_by_the_same_policy_and_by_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let policies = ["gorgo", "least-load", "power-of-two", "prefix-cache", "session-affinity"];
    let flags: Vec<&str> = policies.iter().flat_map(|name| ["--policy", name]).collect();
    run_small(&out, &[&["--decisions"], flags.as_slice()].concat());
    for policy in policies {
        let log = out.join(policy).join("decisions.jsonl");
        let text = gorgo_ok(&["decisions", "verify", log.to_str().unwrap(), "--policy", policy]);
        let last = text.lines().last().unwrap();
        let counts: Vec<&str> =
            last.split_whitespace().filter(|w| w.parse::<u64>().is_ok()).collect();
        assert!(last.starts_with("matched ") && counts[0] == counts[1], "{policy}: {last}");
        assert!(counts[1].parse::<u64>().unwrap() > 1_000, "{policy}: {last}");
    }
    let log = out.join("gorgo/decisions.jsonl");
    let other = gorgo(&["decisions", "verify", log.to_str().unwrap(), "--policy", "round-robin"]);
    assert_eq!(other.status.code(), Some(1));
}

#[test]
fn recorded_decisions_of_a_real_fleet_come_out_again() {
    let weights =
        ["--set", "w_rtt=1", "--set", "w_prefill=70", "--set", "w_queue=60", "--set", "w_used=60"];
    let cases: [(&str, &str, &[&str]); 2] = [
        ("gorgo/decisions_least-load.csv.gz", "least-load", &[]),
        ("gorgo/decisions_gorgo-static.csv.gz", "gorgo", &weights),
    ];
    for (file, policy, more) in cases {
        let Some(file) = shared(file) else { return };
        let mut arguments = vec!["decisions", "verify", file.to_str().unwrap(), "--policy", policy];
        arguments.extend_from_slice(more);
        let text = gorgo_ok(&arguments);
        assert_eq!(text.lines().last().unwrap(), "matched 2781 of 2781");
    }
}

#[test]
fn real_traces_replay() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("traces/mooncake_conversation_trace.jsonl.gz", "02_mooncake_conversation", 12_031),
        ("gorgo/apr5_1615_arrivals.csv.gz", "03_apr5_arrivals", 7_195),
    ];
    for (trace, scenario, requests) in cases {
        let Some(trace) = shared(trace) else { return };
        let scenario = format!("scenarios/{scenario}.toml");
        let out = folder.path().join(requests.to_string());
        let again = folder.path().join(format!("{requests}-again"));
        let to = |out: &Path| ["--out", out.to_str().unwrap()].map(str::to_owned);
        let options = ["--quiet", "--policy", "gorgo"].map(str::to_owned);
        let run = |what: &[&str], out: &Path| {
            let what = what.iter().map(|&word| word.to_owned());
            gorgo_ok(&what.chain(options.clone()).chain(to(out)).collect::<Vec<_>>());
        };
        run(&["replay", trace.to_str().unwrap(), "--scenario", &scenario], &out);
        let summary = std::fs::read(out.join("gorgo/summary.json")).unwrap();
        let summary: Value = serde_json::from_slice(&summary).unwrap();
        assert_eq!(summary["requests"]["injected"], requests);
        assert_eq!(summary["requests"]["completed"], requests);
        // The resolved scenario beside the results leads to the same trace, from where it stands.
        run(&["run", out.join("scenario.resolved.toml").to_str().unwrap()], &again);
        assert!(files(&out) == files(&again), "{scenario}: other bytes");
    }
}

#[test]
fn trace_info_reproduces_the_published_statistics() {
    let Some(trace) = shared("traces/mooncake_conversation_trace.jsonl.gz") else { return };
    let text = gorgo_ok(&["trace", "info", trace.to_str().unwrap(), "--format", "json"]);
    let info: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(info["requests"], 12_031);
    let reuse = info["prefix_token_hit_rate_infinite"].as_f64().unwrap();
    assert!((reuse - 0.374).abs() < 0.001, "{reuse}");
}

#[test]
fn the_bill_stands_below_the_table_and_its_prices_in_the_dry_run() {
    let mut arguments = vec!["run", "--quiet", "--no-files", "--policy", "gorgo"];
    arguments.extend(SMALL);
    let table = gorgo_ok(&arguments);
    let bill = table.split("\n\n").nth(1).expect("a second table");
    for word in ["GPUs", "cross-region", "to clients", "M tokens", "gorgo", "23.94"] {
        assert!(bill.contains(word), "`{word}` is not in:\n{bill}");
    }
    let dry = gorgo_ok(&["run", "--dry-run"]);
    assert!(dry.contains("[cost.gpus.h100-sxm]\nprice = \"3.99 USD/h\"\nsource = "), "{dry}");
    arguments.extend(["--format", "json", "--set", "cost.gpus.h100-sxm.price=1 USD/h"]);
    let document: Value = serde_json::from_str(&gorgo_ok(&arguments)).unwrap();
    let (run, cost) = (&document["runs"][0], &document["runs"][0]["cost_usd"]);
    let number = |value: &Value| value.as_f64().unwrap();
    let hours = (number(&run["window"]["to_s"]) - number(&run["window"]["from_s"])) / 3600.0;
    assert!((number(&cost["gpu"]) - 6.0 * hours).abs() < 1e-9, "{cost}");
    let parts = number(&cost["egress_cross_region"]) + number(&cost["egress_internet"]);
    assert!((number(&cost["total"]) - number(&cost["gpu"]) - parts).abs() < 1e-9, "{cost}");
    assert_eq!(cost["unpriced"].as_array().map(Vec::len), Some(0));
}

#[test]
fn metrics_are_defined_in_the_help() {
    let text = gorgo_ok(&["help", "metrics"]);
    assert!(text.contains("goodput_rps") && text.contains("nearest rank"));
}

/// What `trace info` says of a trace, without its warnings, which name the file.
fn info(trace: &Path) -> Value {
    let text = gorgo_ok(&["trace", "info", trace.to_str().unwrap(), "--format", "json"]);
    let mut info: Value = serde_json::from_str(&text).unwrap();
    info.as_object_mut().unwrap().remove("warnings").unwrap();
    info
}

#[test]
fn trace_info_draws_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, out) = (folder.path().join("t.jsonl"), folder.path().join("pictures"));
    let (trace, out_name) = (trace.to_str().unwrap(), out.to_str().unwrap());
    gorgo_ok(&["trace", "synth", "--quiet", trace, "--set", "workload.wildchat.requests=300"]);
    let text = gorgo_ok(&["trace", "info", trace, "--out", out_name]);
    assert_eq!(text, gorgo_ok(&["trace", "info", trace]), "pictures change no number");
    for (picture, word) in
        [("rate", "requests/s"), ("lengths", "outputs"), ("reuse", "within a user")]
    {
        let svg = std::fs::read_to_string(out.join(format!("{picture}.svg"))).unwrap();
        assert!(svg.contains(word) && svg.contains("t.jsonl, 300 requests"), "{picture}");
    }
    let again = gorgo(&["trace", "info", trace, "--out", out_name]);
    assert_eq!(again.status.code(), Some(2), "a folder in use is refused");
}

#[test]
fn a_converted_trace_says_the_same_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let azure = folder.path().join("azure");
    let rows = "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n";
    std::fs::write(&azure, format!("TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}")).unwrap();
    let prompts = folder.path().join("prompts");
    std::fs::write(&prompts, "{\"prompt\":\"one two three\"}\n{\"prompt\":\"one\"}\n").unwrap();
    let shared_traces =
        ["traces/mooncake_synthetic_trace.jsonl.gz", "traces/azure2023_code.csv.gz"];
    let traces = [azure, prompts].into_iter().chain(shared_traces.into_iter().filter_map(shared));
    for (i, trace) in traces.enumerate() {
        for name in [format!("{i}.jsonl"), format!("{i}.jsonl.gz")] {
            let out = folder.path().join(name);
            let both = [&trace, &out].map(|path| path.to_str().unwrap());
            gorgo_ok(&["trace", "convert", "--quiet", both[0], both[1]]);
            let is_gzip = std::fs::read(&out).unwrap().starts_with(&[0x1f, 0x8b]);
            assert_eq!(is_gzip, out.extension().unwrap() == "gz");
            assert_eq!(info(&out), info(&trace), "{}", trace.display());
            let again = gorgo(&["trace", "convert", both[0], both[1]]);
            assert_eq!(again.status.code(), Some(2), "nothing is written over");
        }
    }
    let bad = folder.path().join("bad");
    std::fs::write(&bad, format!("TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}x,1,1\n"))
        .unwrap();
    let out = folder.path().join("out.jsonl");
    let refused = gorgo(&["trace", "convert", bad.to_str().unwrap(), out.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!out.exists(), "half a trace was left");
}

#[test]
fn a_synthesized_trace_is_the_scenarios_workload() {
    let folder = tempfile::tempdir().unwrap();
    for (i, name) in ["a.jsonl", "b.jsonl.gz"].into_iter().enumerate() {
        let out = folder.path().join(name);
        let out = out.to_str().unwrap();
        gorgo_ok(&["trace", "synth", "--quiet", out, "--set", "workload.wildchat.requests=700"]);
        let said = info(Path::new(out));
        assert_eq!(said["requests"], 700);
        assert!(said["prefix_token_hit_rate_infinite"].as_f64().unwrap() > 0.2, "{said}");
        assert_eq!(said["hidden_output_reuse_rate_max"], 0.0, "outputs carry their blocks");
        let copy = folder.path().join(format!("copy-{i}.jsonl"));
        gorgo_ok(&["trace", "convert", "--quiet", out, copy.to_str().unwrap()]);
        assert_eq!(info(&copy), said);
    }
    let text = "[workload.prefix_groups]\nrequests = 300\n[load.poisson]\nrate = \"50/s\"\n";
    let scenario = std::fs::read_to_string("scenarios/bench/replicas_8.toml").unwrap();
    let file = folder.path().join("s.toml");
    std::fs::write(&file, format!("{scenario}\n{text}")).unwrap();
    let out = folder.path().join("groups.jsonl");
    let (file, name) = (file.to_str().unwrap(), out.to_str().unwrap());
    gorgo_ok(&["trace", "synth", "--quiet", name, "--scenario", file]);
    assert_eq!(info(&out)["requests"], 300);
    assert_eq!(info(&out)["sessions"], 0);
}

#[test]
fn profiles_are_listed_and_shown_with_their_errors() {
    let list = gorgo_ok(&["profile", "list"]);
    let name = "h100-sxm_llama-3.1-8b";
    assert!(list.contains(name) && list.contains("a100-sxm"), "{list}");
    let shown = gorgo_ok(&["profile", "show", name]);
    assert!(shown.contains("SGLang") && shown.contains('%'), "{shown}");
    assert_eq!(gorgo(&["profile", "show", "h900"]).status.code(), Some(2));
}

#[test]
fn networks_are_shown_as_numbers_and_as_a_picture() {
    let link = gorgo_ok(&["network", "show", "azure:eastus", "azure:germanywestcentral"]);
    for wanted in ["94 ms", "P95", "data/network/azure.csv", "100,000 draws median 94.0 ms"] {
        assert!(link.contains(wanted), "no {wanted} in {link}");
    }
    let client = gorgo_ok(&["network", "show", "Seoul", "azure:germanywestcentral"]);
    assert!(client.contains("cities near position") && client.contains("Frankfurt"), "{client}");
    let far = gorgo_ok(&["network", "show", "-40,-120", "azure:germanywestcentral"]);
    assert!(far.contains("distance from position"), "{far}");
    let scenario = "scenarios/01_three_regions.toml";
    let own = ["network", "show", "--scenario", scenario, "--set", "network.clients.by=distance"];
    let seoul = gorgo_ok(&[&own[..], &["Seoul", "azure:eastus"]].concat());
    assert!(seoul.contains("distance from position"), "{seoul}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let text = gorgo_ok(&["network", "matrix", "--format", "json", "--out", out]);
    let document: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(document["regions"].as_array().map(Vec::len), Some(3));
    assert_eq!(document["links"].as_array().map(Vec::len), Some(9));
    let picture = std::fs::read_to_string(folder.path().join("network.svg")).unwrap();
    assert!(picture.contains("azure:southeastasia") && picture.contains("</svg>"), "{picture}");
    for wrong in [["azure:eastus", "azure:nowhere"], ["Atlantis", "azure:eastus"]] {
        let output = gorgo(&[&["network", "show"], &wrong[..]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(wrong.iter().any(|name| error.contains(&format!("got {name:?}"))), "{error}");
    }
}

#[test]
fn a_sweep_is_listed_stopped_resumed_split_and_joined() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.toml");
    let text = "name = \"small\"\npolicies = [\"gorgo\"]\nseeds = { count = 2 }\n\
        set = [\"workload.wildchat.requests=80\", \"measure.warm_up=0s\", \"measure.stop=20s\"]\n\
        [[over]]\npath = \"router.policies.gorgo.w_queue\"\nchoices = [0.1, 0.3, 0.5]\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let listed = gorgo_ok(&["sweep", "run", file, "--dry-run", "--quiet"]);
    assert_eq!(listed.lines().count(), 6);
    assert!(listed.contains("seed 2\trouter.policies.gorgo.w_queue=0.3"), "{listed}");

    let (one, all) = (path("one"), path("all"));
    let table = gorgo_ok(&["sweep", "run", file, "--out", &one, "--threads", "1", "--quiet"]);
    assert!(table.starts_with("policy") && table.contains("3 of 3 rows"), "{table}");
    let again = gorgo(&["sweep", "run", file, "--out", &one, "--quiet"]);
    assert_eq!(again.status.code(), Some(2), "what is there is not overwritten");
    assert_eq!(gorgo_ok(&["sweep", "run", file, "--out", &one, "--resume", "--quiet"]), table);
    let shards = [path("a"), path("b")];
    for (share, shard) in ["1/2", "2/2"].iter().zip(&shards) {
        let words = ["sweep", "run", file, "--out", shard, "--shard", share, "--quiet"];
        assert_eq!(gorgo_ok(&words), "", "no table before all is there");
    }
    let words = ["sweep", "merge", file, &shards[0], &shards[1], "--out", &all, "--quiet"];
    assert_eq!(gorgo_ok(&words), table);
    assert_eq!(files(Path::new(&all)), files(Path::new(&one)));
    let run = std::fs::read_dir(folder.path().join("one/runs")).unwrap().next().unwrap().unwrap();
    let scenario = run.path().join("scenario.resolved.toml");
    let words = ["run", scenario.to_str().unwrap(), "--no-files", "--format", "json", "--quiet"];
    let run_again: Value = serde_json::from_str(&gorgo_ok(&words)).unwrap();
    let kept = std::fs::read_to_string(run.path().join("summary.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(run_again["runs"][0], kept, "a cell is a scenario that runs to the same numbers");
}

#[test]
fn reproduce_prints_rows_whatever_the_number_of_threads() {
    let run = |threads| {
        let arguments =
            ["reproduce", "v2", "--only", "apr5_ts1", "--seeds", "2", "--format", "json"];
        let rest = ["--quiet", "--data", "no-such-folder", "--threads", threads];
        gorgo_ok(&[&arguments[..], &rest].concat())
    };
    let one = run("1");
    assert_eq!(one, run("3"));
    let document: serde_json::Value = serde_json::from_str(&one).expect("it is JSON");
    assert_eq!(document["arrivals"], "generated");
    assert_eq!(document["rows"].as_array().map(Vec::len), Some(40));
    for wrong in [["--seeds", "0"], ["--only", "nothing"], ["--seeds", "many"]] {
        let output = gorgo(&[&["reproduce", "v2", "--quiet"], &wrong[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn reproduce_reviewers_answers_one_question() {
    let run = |threads| {
        let question = ["reproduce", "reviewers", "--only", "equal-counts", "--seeds", "1"];
        let rest = ["--format", "json", "--quiet", "--threads", threads];
        gorgo_ok(&[&question[..], &rest].concat())
    };
    let one = run("1");
    assert_eq!(one, run("2"));
    let document: serde_json::Value = serde_json::from_str(&one).expect("it is JSON");
    let rows = document["rows"].as_array().expect("a list");
    let is_equal =
        |row: &&serde_json::Value| row["point"] == "1,500 requests" && row["metric"] == "completed";
    let counts: Vec<&serde_json::Value> =
        rows.iter().filter(is_equal).map(|row| &row["median"]).collect();
    assert!(counts.len() > 3 && counts.iter().all(|count| **count == 1500.0), "{counts:?}");
    for wrong in [["--seeds", "0"], ["--only", "nothing"]] {
        let output = gorgo(&[&["reproduce", "reviewers", "--quiet"], &wrong[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
