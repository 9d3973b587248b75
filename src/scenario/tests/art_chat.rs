//! `workload.art_chat` against the published figures of its windows, and over the real arrivals of one of them.

use gorgo_routing::policy::session_affinity::{prefix_key, python_tuple_hash};
use gorgo_scenario::{Parsed, Requests, Resolved};
use gorgo_types::{BlockId, Nanos, Request};
use gorgo_workload::{Due, TraceInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn resolve(workload: &str) -> Result<Resolved, String> {
    let text = include_str!("../../../scenarios/bench/replicas_8.toml");
    let parsed = Parsed::new("test", &format!("{text}\n{workload}"), &[] as &[&str]);
    // Relative paths start at the project's root.
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    parsed.and_then(|parsed| parsed.resolve(&base)).map_err(|error| error.to_string())
}

fn requests(keys: &str, seed: u64) -> Requests {
    let mut resolved = resolve(&format!("[workload.art_chat]\n{keys}\n")).expect("valid");
    resolved.seed = seed;
    resolved.requests().expect("planned")
}

fn all(requests: &Requests) -> Vec<(Nanos, Request)> {
    let mut source = requests.source().expect("planned");
    let mut all = Vec::new();
    while let Due::At(_) = source.next_due().expect("planned") {
        all.push(source.take().expect("due"));
    }
    all
}

/// The figures of a window: as published, of what was replayed and (turns, multi-turn, top user) of what was there
/// before prompts over 24,000 tokens were left out.
struct Window {
    name: &'static str,
    requests: usize,
    users: usize,
    per_user: f64,
    top_user: f64,
    multi_turn: f64,
    /// Mean, median, P90, most.
    turns: [f64; 4],
    /// Median, mean, P95.
    input: [f64; 3],
    /// Global, within users.
    reuse: [f64; 2],
}

const WINDOWS: [Window; 3] = [
    Window {
        name: "apr5",
        requests: 7_195,
        users: 579,
        per_user: 12.8,
        top_user: 0.214 * 10_694.0,
        multi_turn: 0.739,
        turns: [30.3, 10.0, 91.0, 279.0],
        input: [5_638.0, 6_877.0, 19_886.0],
        reuse: [0.788, 0.785],
    },
    Window {
        name: "apr6",
        requests: 7_630,
        users: 606,
        per_user: 12.9,
        top_user: 0.204 * 11_759.0,
        multi_turn: 0.741,
        turns: [27.7, 8.0, 93.0, 271.0],
        input: [5_787.0, 7_008.0, 20_974.0],
        reuse: [0.776, 0.771],
    },
    Window {
        name: "apr7",
        requests: 8_663,
        users: 540,
        per_user: 16.4,
        top_user: 0.157 * 12_526.0,
        multi_turn: 0.737,
        turns: [21.5, 5.0, 63.0, 320.0],
        input: [5_745.0, 7_148.0, 20_435.0],
        reuse: [0.879, 0.874],
    },
];

#[track_caller]
fn near(what: &str, got: f64, wanted: f64, share: f64) {
    assert!((got / wanted - 1.0).abs() <= share, "{what}: {got}, not {wanted}");
}

/// The value at rank ceil(share × n).
fn percentile(values: &mut [u64], share: f64) -> f64 {
    values.sort_unstable();
    values[(share * values.len() as f64).ceil() as usize - 1] as f64
}

/// Share of blocks that earlier prompts had: anybody's, and the same user's.
fn reuse(all: &[(Nanos, Request)]) -> [f64; 2] {
    let (mut seen, mut own) = (BTreeSet::<BlockId>::new(), BTreeSet::<(u64, BlockId)>::new());
    let (mut blocks, mut hits) = (0_u64, [0_u64; 2]);
    for (_, request) in all {
        let user = request.user.expect("known");
        for &id in request.prompt.ids() {
            blocks += 1;
            hits[0] += u64::from(!seen.insert(id));
            hits[1] += u64::from(!own.insert((user, id)));
        }
    }
    hits.map(|hits| hits as f64 / blocks as f64)
}

/// Turns of each conversation when the window ends.
fn turns(all: &[(Nanos, Request)]) -> Vec<u64> {
    let mut turns = BTreeMap::new();
    for (_, request) in all.iter().filter(|(_, request)| request.has_session) {
        turns.insert(request.id.session, u64::from(request.id.turn) + 1);
    }
    turns.into_values().collect()
}

fn count_by_user(all: &[(Nanos, Request)]) -> BTreeMap<u64, usize> {
    let mut by_user = BTreeMap::new();
    for (_, request) in all {
        *by_user.entry(request.user.expect("known")).or_insert(0) += 1;
    }
    by_user
}

#[test]
fn session_affinity_sends_the_busiest_user_of_5_april_to_seoul() {
    let text = include_str!("../../../scenarios/papers/v2_apr5.toml");
    let fleet: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert_eq!(fleet[1..4], ["\"seoul\"", "\"frankfurt\"", "\"ashburn\""]);
    let held = text.lines().find(|line| line.starts_with("top_user_text")).expect("it is held");
    let keys = format!("requests = 200\nblock_tokens = 16\n{held}\n");
    let all = all(&requests(&keys, 9));
    let (_, request) = all.iter().find(|(_, request)| request.user == Some(0)).expect("asks");
    assert_eq!(python_tuple_hash(&[prefix_key(&request.prompt)]).rem_euclid(3), 0);
}

/// The prompts of the busiest user (number 0) and of the others, in order.
fn prompts(keys: &str, seed: u64) -> [Vec<Vec<BlockId>>; 2] {
    let requests = all(&requests(keys, seed));
    let of = |top: bool| {
        let sent = requests.iter().filter(|(_, request)| (request.user == Some(0)) == top);
        sent.map(|(_, request)| request.prompt.ids().to_vec()).collect::<Vec<_>>()
    };
    [of(true), of(false)]
}

#[test]
fn a_held_text_is_the_busiest_users_under_every_seed_and_nobody_elses() {
    let drawn = "requests = 400\nblock_tokens = 16\n";
    let held = format!("{drawn}top_user_text = 3\n");
    let [[first, others], [again, other_others]] = [1, 2].map(|seed| prompts(&held, seed));
    assert!(first.len() > 100 && first.len() == again.len());
    assert!(first.iter().chain(&again).all(|prompt| *prompt == first[0]), "one prompt, one text");
    let known: BTreeSet<_> = others.iter().map(|prompt| prompt.last()).collect();
    assert!(!other_others.iter().any(|prompt| known.contains(&prompt.last())), "drawn anew");
    // Another number is another text, and without one it is drawn as well.
    let other_text = prompts(&held.replace('3', "4"), 1);
    assert_ne!(other_text[0][0], first[0]);
    assert_ne!(prompts(drawn, 1)[0][0], prompts(drawn, 2)[0][0]);
    // Who asks what and when is not touched by it.
    let plan = |keys: &str| {
        let requests = all(&requests(keys, 1));
        let one = |(at, r): &(Nanos, Request)| (*at, r.user, r.prompt.tokens(), r.output_tokens);
        requests.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(plan(&held), plan(drawn));
}

#[test]
fn every_window_has_its_published_figures_whatever_the_seed() {
    for window in &WINDOWS {
        for seed in [1, 2, 3] {
            let requests = requests(&format!("window = \"{}\"", window.name), seed);
            let all = all(&requests);
            let what = |what: &str| format!("{}, seed {seed}: {what}", window.name);
            assert_eq!(all.len(), window.requests, "{}", what("requests"));
            let by_user = count_by_user(&all);
            assert_eq!(by_user.len(), window.users, "{}", what("users"));
            // The published quotient is not that of the published numbers (12.8 and 7,195 / 579): 3 % lie between.
            near(
                &what("requests a user"),
                all.len() as f64 / by_user.len() as f64,
                window.per_user,
                0.03,
            );
            let top = *by_user.values().max().expect("some") as f64;
            near(&what("busiest user"), top, window.top_user, 0.02);
            let multi = all.iter().filter(|(_, request)| request.id.turn > 0).count() as f64;
            near(&what("multi-turn"), multi / all.len() as f64, window.multi_turn, 0.02);
            let mut turns = turns(&all);
            let mean = turns.iter().sum::<u64>() as f64 / turns.len() as f64;
            near(&what("turns"), mean, window.turns[0], 0.02);
            near(&what("median of turns"), percentile(&mut turns, 0.5), window.turns[1], 0.02);
            near(&what("P90 of turns"), percentile(&mut turns, 0.9), window.turns[2], 0.02);
            near(&what("most turns"), percentile(&mut turns, 1.0), window.turns[3], 0.02);
            let mut input: Vec<u64> = all.iter().map(|(_, one)| one.prompt.tokens().0).collect();
            let mean = input.iter().sum::<u64>() as f64 / input.len() as f64;
            near(&what("input mean"), mean, window.input[1], 0.02);
            near(&what("input median"), percentile(&mut input, 0.5), window.input[0], 0.02);
            near(&what("input P95"), percentile(&mut input, 0.95), window.input[2], 0.02);
            assert!(percentile(&mut input, 1.0) <= 23_872.0, "{}", what("longest"));
            let got = reuse(&all);
            for (got, wanted) in got.into_iter().zip(window.reuse) {
                assert!((got - wanted).abs() < 0.01, "{}: {got}, not {wanted}", what("reuse"));
            }
            let mut source = requests.source().expect("planned");
            let info = TraceInfo::of(&mut *source).expect("readable");
            assert!((info.prefix_block_hit_rate_infinite - got[0]).abs() < 1e-9, "trace info");
            let whole = all.iter().filter(|(_, one)| one.output_tokens.0 == 128).count() as f64;
            near(&what("whole answers"), whole / all.len() as f64, 0.98, 0.01);
            assert!((1_790.0..=1_800.0).contains(&info.span_s), "{}", info.span_s);
            assert!((info.interarrival_cv.expect("many") - 1.0).abs() < 0.06, "Poisson");
        }
    }
}

#[test]
fn consecutive_requests_of_a_user_share_the_shorter_one() {
    let all = all(&requests("block_tokens = 16\nrequests = 1_500", 4));
    let mut last: BTreeMap<u64, &Request> = BTreeMap::new();
    let mut pairs = 0;
    for (_, request) in &all {
        if let Some(before) = last.insert(request.user.expect("known"), request) {
            let common = before.prompt.ids().iter().zip(request.prompt.ids());
            let common = common.take_while(|(a, b)| a == b).count() as u64;
            let shorter = before.prompt.tokens().0.min(request.prompt.tokens().0);
            assert!(common >= shorter / 16, "{common} blocks of {shorter} tokens");
            pairs += 1;
        }
        // All begin with the template, whole in a block of 16.
        assert!(
            request.prompt.tokens().0 < 16 || request.prompt.ids()[0] == all[0].1.prompt.ids()[0]
        );
    }
    assert!(pairs > 1_000, "{pairs} pairs");
}

#[test]
fn another_seed_is_another_assignment_and_the_same_seed_the_same() {
    let one = all(&requests("requests = 2_000", 1));
    assert_eq!(one, all(&requests("requests = 2_000", 1)));
    let two = all(&requests("requests = 2_000", 2));
    let prompts = |all: &[(Nanos, Request)]| {
        all.iter().map(|(_, one)| one.prompt.ids()[0]).collect::<BTreeSet<_>>()
    };
    // Not even the template is the same text.
    assert!(prompts(&one).is_disjoint(&prompts(&two)));
    let users = |all: &[(Nanos, Request)]| all.iter().map(|(_, one)| one.user).collect::<Vec<_>>();
    assert_ne!(users(&one), users(&two));
}

/// Share of a user's gaps that are below 30 s, the busiest user left out.
fn short_gaps(all: &[(Nanos, Request)]) -> f64 {
    let (mut last, mut gaps, mut short) = (BTreeMap::new(), 0, 0);
    for (at, request) in all.iter().filter(|(_, request)| request.user != Some(0)) {
        if let Some(before) = last.insert(request.user, *at) {
            gaps += 1;
            short += u32::from(*at - before < Nanos::from_secs(30));
        }
    }
    f64::from(short) / f64::from(gaps)
}

#[test]
fn bursts_are_a_key_and_change_no_figure() {
    let even = all(&requests("bursts = { requests = 1, gap = \"0s\" }", 1));
    let bursts = all(&requests("bursts = { requests = 8, gap = \"5s\" }", 1));
    assert!(
        short_gaps(&bursts) > short_gaps(&even) + 0.2,
        "{} {}",
        short_gaps(&bursts),
        short_gaps(&even)
    );
    for all in [even, bursts] {
        assert!((reuse(&all)[1] - 0.785).abs() < 0.01, "reuse {}", reuse(&all)[1]);
        assert_eq!(count_by_user(&all).len(), 579);
    }
}

#[test]
fn real_arrivals_get_users_and_prompts() {
    const FILE: &str = "../shared/data/gorgo/apr5_1615_arrivals.csv.gz";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FILE);
    if !file.exists() {
        eprintln!("skipped: {} is not here", file.display());
        return;
    }
    let keys = format!("arrivals = \"{FILE}\"");
    for seed in [1, 2] {
        let requests = requests(&keys, seed);
        let got = all(&requests);
        assert_eq!(got.len(), 7_195);
        let table = gorgo_workload::open(&file, gorgo_workload::TraceOptions::default());
        let mut table = table.expect("readable");
        for (at, request) in &got {
            let (wanted_at, wanted) = table.take().expect("as many");
            assert_eq!(*at, wanted_at);
            assert_eq!(request.prompt.tokens(), wanted.prompt.tokens());
            assert_eq!(request.output_tokens, wanted.output_tokens);
        }
        let by_user = count_by_user(&got);
        assert_eq!((by_user.len(), by_user[&0]), (579, 2_295));
        let reuse = reuse(&got);
        assert!((reuse[0] - 0.788).abs() < 0.01 && (reuse[1] - 0.785).abs() < 0.01, "{reuse:?}");
        let multi = got.iter().filter(|(_, request)| request.id.turn > 0).count() as f64;
        near("multi-turn", multi / 7_195.0, 0.739, 0.02);
        let mut turns = turns(&got);
        let mean = turns.iter().sum::<u64>() as f64 / turns.len() as f64;
        near("turns", mean, 30.3, 0.02);
        near("median of turns", percentile(&mut turns, 0.5), 10.0, 0.02);
    }
    // A part of the table, twice as fast.
    let keys = format!("arrivals = \"{FILE}\"\nrequests = 1_000\n[load.recorded]\nspeedup = 2.0");
    let part = all(&requests(&keys, 1));
    assert_eq!((part.len(), count_by_user(&part).len()), (1_000, 81));
    let table = gorgo_workload::open(&file, gorgo_workload::TraceOptions::default());
    let mut table = table.expect("readable");
    let last = (0..1_000).map(|_| table.take().expect("a row").0).last().expect("some");
    assert!((part[999].0.as_s() * 2.0 - last.as_s()).abs() < 1e-3, "{:?} {last:?}", part[999].0);
}

#[test]
fn what_is_written_out_runs_again() {
    for keys in ["window = \"apr7\"\nrequests = 900", "arrivals = \"x.csv\"\nusers = 5"] {
        let once = resolve(&format!("[workload.art_chat]\n{keys}\n")).expect("valid");
        let written = once.to_toml();
        let twice = Parsed::new("again", &written, &[] as &[&str]);
        let twice = twice.and_then(|parsed| parsed.resolve(Path::new(""))).expect("valid");
        assert_eq!(twice.to_toml(), written);
        assert_eq!(twice.demand, once.demand);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (keys, wanted) in [
        ("window = \"apr8\"", "apr5"),
        ("users = 0", "got 0, wanted a whole number from 1"),
        ("requests = 100\nusers = 90", "users: got 90"),
        ("top_user_share = 1.0", "users"),
        ("reuse_intra_user = 1.5", "got 1.5"),
        ("reuse_intra_user = nan", "NaN"),
        ("multi_turn_share = -0.5", "-0.5"),
        ("block_tokens = 0", "block_tokens: got 0"),
        ("reuse_block_tokens = 0", "reuse_block_tokens: got 0"),
        ("bursts = { requests = 0, gap = \"1s\" }", "bursts.requests: got 0"),
        ("bursts = { requests = 1, gap = \"-1s\" }", "-1s"),
        ("span = \"0s\"", "0s"),
        ("turns = { mean = 1.0, median = 10.0, p90 = 91.0, max = 279.0 }", "turns.mean: got 1"),
        ("turns = { mean = 200.0, median = 10.0, p90 = 91.0, max = 279.0 }", "turns.mean: got 200"),
        ("turns = { mean = 30.0, median = 10.0, p90 = 5.0, max = 279.0 }", "turns.p90: got 5"),
        (
            "input_tokens = { top_user = 17, median = 100, mean = 90000.0, p95 = 200, max = 300 }",
            "input_tokens.mean: got 90000",
        ),
        (
            "input_tokens = { top_user = 17, median = 100, mean = 290.0, p95 = 200, max = 300 }",
            "input_tokens.mean: got 290",
        ),
        ("arrivals = \"x.csv\"\nspan = \"1s\"", "got span beside arrivals"),
        (
            "arrivals = \"x.csv\"\ninput_tokens = { top_user = 17, median = 100, mean = 90.0, p95 = 200, max = 300 }",
            "beside arrivals",
        ),
        ("arrivals = \"\"", "wanted the path of a file"),
        ("origins = [{ share = 1.0, country = \"Atlantis\" }]", "Atlantis"),
        ("wild = true", "wild"),
        ("[load]\nturns = \"after-previous\"", "after-previous"),
        ("[load.recorded]\nfrom = \"10s\"", "got a window of art_chat"),
    ] {
        let error = resolve(&format!("[workload.art_chat]\n{keys}\n")).expect_err(keys);
        assert!(error.contains("test:") && error.contains(wanted), "{keys}\n{error}");
    }
    // A table with fewer requests than users is only known when it is read.
    let folder = std::env::temp_dir().join(format!("gorgo-art-chat-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("writable");
    let file = folder.join("few.csv");
    std::fs::write(&file, "request_id,arrival_ms,input_tokens,output_tokens\na,0,5,5\nb,1,6,5\n")
        .expect("written");
    let keys = format!("[workload.art_chat]\narrivals = {:?}\n", file.display().to_string());
    let error = resolve(&keys).expect("valid").requests().expect_err("579 users").to_string();
    assert!(error.contains("users") && error.contains("got 579"), "{error}");
    std::fs::remove_dir_all(&folder).expect("removable");
}

#[test]
fn a_reuse_that_cannot_be_had_is_told_of() {
    let source = requests("requests = 400\nreuse_intra_user = 0.99", 1).source().expect("planned");
    let warnings = source.warnings().join("\n");
    assert!(warnings.contains("not 99.0 %"), "{warnings}");
}
