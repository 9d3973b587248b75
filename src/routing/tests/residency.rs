//! A request that is bound to a zone: where it may go, when it is turned away, what the log says of it.

use gorgo_random::{Draw, Key};
use gorgo_routing::log::{LogLine, LogRow};
use gorgo_routing::verify::{Case, verify};
use gorgo_routing::{
    Decision, Policy, Question, Reach, RegionReach, Router, RouterConfig, RoutingRequest, Scrape,
    Target, registry,
};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens, ZoneId};
use serde_json::json;

const NOW: Nanos = Nanos(1_000);

fn zone(index: usize) -> Option<ZoneId> {
    Some(ZoneId::from_index(index).unwrap())
}

fn prompt(content: u64) -> BlockChain {
    BlockChain::from_raw_ids([content, content + 1], Tokens(32), 16).unwrap()
}

const fn request(prompt: &BlockChain, turn: u32, residency: Option<ZoneId>) -> RoutingRequest<'_> {
    let id = RequestId { session: 1, turn };
    RoutingRequest { id, prompt, max_tokens: Tokens(64), session: None, hops: 0, residency }
}

/// Six replicas: two in zone 0, two in zone 1, two in none.
fn router(config: RouterConfig, policy: Box<dyn Policy>) -> Router {
    let fleet: Vec<_> = (0..6).map(|i| (ReplicaId(i), RegionId(i % 3))).collect();
    let mut router = Router::new(config, policy, &fleet).unwrap();
    for i in 0..6 {
        let zone = if i < 4 { zone(i as usize / 2) } else { None };
        router.set_zone(NOW, ReplicaId(i), zone).unwrap();
    }
    router
}

fn scrape(router: &mut Router, replica: ReplicaId, running_requests: u32) {
    let latency = Nanos::from_millis(1 + u64::from(replica.0) * 10);
    router.scraped(
        NOW,
        replica,
        Scrape {
            running_requests,
            queued_requests: 0,
            used_tokens: 100 * u64::from(running_requests),
            kv_pool_tokens: 100_000,
            taken_at: NOW,
            latency,
        },
    );
}

/// Draws a router into random states and asks it, with and without zones.
fn walk(name: &str, dice: &mut Draw, mut each: impl FnMut(&mut Router, &RoutingRequest<'_>, u64)) {
    let mut below = |n: u64| {
        *dice = dice.next();
        dice.below(n)
    };
    let config = RouterConfig {
        max_in_flight_per_replica: Some(2),
        max_queue: 4,
        block_tokens: 16,
        ..RouterConfig::default()
    };
    let mut router = router(config, registry::build(name, json!({})).unwrap());
    let mut tickets = Vec::new();
    for turn in 0..600 {
        let replica = ReplicaId(below(6) as u32);
        match below(4) {
            0 => router.set_health(NOW, replica, below(3) > 0).unwrap(),
            1 => scrape(&mut router, replica, below(9) as u32),
            2 if !tickets.is_empty() => {
                let ticket = tickets.swap_remove(below(tickets.len() as u64) as usize);
                router.finished(NOW, ticket, None);
            }
            _ => {}
        }
        let prompt = prompt(below(5));
        let zone = [None, zone(0), zone(1), zone(2)][below(4) as usize];
        let request = request(&prompt, turn, zone);
        let draw = below(u64::MAX);
        each(&mut router, &request, draw);
        if let Target::Replica(replica) = router.decision().target {
            tickets.push(router.dispatched(NOW, &request, replica));
        }
    }
}

#[test]
fn no_policy_sends_a_request_out_of_its_zone() {
    for &name in registry::names() {
        let mut dice = Key::new(5).word(name.len() as u64).draw();
        let (mut bound, mut turned_away) = (0, 0);
        walk(name, &mut dice, |router, request, draw| {
            router.decide(NOW, request, draw);
            let decision = router.decision();
            let Some(zone) = request.residency else {
                assert_ne!(decision.rule, "no-replica-in-zone");
                return;
            };
            let inside = |replica: ReplicaId| {
                replica.0 < 4 && ZoneId::from_index(replica.index() / 2) == Some(zone)
            };
            match decision.target {
                Target::Replica(replica) => {
                    assert!(inside(replica), "{}: {decision:?}", name)
                }
                Target::Reject if zone.index() == 2 => {
                    assert_eq!(decision.rule, "no-replica-in-zone");
                    turned_away += 1;
                }
                Target::Queue | Target::Reject => {
                    let open = router.signals().iter().any(|s| s.eligible);
                    assert!(!open, "{}: waits for nobody: {decision:?}", name);
                }
            }
            assert!(router.signals().iter().all(|s| inside(s.replica) || !s.eligible));
            bound += 1;
        });
        assert!(bound > 300 && turned_away > 80, "{}: {bound}, {turned_away}", name);
    }
}

#[test]
fn requests_without_a_zone_are_decided_as_if_there_were_none() {
    for &name in registry::names() {
        let mut dice = Key::new(6).draw();
        walk(name, &mut dice, |router, request, draw| {
            let free = RoutingRequest { residency: None, ..*request };
            let first = router.decide(NOW, &free, draw).clone();
            let signals = router.signals().to_vec();
            router.decide(NOW, &RoutingRequest { residency: zone(0), ..free }, draw);
            assert_eq!(*router.decide(NOW, &free, draw), first, "{}", name);
            assert_eq!(router.signals(), signals);
            router.decide(NOW, request, draw);
        });
    }
}

#[test]
fn a_log_with_zones_gives_every_decision_again() {
    for &name in registry::names() {
        let mut dice = Key::new(7).draw();
        let mut log = Vec::new();
        walk(name, &mut dice, |router, request, draw| {
            router.decide(NOW, request, draw);
            let candidates = router.signals();
            let question = Question::new(NOW, *request, candidates, draw, None);
            let line = LogLine::new(&question, router.decision(), router.policy());
            let json = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<LogRow>(&json).unwrap(), line.to_row());
            log.push(json);
        });
        let cases = log
            .iter()
            .map(|line| Case::try_from(serde_json::from_str::<LogRow>(line).unwrap()).unwrap());
        let report = verify(registry::build(name, json!({})).unwrap(), cases).unwrap();
        assert_eq!((report.matched, report.total), (600, 600), "{}: {report:?}", name);
    }
}

#[test]
fn a_log_in_which_a_zone_was_left_is_refused() {
    let mut router = router(RouterConfig::default(), registry::build("random", json!({})).unwrap());
    let prompt = prompt(0);
    let request = request(&prompt, 0, zone(0));
    router.decide(NOW, &request, 9);
    let candidates = router.signals();
    let question = Question::new(NOW, request, candidates, 9, None);
    let mut row = LogLine::new(&question, router.decision(), router.policy()).to_row();
    row.candidates.eligible[5] = true;
    let error = Case::try_from(row.clone()).unwrap_err().to_string();
    let wanted =
        "`candidates.eligible` is true for replica 5, wanted false outside of the request's zone";
    assert_eq!(error, wanted);
    row.candidates.zone.pop();
    let error = Case::try_from(row).unwrap_err().to_string();
    assert_eq!(error, "`candidates.zone` is 5 values, wanted 6, one for each replica");
}

/// A policy that looks at nothing.
#[derive(Debug)]
struct Stubborn;

impl Policy for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        decision.start("stubborn", &[]);
        for _ in question.candidates {
            decision.push(0.0, &[]);
        }
        decision.target = Target::Replica(ReplicaId(5));
    }
}

#[test]
fn a_policy_that_ignores_what_may_be_chosen_is_not_obeyed() {
    let config = RouterConfig { max_queue: 1, ..RouterConfig::default() };
    let mut router = router(config, Box::new(Stubborn));
    let prompt = prompt(0);
    assert_eq!(
        router.decide(NOW, &request(&prompt, 0, None), 0).target,
        Target::Replica(ReplicaId(5))
    );
    assert_eq!(router.decide(NOW, &request(&prompt, 0, zone(0)), 0).target, Target::Queue);
}

#[test]
fn a_regional_router_forwards_to_the_zone_and_refuses_what_it_cannot_reach() {
    let reach = |max_hops| {
        Reach::Region(RegionReach {
            region: RegionId(2),
            max_hops,
            local_first: None,
            may_wait: false,
        })
    };
    let prompt = prompt(0);
    for (max_hops, wanted) in [(1, Some(0)), (0, None)] {
        let config =
            RouterConfig { reach: reach(max_hops), max_queue: 9, ..RouterConfig::default() };
        let mut router = router(config, registry::build("round-robin", json!({})).unwrap());
        let decision = router.decide(NOW, &request(&prompt, 0, zone(0)), 0);
        let target = wanted.map_or(Target::Reject, |replica| Target::Replica(ReplicaId(replica)));
        assert_eq!(decision.target, target, "{max_hops} hops");
    }
}
