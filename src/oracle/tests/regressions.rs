//! Differences between the engines that were found once, each as the smallest script that shows it. The profile of
//! all of them: a prefill takes 100 ns + 1 ns per new token, a decode step 10 ns + 1 ns per sequence.

use gorgo_model::{
    CostProfile, EngineLimits, EngineRequest, ReplicaConfig, ReplicaEvent, RequestKey,
};
use gorgo_oracle::engine::run_slow;
use gorgo_oracle::fast::run_fast;
use gorgo_oracle::script::{Action, Outcome, Script};
use gorgo_types::{BlockChain, Nanos, Tokens};
use std::sync::Arc;

fn request(family: u32, prompt: u32, output: u64) -> Action {
    let tokens: Vec<u32> = (0..prompt).map(|i| family * 1000 + i).collect();
    Action::Arrive(EngineRequest {
        prompt: BlockChain::from_tokens(&tokens, 4).unwrap(),
        output_tokens: Tokens(output),
        max_tokens: Tokens(output),
        sequence: None,
        overhead: Nanos(0),
    })
}

/// Runs both engines without a prefix cache, reserving hardly anything; they must agree.
fn both(pool: u64, actions: Vec<(u64, Action)>) -> Outcome {
    let limits = EngineLimits {
        new_token_ratio_init_ppb: 0,
        new_token_ratio_min_ppb: 0,
        clip_max_new_tokens: 1,
        ..EngineLimits::default()
    };
    let profile = Arc::new(CostProfile::constant(Nanos(100), 1, Nanos(10), 1, 0));
    let config = ReplicaConfig { profile, kv_pool_tokens: pool, limits, prefix_cache: false };
    let actions = actions.into_iter().map(|(at, action)| (Nanos(at), action)).collect();
    let script = Script { config, actions };
    let (slow, _) = run_slow(&script);
    let fast = run_fast(&script).unwrap();
    assert_eq!(slow.difference(&fast), None);
    fast
}

fn key(index: u32) -> RequestKey {
    RequestKey(index)
}

/// A retraction clears *batch is full* and leaves requests waiting, so the boundary after the very next step tries
/// to admit them; the fast engine ran on until something else happened.
#[test]
fn after_a_retraction_admission_is_tried_at_the_next_boundary() {
    let actions = vec![(0, request(1, 4, 30)), (104, request(2, 20, 10)), (224, request(3, 16, 2))];
    let outcome = both(40, actions);
    // 24 of 40 tokens are held at 224, and 16 + 1 are not less than 16. Eight steps of 12 ns later nothing is free:
    // the second request goes (320), the first one's next step ends at 331, and then the third has room.
    let retracted = ReplicaEvent::Retracted { key: key(1), at: Nanos(320) };
    assert!(outcome.events.contains(&retracted), "{:?}", outcome.events);
    assert_eq!(outcome.tokens[2][0].to_nanos(), Nanos(331 + 116));
}

/// The boundaries *before* a cancel come first; at time zero there are none, but the fast engine passed the one at
/// zero.
#[test]
fn a_cancel_at_time_zero_finds_the_request_waiting() {
    let outcome = both(40, vec![(0, request(1, 4, 3)), (0, Action::Cancel(0))]);
    assert_eq!(outcome.events, [ReplicaEvent::Cancelled { key: key(0), at: Nanos(0) }]);
}

/// Asking twice is answered twice, and cancels once.
#[test]
fn a_second_cancel_changes_nothing() {
    let actions = vec![(0, request(1, 4, 30)), (50, Action::Cancel(0)), (60, Action::Cancel(0))];
    let outcome = both(40, actions);
    assert_eq!(outcome.cancels, [true, true]);
    assert_eq!(outcome.events.len(), 2);
    assert_eq!(outcome.events[1], ReplicaEvent::Cancelled { key: key(0), at: Nanos(104) });
}

/// What ends at the time of a crash has ended.
#[test]
fn a_crash_comes_after_the_boundaries_at_its_time() {
    let actions = vec![
        (0, request(1, 4, 2)),
        (115, Action::Crash),
        (200, request(1, 4, 30)),
        (326, Action::Crash),
    ];
    let outcome = both(40, actions);
    assert_eq!(outcome.lost, [vec![], vec![1]]);
    let times: Vec<u64> = outcome.tokens[1].iter().map(|at| at.to_nanos().0).collect();
    assert_eq!(times, [304, 315, 326]);
}
