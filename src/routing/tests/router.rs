//! The router from outside: what it is told, what it then decides on, and that its books always balance.

use gorgo_routing::{
    Action, Decision, Ignored, IndexBound, LearnAt, Needs, Policy, Question, ReleaseAt, Router,
    RouterConfig, RoutingError, RoutingRequest, Scrape, Signals, Target, Ticket, Tie,
};
use gorgo_types::{BlockChain, ChainBuilder, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const NOW: Nanos = Nanos(1_000);

/// Uncached tokens and queued tokens; counts what it hears.
#[derive(Clone, Debug, Default)]
struct Cheapest {
    scrapes: bool,
    heard: Arc<AtomicU32>,
}

impl Policy for Cheapest {
    fn name(&self) -> &'static str {
        "cheapest"
    }

    fn needs(&self) -> Needs {
        Needs { prefix_index: true, scrapes: self.scrapes }
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        decision.start("score", &["work"]);
        for candidate in question.candidates {
            let work = candidate.uncached_tokens(&question.request) + candidate.queued_tokens;
            decision.push(work as f64, &[work as f64]);
        }
        decision.choose_lowest(question.candidates, Tie::First, question.draw);
    }

    fn on_dispatched(&mut self, _request: &RoutingRequest<'_>, sent_to: &Signals) {
        self.heard.store(sent_to.replica.0, Relaxed);
    }
}

fn chain(content: impl IntoIterator<Item = u64>, tokens: u64) -> BlockChain {
    BlockChain::from_raw_ids(content, Tokens(tokens), 16).unwrap()
}

const fn request(prompt: &BlockChain) -> RoutingRequest<'_> {
    let id = RequestId { session: 1, turn: 0 };
    RoutingRequest { id, prompt, max_tokens: Tokens(64), session: None, hops: 0, residency: None }
}

fn fleet(replicas: u32) -> Vec<(ReplicaId, RegionId)> {
    (0..replicas).map(|replica| (ReplicaId(replica), RegionId(0))).collect()
}

fn router(config: RouterConfig) -> Router {
    Router::new(config, Box::new(Cheapest::default()), &fleet(3)).unwrap()
}

const fn scrape(running_requests: u32, taken_at: Nanos) -> Scrape {
    Scrape {
        running_requests,
        queued_requests: 1,
        used_tokens: 500,
        kv_pool_tokens: 1_000,
        taken_at,
        latency: Nanos::from_millis(7),
    }
}

/// What the router believes each replica has of the prompt.
fn cached(router: &mut Router, prompt: &BlockChain) -> Vec<u64> {
    router.decide(NOW, &request(prompt), 0);
    router.signals().iter().map(|signals| signals.cached_tokens).collect()
}

fn load(router: &Router, replica: usize) -> (u32, u64) {
    let signals = &router.signals()[replica];
    (signals.in_flight_requests, signals.queued_tokens)
}

#[test]
fn of_queued_tokens_those_count_apart_that_the_index_did_not_know() {
    let config = RouterConfig { learn_at: LearnAt::Dispatch, ..RouterConfig::default() };
    let mut router = router(config);
    let uncached = |router: &Router| router.signals()[0].queued_uncached_tokens;
    let (short, long) = (chain(0..2, 32), chain(0..4, 64));
    let send = |router: &mut Router, prompt: &BlockChain| {
        router.decide(NOW, &request(prompt), 0);
        router.dispatched(NOW, &request(prompt), ReplicaId(0))
    };
    let first = send(&mut router, &short);
    assert_eq!((load(&router, 0), uncached(&router)), ((1, 32), 32), "nothing was known");
    let second = send(&mut router, &long);
    assert_eq!((load(&router, 0), uncached(&router)), ((2, 96), 64), "half of it was");
    let third = send(&mut router, &long);
    assert_eq!((load(&router, 0), uncached(&router)), ((3, 160), 64), "all of it was");
    // What was added is taken off again, whatever is known by then.
    router.finished(NOW, first, None);
    assert_eq!((load(&router, 0), uncached(&router)), ((2, 128), 32));
    router.failed(NOW, third);
    router.cancelled(NOW, second);
    assert_eq!((load(&router, 0), uncached(&router)), ((0, 0), 0));
    assert_eq!(router.signals()[1].queued_uncached_tokens, 0);
}

#[test]
fn a_prompt_is_learned_and_released_when_the_configuration_says() {
    // What is known and counted after dispatch, headers, first token, end.
    let learns = [
        (LearnAt::Dispatch, [40, 40, 40, 40]),
        (LearnAt::Headers, [0, 40, 40, 40]),
        (LearnAt::FirstToken, [0, 0, 40, 40]),
        (LearnAt::Finished, [0, 0, 0, 40]),
    ];
    let releases = [
        (ReleaseAt::Headers, [1, 0, 0, 0]),
        (ReleaseAt::FirstToken, [1, 1, 0, 0]),
        (ReleaseAt::Finished, [1, 1, 1, 0]),
    ];
    let prompt = chain(0..3, 40);
    for (learn_at, known) in learns {
        for (release_at, counted) in releases {
            let config = RouterConfig { learn_at, release_at, ..RouterConfig::default() };
            let mut router = router(config);
            let ticket = router.dispatched(NOW, &request(&prompt), ReplicaId(1));
            for stage in 0..4 {
                match stage {
                    0 => {}
                    1 => router.response_headers(NOW, ticket, true),
                    2 => router.first_token(NOW, ticket),
                    _ => router.finished(NOW, ticket, None),
                }
                let what = format!("{learn_at:?}, {release_at:?}, stage {stage}");
                assert_eq!(cached(&mut router, &prompt), [0, known[stage], 0], "{what}");
                assert_eq!(
                    load(&router, 1),
                    (counted[stage], 40 * u64::from(counted[stage])),
                    "{what}"
                );
            }
            assert_eq!((router.in_flight(), router.ignored()), (0, Ignored::default()));
        }
    }
}

#[test]
fn a_later_stage_implies_the_earlier_ones() {
    let prompt = chain(0..3, 40);
    let mut router =
        router(RouterConfig { release_at: ReleaseAt::Headers, ..RouterConfig::default() });
    let ticket = router.dispatched(NOW, &request(&prompt), ReplicaId(0));
    router.first_token(NOW, ticket);
    assert_eq!((load(&router, 0), cached(&mut router, &prompt)), ((0, 0), vec![40, 0, 0]));
    router.response_headers(NOW, ticket, true);
    assert_eq!(router.ignored().late_news, 1);
    router.cancelled(NOW, ticket);
    router.finished(NOW, ticket, None);
    router.failed(NOW, ticket);
    assert_eq!(router.ignored().late_news, 3);
    assert_eq!((router.in_flight(), load(&router, 0)), (0, (0, 0)));
}

#[test]
fn what_failed_or_was_refused_is_not_learned() {
    let prompt = chain(0..3, 40);
    let mut router =
        router(RouterConfig { learn_at: LearnAt::FirstToken, ..RouterConfig::default() });
    let refused = router.dispatched(NOW, &request(&prompt), ReplicaId(0));
    router.response_headers(NOW, refused, false);
    router.first_token(NOW, refused);
    router.finished(NOW, refused, None);
    let failed = router.dispatched(NOW, &request(&prompt), ReplicaId(1));
    router.response_headers(NOW, failed, true);
    router.failed(NOW, failed);
    let cancelled = router.dispatched(NOW, &request(&prompt), ReplicaId(2));
    router.cancelled(NOW, cancelled);
    assert_eq!(cached(&mut router, &prompt), [0, 0, 0]);
    assert_eq!(router.index_stats().nodes, 0);
}

#[test]
fn outputs_are_learned_only_on_request() {
    let prompt = chain(0..3, 40);
    let mut whole = ChainBuilder::continuing(&prompt);
    (2..5).for_each(|content| whole.push_block(content));
    let sequence = whole.finish(Tokens(80)).unwrap();
    for (learn_output, known) in [(false, 32), (true, 80)] {
        let mut router = router(RouterConfig { learn_output, ..RouterConfig::default() });
        let ticket = router.dispatched(NOW, &request(&prompt), ReplicaId(0));
        router.finished(NOW, ticket, Some(&sequence));
        assert_eq!(cached(&mut router, &sequence)[0], known);
    }
}

#[test]
fn an_overruled_decision_counts_where_the_request_went() {
    let policy = Cheapest::default();
    let heard = Arc::clone(&policy.heard);
    let mut router = Router::new(RouterConfig::default(), Box::new(policy), &fleet(3)).unwrap();
    let prompt = chain(0..3, 40);
    assert_eq!(router.decide(NOW, &request(&prompt), 0).target, Target::Replica(ReplicaId(0)));
    router.dispatched(NOW, &request(&prompt), ReplicaId(2));
    assert_eq!(heard.load(Relaxed), 2);
    assert_eq!((load(&router, 0), load(&router, 2)), ((0, 0), (1, 40)));
}

#[test]
fn round_trips_are_averaged_and_failures_change_nothing() {
    let mut router = router(RouterConfig::default());
    assert_eq!(router.signals()[0].rtt_ms(), 0.0);
    router.scraped(NOW, ReplicaId(0), scrape(1, NOW));
    assert_eq!(router.signals()[0].rtt_ms(), 7.0, "the scrape's latency stands in");
    router.probe_result(Nanos(5), ReplicaId(0), Some(Nanos::from_millis(100)));
    assert_eq!(router.signals()[0].rtt_ms(), 100.0, "the first is taken as it is");
    router.probe_result(Nanos(6), ReplicaId(0), None);
    assert_eq!(router.signals()[0].rtt_at, Some(Nanos(5)));
    router.probe_result(Nanos(7), ReplicaId(0), Some(Nanos::from_millis(200)));
    let average = router.signals()[0].rtt_ms();
    assert!((average - 130.0).abs() < 1e-9, "{average}");
    assert_eq!(router.signals()[0].rtt_at, Some(Nanos(7)));
    assert_eq!(router.signals()[1].rtt_ewma_ms, None);
}

#[test]
fn scrapes_are_kept_by_age() {
    let mut router = router(RouterConfig::default());
    router.scraped(Nanos(20), ReplicaId(1), scrape(5, Nanos(15)));
    router.scraped(Nanos(25), ReplicaId(1), scrape(9, Nanos(10)));
    router.scrape_failed(Nanos(30), ReplicaId(1));
    let signals = &router.signals()[1];
    assert_eq!((signals.running_requests, signals.scraped_at), (5, Some(Nanos(15))));
    assert_eq!((signals.used_tokens, signals.kv_pool_tokens), (500, 1_000));
    assert_eq!(router.ignored(), Ignored { old_scrape: 1, ..Ignored::default() });
    router.scraped(NOW, ReplicaId(77), scrape(9, NOW));
    router.probe_result(NOW, ReplicaId(3), Some(NOW));
    assert_eq!(router.ignored().unknown_replica, 2);
}

#[test]
fn without_metrics_the_draw_decides_until_all_have_been_scraped() {
    let policy = Cheapest { scrapes: true, ..Cheapest::default() };
    let mut router = Router::new(RouterConfig::default(), Box::new(policy), &fleet(3)).unwrap();
    let prompt = chain(0..3, 40);
    let third = u64::MAX / 3;
    for known in 0..3 {
        for (draw, wanted) in [(0, 0), (third + 9, 1), (2 * third + 9, 2), (u64::MAX, 2)] {
            let decision = router.decide(NOW, &request(&prompt), draw);
            assert_eq!(decision.target, Target::Replica(ReplicaId(wanted)));
            assert_eq!((decision.rule, decision.tied), ("no-metrics", 3));
        }
        router.scraped(NOW, ReplicaId(known), scrape(0, NOW));
    }
    assert_eq!(router.decide(NOW, &request(&prompt), u64::MAX).rule, "score");
    router.replica_added(NOW, ReplicaId(3), RegionId(1)).unwrap();
    assert_eq!(router.decide(NOW, &request(&prompt), 0).rule, "no-metrics");
    router.set_health(NOW, ReplicaId(3), false).unwrap();
    assert_eq!(router.decide(NOW, &request(&prompt), 0).rule, "score", "it cannot be chosen");
    router.replica_removed(NOW, ReplicaId(3)).unwrap();
    assert_eq!(router.decide(NOW, &request(&prompt), 0).rule, "score");
}

#[test]
fn who_is_unwell_draining_or_gone_is_not_chosen() {
    let mut router = router(RouterConfig::default());
    let prompt = chain(0..3, 40);
    let target = |router: &mut Router| router.decide(NOW, &request(&prompt), 0).target;
    let ticket = router.dispatched(NOW, &request(&prompt), ReplicaId(0));
    router.finished(NOW, ticket, None);
    assert_eq!(target(&mut router), Target::Replica(ReplicaId(0)));
    router.set_health(NOW, ReplicaId(0), false).unwrap();
    assert_eq!(target(&mut router), Target::Replica(ReplicaId(1)));
    router.replica_draining(NOW, ReplicaId(1)).unwrap();
    assert_eq!(target(&mut router), Target::Replica(ReplicaId(2)));
    router.replica_removed(NOW, ReplicaId(2)).unwrap();
    assert_eq!(target(&mut router), Target::Reject, "nobody, and no queue");
    router.replica_added(NOW, ReplicaId(1), RegionId(0)).unwrap();
    assert_eq!(target(&mut router), Target::Replica(ReplicaId(1)), "taken back into service");
    router.set_health(NOW, ReplicaId(0), true).unwrap();
    assert_eq!(target(&mut router), Target::Replica(ReplicaId(0)), "its cache is still known");
    router.cache_lost(NOW, ReplicaId(0));
    assert_eq!(cached(&mut router, &prompt), [0, 0]);
    for replica in [0, 1] {
        router.replica_removed(NOW, ReplicaId(replica)).unwrap();
    }
    assert_eq!(target(&mut router), Target::Reject);
    assert_eq!(router.decision().rule, "no-replica");
    let unknown = Err(RoutingError::UnknownReplica { replica: ReplicaId(0) });
    assert_eq!(router.replica_removed(NOW, ReplicaId(0)), unknown);
    assert_eq!(router.set_health(NOW, ReplicaId(0), true), unknown);
}

#[test]
fn a_removed_replicas_requests_do_not_touch_its_successor() {
    let mut router = router(RouterConfig::default());
    let prompt = chain(0..3, 40);
    let old = router.dispatched(NOW, &request(&prompt), ReplicaId(1));
    router.replica_removed(NOW, ReplicaId(1)).unwrap();
    router.replica_added(NOW, ReplicaId(1), RegionId(0)).unwrap();
    assert_eq!(router.signals()[2].replica, ReplicaId(1), "it joins as the last candidate");
    router.dispatched(NOW, &request(&prompt), ReplicaId(1));
    router.finished(NOW, old, None);
    assert_eq!((load(&router, 2), router.in_flight()), ((1, 40), 1));
    assert_eq!(cached(&mut router, &prompt), [0, 0, 0], "what the old one learned died with it");
}

#[test]
fn reports_of_real_hits_correct_the_index() {
    let mut router =
        router(RouterConfig { learn_at: LearnAt::Dispatch, ..RouterConfig::default() });
    let prompt = chain(0..5, 80);
    router.dispatched(NOW, &request(&prompt), ReplicaId(0));
    router.dispatched(NOW, &request(&prompt), ReplicaId(1));
    router.cache_reported(NOW, ReplicaId(1), &prompt, Tokens(64));
    router.cache_reported(NOW, ReplicaId(0), &prompt, Tokens(39));
    assert_eq!(cached(&mut router, &prompt), [32, 80, 0]);
}

#[test]
fn a_prompt_of_another_block_size_is_counted_and_left_alone() {
    let mut router = router(RouterConfig::default());
    let foreign = BlockChain::from_raw_ids(0..2, Tokens(40), 32).unwrap();
    assert_eq!(cached(&mut router, &foreign), [0, 0, 0]);
    let ticket = router.dispatched(NOW, &request(&foreign), ReplicaId(0));
    router.finished(NOW, ticket, Some(&foreign));
    assert_eq!((router.index_stats().nodes, router.ignored().foreign_prompt), (0, 1));
}

#[test]
fn beyond_the_gate_requests_wait_their_turn() {
    let config = RouterConfig {
        max_in_flight_per_replica: Some(1),
        max_queue: 2,
        queue_timeout: Some(Nanos(100)),
        ..RouterConfig::default()
    };
    let mut router = Router::new(config, Box::new(Cheapest::default()), &fleet(1)).unwrap();
    let prompt = chain(0..3, 40);
    let first = router.dispatched(NOW, &request(&prompt), ReplicaId(0));
    for key in [11, 12] {
        assert_eq!(router.decide(NOW, &request(&prompt), 0).target, Target::Queue);
        assert!(router.enqueue(NOW, key, Tokens(5)));
    }
    assert_eq!(
        router.decide(NOW, &request(&prompt), 0).target,
        Target::Reject,
        "the queue is full"
    );
    assert!(!router.enqueue(NOW, 13, Tokens(5)));
    assert_eq!((router.poll(NOW), router.queued()), (None, 2));
    router.finished(NOW, first, None);
    assert_eq!(router.poll(NOW), Some(Action::Retry(11)));
    assert_eq!(router.decide(NOW, &request(&prompt), 0).target, Target::Replica(ReplicaId(0)));
    let second = router.dispatched(NOW, &request(&prompt), ReplicaId(0));
    assert_eq!(router.poll(NOW), Some(Action::Retry(12)));
    assert_eq!(router.decide(NOW, &request(&prompt), 0).target, Target::Queue);
    router.requeue(NOW, 12);
    assert_eq!(router.poll(NOW), None);
    assert_eq!(router.next_deadline(), Some(NOW + Nanos(100)));
    assert_eq!(router.poll(NOW + Nanos(100)), Some(Action::TimedOut(12)));
    assert_eq!((router.poll(NOW + Nanos(100)), router.next_deadline()), (None, None));
    router.failed(NOW, second);
    assert!(!router.dequeue(NOW, 12));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |config: RouterConfig| {
        Router::new(config, Box::new(Cheapest::default()), &fleet(1)).unwrap_err().to_string()
    };
    let good = RouterConfig::default();
    for alpha in [0.0, -1.0, 1.1, f64::NAN, f64::INFINITY] {
        let message = refused(RouterConfig { rtt_ewma_alpha: alpha, ..good });
        assert!(message.contains("rtt_ewma_alpha") && message.contains("at most 1"), "{message}");
    }
    assert!(refused(RouterConfig { block_tokens: 0, ..good }).contains("block_tokens"));
    let gate = RouterConfig { max_in_flight_per_replica: Some(0), ..good };
    assert!(refused(gate).contains("max_in_flight_per_replica"));
    let bound = IndexBound::Lru { capacity_tokens_per_replica: 15 };
    assert!(refused(RouterConfig { index: bound, ..good }).contains("got 15"));
    let twice = [(ReplicaId(0), RegionId(0)), (ReplicaId(0), RegionId(1))];
    let error = Router::new(good, Box::new(Cheapest::default()), &twice).unwrap_err();
    assert_eq!(error, RoutingError::DuplicateReplica { replica: ReplicaId(0) });
    let far = [(ReplicaId(4096), RegionId(0))];
    let error = Router::new(good, Box::new(Cheapest::default()), &far).unwrap_err();
    assert!(matches!(error, RoutingError::ReplicaIdTooLarge { limit: 4096, .. }));
}

// ------------------------------------------------------------------------------------------- random histories

#[derive(Clone, Debug)]
enum Op {
    Dispatch(u32, u64),
    Tell(usize, u8),
    Remove(u32),
    Add(u32),
    Health(u32, bool),
    Decide(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..4u32, 1..6u64).prop_map(|(replica, blocks)| Op::Dispatch(replica, blocks)),
        12 => (0..60usize, 0..6u8).prop_map(|(ticket, what)| Op::Tell(ticket, what)),
        1 => (0..4u32).prop_map(Op::Remove),
        1 => (0..4u32).prop_map(Op::Add),
        1 => (0..4u32, any::<bool>()).prop_map(|(replica, healthy)| Op::Health(replica, healthy)),
        4 => (1..6u64).prop_map(Op::Decide),
    ]
}

/// A request as the books should have it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    ticket: Ticket,
    replica: u32,
    tokens: u64,
    counted: bool,
    open: bool,
}

fn tell(router: &mut Router, entry: &mut Entry, what: u8, release_at: ReleaseAt) {
    match what {
        0 => router.response_headers(NOW, entry.ticket, true),
        1 => router.response_headers(NOW, entry.ticket, false),
        2 => router.first_token(NOW, entry.ticket),
        3 => router.finished(NOW, entry.ticket, None),
        4 => router.failed(NOW, entry.ticket),
        _ => router.cancelled(NOW, entry.ticket),
    }
    let stage = [1, 1, 2, 3, 3, 3][usize::from(what)];
    let releases = match release_at {
        ReleaseAt::Headers => 1,
        ReleaseAt::FirstToken => 2,
        ReleaseAt::Finished => 3,
    };
    entry.counted &= stage < releases;
    entry.open &= stage < 3;
}

/// Plays a history and compares the books after each step; `peeks`: extra decisions, which must not matter.
fn play(ops: &[Op], config: RouterConfig, peeks: bool) -> Vec<Target> {
    let mut router = Router::new(config, Box::new(Cheapest::default()), &fleet(4)).unwrap();
    let (mut entries, mut targets): (Vec<Entry>, Vec<Target>) = (Vec::new(), Vec::new());
    for op in ops {
        match *op {
            Op::Dispatch(replica, blocks) => {
                let prompt = chain(0..blocks, blocks * 16 - 3);
                let known = router.signals().iter().any(|signals| signals.replica.0 == replica);
                let ticket = router.dispatched(NOW, &request(&prompt), ReplicaId(replica));
                let tokens = prompt.tokens().get();
                entries.push(Entry { ticket, replica, tokens, counted: known, open: true });
            }
            Op::Tell(ticket, what) => {
                let which = ticket % entries.len().max(1);
                if let Some(entry) = entries.get_mut(which) {
                    tell(&mut router, entry, what, config.release_at);
                }
            }
            Op::Remove(replica) => {
                if router.replica_removed(NOW, ReplicaId(replica)).is_ok() {
                    let gone = entries.iter_mut().filter(|entry| entry.replica == replica);
                    gone.for_each(|entry| entry.counted = false);
                }
            }
            Op::Add(replica) => {
                let _ = router.replica_added(NOW, ReplicaId(replica), RegionId(0));
            }
            Op::Health(replica, healthy) => {
                let _ = router.set_health(NOW, ReplicaId(replica), healthy);
            }
            Op::Decide(blocks) => {
                let prompt = chain(0..blocks, blocks * 16);
                targets.push(router.decide(NOW, &request(&prompt), blocks).target);
            }
        }
        if peeks {
            router.decide(NOW, &request(&chain(0..3, 40)), 3);
        }
        for signals in router.signals() {
            let here = entries.iter().filter(|e| e.counted && e.replica == signals.replica.0);
            let (requests, tokens) = here.fold((0, 0), |(n, sum), e| (n + 1, sum + e.tokens));
            assert_eq!((signals.in_flight_requests, signals.queued_tokens), (requests, tokens));
        }
        assert_eq!(router.in_flight(), entries.iter().filter(|entry| entry.open).count());
    }
    targets
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn the_books_balance_and_deciding_changes_nothing(
        ops in prop::collection::vec(op(), 1..120),
        release_at in prop::sample::select(&[ReleaseAt::Headers, ReleaseAt::FirstToken, ReleaseAt::Finished][..]),
        learn_at in prop::sample::select(&[LearnAt::Dispatch, LearnAt::Headers, LearnAt::Finished][..]),
        gate in prop::option::of(1..4u32),
    ) {
        let config = RouterConfig {
            release_at,
            learn_at,
            max_in_flight_per_replica: gate,
            ..RouterConfig::default()
        };
        prop_assert_eq!(play(&ops, config, false), play(&ops, config, true));
    }
}
