//! KV events: a subscriber that keeps a copy by them knows what the cache holds.

#[expect(dead_code, reason = "each test file uses a part of it")]
mod common;

use common::{FLEET, ask, scenario_of};
use gorgo_emulator::{Fault, KvEvents, Links, Options, start};
use gorgo_text::{TextChain, Tokens, token_ids};
use gorgo_types::BlockChain;
use rmpv::Value;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use zeromq::{Socket, SocketRecv, SubSocket};

/// A prompt of 50 blocks, like no other number's.
fn prompt(number: u64) -> String {
    (0..800).map(|i| format!("{:04x}", number * 1_000 + i)).collect()
}

fn chain(text: &str) -> BlockChain {
    let mut chain = TextChain::new(&Tokens::FourCharacters, 0, 16).unwrap();
    chain.text(text).unwrap();
    chain.snapshot().unwrap()
}

/// What a subscriber knows.
#[derive(Default)]
struct Copy {
    blocks: BTreeSet<u64>,
    tokens: Vec<u64>,
    removed: usize,
    cleared: usize,
    numbers: Vec<u64>,
}

impl Copy {
    fn take(&mut self, frames: &[bytes::Bytes]) {
        assert_eq!((frames.len(), &frames[0][..]), (3, &b"kv-events"[..]));
        self.numbers.push(u64::from_be_bytes(frames[1][..].try_into().unwrap()));
        let batch = rmpv::decode::read_value(&mut &frames[2][..]).unwrap();
        assert!(batch[0].as_f64().unwrap() > 1e9 && batch[2].is_nil());
        for event in batch[1].as_array().unwrap() {
            let numbers = |at: usize| -> Vec<u64> {
                let list = event[at].as_array().unwrap();
                list.iter().map(|number| number.as_u64().unwrap()).collect()
            };
            match event[0].as_str().unwrap() {
                "BlockStored" => {
                    let parent = event[2].as_u64();
                    assert!(parent.is_none_or(|parent| self.blocks.contains(&parent)));
                    assert_eq!((event[4].as_u64(), &event[6]), (Some(16), &Value::from("GPU")));
                    assert_eq!(numbers(3).len(), numbers(1).len() * 16);
                    self.tokens.extend(numbers(3));
                    self.blocks.extend(numbers(1));
                }
                "BlockRemoved" => {
                    self.removed += numbers(1).len();
                    assert!(numbers(1).iter().all(|block| self.blocks.remove(block)));
                }
                "AllBlocksCleared" => {
                    self.cleared += 1;
                    self.blocks.clear();
                }
                other => panic!("{other}"),
            }
        }
    }

    /// Reads until nothing comes for a while.
    async fn read(&mut self, socket: &mut SubSocket) {
        while let Ok(message) =
            tokio::time::timeout(Duration::from_millis(300), socket.recv()).await
        {
            self.take(&message.unwrap().into_vec());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_knows_what_the_cache_holds() {
    let folder = tempfile::tempdir().unwrap();
    // Two prompts and their outputs fit, three do not.
    let text =
        FLEET.replacen("overhead = \"5ms\"", "overhead = \"5ms\"\nkv_pool_tokens = 2_000", 1);
    for form in [KvEvents::Tcp, KvEvents::Ipc(folder.path().to_owned())] {
        let options = Options { links: Links::None, kv_events: Some(form), ..Options::default() };
        let running = start(&scenario_of(&text), options).await.unwrap();
        let us = running.replicas()[0].clone();
        let mut socket = SubSocket::new();
        socket.connect(us.kv_events.as_deref().unwrap()).await.unwrap();
        socket.subscribe("kv-events").await.unwrap();
        let send = async |text: &str| {
            let body = json!({"prompt": text, "max_tokens": 2}).to_string();
            assert_eq!(ask(us.direct, "/v1/completions", body).await.status, 200);
        };
        let mut copy = Copy::default();
        // A subscription takes a moment to arrive: what was published before is lost.
        for number in 1_000.. {
            send(&format!("{number:04}").repeat(16)).await;
            copy.read(&mut socket).await;
            if !copy.blocks.is_empty() {
                break;
            }
            assert!(number < 1_020, "nothing came");
        }
        assert_eq!(ask(us.direct, "/flush_cache", "").await.status, 200);
        copy.read(&mut socket).await;
        assert_eq!((copy.cleared, copy.blocks.len()), (1, 0));
        copy.tokens.clear();
        send(&prompt(1)).await;
        send(&prompt(2)).await;
        copy.read(&mut socket).await;
        let ids =
            |number| chain(&prompt(number)).ids().iter().map(|id| id.0).collect::<BTreeSet<u64>>();
        assert_eq!(copy.blocks, &ids(1) | &ids(2));
        let wanted = [token_ids(&prompt(1)), token_ids(&prompt(2))].concat();
        assert_eq!(copy.tokens, wanted.into_iter().map(u64::from).collect::<Vec<u64>>());
        send(&prompt(3)).await;
        copy.read(&mut socket).await;
        assert_eq!(copy.removed, 50, "the oldest prompt made room");
        assert_eq!(copy.blocks, &ids(2) | &ids(3));
        assert!(copy.numbers.is_sorted_by(|a, b| a + 1 == *b), "{:?}", copy.numbers);
        running.set_fault("us-0", Fault::Crash, Some(Duration::from_millis(50))).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        copy.read(&mut socket).await;
        assert_eq!(copy.cleared, 1, "a process that dies says nothing");
        send(&prompt(4)).await;
        copy.blocks.clear();
        copy.read(&mut socket).await;
        assert_eq!((copy.numbers.last(), &copy.blocks), (Some(&0), &ids(4)));
        running.shutdown().await;
    }
}
