//! The same scenario, seed and version give the same bytes in every file but `run.json`.

use crate::support::{files, gorgo_ok, root};
use std::path::{Path, PathBuf};

/// The built-in scenario, small enough for debug builds.
fn run_into(directory: &Path, more: &[&str]) {
    let mut arguments = vec!["run", "--quiet", "--set", "workload.wildchat.requests=1500", "--out"];
    arguments.push(directory.to_str().expect("a plain path"));
    arguments.extend_from_slice(more);
    gorgo_ok(&arguments);
}

fn assert_same(a: &[(PathBuf, Vec<u8>)], b: &[(PathBuf, Vec<u8>)]) {
    let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(a), names(b));
    for ((name, left), (_, right)) in a.iter().zip(b) {
        assert!(left == right, "{} differs", name.display());
    }
}

#[test]
fn twice_and_on_one_or_eight_threads_the_bytes_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    run_into(&out("one"), &["--threads", "1"]);
    run_into(&out("eight"), &["--threads", "8"]);
    run_into(&out("again"), &[]);
    let one = files(&out("one"));
    assert!(one.len() > 20, "only {} files", one.len());
    assert_same(&one, &files(&out("eight")));
    assert_same(&one, &files(&out("again")));
}

#[test]
fn another_policy_in_the_list_changes_no_byte_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    run_into(&out("both"), &["--policy", "gorgo", "--policy", "least-load"]);
    run_into(&out("alone"), &["--policy", "gorgo"]);
    let alone = files(&out("alone/gorgo"));
    assert!(alone.len() >= 4, "only {} files", alone.len());
    assert_same(&alone, &files(&out("both/gorgo")));
}

#[test]
fn another_seed_gives_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    run_into(&out("a"), &["--policy", "gorgo", "--seed", "1"]);
    run_into(&out("b"), &["--policy", "gorgo", "--seed", "2"]);
    let read = |name: &str| std::fs::read(out(name).join("gorgo/requests.csv")).unwrap();
    assert!(read("a") != read("b"));
}

#[test]
fn the_resolved_scenario_runs_again_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    run_into(&out("first"), &["--policy", "gorgo"]);
    let resolved = out("first").join("scenario.resolved.toml");
    let second = out("second");
    gorgo_ok(&[
        "run".as_ref(),
        resolved.as_os_str(),
        "--quiet".as_ref(),
        "--out".as_ref(),
        second.as_os_str(),
    ]);
    assert_same(&files(&out("first")), &files(&second));
}

/// A region's router leaves out what is beyond its reach, and its log says so.
#[test]
fn decisions_of_regional_routers_come_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root().join("scenarios/01_three_regions.toml")).unwrap();
    let (before, rest) = text.split_once("[router]\nregion = \"azure:eastus\"\n").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    let router = "[router]\npolicies = [\"gorgo-regional\", \"least-request\"]\n[router.per_region]\nlocal_first = { running_requests_below = 1 }\n";
    let file = folder.path().join("regional.toml");
    std::fs::write(&file, format!("{before}{router}{after}")).unwrap();
    let out = folder.path().join("out");
    let [file, out] = [&file, &out].map(|path| path.to_str().expect("a plain path"));
    let less = ["--set", "workload.wildchat.requests=600", "--decisions", "--quiet"];
    gorgo_ok(&[&["run", file, "--out", out], &less[..]].concat());
    for policy in ["gorgo-regional", "least-request"] {
        let log = format!("{out}/{policy}/decisions.jsonl");
        let told = gorgo_ok(&["decisions", "verify", "--policy", policy, &log]);
        assert!(!told.contains("mismatch"), "{told}");
    }
}
