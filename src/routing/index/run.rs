//! A run: consecutive blocks of a chain, shared with the chain it came from or held apart.
//!
//! Taking a run shares the chain's ids where it is at least half of them and copies it otherwise; the same goes for
//! cutting one. So the ids held by all runs are never more than twice those in them, whatever becomes of the chains.

use gorgo_types::{BlockChain, BlockId};
use std::sync::Arc;

/// Consecutive ids. Empty only in a node that is not in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    ids: Arc<[BlockId]>,
    offset: u32,
    len: u32,
}

impl Run {
    /// Blocks `start..end` of a chain.
    pub(super) fn of(chain: &BlockChain, start: usize, end: usize) -> Self {
        Self::slice(chain.shared_ids(), start, end)
    }

    /// Blocks `start..end` of `ids`. Chains are counted in `u32` tokens, so positions fit.
    fn slice(ids: &Arc<[BlockId]>, start: usize, end: usize) -> Self {
        let len = end - start;
        if len * 2 >= ids.len() {
            Self { ids: Arc::clone(ids), offset: start as u32, len: len as u32 }
        } else {
            Self { ids: Arc::from(&ids[start..end]), offset: 0, len: len as u32 }
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn ids(&self) -> &[BlockId] {
        &self.ids[self.offset as usize..][..self.len as usize]
    }

    /// Cuts the run in two after `at` blocks: keeps what comes before and returns the rest.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let (start, end) = (self.offset as usize, (self.offset + self.len) as usize);
        let lower = Self::slice(&self.ids, start + at, end);
        *self = Self::slice(&self.ids, start, start + at);
        lower
    }

    /// Drops all but the first `len` blocks.
    pub(super) fn truncate(&mut self, len: usize) {
        let start = self.offset as usize;
        *self = Self::slice(&self.ids, start, start + len);
    }

    /// The run of both, `lower` being the continuation of `upper`.
    pub(super) fn join(upper: &Self, lower: &Self) -> Self {
        // Ids before a run in shared ids are those of the same chain: the upper run, if there are enough of them.
        if lower.offset >= upper.len {
            let start = lower.offset - upper.len;
            return Self { ids: Arc::clone(&lower.ids), offset: start, len: upper.len + lower.len };
        }
        let ids: Arc<[BlockId]> = upper.ids().iter().chain(lower.ids()).copied().collect();
        Self { len: ids.len() as u32, ids, offset: 0 }
    }

    /// Ids kept alive for this run's sake, for the invariant of the module.
    pub(super) fn held(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_types::Tokens;

    fn chain(blocks: u64) -> BlockChain {
        BlockChain::from_raw_ids(0..blocks, Tokens(blocks * 16), 16).unwrap()
    }

    #[test]
    fn a_run_holds_at_most_twice_its_length() {
        let chain = chain(100);
        for (start, end) in [(0, 100), (0, 50), (0, 49), (60, 100), (50, 100), (99, 100)] {
            let run = Run::of(&chain, start, end);
            assert_eq!(run.ids(), &chain.ids()[start..end]);
            assert!(run.held() <= 2 * run.len(), "{start}..{end} holds {}", run.held());
        }
    }

    #[test]
    fn cutting_and_joining_gives_the_run_back() {
        let chain = chain(20);
        for start in [0, 3, 12] {
            for at in 1..20 - start {
                let whole = Run::of(&chain, start, 20);
                let mut upper = whole.clone();
                let lower = upper.split_off(at);
                assert_eq!(upper.ids(), &whole.ids()[..at]);
                assert_eq!(lower.ids(), &whole.ids()[at..]);
                assert!(upper.held() <= 2 * upper.len() && lower.held() <= 2 * lower.len());
                let joined = Run::join(&upper, &lower);
                assert_eq!(joined.ids(), whole.ids());
                assert!(joined.held() <= 2 * joined.len());
                let mut short = whole.clone();
                short.truncate(at);
                assert_eq!(short.ids(), upper.ids());
            }
        }
    }
}
