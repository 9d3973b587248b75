//! The router of one region: when it serves, when it forwards, when it lets wait.

use gorgo_routing::policy::Configured;
use gorgo_routing::policy::gorgo_regional::{GorgoRegional, Parameters};
use gorgo_routing::policy::least_request::LeastRequest;
use gorgo_routing::{
    Action, Home, IndexBound, LearnAt, Policy, Reach, RegionReach, Room, Router, RouterConfig,
    RoutingRequest, Scrape, Target,
};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};

const HERE: ReplicaId = ReplicaId(0);
const NEAR: ReplicaId = ReplicaId(1);
const FAR: ReplicaId = ReplicaId(2);
const NOW: Nanos = Nanos(1_000);

fn prompt(content: u64, tokens: u64) -> BlockChain {
    let raw = (0..tokens.div_ceil(16)).map(|i| content + i).collect::<Vec<_>>();
    BlockChain::from_raw_ids(raw, Tokens(tokens), 16).unwrap()
}

const fn request(prompt: &BlockChain, hops: u32) -> RoutingRequest<'_> {
    let id = RequestId { session: 1, turn: 0 };
    RoutingRequest { id, prompt, max_tokens: Tokens(64), session: None, hops, residency: None }
}

/// The balancer of region 0 as GORGO v1 has it: 100 ms to region 1, 200 ms to region 2.
fn balancer(policy: Box<dyn Policy>, may_wait: bool) -> Router {
    let reach = RegionReach {
        region: RegionId(0),
        max_hops: 1,
        local_first: Some(Room::default()),
        may_wait,
    };
    let config = RouterConfig {
        reach: Reach::Region(reach),
        learn_at: LearnAt::Finished,
        index: IndexBound::EndTagged,
        max_queue: 10,
        serial_queue: true,
        ..RouterConfig::default()
    };
    let fleet = [(HERE, RegionId(0)), (NEAR, RegionId(1)), (FAR, RegionId(2))];
    let mut router = Router::new(config, policy, &fleet).unwrap();
    for (replica, ms) in [(HERE, 1), (NEAR, 100), (FAR, 200)] {
        told(&mut router, replica, 0, ms);
    }
    router
}

fn told(router: &mut Router, replica: ReplicaId, running_requests: u32, ms: u64) {
    let scrape = Scrape {
        running_requests,
        queued_requests: 0,
        used_tokens: 0,
        kv_pool_tokens: 1_000_000,
        taken_at: NOW,
        latency: Nanos::from_millis(ms),
    };
    router.scraped(NOW, replica, scrape);
}

fn gorgo() -> Box<dyn Policy> {
    Box::new(GorgoRegional::new(Parameters::default()).unwrap())
}

#[test]
fn what_has_room_here_is_served_here_whatever_the_policy_says() {
    let mut router = balancer(gorgo(), true);
    let prompt = prompt(0, 100_000);
    let ticket = router.dispatched(NOW, &request(&prompt, 0), FAR);
    router.finished(NOW, ticket, None);
    told(&mut router, HERE, 4, 1);
    let decision = router.decide(NOW, &request(&prompt, 0), 0);
    assert_eq!(decision.target, Target::Replica(HERE), "although all of it is cached elsewhere");
}

#[test]
fn without_room_the_cheaper_of_waiting_and_forwarding_is_taken() {
    let mut router = balancer(gorgo(), true);
    told(&mut router, HERE, 5, 1);
    let short = prompt(0, 160);
    assert_eq!(router.decide(NOW, &request(&short, 0), 0).target, Target::Queue);
    // 2,000 tokens wait: 188 ms, more than the 100 to the near region.
    assert!(router.enqueue(NOW, 7, Tokens(2_000)));
    assert_eq!(router.decide(NOW, &request(&short, 0), 0).target, Target::Replica(NEAR));
    // A prompt that the far region knows costs 200 ms there and nothing else; those without a match are out.
    let long = prompt(9_000, 3_200);
    let ticket = router.dispatched(NOW, &request(&long, 0), FAR);
    router.finished(NOW, ticket, None);
    assert_eq!(router.decide(NOW, &request(&long, 0), 0).target, Target::Replica(FAR));
    let home = Home { region: RegionId(0), waiting_tokens: 2_000, full: true };
    assert!(home.is_local(&router.signals()[0]));
}

#[test]
fn a_request_that_was_forwarded_is_not_forwarded_again() {
    let mut router = balancer(gorgo(), true);
    let prompt = prompt(0, 50_000);
    told(&mut router, HERE, 5, 1);
    assert!(router.enqueue(NOW, 7, Tokens(50_000)));
    assert_eq!(router.decide(NOW, &request(&prompt, 0), 0).target, Target::Replica(NEAR));
    assert_eq!(router.decide(NOW, &request(&prompt, 1), 0).target, Target::Queue);
    told(&mut router, HERE, 0, 1);
    assert_eq!(router.decide(NOW, &request(&prompt, 1), 0).target, Target::Replica(HERE));
}

#[test]
fn a_policy_that_may_not_wait_chooses_among_the_others() {
    let policy = || Box::new(LeastRequest::new(Default::default()).unwrap());
    let prompt = prompt(0, 100);
    for (may_wait, wanted) in [(true, Target::Queue), (false, Target::Replica(FAR))] {
        let mut router = balancer(policy(), may_wait);
        told(&mut router, HERE, 5, 1);
        told(&mut router, NEAR, 9, 100);
        told(&mut router, FAR, 7, 200);
        assert_eq!(router.decide(NOW, &request(&prompt, 0), 0).target, wanted);
    }
}

#[test]
fn a_serial_queue_is_held_until_the_response_ends() {
    let mut router = balancer(gorgo(), true);
    let prompt = prompt(0, 160);
    told(&mut router, HERE, 5, 1);
    for key in [1, 2] {
        assert_eq!(router.decide(NOW, &request(&prompt, 1), 0).target, Target::Queue);
        assert!(router.enqueue(NOW, key, prompt.tokens()));
    }
    told(&mut router, HERE, 0, 1);
    assert_eq!(router.poll(NOW), Some(Action::Retry(1)));
    assert_eq!(router.decide(NOW, &request(&prompt, 1), 0).target, Target::Replica(HERE));
    let first = router.dispatched(NOW, &request(&prompt, 1), HERE);
    assert_eq!(router.poll(NOW), None, "there is room, but the queue is held");
    let passing = router.dispatched(NOW, &request(&prompt, 0), HERE);
    router.finished(NOW, passing, None);
    assert_eq!(router.poll(NOW), None, "another one's end does not free it");
    router.finished(NOW, first, None);
    assert_eq!(router.poll(NOW), Some(Action::Retry(2)));
}
