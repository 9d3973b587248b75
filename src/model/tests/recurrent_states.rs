//! Models with recurrent layers: a prompt goes on from kept states only. Cases by hand; random ones are compared with
//! the slow engine in `src/oracle`.

use gorgo_model::{
    CostProfile, EngineLimits, EngineRequest, ModelError, ReplicaConfig, ReplicaEvent,
    ReplicaOutput, RequestKey, SglangReplica,
};
use gorgo_types::{BlockChain, Nanos, Tokens};
use std::sync::Arc;

const BLOCK: u64 = 16;

fn replica_of(limits: EngineLimits) -> Result<SglangReplica, ModelError> {
    SglangReplica::new(ReplicaConfig {
        profile: Arc::new(CostProfile::constant(Nanos(1_000), 10, Nanos(100), 1, 0)),
        kv_pool_tokens: 100_000,
        limits,
        prefix_cache: true,
    })
}

/// A replica that keeps `slots` states and computes 100 tokens at a time.
fn replica(slots: Option<u32>) -> Result<SglangReplica, ModelError> {
    let limits = EngineLimits { chunked_prefill_tokens: 100, ..EngineLimits::default() };
    replica_of(EngineLimits { state_slots: slots, ..limits })
}

/// `tokens` tokens of the chain whose blocks hold `first`, `first + 1`, ...
fn chain(first: u64, tokens: u64) -> BlockChain {
    BlockChain::from_raw_ids(first..first + tokens.div_ceil(BLOCK), Tokens(tokens), 16)
        .expect("a chain")
}

/// Runs a request of so many tokens of prompt and answer alone; returns how many tokens were cached.
fn cached(replica: &mut SglangReplica, first: u64, input: u64, output: u64, known: bool) -> u64 {
    let request = EngineRequest {
        prompt: chain(first, input),
        output_tokens: Tokens(output),
        max_tokens: Tokens(output),
        sequence: known.then(|| chain(first, input + output)),
        overhead: Nanos::ZERO,
    };
    let now = replica.totals().until.to_nanos();
    replica.arrive(now, RequestKey(0), request).expect("it fits");
    let mut out = ReplicaOutput::default();
    while let Some(wake) = replica.next_wake() {
        replica.advance(wake, &mut out);
        replica.check().expect("the books are right");
    }
    let ReplicaEvent::FirstToken { cached_tokens, .. } = out.events[0] else {
        panic!("{:?} comes first", out.events[0]);
    };
    cached_tokens.0
}

#[test]
fn a_longer_prompt_goes_on_from_the_end_of_a_shorter_one_and_no_other_does() {
    let mut replica = replica(Some(1_000)).expect("a replica");
    assert_eq!(cached(&mut replica, 1, 64, 1, false), 0);
    assert_eq!(cached(&mut replica, 1, 64, 1, false), 0, "one token must be computed: no state");
    assert_eq!(cached(&mut replica, 1, 48, 1, false), 0, "no state in the middle");
    assert_eq!(cached(&mut replica, 1, 90, 1, false), 64);
    assert_eq!(cached(&mut replica, 1, 96, 1, false), 64, "the end of 90 is inside a block");
    assert_eq!(cached(&mut replica, 1, 97, 1, false), 96);
    assert_eq!(cached(&mut replica, 7, 96, 1, false), 0);
    // Without recurrent layers every cached token is as good as any other.
    let mut plain = self::replica(None).expect("a replica");
    let inputs = [(64, 0), (64, 63), (48, 47), (90, 64), (90, 89)];
    for (input, wanted) in inputs {
        assert_eq!(cached(&mut plain, 1, input, 1, false), wanted);
    }
}

#[test]
fn chunks_and_answers_leave_states_too() {
    let mut replica = replica(Some(1_000)).expect("a replica");
    // Chunks end after 100, 200 and 250 tokens: states at 96, 192 and 250. The answer is known: one for 280, at 272.
    assert_eq!(cached(&mut replica, 1, 250, 31, true), 0);
    for (input, wanted) in
        [(101, 96), (100, 0), (201, 192), (250, 192), (280, 192), (281, 272), (400, 272)]
    {
        assert_eq!(cached(&mut replica, 1, input, 1, false), wanted, "{input} tokens");
    }
}

#[test]
fn the_oldest_state_is_dropped_and_its_tokens_stay() {
    // Each request leaves one state at its prompt's end and one at its own, which nobody can reach.
    let mut replica = replica(Some(4)).expect("a replica");
    for first in [100, 200] {
        assert_eq!(cached(&mut replica, first, 64, 1, false), 0);
    }
    assert_eq!(cached(&mut replica, 100, 80, 1, false), 64, "both are there");
    // That was a touch of the first one's; of the second's two states and of those of the end of the first none is left.
    assert_eq!(cached(&mut replica, 200, 80, 1, false), 0);
    assert_eq!(replica.observe(replica.totals().until.to_nanos()).cached_tokens, 160);
}

#[test]
fn no_slots_at_all_are_refused() {
    let refused = replica(Some(0)).expect_err("no engine starts without");
    assert!(refused.to_string().contains("state_slots"), "{refused}");
}

/// A limit that is a share: of 200 prompts about as many hit as it says, the same ones in each replica; all and none at its
/// ends; more than all is refused.
fn check_share(
    field: &str,
    limits: impl Fn(u32) -> EngineLimits,
    hit: impl Fn(&mut SglangReplica, u64) -> bool,
) {
    let hits = |ppb: u32| -> Vec<bool> {
        let mut replica = replica_of(limits(ppb)).expect("a replica");
        (1..=200).map(|prompt| hit(&mut replica, prompt * 1_000)).collect()
    };
    let half = hits(500_000_000);
    assert_eq!(half, hits(500_000_000), "another replica, the same prompts");
    let count = half.iter().filter(|hit| **hit).count();
    assert!((75..=125).contains(&count), "{count} of 200");
    assert!(hits(1_000_000_000).iter().all(|hit| *hit));
    assert!(!hits(0).iter().any(|hit| *hit));
    let refused = replica_of(limits(1_000_000_001)).expect_err("more than all");
    assert!(refused.to_string().contains(field), "{refused}");
}

/// States for every prompt.
fn many() -> EngineLimits {
    EngineLimits { state_slots: Some(1_000), ..EngineLimits::default() }
}

#[test]
fn a_share_of_the_places_can_be_gone_on_from_and_it_is_the_same_everywhere() {
    let limits = |state_use_ppb| EngineLimits { state_use_ppb, ..many() };
    check_share("state_use_ppb", limits, |replica, first| {
        assert_eq!(cached(replica, first, 64, 1, false), 0);
        cached(replica, first, 80, 1, false) == 64
    });
}

#[test]
fn a_share_of_the_prompts_has_one_token_to_compute_when_it_is_sent_again() {
    let limits = |state_repeat_ppb| EngineLimits { state_use_ppb: 0, state_repeat_ppb, ..many() };
    check_share("state_repeat_ppb", limits, |replica, first| {
        assert_eq!(cached(replica, first, 70, 1, false), 0);
        assert_eq!(cached(replica, first, 75, 1, false), 0, "a longer one is another");
        let again = cached(replica, first, 70, 1, false);
        assert!([0, 69].contains(&again), "{again} of 70 tokens");
        assert_eq!(cached(replica, first, 70, 1, false), again, "and so on");
        again == 69
    });
}
