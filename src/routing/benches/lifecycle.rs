//! What a request costs a router from decision to end: decide, dispatched, headers, first token, finished.
//!
//! Prompts are of three runs (a system prompt of everybody's, a session's history, a turn's own tail), 2,000 tokens in
//! blocks of 16, already hashed. They pass 1,000 sessions in turn, so that the index is as cold as it is in a
//! simulation. `unbounded` takes the same prompts again and again; `lru` has room for a tenth of them per fleet, so
//! that each insertion gives something up. Policy `gorgo`.
//!
//! `cargo bench -p gorgo-routing --bench lifecycle`

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gorgo_routing::policy::Configured;
use gorgo_routing::policy::gorgo::Gorgo;
use gorgo_routing::{IndexBound, Router, RouterConfig, RoutingRequest, Scrape, Target};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use std::hint::black_box;

const BLOCK: u32 = 16;
const SESSIONS: u64 = 1_000;
const TURNS: u64 = 8;

/// 30 blocks of system prompt, 60 of the session, 35 of the turn.
fn prompts() -> Vec<BlockChain> {
    (0..SESSIONS * TURNS)
        .map(|i| {
            let (session, turn) = (i % SESSIONS, i / SESSIONS);
            let own = (0..35).map(|block| 1_000_000_000 + (session * TURNS + turn) * 100 + block);
            let history = (0..60).map(|block| 1_000_000 + session * 100 + block);
            BlockChain::from_raw_ids((0..30).chain(history).chain(own), Tokens(125 * 16), BLOCK)
                .unwrap()
        })
        .collect()
}

fn router(replicas: u32, index: IndexBound) -> Router {
    let fleet: Vec<_> = (0..replicas).map(|r| (ReplicaId(r), RegionId(r % 4))).collect();
    let config = RouterConfig { index, ..RouterConfig::default() };
    let policy = Gorgo::new(Default::default()).expect("the defaults are in range");
    let mut router = Router::new(config, Box::new(policy), &fleet).expect("the fleet is sound");
    for &(replica, _) in &fleet {
        let rtt = Nanos::from_millis(20 + 3 * u64::from(replica.0 % 4));
        router.probe_result(Nanos::ZERO, replica, Some(rtt));
        let scrape = Scrape {
            running_requests: 0,
            queued_requests: 0,
            used_tokens: 0,
            kv_pool_tokens: 400_000,
            taken_at: Nanos::ZERO,
            latency: rtt,
        };
        router.scraped(Nanos::ZERO, replica, scrape);
    }
    router
}

/// One request from decision to end, with 16 others in flight.
fn one(router: &mut Router, prompt: &BlockChain, n: u64, open: &mut Vec<gorgo_routing::Ticket>) {
    let now = Nanos(n);
    let id = RequestId { session: n, turn: 0 };
    let request = RoutingRequest {
        id,
        prompt,
        max_tokens: Tokens(256),
        session: Some(n),
        hops: 0,
        residency: None,
    };
    let Target::Replica(replica) = router.decide(now, &request, n).target else {
        panic!("every replica is eligible")
    };
    let ticket = router.dispatched(now, &request, replica);
    router.response_headers(now, ticket, true);
    router.first_token(now, ticket);
    open.push(ticket);
    if open.len() > 16 {
        router.finished(now, open.swap_remove(n as usize % 16), None);
    }
}

fn lifecycles(criterion: &mut Criterion) {
    let prompts = prompts();
    for replicas in [8, 64] {
        let capacity_tokens_per_replica = SESSIONS * TURNS * 560 / 10 / u64::from(replicas);
        for (name, bound) in [
            ("unbounded", IndexBound::Unbounded),
            ("lru", IndexBound::Lru { capacity_tokens_per_replica }),
        ] {
            let mut router = router(replicas, bound);
            let (mut n, mut open) = (0, Vec::new());
            for prompt in &prompts {
                n += 1;
                one(&mut router, prompt, n, &mut open);
            }
            let mut group = criterion.benchmark_group("lifecycle");
            group.bench_function(BenchmarkId::new(name, replicas), |b| {
                b.iter(|| {
                    n += 1;
                    let prompt = black_box(&prompts[n as usize % prompts.len()]);
                    one(&mut router, prompt, n, &mut open);
                });
            });
            group.finish();
            let stats = router.index_stats();
            eprintln!(
                "{name}, {replicas} replicas: {} nodes, {} blocks",
                stats.nodes, stats.blocks
            );
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(40)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(1_000));
    targets = lifecycles
}
criterion_main!(benches);
