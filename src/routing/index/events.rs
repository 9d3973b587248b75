//! The index that the engines write themselves: a set of (replica, block) pairs, as their KV events tell it.
//!
//! Nothing is guessed here and nothing given up: a block is in it from the event that stores it to the one that removes
//! it. A replica's match ends at the first block of the prompt that it does not hold, since an engine may give up a
//! block in the middle and keep what hangs below. Only whole blocks are ever stored. Read [`super::choice`] next.
//!
//! Ids stand for everything before them, so no event needs to name a parent here. Memory is in proportion to what the
//! engines hold, as long as their events arrive; who misses some must say so (`kv_cleared`).

use super::tree::WORD;
use super::{IndexStats, MAX_WORDS, write};
use gorgo_types::{BlockChain, BlockId, ReplicaId};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// See the module.
#[derive(Debug)]
pub(crate) struct EventIndex {
    places: HashMap<BlockId, u32, FxBuildHasher>,
    /// By place: the block, none where the place is free.
    blocks: Vec<Option<BlockId>>,
    /// By place: which replicas hold it, in `words` words.
    holders: Vec<u64>,
    words: usize,
    free: Vec<u32>,
    /// By replica id.
    held: Vec<u64>,
    block_tokens: u32,
}

impl EventIndex {
    pub(crate) fn new(block_tokens: u32) -> Self {
        Self {
            places: HashMap::default(),
            blocks: Vec::new(),
            holders: Vec::new(),
            words: 1,
            free: Vec::new(),
            held: Vec::new(),
            block_tokens,
        }
    }

    /// Writes, for each replica id below `cached.len()`, how many leading tokens of the chain it holds.
    pub(crate) fn match_all(&self, chain: &BlockChain, cached: &mut [u64]) {
        cached.fill(0);
        let mut holding = [0; MAX_WORDS];
        let holding = &mut holding[..self.words];
        let mut blocks = 0;
        for id in &chain.ids()[..chain.whole_blocks()] {
            let Some(&place) = self.places.get(id) else { break };
            let holders = &self.holders[place as usize * self.words..][..self.words];
            let depth = chain.tokens_in(blocks).get();
            let mut anybody = 0;
            for (word, (holding, &bits)) in holding.iter_mut().zip(holders).enumerate() {
                let still = if blocks == 0 { bits } else { *holding & bits };
                write(cached, word, *holding & !still, depth);
                *holding = still;
                anybody |= still;
            }
            if anybody == 0 {
                return;
            }
            blocks += 1;
        }
        for (word, &holding) in holding.iter().enumerate() {
            write(cached, word, holding, chain.tokens_in(blocks).get());
        }
    }

    /// The replica, an id of the fleet's, holds these blocks from now on.
    pub(crate) fn store(&mut self, replica: ReplicaId, blocks: &[BlockId]) {
        self.widen(replica.index() + 1);
        let (word, bit) = (replica.index() / WORD, 1 << (replica.index() % WORD));
        for &id in blocks {
            let place = self.place(id) as usize;
            let holders = &mut self.holders[place * self.words + word];
            self.held[replica.index()] += u64::from(*holders & bit == 0);
            *holders |= bit;
        }
    }

    /// The replica has given these blocks up. What it did not hold is passed over.
    pub(crate) fn remove(&mut self, replica: ReplicaId, blocks: &[BlockId]) {
        if replica.index() >= self.held.len() {
            return;
        }
        for id in blocks {
            if let Some(&place) = self.places.get(id) {
                self.give_up(replica, place);
            }
        }
    }

    /// The replica holds nothing any more. O(blocks of all replicas).
    pub(crate) fn remove_replica(&mut self, replica: ReplicaId) {
        if self.held.get(replica.index()).is_none_or(|&held| held == 0) {
            return;
        }
        for place in 0..self.blocks.len() as u32 {
            self.give_up(replica, place);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.block_tokens);
    }

    pub(crate) fn stats(&self) -> IndexStats {
        let tokens = |&held: &u64| held * u64::from(self.block_tokens);
        IndexStats {
            nodes: self.places.len(),
            blocks: self.places.len() as u64,
            tokens_per_replica: self.held.iter().map(tokens).collect(),
            evicted_tokens: 0,
            collisions: 0,
        }
    }

    fn give_up(&mut self, replica: ReplicaId, place: u32) {
        let at = place as usize * self.words;
        let (word, bit) = (replica.index() / WORD, 1 << (replica.index() % WORD));
        if self.holders[at + word] & bit == 0 {
            return;
        }
        self.holders[at + word] &= !bit;
        self.held[replica.index()] -= 1;
        if self.holders[at..at + self.words].iter().all(|&bits| bits == 0)
            && let Some(id) = self.blocks[place as usize].take()
        {
            self.places.remove(&id);
            self.free.push(place);
        }
    }

    /// The block's place, a new one if nobody holds it yet.
    fn place(&mut self, id: BlockId) -> u32 {
        let (blocks, holders, free, words) =
            (&mut self.blocks, &mut self.holders, &mut self.free, self.words);
        *self.places.entry(id).or_insert_with(|| {
            let place = free.pop().unwrap_or_else(|| {
                blocks.push(None);
                holders.resize(blocks.len() * words, 0);
                u32::try_from(blocks.len() - 1).expect("fewer than 2^32 blocks are held")
            });
            blocks[place as usize] = Some(id);
            place
        })
    }

    /// Makes room for so many replicas.
    fn widen(&mut self, replicas: usize) {
        if self.held.len() < replicas {
            self.held.resize(replicas, 0);
        }
        let words = replicas.div_ceil(WORD);
        if words > self.words {
            let mut holders = vec![0; self.blocks.len() * words];
            for (old, new) in
                self.holders.chunks_exact(self.words).zip(holders.chunks_exact_mut(words))
            {
                new[..self.words].copy_from_slice(old);
            }
            (self.holders, self.words) = (holders, words);
        }
    }
}
