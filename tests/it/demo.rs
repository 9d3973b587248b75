//! `gorgo demo`: simulated and measured agree roughly even on a busy machine, and nothing is left running.

use crate::support::gorgo;
use serde_json::Value;

#[test]
fn the_demo_runs_and_both_sides_tell_the_same_story() {
    let output = gorgo(&["demo", "--seconds", "3", "--format", "json", "--quiet"]);
    let error = String::from_utf8_lossy(&output.stderr);
    // A machine that is too busy to send in time says so; the numbers are there all the same.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{error}");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let policy = &shown["policies"][0];
    assert_eq!(policy["policy"], "gorgo");
    let both = |path: &str| {
        let at = |side: &str| policy[side].pointer(path).and_then(Value::as_f64).expect("a number");
        (at("simulated"), at("measured"))
    };
    assert!(both("/requests/completed").1 >= 20.0, "{policy:#}");
    assert_eq!(both("/requests/failed"), (0.0, 0.0));
    let (simulated, measured) = both("/ttft_ms/p50");
    assert!(measured > 0.7 * simulated && measured < 3.0 * simulated, "{simulated} {measured}");
    let (simulated, measured) = both("/cache/real_token_hit_rate");
    assert!((simulated - measured).abs() < 0.2, "{simulated} {measured}");
}

#[test]
fn what_cannot_be_is_refused() {
    let output = gorgo(&["demo", "--policy", "nonesuch"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("wanted one of round-robin, least-load, gorgo"), "{error}");
}
