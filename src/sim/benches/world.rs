//! The simulation phase alone: requests per second of one run of one policy, records and all checks on.
//!
//! `cargo bench -p gorgo-sim` runs generated requests (prompts of about 1,400 tokens, a third to two thirds of them
//! shared, 150 tokens of output, Poisson arrivals of 80 a second) through 1, 8 and 64 replicas in three regions, with
//! blocks of 512 and 16 tokens. One replica alone cannot serve that many: thousands of requests wait before it, and their
//! state lies far out in memory. The requests are made before the clock starts.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gorgo_scenario::Resolved;
use gorgo_sim::{PolicyRun, RunOptions, World, setup_of};
use gorgo_workload::{PrefixGroups, PrefixGroupsSpec, Recorded};
use std::path::Path;

const REQUESTS: u64 = 20_000;

fn scenario(replicas: u32) -> Resolved {
    let file = format!("../../scenarios/bench/replicas_{replicas}.toml");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let trace = gorgo_scenario::ReplayTrace { path: "unused".into(), speedup: None, window: None };
    Resolved::for_replay(Some(&path), &trace, &[""; 0]).expect("the bench scenario is valid")
}

fn requests(block_tokens: u32) -> Recorded {
    let spec = PrefixGroupsSpec { requests: REQUESTS, block_tokens, ..PrefixGroupsSpec::default() };
    let mut source = PrefixGroups::new(spec, 7).expect("the generator's defaults are valid");
    Recorded::read(&mut source).expect("generated requests can be read")
}

fn world(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("world");
    group.throughput(Throughput::Elements(REQUESTS)).sample_size(10);
    for block_tokens in [512, 16] {
        let recorded = requests(block_tokens);
        for replicas in [1, 8, 64] {
            let scenario = scenario(replicas);
            let name = format!("{replicas} replicas, {block_tokens}-token blocks");
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || {
                        let source = Box::new(recorded.replay());
                        let options = RunOptions::default();
                        let run = PolicyRun { scenario: &scenario, policy: 0, source, options };
                        World::new(setup_of(run).expect("it fits")).expect("it fits")
                    },
                    |world| world.run().expect("the run succeeds"),
                    BatchSize::PerIteration,
                );
            });
        }
    }
}

criterion_group!(benches, world);
criterion_main!(benches);
