//! What is changed while a router works: policies, weights, tuners, the index.

use gorgo_routing::tuner::{Bounds, Objective, StrategyConfig, TunerConfig};
use gorgo_routing::{
    Action, Ignored, Policy, ReleaseAt, Router, RouterConfig, RoutingRequest, Scrape, Target,
    WeightError, registry,
};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use serde_json::json;

const NOW: Nanos = Nanos(1_000);
const A: ReplicaId = ReplicaId(0);
const B: ReplicaId = ReplicaId(1);

fn policy(name: &str) -> Box<dyn Policy> {
    registry::build(name, json!({})).unwrap()
}

fn router(name: &str) -> Router {
    let config = RouterConfig {
        max_in_flight_per_replica: Some(2),
        release_at: ReleaseAt::Finished,
        max_queue: 5,
        ..RouterConfig::default()
    };
    Router::new(config, policy(name), &[(A, RegionId(0)), (B, RegionId(0))]).unwrap()
}

fn prompt() -> BlockChain {
    BlockChain::from_raw_ids([1, 2], Tokens(32), 16).unwrap()
}

const fn request(prompt: &BlockChain) -> RoutingRequest<'_> {
    let id = RequestId { session: 1, turn: 0 };
    RoutingRequest { id, prompt, max_tokens: Tokens(64), session: None, hops: 0, residency: None }
}

fn cached(router: &mut Router, prompt: &BlockChain) -> Vec<u64> {
    router.decide(NOW, &request(prompt), 0);
    router.signals().iter().map(|s| s.cached_tokens).collect()
}

#[test]
fn a_new_policy_finds_load_probes_queue_and_index_as_they_are() {
    let mut router = router("gorgo");
    let prompt = prompt();
    router.probe_result(NOW, A, Some(Nanos::from_millis(5)));
    let served = router.dispatched(NOW, &request(&prompt), B);
    router.first_token(NOW, served);
    let under_way: Vec<_> =
        [A, A, B].into_iter().map(|r| router.dispatched(NOW, &request(&prompt), r)).collect();
    assert_eq!(router.decide(NOW, &request(&prompt), 0).target, Target::Queue);
    assert!(router.enqueue(NOW, 7, Tokens(32)));
    let before = router.signals().to_vec();

    let old = router.set_policy(policy("prefix-cache"));
    assert_eq!((old.name(), router.name()), ("gorgo", "prefix-cache"));
    assert_eq!((router.queued(), router.in_flight()), (1, 4));
    assert_eq!(router.poll(NOW), Some(Action::Retry(7)), "the new policy is asked");
    assert_eq!(router.decide(NOW, &request(&prompt), 0).target, Target::Queue);
    assert_eq!(router.signals(), before);
    router.requeue(NOW, 7);
    for ticket in under_way.into_iter().chain([served]) {
        router.finished(NOW, ticket, None);
    }
    assert!(router.signals().iter().all(|s| s.in_flight_requests == 0));
    assert_eq!(router.ignored(), Ignored::default());
}

#[test]
fn the_index_begins_with_the_first_policy_that_needs_it_and_goes_with_the_last() {
    let mut router = router("round-robin");
    let prompt = prompt();
    let before = router.dispatched(NOW, &request(&prompt), A);
    router.set_policy(policy("gorgo"));
    router.finished(NOW, before, None);
    assert_eq!(cached(&mut router, &prompt), [0, 0], "dispatched before there was an index");
    let after = router.dispatched(NOW, &request(&prompt), A);
    router.finished(NOW, after, None);
    assert_eq!(cached(&mut router, &prompt), [32, 0]);
    router.set_policy(policy("session-affinity"));
    assert_eq!(cached(&mut router, &prompt), [0, 0]);
    assert_eq!(router.index_stats().blocks, 0);
    router.set_policy(policy("gorgo"));
    assert_eq!(cached(&mut router, &prompt), [0, 0], "it begins anew");
}

#[test]
fn the_index_can_be_cleared() {
    let mut router = router("gorgo");
    let prompt = prompt();
    for replica in [A, B] {
        let ticket = router.dispatched(NOW, &request(&prompt), replica);
        router.finished(NOW, ticket, None);
    }
    let late = router.dispatched(NOW, &request(&prompt), B);
    assert_eq!(cached(&mut router, &prompt), [32, 32]);
    router.index_clear();
    assert_eq!(cached(&mut router, &prompt), [0, 0]);
    router.finished(NOW, late, None);
    assert_eq!(cached(&mut router, &prompt), [0, 32], "what is learned after it stays");
}

#[test]
fn weights_change_while_it_routes() {
    let mut router = router("gorgo");
    let before = router.set_weight("w_queue", 0.5).unwrap();
    assert_eq!(router.set_weight("w_queue", before), Ok(0.5));
    let unknown = router.set_weight("w_moon", 1.0).unwrap_err();
    assert!(
        unknown.to_string().starts_with("policy `gorgo` has no weight `w_moon`, wanted one of w_")
    );
    assert!(matches!(router.set_weight("w_queue", f64::NAN), Err(WeightError::Value(_))));
    assert!(matches!(router.set_weight("w_queue", -1.0), Err(WeightError::Value(_))));
    router.set_policy(policy("random"));
    assert!(matches!(router.set_weight("w_queue", 1.0), Err(WeightError::Unknown { .. })));
}

fn tuner() -> TunerConfig {
    TunerConfig {
        weights: vec![Bounds { name: "w_queue".to_owned(), low: 0.1, high: 10.0 }],
        objective: Objective::default(),
        strategy: StrategyConfig::Paired(Default::default()),
    }
}

#[test]
fn a_tuner_goes_with_its_policy_or_when_it_is_told_to() {
    let mut router = router("gorgo");
    router.set_weight("w_queue", 1.0).unwrap();
    router.tune(&tuner(), 3).unwrap();
    assert_eq!(
        router.set_weight("w_queue", 2.0),
        Err(WeightError::Tuned { name: "w_queue".to_owned() })
    );
    assert_eq!(router.set_weight("w_rtt", 2.0), Ok(0.276), "that one nobody tunes");
    for replica in [A, B] {
        let scrape = Scrape {
            running_requests: 0,
            queued_requests: 0,
            used_tokens: 0,
            kv_pool_tokens: 0,
            taken_at: NOW,
            latency: NOW,
        };
        router.scraped(NOW, replica, scrape);
    }
    // In the middle of its trials the policy has now the one, now the other weights.
    let prompt = prompt();
    let mut seen = Vec::new();
    for _ in 0..400 {
        let Target::Replica(replica) = router.decide(NOW, &request(&prompt), 0).target else {
            panic!("there is room")
        };
        let index = router.policy().tunable().iter().position(|w| w.name == "w_queue").unwrap();
        seen.push(router.policy().weight(index));
        let ticket = router.dispatched(NOW, &request(&prompt), replica);
        router.finished(NOW, ticket, None);
    }
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    assert!(seen.len() >= 2, "{seen:?}");
    let best = router.tuner().unwrap().best()[0];
    assert!(router.untune() && !router.untune());
    assert_eq!(router.set_weight("w_queue", 1.0), Ok(best), "no candidate's");

    router.tune(&tuner(), 3).unwrap();
    let ticket = router.dispatched(NOW, &request(&prompt), A);
    router.set_policy(policy("gorgo"));
    assert!(router.tuner().is_none());
    router.finished(NOW, ticket, None);
    assert_eq!(router.ignored(), Ignored::default());
}
