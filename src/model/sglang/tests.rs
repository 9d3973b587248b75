//! The replica, by hand: cases whose every number follows from README.md on paper.
//!
//! Costs are round: a prefill batch takes 1,000 ns + 10 ns a token, a decode step 100 ns + 1 ns a sequence.
//! Random cases stand in `tests/replica_random.rs`.

use super::*;
use crate::{CostProfile, EngineLimits, Schedule};
use crate::{GapRun, ReplicaEvent};
use gorgo_types::{BlockChain, Tokens};
use std::sync::Arc;

const BLOCK: u32 = 16;

fn profile() -> CostProfile {
    CostProfile::constant(Nanos(1_000), 10, Nanos(100), 1, 0)
}

fn config(kv_pool_tokens: u64, change: impl FnOnce(&mut EngineLimits)) -> ReplicaConfig {
    let mut limits = EngineLimits::default();
    change(&mut limits);
    ReplicaConfig { profile: Arc::new(profile()), kv_pool_tokens, limits, prefix_cache: true }
}

fn replica(kv_pool_tokens: u64, change: impl FnOnce(&mut EngineLimits)) -> SglangReplica {
    SglangReplica::new(config(kv_pool_tokens, change)).unwrap()
}

/// `tokens` tokens of the chain whose blocks hold `first`, `first + 1`, ...
fn prompt(first: u64, tokens: u64) -> BlockChain {
    let blocks = tokens.div_ceil(u64::from(BLOCK));
    BlockChain::from_raw_ids(first..first + blocks, Tokens(tokens), BLOCK).unwrap()
}

fn request(prompt: BlockChain, output: u64) -> EngineRequest {
    let output_tokens = Tokens(output);
    let overhead = Nanos::ZERO;
    EngineRequest { prompt, output_tokens, max_tokens: output_tokens, sequence: None, overhead }
}

/// As [`request`], with output whose blocks go on where the prompt's stop.
fn request_with_sequence(first: u64, input: u64, output: u64) -> EngineRequest {
    EngineRequest {
        sequence: Some(prompt(first, input + output)),
        ..request(prompt(first, input), output)
    }
}

/// Lets everything happen, wake by wake, with a full check after each.
fn drain(replica: &mut SglangReplica) -> ReplicaOutput {
    let mut out = ReplicaOutput::default();
    while let Some(wake) = replica.next_wake() {
        replica.advance(wake, &mut out);
        replica.check().unwrap();
    }
    out
}

/// What happened, as (name, key, time); cached tokens beside a first token.
fn story(out: &ReplicaOutput) -> Vec<(&'static str, u32, u64)> {
    let tell = |event: &ReplicaEvent| {
        let name = match event {
            ReplicaEvent::FirstToken { .. } => "first",
            ReplicaEvent::Finished { .. } => "finished",
            ReplicaEvent::Cancelled { .. } => "cancelled",
            ReplicaEvent::Retracted { .. } => "retracted",
        };
        (name, event.key().0, event.at().0)
    };
    out.events.iter().map(tell).collect()
}

fn cached(out: &ReplicaOutput) -> Vec<(u32, u64)> {
    let tell = |event: &ReplicaEvent| match event {
        ReplicaEvent::FirstToken { key, cached_tokens, .. } => Some((key.0, cached_tokens.0)),
        _ => None,
    };
    out.events.iter().filter_map(tell).collect()
}

#[test]
fn a_key_that_is_not_dense_is_refused() {
    let mut replica = replica(1_000, |_| {});
    let error = replica.arrive(Nanos::ZERO, RequestKey(1 << 24), request(prompt(1, 10), 1));
    assert!(error.unwrap_err().to_string().contains("wanted below 16777216"));
    assert_eq!(replica.next_wake(), None);
}

#[test]
fn a_lone_request_takes_overhead_and_profile_to_the_nanosecond() {
    let mut replica = replica(10_000, |_| {});
    let lone = EngineRequest { overhead: Nanos(7_003), ..request(prompt(1, 100), 5) };
    replica.arrive(Nanos(50), RequestKey(3), lone).unwrap();
    assert_eq!(replica.next_wake(), Some(Nanos(7_053)));
    let out = drain(&mut replica);
    let first = 50 + 7_003 + 1_000 + 10 * 100;
    let wanted = ReplicaEvent::FirstToken {
        key: RequestKey(3),
        at: Nanos(first),
        ready: Nanos(7_053),
        admitted: Nanos(7_053),
        cached_tokens: Tokens(0),
    };
    assert_eq!(out.events[0], wanted);
    assert_eq!(story(&out)[1..], [("finished", 3, first + 4 * 101)]);
    let step = Femtos::from_nanos(Nanos(101));
    assert_eq!(out.gaps, [GapRun { first: step, increment: Femtos(0), steps: 4, sequences: 1 }]);
    let totals = replica.totals();
    assert_eq!((totals.finished, totals.decode_steps, totals.emitted_tokens), (1, 4, 5));
    assert_eq!(totals.busy(), Femtos::from_nanos(Nanos(2_000 + 404)));
    // 100 tokens through prefill, then 101 to 104 through the four steps.
    assert_eq!(totals.kv_token_time, (100 * 2_000 + (101 + 102 + 103 + 104) * 101) * 1_000_000);
}

#[test]
fn two_that_are_ready_share_a_prefill_and_their_decode() {
    let mut replica = replica(10_000, |_| {});
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 100), 3)).unwrap();
    replica.arrive(Nanos(0), RequestKey(1), request(prompt(50, 60), 2)).unwrap();
    let out = drain(&mut replica);
    let first = 1_000 + 10 * 160;
    let wanted = [
        ("first", 0, first),
        ("first", 1, first),
        ("finished", 1, first + 102),
        ("finished", 0, first + 102 + 101),
    ];
    assert_eq!(story(&out), wanted);
}

#[test]
fn a_newcomer_stalls_those_that_run_and_their_gap_says_so() {
    let mut replica = replica(10_000, |_| {});
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 100), 20)).unwrap();
    let mut out = ReplicaOutput::default();
    replica.advance(Nanos(2_000), &mut out);
    // Steps end at 2101, 2202, ...: who arrives at 2150 waits until 2202.
    replica.arrive(Nanos(2_150), RequestKey(1), request(prompt(50, 10), 3)).unwrap();
    assert_eq!(replica.next_wake(), Some(Nanos(2_202)));
    let rest = drain(&mut replica);
    let first = 2_202 + 1_000 + 100;
    assert_eq!(story(&rest)[..2], [("first", 1, first), ("finished", 1, first + 2 * 102)]);
    // 19 steps for request 0: 2 before the prefill, 2 with the other, 15 alone.
    assert_eq!(story(&rest)[2..], [("finished", 0, first + 2 * 102 + 15 * 101)]);
    let ns = |ns| Femtos::from_nanos(Nanos(ns));
    let run = |first, steps, sequences| GapRun {
        first: ns(first),
        increment: Femtos(0),
        steps,
        sequences,
    };
    let wanted =
        [run(101, 2, 1), run(1_100 + 102, 1, 1), run(102, 1, 1), run(102, 1, 2), run(101, 15, 1)];
    assert_eq!(rest.gaps, wanted);
}

#[test]
fn an_arrival_exactly_at_a_boundary_joins_there() {
    for (arrival, admitted) in [(2_202, 2_202), (2_203, 2_303)] {
        let mut replica = replica(10_000, |_| {});
        replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 100), 20)).unwrap();
        replica.advance(Nanos(2_000), &mut ReplicaOutput::default());
        replica.arrive(Nanos(arrival), RequestKey(1), request(prompt(50, 10), 3)).unwrap();
        let out = drain(&mut replica);
        assert_eq!(story(&out)[0], ("first", 1, admitted + 1_100));
    }
}

#[test]
fn a_long_prompt_is_computed_in_chunks_after_the_prefix_it_shares() {
    let mut replica = replica(10_000, |limits| limits.chunked_prefill_tokens = 64);
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 40), 1)).unwrap();
    let out = drain(&mut replica);
    assert_eq!(story(&out), [("first", 0, 1_400), ("finished", 0, 1_400)]);
    // 200 tokens, of which 2 whole blocks are cached: chunks of 64, 64 and 40.
    replica.arrive(Nanos(5_000), RequestKey(1), request(prompt(1, 200), 2)).unwrap();
    let out = drain(&mut replica);
    let first = 5_000 + 3 * 1_000 + 10 * 168;
    assert_eq!(story(&out), [("first", 1, first), ("finished", 1, first + 101)]);
    assert_eq!(cached(&out), [(1, 32)]);
    assert_eq!(replica.totals().partial_chunks, 2);
}

#[test]
fn chunks_leave_the_rest_of_the_budget_to_the_next_and_share_what_they_insert() {
    let mut replica = replica(10_000, |limits| limits.chunked_prefill_tokens = 64);
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 100), 2)).unwrap();
    replica.arrive(Nanos(0), RequestKey(1), request(prompt(1, 90), 2)).unwrap();
    let out = drain(&mut replica);
    // 64 of the first; then its other 36, beside the second, which finds the 4 blocks of the first chunk: 26 new.
    let first = 1_640 + 1_000 + 10 * (36 + 26);
    assert_eq!(story(&out)[..2], [("first", 0, first), ("first", 1, first)]);
    assert_eq!(cached(&out), [(0, 0), (1, 64)]);
}

#[test]
fn a_prompt_that_is_cached_as_a_whole_computes_its_last_token() {
    let mut replica = replica(10_000, |_| {});
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 100), 1)).unwrap();
    drain(&mut replica);
    replica.arrive(Nanos(9_000), RequestKey(0), request(prompt(1, 100), 1)).unwrap();
    let out = drain(&mut replica);
    assert_eq!((story(&out)[0], cached(&out)), (("first", 0, 10_010), vec![(0, 99)]));
    assert_eq!(replica.observe(Nanos(20_000)).cached_tokens, 100);
}

#[test]
fn without_a_prefix_cache_nothing_is_found() {
    let config = ReplicaConfig { prefix_cache: false, ..config(10_000, |_| {}) };
    let mut replica = SglangReplica::new(config).unwrap();
    for round in 0..2 {
        let at = Nanos(round * 9_000);
        replica.arrive(at, RequestKey(0), request_with_sequence(1, 100, 40)).unwrap();
        let out = drain(&mut replica);
        assert_eq!(cached(&out), [(0, 0)]);
        assert_eq!(
            replica.observe(replica.clock),
            Observation { kv_pool_tokens: 10_000, ..Observation::default() }
        );
    }
}

#[test]
fn the_next_turn_finds_prompt_and_output_although_the_prompt_ended_inside_a_block() {
    let mut replica = replica(10_000, |_| {});
    replica.arrive(Nanos(0), RequestKey(0), request_with_sequence(1, 100, 45)).unwrap();
    drain(&mut replica);
    // 144 tokens held: 9 whole blocks. The 4 of the prompt's tail are inside the seventh.
    assert_eq!(replica.observe(replica.clock).cached_tokens, 144);
    replica.arrive(Nanos(90_000), RequestKey(1), request(prompt(1, 170), 1)).unwrap();
    let out = drain(&mut replica);
    assert_eq!(cached(&out), [(1, 144)]);
}

#[test]
fn the_last_token_of_an_output_leaves_no_kv() {
    let mut replica = replica(10_000, |_| {});
    // 96 + 17 tokens: 112 of KV, which are 7 whole blocks; one token less leaves only 6.
    replica.arrive(Nanos(0), RequestKey(0), request_with_sequence(1, 96, 17)).unwrap();
    replica.arrive(Nanos(0), RequestKey(1), request_with_sequence(100, 96, 16)).unwrap();
    drain(&mut replica);
    assert_eq!(replica.observe(replica.clock).cached_tokens, 112 + 96);
}

#[test]
fn a_scrape_in_the_middle_of_a_run_sees_the_step_under_way() {
    let mut replica = replica(10_000, |_| {});
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 96), 50)).unwrap();
    replica.advance(Nanos(0), &mut ReplicaOutput::default());
    let during_prefill = Observation {
        running_requests: 1,
        queued_requests: 0,
        used_tokens: 96,
        cached_tokens: 0,
        kv_pool_tokens: 10_000,
    };
    assert_eq!(replica.observe(Nanos(1_000)), during_prefill);
    let start = 1_960;
    replica.advance(Nanos(start), &mut ReplicaOutput::default());
    let far = EngineRequest { overhead: Nanos(100_000), ..request(prompt(9, 5), 1) };
    replica.arrive(Nanos(start), RequestKey(1), far).unwrap();
    let before = replica.clone();
    for (after, used) in [(0, 97), (100, 97), (101, 98), (201, 98), (202, 99), (101 * 48, 145)] {
        let observed = replica.observe(Nanos(start + after));
        assert_eq!(
            observed,
            Observation { used_tokens: used, ..during_prefill },
            "after {after} ns"
        );
    }
    assert_eq!(format!("{before:?}"), format!("{replica:?}"), "looking changes nothing");
}

#[test]
fn the_decode_step_under_way_is_told_with_who_is_in_it() {
    let mut replica = replica(10_000, |_| {});
    let advance = |replica: &mut SglangReplica, at| {
        replica.advance(Nanos(at), &mut ReplicaOutput::default());
        replica.decode_step(Nanos(at))
    };
    assert_eq!(replica.decode_step(Nanos(0)), None, "nobody is there");
    for key in [0, 1] {
        let request = request(prompt(100 * u64::from(key), 48), 50);
        replica.arrive(Nanos(0), RequestKey(key), request).unwrap();
    }
    assert_eq!(advance(&mut replica, 0), None, "prefill is under way");
    // A prefill of 2 x 48 tokens, then steps of 102 ns.
    assert_eq!(advance(&mut replica, 1_960), Some((2, Nanos(102))));
    replica.arrive(Nanos(3_000), RequestKey(2), request(prompt(900, 10), 5)).unwrap();
    assert_eq!(advance(&mut replica, 3_100), None, "a newcomer's prefill");
    let out = drain(&mut replica);
    assert_eq!(out.events.len(), 4, "two first tokens came before: {out:?}");
    assert_eq!(replica.decode_step(replica.clock), None, "all are done");
}

#[test]
fn memory_for_prefill_comes_from_the_least_recently_used() {
    let mut replica = replica(300, |_| {});
    for (key, first) in [(0, 1), (1, 50)] {
        replica.arrive(replica.clock, RequestKey(key), request(prompt(first, 128), 1)).unwrap();
        drain(&mut replica);
    }
    replica.arrive(replica.clock, RequestKey(2), request(prompt(100, 64), 1)).unwrap();
    drain(&mut replica);
    assert_eq!(
        replica.totals().evicted_in_prefill_tokens,
        128,
        "20 were missing, a node is evicted"
    );
    // The second prompt is still there, the first is not.
    replica.arrive(replica.clock, RequestKey(3), request(prompt(50, 128), 1)).unwrap();
    assert_eq!(cached(&drain(&mut replica)), [(3, 127)]);
}

#[test]
fn memory_for_decode_is_evicted_when_the_step_needs_it_and_not_before() {
    let mut replica = replica(200, reserve_nothing);
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 48), 1)).unwrap();
    drain(&mut replica);
    replica.arrive(Nanos(10_000), RequestKey(1), request(prompt(50, 96), 80)).unwrap();
    let mut out = ReplicaOutput::default();
    let start = 10_000 + 1_960;
    replica.advance(Nanos(start), &mut out);
    // 56 are free: 56 steps run, the 57th needs an eviction.
    assert_eq!(replica.next_wake(), Some(Nanos(start + 56 * 101)));
    replica.advance(Nanos(start + 56 * 101 - 1), &mut out);
    assert_eq!(replica.totals().evicted_in_decode_tokens, 0);
    drain(&mut replica);
    assert_eq!((replica.totals().evicted_in_decode_tokens, replica.totals().retracted), (48, 0));
}

/// Admission reserves nothing for those that run.
fn reserve_nothing(limits: &mut EngineLimits) {
    limits.new_token_ratio_init_ppb = 0;
    limits.new_token_ratio_min_ppb = 0;
}

/// Two requests that outgrow a pool of 200 together: each 64 tokens of prompt.
fn crowded() -> SglangReplica {
    let mut replica = replica(200, reserve_nothing);
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 64), 60)).unwrap();
    let mut out = ReplicaOutput::default();
    replica.advance(Nanos(1_640 + 101), &mut out);
    // The other joins after two steps of the first.
    replica.arrive(Nanos(1_800), RequestKey(1), request(prompt(50, 64), 50)).unwrap();
    replica
}

#[test]
fn the_one_with_the_fewest_tokens_is_retracted_and_comes_back_with_them() {
    let mut replica = crowded();
    let mut out = drain(&mut replica);
    // 200 − 128 − 2 own tokens leave 70: 35 steps of two. Then request 1 (36 tokens emitted) gives way.
    let joined = 1_842 + 1_640;
    let retracted = joined + 35 * 102;
    assert_eq!(story(&out)[..2], [("first", 1, joined), ("retracted", 1, retracted)]);
    // Its prompt stays in the cache. It needs its 36 outputs + 14 more: they fit at once beside the first one's
    // 64 + 37 and its own 64 prompt tokens only when that has gone: 200 − 101 − 64 = 35 < 50.
    let first_ends = retracted + 22 * 101;
    // Then 36 tokens are computed again, a 37th is emitted, and 13 steps follow.
    let again = first_ends + 1_000 + 360;
    let wanted = [("finished", 0, first_ends), ("finished", 1, again + 13 * 101)];
    assert_eq!(story(&out)[2..], wanted);
    assert_eq!((replica.totals().retracted, replica.totals().finished), (1, 2));
    out.gaps.retain(|gap| gap.first == Femtos::from_nanos(Nanos(again - retracted)));
    assert_eq!(out.gaps.len(), 1, "the gap across the retraction is reported");
}

#[test]
fn a_refusal_holds_until_the_batch_shrinks() {
    let mut replica = replica(10_000, |limits| limits.max_running_requests = 2);
    for (key, output) in [(0, 5), (1, 9), (2, 3), (3, 3)] {
        let first = 1 + 50 * u64::from(key);
        replica.arrive(Nanos(0), RequestKey(key), request(prompt(first, 16), output)).unwrap();
    }
    let out = drain(&mut replica);
    // 0 and 1 run; 2 takes the place of 0 and 3 that of 2.
    let first = 1_320;
    let second = first + 4 * 102 + 1_160;
    let third = second + 2 * 102 + 1_160;
    let wanted = [
        ("first", 0, first),
        ("first", 1, first),
        ("finished", 0, first + 4 * 102),
        ("first", 2, second),
        ("finished", 2, second + 2 * 102),
        ("first", 3, third),
        ("finished", 1, third + 2 * 102),
        ("finished", 3, third + 2 * 102),
    ];
    assert_eq!(story(&out), wanted);
    assert_eq!(replica.totals().batch_full, 2, "no attempt is made while the batch is full");
}

#[test]
fn longest_prefix_first_lets_the_cached_one_pass() {
    for (schedule, order) in [(Schedule::Fcfs, [1, 2]), (Schedule::Lpm, [2, 1])] {
        let mut replica = replica(10_000, |limits| {
            limits.schedule = schedule;
            limits.chunked_prefill_tokens = 64;
        });
        replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 64), 1)).unwrap();
        drain(&mut replica);
        replica.arrive(Nanos(5_000), RequestKey(1), request(prompt(70, 60), 1)).unwrap();
        replica.arrive(Nanos(5_000), RequestKey(2), request(prompt(1, 80), 1)).unwrap();
        let out = drain(&mut replica);
        let first_tokens: Vec<u32> = cached(&out).iter().map(|&(key, _)| key).collect();
        assert_eq!(first_tokens, order);
    }
}

#[test]
fn a_running_request_is_cancelled_at_the_next_boundary() {
    let mut replica = replica(10_000, |_| {});
    replica.arrive(Nanos(0), RequestKey(0), request_with_sequence(1, 96, 50)).unwrap();
    replica.advance(Nanos(1_960), &mut ReplicaOutput::default());
    let asked = 1_960 + 16 * 101 + 1;
    assert!(replica.cancel(Nanos(asked), RequestKey(0)));
    assert!(replica.cancel(Nanos(asked), RequestKey(0)), "still alive");
    let out = drain(&mut replica);
    assert_eq!(story(&out), [("cancelled", 0, 1_960 + 17 * 101)]);
    // 18 tokens were emitted, 96 + 17 are held: 7 whole blocks stay.
    let seen = replica.observe(replica.clock);
    assert_eq!((seen.running_requests, seen.used_tokens, seen.cached_tokens), (0, 0, 112));
    assert!(!replica.cancel(Nanos(99_999), RequestKey(0)));
    assert_eq!(replica.totals().cancelled, 1);
}

#[test]
fn a_cancel_at_a_boundary_takes_effect_there_and_a_finish_wins() {
    let mut replica = replica(10_000, |_| {});
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 100), 5)).unwrap();
    replica.arrive(Nanos(0), RequestKey(1), request(prompt(50, 100), 9)).unwrap();
    let end = 3_000 + 4 * 102;
    replica.advance(Nanos(end - 1), &mut ReplicaOutput::default());
    assert!(replica.cancel(Nanos(end), RequestKey(0)));
    assert!(replica.cancel(Nanos(end), RequestKey(1)));
    let out = drain(&mut replica);
    assert_eq!(story(&out), [("finished", 0, end), ("cancelled", 1, end)]);
}

#[test]
fn a_cancel_comes_before_a_boundary_at_its_own_time() {
    for at in [0, 70] {
        let mut replica = replica(10_000, |_| {});
        replica.arrive(Nanos(at), RequestKey(0), request(prompt(1, 100), 5)).unwrap();
        assert!(replica.cancel(Nanos(at), RequestKey(0)));
        assert_eq!(story(&drain(&mut replica)), [("cancelled", 0, at)]);
    }
}

#[test]
fn those_without_kv_are_cancelled_at_once() {
    let mut replica = replica(10_000, |limits| limits.max_running_requests = 1);
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 100), 50)).unwrap();
    replica.arrive(Nanos(0), RequestKey(1), request(prompt(50, 100), 5)).unwrap();
    let coming = EngineRequest { overhead: Nanos(4_000), ..request(prompt(90, 100), 5) };
    replica.arrive(Nanos(0), RequestKey(2), coming).unwrap();
    replica.advance(Nanos(100), &mut ReplicaOutput::default());
    assert_eq!(replica.observe(Nanos(100)).queued_requests, 1);
    assert!(replica.cancel(Nanos(150), RequestKey(1)));
    assert!(replica.cancel(Nanos(150), RequestKey(2)));
    assert_eq!(replica.next_wake(), Some(Nanos(150)));
    let out = drain(&mut replica);
    let finished = ("finished", 0, 2_000 + 49 * 101);
    assert_eq!(
        story(&out),
        [("cancelled", 1, 150), ("cancelled", 2, 150), ("first", 0, 2_000), finished]
    );
}

#[test]
fn a_chunked_request_is_cancelled_between_its_chunks() {
    let mut replica = replica(10_000, |limits| limits.chunked_prefill_tokens = 70);
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 300), 50)).unwrap();
    replica.advance(Nanos(0), &mut ReplicaOutput::default());
    assert!(replica.cancel(Nanos(1), RequestKey(0)));
    let out = drain(&mut replica);
    assert_eq!(story(&out), [("cancelled", 0, 1_700)]);
    assert_eq!(replica.observe(replica.clock).cached_tokens, 64);
}

#[test]
fn a_crash_loses_everything_and_the_replica_starts_anew() {
    let mut replica = replica(10_000, |_| {});
    replica.arrive(Nanos(0), RequestKey(7), request(prompt(1, 100), 50)).unwrap();
    replica.arrive(Nanos(0), RequestKey(2), request(prompt(50, 100), 2)).unwrap();
    replica.arrive(Nanos(0), RequestKey(4), request(prompt(90, 100), 50)).unwrap();
    let crash = 4_000 + 103 + 10 * 102 + 50;
    assert_eq!(replica.fail(Nanos(crash)), [RequestKey(4), RequestKey(7)]);
    replica.check().unwrap();
    let mut out = ReplicaOutput::default();
    assert_eq!(replica.next_wake(), Some(Nanos(crash)));
    replica.advance(Nanos(crash), &mut out);
    assert_eq!(story(&out)[3..], [("finished", 2, 4_103)]);
    assert_eq!(replica.totals().decode_steps, 11, "the steps that had ended count");
    assert_eq!(replica.next_wake(), None);
    assert_eq!(replica.observe(Nanos(crash)).cached_tokens, 0);
    replica.arrive(Nanos(crash), RequestKey(7), request(prompt(1, 100), 1)).unwrap();
    assert_eq!(cached(&drain(&mut replica)), [(7, 0)]);
}

#[test]
fn a_lone_request_is_admitted_although_its_cached_prompt_leaves_too_little() {
    // 64 + 35 < 100, but with the prompt cached one token more is wanted than there is.
    let mut replica = replica(100, |_| {});
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 64), 1)).unwrap();
    drain(&mut replica);
    replica.arrive(Nanos(9_000), RequestKey(1), request(prompt(1, 64), 35)).unwrap();
    assert_eq!(story(&drain(&mut replica))[1].0, "finished");
}

#[test]
fn what_cannot_be_served_is_refused_with_what_was_wanted() {
    let mut replica = replica(1_000, |_| {});
    let too_large = replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 900), 100));
    let wanted = ModelError::TooLarge {
        key: RequestKey(0),
        prompt_tokens: 900,
        output_tokens: 100,
        reserved_tokens: 100,
        kv_pool_tokens: 1_000,
    };
    assert_eq!(too_large, Err(wanted));
    let good = || request(prompt(1, 100), 5);
    let mut bad = vec![request(prompt(1, 100), 0)];
    bad.push(EngineRequest { max_tokens: Tokens(4), ..good() });
    bad.push(EngineRequest { max_tokens: Tokens(1 << 40), ..good() });
    bad.push(EngineRequest { sequence: Some(prompt(2, 105)), ..good() });
    bad.push(EngineRequest { sequence: Some(prompt(1, 104)), ..good() });
    for request in bad {
        let refused = replica.arrive(Nanos(0), RequestKey(0), request);
        assert!(matches!(refused, Err(ModelError::BadRequest { .. })), "{refused:?}");
    }
    replica.arrive(Nanos(5), RequestKey(0), good()).unwrap();
    let twice = replica.arrive(Nanos(5), RequestKey(0), good());
    assert_eq!(twice, Err(ModelError::DuplicateKey { key: RequestKey(0) }));
    let other_blocks = BlockChain::from_raw_ids([1, 2], Tokens(20), 10).unwrap();
    assert!(replica.arrive(Nanos(5), RequestKey(1), request(other_blocks, 1)).is_err());
    let back = replica.arrive(Nanos(4), RequestKey(1), good());
    assert_eq!(back, Err(ModelError::TimeWentBack { at: Nanos(4), simulated: Nanos(5) }));
    assert_eq!(drain(&mut replica).events.len(), 2);
}

#[test]
fn nonsense_is_no_configuration() {
    let changes: [fn(&mut ReplicaConfig); 7] = [
        |config| config.kv_pool_tokens = 0,
        |config| config.limits.chunked_prefill_tokens = 0,
        |config| config.limits.max_prefill_tokens = 0,
        |config| config.limits.max_running_requests = 0,
        |config| config.limits.new_token_ratio_decay_steps = 0,
        |config| config.limits.new_token_ratio_init_ppb = 1_000_000_001,
        |config| config.limits.new_token_ratio_min_ppb = 700_000_001,
    ];
    for change in changes {
        let mut config = config(10_000, |_| {});
        change(&mut config);
        assert!(matches!(SglangReplica::new(config), Err(ModelError::Invalid { .. })));
    }
}

#[test]
fn the_ratio_decays_to_its_minimum_and_comes_back_when_idle() {
    let mut replica = replica(100_000, |_| {});
    replica.arrive(Nanos(0), RequestKey(0), request(prompt(1, 100), 1_000)).unwrap();
    let mut out = ReplicaOutput::default();
    replica.advance(Nanos(2_000), &mut out);
    for (steps, ratio) in [(300, 700_000_000 - 300 * 1_003_333), (900, 98_000_000)] {
        // An arrival that needs a long time ends the run there.
        let far = EngineRequest { overhead: Nanos(1 << 40), ..request(prompt(9, 5), 1) };
        let at = Nanos(2_000 + steps * 101);
        replica.advance(at, &mut out);
        replica.arrive(at, RequestKey(1), EngineRequest { overhead: Nanos::ZERO, ..far }).unwrap();
        replica.cancel(at, RequestKey(1));
        replica.advance(at, &mut out);
        assert_eq!(replica.state.ratio_ppb, ratio, "after {steps} steps");
    }
    drain(&mut replica);
    assert_eq!(replica.state.ratio_ppb, 700_000_000);
}

#[test]
#[should_panic(expected = "time went back")]
fn time_does_not_go_back() {
    let mut replica = replica(10_000, |_| {});
    let mut out = ReplicaOutput::default();
    replica.advance(Nanos(10), &mut out);
    replica.advance(Nanos(9), &mut out);
}
