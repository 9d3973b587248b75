//! Weights of replicas: turns, lots and loads fall in their proportion, and where all are 1 nothing is otherwise.

use gorgo_random::{Key, Purpose};
use gorgo_routing::log::{LogLine, LogRow};
use gorgo_routing::verify::{Case, verify};
use gorgo_routing::{
    Decision, MAX_WEIGHT, Policy, Question, Router, RouterConfig, RoutingError, RoutingRequest,
    Scrape, Signals, Target, registry,
};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use serde_json::json;

fn build(name: &str) -> Box<dyn Policy> {
    registry::build(name, json!({})).unwrap()
}

fn fleet(weights: &[u32]) -> Vec<Signals> {
    let replica = |(id, &weight): (u32, &u32)| Signals {
        scraped_at: Some(Nanos(1)),
        weight,
        ..Signals::unknown(ReplicaId(id), RegionId(0))
    };
    (0..).zip(weights).map(replica).collect()
}

fn request(prompt: &BlockChain, session: u64) -> RoutingRequest<'_> {
    let id = RequestId { session, turn: 0 };
    let session = Some(session);
    RoutingRequest { id, prompt, max_tokens: Tokens(8), session, hops: 0, residency: None }
}

/// How often each is chosen in so many decisions, each of which is told as a dispatch.
fn shares(policy: &mut dyn Policy, fleet: &[Signals], decisions: u64) -> Vec<u64> {
    let prompt = BlockChain::from_tokens(&[1; 40], 16).unwrap();
    let mut chosen = vec![0; fleet.len()];
    for i in 0..decisions {
        let draw = Key::new(7).with(Purpose::Decision).word(i).draw().bits();
        let request = request(&prompt, i);
        let question = Question::new(Nanos(9), request, fleet, draw, None);
        let mut decision = Decision::new();
        policy.decide(&question, &mut decision);
        let Target::Replica(replica) = decision.target else { panic!("{decision:?}") };
        policy.on_dispatched(&request, &fleet[replica.index()]);
        chosen[replica.index()] += 1;
    }
    chosen
}

#[test]
fn turns_are_exactly_in_proportion_and_evenly_spaced() {
    for weights in [&[1, 1, 1][..], &[3, 1], &[5, 3, 2], &[1, 1000], &[7, 7, 7], &[4, 6, 1, 1]] {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        let fleet = fleet(weights);
        let mut policy = build("round-robin");
        // The first round may begin in its middle.
        shares(&mut *policy, &fleet, total);
        for rounds in [1, 3] {
            let wanted: Vec<u64> = weights.iter().map(|&w| u64::from(w) * rounds).collect();
            assert_eq!(shares(&mut *policy, &fleet, total * rounds), wanted, "{weights:?}");
        }
    }
    let fleet = fleet(&[4, 2]);
    let mut policy = build("round-robin");
    let mut turns = || shares(&mut *policy, &fleet, 1)[0];
    let order: Vec<u64> = (0..12).map(|_| turns()).collect();
    // Never three of the heavy one in a row, never two of the light one.
    assert!(order.windows(4).all(|few| few.iter().sum::<u64>() <= 3), "{order:?}");
    assert!(order.windows(2).all(|few| few.iter().sum::<u64>() >= 1), "{order:?}");
}

#[test]
fn the_turns_of_who_may_not_be_chosen_pass() {
    let mut fleet = fleet(&[3, 2, 1]);
    fleet[0].eligible = false;
    let mut policy = build("round-robin");
    shares(&mut *policy, &fleet, 3);
    assert_eq!(shares(&mut *policy, &fleet, 30), [0, 20, 10]);
    fleet[0].eligible = true;
    shares(&mut *policy, &fleet, 6);
    assert_eq!(shares(&mut *policy, &fleet, 60), [30, 20, 10]);
    // A weight that changes in the middle of a round, and a memory that is no turn of anybody.
    fleet[0].weight = 1;
    fleet[1].weight = 1;
    shares(&mut *policy, &fleet, 3);
    assert_eq!(shares(&mut *policy, &fleet, 30), [10, 10, 10]);
    policy.recall(u64::MAX);
    shares(&mut *policy, &fleet, 3);
    assert_eq!(shares(&mut *policy, &fleet, 30), [10, 10, 10]);
}

#[test]
fn lots_and_sessions_fall_in_proportion() {
    for name in ["random", "session-affinity"] {
        let chosen = shares(&mut *build(name), &fleet(&[1, 2, 5]), 8_000);
        for (chosen, wanted) in chosen.iter().zip([1_000, 2_000, 5_000_u64]) {
            assert!(chosen.abs_diff(wanted) < 150, "{name}: {chosen} of {wanted}");
        }
    }
    let mut closed = fleet(&[1, 2, 5]);
    closed[2].eligible = false;
    let chosen = shares(&mut *build("random"), &closed, 3_000);
    assert!(chosen[2] == 0 && chosen[0].abs_diff(1_000) < 100, "{chosen:?}");
}

/// The replica that a policy takes, of two that differ in weight and in nothing else but what `load` says.
fn choice(name: &str, weights: [u32; 2], load: impl Fn(&mut Signals, u32)) -> u32 {
    let mut fleet = fleet(&weights);
    load(&mut fleet[0], 30);
    load(&mut fleet[1], 20);
    let prompt = BlockChain::from_tokens(&[1; 40], 16).unwrap();
    let question = Question::new(Nanos(9), request(&prompt, 1), &fleet, 5, None);
    let mut decision = Decision::new();
    build(name).decide(&question, &mut decision);
    let Target::Replica(replica) = decision.target else { panic!("{name}: {decision:?}") };
    replica.0
}

#[test]
fn loads_are_compared_per_weight() {
    for name in registry::names() {
        let load = |signals: &mut Signals, n: u32| {
            signals.running_requests = n / 10;
            signals.in_flight_requests = n / 10;
            signals.queued_requests = n / 10;
            signals.queued_tokens = 1_000 * u64::from(n);
        };
        if ["nearest", "random", "round-robin", "session-affinity", "gorgo-regional"].contains(name)
        {
            continue;
        }
        assert_eq!(choice(name, [1, 1], load), 1, "{name}");
        assert_eq!(choice(name, [2, 1], load), 0, "{name}: 15 against 20");
        assert_eq!(choice(name, [4, 4], load), 1, "{name}: equal weights change nothing");
    }
    // A round trip is none that weight could shorten.
    let far = |signals: &mut Signals, ms: u32| signals.rtt_ewma_ms = Some(f64::from(ms));
    for name in ["nearest", "gorgo-abg"] {
        assert_eq!(choice(name, [9, 1], far), 1, "{name}");
    }
}

/// Of two that were given the same number of requests, the heavier one keeps taking more until loads per weight are equal.
#[test]
fn a_router_keeps_loads_in_proportion() {
    for name in ["least-request", "power-of-two", "cache-aware", "gorgo", "round-robin"] {
        let replicas: Vec<_> = (0..3).map(|id| (ReplicaId(id), RegionId(0))).collect();
        let mut router = Router::new(RouterConfig::default(), build(name), &replicas).unwrap();
        for (id, weight) in [(0, 1), (1, 2), (2, 5)] {
            let zero = Nanos::ZERO;
            router.set_replica_weight(zero, ReplicaId(id), weight).unwrap();
            let (taken_at, latency) = (zero, zero);
            let scrape = Scrape {
                running_requests: 0,
                queued_requests: 0,
                used_tokens: 0,
                kv_pool_tokens: 0,
                taken_at,
                latency,
            };
            router.scraped(zero, ReplicaId(id), scrape);
        }
        let mut given = [0_i32; 3];
        for i in 0..240_u32 {
            let prompt = BlockChain::from_tokens(&[i; 40], 16).unwrap();
            let request = request(&prompt, i.into());
            let draw = Key::new(3).with(Purpose::Decision).word(i.into()).draw().bits();
            let target = router.decide(Nanos(1), &request, draw).target;
            let Target::Replica(replica) = target else { panic!("{name}: {target:?}") };
            router.dispatched(Nanos(1), &request, replica);
            given[replica.index()] += 1;
        }
        for (given, weight) in given.iter().zip([1, 2, 5]) {
            let wanted = 30 * weight;
            assert!((given - wanted).abs() <= 2 * weight + 2, "{name}: {given} of {wanted}");
        }
    }
}

#[test]
fn weights_out_of_range_and_strangers_are_refused() {
    let replicas = [(ReplicaId(0), RegionId(0))];
    let mut router = Router::new(RouterConfig::default(), build("round-robin"), &replicas).unwrap();
    for got in [0, MAX_WEIGHT + 1, u32::MAX] {
        let refused = router.set_replica_weight(Nanos::ZERO, ReplicaId(0), got);
        let wanted = RoutingError::ReplicaWeight { replica: ReplicaId(0), got, most: MAX_WEIGHT };
        assert_eq!(refused, Err(wanted));
    }
    let stranger = router.set_replica_weight(Nanos::ZERO, ReplicaId(1), 2);
    assert_eq!(stranger, Err(RoutingError::UnknownReplica { replica: ReplicaId(1) }));
    assert_eq!(router.signals()[0].weight, 1);
}

/// What was decided by weight is decided again from the log alone; without weights the log has no word of them.
#[test]
fn logs_carry_weights() {
    for name in registry::names() {
        for weights in [[1, 1, 1], [3, 1, 2]] {
            let fleet = fleet(&weights);
            let mut policy = build(name);
            let prompt = BlockChain::from_tokens(&[1; 40], 16).unwrap();
            let mut cases = Vec::new();
            for i in 0..40 {
                let draw = Key::new(7).with(Purpose::Decision).word(i).draw().bits();
                let request = request(&prompt, i);
                let question = Question::new(Nanos(9), request, &fleet, draw, None);
                let mut decision = Decision::new();
                policy.decide(&question, &mut decision);
                let line = LogLine::new(&question, &decision, &*policy);
                let text = serde_json::to_string(&line).unwrap();
                assert_eq!(text.contains("\"weight\":[3,1,2]"), weights[0] == 3, "{text}");
                let row: LogRow = serde_json::from_str(&text).unwrap();
                assert_eq!(row, line.to_row());
                cases.push(Case::try_from(row).unwrap());
                if let Target::Replica(replica) = decision.target {
                    policy.on_dispatched(&request, &fleet[replica.index()]);
                }
            }
            let report = verify(build(name), cases).unwrap();
            assert_eq!((report.matched, report.scores_changed), (40, 0), "{name}: {report:?}");
        }
    }
}

#[test]
fn odd_weights_of_a_log_are_refused() {
    let fleet = fleet(&[2, 1]);
    let prompt = BlockChain::from_tokens(&[1; 40], 16).unwrap();
    let question = Question::new(Nanos(9), request(&prompt, 1), &fleet, 0, None);
    let policy = build("round-robin");
    let mut decision = Decision::new();
    policy.decide(&question, &mut decision);
    let row = LogLine::new(&question, &decision, &*policy).to_row();
    for (weight, word) in [
        (vec![0, 1], "`candidates.weight` is 0, wanted 1 to 1000"),
        (vec![2, 1001], "`candidates.weight` is 1001"),
        (vec![2], "`candidates.weight` is 1 values, wanted 2"),
    ] {
        let mut row = row.clone();
        row.candidates.weight = weight;
        let error = Case::try_from(row).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
