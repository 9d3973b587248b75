//! Malformed scenarios: each is refused with the line, the key, what was got and what was wanted; none panics.

use gorgo_scenario::{Diagnostic, Parsed, ReplayTrace, Resolved};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// A valid scenario that uses every table.
const GOOD: &str = include_str!("good.toml");

/// What is wrong with it, piece by piece.
const CASES: &str = include_str!("bad_input.txt");

fn resolve(text: &str, sets: &[&str]) -> Result<Resolved, Diagnostic> {
    Parsed::new("bad.toml", text, sets)?.resolve(Path::new(""))
}

/// One change to [`GOOD`], and what the error must say.
struct Case {
    old: String,
    new: String,
    key: String,
    line: String,
    says: Vec<String>,
}

/// The cases of the file, of which every block is one.
fn cases() -> Vec<Case> {
    let blocks =
        CASES.split("\n\n").filter(|block| block.starts_with("- ") && block.contains("\n@"));
    let case = |block: &str| {
        let marked = |mark: char| {
            let lines = block.lines().filter_map(move |line| line.strip_prefix(mark));
            lines.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned()).collect::<Vec<_>>()
        };
        let joined = |mark| marked(mark).join("\n");
        let (old, new, key, line) = (joined('-'), joined('+'), joined('@'), joined('='));
        Case { old, new, key, line, says: marked('?') }
    };
    blocks.map(case).collect()
}

#[test]
fn the_good_one_is_good() {
    let resolved = resolve(GOOD, &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(resolved.replicas.len(), 3);
}

#[test]
fn every_malformed_scenario_is_refused_with_its_place() {
    let cases = cases();
    assert!(cases.len() >= 110, "only {} cases were read", cases.len());
    let mut wrong = Vec::new();
    for Case { old, new, key, line, says } in cases {
        assert!(GOOD.contains(&old), "{old:?} is not in the good scenario");
        assert!(!says.is_empty(), "{new:?} asks nothing of the message");
        let text = GOOD.replacen(&old, &new, 1);
        let Err(error) = resolve(&text, &[]) else {
            wrong.push(format!("{new:?} passed"));
            continue;
        };
        let shown = error.to_string();
        let on_line = error.line().and_then(|line| text.lines().nth(line - 1));
        let good = error.file() == "bad.toml"
            && on_line.is_some_and(|text| text.contains(&line) && shown.contains(text))
            && error.key() == key
            && says.iter().all(|part| shown.contains(part));
        if !good {
            wrong.push(format!("{new:?}: wanted {line:?}, key {key:?}, {says:?}; got\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn assignments_are_refused_with_their_place() {
    let cases: &[(&str, &[&str])] = &[
        (
            "fleet.replicas.0.cuont=4",
            &["--set:1:18", "unknown key `cuont`", "did you mean `count`?"],
        ),
        (
            "fleet.replicas.eu.count=4",
            &["--set:1:16", "got `eu`, wanted an element of `replicas`", "or one of the names us"],
        ),
        ("fleet.replicas.9.count=4", &["an index below 2"]),
        ("fleet.replicas.us.count=0", &["--set:1:25", "got 0, wanted a whole number, at least 1"]),
        ("router.policies.gorgo.w_rtt=-1", &["--set:1:29", "-1", "wanted a number from 0"]),
        ("router.policies.gorgo-c.w_rtt=1", &["got `gorgo-c`, wanted an element of `policies`"]),
        ("router.probe_interval", &["wanted an assignment"]),
        (
            "router.probe_interval=5",
            &["--set:1:23: router.probe_interval: got 5, wanted a duration"],
        ),
        (
            "rooter.probe_interval=5s",
            &["--set:1:1: rooter: unknown key `rooter`", "did you mean `router`?"],
        ),
        ("seed.x=1", &["`seed` is an integer, which has no `x`"]),
        ("=1", &["wanted dotted keys"]),
        (
            "router.region=mars",
            &["--set:1:15: router.region: got \"mars\", wanted a region of this network"],
        ),
    ];
    for (set, says) in cases {
        let error = resolve(GOOD, &[set]).expect_err(set).to_string();
        assert!(
            says.iter().all(|part| error.contains(part)),
            "{set}: wanted {says:?}, got\n{error}"
        );
    }
}

#[test]
fn assignments_change_what_they_name() {
    let sets = [
        "fleet.replicas.us.count=4",
        "router.policies.gorgo.w_rtt=2",
        "router.policies.2.w_queue=3",
        "router.probe_interval=7s",
        "measure.slo_tpot=\"40ms\"",
        "network.clients.base_rtt=30ms",
    ];
    let resolved = resolve(GOOD, &sets).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(resolved.replicas.len(), 5);
    assert_eq!(resolved.router.policies[1].parameters["w_rtt"].as_float(), Some(2.0));
    assert_eq!(resolved.router.policies[2].parameters["w_queue"].as_float(), Some(3.0));
    assert_eq!(resolved.router.probe_interval.as_s(), 7.0);
    assert_eq!(resolved.measure.slo_tpot.map(|span| span.as_ms()), Some(40.0));
}

#[test]
fn replay_options_are_refused_by_name() {
    let replay = |speedup, window: Option<&str>| {
        let trace = ReplayTrace {
            path: PathBuf::from("t.jsonl"),
            speedup,
            window: window.map(str::to_owned),
        };
        let mut parsed = Parsed::new("good.toml", GOOD, &[""; 0]).expect("valid");
        parsed.replay(&trace, &[""; 0]).map_err(|error| error.to_string())
    };
    for speedup in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        let error = replay(Some(speedup), None).expect_err("no speed-up");
        assert!(
            error.contains("--speedup: got") && error.contains("wanted a number from"),
            "{error}"
        );
    }
    for window in ["5s", "5..6", "9s..8s", "8s..8s", "a..b"] {
        let error = replay(None, Some(window)).expect_err(window);
        assert!(error.contains(&format!("--window: got {window:?}")), "{error}");
    }
    for window in ["5s..", "..5s", "1s..2min", ".."] {
        assert_eq!(replay(Some(2.0), Some(window)), Ok(()), "{window}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}", set in "\\PC{0,60}") {
        let _ = resolve(&text, &[]);
        let _ = resolve(GOOD, &[&set]);
    }

    #[test]
    fn mutated_scenarios_never_panic(
        cuts in prop::collection::vec((0..GOOD.len(), 0..40_usize, "[ -~\n]{0,12}"), 1..4),
    ) {
        let mut text = GOOD.to_owned();
        for (at, length, new) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.replace_range(at..end, &new);
        }
        if let Err(error) = resolve(&text, &[]) {
            prop_assert!(!error.problem().is_empty());
        }
    }

    #[test]
    fn values_of_any_kind_never_panic(
        line in 0..GOOD.lines().count(),
        value in prop::sample::select(vec![
            "0", "-1", "1", "1e308", "-1e308", "inf", "-inf", "nan", "9223372036854775807", "4294967296", "\"\"",
            "\"0s\"", "\"1ns\"", "\"146 h\"", "\"1000000 h\"", "\"1/s\"", "[]", "{}", "[[]]", "[0]", "true", "1979-05-27",
            "\"gorgo\"", "[\"gorgo\"]", "{ name = \"gorgo\" }", "0.5", "\"azure:eastus\"", "1e-300",
        ]),
    ) {
        let lines = GOOD.lines().enumerate().map(|(index, text)| match text.split_once(" = ") {
            Some((key, _)) if index == line => format!("{key} = {value}"),
            _ => text.to_owned(),
        });
        let text: Vec<String> = lines.collect();
        if let Ok(resolved) = resolve(&text.join("\n"), &[]) {
            // What is accepted can be written, and read again.
            let written = resolved.to_toml();
            let again = resolve(&written, &[]);
            prop_assert!(again.is_ok(), "{}\n{written}", again.expect_err("just seen"));
            prop_assert_eq!(again.expect("just seen").to_toml(), written);
        }
    }
}
