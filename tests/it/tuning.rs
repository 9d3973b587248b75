//! `gorgo tune` through the built binary: the same bytes on any number of threads, the files, and what is refused.

use crate::support::{files, gorgo, gorgo_ok};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const W_RTT: &str = "router.policies.gorgo.w_rtt=log_range(0.1, 100)";
const W_QUEUE: &str = "router.policies.gorgo.w_queue=log_range(0.01, 1)";

/// The built-in scenario, cut short.
const SHORT: [&str; 4] = [
    "--set",
    "workload.wildchat.requests=80",
    "--set",
    "measure={ warm_up = \"0s\", stop = \"20s\" }",
];

/// The arguments of a search: `more` in words, `over` its axes.
fn arguments<'a>(more: &'a str, over: &[&'a str]) -> Vec<&'a str> {
    let axes = over.iter().flat_map(|axis| ["--over", axis]);
    ["tune", "--quiet"]
        .into_iter()
        .chain(SHORT)
        .chain(more.split_whitespace())
        .chain(axes)
        .collect()
}

/// The same with one more option, whose value has spaces or is a path.
fn arguments_with<'a>(more: &'a str, over: &[&'a str], options: &[[&'a str; 2]]) -> Vec<&'a str> {
    [&arguments(more, over)[..], options.as_flattened()].concat()
}

#[test]
fn a_search_gives_the_same_bytes_on_one_thread_and_on_three() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = |threads: &str| {
        let out = folder.path().join(threads);
        let out = out.to_str().expect("plain");
        let said = gorgo_ok(&arguments_with(
            "--minimize ttft_ms.p95 --seeds 4 --held-out 3 --candidates 12",
            &[W_RTT, W_QUEUE],
            &[["--threads", threads], ["--out", out]],
        ));
        (said, files(std::path::Path::new(out)))
    };
    let (one, three) = (made("1"), made("3"));
    assert_eq!(one, three);
    let names: Vec<String> = one.1.iter().map(|(name, _)| name.display().to_string()).collect();
    let wanted = ["best.toml", "runs.jsonl", "summary.json", "trajectory.csv", "trajectory.svg"];
    assert_eq!(names, wanted);
    assert!(one.0.contains("held out (seeds 5 to 7)"), "{}", one.0);
    let summary: serde_json::Value =
        serde_json::from_slice(&one.1[2].1).expect("the summary is JSON");
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
    gorgo_ok(&arguments_with(
        "--minimize ttft_ms.p95 --seeds 4 --held-out 2 --candidates 10",
        &[W_RTT],
        &[["--out", out]],
    ));
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
    let folder = tempfile::tempdir().expect("a folder");
    let options = [
        ["--subject-to", "ttft_ms.p95 <= 400ms"],
        ["--out", folder.path().to_str().expect("plain")],
    ];
    let more = "--capacity fewest --policy least-load --seeds 6 --format json";
    let words = arguments_with(more, &["fleet.replicas_per_region=range(1, 4)"], &options);
    let said = gorgo_ok(&words);
    let kept = std::fs::read_to_string(folder.path().join("capacity.json")).expect("written");
    assert_eq!(kept, said);
    assert_eq!(gorgo_ok(&[&words[..], &["--resume"]].concat()), said);
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
    let bound = |bound| [["--subject-to", bound]];
    let (five, six) = (bound("ttft_ms.p99 < 5"), bound("ttft_ms.p99 <= 5"));
    let p95 = "--minimize ttft_ms.p95";
    type Case<'a> = (&'a str, &'a str, &'a [[&'a str; 2]], &'a [&'a str]);
    let cases: [Case<'_>; 13] = [
        ("--minimize ttft_ms.p96", W_RTT, &[], &["ttft_ms.p96", "ttft_ms.p95"]),
        (p95, "router.policies.gorgo.w_rrt=range(1, 2)", &[], &["w_rrt"]),
        (p95, "router.policies.nobody.x=range(1, 2)", &[], &["nobody"]),
        (p95, "a.b=choices()", &[], &["a.b=choices()"]),
        (p95, "a.b=range(nan, 1.0)", &[], &["nan", "wanted"]),
        (p95, "a.b=range(2, 1)", &[], &["more than 2"]),
        (p95, "nowhere.toml", &[], &["nowhere.toml"]),
        ("", W_RTT, &[], &["0 objectives", "--minimize"]),
        (p95, W_RTT, &five, &["METRIC <="]),
        ("--minimize ttft_ms.p95 --policy nobody", W_RTT, &[], &["nobody", "least-load"]),
        ("--capacity most", W_RTT, &[], &["--subject-to"]),
        ("--capacity most", "a.b=choices(1, 2)", &six, &["range"]),
        ("--capacity most --seeds 5", W_RTT, &six, &["got 5", "wanted 6 or more"]),
    ];
    for (more, over, options, wanted) in cases {
        let output = gorgo(&arguments_with(more, &[over], options));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more} {over}: {error}");
        for wanted in wanted {
            assert!(error.contains(wanted), "{more} {over}: {error}");
        }
    }
}

#[test]
fn two_objectives_give_a_front_of_which_none_beats_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = gorgo_ok(&arguments_with(
        "--minimize ttft_ms.p95 --minimize load.busiest_replica_share --seeds 2 --held-out 2 \
         --candidates 20 --format json",
        &[W_RTT],
        &[["--out", folder.path().to_str().expect("plain")]],
    ));
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let front: Vec<[f64; 2]> = said["tested"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tested| {
            [0, 1].map(|i| tested["setting"]["objectives"][i].as_f64().expect("a number"))
        })
        .collect();
    assert!(front.len() >= 2, "{front:?}");
    for pair in front.windows(2) {
        assert!(pair[0][0] < pair[1][0] && pair[0][1] > pair[1][1], "{front:?}");
    }
}

#[test]
fn a_bound_that_cannot_be_kept_is_said_to_be_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("plain");
    let said = gorgo_ok(&arguments_with(
        "--minimize cost_usd.total --seeds 2 --held-out 2 --candidates 4",
        &[W_RTT],
        &[["--subject-to", "ttft_ms.p95 <= 1us"], ["--out", out]],
    ));
    assert!(said.contains("BROKEN"), "{said}");
}

/// How many runs a log holds, but for a line that is being written.
fn runs_in(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("runs.jsonl")).unwrap_or_default();
    text.matches('\n').count().saturating_sub(1)
}

#[test]
fn a_search_that_was_killed_goes_on_and_one_that_ended_goes_further() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = |name: &str| folder.path().join(name).to_str().expect("plain").to_owned();
    let more = "--minimize ttft_ms.p95 --seeds 4 --held-out 3 --candidates 12";
    let (whole, killed) = (out("whole"), out("killed"));
    let words = |out: &str| -> Vec<String> {
        let words = arguments_with(more, &[W_RTT, W_QUEUE], &[["--out", out]]);
        words.into_iter().map(str::to_owned).collect()
    };
    let run = |words: &[String]| gorgo_ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let table = run(&words(&whole));
    let mut resumed = words(&killed);
    resumed.push("--resume".to_owned());
    let (mut seen, mut kills) = (0, 0);
    for _ in 0..5 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gorgo"))
            .args(&resumed)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        // As soon as it has made a few runs more.
        while runs_in(Path::new(&killed)) < seen + 4 && child.try_wait().expect("a child").is_none()
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        kills += u32::from(child.try_wait().expect("a child").is_none());
        // It may have ended by itself meanwhile.
        let _ = child.kill();
        child.wait().expect("a child");
        let now = runs_in(Path::new(&killed));
        assert!(now >= seen, "{now} runs after {seen}");
        seen = now;
    }
    assert!(kills > 0, "it was at work when it was killed");
    let all = runs_in(Path::new(&whole));
    assert_eq!(run(&resumed), table);
    assert!(files(Path::new(&killed)) == files(Path::new(&whole)), "the same bytes");
    // All runs are there: none is made again, and more candidates need only more runs.
    resumed.retain(|word| word != "--quiet");
    let again = gorgo(&resumed.iter().map(String::as_str).collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains(&format!("({all} of {all} runs were there)")), "{said}");
    let further: Vec<String> = resumed
        .iter()
        .map(|word| if word == "12" { "16".to_owned() } else { word.clone() })
        .collect();
    run(&further);
    assert!(runs_in(Path::new(&killed)) > all);
    // Numbers of another search are none of this one's.
    let other: Vec<String> =
        resumed.iter().map(|word| word.replace("ttft_ms.p95", "ttft_ms.p50")).collect();
    let refused = gorgo(&other.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("without --resume"));
}
