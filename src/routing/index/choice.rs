//! The index that a router's configuration asks for.

use super::end_tagged::EndTaggedIndex;
use super::{IndexStats, PrefixIndex};
use crate::config::IndexBound;
use gorgo_types::{BlockChain, ReplicaId, Tokens};

/// A prefix index of either kind.
#[derive(Debug)]
pub(crate) enum Index {
    Exact(Box<PrefixIndex>),
    EndTagged(EndTaggedIndex),
}

impl Index {
    pub(crate) fn new(block_tokens: u32, bound: IndexBound) -> Self {
        match bound {
            IndexBound::EndTagged => Self::EndTagged(EndTaggedIndex::new(block_tokens)),
            IndexBound::Unbounded | IndexBound::Lru { .. } => {
                Self::Exact(Box::new(PrefixIndex::new(block_tokens, bound)))
            }
        }
    }

    pub(crate) fn match_all(&self, chain: &BlockChain, cached: &mut [u64]) {
        match self {
            Self::Exact(index) => index.match_all(chain, cached),
            Self::EndTagged(index) => index.match_all(chain, cached),
        }
    }

    pub(crate) fn insert(&mut self, replica: ReplicaId, chain: &BlockChain) {
        match self {
            Self::Exact(index) => index.insert(replica, chain),
            Self::EndTagged(index) => index.insert(replica, chain),
        }
    }

    pub(crate) fn remove_replica(&mut self, replica: ReplicaId) {
        match self {
            Self::Exact(index) => index.remove_replica(replica),
            Self::EndTagged(index) => index.remove_replica(replica),
        }
    }

    /// The tree of GORGO v1 hears nothing of what engines give up.
    pub(crate) fn trim(&mut self, replica: ReplicaId, chain: &BlockChain, cached: Tokens) {
        match self {
            Self::Exact(index) => index.trim(replica, chain, cached),
            Self::EndTagged(_) => {}
        }
    }

    pub(crate) fn stats(&self) -> IndexStats {
        match self {
            Self::Exact(index) => index.stats(),
            Self::EndTagged(index) => index.stats(),
        }
    }
}
