//! `gorgo tune` through the built binary: the same bytes on any number of threads, the files, and what is refused.

use crate::support::{files, gorgo, gorgo_ok};

const W_RTT: &str = "router.policies.gorgo.w_rtt=log_range(0.1, 100)";
const W_QUEUE: &str = "router.policies.gorgo.w_queue=log_range(0.01, 1)";

/// The built-in scenario, cut short.
const SHORT: [&str; 4] = [
    "--set",
    "workload.wildchat.requests=80",
    "--set",
    "measure={ warm_up = \"0s\", stop = \"20s\" }",
];

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["tune", "--quiet"], &SHORT[..], more].concat()
}

#[test]
fn a_search_gives_the_same_bytes_on_one_thread_and_on_three() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = |threads: &str| {
        let out = folder.path().join(threads);
        let out = out.to_str().expect("plain");
        let said = gorgo_ok(&arguments(&[
            "--minimize",
            "ttft_ms.p95",
            "--over",
            W_RTT,
            "--over",
            W_QUEUE,
            "--seeds",
            "4",
            "--held-out",
            "3",
            "--candidates",
            "12",
            "--threads",
            threads,
            "--out",
            out,
        ]));
        (said, files(std::path::Path::new(out)))
    };
    let (one, three) = (made("1"), made("3"));
    assert_eq!(one, three);
    let names: Vec<String> = one.1.iter().map(|(name, _)| name.display().to_string()).collect();
    assert_eq!(names, ["best.toml", "summary.json", "trajectory.csv", "trajectory.svg"]);
    assert!(one.0.contains("held out (seeds 5 to 7)"), "{}", one.0);
    let summary: serde_json::Value =
        serde_json::from_slice(&one.1[1].1).expect("the summary is JSON");
    let count = |key: &str| summary[key].as_u64().expect(key);
    // 12 candidates and the setting as it stands, under 4 seeds.
    let saved = count("runs_saved_by_racing") + count("runs_saved_as_equal");
    assert!(count("runs_saved_by_racing") > 0 && count("runs") + saved <= 13 * 4);
    // The best is a scenario that runs, with the values that the summary names.
    let best = folder.path().join("1/best.toml");
    let resolved = gorgo_ok(&["run", best.to_str().expect("plain"), "--dry-run", "--quiet"]);
    for set in summary["best"]["set"].as_array().expect("a list") {
        let (path, value) = set.as_str().expect("text").split_once('=').expect("an assignment");
        let key = path.rsplit('.').next().expect("a key");
        assert!(resolved.contains(&format!("{key} = {value}")), "{set} in {resolved}");
    }
}

#[test]
fn the_trajectory_ends_with_the_best_of_those_that_met_all_seeds() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("plain");
    gorgo_ok(&arguments(&[
        "--minimize",
        "ttft_ms.p95",
        "--over",
        W_RTT,
        "--seeds",
        "4",
        "--held-out",
        "2",
        "--candidates",
        "10",
        "--out",
        out,
    ]));
    let text = std::fs::read_to_string(folder.path().join("trajectory.csv")).expect("written");
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(|row| row.expect("a row")).collect();
    let full = rows.iter().filter(|row| &row[2] == "4");
    let value = |row: &csv::StringRecord| row[4].parse::<f64>().expect("a number");
    let least = full.map(value).fold(f64::INFINITY, f64::min);
    let last: usize = rows.last().expect("a row")[6].parse().expect("a place");
    assert_eq!(value(&rows[last]), least);
}

#[test]
fn a_capacity_is_met_where_the_next_value_is_not() {
    let said = gorgo_ok(&arguments(&[
        "--capacity",
        "fewest",
        "--subject-to",
        "ttft_ms.p95 <= 400ms",
        "--policy",
        "least-load",
        "--over",
        "fleet.replicas_per_region=range(1, 4)",
        "--seeds",
        "4",
        "--format",
        "json",
    ]));
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let policy = &said["policies"][0];
    let met = policy["met"].as_str().and_then(|met| met.parse::<u64>().ok());
    let tested = policy["tested"].as_array().expect("a list");
    assert!(!tested.is_empty());
    for test in tested {
        let value: u64 = test["value"].as_str().expect("text").parse().expect("a number");
        let is_met = test["verdict"] == "meets";
        assert_eq!(is_met, met.is_some_and(|met| value >= met), "{test}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_what_was_wanted() {
    let good = ["--minimize", "ttft_ms.p95", "--over", W_RTT];
    let cases: [(&[&str], &[&str]); 12] = [
        (&["--minimize", "ttft_ms.p96", "--over", W_RTT], &["ttft_ms.p96", "ttft_ms.p95"]),
        (
            &["--minimize", "ttft_ms.p95", "--over", "router.policies.gorgo.w_rrt=range(1, 2)"],
            &["w_rrt"],
        ),
        (
            &["--minimize", "ttft_ms.p95", "--over", "router.policies.nobody.x=range(1, 2)"],
            &["nobody"],
        ),
        (&["--minimize", "ttft_ms.p95", "--over", "a.b=choices()"], &["a.b=choices()"]),
        (&["--minimize", "ttft_ms.p95", "--over", "a.b=range(nan, 1.0)"], &["nan", "wanted"]),
        (&["--minimize", "ttft_ms.p95", "--over", "a.b=range(2, 1)"], &["more than 2"]),
        (&["--minimize", "ttft_ms.p95", "--over", "nowhere.toml"], &["nowhere.toml"]),
        (&["--over", W_RTT], &["0 objectives", "--minimize"]),
        (&[good[0], good[1], good[2], good[3], "--subject-to", "ttft_ms.p99 < 5"], &["METRIC <="]),
        (&[good[0], good[1], good[2], good[3], "--policy", "nobody"], &["nobody", "least-load"]),
        (&["--capacity", "most", "--over", W_RTT], &["--subject-to"]),
        (
            &[
                "--capacity",
                "most",
                "--subject-to",
                "ttft_ms.p99 <= 5",
                "--over",
                "a.b=choices(1, 2)",
            ],
            &["range"],
        ),
    ];
    for (more, wanted) in cases {
        let output = gorgo(&arguments(more));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {error}");
        for wanted in wanted {
            assert!(error.contains(wanted), "{more:?}: {error}");
        }
    }
}
