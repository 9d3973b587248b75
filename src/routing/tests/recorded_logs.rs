//! The routing decisions that the GORGO authors recorded on a real fleet, replayed.
//!
//! The tables are measurements of others and not part of the project: where they are absent, the tests say so and pass.
//! `generated_logs.rs` proves the terms that these logs leave open.

use flate2::read::GzDecoder;
use gorgo_routing::registry;
use gorgo_routing::verify::recorded::RecordedColumns;
use gorgo_routing::verify::{Case, VerifyReport, verify};
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

fn cases(log: &str) -> Option<Vec<Case>> {
    let name = format!("../../../shared/data/gorgo/decisions_{log}.csv.gz");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let Ok(file) = File::open(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let mut lines = BufReader::new(GzDecoder::new(file)).lines().map(Result::unwrap);
    let columns = RecordedColumns::from_header(lines.next().unwrap().split(',')).unwrap();
    let case = |(i, line): (usize, String)| {
        columns.case(i as u64, &line.split(',').collect::<Vec<_>>()).unwrap()
    };
    Some(lines.enumerate().map(case).collect())
}

fn replay(policy: &str, parameters: serde_json::Value, cases: Vec<Case>) -> VerifyReport {
    let report = verify(registry::build(policy, parameters).unwrap(), cases).unwrap();
    println!("{policy}: matched {} of {}: {:?}", report.matched, report.total, report.effects);
    report
}

/// The weights of the recorded gorgo-static; the log's 60 holds for queued and used tokens alike.
fn gorgo_static() -> serde_json::Value {
    json!({ "w_rtt": 1, "w_prefill": 70, "w_queue": 60, "w_used": 60 })
}

#[test]
fn least_load_is_reproduced() {
    let Some(cases) = cases("least-load") else { return };
    let report = replay("least-load", json!({}), cases);
    assert_eq!((report.matched, report.total), (2781, 2781), "{:?}", report.mismatches);
}

#[test]
fn gorgo_static_is_reproduced() {
    let Some(cases) = cases("gorgo-static") else { return };
    let report = replay("gorgo", gorgo_static(), cases);
    assert_eq!((report.matched, report.total), (2781, 2781), "{:?}", report.mismatches);
    // Equal scores go to the first replica, as in the recorded code: nothing was matched by a tie.
    assert_eq!(report.matched_by_tie, 0);
    let rtt = report.effects.iter().find(|effect| effect.name == "rtt").unwrap();
    // Four of 2,781 decisions rest on the RTT; in two of them the recorded choice would still be among the tied.
    assert_eq!(rtt.changed, 4);
}

#[test]
fn random_choices_are_among_the_tied_which_are_all() {
    let Some(cases) = cases("random") else { return };
    let total = cases.len() as u64;
    let report = replay("random", json!({}), cases);
    // Every replica is tied, so this log could not contradict the policy: what it shows is that the log can be read.
    assert_eq!((report.matched, report.total, report.ties), (total, total, total));
    assert!(report.matched_by_tie > total / 2);
}

#[test]
fn a_policy_that_did_not_decide_the_log_does_not_match() {
    let Some(cases) = cases("gorgo-static") else { return };
    let wrong = json!({ "w_rtt": 1, "w_prefill": 70, "w_queue": 60, "w_used": 0 });
    let report = replay("gorgo", wrong, cases.clone());
    assert!(report.matched < 2700, "{}", report.matched);
    assert_eq!(report.mismatches.len(), 5);
    let report = replay("least-load", json!({}), cases);
    assert!(report.matched < 2700, "{}", report.matched);
}
