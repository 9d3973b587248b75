//! Malformed traces and scenarios through the built binary: each ends with exit code 2 and a message that names the
//! file, the line or key, the value and what was wanted. None panics, none is silently accepted.

use crate::support::gorgo;
use std::io::Write;
use std::path::Path;

/// A malformed trace: its name, its text, and what the message must contain.
type Case = (&'static str, &'static str, &'static [&'static str]);

const HEAD: &str = r#"{"gorgo_trace":1,"block_size":16}"#;
const GOOD: &str = r#"{"timestamp":0,"input_length":20,"output_length":5,"hash_ids":[1,2]}"#;

/// `@` stands for the header and a good line, so that the bad one is line 3.
const TRACES: &[Case] = &[
    ("empty file", "", &["trace.jsonl"]),
    ("header only", r#"{"gorgo_trace":1,"block_size":16}"#, &["trace.jsonl"]),
    ("unknown version", r#"{"gorgo_trace":2,"block_size":16}"#, &[":1", "gorgo_trace", "2"]),
    ("zero block", r#"{"gorgo_trace":1,"block_size":0}"#, &[":1", "block_size", "0"]),
    ("not JSON", "@hello", &[":3"]),
    ("cut line", r#"@{"timestamp":1,"input_length":20"#, &[":3"]),
    ("an array", "@[1,2,3]", &[":3"]),
    (
        "no timestamp",
        r#"@{"input_length":20,"output_length":5,"hash_ids":[1,2]}"#,
        &[":3", "timestamp"],
    ),
    (
        "negative timestamp",
        r#"@{"timestamp":-1,"input_length":20,"output_length":5,"hash_ids":[1,2]}"#,
        &[":3", "timestamp", "-1"],
    ),
    (
        "infinite timestamp",
        r#"@{"timestamp":1e999,"input_length":20,"output_length":5,"hash_ids":[1,2]}"#,
        &[":3", "timestamp"],
    ),
    (
        "NaN timestamp",
        r#"@{"timestamp":NaN,"input_length":20,"output_length":5,"hash_ids":[1,2]}"#,
        &[":3"],
    ),
    (
        "timestamp as text",
        r#"@{"timestamp":"1","input_length":20,"output_length":5,"hash_ids":[1,2]}"#,
        &[":3", "timestamp"],
    ),
    (
        "time going backwards",
        "@{\"timestamp\":5,\"input_length\":20,\"output_length\":5,\"hash_ids\":[1,2]}\n\
         {\"timestamp\":4,\"input_length\":20,\"output_length\":5,\"hash_ids\":[1,2]}",
        &[":4", "timestamp", "4"],
    ),
    (
        "zero input",
        r#"@{"timestamp":1,"input_length":0,"output_length":5,"hash_ids":[]}"#,
        &[":3", "input_length", "0"],
    ),
    (
        "negative input",
        r#"@{"timestamp":1,"input_length":-20,"output_length":5,"hash_ids":[1,2]}"#,
        &[":3", "input_length", "-20"],
    ),
    (
        "fractional input",
        r#"@{"timestamp":1,"input_length":20.5,"output_length":5,"hash_ids":[1,2]}"#,
        &[":3", "input_length"],
    ),
    (
        "huge input",
        r#"@{"timestamp":1,"input_length":99999999999999,"output_length":5,"hash_ids":[1]}"#,
        &[":3", "input_length"],
    ),
    (
        "too few ids",
        r#"@{"timestamp":1,"input_length":40,"output_length":5,"hash_ids":[1,2]}"#,
        &[":3", "hash_ids"],
    ),
    (
        "too many ids",
        r#"@{"timestamp":1,"input_length":20,"output_length":5,"hash_ids":[1,2,3]}"#,
        &[":3", "hash_ids"],
    ),
    (
        "id as text",
        r#"@{"timestamp":1,"input_length":20,"output_length":5,"hash_ids":[1,"2"]}"#,
        &[":3", "hash_ids"],
    ),
    (
        "negative id",
        r#"@{"timestamp":1,"input_length":20,"output_length":5,"hash_ids":[1,-2]}"#,
        &[":3", "hash_ids"],
    ),
    (
        "no output length",
        r#"@{"timestamp":1,"input_length":20,"hash_ids":[1,2]}"#,
        &[":3", "output_length"],
    ),
    (
        "unknown field",
        r#"@{"timestamp":1,"input_length":20,"output_length":5,"hash_ids":[1,2],"priorty":1}"#,
        &[":3", "priorty"],
    ),
    (
        "field given twice",
        r#"@{"timestamp":1,"timestamp":2,"input_length":20,"output_length":5,"hash_ids":[1,2]}"#,
        &[":3", "timestamp"],
    ),
    (
        "latitude off the globe",
        r#"@{"timestamp":1,"input_length":20,"output_length":5,"hash_ids":[1,2],"lat":91,"lon":0}"#,
        &[":3", "lat", "91"],
    ),
    (
        "duplicate turn",
        "@{\"timestamp\":1,\"input_length\":20,\"output_length\":5,\"hash_ids\":[1,2],\"session_id\":1,\"turn\":0}\n\
         {\"timestamp\":2,\"input_length\":20,\"output_length\":5,\"hash_ids\":[1,2],\"session_id\":1,\"turn\":0}",
        &[":4", "turn"],
    ),
    (
        "max_tokens below the output",
        r#"@{"timestamp":1,"input_length":20,"output_length":5,"hash_ids":[1,2],"max_tokens":4}"#,
        &[":3", "max_tokens", "4"],
    ),
    (
        "a prompt larger than every KV pool",
        r#"@{"timestamp":1,"input_length":4000000,"output_length":5,"hash_ids":[1]}"#,
        &["4000000"],
    ),
];

fn expect_refusal(name: &str, arguments: &[&std::ffi::OsStr], wanted: &[&str]) {
    let output = gorgo(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{name}: {message}");
    assert!(message.starts_with("error: "), "{name}: {message}");
    assert!(!message.contains("panicked"), "{name}: {message}");
    for part in wanted {
        assert!(message.contains(part), "{name}: `{part}` is not in: {message}");
    }
}

fn replay(name: &str, file: &Path, wanted: &[&str]) {
    let mut parts = vec!["replay".as_ref(), file.as_os_str(), "--no-files".as_ref()];
    parts.extend(["--quiet", "--policy", "gorgo"].map(std::ffi::OsStr::new));
    expect_refusal(name, &parts, wanted);
}

#[test]
fn malformed_traces_are_refused_with_line_field_and_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.jsonl");
    for (name, text, wanted) in TRACES {
        let text = text.replacen('@', &format!("{HEAD}\n{GOOD}\n"), 1);
        std::fs::write(&file, text).unwrap();
        replay(name, &file, wanted);
    }
}

#[test]
fn a_truncated_gzip_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.jsonl.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writeln!(encoder, "{HEAD}").unwrap();
    for i in 0..1000 {
        let id = i * 7;
        writeln!(
            encoder,
            r#"{{"timestamp":{i},"input_length":20,"output_length":5,"hash_ids":[{id},{i}]}}"#
        )
        .unwrap();
    }
    let bytes = encoder.finish().unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    replay("truncated gzip", &file, &["trace.jsonl.gz"]);
    std::fs::write(&file, [0x1f, 0x8b, 0xff, 0xff]).unwrap();
    replay("damaged gzip", &file, &["trace.jsonl.gz"]);
}

#[test]
fn malformed_arrival_tables_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arrivals.csv");
    let head = "request_id,arrival_ms,input_tokens,output_tokens";
    let cases: [(&str, String, &[&str]); 7] = [
        ("no columns", "a,b\n1,2\n".into(), &["arrivals.csv", ":1"]),
        ("text for a number", format!("{head}\nx,one,5,5\n"), &[":2", "arrival_ms", "one"]),
        ("negative time", format!("{head}\nx,-1,5,5\n"), &[":2", "arrival_ms", "-1"]),
        ("zero tokens", format!("{head}\nx,1,0,5\n"), &[":2", "input_tokens", "0"]),
        ("same id twice", format!("{head}\nx,1,5,5\nx,2,5,5\n"), &[":3", "request_id", "x"]),
        ("backwards", format!("{head}\nx,2,5,5\ny,1,5,5\n"), &[":3", "arrival_ms", "1"]),
        ("short row", format!("{head}\nx,2\n"), &[":2"]),
    ];
    for (name, text, wanted) in &cases {
        std::fs::write(&file, text).unwrap();
        replay(name, &file, wanted);
    }
}

/// A scenario that is good but for what a case changes in it.
const SCENARIO: &str = r#"name = "small"
seed = 1

[[fleet.replicas]]
region = "azure:eastus"
gpu = "h100-sxm"
model = "llama-3.1-8b"
count = 1

[workload.chat]
requests = 50

[load.poisson]
rate = "5 sessions/s"

[router]
region = "azure:eastus"
policies = ["gorgo"]
"#;

/// (name, text to replace, replacement, what the message must contain)
const SCENARIOS: &[(&str, &str, &str, &[&str])] = &[
    ("unknown top-level key", "seed = 1", "sede = 1", &[":2", "sede", "seed"]),
    ("unknown nested key", "count = 1", "cuont = 1", &[":8", "cuont", "count"]),
    ("not TOML", "[router]", "[router", &["bad.toml", "["]),
    ("seed is text", "seed = 1", "seed = \"one\"", &[":2", "seed", "one"]),
    ("seed is negative", "seed = 1", "seed = -1", &[":2", "-1"]),
    ("no replicas", "count = 1", "count = 0", &[":8", "count", "0"]),
    (
        "unknown region",
        "region = \"azure:eastus\"\ngpu",
        "region = \"azure:mars\"\ngpu",
        &[":5", "azure:mars"],
    ),
    (
        "unknown router region",
        "[router]\nregion = \"azure:eastus\"",
        "[router]\nregion = \"moon\"",
        &["moon"],
    ),
    ("unknown gpu", "h100-sxm", "h900", &[":6", "h900", "h100-sxm"]),
    ("unknown model", "llama-3.1-8b", "llama-9", &["llama-9"]),
    ("empty KV pool", "count = 1", "count = 1\nkv_pool_tokens = 0", &["kv_pool_tokens", "0"]),
    ("unknown policy", "[\"gorgo\"]", "[\"gorge\"]", &["gorge", "gorgo"]),
    ("no policies", "[\"gorgo\"]", "[]", &["policies"]),
    ("same policy twice", "[\"gorgo\"]", "[\"gorgo\", \"gorgo\"]", &["gorgo"]),
    (
        "unknown policy parameter",
        "[\"gorgo\"]",
        "[{ name = \"gorgo\", w_rttt = 1 }]",
        &["w_rttt", "w_rtt"],
    ),
    ("negative weight", "[\"gorgo\"]", "[{ name = \"gorgo\", w_rtt = -1 }]", &["w_rtt", "-1"]),
    ("infinite weight", "[\"gorgo\"]", "[{ name = \"gorgo\", w_rtt = inf }]", &["w_rtt", "inf"]),
    ("NaN weight", "[\"gorgo\"]", "[{ name = \"gorgo\", w_rtt = nan }]", &["w_rtt"]),
    (
        "duration without unit",
        "[router]",
        "[router]\nprobe_interval = 30",
        &["probe_interval", "30"],
    ),
    (
        "negative duration",
        "[router]",
        "[router]\nprobe_interval = \"-1s\"",
        &["probe_interval", "-1s"],
    ),
    ("zero interval", "[router]", "[router]\nscrape_interval = \"0s\"", &["scrape_interval"]),
    (
        "unknown unit",
        "[router]",
        "[router]\nprobe_interval = \"3 parsecs\"",
        &["probe_interval", "parsecs"],
    ),
    (
        "EWMA weight above 1",
        "[router]",
        "[router]\nrtt_ewma_alpha = 1.5",
        &["rtt_ewma_alpha", "1.5"],
    ),
    (
        "two loads",
        "[load.poisson]",
        "[load.constant]\nrate = \"1 req/s\"\n[load.poisson]",
        &["load"],
    ),
    ("zero rate", "5 sessions/s", "0 sessions/s", &["rate", "0"]),
    ("no workload", "[workload.chat]\nrequests = 50\n", "", &["workload"]),
    ("zero requests", "requests = 50", "requests = 0", &["requests", "0"]),
    (
        "missing trace file",
        "[workload.chat]\nrequests = 50\n\n[load.poisson]\nrate = \"5 sessions/s\"",
        "[workload.trace]\npath = \"nowhere.jsonl\"",
        &["nowhere.jsonl"],
    ),
    (
        "a pool smaller than a prompt",
        "count = 1",
        "count = 1\nkv_pool_tokens = 64",
        &["request", "64"],
    ),
    ("events are not a key", "[router]", "[[event]]\nat = \"1s\"\n[router]", &["event"]),
];

#[test]
fn malformed_scenarios_are_refused_with_key_and_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, SCENARIO).unwrap();
    let run = ["run".as_ref(), file.as_os_str(), "--no-files".as_ref(), "--quiet".as_ref()];
    let good = gorgo(&run);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    for (name, from, to, wanted) in SCENARIOS {
        assert!(SCENARIO.contains(from), "{name}: the scenario has no `{from}`");
        std::fs::write(&file, SCENARIO.replacen(from, to, 1)).unwrap();
        expect_refusal(name, &run, wanted);
    }
}

#[test]
fn malformed_profiles_are_refused_with_file_line_and_value() {
    let folder = tempfile::tempdir().unwrap();
    let good = "phase,sequences,tokens,cached_tokens,ms\nprefill,1,9,0,1\ndecode,1,9,0,1\n";
    let large = vec![b'1'; 17 << 20];
    let cases: [(&str, &[u8], &[&str]); 8] = [
        ("empty.csv", b"", &["empty.csv", "at least one row"]),
        ("bytes.csv", b"phase,ms\n\xff,1\n", &["bytes.csv:2", "0xff", "UTF-8"]),
        ("nan.csv", b"phase,sequences,tokens,ms\nprefill,1,9,nan\n", &["nan.csv:2", "ms", "NaN"]),
        ("gzip.csv", b"\x1f\x8b\x08", &["gzip.csv:1", "0x8b", "UTF-8"]),
        ("large.csv", &large, &["large.csv", "got more than 16777216 bytes"]),
        ("a.toml", b"ms_per_token = nan\n", &["a.toml:1", "ms_per_token", "NaN"]),
        ("b.toml", b"ms_per_token = 1\ncolour = 2\n", &["b.toml:2", "colour", "known keys"]),
        ("c.toml", b"name = \"\xff\"\n", &["c.toml:1", "0xff", "UTF-8"]),
    ];
    let run = |name: &str, file: &Path, wanted: &[&str]| {
        let words: &[&str] = if name.ends_with(".toml") {
            &["profile", "show"]
        } else {
            &["profile", "import", "--name", "mine"]
        };
        let mut arguments: Vec<_> = words.iter().map(std::ffi::OsStr::new).collect();
        arguments.push(file.as_os_str());
        expect_refusal(name, &arguments, wanted);
    };
    for (name, bytes, wanted) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        run(name, &file, wanted);
    }
    run("missing.csv", &folder.path().join("missing.csv"), &["missing.csv", "cannot be read"]);
    run("a folder", folder.path(), &["cannot be read"]);
    let file = folder.path().join("good.csv");
    std::fs::write(&file, good).unwrap();
    let import = |name: &str| {
        gorgo(&[
            "profile".as_ref(),
            "import".as_ref(),
            file.as_os_str(),
            "--name".as_ref(),
            name.as_ref(),
        ])
    };
    assert_eq!(import("mine").status.code(), Some(0));
    assert_eq!(import("a \"b\"").status.code(), Some(2));
}

#[test]
fn malformed_command_lines_are_refused() {
    let cases: [(&str, &[&str], &[&str]); 8] = [
        ("no such file", &["run", "nowhere.toml"], &["nowhere.toml"]),
        ("--set without value", &["run", "--set", "seed"], &["seed"]),
        ("--set of nothing", &["run", "--set", "router.colour=1"], &["colour"]),
        ("--set with a bad value", &["run", "--set", "seed=-1"], &["seed"]),
        ("--policy unknown", &["run", "--policy", "best"], &["best", "gorgo"]),
        ("--speedup of zero", &["replay", "x.jsonl", "--speedup", "0"], &["speedup", "0"]),
        ("--window backwards", &["replay", "x.jsonl", "--window", "5min..1min"], &["window"]),
        ("explain without a run", &["explain", "nowhere", "1.0"], &["nowhere"]),
    ];
    for (name, arguments, wanted) in cases {
        let mut arguments: Vec<_> = arguments.iter().map(std::ffi::OsStr::new).collect();
        if arguments[0] != "explain" {
            arguments.push("--no-files".as_ref());
        }
        expect_refusal(name, &arguments, wanted);
    }
}

#[test]
fn there_are_enough_cases() {
    assert!(TRACES.len() + SCENARIOS.len() >= 40);
}
