//! `gorgo calibrate`, a live run held against a simulation, and, where the feature is, `gorgo live` against `gorgo emulate`.

use crate::support::{gorgo, gorgo_ok};
use serde_json::Value;
use std::path::Path;

/// A scenario of one replica with a profile that is a formula, and a load.
fn scenario(folder: &Path, name: &str, requests: u32, rate: &str) -> String {
    let text = format!(
        "name = \"{name}\"\nseed = 4\n[[profiles]]\nname = \"known\"\nprefill_base_ms = 6.0\n\
         prefill_ms_per_token = 0.02\nprefill_ms_per_token_squared = 1.5e-6\ndecode_base_ms = 5.0\n\
         decode_ms_per_sequence = 0.05\ndecode_ms_per_context_token = 4e-5\noverhead_ms = 3.0\n\
         kv_pool_tokens = 400000\n\
         [[fleet.replicas]]\nname = \"r\"\nregion = \"azure:eastus\"\nprofile = \"known\"\ncount = 1\n\
         [workload.prefix_groups]\nrequests = {requests}\ngroups = 20\nprefix_tokens = [64, 1024, 4096]\n\
         unique_tokens_min = 16\nunique_tokens_max = 2000\n\
         [load.constant]\nrate = \"{rate}\"\n[router]\npolicies = [\"round-robin\"]\n"
    );
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn number(text: &str, key: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{key} = ")));
    let line = line.unwrap_or_else(|| panic!("no {key}: {text}"));
    line.split(" = ").nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_profile_behind_simulated_requests_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for (name, requests, rate) in [("low", 200, "0.3 req/s"), ("high", 600, "9 req/s")] {
        let out = folder.path().join(format!("out-{name}"));
        let out = out.to_str().unwrap().to_owned();
        let file = scenario(folder.path(), name, requests, rate);
        gorgo_ok(&["run", &file, "--out", &out, "--quiet"]);
        runs.push(out);
    }
    let profile = folder.path().join("profile.toml");
    let arguments =
        ["calibrate", &runs[0], &runs[1], "--name", "found", "--out", profile.to_str().unwrap()];
    gorgo_ok(&arguments);
    let text = std::fs::read_to_string(&profile).unwrap();
    for (key, wanted, within) in [
        ("prefill_base_ms", 6.0, 0.05),
        ("prefill_ms_per_token", 0.02, 0.03),
        ("prefill_ms_per_token_squared", 1.5e-6, 0.1),
        ("decode_base_ms", 5.0, 0.05),
        ("decode_ms_per_context_token", 4e-5, 0.3),
        ("overhead_ms", 3.0, 1e-6),
    ] {
        let found = number(&text, key);
        assert!((found / wanted - 1.0).abs() < within, "{key}: {found} is not {wanted}\n{text}");
    }
    // It is a profile of a scenario, and foretells what the known one does.
    let known = std::fs::read_to_string(folder.path().join("high.toml")).unwrap();
    let (head, rest) = known.split_once("[[profiles]]").unwrap();
    let fleet = &rest[rest.find("[[fleet").unwrap()..];
    let found = format!("{head}{text}\n{}", fleet.replace("\"known\"", "\"found\""));
    let file = folder.path().join("found.toml");
    std::fs::write(&file, found).unwrap();
    let out = folder.path().join("out-found");
    gorgo_ok(&["run", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "--quiet"]);
    let summary = |path: &Path| -> Value {
        let path = path.join("round-robin/summary.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let (found, known) = (summary(&out), summary(Path::new(&runs[1])));
    for of in ["ttft_ms", "e2e_ms"] {
        let [found, known] = [&found, &known].map(|s| s[of]["p50"].as_f64().unwrap());
        assert!((found / known - 1.0).abs() < 0.05, "{of}: {found} is not {known}");
    }
    // Never over a file that is there, and never from too little.
    assert_eq!(gorgo(&arguments).status.code(), Some(2));
    let only_high = gorgo(&["calibrate", &runs[1]]);
    let error = String::from_utf8_lossy(&only_high.stderr).into_owned();
    assert!(only_high.status.code() == Some(2) && error.contains("to themselves"), "{error}");
    for bad in [&["calibrate", "nowhere"][..], &["calibrate", &runs[0], "--name", "a b"]] {
        let refused = gorgo(bad);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && error.starts_with("error: "), "{error}");
    }
}

#[test]
fn a_simulation_is_held_against_a_live_run_policy_by_policy() {
    let folder = tempfile::tempdir().unwrap();
    let file = scenario(folder.path(), "held", 60, "5 req/s");
    let [simulated, live] =
        ["sim", "live"].map(|n| folder.path().join(n).to_str().unwrap().to_owned());
    for out in [&simulated, &live] {
        let policies = ["--policy", "round-robin", "--policy", "least-load"];
        gorgo_ok(&[&["run", &file, "--out", out, "--quiet"], &policies[..]].concat());
    }
    // What a live run says beside, and a TTFT a quarter longer.
    for policy in ["round-robin", "least-load"] {
        let path = Path::new(&live).join(policy).join("summary.json");
        let mut summary: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let ttft = summary["ttft_ms"]["p50"].as_f64().unwrap();
        summary["ttft_ms"]["p50"] = Value::from(ttft * 1.25);
        let no_time = serde_json::json!({"mean": null, "p50": null, "p90": null, "p95": null, "p99": 70.0, "max": null});
        summary["live"] = serde_json::json!({
            "send_lag_ms": no_time, "send_lag_limit_ms": 50.0, "is_valid": false, "connections": 1, "retries": 0,
            "answers_without_usage": 0, "answers_with_timing": 0, "pieces": 1, "failures": {},
        });
        std::fs::write(&path, summary.to_string()).unwrap();
    }
    let output = gorgo(&["compare", &simulated, &live, "--format", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let policies = json["parity"]["policies"].as_array().unwrap();
    assert_eq!(policies.len(), 2);
    for policy in policies {
        let ttft = &policy["numbers"][0];
        assert_eq!(ttft["name"], "ttft_ms.p50");
        assert!((ttft["error"].as_f64().unwrap() + 0.2).abs() < 1e-9, "{ttft}");
    }
    assert_eq!(json["parity"]["orders"][0]["same"], true);
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(notes.contains("the live run is not valid"), "{notes}");
    // Either way round.
    let table = gorgo_ok(&["compare", &live, &simulated]);
    assert!(table.contains("-20.0") && table.contains("the order is the same"), "{table}");
}

#[cfg(not(feature = "live"))]
#[test]
fn a_build_without_sockets_names_the_feature() {
    let refused = gorgo(&["live", "--url", "http://127.0.0.1:1"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && error.contains("--features live"), "{error}");
}

#[cfg(feature = "live")]
mod with_sockets {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    /// A fleet of emulated replicas; it ends with the value.
    struct Fleet(Child);

    impl Drop for Fleet {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    fn fleet(file: &str) -> (Fleet, Vec<String>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gorgo"))
            .args(["emulate", file, "--print-inventory", "--seconds", "120"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        let fleet = Fleet(child);
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let inventory: Value = serde_json::from_str(&line).unwrap();
        let replicas = inventory["replicas"].as_array().unwrap();
        let url =
            |r: &Value| format!("{}={}", r["name"].as_str().unwrap(), r["url"].as_str().unwrap());
        (fleet, replicas.iter().map(url).collect())
    }

    #[test]
    fn a_live_run_against_emulated_replicas_is_close_to_the_simulation() {
        let folder = tempfile::tempdir().unwrap();
        let file = scenario(folder.path(), "close", 60, "10 req/s");
        let [simulated, live] =
            ["sim", "live"].map(|n| folder.path().join(n).to_str().unwrap().to_owned());
        gorgo_ok(&["run", &file, "--out", &simulated, "--quiet"]);
        let (_fleet, urls) = fleet(&file);
        let run = gorgo(&[
            "live",
            &file,
            "--url",
            &urls[0],
            "--emulated",
            "--client-legs",
            "emulated",
            "--flush",
            "--max-send-lag",
            "10s",
            "--out",
            &live,
            "--format",
            "json",
        ]);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let json: Value = serde_json::from_slice(&run.stdout).unwrap();
        let summary = &json["runs"][0];
        assert_eq!(summary["requests"]["completed"], 60);
        assert_eq!(summary["live"]["answers_with_timing"], 60);
        let parity = gorgo_ok(&["compare", &simulated, &live, "--format", "json", "--quiet"]);
        let parity: Value = serde_json::from_str(&parity).unwrap();
        let numbers = parity["parity"]["policies"][0]["numbers"].as_array().unwrap();
        let number = |name: &str| numbers.iter().find(|n| n["name"] == name).unwrap();
        // Other work on the machine delays either; token counts it cannot change.
        let hits = number("cache.real_token_hit_rate")["error"].as_f64().unwrap();
        assert!(hits.abs() < 0.02, "{hits}");
        let ttft = number("ttft_ms.p50")["error"].as_f64().unwrap();
        assert!(ttft.abs() < 0.5, "{ttft}");
        println!("TTFT P50 {:+.1} %, hit rate {:+.2} %", ttft * 100.0, hits * 100.0);
        // Rows pair with the simulation's, and calibration reads them.
        let rows =
            std::fs::read_to_string(Path::new(&live).join("round-robin/requests.csv")).unwrap();
        assert_eq!(rows.lines().count(), 61);
    }

    #[test]
    fn what_cannot_be_run_is_an_input_error_that_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = scenario(folder.path(), "bad", 5, "10 req/s");
        let url = ["--url", "http://127.0.0.1:9"];
        for (arguments, part) in [
            (&["--url", "ftp://h"][..], "wanted http://HOST:PORT"),
            (&["--url", "http://h", "--timeout", "soon"], "--timeout"),
            (&["--url", "http://h", "--header", "novalue"], "--header (the 1. one)"),
            (&["--url", "http://h", "--token-env", "GORGO_NO_SUCH_TOKEN"], "is not set"),
            (&["--url", "http://h", "--policy", "a", "--policy", "b"], "--policy"),
            (
                &["--url", "http://h", "--policy", "gorgo", "--policy", "random"],
                "one URL, and several",
            ),
            (&["--url", "a=http://h", "--url", "b=http://i"], "a replica of the scenario (r-0)"),
        ] {
            let all = [&["live", &file, "--no-files"], arguments].concat();
            let refused = gorgo(&all);
            let error = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {error}");
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
        let refused = gorgo(&[&["live", &file, "--no-files"], &url[..]].concat());
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && error.contains("127.0.0.1:9"), "{error}");
    }
}
