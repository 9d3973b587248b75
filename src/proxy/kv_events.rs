//! What engines say of their caches over ZeroMQ, as vLLM publishes it (SGLang's publisher is the same): blocks stored,
//! blocks removed, all cleared. They become block ids of the router's own chaining, computed from the token ids that an
//! event carries, so prompts must be cut into the same tokens for anything to be found again.
//!
//! Messages have three parts: topic, a number that counts up (eight bytes, the highest first), and a batch in msgpack.
//! Events are maps in newer engines and arrays in older ones; both are read. Where a number is missing, events were lost,
//! and all that is believed of the replica is dropped: what it stores from then on counts again. Blocks of other media than
//! the GPU's, of adapters, and of several inputs in one (images) are passed over, since tokens alone do not name them.

use crate::fleet::Replica;
use crate::proxy::Proxy;
use gorgo_types::{BlockChain, BlockId, ChainBuilder, Tokens};
use rmpv::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;
use zeromq::{Socket, SocketRecv, SubSocket};

/// Between two tries to reach a publisher.
const PAUSE: Duration = Duration::from_secs(1);

/// An event that the router is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Stored(Vec<BlockId>),
    Removed(Vec<BlockId>),
    Cleared,
}

/// Engine blocks by the engine's own hash, as the router's blocks that they are made of.
#[derive(Debug)]
pub(crate) struct Mirror {
    block_tokens: u32,
    known: BTreeMap<u64, Known>,
    next: Option<u64>,
    /// Events that could not be used.
    pub(crate) skipped: u64,
}

/// What an engine's hash stands for.
#[derive(Debug)]
struct Known {
    blocks: Vec<BlockId>,
    /// Blocks of the engine that hold it. Two requests that vLLM computes side by side may bring the same twice, and it
    /// tells each of them stored and each of them removed.
    copies: u32,
}

impl Mirror {
    pub(crate) const fn new(block_tokens: u32) -> Self {
        Self { block_tokens, known: BTreeMap::new(), next: None, skipped: 0 }
    }

    /// Reads a message's number and batch. Errors say what is wrong with it; nothing of it is used then.
    pub(crate) fn read(&mut self, number: &[u8], mut batch: &[u8]) -> Result<Vec<Event>, String> {
        let number = <[u8; 8]>::try_from(number).map(u64::from_be_bytes);
        let number = number.map_err(|_| "got a number that is not of eight bytes".to_owned())?;
        let mut told = Vec::new();
        if self.next.is_some_and(|next| next != number) {
            self.known.clear();
            told.push(Event::Cleared);
        }
        self.next = Some(number.wrapping_add(1));
        let batch = rmpv::decode::read_value(&mut batch).map_err(|error| error.to_string())?;
        let events = batch.as_array().and_then(|batch| batch.get(1)).and_then(Value::as_array);
        for event in events.ok_or("got a batch without a list of events")? {
            match self.one(event) {
                Some(event) => told.push(event),
                None => self.skipped += 1,
            }
        }
        Ok(told)
    }

    fn one(&mut self, event: &Value) -> Option<Event> {
        match field(event, "type", 0)?.as_str()? {
            "AllBlocksCleared" => {
                self.known.clear();
                Some(Event::Cleared)
            }
            "BlockRemoved" => {
                of_the_gpu(field(event, "medium", 2))?;
                let hashes = field(event, "block_hashes", 1)?.as_array()?;
                let gone = hashes.iter().filter_map(|hash| self.remove(hash_of(hash)?));
                Some(Event::Removed(gone.flatten().collect()))
            }
            "BlockStored" => self.stored(event),
            _ => None,
        }
    }

    /// One copy is gone: the blocks, if it was the last.
    fn remove(&mut self, hash: u64) -> Option<Vec<BlockId>> {
        let known = self.known.get_mut(&hash)?;
        known.copies -= 1;
        if known.copies > 0 {
            return None;
        }
        self.known.remove(&hash).map(|known| known.blocks)
    }

    fn store(&mut self, hash: u64, blocks: &[BlockId]) {
        let known = self.known.entry(hash).or_insert(Known { blocks: Vec::new(), copies: 0 });
        if known.blocks != blocks {
            *known = Known { blocks: blocks.to_vec(), copies: 0 };
        }
        known.copies += 1;
    }

    fn stored(&mut self, event: &Value) -> Option<Event> {
        of_the_gpu(field(event, "medium", 6))?;
        for (name, place) in [("lora_id", 5), ("lora_name", 7), ("group_idx", 9)] {
            let other = field(event, name, place);
            other.is_none_or(|other| other.is_nil() || other.as_u64() == Some(0)).then_some(())?;
        }
        if let Some(extra) = field(event, "extra_keys", 8).and_then(Value::as_array) {
            extra.iter().all(Value::is_nil).then_some(())?;
        }
        let hashes = field(event, "block_hashes", 1)?.as_array()?;
        let size = u32::try_from(field(event, "block_size", 4)?.as_u64()?).ok()?;
        let tokens: Option<Vec<u32>> = field(event, "token_ids", 3)?
            .as_array()?
            .iter()
            .map(|token| u32::try_from(token.as_u64()?).ok())
            .collect();
        let tokens = tokens?;
        // An engine's block must be whole blocks of ours, or nothing can be said of it.
        let fits = size > 0 && size.is_multiple_of(self.block_tokens);
        (fits && tokens.len() == hashes.len().checked_mul(size as usize)?).then_some(())?;
        let parent = field(event, "parent_block_hash", 2).filter(|parent| !parent.is_nil());
        let mut last = match parent {
            None => None,
            Some(parent) => Some(*self.known.get(&hash_of(parent)?)?.blocks.last()?),
        };
        let mut all = Vec::with_capacity(tokens.len() / self.block_tokens as usize);
        for (hash, tokens) in hashes.iter().zip(tokens.chunks(size as usize)) {
            let ids = chained(last, tokens, self.block_tokens)?;
            last = ids.last().copied();
            self.store(hash_of(hash)?, &ids);
            all.extend(ids);
        }
        Some(Event::Stored(all))
    }
}

/// The ids of whole blocks that follow a block.
fn chained(after: Option<BlockId>, tokens: &[u32], block_tokens: u32) -> Option<Vec<BlockId>> {
    let Some(after) = after else {
        return Some(BlockChain::from_tokens(tokens, block_tokens).ok()?.ids().to_vec());
    };
    let size = u64::from(block_tokens);
    let before = BlockChain::from_ids(vec![after], Tokens(size), block_tokens).ok()?;
    let mut builder = ChainBuilder::continuing(&before);
    for block in tokens.chunks(block_tokens as usize) {
        let bytes: Vec<u8> = block.iter().flat_map(|token| token.to_le_bytes()).collect();
        builder.push_block(xxh3_64(&bytes));
    }
    let chain = builder.finish(Tokens(size + tokens.len() as u64)).ok()?;
    Some(chain.ids()[1..].to_vec())
}

/// A field of an event: by name where it is a map, by place where it is an array.
fn field<'a>(event: &'a Value, name: &str, place: usize) -> Option<&'a Value> {
    match event {
        Value::Map(fields) => {
            fields.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
        }
        Value::Array(fields) => fields.get(place),
        _ => None,
    }
}

/// An engine's hash: a number, or bytes.
fn hash_of(value: &Value) -> Option<u64> {
    match value {
        Value::Binary(bytes) => Some(xxh3_64(bytes)),
        Value::Integer(number) => {
            number.as_u64().or_else(|| number.as_i64().map(i64::cast_unsigned))
        }
        _ => None,
    }
}

fn of_the_gpu(medium: Option<&Value>) -> Option<()> {
    medium.is_none_or(|medium| medium.is_nil() || medium.as_str() == Some("GPU")).then_some(())
}

/// Listens to a replica's events for ever. As long as nobody can be reached at first nothing is believed; a publisher that
/// comes back later counts from the beginning, which clears what was believed of it.
pub(crate) async fn listen(proxy: Arc<Proxy>, replica: Arc<Replica>, endpoint: String) {
    loop {
        let error = listen_once(&proxy, &replica, &endpoint).await;
        tracing::warn!(replica = %replica.name, error, "no KV events");
        proxy.with_core(|core, now| core.router.kv_cleared(now, replica.id));
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen_once(proxy: &Proxy, replica: &Replica, endpoint: &str) -> String {
    let mut socket = SubSocket::new();
    let ready = async {
        socket.subscribe("").await?;
        socket.connect(endpoint).await
    };
    if let Err(error) = ready.await {
        return error.to_string();
    }
    let mut mirror = Mirror::new(proxy.text().block_tokens);
    let mut skipped = 0;
    loop {
        let message = match socket.recv().await {
            Ok(message) => message,
            Err(error) => return error.to_string(),
        };
        let (Some(number), Some(batch)) = (message.get(1), message.get(2)) else {
            return format!(
                "got a message of {} parts, wanted topic, number and batch",
                message.len()
            );
        };
        let events = match mirror.read(number, batch) {
            Ok(events) => events,
            Err(error) => return error,
        };
        if mirror.skipped > skipped {
            skipped = mirror.skipped;
            tracing::debug!(replica = %replica.name, skipped, "KV events that cannot be used");
        }
        proxy.with_core(|core, now| {
            for event in &events {
                match event {
                    Event::Stored(blocks) => core.router.kv_stored(now, replica.id, blocks),
                    Event::Removed(blocks) => core.router.kv_removed(now, replica.id, blocks),
                    Event::Cleared => core.router.kv_cleared(now, replica.id),
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(events: Vec<Value>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let batch = Value::Array(vec![Value::F64(1.0), Value::Array(events)]);
        rmpv::encode::write_value(&mut bytes, &batch).unwrap();
        bytes
    }

    fn numbers(all: impl IntoIterator<Item = u64>) -> Value {
        Value::Array(all.into_iter().map(Value::from).collect())
    }

    fn as_map(hashes: &[u64], parent: Value, tokens: std::ops::Range<u64>, size: u64) -> Value {
        let fields = [
            ("type", Value::from("BlockStored")),
            ("block_hashes", numbers(hashes.iter().copied())),
            ("parent_block_hash", parent),
            ("token_ids", numbers(tokens)),
            ("block_size", size.into()),
            ("lora_id", Value::Nil),
            ("medium", "GPU".into()),
        ];
        Value::Map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    fn as_array(hash: &[u8], parent: Value, tokens: std::ops::Range<u64>) -> Value {
        let size = tokens.end - tokens.start;
        Value::Array(vec![
            "BlockStored".into(),
            Value::Array(vec![Value::Binary(hash.to_vec())]),
            parent,
            numbers(tokens),
            size.into(),
            Value::Nil,
        ])
    }

    #[test]
    fn events_name_the_blocks_of_prompts() {
        let tokens: Vec<u32> = (0..128).collect();
        let prompt = BlockChain::from_tokens(&tokens, 16).unwrap();
        let mut mirror = Mirror::new(16);
        // Two blocks of 32 are four of ours; the third one hangs below, told by bytes in an array.
        let first = batch(vec![as_map(&[7, 8], Value::Nil, 0..64, 32)]);
        let told = mirror.read(&5_u64.to_be_bytes(), &first).unwrap();
        assert_eq!(told, [Event::Stored(prompt.ids()[..4].to_vec())]);
        let second = batch(vec![as_array(b"abc", 8.into(), 64..96)]);
        let told = mirror.read(&6_u64.to_be_bytes(), &second).unwrap();
        assert_eq!(told, [Event::Stored(prompt.ids()[4..6].to_vec())]);
        let removed = Value::Array(vec!["BlockRemoved".into(), numbers([8, 99])]);
        let told = mirror.read(&7_u64.to_be_bytes(), &batch(vec![removed])).unwrap();
        assert_eq!(told, [Event::Removed(prompt.ids()[2..4].to_vec())]);
        let cleared = batch(vec![Value::Array(vec!["AllBlocksCleared".into()])]);
        assert_eq!(mirror.read(&8_u64.to_be_bytes(), &cleared).unwrap(), [Event::Cleared]);
        assert_eq!((mirror.known.len(), mirror.skipped), (0, 0));
    }

    #[test]
    fn a_block_that_is_there_twice_goes_with_the_second() {
        let tokens: Vec<u32> = (0..16).collect();
        let ids = BlockChain::from_tokens(&tokens, 16).unwrap().ids().to_vec();
        let mut mirror = Mirror::new(16);
        let stored = || as_map(&[1], Value::Nil, 0..16, 16);
        let removed = || Value::Array(vec!["BlockRemoved".into(), numbers([1]), "GPU".into()]);
        let twice = batch(vec![stored(), stored()]);
        let told = mirror.read(&0_u64.to_be_bytes(), &twice).unwrap();
        assert_eq!(told, [Event::Stored(ids.clone()), Event::Stored(ids.clone())]);
        let told = mirror.read(&1_u64.to_be_bytes(), &batch(vec![removed()])).unwrap();
        assert_eq!(told, [Event::Removed(Vec::new())]);
        let told = mirror.read(&2_u64.to_be_bytes(), &batch(vec![removed(), removed()])).unwrap();
        assert_eq!(told, [Event::Removed(ids), Event::Removed(Vec::new())]);
    }

    #[test]
    fn lost_events_clear_and_odd_ones_are_passed_over() {
        let mut mirror = Mirror::new(16);
        let first = batch(vec![as_map(&[1], Value::Nil, 0..16, 16)]);
        mirror.read(&0_u64.to_be_bytes(), &first).unwrap();
        let child = batch(vec![as_map(&[2], 1.into(), 16..32, 16)]);
        let told = mirror.read(&2_u64.to_be_bytes(), &child).unwrap();
        assert_eq!(told, [Event::Cleared], "its parent is not known any more");
        let odd = [
            as_map(&[3], Value::Nil, 0..24, 24),
            as_map(&[3], Value::Nil, 0..17, 16),
            as_map(&[3, 4], Value::Nil, 0..16, 16),
            Value::Array(vec!["BlockStored".into()]),
            Value::Array(vec!["Else".into()]),
            Value::Nil,
            7.into(),
        ];
        let told = mirror.read(&3_u64.to_be_bytes(), &batch(odd.to_vec())).unwrap();
        assert_eq!((told.len(), mirror.skipped), (0, 8));
        for (number, bytes) in [
            (&b"1"[..], batch(vec![])),
            (&4_u64.to_be_bytes()[..], vec![0xc1]),
            (&4_u64.to_be_bytes()[..], vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
            (&4_u64.to_be_bytes()[..], vec![0x01]),
        ] {
            assert!(Mirror::new(16).read(number, &bytes).is_err());
        }
    }
}
