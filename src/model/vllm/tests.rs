//! The rules of vLLM one by one, on replicas small enough to reckon by hand.

use super::*;
use crate::{CostProfile, EngineLimits, GapRun, ReplicaEvent, ReplicaTotals};
use gorgo_types::{BlockChain, Tokens};
use proptest::prelude::*;
use std::sync::Arc;

/// Prefill takes 10 ms and 10 us a token, a decode step 5 ms and 0.1 ms a sequence and 1 us a token of context.
fn replica(blocks: u64, block_tokens: u32, budget: u32, seqs: u32) -> VllmReplica {
    let ms = |ms: u64| Nanos(ms * 1_000_000);
    let profile = CostProfile::constant(ms(10), 10_000, ms(5), 100_000, 1_000);
    let vllm = VllmLimits { max_num_batched_tokens: budget, max_num_seqs: seqs, block_tokens };
    VllmReplica::new(ReplicaConfig {
        profile: Arc::new(profile),
        kv_pool_tokens: (blocks + 1) * u64::from(block_tokens),
        limits: EngineLimits { vllm: Some(vllm), ..EngineLimits::default() },
        prefix_cache: true,
    })
    .unwrap()
}

fn request(raw: &[u64], prompt: u64, output: u64) -> EngineRequest {
    let chain = |tokens: u64| {
        let blocks = tokens.div_ceil(4) as usize;
        let raw = raw.iter().copied().chain(1_000_000 + raw[0] * 1_000..).take(blocks);
        BlockChain::from_raw_ids(raw, Tokens(tokens), 4).unwrap()
    };
    EngineRequest {
        prompt: chain(prompt),
        output_tokens: Tokens(output),
        max_tokens: Tokens(output),
        sequence: Some(chain(prompt + output)),
        overhead: Nanos::ZERO,
    }
}

fn drain(replica: &mut VllmReplica) -> ReplicaOutput {
    let mut out = ReplicaOutput::default();
    while let Some(wake) = replica.next_wake() {
        replica.advance(wake, &mut out);
        replica.check().unwrap();
    }
    out
}

fn first_token(out: &ReplicaOutput, wanted: u32) -> (f64, u64) {
    let found = out.events.iter().find_map(|event| match *event {
        ReplicaEvent::FirstToken { key, at, cached_tokens, .. } if key.0 == wanted => {
            Some((at.as_ms(), cached_tokens.0))
        }
        _ => None,
    });
    found.expect("a first token")
}

#[test]
fn a_lone_request_takes_its_prefill_and_its_steps() {
    let mut replica = replica(100, 4, 1_000, 8);
    replica.arrive(Nanos::ZERO, RequestKey(0), request(&[1, 2], 8, 3)).unwrap();
    let out = drain(&mut replica);
    assert_eq!(first_token(&out, 0), (10.08, 0));
    // Two steps with 9 and 10 tokens of context.
    let end = out.events.last().unwrap().at();
    assert_eq!(end, Nanos(10_080_000 + 5_109_000 + 5_110_000));
    let totals = replica.totals();
    assert_eq!((totals.finished, totals.emitted_tokens, totals.prefill_tokens), (1, 3, 8));
    assert_eq!(replica.observe(end).used_tokens, 0);
}

#[test]
fn prompt_and_output_but_its_last_token_are_found_again_in_whole_blocks() {
    let mut replica = replica(100, 4, 1_000, 8);
    let ask = |replica: &mut VllmReplica, key: u32, prompt: u64, output: u64| {
        let now = replica.clock;
        replica.arrive(now, RequestKey(key), request(&[1, 2, 3, 4, 5, 6], prompt, output)).unwrap();
        first_token(&drain(replica), key).1
    };
    assert_eq!(ask(&mut replica, 0, 9, 4), 0);
    // 12 tokens of the 13 were computed: three blocks. Of 12 tokens at most 11 are looked for.
    assert_eq!(ask(&mut replica, 1, 12, 1), 8);
    assert_eq!(ask(&mut replica, 2, 13, 1), 12);
    assert_eq!(ask(&mut replica, 3, 24, 1), 12);
}

#[test]
fn who_comes_during_a_step_shares_the_next_with_decodes() {
    let mut replica = replica(100, 4, 20, 8);
    replica.arrive(Nanos::ZERO, RequestKey(0), request(&[1], 8, 3)).unwrap();
    let mut out = ReplicaOutput::default();
    replica.advance(Nanos::ZERO, &mut out);
    replica.arrive(Nanos(1), RequestKey(1), request(&[50], 30, 1)).unwrap();
    out.append(&mut drain(&mut replica));
    assert_eq!(first_token(&out, 0).0, 10.08);
    // 19 tokens beside the decode, then 11 beside the last one: a decode adds its context alone.
    let (first, second) = (10.0 + 0.19 + 0.009, 10.0 + 0.11 + 0.010);
    assert!((first_token(&out, 1).0 - (10.08 + first + second)).abs() < 1e-6);
    assert_eq!(replica.totals().partial_chunks, 1);
}

#[test]
fn the_last_to_be_admitted_loses_its_memory() {
    let mut replica = replica(6, 4, 100, 8);
    replica.arrive(Nanos::ZERO, RequestKey(0), request(&[1], 8, 12)).unwrap();
    replica.arrive(Nanos::ZERO, RequestKey(1), request(&[50], 8, 9)).unwrap();
    let out = drain(&mut replica);
    let retracted: Vec<u32> = (out.events.iter())
        .filter(|event| matches!(event, ReplicaEvent::Retracted { .. }))
        .map(|event| event.key().0)
        .collect();
    assert_eq!(retracted, [1]);
    assert_eq!(replica.totals().finished, 2);
    assert_eq!(replica.totals().emitted_tokens, 21);
}

#[test]
fn what_can_never_be_served_is_refused() {
    let mut replica = replica(4, 4, 100, 8);
    let refused = |replica: &mut VllmReplica, request| {
        replica.arrive(Nanos::ZERO, RequestKey(0), request).unwrap_err().to_string()
    };
    assert!(refused(&mut replica, request(&[1], 16, 1)).contains("16"));
    let odd = BlockChain::from_raw_ids([1], Tokens(3), 6).unwrap();
    let odd = EngineRequest { prompt: odd, sequence: None, ..request(&[1], 4, 1) };
    assert!(refused(&mut replica, odd).contains("a multiple or a part of the engine's 4"));
    replica.arrive(Nanos::ZERO, RequestKey(0), request(&[1], 15, 1)).unwrap();
    let again = refused(&mut replica, request(&[1], 4, 1));
    assert!(again.contains("alive in this replica already"), "{again}");
    assert_eq!(drain(&mut replica).events.len(), 2);
}

#[test]
fn a_crash_and_a_cancel_give_all_memory_back() {
    let mut replica = replica(50, 4, 100, 8);
    for key in 0..4 {
        replica
            .arrive(Nanos::ZERO, RequestKey(key), request(&[u64::from(key) * 9], 10, 40))
            .unwrap();
    }
    let mut out = ReplicaOutput::default();
    replica.advance(Nanos(60_000_000), &mut out);
    assert!(replica.cancel(Nanos(61_000_000), RequestKey(2)));
    assert!(!replica.cancel(Nanos(61_000_000), RequestKey(9)));
    replica.advance(Nanos(70_000_000), &mut out);
    assert!(out.events.iter().any(|event| matches!(event, ReplicaEvent::Cancelled { .. })));
    replica.check().unwrap();
    assert_eq!(replica.fail(Nanos(75_000_000)).len(), 3);
    assert_eq!(replica.observe(Nanos(75_000_000)).used_tokens, 0);
    replica.check().unwrap();
}

#[test]
fn who_is_behind_a_cancelled_one_is_looked_at_after_the_step() {
    // Of ten blocks the first takes three or four; the second never fits beside it, the third does.
    let admitted_at = |each_step: bool| {
        let mut replica = replica(10, 4, 100, 8);
        replica.step_by_step(each_step);
        let mut out = ReplicaOutput::default();
        for (key, prompt, output) in [(0, 9, 20), (1, 36, 1), (2, 4, 1)] {
            let request = request(&[u64::from(key) * 50 + 1], prompt, output);
            replica.arrive(Nanos::ZERO, RequestKey(key), request).unwrap();
        }
        // Prefill ends at 10.09 ms; a step takes about 5.1 ms, and the run of steps two of them.
        replica.advance(Nanos(11_000_000), &mut out);
        assert!(replica.cancel(Nanos(11_000_000), RequestKey(1)));
        out.append(&mut drain(&mut replica));
        let admitted = out.events.iter().find_map(|event| match *event {
            ReplicaEvent::FirstToken { key: RequestKey(2), admitted, .. } => Some(admitted),
            _ => None,
        });
        admitted.expect("the third is served")
    };
    assert_eq!(admitted_at(false), admitted_at(true));
    assert!(admitted_at(false) < Nanos(16_000_000), "{}", admitted_at(false));
}

#[derive(Clone, Debug)]
enum Act {
    Arrive { wait_us: u64, group: u64, shared: u64, prompt: u64, output: u64 },
    Cancel { wait_us: u64, back: u32 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        9 => (0..30_000_u64, 0..4_u64, 0..10_u64, 1..60_u64, 1..50_u64).prop_map(
            |(wait_us, group, shared, prompt, output)| {
                Act::Arrive { wait_us, group, shared, prompt, output }
            }
        ),
        1 => (0..30_000_u64, 0..6_u32).prop_map(|(wait_us, back)| Act::Cancel { wait_us, back }),
    ]
}

/// Everything that is seen of a script: events, sums of gaps, totals.
fn play(mut replica: VllmReplica, acts: &[Act]) -> (Vec<ReplicaEvent>, u128, u64, ReplicaTotals) {
    let (mut now, mut key) = (0, 0);
    let mut out = ReplicaOutput::default();
    for act in acts {
        let (Act::Arrive { wait_us, .. } | Act::Cancel { wait_us, .. }) = *act;
        now += wait_us * 1_000;
        // Whoever drives a replica advances it to every boundary on the way.
        while let Some(wake) = replica.next_wake().filter(|wake| wake.0 < now) {
            replica.advance(wake, &mut out);
        }
        match *act {
            Act::Arrive { group, shared, prompt, output, .. } => {
                let raw: Vec<u64> = (0..15)
                    .map(|i| {
                        if i < shared { group * 100 + i } else { 10_000 + u64::from(key) * 100 + i }
                    })
                    .collect();
                replica.arrive(Nanos(now), RequestKey(key), request(&raw, prompt, output)).unwrap();
                key += 1;
            }
            Act::Cancel { back, .. } => {
                replica.cancel(Nanos(now), RequestKey(key.saturating_sub(back)));
            }
        }
    }
    while let Some(wake) = replica.next_wake() {
        replica.advance(wake, &mut out);
        replica.check().unwrap();
    }
    let gap = |gap: &GapRun| {
        let (first, steps) = (gap.first.0, u128::from(gap.steps));
        (first * steps + gap.increment.0 * (steps * (steps - 1) / 2)) * u128::from(gap.sequences)
    };
    let gaps = out.gaps.iter().map(gap).sum();
    let tokens = out.gaps.iter().map(|gap| gap.steps * u64::from(gap.sequences)).sum();
    // Blocks that are taken in the middle of a run are counted as if at its end.
    let totals = ReplicaTotals { kv_token_time: 0, ..replica.totals() };
    (out.events, gaps, tokens, totals)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn runs_of_steps_are_the_steps_one_by_one(
        acts in prop::collection::vec(act(), 1..40),
        blocks in 28_u64..90, block_tokens in prop::sample::select(vec![1_u32, 2, 4, 8]),
        budget in 3_u32..80, seqs in 1_u32..7,
    ) {
        let size = u64::from(block_tokens);
        let new = || replica(blocks * 4 / size, block_tokens, budget, seqs);
        let mut slow = new();
        slow.step_by_step(true);
        let (fast, slow) = (play(new(), &acts), play(slow, &acts));
        prop_assert_eq!(&fast.0, &slow.0);
        prop_assert_eq!((fast.1, fast.2), (slow.1, slow.2));
        prop_assert_eq!(fast.3, slow.3);
    }
}
