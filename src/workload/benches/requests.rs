//! How long a request takes to come: read from a trace (512- and 16-token blocks, about 100 and 650 bytes a line) and
//! generated. Criterion reports elements per second: requests.
//! `cargo bench -p gorgo-workload`

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gorgo_workload::{
    ChatGenerator, ChatSpec, Due, PrefixGroups, PrefixGroupsSpec, Source, TraceOptions,
    TraceSource, TraceWriter, TurnTiming,
};
use std::hint::black_box;
use std::path::{Path, PathBuf};

const REQUESTS: u64 = 20_000;

fn drain(mut source: impl Source) -> u64 {
    let mut blocks = 0;
    while let Ok(Due::At(_)) = source.next_due() {
        let (_, request) = source.take().expect("due");
        blocks += black_box(&request).prompt.blocks() as u64;
    }
    blocks
}

fn groups(block_tokens: u32) -> PrefixGroups {
    let spec = PrefixGroupsSpec { requests: REQUESTS, block_tokens, ..Default::default() };
    PrefixGroups::new(spec, 7).expect("valid")
}

/// A trace file of generated requests.
fn trace(folder: &Path, block_tokens: u32) -> PathBuf {
    let path = folder.join(format!("{block_tokens}.jsonl"));
    let file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a temporary file"));
    let mut writer = TraceWriter::new(file, block_tokens, None).expect("writes");
    let mut source = groups(block_tokens);
    while let Ok(Due::At(_)) = source.next_due() {
        let (at, request) = source.take().expect("due");
        writer.write(at, &request, &source.origins()[0]).expect("writes");
    }
    writer.finish().expect("writes");
    path
}

fn requests(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut group = criterion.benchmark_group("requests");
    group.throughput(Throughput::Elements(REQUESTS)).sample_size(10);
    for block_tokens in [512, 16] {
        let path = trace(folder.path(), block_tokens);
        let open = || TraceSource::open(&path, TraceOptions::default()).expect("opens");
        group.bench_function(format!("trace_{block_tokens}_token_blocks"), |bencher| {
            bencher.iter_batched(open, drain, BatchSize::PerIteration);
        });
    }
    group.bench_function("prefix_groups", |bencher| {
        bencher.iter_batched(|| groups(16), drain, BatchSize::PerIteration);
    });
    group.bench_function("chat", |bencher| {
        let spec = ChatSpec {
            requests: Some(REQUESTS),
            turn_timing: TurnTiming::Recorded,
            ..ChatSpec::default()
        };
        let new = || ChatGenerator::new(spec.clone(), 7).expect("valid");
        bencher.iter_batched(new, drain, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
