//! What a replica's cache holds, published as engines do: ZMQ PUB, three frames (topic, number as 8 bytes with the highest
//! first, a batch in MessagePack). The batch has the array form of vLLM's and SGLang's `kv_events.py`:
//! `[seconds, [event, ...], null]` with `["BlockStored", hashes, parent, token_ids, block_size, null, "GPU"]`,
//! `["BlockRemoved", hashes, "GPU"]` and `["AllBlocksCleared"]`. vLLM's stored blocks have two more fields, `lora_name` and
//! `extra_keys` (null, and a null a block); it tells blocks of its own size, those that a step fills at once in one event,
//! removes them one by one, and tells a block twice that two requests computed side by side.
//!
//! The hashes are the ids of `gorgo_types::BlockChain`, or made of them where vLLM's blocks are smaller than the chain's.
//! Blocks of an answer whose text nobody knows are not told: no prompt can ask for them. Token ids are a prompt's own where
//! it was given as such, else `gorgo_text::token_ids` of its text, message by message. A crash is not told: afterwards
//! the numbers start again at 0, and whoever sees that knows that the cache is empty. Events are not delayed by links,
//! and there is no replay.

use gorgo_model::{CacheChange, VllmReplica};
use gorgo_types::{BlockChain, BlockId};
use rmpv::Value;
use std::collections::HashMap;
use tokio::sync::mpsc;
use zeromq::{PubSocket, SocketSend, ZmqMessage};

/// The topic of all events.
pub const TOPIC: &str = "kv-events";

/// What a request's blocks are made of: token ids of the prompt and of prompt and answer, as many as the chains have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub prompt: Vec<u32>,
    pub sequence: Vec<u32>,
}

/// Whose events they are, and how long its blocks are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Sglang { block_tokens: u32 },
    Vllm { block_tokens: u32 },
}

/// One block whose tokens are known.
#[derive(Debug)]
struct Block {
    tokens: Box<[u32]>,
    /// Requests that are alive and may bring it.
    holders: u32,
    /// How often it is cached: vLLM may have it twice.
    stored: u32,
}

/// What goes to the publisher.
#[derive(Debug)]
pub(crate) enum Publish {
    Events(Vec<Value>),
    /// The numbers start again.
    Restart,
}

/// Turns a cache's changes into events: knows the tokens of all blocks that are cached or may become so.
#[derive(Debug)]
pub(crate) struct Book {
    blocks: HashMap<BlockId, Block>,
    form: Form,
    to: mpsc::UnboundedSender<Publish>,
}

impl Book {
    pub fn new(form: Form, to: mpsc::UnboundedSender<Publish>) -> Self {
        Self { blocks: HashMap::new(), form, to }
    }

    const fn block_tokens(&self) -> u32 {
        let (Form::Sglang { block_tokens } | Form::Vllm { block_tokens }) = self.form;
        block_tokens
    }

    /// A request may bring these blocks.
    pub fn hold(&mut self, chain: &BlockChain, tokens: &[u32]) {
        let size = self.block_tokens() as usize;
        for (id, tokens) in whole_blocks(chain, self.block_tokens()).zip(tokens.chunks_exact(size))
        {
            let fresh = || Block { tokens: tokens.into(), holders: 0, stored: 0 };
            self.blocks.entry(id).or_insert_with(fresh).holders += 1;
        }
    }

    /// The request is over.
    pub fn let_go(&mut self, chain: &BlockChain) {
        for id in whole_blocks(chain, self.block_tokens()) {
            if let Some(block) = self.blocks.get_mut(&id) {
                block.holders = block.holders.saturating_sub(1);
                if block.holders == 0 && block.stored == 0 {
                    self.blocks.remove(&id);
                }
            }
        }
    }

    /// The cache has changed.
    pub fn changed(&mut self, changes: Vec<CacheChange>) {
        let events: Vec<Value> = changes.into_iter().map(|change| self.event(change)).collect();
        if !events.is_empty() {
            // The publisher ends with the emulator.
            drop(self.to.send(Publish::Events(events)));
        }
    }

    /// The process has crashed: nobody hears of it.
    pub fn restarted(&mut self, changes: Vec<CacheChange>) {
        for change in changes {
            drop(self.event(change));
        }
        drop(self.to.send(Publish::Restart));
    }

    fn event(&mut self, change: CacheChange) -> Value {
        let hashes = |blocks: &[BlockId]| blocks.iter().map(|id| Value::from(id.0)).collect();
        let medium = Value::from("GPU");
        Value::Array(match change {
            CacheChange::Stored { parent, blocks } => {
                let size = self.block_tokens();
                let mut tokens = Vec::with_capacity(blocks.len() * size as usize);
                for id in &blocks {
                    if let Some(block) = self.blocks.get_mut(id) {
                        block.stored += 1;
                        tokens.extend(block.tokens.iter().map(|&id| Value::from(id)));
                    }
                }
                let mut event = vec![
                    Value::from("BlockStored"),
                    Value::Array(hashes(&blocks)),
                    parent.map_or(Value::Nil, |parent| Value::from(parent.0)),
                    Value::Array(tokens),
                    Value::from(size),
                    Value::Nil,
                    medium,
                ];
                if let Form::Vllm { .. } = self.form {
                    event.extend([Value::Nil, Value::Array(vec![Value::Nil; blocks.len()])]);
                }
                event
            }
            CacheChange::Removed { blocks } => {
                for id in &blocks {
                    if let Some(block) = self.blocks.get_mut(id) {
                        block.stored = block.stored.saturating_sub(1);
                        if block.holders == 0 && block.stored == 0 {
                            self.blocks.remove(id);
                        }
                    }
                }
                vec![Value::from("BlockRemoved"), Value::Array(hashes(&blocks)), medium]
            }
            CacheChange::Cleared => {
                self.blocks.retain(|_, block| {
                    block.stored = 0;
                    block.holders > 0
                });
                vec![Value::from("AllBlocksCleared")]
            }
        })
    }
}

/// The whole blocks of a chain, of `size` tokens each.
fn whole_blocks(chain: &BlockChain, size: u32) -> impl Iterator<Item = BlockId> {
    let whole = chain.tokens().get() / u64::from(size.max(1));
    (0..u32::try_from(whole).unwrap_or(u32::MAX))
        .map_while(move |index| VllmReplica::block_id(chain, index, size))
}

/// Publishes until the task is aborted.
pub(crate) async fn publish(mut socket: PubSocket, mut events: mpsc::UnboundedReceiver<Publish>) {
    let mut number = 0_u64;
    while let Some(told) = events.recv().await {
        let Publish::Events(events) = told else {
            number = 0;
            continue;
        };
        match message(number, events) {
            Ok(message) => {
                if let Err(error) = socket.send(message).await {
                    tracing::warn!(%error, "KV events were not published");
                }
            }
            Err(error) => tracing::warn!(%error, "KV events cannot be written"),
        }
        number += 1;
    }
}

fn message(number: u64, events: Vec<Value>) -> Result<ZmqMessage, rmpv::encode::Error> {
    let seconds =
        std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64());
    let batch = Value::Array(vec![Value::from(seconds), Value::Array(events), Value::Nil]);
    let mut payload = Vec::new();
    rmpv::encode::write_value(&mut payload, &batch)?;
    let mut message = ZmqMessage::from(TOPIC);
    message.push_back(number.to_be_bytes().to_vec().into());
    message.push_back(payload.into());
    Ok(message)
}
