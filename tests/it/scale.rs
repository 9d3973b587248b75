//! Memory and time at ten million requests. Long: run by `.ci/long`.

use crate::support::{gorgo_ok, root};
use serde_json::Value;

/// Runs the scenario with so many requests; gives seconds of simulation and the peak of memory in MiB.
fn measure(requests: u64) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let scenario = root().join("scenarios/bench/ten_million.toml");
    gorgo_ok(&[
        "run",
        scenario.to_str().unwrap(),
        "--quiet",
        "--set",
        &format!("workload.prefix_groups.requests={requests}"),
        "--out",
        out.to_str().unwrap(),
    ]);
    let about: Value =
        serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap();
    let peak = about["peak_memory_mib"].as_f64().expect("run.json tells the peak of memory");
    (about["simulated_s"].as_f64().unwrap(), peak)
}

#[test]
#[ignore = "long: run by .ci/long"]
fn ten_million_requests_take_bounded_memory_and_linear_time() {
    let (short_s, short_mib) = measure(1_000_000);
    let (long_s, long_mib) = measure(10_000_000);
    println!(
        "memory: 1M requests {short_mib:.0} MiB in {short_s:.1} s, 10M requests {long_mib:.0} MiB in {long_s:.1} s, \
         {:.2} times the time per request",
        long_s / short_s / 10.0
    );
    assert!(long_mib < 1024.0);
    // The machine may be shared, so the bound on time is loose; memory must not have grown.
    assert!(long_s < short_s * 20.0);
    assert!(long_mib < short_mib * 1.5 + 64.0);
}
