//! What enters a prefix cache and leaves it, for whoever keeps a copy: the events that engines publish. Off unless asked
//! for.

use super::PrefixCache;
use gorgo_types::{BlockChain, BlockId};

/// A change of a prefix cache. Only whole blocks are told of: a partial one can be hit by its own prompt alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheChange {
    /// Blocks have entered, one after the other.
    Stored {
        /// The block before the first; none: they begin a chain.
        parent: Option<BlockId>,
        /// The blocks, at least one.
        blocks: Vec<BlockId>,
    },
    /// Blocks have been evicted.
    Removed {
        /// The blocks, at least one.
        blocks: Vec<BlockId>,
    },
    /// Everything is gone.
    Cleared,
}

/// The changes since they were last taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    changes: Vec<CacheChange>,
    block_tokens: u32,
}

impl Journal {
    /// Blocks `from` to `to` of a chain have entered.
    #[cold]
    pub(super) fn stored(&mut self, chain: &BlockChain, from: usize, to: usize) {
        self.block_tokens = chain.block_tokens();
        let to = to.min(chain.whole_blocks());
        if from < to {
            let parent = from.checked_sub(1).map(|before| chain.ids()[before]);
            let blocks = chain.ids()[from..to].to_vec();
            self.changes.push(CacheChange::Stored { parent, blocks });
        }
    }

    /// A run that ends so many tokens below the root has gone.
    #[cold]
    pub(super) fn removed(&mut self, run: &[BlockId], depth: u32) {
        let partial = usize::from(!depth.is_multiple_of(self.block_tokens.max(1)));
        let blocks = &run[..run.len() - partial];
        if !blocks.is_empty() {
            self.changes.push(CacheChange::Removed { blocks: blocks.to_vec() });
        }
    }

    #[cold]
    pub(super) fn cleared(&mut self) {
        self.changes.push(CacheChange::Cleared);
    }
}

impl PrefixCache {
    /// Keeps every change from now on until it is taken.
    pub fn record_changes(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// The changes since the last time, in their order; none unless [`Self::record_changes`] asked for them.
    pub fn take_changes(&mut self) -> Vec<CacheChange> {
        self.journal
            .as_mut()
            .map(|journal| std::mem::take(&mut journal.changes))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::NodeId;
    use gorgo_types::Tokens;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const BLOCK: u64 = 4;

    fn chain(seed: u64, tokens: u64) -> BlockChain {
        let contents = (0..tokens.div_ceil(BLOCK)).map(|position| seed >> (position % 5) & 1);
        BlockChain::from_raw_ids(contents, Tokens(tokens), 4).unwrap()
    }

    proptest! {
        #[test]
        fn a_copy_kept_by_the_changes_is_the_cache(
            ops in prop::collection::vec((0..32_u64, 1..60_u64, 0..40_u64, 0..20_u8), 1..80),
        ) {
            let mut cache = PrefixCache::new();
            cache.record_changes();
            let mut copy = BTreeSet::new();
            for (seed, tokens, evicted, what) in ops {
                let prompt = chain(seed, tokens);
                match what {
                    0 => cache.clear(),
                    1..8 => drop(cache.evict(evicted)),
                    _ => {
                        let held = cache.insert_and_lock(NodeId::ROOT, 0, &prompt, prompt.blocks()).node;
                        // An output hangs below the prompt, whose last block may be partial.
                        let whole = chain(seed, tokens + evicted);
                        let in_prompt = prompt.whole_blocks();
                        let last = (whole.whole_blocks() > in_prompt)
                            .then(|| (u32::try_from(in_prompt).unwrap(), &whole, whole.whole_blocks()));
                        cache.release(held, last);
                    }
                }
                for change in cache.take_changes() {
                    match change {
                        CacheChange::Stored { parent, blocks } => {
                            prop_assert!(parent.is_none_or(|parent| copy.contains(&parent)));
                            for block in blocks {
                                prop_assert!(copy.insert(block), "stored twice");
                            }
                        }
                        CacheChange::Removed { blocks } => {
                            for block in blocks {
                                prop_assert!(copy.remove(&block), "removed what was not there");
                            }
                        }
                        CacheChange::Cleared => copy.clear(),
                    }
                }
                for seed in 0..32 {
                    let asked = chain(seed, 100);
                    let told = asked.ids().iter().take_while(|id| copy.contains(id)).count();
                    prop_assert_eq!(cache.peek_tokens(&asked), told as u64 * BLOCK);
                }
            }
        }
    }
}
