//! What a routing decision costs, hashing included, and how it splits into hash, match and score.
//!
//! The setting: 10,000 prompts in the index, in 100 groups that share the first half of the prompt, the second half
//! being each prompt's own; the prompts of a group are spread over min(replicas, 100) replicas; blocks of 16 tokens.
//! The queries: 1,000, half of them prompts that are in the index, half a shared half with a fresh tail. Policy `gorgo`.
//!
//! `cargo bench -p gorgo-routing --bench decision`

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gorgo_routing::policy::Configured;
use gorgo_routing::policy::gorgo::Gorgo;
use gorgo_routing::{IndexBound, PrefixIndex, Router, RouterConfig, RoutingRequest, Scrape};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use std::hint::black_box;

const BLOCK: u32 = 16;
const PROMPTS: u32 = 10_000;
const GROUPS: u32 = 100;
const QUERIES: u32 = 1_000;

/// Token ids of a prompt: a group's first half, and a second half of its own.
fn prompt(group: u32, own: u32, tokens: u32) -> Vec<u32> {
    let token = |seed: u32, at: u32| {
        let x = (seed ^ 0x9e37_79b9)
            .wrapping_mul(0x85eb_ca6b)
            .wrapping_add(at.wrapping_mul(0xc2b2_ae35));
        (x ^ (x >> 15)) % 128_000
    };
    (0..tokens).map(|at| token(if at < tokens / 2 { group } else { 1_000 + own }, at)).collect()
}

fn request(prompt: &BlockChain) -> RoutingRequest<'_> {
    let id = RequestId { session: 0, turn: 0 };
    RoutingRequest { id, prompt, max_tokens: Tokens(256), session: None, hops: 0, residency: None }
}

/// A router over `replicas` that has been told everything, with all prompts in its index; and that index alone.
fn filled(replicas: u32, tokens: u32) -> (Router, PrefixIndex) {
    let fleet: Vec<_> = (0..replicas).map(|r| (ReplicaId(r), RegionId(r % 4))).collect();
    let config =
        RouterConfig { learn_at: gorgo_routing::LearnAt::Dispatch, ..RouterConfig::default() };
    let policy = Gorgo::new(Default::default()).expect("the defaults are in range");
    let mut router = Router::new(config, Box::new(policy), &fleet).expect("the fleet is sound");
    let mut index = PrefixIndex::new(BLOCK, IndexBound::Unbounded);
    for &(replica, _) in &fleet {
        let now = Nanos::from_secs(1);
        let rtt = Nanos::from_millis(20 + 30 * u64::from(replica.0 % 4));
        router.probe_result(now, replica, Some(rtt));
        let scrape = Scrape {
            running_requests: replica.0 % 7,
            queued_requests: 0,
            used_tokens: 50_000,
            kv_pool_tokens: 400_000,
            taken_at: now,
            latency: rtt,
        };
        router.scraped(now, replica, scrape);
    }
    for own in 0..PROMPTS {
        let chain = BlockChain::from_tokens(&prompt(own % GROUPS, own, tokens), BLOCK).unwrap();
        let replica = ReplicaId((own / GROUPS) % replicas.min(GROUPS));
        index.insert(replica, &chain);
        let ticket = router.dispatched(Nanos::ZERO, &request(&chain), replica);
        router.finished(Nanos::ZERO, ticket, None);
    }
    (router, index)
}

fn decisions(criterion: &mut Criterion) {
    for (tokens, replicas) in
        [(1_024, 3), (1_024, 16), (1_024, 64), (8_192, 16), (8_192, 64), (8_192, 256)]
    {
        let mut group = criterion.benchmark_group(format!("{tokens} tokens, {replicas} replicas"));
        let (mut router, index) = filled(replicas, tokens);
        let queries: Vec<Vec<u32>> = (0..QUERIES)
            .map(|q| {
                let own = if q % 2 == 0 { q * 7 % PROMPTS } else { PROMPTS + q };
                prompt(own % GROUPS, own, tokens)
            })
            .collect();
        let chains: Vec<_> =
            queries.iter().map(|q| BlockChain::from_tokens(q, BLOCK).unwrap()).collect();
        let mut at = 0;
        let mut next = move || {
            at = (at + 1) % QUERIES as usize;
            at
        };
        let mut cached = vec![0; replicas as usize];
        group.bench_function(BenchmarkId::from_parameter("hash"), |b| {
            b.iter(|| BlockChain::from_tokens(black_box(&queries[next()]), BLOCK));
        });
        group.bench_function(BenchmarkId::from_parameter("match"), |b| {
            b.iter(|| index.match_all(black_box(&chains[next()]), &mut cached));
        });
        group.bench_function(BenchmarkId::from_parameter("match and score"), |b| {
            b.iter(|| router.decide(Nanos::ZERO, &request(black_box(&chains[next()])), 7).target);
        });
        group.bench_function(BenchmarkId::from_parameter("all"), |b| {
            b.iter(|| {
                let chain = BlockChain::from_tokens(black_box(&queries[next()]), BLOCK).unwrap();
                router.decide(Nanos::ZERO, &request(&chain), 7).target
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(40)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(1_000));
    targets = decisions
}
criterion_main!(benches);
