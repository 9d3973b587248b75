//! The prefix index: which leading part of a prompt each replica is believed to hold.
use crate::config::IndexBound;
use gorgo_types::{BlockChain, ReplicaId, Tokens};

/// What an index holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Nodes alive.
    pub nodes: usize,
    /// Blocks in them, each counted once however many replicas hold it.
    pub blocks: u64,
    /// Tokens that each replica is believed to hold, by replica id.
    pub tokens_per_replica: Vec<u64>,
    /// Tokens given up for want of room, over all replicas, since the beginning.
    pub evicted_tokens: u64,
    /// Insertions that were cut short because two blocks of different content had the same id.
    pub collisions: u64,
}

/// See the module.
#[derive(Debug)]
pub struct PrefixIndex {}

impl PrefixIndex {
    /// An empty index over chains of `block_tokens` tokens a block.
    #[must_use]
    pub fn new(_block_tokens: u32, _bound: IndexBound) -> Self {
        Self {}
    }
    /// Tells that `replica` holds the chain.
    pub fn insert(&mut self, _replica: ReplicaId, _chain: &BlockChain) {}
    /// Leading tokens that each replica holds.
    pub fn match_all(&self, _chain: &BlockChain, cached: &mut [u64]) {
        cached.fill(0);
    }
    /// Forgets a replica.
    pub fn remove_replica(&mut self, _replica: ReplicaId) {}
    /// Forgets what a replica holds beyond.
    pub fn trim(&mut self, _replica: ReplicaId, _chain: &BlockChain, _keep: Tokens) {}
    /// Forgets everything.
    pub fn clear(&mut self) {}
    /// What it holds.
    #[must_use]
    pub fn stats(&self) -> IndexStats {
        IndexStats::default()
    }
}
