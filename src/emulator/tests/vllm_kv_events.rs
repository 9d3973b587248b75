//! KV events of vLLM's engine: whoever keeps a copy by them can say of each prompt how much of it will be found.

#[expect(dead_code, reason = "each test file uses a part of it")]
mod common;

use common::{FLEET, ask, scenario_of};
use gorgo_emulator::{KvEvents, Links, Options, start};
use gorgo_text::token_ids;
use rmpv::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use zeromq::{Socket, SocketRecv, SubSocket};

/// Tokens per block of the engine.
const SIZE: usize = 32;

/// What a subscriber knows: how often each block is cached, by the tokens up to its end.
#[derive(Default)]
struct Copy {
    /// The tokens of a block and of all before it, by its hash.
    sequences: BTreeMap<u64, Vec<u64>>,
    cached: BTreeMap<Vec<u64>, u32>,
    removed: usize,
    cleared: usize,
}

impl Copy {
    fn take(&mut self, frames: &[bytes::Bytes]) {
        let batch = rmpv::decode::read_value(&mut &frames[2][..]).unwrap();
        for event in batch[1].as_array().unwrap() {
            let numbers = |at: usize| -> Vec<u64> {
                event[at]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|number| number.as_u64().unwrap())
                    .collect()
            };
            match event[0].as_str().unwrap() {
                "BlockStored" => {
                    let hashes = numbers(1);
                    assert_eq!((event[4].as_u64(), &event[6]), (Some(SIZE as u64), &"GPU".into()));
                    assert!(event[5].is_nil() && event[7].is_nil());
                    assert_eq!(event[8], Value::Array(vec![Value::Nil; hashes.len()]));
                    let mut all = match event[2].as_u64() {
                        Some(parent) => self.sequences[&parent].clone(),
                        None => Vec::new(),
                    };
                    let tokens = numbers(3);
                    assert_eq!(tokens.len(), hashes.len() * SIZE);
                    for (hash, tokens) in hashes.into_iter().zip(tokens.chunks(SIZE)) {
                        all.extend(tokens);
                        self.sequences.insert(hash, all.clone());
                        *self.cached.entry(all.clone()).or_default() += 1;
                    }
                }
                "BlockRemoved" => {
                    assert_eq!(numbers(1).len(), 1, "vLLM removes block by block");
                    for hash in numbers(1) {
                        self.removed += 1;
                        *self.cached.get_mut(&self.sequences[&hash]).unwrap() -= 1;
                    }
                }
                "AllBlocksCleared" => {
                    self.cleared += 1;
                    self.cached.clear();
                }
                other => panic!("{other}"),
            }
        }
    }

    async fn read(&mut self, socket: &mut SubSocket) {
        while let Ok(message) =
            tokio::time::timeout(Duration::from_millis(200), socket.recv()).await
        {
            self.take(&message.unwrap().into_vec());
        }
    }

    /// How many tokens of a prompt will be found: whole blocks from its beginning, and never all of it.
    fn foretell(&self, tokens: &[u64]) -> u64 {
        let most = (tokens.len() - 1) / SIZE;
        let held = |n: &usize| self.cached.get(&tokens[..n * SIZE]).is_some_and(|&held| held > 0);
        let found = (1..=most).take_while(held).count();
        (found * SIZE) as u64
    }
}

/// A prompt of so many tokens: those of a family first, then its own.
fn prompt(family: u64, shared: u64, number: u64, tokens: u64) -> String {
    let token = |i: u64| if i < shared { family * 500 + i } else { 40_000 + number * 500 + i };
    (0..tokens).map(|i| format!("{:04x}", token(i) & 0xffff)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_foretells_every_hit_under_eviction() {
    // 99 blocks of 32 tokens, fewer than the prompts have together; the workload's blocks are half as long.
    let text = FLEET.replacen(
        "overhead = \"5ms\"",
        "overhead = \"5ms\"\nkv_pool_tokens = 3_200\nvllm = { block_tokens = 32 }",
        1,
    );
    let options =
        Options { links: Links::None, kv_events: Some(KvEvents::Tcp), ..Options::default() };
    let running = start(&scenario_of(&text), options).await.unwrap();
    let us = running.replicas()[0].clone();
    let mut socket = SubSocket::new();
    socket.connect(us.kv_events.as_deref().unwrap()).await.unwrap();
    socket.subscribe("").await.unwrap();
    let send = async |text: &str| {
        let body = json!({"prompt": text, "max_tokens": 2}).to_string();
        let answer = ask(us.direct, "/v1/completions", body).await;
        assert_eq!(answer.status, 200);
        answer.usage.and_then(|usage| usage.cached_tokens).expect("it is told")
    };
    let mut copy = Copy::default();
    // A subscription takes a moment to arrive: what was published before is lost.
    for number in 0.. {
        send(&prompt(90 + number, 64, number, 64)).await;
        copy.read(&mut socket).await;
        if !copy.cached.is_empty() {
            break;
        }
        assert!(number < 20, "nothing came");
    }
    assert_eq!(ask(us.direct, "/flush_cache", "").await.status, 200);
    copy.read(&mut socket).await;
    assert_eq!((copy.cleared, copy.cached.len()), (1, 0));
    let (mut hits, mut misses) = (0, 0);
    for number in 0..24_u64 {
        // Three families that come back in an order of their own, of prompts of many lengths.
        let family = (number * number + number / 3) % 3;
        let text = prompt(family, 200 + family * 130, number, 420 + number * 13);
        let tokens: Vec<u64> = token_ids(&text).into_iter().map(u64::from).collect();
        let foretold = copy.foretell(&tokens);
        assert_eq!(send(&text).await, foretold, "request {number}");
        hits += u64::from(foretold > 0);
        misses += u64::from(foretold == 0);
        copy.read(&mut socket).await;
    }
    assert!(hits >= 8 && misses >= 3 && copy.removed > 50, "{hits} {misses} {}", copy.removed);
    running.shutdown().await;
}
