//! Runs computed by hand. The profile of all of them: a prefill takes 100 ns + 1 ns per new token, a decode step
//! 10 ns + 1 ns per sequence, whatever the context.

use super::*;
use gorgo_model::{CostProfile, EngineLimits};
use gorgo_types::{BlockChain, Tokens};
use std::sync::Arc;

fn config(pool: u64, limits: EngineLimits) -> ReplicaConfig {
    let profile = CostProfile::constant(Nanos(100), 1, Nanos(10), 1, 0);
    ReplicaConfig { profile: Arc::new(profile), kv_pool_tokens: pool, limits, prefix_cache: true }
}

/// A prompt of `prompt` tokens that starts like all others of its `family`; blocks of 4 tokens.
fn request(family: u32, prompt: u32, output: u64, max_tokens: u64) -> EngineRequest {
    let tokens: Vec<u32> = (0..prompt).map(|i| family * 1000 + i).collect();
    EngineRequest {
        prompt: BlockChain::from_tokens(&tokens, 4).unwrap(),
        output_tokens: Tokens(output),
        max_tokens: Tokens(max_tokens),
        sequence: None,
        overhead: Nanos(0),
    }
}

fn run(config: ReplicaConfig, actions: Vec<(u64, Action)>) -> (Outcome, Coverage) {
    let actions = actions.into_iter().map(|(at, action)| (Nanos(at), action)).collect();
    let (outcome, coverage) = run_slow(&Script { config, actions });
    assert_eq!(outcome.never_served, Vec::<Index>::new());
    (outcome, coverage)
}

/// When the tokens of a request were emitted, in ns.
fn token_times(outcome: &Outcome, index: Index) -> Vec<u64> {
    outcome.tokens[index].iter().map(|at| at.to_nanos().0).collect()
}

#[test]
fn a_lone_request() {
    let actions = vec![(1000, Action::Arrive(request(1, 8, 3, 3)))];
    let (outcome, _) = run(config(1000, EngineLimits::default()), actions);
    assert_eq!(token_times(&outcome, 0), [1108, 1119, 1130]);
    assert_eq!(outcome.gaps, [(Femtos(11_000_000), 2)]);
    // Held: 8 tokens during the prefill, 9 and 10 in the steps.
    assert_eq!(outcome.totals.kv_token_time, (8 * 108 + 9 * 11 + 10 * 11) * 1_000_000);
}

#[test]
fn an_arrival_on_a_boundary_is_in_and_one_after_it_is_late() {
    let three = |second: u64| {
        vec![
            (0, Action::Arrive(request(1, 8, 10, 10))),
            (second, Action::Arrive(request(2, 4, 1, 1))),
        ]
    };
    // Boundaries of the first: 108, 119, 130, ...
    let (on, coverage) = run(config(1000, EngineLimits::default()), three(130));
    assert_eq!((token_times(&on, 1), coverage.ready_on_boundary), (vec![130 + 104], 1));
    let (late, _) = run(config(1000, EngineLimits::default()), three(131));
    assert_eq!(token_times(&late, 1), [141 + 104]);
    // The first request's fourth token comes after the second one's prefill.
    assert_eq!(token_times(&on, 0)[2..4], [130, 234 + 11]);
}

#[test]
fn chunks_of_a_long_prompt_and_the_cache_they_leave() {
    let limits = EngineLimits { chunked_prefill_tokens: 10, ..EngineLimits::default() };
    let actions = vec![
        (0, Action::Arrive(request(1, 23, 1, 1))),
        (1000, Action::Arrive(request(1, 23, 1, 1))),
        (2000, Action::Arrive(request(1, 20, 1, 1))),
        (3000, Action::Observe),
    ];
    let (outcome, _) = run(config(1000, limits), actions);
    // 10 + 10 + 3 tokens; then all but one token cached; then 20 of 20 cached, one computed again.
    assert_eq!(token_times(&outcome, 0), [110 + 110 + 103]);
    assert_eq!(token_times(&outcome, 1), [1101]);
    assert_eq!(token_times(&outcome, 2), [2101]);
    assert_eq!(outcome.observations[0].1.cached_tokens, 23);
    assert_eq!(outcome.totals.cached_tokens, 22 + 19);
}

#[test]
fn memory_refuses_until_a_request_ends() {
    let actions = vec![
        (0, Action::Arrive(request(1, 8, 8, 8))),
        (108, Action::Arrive(request(2, 16, 2, 11))),
        (108, Action::Arrive(request(3, 4, 1, 1))),
    ];
    let (outcome, coverage) = run(config(36, EngineLimits::default()), actions);
    // At 108, 28 of the 36 tokens are free, and floor(0.7 * 7) = 4 are kept for the running one: 24 is not more than
    // 16 + 11. Nobody else is tried.
    // The running one ends after 7 steps of 11 ns; then both are prefilled at once.
    assert_eq!(token_times(&outcome, 0).last(), Some(&185));
    assert_eq!(token_times(&outcome, 1), [185 + 120, 185 + 120 + 11]);
    assert_eq!(token_times(&outcome, 2), [185 + 120]);
    assert_eq!((coverage.full_for_memory, coverage.full_cleared), (1, 1));
}

#[test]
fn the_shortest_output_is_retracted_and_comes_back() {
    let limits = EngineLimits {
        new_token_ratio_init_ppb: 0,
        new_token_ratio_min_ppb: 0,
        clip_max_new_tokens: 1,
        retract_decode_steps: 1,
        ..EngineLimits::default()
    };
    let actions =
        vec![(0, Action::Arrive(request(1, 8, 8, 8))), (119, Action::Arrive(request(2, 8, 5, 5)))];
    let (outcome, _) = run(config(20, limits), actions);
    // At 119 the first has 2 tokens and holds 9; then the second is prefilled, and they hold 17 at 227, 19 at 239.
    // One more token each does not fit in 20. The second, with 2 tokens, goes; its prompt stays cached, unlocked.
    assert_eq!(token_times(&outcome, 0)[..3], [108, 119, 239]);
    assert_eq!(token_times(&outcome, 1)[..2], [227, 239]);
    let retracted = ReplicaEvent::Retracted { key: key(1), at: Nanos(239) };
    assert!(outcome.events.contains(&retracted), "{:?}", outcome.events);
    // The first goes on alone: 4 tokens at 250, 8 at 294. Its second token more than the free ones evicts the other's
    // prompt, so that one computes 8 + 2 tokens again.
    assert_eq!(token_times(&outcome, 0).last(), Some(&294));
    assert_eq!(token_times(&outcome, 1)[2..], [294 + 110, 415, 426]);
}

/// The request whose prompt is all of `tokens` but the last `output`, which it answers.
fn turn(tokens: &[u32], output: usize) -> EngineRequest {
    let chain = |tokens: &[u32]| BlockChain::from_tokens(tokens, 4).unwrap();
    EngineRequest {
        prompt: chain(&tokens[..tokens.len() - output]),
        output_tokens: Tokens(output as u64),
        max_tokens: Tokens(output as u64),
        sequence: Some(chain(tokens)),
        overhead: Nanos(0),
    }
}

fn cached_tokens(outcome: &Outcome) -> Vec<u64> {
    let cached = |event: &ReplicaEvent| match event {
        ReplicaEvent::FirstToken { cached_tokens, .. } => Some(cached_tokens.0),
        _ => None,
    };
    outcome.events.iter().filter_map(cached).collect()
}

#[test]
fn a_conversation_hits_its_own_output_through_the_partial_tail() {
    let talk: Vec<u32> = (0..40).collect();
    let actions = vec![
        // 6 + 7 tokens: 12 of them have KV at the end, that is three blocks, the second one half prompt.
        (0, Action::Arrive(turn(&talk[..13], 7))),
        (1000, Action::Observe),
        // 19 tokens, of which the first 12 are known.
        (2000, Action::Arrive(turn(&talk[..20], 1))),
        (3000, Action::Observe),
    ];
    let (outcome, coverage) = run(config(1000, EngineLimits::default()), actions);
    assert_eq!(cached_tokens(&outcome), [0, 12]);
    let cached: Vec<u64> =
        outcome.observations.iter().map(|(_, seen)| seen.cached_tokens).collect();
    assert_eq!(cached, [12, 19]);
    assert_eq!((coverage.hung_under_tail, coverage.hit_through_tail), (1, 1));
}

#[test]
fn a_scrape_sees_the_step_under_way() {
    let actions = vec![
        (0, Action::Arrive(request(1, 8, 5, 5))),
        (50, Action::Observe),
        (118, Action::Observe),
        (119, Action::Observe),
    ];
    let (outcome, _) = run(config(100, EngineLimits::default()), actions);
    let used: Vec<u64> = outcome.observations.iter().map(|(_, seen)| seen.used_tokens).collect();
    // The prompt; the prompt and the first step's token; the second step's too.
    assert_eq!(used, [8, 9, 10]);
    assert!(outcome.observations.iter().all(|(_, seen)| seen.running_requests == 1));
}

#[test]
fn cancels_take_effect_at_once_or_at_the_next_boundary() {
    let limits = EngineLimits { chunked_prefill_tokens: 10, ..EngineLimits::default() };
    let actions = vec![
        (0, Action::Arrive(request(1, 25, 5, 5))),
        (0, Action::Arrive(request(2, 8, 5, 5))),
        (50, Action::Cancel(1)),
        // In the second chunk: 20 tokens are computed at its end, at 220.
        (150, Action::Cancel(0)),
        (150, Action::Cancel(0)),
        (300, Action::Observe),
    ];
    let (outcome, coverage) = run(config(100, limits), actions);
    let cancelled = |index, at| ReplicaEvent::Cancelled { key: key(index), at: Nanos(at) };
    assert_eq!(outcome.events, [cancelled(1, 50), cancelled(0, 220)]);
    assert_eq!(coverage.cancelled_chunked, 1);
    assert_eq!(outcome.observations[0].1.cached_tokens, 20);
}

#[test]
fn a_stalled_sequence_has_one_long_gap() {
    let actions =
        vec![(0, Action::Arrive(request(1, 8, 3, 3))), (110, Action::Arrive(request(2, 8, 2, 2)))];
    let (outcome, _) = run(config(100, EngineLimits::default()), actions);
    assert_eq!(token_times(&outcome, 0), [108, 119, 239]);
    assert_eq!(token_times(&outcome, 1), [227, 239]);
    let gaps = [(11, 1), (12, 1), (120, 1)].map(|(ns, count)| (Femtos(ns * 1_000_000), count));
    assert_eq!(outcome.gaps, gaps);
}

#[test]
fn longest_prefix_first() {
    let limits = EngineLimits {
        schedule: gorgo_model::Schedule::Lpm,
        max_running_requests: 1,
        ..EngineLimits::default()
    };
    let actions = vec![
        (0, Action::Arrive(request(1, 8, 1, 1))),
        (200, Action::Arrive(request(2, 8, 1, 1))),
        (200, Action::Arrive(request(1, 12, 1, 1))),
    ];
    let (outcome, coverage) = run(config(100, limits), actions);
    assert_eq!(token_times(&outcome, 2), [304]);
    assert_eq!(token_times(&outcome, 1), [304 + 108]);
    assert_eq!(coverage.lpm_reorders, 1);
}
