//! Random histories of one small replica. After every call all invariants are verified; at the end every request is
//! accounted for, its gaps add up to the femtosecond, and cutting runs of steps at other places changes nothing.
//!
//! Whether the times are the *right* ones is the business of `src/oracle`, which simulates step by step.

use gorgo_model::{
    CostProfile, EngineLimits, EngineRequest, Femtos, GapRun, ReplicaConfig, ReplicaEvent,
    ReplicaOutput, RequestKey, Schedule, SglangReplica, TokenRun,
};
use gorgo_types::{BlockChain, Nanos, Tokens};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const BLOCK: u64 = 8;

#[derive(Clone, Debug)]
enum Op {
    Arrive { seed: u64, input: u64, output: u64, more: u64, overhead: u64, known: bool },
    Cancel { which: usize },
    Fail,
}

#[derive(Clone, Debug)]
struct Setup {
    pool: u64,
    chunk: u32,
    slots: u32,
    clip: u32,
    lpm: bool,
    ratio_ppb: u32,
    ahead: u32,
    prefix_cache: bool,
    states: Option<u32>,
}

fn setup() -> impl Strategy<Value = Setup> {
    let limits = (4..80_u32, 1..12_u32, 0..60_u32, any::<bool>());
    let memory = (60..500_u64, 0..1_000_000_000_u32, 0..30_u32, prop::bool::weighted(0.9));
    let states = prop::option::of(1..20_u32);
    (limits, memory, states).prop_map(
        |((chunk, slots, clip, lpm), (pool, ratio_ppb, ahead, prefix_cache), states)| Setup {
            pool,
            chunk,
            slots,
            clip,
            lpm,
            ratio_ppb,
            ahead,
            prefix_cache,
            states,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => (0..64_u64, 1..90_u64, 1..60_u64, 0..40_u64, 0..4_000_u64, any::<bool>()).prop_map(
            |(seed, input, output, more, overhead, known)| {
                Op::Arrive { seed, input, output, more, overhead, known }
            }
        ),
        4 => any::<usize>().prop_map(|which| Op::Cancel { which }),
        1 => Just(Op::Fail),
    ]
}

/// `tokens` tokens whose block contents are bits of the seed: prompts share prefixes and contain others' outputs.
fn chain(seed: u64, tokens: u64) -> BlockChain {
    let contents = (0..tokens.div_ceil(BLOCK)).map(|position| seed >> (position % 6) & 1);
    BlockChain::from_raw_ids(contents, Tokens(tokens), 8).unwrap()
}

fn replica(setup: &Setup) -> SglangReplica {
    let limits = EngineLimits {
        max_prefill_tokens: setup.chunk + 40,
        chunked_prefill_tokens: setup.chunk,
        max_running_requests: setup.slots,
        schedule: if setup.lpm { Schedule::Lpm } else { Schedule::Fcfs },
        clip_max_new_tokens: setup.clip,
        new_token_ratio_init_ppb: setup.ratio_ppb,
        new_token_ratio_min_ppb: setup.ratio_ppb / 7,
        new_token_ratio_decay_steps: 20,
        retract_decode_steps: setup.ahead,
        state_slots: setup.states,
        ..EngineLimits::default()
    };
    let config = ReplicaConfig {
        profile: Arc::new(CostProfile::constant(Nanos(500), 9, Nanos(97), 3, 1)),
        kv_pool_tokens: setup.pool,
        limits,
        prefix_cache: setup.prefix_cache,
    };
    let mut replica = SglangReplica::new(config).unwrap();
    replica.record_token_runs(true);
    replica
}

/// What a history brought.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    events: Vec<ReplicaEvent>,
    /// Exact token times by the ordinal of the request.
    tokens: BTreeMap<u32, Vec<u128>>,
    /// Σ sequences × gap.
    gap_sum: u128,
    gap_count: u64,
    lost: Vec<RequestKey>,
    accepted: Vec<(u32, u64)>,
}

/// A key of requests that only come to cut runs of steps.
const SHAM: RequestKey = RequestKey(u16::MAX as u32);

impl Outcome {
    fn take(&mut self, out: &mut ReplicaOutput) {
        self.events.extend(out.events.iter().filter(|event| event.key() != SHAM));
        for &GapRun { first, increment, steps, sequences } in &out.gaps {
            let (n, count) = (u128::from(steps), u128::from(sequences));
            assert!(steps > 0 && sequences > 0, "an empty run of gaps");
            self.gap_sum += count * (first.0 * n + increment.0 * (n * (n - 1) / 2));
            self.gap_count += steps * u64::from(sequences);
        }
        for &TokenRun { key, first_at, first, increment, steps } in out.runs.iter().flatten() {
            let (mut at, mut gap) = (first_at.0, first.0);
            for _ in 0..steps {
                self.tokens.entry(key.0).or_default().push(at);
                at += gap;
                gap += increment.0;
            }
        }
        out.clear();
    }
}

/// Where runs of steps end beside where they have to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cuts {
    Nowhere,
    /// Where requests come that are cancelled at once.
    AtShams,
    /// After each step.
    EachStep,
}

/// Plays a history.
fn play(setup: &Setup, ops: &[(u64, Op)], cuts: Cuts) -> (SglangReplica, Outcome) {
    let mut replica = replica(setup);
    replica.step_by_step(cuts == Cuts::EachStep);
    let shams = cuts == Cuts::AtShams;
    let (mut outcome, mut out) = (Outcome::default(), ReplicaOutput::default());
    let (mut now, mut keys) = (0, 0);
    for (wait, op) in ops {
        let until = now + wait;
        while let Some(wake) = replica.next_wake().filter(|wake| wake.0 < until) {
            if shams && replica.clone().observe(wake).running_requests % 2 == 1 {
                cut(&mut replica, Nanos(now.midpoint(wake.0).max(now)));
            }
            replica.advance(wake, &mut out);
            replica.check().unwrap();
            now = now.max(wake.0);
        }
        now = until;
        match op {
            Op::Arrive { seed, input, output, more, overhead, known } => {
                let request = EngineRequest {
                    prompt: chain(*seed, *input),
                    output_tokens: Tokens(*output),
                    max_tokens: Tokens(output + more),
                    sequence: known.then(|| chain(*seed, input + output)),
                    overhead: Nanos(*overhead),
                };
                if replica.arrive(Nanos(now), RequestKey(keys), request).is_ok() {
                    outcome.accepted.push((keys, *output));
                }
                keys += 1;
            }
            Op::Cancel { which } => {
                if keys > 0 {
                    let key = u32::try_from(which % keys as usize).unwrap();
                    replica.cancel(Nanos(now), RequestKey(key));
                }
            }
            Op::Fail => outcome.lost.extend(replica.fail(Nanos(now))),
        }
        replica.check().unwrap();
        outcome.take(&mut out);
    }
    while let Some(wake) = replica.next_wake() {
        replica.advance(wake, &mut out);
        replica.check().unwrap();
    }
    outcome.take(&mut out);
    (replica, outcome)
}

/// Makes a run of steps end early.
fn cut(replica: &mut SglangReplica, now: Nanos) {
    let request = EngineRequest {
        prompt: chain(0, 1),
        output_tokens: Tokens(1),
        max_tokens: Tokens(1),
        sequence: None,
        overhead: Nanos(7),
    };
    if replica.arrive(now, SHAM, request).is_ok() {
        assert!(replica.cancel(now, SHAM));
    }
    replica.check().unwrap();
}

fn verify(outcome: &Outcome) {
    let mut ends: BTreeMap<u32, &str> = outcome.lost.iter().map(|key| (key.0, "lost")).collect();
    let mut finished = BTreeMap::new();
    for event in &outcome.events {
        let tokens = outcome.tokens.get(&event.key().0);
        let end = match *event {
            ReplicaEvent::FirstToken { at, ready, admitted, .. } => {
                assert!(ready <= admitted && admitted <= at);
                assert_eq!(Femtos(tokens.unwrap()[0]).to_nanos(), at);
                continue;
            }
            ReplicaEvent::Retracted { .. } => continue,
            ReplicaEvent::Cancelled { .. } => "cancelled",
            ReplicaEvent::Finished { at, key } => {
                assert_eq!(Femtos(*tokens.unwrap().last().unwrap()).to_nanos(), at);
                finished.insert(key.0, tokens.unwrap().len() as u64);
                "finished"
            }
        };
        assert_eq!(ends.insert(event.key().0, end), None, "{event:?}");
    }
    let accepted: Vec<u32> = outcome.accepted.iter().map(|&(key, _)| key).collect();
    assert_eq!(ends.keys().copied().collect::<Vec<_>>(), accepted, "one end for each");
    for (key, output) in &outcome.accepted {
        assert!(finished.get(key).is_none_or(|tokens| tokens == output));
    }
    assert!(outcome.events.is_sorted_by_key(ReplicaEvent::at));
    let spans = outcome.tokens.values().map(|times| times[times.len() - 1] - times[0]);
    assert_eq!(outcome.gap_sum, spans.sum(), "gaps add up");
    let gaps = outcome.tokens.values().map(|times| times.len() as u64 - 1);
    assert_eq!(outcome.gap_count, gaps.sum());
    assert!(outcome.tokens.values().all(|times| times.is_sorted_by(|a, b| a < b)));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(debug_assertions) { 400 } else { 5_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_is_lost_and_gaps_add_up(setup in setup(), ops in prop::collection::vec((0..6_000_u64, op()), 1..60)) {
        let (replica, outcome) = play(&setup, &ops, Cuts::Nowhere);
        verify(&outcome);
        let totals = replica.totals();
        let tokens: usize = outcome.tokens.values().map(Vec::len).sum();
        prop_assert_eq!(totals.emitted_tokens, tokens as u64);
        prop_assert_eq!(totals.arrived, totals.finished + totals.cancelled + totals.lost);
    }

    #[test]
    fn where_a_run_is_cut_changes_nothing(
        setup in setup(),
        ops in prop::collection::vec((0..6_000_u64, op()), 1..40),
        cuts in prop::sample::select(vec![Cuts::AtShams, Cuts::EachStep]),
    ) {
        let (whole, (cut, outcome)) = (play(&setup, &ops, Cuts::Nowhere), play(&setup, &ops, cuts));
        prop_assert_eq!(&whole.1, &outcome);
        let (a, b) = (whole.0.totals(), cut.totals());
        prop_assert_eq!(
            (a.busy(), a.kv_token_time, a.decode_steps, a.retracted, a.evicted_tokens()),
            (b.busy(), b.kv_token_time, b.decode_steps, b.retracted, b.evicted_tokens())
        );
    }
}

/// The random histories must reach what is worth reaching.
#[test]
fn the_histories_reach_every_corner() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = (setup(), prop::collection::vec((0..6_000_u64, op()), 1..60));
    let (mut retracted, mut in_prefill, mut in_decode, mut full) = (0, 0, 0, 0);
    let (mut chunks, mut hits, mut cancelled) = (0, 0, 0);
    for _ in 0..200 {
        let (setup, ops) = strategy.new_tree(&mut runner).unwrap().current();
        let totals = play(&setup, &ops, Cuts::Nowhere).0.totals();
        retracted += totals.retracted;
        in_prefill += totals.evicted_in_prefill_tokens;
        in_decode += totals.evicted_in_decode_tokens;
        full += totals.batch_full;
        chunks += totals.partial_chunks;
        hits += totals.hit_requests;
        cancelled += totals.cancelled;
    }
    let reached = [retracted, in_prefill, in_decode, full, chunks, hits, cancelled];
    assert!(reached.iter().all(|&count| count >= 50), "{reached:?}");
}
