//! What a real vLLM's prefix cache had of each request, one after the other, and what ours has. The records and how they
//! were made: `data/engines/README.md`.

use gorgo_model::{
    CostProfile, EngineLimits, EngineRequest, ReplicaConfig, ReplicaEvent, ReplicaOutput,
    RequestKey, VllmLimits, VllmReplica,
};
use gorgo_types::{BlockChain, Nanos, Tokens};
use std::sync::Arc;

/// `--block-size` of the recorded server.
const BLOCK_TOKENS: u32 = 32;
/// Its `--num-gpu-blocks-override`.
const BLOCKS: u64 = 1_024;

struct Row {
    prompt: BlockChain,
    sequence: BlockChain,
    output: Tokens,
    cached: Tokens,
}

fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let [prompt, output, prompt_blocks, sequence_blocks, cached] = fields[..] else {
            panic!("five fields: {line}")
        };
        let number = |text: &str| text.parse::<u64>().expect("a whole number");
        let (prompt, output) = (number(prompt), number(output));
        let chain = |blocks: &str, tokens: u64| {
            let ids = blocks.split(' ').flat_map(|run| {
                let (first, last) = run.split_once('-').unwrap_or((run, run));
                number(first)..=number(last)
            });
            BlockChain::from_raw_ids(ids, Tokens(tokens), BLOCK_TOKENS).expect("a chain")
        };
        Row {
            prompt: chain(prompt_blocks, prompt),
            sequence: chain(sequence_blocks, prompt + output),
            output: Tokens(output),
            cached: Tokens(number(cached)),
        }
    };
    text.lines().skip(1).map(row).collect()
}

/// Cached tokens of each request, by our engine with so many blocks.
fn predicted(rows: &[Row], blocks: u64) -> Vec<Tokens> {
    let ms = |ms: u64| Nanos(ms * 1_000_000);
    let vllm = VllmLimits { block_tokens: BLOCK_TOKENS, ..VllmLimits::default() };
    let mut replica = VllmReplica::new(ReplicaConfig {
        profile: Arc::new(CostProfile::constant(ms(10), 10_000, ms(5), 0, 0)),
        kv_pool_tokens: blocks * u64::from(BLOCK_TOKENS),
        limits: EngineLimits { vllm: Some(vllm), ..EngineLimits::default() },
        prefix_cache: true,
    })
    .expect("a replica");
    let (mut now, mut all) = (Nanos::ZERO, Vec::new());
    for (key, row) in (0..).zip(rows) {
        let request = EngineRequest {
            prompt: row.prompt.clone(),
            output_tokens: row.output,
            max_tokens: row.output,
            sequence: Some(row.sequence.clone()),
            overhead: Nanos::ZERO,
        };
        replica.arrive(now, RequestKey(key), request).expect("a request that fits");
        let mut out = ReplicaOutput::default();
        while let Some(wake) = replica.next_wake() {
            replica.advance(wake, &mut out);
            now = wake;
        }
        let cached = out.events.iter().find_map(|event| match event {
            ReplicaEvent::FirstToken { cached_tokens, .. } => Some(*cached_tokens),
            _ => None,
        });
        all.push(cached.expect("a first token"));
    }
    all
}

fn equal(rows: &[Row], blocks: u64) -> usize {
    let predicted = predicted(rows, blocks);
    rows.iter().zip(predicted).filter(|(row, cached)| row.cached == *cached).count()
}

#[test]
fn cached_tokens_of_a_real_engine_are_foretold_exactly() {
    for text in [
        include_str!("../../../data/engines/vllm_cache_seed_1.csv"),
        include_str!("../../../data/engines/vllm_cache_seed_2.csv"),
    ] {
        let rows = rows(text);
        assert_eq!(rows.len(), 200);
        let tokens: u64 = rows.iter().map(|row| row.prompt.tokens().get()).sum();
        assert!(tokens > 4 * BLOCKS * u64::from(BLOCK_TOKENS), "{tokens}: eviction is reached");
        assert_eq!(equal(&rows, BLOCKS), 200);
        // A cache of another size would have had something else.
        assert!(equal(&rows, BLOCKS / 2) < 200 && equal(&rows, 2 * BLOCKS) < 200);
    }
}
