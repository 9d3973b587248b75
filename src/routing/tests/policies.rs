//! What holds for every policy, and the quirks of single ones.
//!
//! The rules themselves are compared with a naive re-statement in `generated_logs`.

use gorgo_routing::log::{Cost, Hex, LogHead, LogLine, LogRow, VERSION};
use gorgo_routing::policy::gorgo::{Gorgo, Parameters};
use gorgo_routing::policy::parameter::Wanted;
use gorgo_routing::policy::session_affinity::{prefix_key, python_tuple_hash};
use gorgo_routing::policy::{Configured, DrawUse};
use gorgo_routing::verify::recorded::RecordedColumns;
use gorgo_routing::verify::{Case, verify};
use gorgo_routing::{Decision, Policy, Question, RoutingRequest, Signals, Target, registry};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use proptest::prelude::*;
use serde_json::{Value, json};

const BLOCK: u32 = 16;

fn prompt(tokens: u64) -> BlockChain {
    let blocks = tokens.div_ceil(u64::from(BLOCK));
    BlockChain::from_raw_ids(0..blocks, Tokens(tokens), BLOCK).unwrap()
}

fn question<'a>(prompt: &'a BlockChain, candidates: &'a [Signals], draw: u64) -> Question<'a> {
    let request = RoutingRequest {
        id: RequestId { session: 3, turn: 1 },
        prompt,
        max_tokens: Tokens(128),
        session: None,
        hops: 0,
        residency: None,
    };
    Question::new(Nanos(9), request, candidates, draw, None)
}

fn replica(index: u32) -> Signals {
    Signals { scraped_at: Some(Nanos(1)), ..Signals::unknown(ReplicaId(index), RegionId(index)) }
}

fn build(name: &str, parameters: Value) -> Box<dyn Policy> {
    registry::build(name, parameters).unwrap()
}

fn decide(policy: &dyn Policy, prompt: &BlockChain, candidates: &[Signals]) -> Decision {
    let mut decision = Decision::new();
    policy.decide(&question(prompt, candidates, 0), &mut decision);
    decision
}

// ------------------------------------------------------------------------------------------------ for every policy

fn any_signals(index: u32) -> impl Strategy<Value = Signals> {
    let time = || proptest::option::of(prop_oneof![0.0..900.0, Just(0.0), Just(f64::MAX)]);
    let tokens = || prop_oneof![Just(0u64), 0..50u64, 0..2_000_000u64, Just(u64::from(u32::MAX))];
    let requests = || prop_oneof![Just(0u32), 0..12u32, Just(u32::MAX)];
    let counts = (requests(), requests(), requests());
    let sums = (tokens(), tokens(), tokens(), tokens());
    (time(), time(), counts, sums, prop::bool::weighted(0.8)).prop_map(
        move |(rtt, scrape, (running, queued, in_flight), (used, pool, own, cached), eligible)| {
            Signals {
                rtt_ewma_ms: rtt,
                scrape_latency_ms: scrape,
                running_requests: running,
                queued_requests: queued,
                in_flight_requests: in_flight,
                used_tokens: used,
                kv_pool_tokens: pool,
                queued_tokens: own,
                cached_tokens: cached,
                eligible,
                ..replica(index)
            }
        },
    )
}

fn any_fleet() -> impl Strategy<Value = Vec<Signals>> {
    (1..10u32).prop_flat_map(|n| (0..n).map(any_signals).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decisions_are_sound(
        fleet in any_fleet(),
        tokens in 1..5000u64,
        draw: u64,
        memory in proptest::option::of(0..12u64),
    ) {
        let prompt = prompt(tokens);
        let question = question(&prompt, &fleet, draw);
        for name in registry::names() {
            let mut policy = build(name, json!({}));
            memory.into_iter().for_each(|memory| policy.recall(memory));
            let (mut first, mut again) = (Decision::new(), Decision::new());
            policy.decide(&question, &mut first);
            again.start("left over", &["one", "two"]);
            again.push(1.0, &[0.0, 1.0]);
            policy.decide(&question, &mut again);
            prop_assert_eq!(&first, &again, "{}: deciding is no function of the question", name);
            prop_assert_eq!(first.scores().len(), fleet.len());
            prop_assert!(first.scores().iter().all(|s| !s.is_nan() && *s > f64::NEG_INFINITY));
            let terms = (0..fleet.len()).flat_map(|i| first.terms(i));
            prop_assert!(terms.clone().all(|term| term.is_finite()), "{}: {:?}", name, first);
            match first.target {
                Target::Replica(chosen) => prop_assert!(fleet[chosen.index()].eligible),
                Target::Queue => prop_assert!(
                    matches!(*name, "gorgo-proxy" | "gorgo-regional") || fleet.iter().all(|s| !s.eligible), "{}", name),
                Target::Reject => prop_assert!(false, "{} rejects", name),
            }
            if policy.additive() {
                for (i, &score) in first.scores().iter().enumerate().filter(|(_, s)| s.is_finite()) {
                    prop_assert_eq!(score, first.terms(i).iter().sum::<f64>(), "{}", name);
                }
            }
        }
    }

    /// In another order the same replica is chosen, where neither a tie nor the order itself decides.
    #[test]
    fn order_does_not_matter(
        fleet in any_fleet(),
        tokens in 1..5000u64,
        shift in 0..9usize,
    ) {
        let prompt = prompt(tokens);
        let mut turned = fleet.clone();
        turned.rotate_left(shift % fleet.len());
        for name in registry::names() {
            let policy = build(name, json!({}));
            let by_order = ["round-robin", "session-affinity"].contains(name);
            if by_order || policy.draw_use() == DrawUse::Sample {
                continue;
            }
            let one = decide(&*policy, &prompt, &fleet);
            if one.tied == 1 {
                prop_assert_eq!(one.target, decide(&*policy, &prompt, &turned).target, "{}", name);
            }
        }
    }

    #[test]
    fn a_row_survives_json(fleet in any_fleet(), tokens in 1..5000u64, draw: u64) {
        let prompt = prompt(tokens);
        let question = question(&prompt, &fleet, draw);
        let mut decision = Decision::new();
        for name in registry::names() {
            let policy = build(name, json!({}));
            policy.decide(&question, &mut decision);
            let line = LogLine::new(&question, &decision, &*policy);
            let text = serde_json::to_string(&line).unwrap();
            let row: LogRow = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&row, &line.to_row());
            prop_assert_eq!(serde_json::to_string(&row).unwrap(), text);
            let case = Case::try_from(row).unwrap();
            prop_assert_eq!(&case.candidates, &fleet);
            prop_assert_eq!(case.chosen, decision.target);
        }
    }
}

#[test]
fn without_an_eligible_replica_the_request_waits() {
    let mut fleet = vec![replica(0), replica(1)];
    fleet.iter_mut().for_each(|candidate| candidate.eligible = false);
    for name in registry::names() {
        let decision = decide(&*build(name, json!({})), &prompt(100), &fleet);
        assert_eq!((decision.target, decision.tied), (Target::Queue, 0), "{name}");
        assert_eq!(decision.scores().len(), 2, "{name}: its candidates are scored all the same");
    }
}

// ---------------------------------------------------------------------------------------------------- the registry

#[test]
fn every_policy_says_what_it_is() {
    for name in registry::names() {
        assert_eq!(build(name, json!({})).name(), *name);
        assert!(!registry::describe(name).unwrap().contains('\n'));
        let listed = registry::parameters(name).unwrap();
        let (_, complete) =
            registry::resolve(name, json!({}), serde_json::value::Serializer).unwrap();
        let complete = complete.unwrap();
        for parameter in listed {
            let default = complete.get(parameter.name);
            match (parameter.wanted, default) {
                (Wanted::PerReplica, None) => {}
                (Wanted::Number { .. } | Wanted::Positive { .. }, Some(Value::Number(number))) => {
                    assert_eq!(number.as_f64(), Some(parameter.number()), "{name}");
                }
                (Wanted::Flag, Some(flag)) => {
                    assert_eq!(flag.to_string(), parameter.default.to_string());
                }
                (Wanted::Word(words), Some(Value::String(word))) => {
                    assert_eq!(*word, parameter.default.to_string());
                    assert!(words.contains(&word.as_str()));
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        let known: Vec<&str> = listed.iter().map(|parameter| parameter.name).collect();
        assert!(complete.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())));
    }
    assert_eq!(registry::describe("gorg"), None);
    assert_eq!(registry::parameters("gorg"), None);
}

#[test]
fn wrong_parameters_say_where_what_and_what_was_wanted() {
    let wrong = [
        ("gorgo", "w_rtt = -0.5", "`w_rtt` is -0.5, wanted a number from 0 to 1e9"),
        ("gorgo", "w_rtt = nan", "`w_rtt` is NaN, wanted"),
        ("gorgo", "w_queue = inf", "`w_queue` is inf, wanted"),
        ("gorgo", "w_used = 'much'", "expected `w_used` to be a number from 0 to 1e9"),
        ("gorgo", "w_net = 1", "unknown field `w_net`, expected one of `w_rtt`"),
        ("gorgo", "[replicas.2]\nw_rtt = -1", "`w_rtt` is -1, wanted"),
        ("gorgo", "[replicas.2]\nw_net = 1", "unknown field `w_net`"),
        ("gorgo", "[replicas.second]\nw_rtt = 1", "expected a replica's index"),
        ("gorgo-proxy", "kv_threshold = 0", "`kv_threshold` is 0, wanted a number above 0"),
        ("gorgo-proxy", "whole_ms = 1", "expected a boolean"),
        ("gorgo-abg", "hit_floor = 1.5", "`hit_floor` is 1.5, wanted a number above 0 and at most"),
        ("prefix-cache", "imbalance = -1", "`imbalance` is -1, wanted"),
        ("power-of-two", "load = 'queue'", "unknown variant `queue`, expected one of `in-flight`"),
        ("random", "seed = 1", "unknown field `seed`"),
    ];
    for (policy, text, wanted) in wrong {
        let table = toml::Deserializer::parse(text).unwrap();
        let error = registry::build(policy, table).unwrap_err().to_string();
        assert!(error.contains(wanted), "{policy} {text}: {error}");
        let line = if text.contains("second") { 1 } else { text.lines().count() };
        assert!(error.contains(&format!("at line {line}, column")), "{policy} {text}: {error}");
    }
    let error = registry::build("gorg", json!({})).unwrap_err().to_string();
    assert!(error.contains("`gorg`, wanted one of round-robin, random"), "{error}");
    // The same bounds hold for parameters that never were text.
    let error = Gorgo::new(Parameters { w_rtt: f64::NAN, ..Parameters::default() }).unwrap_err();
    assert_eq!((error.parameter, error.value.is_nan()), ("w_rtt", true));
}

#[test]
fn resolved_parameters_build_the_same_policy() {
    let text = "w_rtt = 2\n[replicas.1]\nw_used = 3\n";
    let out = serde_json::value::Serializer;
    let table = toml::Deserializer::parse(text).unwrap();
    let (policy, complete) = registry::resolve("gorgo", table, out).unwrap();
    let complete = complete.unwrap();
    let wanted = json!({ "w_rtt": 2.0, "w_prefill": 1.0, "w_queue": 0.5, "w_used": 0.0, "queue_uncached_only": false,
        "replicas": { "1": { "w_used": 3.0 } } });
    assert_eq!(complete, wanted);
    assert_eq!(format!("{policy:?}"), format!("{:?}", build("gorgo", complete)));
}

// ------------------------------------------------------------------------------------------------------ the quirks

#[test]
fn the_tuple_hash_is_pythons() {
    // Printed by CPython 3.11: hash((0,)), hash((1,)), ...
    let known: [(&[u64], i64); 9] = [
        (&[], 5_740_354_900_026_072_187),
        (&[0], -8_753_497_827_991_233_192),
        (&[1], -6_644_214_454_873_602_895),
        (&[7], -6_198_871_656_470_064_846),
        (&[123_456_789], 6_549_436_080_114_050_036),
        (&[(1 << 61) - 1], -8_753_497_827_991_233_192),
        (&[1 << 61], -6_644_214_454_873_602_895),
        (&[u64::MAX], -6_198_871_656_470_064_846),
        (&[1, 2, 3], 529_344_067_295_497_451),
    ];
    for (words, hash) in known {
        assert_eq!(python_tuple_hash(words), hash, "{words:?}");
    }
    assert_eq!(python_tuple_hash(&[5; 256]), -8_559_841_429_078_165_886);
}

#[test]
fn prompts_share_a_replica_when_their_first_256_tokens_agree() {
    let chain = |raw: Vec<u64>, tokens| BlockChain::from_raw_ids(raw, Tokens(tokens), 16).unwrap();
    let long = |tail: u64| chain((0..16).chain([tail, tail]).collect(), 288);
    assert_eq!(prefix_key(&long(100)), prefix_key(&long(200)));
    assert_eq!(prefix_key(&long(100)), long(100).ids()[15].0);
    let other = chain((0..15).chain([99, 16, 17]).collect(), 288);
    assert_ne!(prefix_key(&long(100)), prefix_key(&other));
    // A shorter prompt is its own key, a block larger than 256 tokens is one key.
    assert_eq!(prefix_key(&prompt(40)), prompt(40).ids()[2].0);
    let coarse = BlockChain::from_raw_ids([1, 2, 3], Tokens(1500), 512).unwrap();
    assert_eq!(prefix_key(&coarse), coarse.ids()[0].0);
}

#[test]
fn sessions_spread_and_stay() {
    let policy = build("session-affinity", json!({}));
    let mut fleet: Vec<Signals> = (0..3).map(replica).collect();
    let prompt = prompt(40);
    let mut decision = Decision::new();
    let mut home_of = |session: u64, fleet: &[Signals]| {
        let mut question = question(&prompt, fleet, 0);
        question.request.session = Some(session);
        policy.decide(&question, &mut decision);
        decision.target
    };
    let homes: Vec<Target> = (0..3000).map(|session| home_of(session, &fleet)).collect();
    for index in 0..3 {
        let share = homes.iter().filter(|&&home| home == Target::Replica(ReplicaId(index))).count();
        assert!((900..1100).contains(&share), "replica {index} has {share} of 3,000 sessions");
    }
    // When a home is away, its sessions go to the next replica and no other session moves.
    fleet[2].eligible = false;
    for (session, &home) in (0..).zip(&homes) {
        let moved = if home == Target::Replica(ReplicaId(2)) { ReplicaId(0) } else { continue };
        assert_eq!(home_of(session, &fleet), Target::Replica(moved));
    }
}

#[test]
fn round_robin_waits_for_the_dispatch() {
    let mut policy = build("round-robin", json!({}));
    let (prompt, mut fleet) = (prompt(10), (0..4).map(replica).collect::<Vec<_>>());
    let request = question(&prompt, &fleet, 0).request;
    for expected in [0, 1, 2, 3, 0] {
        let wanted = Target::Replica(ReplicaId(expected));
        assert_eq!(decide(&*policy, &prompt, &fleet).target, wanted);
        assert_eq!(decide(&*policy, &prompt, &fleet).target, wanted, "deciding moves nothing");
        policy.on_dispatched(&request, &fleet[expected as usize]);
    }
    fleet[1].eligible = false;
    assert_eq!(decide(&*policy, &prompt, &fleet).target, Target::Replica(ReplicaId(2)));
    fleet.remove(2);
    assert_eq!(decide(&*policy, &prompt, &fleet).target, Target::Replica(ReplicaId(3)));
}

/// In gotoni the match is taken off the whole sum, so it can outweigh the network and the queue.
#[test]
fn gorgo_proxy_takes_the_match_off_the_whole_sum() {
    let mut fleet = vec![replica(0), replica(1)];
    fleet[0].rtt_ewma_ms = Some(2.9);
    fleet[1] = Signals {
        rtt_ewma_ms: Some(40.0),
        cached_tokens: 1000,
        queued_tokens: 600,
        in_flight_requests: 2,
        queued_requests: 1,
        ..fleet[1].clone()
    };
    let decision = decide(&*build("gorgo-proxy", json!({})), &prompt(1000), &fleet);
    // The far replica: 600 running tokens at half price, one waiting request of 300 tokens, and nothing for itself.
    let far = 600.0 * 0.094 * 0.5 + 300.0 * 0.094 + 40.0;
    assert!((decision.scores()[1] - far).abs() < 1e-9, "{decision:?}");
    // The near one: the round trip in whole milliseconds, cut off, and the whole prompt.
    assert!((decision.scores()[0] - (2.0 + 94.0)).abs() < 1e-9, "{decision:?}");
    assert_eq!(decision.target, Target::Replica(ReplicaId(0)));
    // Nothing tracked: a waiting request counts for 500 tokens.
    fleet[0].queued_requests = 3;
    let decision = decide(&*build("gorgo-proxy", json!({})), &prompt(1000), &fleet);
    assert!((decision.scores()[0] - (2.0 + 94.0 + 3.0 * 500.0 * 0.094)).abs() < 1e-9);
    assert_eq!(decision.target, Target::Replica(ReplicaId(1)));
}

#[test]
fn gorgo_proxy_leaves_out_a_full_replica() {
    let mut fleet = vec![replica(0), replica(1)];
    fleet[1].rtt_ewma_ms = Some(500.0);
    (fleet[0].used_tokens, fleet[0].kv_pool_tokens) = (95, 100);
    let policy = build("gorgo-proxy", json!({}));
    assert_eq!(decide(&*policy, &prompt(9), &fleet).target, Target::Replica(ReplicaId(1)));
    fleet[0].used_tokens = 94;
    assert_eq!(decide(&*policy, &prompt(9), &fleet).target, Target::Replica(ReplicaId(0)));
}

/// GORGO v2 counts prompts that are queued whole, also where they hit the cache, and prices tokens and milliseconds
/// against each other.
#[test]
fn gorgo_prices_the_paper_s_units() {
    let near = Signals { rtt_ewma_ms: Some(21.0), queued_tokens: 2000, ..replica(0) };
    let far = Signals { rtt_ewma_ms: Some(208.0), cached_tokens: 900, ..replica(1) };
    let decision = decide(&*build("gorgo", json!({})), &prompt(1000), &[near, far]);
    assert_eq!(decision.terms(0), [0.276 * 21.0, 1000.0, 1000.0, 0.0]);
    assert_eq!(decision.terms(1), [0.276 * 208.0, 100.0, 0.0, 0.0]);
    assert_eq!(decision.target, Target::Replica(ReplicaId(1)));
}

/// With three replicas no value lies two sample deviations above the mean, so the longest match is never left.
#[test]
fn prefix_cache_cannot_leave_a_match_among_three() {
    let policy = build("prefix-cache", json!({}));
    for running in 0..=8 {
        let mut fleet: Vec<Signals> = (0..3).map(replica).collect();
        (fleet[0].running_requests, fleet[0].cached_tokens) = (running, 16);
        let decision = decide(&*policy, &prompt(100), &fleet);
        assert_eq!((decision.rule, decision.target), ("match", Target::Replica(ReplicaId(0))));
    }
}

/// The deviation is the sample's (n - 1): of 0, 1 and 2 running it is 1, so 2 is not overloaded.
#[test]
fn prefix_cache_takes_the_sample_deviation() {
    let policy = build("prefix-cache", json!({ "std_factor": 1, "shorter_matches": true }));
    let mut fleet: Vec<Signals> = (0..3).map(replica).collect();
    for (running, candidate) in (0..).zip(&mut fleet) {
        candidate.running_requests = running;
    }
    fleet[2].cached_tokens = 32;
    fleet[1].cached_tokens = 16;
    let decision = decide(&*policy, &prompt(100), &fleet);
    assert_eq!((decision.rule, decision.target), ("match", Target::Replica(ReplicaId(2))));
    fleet[2].running_requests = 3;
    let decision = decide(&*policy, &prompt(100), &fleet);
    assert_eq!((decision.rule, decision.target), ("match", Target::Replica(ReplicaId(1))));
    fleet[1].cached_tokens = 0;
    let decision = decide(&*policy, &prompt(100), &fleet);
    assert_eq!(decision.rule, "match-overloaded");
    assert_eq!(decision.target, Target::Replica(ReplicaId(0)), "least-request");
}

#[test]
fn abg_terms_stay_in_their_bounds() {
    let full = Signals {
        used_tokens: 500,
        kv_pool_tokens: 100,
        in_flight_requests: 99,
        cached_tokens: 9_999,
        ..replica(0)
    };
    let decision = decide(&*build("gorgo-abg", json!({})), &prompt(10), &[full, replica(1)]);
    assert_eq!(decision.terms(0), [0.0, 10.0, 200.0]);
    assert_eq!(decision.terms(1), [0.0, 200.0, 10.0]);
}

// ------------------------------------------------------------------------------------------------------- the logs

#[test]
fn a_tampered_log_does_not_match() {
    let (prompt, mut fleet) = (prompt(100), vec![replica(0), replica(1), replica(2)]);
    fleet[1].rtt_ewma_ms = Some(10.0);
    fleet[2].rtt_ewma_ms = Some(20.0);
    let policy = build("gorgo", json!({}));
    let decision = decide(&*policy, &prompt, &fleet);
    let row = LogLine::new(&question(&prompt, &fleet, 0), &decision, &*policy).to_row();
    let replay = |row: &LogRow| {
        verify(build("gorgo", json!({})), [Case::try_from(row.clone()).unwrap()]).unwrap()
    };
    assert_eq!((replay(&row).matched, replay(&row).scores_changed), (1, 0));
    let mut other = row.clone();
    other.chosen = Target::Replica(ReplicaId(1));
    let report = replay(&other);
    assert_eq!((report.matched, report.total), (0, 1));
    let text = report.mismatches[0].to_string();
    assert!(text.contains("3.1: recorded replica 1, decided replica 0 by `score`"), "{text}");
    let mut other = row;
    other.scores[2] = Cost(1.0);
    assert_eq!((replay(&other).matched, replay(&other).scores_changed), (1, 1));
}

/// Before the first scrape, without replicas and with a full queue it is the router that decides.
#[test]
fn what_the_router_decides_is_replayed_too() {
    let prompt = prompt(100);
    let unscraped: Vec<Signals> =
        (0..3).map(|i| Signals { scraped_at: None, ..replica(i) }).collect();
    let closed = [Signals { eligible: false, ..replica(0) }];
    let policy = build("gorgo", json!({}));
    let mut decision = Decision::new();
    let mut cases = Vec::new();
    for (draw, fleet) in [(u64::MAX, &unscraped[..]), (0, &[]), (0, &closed)] {
        let question = question(&prompt, fleet, draw);
        gorgo_routing::decide(&*policy, &question, &mut decision);
        if decision.target == Target::Queue {
            decision.target = Target::Reject;
        }
        let row = LogLine::new(&question, &decision, &*policy).to_row();
        cases.push(Case::try_from(row).unwrap());
    }
    assert_eq!(cases[0].chosen, Target::Replica(ReplicaId(2)));
    assert_eq!(cases[2].chosen, Target::Reject);
    let report = verify(policy, cases).unwrap();
    assert_eq!((report.matched, report.total, report.by_router), (3, 3, 2));
}

#[test]
fn rows_that_cannot_be_are_refused() {
    let (prompt, fleet) = (prompt(100), vec![replica(0), replica(1)]);
    let policy = build("random", json!({}));
    let decision = decide(&*policy, &prompt, &fleet);
    let row = LogLine::new(&question(&prompt, &fleet, 0), &decision, &*policy).to_row();
    type Spoil = fn(&mut LogRow);
    let wrong: [(Spoil, &str); 8] = [
        (|r| r.prompt_tokens = 0, "`prompt_tokens` is 0, wanted 1 to"),
        (|r| r.prompt_tokens = 1 << 40, "`prompt_tokens` is 1099511627776, wanted"),
        (|r| r.chosen = Target::Replica(ReplicaId(9)), "`chosen` is replica 9, wanted one of"),
        (|r| r.candidates.replica[1] = 0, "`candidates.replica` is 0 twice, wanted"),
        (|r| r.candidates.eligible.truncate(1), "`candidates.eligible` is 1 values, wanted 2"),
        (|r| r.scores.truncate(1), "`scores` is 1 values, wanted 2"),
        (|r| r.candidates.rtt_ewma_ms[0] = Some(-1.0), "`candidates.rtt_ewma_ms` is -1, wanted"),
        (|r| r.request = "one".to_owned(), "`request` is `one`, wanted SESSION.TURN"),
    ];
    for (spoil, wanted) in wrong {
        let mut row = row.clone();
        spoil(&mut row);
        let error = Case::try_from(row).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    for text in ["\"12\"", "\"00000000000000zz\"", "\"+000000000000001\"", "12", "null"] {
        assert!(serde_json::from_str::<Hex>(text).is_err(), "{text}");
    }
}

#[test]
fn recorded_tables_are_read_strictly() {
    let header = "request_id,decided_s,request_tokens,metrics_age_s,chosen,r0_scrape_latency_ms,r0_rtt_ewma_ms,\
                  r0_running,r0_queued_requests,r0_used_tokens,r0_queued_tokens,r0_cached_tokens,more";
    let columns = RecordedColumns::from_header(header.split(',')).unwrap();
    assert_eq!(columns.replicas(), 1);
    let read = |row: &str| columns.case(0, &row.split(',').collect::<Vec<_>>());
    let case = read("a,1.5,10,7,0,30.5,,1,2,3,4,5,").unwrap();
    assert_eq!(case.candidates[0].rtt_ms(), 30.5);
    assert_eq!(case.now.0 - case.candidates[0].scraped_at.unwrap().0, 7_000_000_000);
    let wrong = [
        ("a,1.5,10,7,0,30.5,,1,2,3,4", "`the row` is 11 fields long, wanted 13"),
        ("a,-1,10,7,0,30.5,,1,2,3,4,5,", "`decided_s` is `-1`, wanted a finite number"),
        ("a,nan,10,7,0,30.5,,1,2,3,4,5,", "`decided_s` is `nan`, wanted"),
        ("a,1,10,7,1,30.5,,1,2,3,4,5,", "`chosen` is `1`, wanted a replica's index from 0 to 0"),
        (
            "a,1,10,7,0,,,1,2,3,4,5,",
            "`r0_scrape_latency_ms` is ``, wanted a number, as there is no",
        ),
        ("a,1,10,7,0,1,,1.5,2,3,4,5,", "`r0_running` is `1.5`, wanted a whole number"),
        ("a,1,10,7,0,1,,+1,2,3,4,5,", "`r0_running` is `+1`, wanted a whole number"),
        ("a,1,10,7,0,1,,99999999999,2,3,4,5,", "`r0_running` is `99999999999`, wanted"),
        ("a,1,0,7,0,1,,1,2,3,4,5,", "`request_tokens` is 0, wanted 1 to"),
    ];
    for (row, wanted) in wrong {
        let error = read(row).unwrap_err().to_string();
        assert!(error.contains(wanted), "{row}: {error}");
    }
    let header =
        |text: &str| RecordedColumns::from_header(text.split(',')).unwrap_err().to_string();
    assert!(header("request_id,request_id").contains("`request_id` is there twice"));
    assert!(header("request_id,chosen").contains("`r0_scrape_latency_ms` is missing"));
}

#[test]
fn a_head_says_its_version() {
    let head = LogHead {
        gorgo_decisions: VERSION,
        policy: "gorgo".to_owned(),
        parameters: json!({ "w_rtt": 0.276 }),
        block_tokens: 16,
    };
    let text = serde_json::to_string(&head).unwrap();
    assert!(text.starts_with("{\"gorgo_decisions\":1,\"policy\":\"gorgo\""), "{text}");
    assert_eq!(serde_json::from_str::<LogHead<Value>>(&text).unwrap(), head);
}

#[test]
fn power_of_two_cannot_be_verified_without_draws() {
    let header = "request_id,decided_s,request_tokens,metrics_age_s,chosen,r0_scrape_latency_ms,r0_rtt_ewma_ms,\
                  r0_running,r0_queued_requests,r0_used_tokens,r0_queued_tokens,r0_cached_tokens";
    let columns = RecordedColumns::from_header(header.split(',')).unwrap();
    let row = "a,1.5,10,7,0,30.5,,1,2,3,4,5";
    let case = columns.case(0, &row.split(',').collect::<Vec<_>>()).unwrap();
    let error = verify(build("power-of-two", json!({})), [case]).unwrap_err().to_string();
    assert!(error.contains("no draws, and `power-of-two`"), "{error}");
}
