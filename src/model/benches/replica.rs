//! Requests per second of one replica, driven as the simulator drives it: every arrival, every wake.
//!
//! The workload has the shape of the project's benchmark trace: 10 requests/s (80 over 8 replicas), prompts of 1 to 4
//! times 512 tokens less up to 255, the first 512 or 1,024 tokens shared by many (Zipf weights), outputs of 100 to
//! 200 tokens; about ten run at once. Building chains is not measured, taking them (two reference counts) is.
//! `cargo bench -p gorgo-model`; read the throughput (elements are requests).

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gorgo_model::{
    CostProfile, EngineLimits, EngineRequest, ReplicaConfig, ReplicaEvent, ReplicaOutput,
    RequestKey, SglangReplica,
};
use gorgo_random::{Draw, Key, Purpose};
use gorgo_types::{BlockChain, Nanos, Tokens};
use std::hint::black_box;
use std::sync::Arc;

const REQUESTS: usize = 20_000;

/// About an H100 with an 8B model.
fn config() -> ReplicaConfig {
    ReplicaConfig {
        profile: Arc::new(CostProfile::constant(
            Nanos(6_000_000),
            20_000,
            Nanos(6_400_000),
            20_000,
            1,
        )),
        kv_pool_tokens: 400_000,
        limits: EngineLimits::default(),
        prefix_cache: true,
    }
}

/// A whole number below `below`, and how much of the draw is left.
fn below(draw: Draw, shift: u32, below: u64) -> u64 {
    (((draw.bits() >> shift) & 0xffff) * below) >> 16
}

/// Arrivals with their requests, blocks of `block` tokens.
fn workload(block: u32) -> Vec<(Nanos, EngineRequest)> {
    let per = u64::from(512 / block);
    let key = Key::new(7).with(Purpose::Turn);
    let mut now = 0;
    let request = |index: usize| {
        let draw = key.word(index as u64).draw();
        let (a, b) = (below(draw, 0, 1 << 16), below(draw, 16, 1 << 16));
        // The smaller of two uniform numbers, squared: a few groups get most.
        let group = (a.min(b) * a.min(b) * 64) >> 32;
        let shared = 1 + (group & 1);
        let parts = (2 + below(draw, 32, 3)).max(shared + 1);
        let tokens = parts * 512 - below(draw, 48, 256);
        let second = key.word(index as u64).word(1).draw();
        now += 2 * below(second, 0, 100_000_000);
        let content = |position: u64| match position / per {
            part if part < shared => ((2 * group + part) << 32) | (position % per),
            part => (((index as u64 + 1_000) * 8 + part) << 32) | (position % per),
        };
        let contents = (0..tokens.div_ceil(u64::from(block))).map(content);
        let output_tokens = Tokens(100 + below(second, 16, 101));
        let request = EngineRequest {
            prompt: BlockChain::from_raw_ids(contents, Tokens(tokens), block).expect("a chain"),
            output_tokens,
            max_tokens: output_tokens,
            sequence: None,
            overhead: Nanos(5_000_000),
        };
        (Nanos(now), request)
    };
    (0..REQUESTS).map(request).collect()
}

/// Drives a replica through a workload; returns how many requests finished.
fn drive(replica: &mut SglangReplica, workload: &[(Nanos, EngineRequest)]) -> u64 {
    let (mut out, mut finished) = (ReplicaOutput::default(), 0);
    let mut free_keys: Vec<RequestKey> = (0..1 << 16).rev().map(RequestKey).collect();
    let mut arrivals = workload.iter().peekable();
    loop {
        let wake = replica.next_wake();
        match (arrivals.peek(), wake) {
            (Some((at, request)), wake) if wake.is_none_or(|wake| *at <= wake) => {
                let key = free_keys.pop().expect("few are alive");
                replica.arrive(*at, key, request.clone()).expect("served");
                arrivals.next();
            }
            (_, Some(wake)) => {
                replica.advance(wake, &mut out);
                for event in &out.events {
                    if let ReplicaEvent::Finished { key, .. } = *event {
                        free_keys.push(key);
                        finished += 1;
                    }
                }
                black_box(&out.gaps);
                out.clear();
            }
            (_, None) => return finished,
        }
    }
}

fn replica(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replica");
    group.throughput(Throughput::Elements(REQUESTS as u64)).sample_size(10);
    for block in [16, 512] {
        let workload = workload(block);
        group.bench_function(format!("blocks of {block}"), |bencher| {
            bencher.iter_batched(
                || SglangReplica::new(config()).expect("a configuration"),
                |mut replica| {
                    assert_eq!(drive(&mut replica, &workload), REQUESTS as u64);
                    replica
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, replica);
criterion_main!(benches);
