//! The index that a router's configuration asks for: the router's own belief of either kind, or what engines tell.

use super::end_tagged::EndTaggedIndex;
use super::events::EventIndex;
use super::{IndexStats, PrefixIndex};
use crate::config::{IndexBound, LearnAt, RouterConfig};
use gorgo_types::{BlockChain, BlockId, ReplicaId, Tokens};

/// A prefix index of any kind.
#[derive(Debug)]
pub(crate) enum Index {
    Exact(Box<PrefixIndex>),
    EndTagged(EndTaggedIndex),
    Events(EventIndex),
}

impl Index {
    pub(crate) fn of(config: &RouterConfig) -> Self {
        let &RouterConfig { block_tokens, index: bound, learn_at, .. } = config;
        match bound {
            IndexBound::Unbounded if learn_at == LearnAt::KvEvent => {
                Self::Events(EventIndex::new(block_tokens))
            }
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
            Self::Events(index) => index.match_all(chain, cached),
        }
    }

    pub(crate) fn insert(&mut self, replica: ReplicaId, chain: &BlockChain) {
        match self {
            Self::Exact(index) => index.insert(replica, chain),
            Self::EndTagged(index) => index.insert(replica, chain),
            // Only the engines say.
            Self::Events(_) => {}
        }
    }

    pub(crate) fn remove_replica(&mut self, replica: ReplicaId) {
        match self {
            Self::Exact(index) => index.remove_replica(replica),
            Self::EndTagged(index) => index.remove_replica(replica),
            Self::Events(index) => index.remove_replica(replica),
        }
    }

    /// Forgets what every replica holds.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::Exact(index) => index.clear(),
            Self::EndTagged(index) => index.clear(),
            Self::Events(index) => index.clear(),
        }
    }

    /// An engine has stored blocks, or removed them. False: this index does not listen to engines.
    pub(crate) fn kv_event(
        &mut self,
        replica: ReplicaId,
        stored: bool,
        blocks: &[BlockId],
    ) -> bool {
        let Self::Events(index) = self else { return false };
        if stored {
            index.store(replica, blocks);
        } else {
            index.remove(replica, blocks);
        }
        true
    }

    /// The tree of GORGO v1 hears nothing of what engines give up, and who is told by events knows better.
    pub(crate) fn trim(&mut self, replica: ReplicaId, chain: &BlockChain, cached: Tokens) {
        match self {
            Self::Exact(index) => index.trim(replica, chain, cached),
            Self::EndTagged(_) | Self::Events(_) => {}
        }
    }

    pub(crate) fn stats(&self) -> IndexStats {
        match self {
            Self::Exact(index) => index.stats(),
            Self::EndTagged(index) => index.stats(),
            Self::Events(index) => index.stats(),
        }
    }
}
