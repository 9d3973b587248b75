//! Health as a router has it: who is shut out by checks, by failures in a row, as an outlier, and how each comes back.

use gorgo_random::Key;
use gorgo_routing::{
    Circuit, CircuitConfig, HealthConfig, HealthTotals, OutlierConfig, Router, RouterConfig,
    RoutingError, RoutingRequest, Scrape, Target, Ticket, registry,
};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens, ZoneId};
use proptest::prelude::*;
use serde_json::json;

const A: ReplicaId = ReplicaId(0);
const B: ReplicaId = ReplicaId(1);

const fn at(seconds: u64) -> Nanos {
    Nanos::from_millis(seconds * 1_000)
}

fn prompt() -> BlockChain {
    BlockChain::from_raw_ids([1], Tokens(16), 16).unwrap()
}

const fn request(prompt: &BlockChain, residency: Option<ZoneId>) -> RoutingRequest<'_> {
    let id = RequestId { session: 1, turn: 0 };
    RoutingRequest { id, prompt, max_tokens: Tokens(64), session: None, hops: 0, residency }
}

/// Circuits that open at the third failure, for 30 s and a multiple of it, and close after two trials.
fn circuits() -> HealthConfig {
    let circuit = CircuitConfig { open_for: at(30), open_at_most: at(80), trials: 1, passes: 2 };
    HealthConfig { open_after_failures: 3, circuit, ..HealthConfig::default() }
}

fn router(health: HealthConfig, replicas: u32) -> Router {
    let config = RouterConfig { health: Some(health), max_queue: 9, ..RouterConfig::default() };
    let fleet: Vec<_> = (0..replicas).map(|i| (ReplicaId(i), RegionId(0))).collect();
    Router::new(config, registry::build("round-robin", json!({})).unwrap(), &fleet).unwrap()
}

/// Who may be chosen now, for a request bound to this zone.
fn eligible_in(router: &mut Router, now: Nanos, zone: Option<ZoneId>) -> Vec<u32> {
    let prompt = prompt();
    router.decide(now, &request(&prompt, zone), 0);
    router.signals().iter().filter(|s| s.eligible).map(|s| s.replica.0).collect()
}

fn eligible(router: &mut Router, now: Nanos) -> Vec<u32> {
    eligible_in(router, now, None)
}

fn send(router: &mut Router, now: Nanos, replica: ReplicaId) -> Ticket {
    let prompt = prompt();
    router.dispatched(now, &request(&prompt, None), replica)
}

fn fail(router: &mut Router, now: Nanos, replica: ReplicaId, times: usize) {
    for _ in 0..times {
        let ticket = send(router, now, replica);
        router.failed(now, ticket);
    }
}

#[test]
fn probes_without_an_answer_shut_out_and_answers_bring_back() {
    let mut router = router(HealthConfig::default(), 3);
    router.probe_result(at(1), A, None);
    router.probe_result(at(2), A, None);
    router.probe_result(at(3), A, Some(at(0)));
    router.probe_result(at(4), A, None);
    router.probe_result(at(5), A, None);
    assert_eq!(eligible(&mut router, at(5)), [0, 1, 2], "an answer ends the row");
    router.probe_result(at(6), A, None);
    assert_eq!(eligible(&mut router, at(6)), [1, 2]);
    let health = router.health_of(A).unwrap();
    assert!(!health.fit && health.down && health.failed_probes == 3, "{health:?}");
    router.probe_result(at(7), A, Some(at(0)));
    assert_eq!(eligible(&mut router, at(7)), [1, 2], "two answers are wanted");
    router.probe_result(at(8), A, Some(at(0)));
    assert_eq!(eligible(&mut router, at(8)), [0, 1, 2]);
    assert_eq!(router.health_totals(), HealthTotals { went_down: 1, opened: 0, ejected: 0 });
}

#[test]
fn scrapes_count_where_they_are_asked_to() {
    let scrape = |taken_at| Scrape {
        running_requests: 0,
        queued_requests: 0,
        used_tokens: 0,
        kv_pool_tokens: 0,
        taken_at,
        latency: at(0),
    };
    let config = HealthConfig { unhealthy_after_scrapes: 2, healthy_after: 1, ..circuits() };
    for (config, wanted) in [(config, vec![1]), (HealthConfig::default(), vec![0, 1])] {
        let mut router = router(config, 2);
        router.scrape_failed(at(1), A);
        router.scrape_failed(at(2), A);
        assert_eq!(eligible(&mut router, at(2)), wanted);
        router.scraped(at(3), A, scrape(at(3)));
        assert_eq!(eligible(&mut router, at(3)), [0, 1]);
    }
}

#[test]
fn failures_in_a_row_open_the_circuit_and_trials_close_it() {
    let mut router = router(circuits(), 2);
    fail(&mut router, at(1), A, 2);
    let ticket = send(&mut router, at(1), A);
    router.finished(at(1), ticket, None);
    fail(&mut router, at(2), A, 2);
    assert_eq!(eligible(&mut router, at(2)), [0, 1], "a good one ends the row");
    fail(&mut router, at(3), A, 1);
    assert_eq!(eligible(&mut router, at(3)), [1]);
    assert_eq!(router.next_deadline(), Some(at(33)));
    assert_eq!(eligible(&mut router, at(32)), [1]);
    assert_eq!(eligible(&mut router, at(33)), [0, 1], "half open");
    assert_eq!(router.next_deadline(), None);

    let trial = send(&mut router, at(34), A);
    assert_eq!(eligible(&mut router, at(34)), [1], "one trial at a time");
    router.first_token(at(35), trial);
    assert_eq!(eligible(&mut router, at(35)), [0, 1], "the answer is enough, not its end");
    let second = send(&mut router, at(36), A);
    router.finished(at(37), second, None);
    assert_eq!(router.health_of(A).unwrap().circuit, Circuit::Closed);
    router.finished(at(38), trial, None);
    assert_eq!(eligible(&mut router, at(38)), [0, 1]);
    assert_eq!(router.health_totals(), HealthTotals { went_down: 0, opened: 1, ejected: 0 });
}

#[test]
fn a_failed_trial_opens_for_longer_up_to_a_limit() {
    let mut router = router(circuits(), 2);
    fail(&mut router, at(0), A, 3);
    let mut now = 0;
    for open_for in [30, 60, 80, 80] {
        let until = at(now + open_for);
        assert_eq!(router.health_of(A).unwrap().circuit, Circuit::Open { until });
        now += open_for;
        assert_eq!(router.poll(until), None);
        let trial = send(&mut router, until, A);
        router.failed(until, trial);
    }
    // A long time later it begins anew.
    now += 80;
    assert_eq!(router.poll(at(now)), None);
    for _ in 0..2 {
        let trial = send(&mut router, at(now), A);
        router.finished(at(now), trial, None);
    }
    fail(&mut router, at(now + 80), A, 3);
    let until = at(now + 80 + 30);
    assert_eq!(router.health_of(A).unwrap().circuit, Circuit::Open { until });
}

#[test]
fn what_was_sent_before_the_circuit_opened_says_nothing_new() {
    let mut router = router(circuits(), 2);
    let old: Vec<_> = (0..4).map(|_| send(&mut router, at(0), A)).collect();
    fail(&mut router, at(1), A, 3);
    router.finished(at(2), old[0], None);
    assert_eq!(eligible(&mut router, at(2)), [1]);
    assert_eq!(eligible(&mut router, at(31)), [0, 1]);
    router.failed(at(32), old[1]);
    assert_eq!(eligible(&mut router, at(32)), [0, 1], "no trial");
    let trial = send(&mut router, at(33), A);
    router.cancelled(at(34), trial);
    let health = router.health_of(A).unwrap();
    assert_eq!(health.circuit, Circuit::HalfOpen { under_way: 0, passed: 0 });
    // A trial of an earlier time of trials ends in a later one.
    let trial = send(&mut router, at(35), A);
    for (replica, answer) in [(A, None), (A, None), (A, None), (A, Some(at(0))), (A, Some(at(0)))] {
        router.probe_result(at(36), replica, answer);
    }
    router.finished(at(37), trial, None);
    let health = router.health_of(A).unwrap();
    assert_eq!(health.circuit, Circuit::HalfOpen { under_way: 0, passed: 1 }, "still the same");
}

#[test]
fn who_answers_probes_again_is_tried_at_once() {
    let mut router = router(circuits(), 2);
    fail(&mut router, at(0), A, 3);
    for second in 1..=3 {
        router.probe_result(at(second), A, None);
    }
    router.probe_result(at(4), A, Some(at(0)));
    assert_eq!(eligible(&mut router, at(4)), [1]);
    router.probe_result(at(5), A, Some(at(0)));
    assert_eq!(eligible(&mut router, at(5)), [0, 1], "25 s before the circuit's time is over");
}

#[test]
fn a_replica_that_comes_anew_has_no_past() {
    let mut router = router(circuits(), 2);
    let old = send(&mut router, at(0), A);
    fail(&mut router, at(0), A, 3);
    router.replica_draining(at(1), A).unwrap();
    router.replica_added(at(1), A, RegionId(0)).unwrap();
    assert_eq!(eligible(&mut router, at(1)), [1], "it had only been draining");
    router.replica_removed(at(2), A).unwrap();
    assert_eq!(router.health_of(A), None);
    router.replica_added(at(3), A, RegionId(0)).unwrap();
    assert_eq!(eligible(&mut router, at(3)), [1, 0]);
    fail(&mut router, at(4), A, 2);
    router.failed(at(5), old);
    assert_eq!(eligible(&mut router, at(5)), [1, 0], "sent to its earlier life");
}

#[test]
fn the_last_of_a_zone_goes_on_for_its_zone_and_the_last_of_all_for_all() {
    let zone = |index| Some(ZoneId::from_index(index).unwrap());
    for keep_last in [true, false] {
        let mut router = router(HealthConfig { keep_last, ..circuits() }, 4);
        for i in 0..4 {
            router.set_zone(at(0), ReplicaId(i), zone(i as usize / 2)).unwrap();
        }
        fail(&mut router, at(1), A, 3);
        assert_eq!(eligible_in(&mut router, at(1), zone(0)), [1]);
        fail(&mut router, at(2), B, 3);
        let spared: &[u32] = if keep_last { &[1] } else { &[] };
        assert_eq!(eligible_in(&mut router, at(2), zone(0)), spared, "the one that was fit last");
        assert_eq!(eligible(&mut router, at(2)), [2, 3], "others have better places to go");
        fail(&mut router, at(3), ReplicaId(2), 3);
        fail(&mut router, at(4), ReplicaId(3), 3);
        let spared: &[u32] = if keep_last { &[3] } else { &[] };
        assert_eq!(eligible(&mut router, at(4)), spared);
        // The last one is taken out of service by its owner, who is obeyed.
        router.replica_draining(at(5), ReplicaId(3)).unwrap();
        let spared: &[u32] = if keep_last { &[2] } else { &[] };
        assert_eq!(eligible(&mut router, at(5)), spared);
        assert_eq!(eligible(&mut router, at(31)), [0], "half open");
        let spared: &[u32] = if keep_last { &[2] } else { &[] };
        assert_eq!(eligible_in(&mut router, at(31), zone(1)), spared);
    }
}

#[test]
fn an_outlier_is_shut_out_but_only_so_many() {
    let outliers =
        OutlierConfig { min_requests: 10, max_ejected_share: 0.25, ..Default::default() };
    let health = HealthConfig { open_after_failures: 0, outliers: Some(outliers), ..circuits() };
    let mut router = router(health, 9);
    // Replicas 6, 7 and 8 fail nine requests of ten, the last one all; 5 too, but has too few to be judged.
    for id in 0..9 {
        for n in 0..if id == 5 { 9 } else { 10 } {
            let ticket = send(&mut router, at(1), ReplicaId(id));
            if id < 5 || (n == 0 && id < 8) {
                router.finished(at(2), ticket, None);
            } else {
                router.failed(at(2), ticket);
            }
        }
    }
    assert_eq!(router.next_deadline(), Some(at(12)));
    assert_eq!(eligible(&mut router, at(11)).len(), 9);
    assert_eq!(eligible(&mut router, at(12)), [0, 1, 2, 3, 4, 5, 7], "a quarter of nine is two");
    assert_eq!(router.health_totals(), HealthTotals { went_down: 0, opened: 0, ejected: 2 });
    assert_eq!(router.next_deadline(), Some(at(42)));
    assert_eq!(eligible(&mut router, at(42)).len(), 9, "half open");
    assert_eq!(router.next_deadline(), None, "nothing has ended since");
}

#[test]
fn parameters_out_of_range_are_refused() {
    let outliers = OutlierConfig::default();
    let circuit = CircuitConfig::default();
    let with = |outliers| HealthConfig { outliers: Some(outliers), ..HealthConfig::default() };
    let cases = [
        ("healthy_after", HealthConfig { healthy_after: 0, ..HealthConfig::default() }),
        ("trials", HealthConfig { circuit: CircuitConfig { trials: 0, ..circuit }, ..circuits() }),
        ("passes", HealthConfig { circuit: CircuitConfig { passes: 0, ..circuit }, ..circuits() }),
        (
            "open_for",
            HealthConfig { circuit: CircuitConfig { open_for: at(0), ..circuit }, ..circuits() },
        ),
        (
            "open_at_most",
            HealthConfig {
                circuit: CircuitConfig { open_at_most: at(1), ..circuit },
                ..circuits()
            },
        ),
        ("interval", with(OutlierConfig { interval: at(0), ..outliers })),
        ("failed_share", with(OutlierConfig { failed_share: 0.0, ..outliers })),
        ("failed_share", with(OutlierConfig { failed_share: f64::NAN, ..outliers })),
        ("max_ejected_share", with(OutlierConfig { max_ejected_share: -0.1, ..outliers })),
        ("max_ejected_share", with(OutlierConfig { max_ejected_share: f64::NAN, ..outliers })),
        ("min_requests", with(OutlierConfig { min_requests: 0, ..outliers })),
        ("min_replicas", with(OutlierConfig { min_replicas: 0, ..outliers })),
    ];
    for (wanted, health) in cases {
        let config = RouterConfig { health: Some(health), ..RouterConfig::default() };
        match config.validate() {
            Err(RoutingError::Parameter { parameter, .. }) => assert_eq!(parameter, wanted),
            other => panic!("{wanted}: {other:?}"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum News {
    Probe(u32, bool),
    Scrape(u32),
    Send,
    First(usize),
    Finish(usize),
    Fail(usize),
    Cancel(usize),
    Drain(u32),
    Remove(u32),
    Add(u32),
    Wait(u64),
}

fn news() -> impl Strategy<Value = News> {
    let replica = 0..5_u32;
    prop_oneof![
        3 => (replica.clone(), any::<bool>()).prop_map(|(r, ok)| News::Probe(r, ok)),
        1 => replica.clone().prop_map(News::Scrape),
        8 => Just(News::Send),
        3 => any::<usize>().prop_map(News::First),
        3 => any::<usize>().prop_map(News::Finish),
        5 => any::<usize>().prop_map(News::Fail),
        1 => any::<usize>().prop_map(News::Cancel),
        1 => replica.clone().prop_map(News::Drain),
        1 => replica.clone().prop_map(News::Remove),
        1 => replica.prop_map(News::Add),
        3 => (1..40_u64).prop_map(News::Wait),
    ]
}

proptest! {
    /// Whatever happens: only the fit are chosen, or the last one; no more trials are under way than are allowed;
    /// deadlines lie ahead; and at rest everybody comes back.
    #[test]
    fn whatever_is_told_the_rules_hold(all in prop::collection::vec(news(), 1..300)) {
        let outliers = OutlierConfig { min_requests: 3, min_replicas: 2, ..Default::default() };
        let health = HealthConfig {
            unhealthy_after_scrapes: 2, outliers: Some(outliers), ..circuits()
        };
        let mut router = router(health, 5);
        let mut tickets: Vec<Ticket> = Vec::new();
        let mut now = at(1);
        let key = Key::new(1);
        for (ordinal, news) in (0_u64..).zip(all) {
            let mut ended = |pick: usize| {
                (!tickets.is_empty()).then(|| tickets.swap_remove(pick % tickets.len()))
            };
            match news {
                News::Probe(r, ok) => router.probe_result(now, ReplicaId(r), ok.then_some(at(0))),
                News::Scrape(r) => router.scrape_failed(now, ReplicaId(r)),
                News::Send => {
                    let prompt = prompt();
                    let request = request(&prompt, None);
                    let draw = key.word(ordinal).draw().bits();
                    if let Target::Replica(replica) = router.decide(now, &request, draw).target {
                        let health = router.health_of(replica).unwrap();
                        let anybody_fit = (0..5).any(|i| {
                            let fit = router.health_of(ReplicaId(i)).is_some_and(|h| h.fit);
                            fit && router.signals().iter().any(|s| s.replica.0 == i && s.eligible)
                        });
                        prop_assert!(health.fit || !anybody_fit, "{replica:?} {health:?}");
                        tickets.push(router.dispatched(now, &request, replica));
                    }
                }
                News::First(pick) => {
                    if !tickets.is_empty() {
                        router.first_token(now, tickets[pick % tickets.len()]);
                    }
                }
                News::Finish(pick) => if let Some(t) = ended(pick) { router.finished(now, t, None) },
                News::Fail(pick) => if let Some(t) = ended(pick) { router.failed(now, t) },
                News::Cancel(pick) => if let Some(t) = ended(pick) { router.cancelled(now, t) },
                News::Drain(r) => { let _ = router.replica_draining(now, ReplicaId(r)); }
                News::Remove(r) => { let _ = router.replica_removed(now, ReplicaId(r)); }
                News::Add(r) => { let _ = router.replica_added(now, ReplicaId(r), RegionId(0)); }
                News::Wait(seconds) => {
                    now = Nanos(now.0 + at(seconds).0);
                    while router.poll(now).is_some() {}
                }
            }
            prop_assert!(router.next_deadline().is_none_or(|deadline| deadline > now));
        }
        for ticket in tickets {
            router.cancelled(now, ticket);
        }
        for replica in (0..5).map(ReplicaId) {
            let _ = router.replica_added(now, replica, RegionId(0));
            for _ in 0..2 {
                router.probe_result(now, replica, Some(at(0)));
                let scrape = Scrape {
                    running_requests: 0, queued_requests: 0, used_tokens: 0, kv_pool_tokens: 0,
                    taken_at: now, latency: at(0),
                };
                router.scraped(now, replica, scrape);
            }
        }
        while let Some(deadline) = router.next_deadline() {
            router.poll(deadline);
            now = deadline;
        }
        prop_assert_eq!(eligible(&mut router, now).len(), 5);
    }
}
