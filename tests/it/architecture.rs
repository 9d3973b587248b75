//! The dependency rule of `src/README.md`: who may use whom. Read from `cargo metadata`, so it cannot be forgotten.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Every arrow between crates of the workspace that is allowed, beside those to [`SHARED`].
const ALLOWED: [(&str, &[&str]); 23] = [
    ("types", &[]),
    ("random", &[]),
    // Text as blocks: traces, proxy, emulator and live client cut it alike.
    ("text", &[]),
    // What engines and their clients say to each other, as bytes.
    ("wire", &["text"]),
    ("config", &[]),
    ("routing", &[]),
    ("workload", &[]),
    ("model", &[]),
    ("metrics", &[]),
    // How sure numbers are; it does not know what they are of.
    ("stats", &[]),
    ("scenario", &["routing", "workload", "model"]),
    ("sim", &["routing", "workload", "model", "metrics", "scenario"]),
    // Reads recorded decisions as `routing` does, and puts them to `model`'s replicas without a simulator: the choices
    // are given.
    ("predict", &["routing", "model"]),
    ("report", &["metrics", "routing"]),
    // Many runs of a scenario, the files that they leave and the page about them; threads are the caller's.
    ("sweep", &["workload", "metrics", "scenario", "sim", "report", "stats"]),
    // Searches without knowing what: trials are asked for, numbers come back. `routing` has the published strategy.
    ("tune", &["routing", "stats"]),
    // Runs scenarios and holds what comes out against published figures; threads are the caller's.
    ("papers", &["workload", "model", "metrics", "stats", "scenario", "sim", "report"]),
    // Writes traces in the form of `workload`; places and distances are `model`'s.
    ("import", &["text", "workload", "model"]),
    // Sockets and clocks around `routing`, `model` and `workload`. They know nothing of each other but HTTP.
    ("proxy", &["text", "wire", "routing", "metrics"]),
    ("emulator", &["text", "wire", "model", "scenario"]),
    // What a run is made of (names, window, client's way) is `sim`'s, so that both measure the same.
    ("live", &["text", "wire", "routing", "workload", "model", "metrics", "scenario", "sim"]),
    ("oracle", &["model"]),
    (
        "gorgo",
        &[
            "text", "routing", "workload", "model", "metrics", "stats", "scenario", "sim",
            "predict", "report", "sweep", "tune", "papers", "import", "proxy", "emulator", "live",
        ],
    ),
];

/// Crates that anyone may use. (Cargo itself refuses circles among them.)
const SHARED: [&str; 3] = ["types", "random", "config"];

/// Heavy or specific libraries and the only crates that may name them.
const ONLY_IN: [(&str, &[&str]); 15] = [
    ("plotters", &["report"]),
    // Heavy, and behind features: the first command must not build them.
    ("tokio", &["proxy", "emulator", "live", "gorgo"]),
    ("hyper", &["proxy", "emulator", "live"]),
    ("axum", &["proxy", "emulator"]),
    ("rustls", &["proxy", "live"]),
    ("zeromq", &["proxy", "emulator"]),
    ("tokio-tun", &["emulator"]),
    // A timer that a runtime can wait for, and a thread that may ask for priority, without unsafe code.
    ("nix", &["emulator"]),
    ("thread-priority", &["emulator"]),
    ("parquet", &["import"]),
    ("tokenizers", &["text"]),
    ("clap", &["gorgo"]),
    ("indicatif", &["gorgo"]),
    ("rayon", &["gorgo"]),
    ("hdrhistogram", &["metrics", "report", "live"]),
];

/// Crates that must stay free of clocks, I/O helpers and hidden randomness, with what they may use besides the
/// workspace's own.
const PURE: [(&str, &[&str]); 4] = [
    ("types", &["serde", "xxhash-rust"]),
    ("random", &["rand"]),
    // libm: an interval is the same bits on every platform.
    ("stats", &["libm"]),
    // libm: the tuner's steps are the same bits on every platform.
    ("routing", &["thiserror", "serde", "rustc-hash", "hashbrown", "libm"]),
];

struct Package {
    normal: BTreeSet<String>,
    all: BTreeSet<String>,
}

fn short(name: &str) -> &str {
    name.strip_prefix("gorgo-").unwrap_or(name)
}

fn workspace() -> BTreeMap<String, Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages
        .iter()
        .map(|package| {
            let names = |dev: bool| {
                package["dependencies"]
                    .as_array()
                    .expect("a list of dependencies")
                    .iter()
                    .filter(|d| dev || d["kind"].is_null())
                    .map(|d| short(d["name"].as_str().expect("a name")).to_owned())
                    .collect()
            };
            let name = short(package["name"].as_str().expect("a name")).to_owned();
            (name, Package { normal: names(false), all: names(true) })
        })
        .collect()
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let workspace = workspace();
    for (name, package) in &workspace {
        let allowed = ALLOWED.iter().find(|(crate_name, _)| crate_name == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("`{name}` is not in the rule"));
        for used in package.normal.iter().filter(|used| workspace.contains_key(*used)) {
            let shared = SHARED.contains(&used.as_str());
            assert!(shared || allowed.contains(&used.as_str()), "`{name}` uses `{used}`");
        }
    }
    for (name, _) in ALLOWED {
        assert!(workspace.contains_key(name), "the rule names `{name}`, which does not exist");
    }
}

#[test]
fn heavy_libraries_stay_where_they_belong() {
    for (name, package) in workspace() {
        for (library, homes) in ONLY_IN {
            let uses = package.normal.contains(library);
            assert!(!uses || homes.contains(&name.as_str()), "`{name}` uses {library}");
        }
    }
}

#[test]
fn the_first_command_builds_no_heavy_library() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal,build", "--prefix", "none", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && tree.contains("gorgo-import"), "{tree}");
    for library in ["parquet", "tokenizers", "zstd-sys", "tokio", "hyper"] {
        let is_it = |line: &str| line.split(' ').next() == Some(library);
        assert!(!tree.lines().any(is_it), "the default build has {library}");
    }
}

#[test]
fn pure_crates_use_few_libraries() {
    let workspace = workspace();
    for (name, libraries) in PURE {
        for used in workspace[name].normal.iter().filter(|used| !workspace.contains_key(*used)) {
            assert!(libraries.contains(&used.as_str()), "`{name}` uses {used}");
        }
    }
}

#[test]
fn nothing_but_tests_uses_the_oracle() {
    for (name, package) in workspace() {
        assert!(!package.normal.contains("oracle"), "`{name}` ships the oracle");
        assert!(name == "oracle" || !package.all.contains("oracle"), "`{name}` uses the oracle");
    }
}
