//! vLLM's KV memory: equal blocks, of which freed ones stay findable until somebody needs their place.
//!
//! The rules are those of vLLM V1 (`v1/core/block_pool.py`, read in 0.32): a block that is full is known by the hash of
//! everything up to its end, from when its tokens are scheduled. Freed blocks that are known go to the tail of the free
//! queue, last blocks of a request first; those that are not go to its head. A new block is taken from the head, and
//! what it was known by is forgotten. A block that is found again leaves the queue. One block is never used.

use crate::CacheChange;
use gorgo_types::BlockId;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// A block's number.
pub(super) type Block = u32;

/// What a full block is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is not full.
    No,
    /// It is full, of tokens that no prompt will ever contain, as far as anybody knows.
    Unnamed,
    /// It is full.
    As(BlockId),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    known: Known,
    /// Requests that hold it.
    holders: u32,
    /// Neighbours in the free queue, where nobody holds it.
    before: Block,
    after: Block,
}

/// Blocks of one content: the first is found.
#[derive(Clone, Debug)]
enum Same {
    One(Block),
    Many(Vec<Block>),
}

/// All blocks of a replica.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    /// The last entry is the free queue's anchor.
    entries: Vec<Entry>,
    by_content: HashMap<BlockId, Same, FxBuildHasher>,
    free: u32,
    /// Those in the queue that are known.
    free_known: u32,
    caches: bool,
    /// What was cached and what was evicted, where anybody wants to know.
    #[expect(
        clippy::box_collection,
        reason = "a pool without it is no larger than a pointer more"
    )]
    journal: Option<Box<Vec<CacheChange>>>,
}

impl Pool {
    /// So many blocks that can be used; without `caches` nothing is ever found.
    pub(super) fn new(blocks: u32, caches: bool) -> Self {
        let entry = Entry { known: Known::No, holders: 0, before: blocks, after: blocks };
        let mut pool = Self {
            entries: vec![entry; blocks as usize + 1],
            by_content: HashMap::default(),
            free: 0,
            free_known: 0,
            caches,
            journal: None,
        };
        (0..blocks).for_each(|block| pool.append(block));
        pool
    }

    /// Everything is lost.
    pub(super) fn clear(&mut self) {
        let mut journal = self.journal.take();
        if let Some(journal) = &mut journal {
            journal.push(CacheChange::Cleared);
        }
        *self = Self { journal, ..Self::new(self.blocks(), self.caches) };
    }

    /// Keeps every change from now on until it is taken.
    pub(super) fn record_changes(&mut self) {
        self.journal.get_or_insert_default();
    }

    pub(super) fn take_changes(&mut self) -> Vec<CacheChange> {
        self.journal.as_deref_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) const fn records(&self) -> bool {
        self.journal.is_some()
    }

    /// Blocks that follow one are named: one event, as vLLM's `cache_full_blocks` makes it. What nobody can ask for is not
    /// told.
    pub(super) fn stored(&mut self, parent: Option<Known>, known: impl Iterator<Item = Known>) {
        let Some(journal) = self.journal.as_deref_mut().filter(|_| self.caches) else { return };
        let id = |known| if let Known::As(id) = known { Some(id) } else { None };
        let blocks: Vec<BlockId> = known.map_while(id).collect();
        if !blocks.is_empty() {
            journal.push(CacheChange::Stored { parent: parent.and_then(id), blocks });
        }
    }

    fn anchor(&self) -> Block {
        // As many as fit a block's number.
        (self.entries.len() - 1) as Block
    }

    fn at(&self, block: Block) -> &Entry {
        &self.entries[block as usize]
    }

    /// Blocks that nobody holds.
    pub(super) const fn free(&self) -> u32 {
        self.free
    }

    /// Those of them that can still be found.
    pub(super) const fn free_known(&self) -> u32 {
        self.free_known
    }

    /// Blocks in all.
    pub(super) fn blocks(&self) -> u32 {
        self.anchor()
    }

    fn link(&mut self, before: Block, block: Block, after: Block) {
        self.entries[before as usize].after = block;
        self.entries[after as usize].before = block;
        let entry = &mut self.entries[block as usize];
        (entry.before, entry.after) = (before, after);
        self.free += 1;
        self.free_known += u32::from(entry.known != Known::No);
    }

    fn append(&mut self, block: Block) {
        self.link(self.at(self.anchor()).before, block, self.anchor());
    }

    fn unlink(&mut self, block: Block) {
        let Entry { before, after, known, .. } = *self.at(block);
        self.entries[before as usize].after = after;
        self.entries[after as usize].before = before;
        self.free -= 1;
        self.free_known -= u32::from(known != Known::No);
    }

    /// The block of this content, if there is one.
    pub(super) fn find(&self, content: BlockId) -> Option<Block> {
        self.by_content.get(&content).map(|same| match same {
            Same::One(block) => *block,
            Same::Many(blocks) => blocks[0],
        })
    }

    /// Whether nobody holds it.
    pub(super) fn is_free(&self, block: Block) -> bool {
        self.at(block).holders == 0
    }

    /// One more request holds a block that was found.
    pub(super) fn hold(&mut self, block: Block) {
        if self.is_free(block) {
            self.unlink(block);
        }
        self.entries[block as usize].holders += 1;
    }

    /// Takes the next free block. True: something that could have been found is lost with it.
    ///
    /// # Panics
    /// When none is free.
    pub(super) fn take(&mut self) -> (Block, bool) {
        let block = self.at(self.anchor()).after;
        assert!(block != self.anchor(), "a block is taken from an empty pool");
        self.unlink(block);
        let evicted = self.forget(block);
        self.entries[block as usize].holders = 1;
        (block, evicted)
    }

    fn forget(&mut self, block: Block) -> bool {
        let known = std::mem::replace(&mut self.entries[block as usize].known, Known::No);
        let Known::As(content) = known else { return known == Known::Unnamed };
        if let Some(journal) = &mut self.journal {
            journal.push(CacheChange::Removed { blocks: vec![content] });
        }
        match self.by_content.get_mut(&content) {
            Some(Same::Many(blocks)) => {
                blocks.retain(|&other| other != block);
                if let [last] = blocks[..] {
                    self.by_content.insert(content, Same::One(last));
                }
            }
            _ => {
                self.by_content.remove(&content);
            }
        }
        true
    }

    /// A block that is held is full.
    pub(super) fn name(&mut self, block: Block, known: Known) {
        if !self.caches {
            return;
        }
        self.entries[block as usize].known = known;
        let Known::As(content) = known else { return };
        match self.by_content.get_mut(&content) {
            None => {
                self.by_content.insert(content, Same::One(block));
            }
            Some(Same::Many(blocks)) => blocks.push(block),
            Some(one) => {
                if let Same::One(first) = *one {
                    *one = Same::Many(vec![first, block]);
                }
            }
        }
    }

    /// A request lets go of its blocks, given in their order.
    pub(super) fn release(&mut self, blocks: &[Block]) {
        // The unknown ones keep their (reversed) order at the head.
        let mut head = self.anchor();
        for &block in blocks.iter().rev() {
            let entry = &mut self.entries[block as usize];
            entry.holders -= 1;
            if entry.holders > 0 {
                continue;
            }
            if entry.known == Known::No {
                let after = self.at(head).after;
                self.link(head, block, after);
                head = block;
            } else {
                self.append(block);
            }
        }
    }

    /// The counts, by walking: held blocks (each once), holders, and whether the queue is as long as it should be.
    pub(super) fn audit(&self) -> Result<(), String> {
        let (mut walked, mut known, mut at) = (0, 0, self.at(self.anchor()).after);
        while at != self.anchor() {
            let entry = self.at(at);
            if entry.holders != 0 {
                return Err(format!("block {at} is free and held by {}", entry.holders));
            }
            walked += 1;
            known += u32::from(entry.known != Known::No);
            at = entry.after;
        }
        let held = self.entries[..self.anchor() as usize].iter().filter(|e| e.holders > 0).count();
        let all = u64::from(walked) + held as u64;
        if (walked, known) != (self.free, self.free_known) || all != u64::from(self.blocks()) {
            return Err(format!(
                "{walked} blocks are free ({known} known) and {held} held, but {} ({}) of {} are counted",
                self.free,
                self.free_known,
                self.blocks()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pool: &mut Pool, block: Block, content: u64) {
        pool.name(block, Known::As(BlockId(content)));
    }

    #[test]
    fn known_blocks_are_taken_last_and_the_end_of_a_prompt_first() {
        let mut pool = Pool::new(4, true);
        let blocks: Vec<Block> = (0..3).map(|_| pool.take().0).collect();
        name(&mut pool, blocks[0], 10);
        name(&mut pool, blocks[1], 11);
        pool.release(&blocks);
        assert_eq!((pool.free(), pool.free_known()), (4, 2));
        assert_eq!(pool.take(), (2, false), "the partial one");
        assert_eq!(pool.take(), (3, false), "the one that was never used");
        assert_eq!(pool.find(BlockId(11)), Some(1));
        assert_eq!(pool.take(), (1, true), "the later block of the prompt");
        assert_eq!(pool.find(BlockId(11)), None);
        assert_eq!(pool.find(BlockId(10)), Some(0));
        pool.audit().unwrap();
    }

    #[test]
    fn a_block_that_is_found_leaves_the_queue_until_all_let_go() {
        let mut pool = Pool::new(2, true);
        let (block, _) = pool.take();
        name(&mut pool, block, 7);
        pool.release(&[block]);
        pool.hold(block);
        pool.hold(block);
        assert_eq!(pool.free(), 1);
        pool.release(&[block]);
        assert_eq!(pool.free(), 1);
        pool.release(&[block]);
        assert_eq!((pool.free(), pool.free_known()), (2, 1));
        pool.audit().unwrap();
    }

    #[test]
    fn of_equal_blocks_the_first_is_found_and_each_goes_by_itself() {
        let mut pool = Pool::new(3, true);
        let (a, b) = (pool.take().0, pool.take().0);
        name(&mut pool, a, 7);
        name(&mut pool, b, 7);
        assert_eq!(pool.find(BlockId(7)), Some(a));
        pool.release(&[a]);
        pool.release(&[b]);
        let _ = (pool.take(), pool.take());
        assert_eq!(pool.find(BlockId(7)), Some(b));
        pool.take();
        assert_eq!(pool.find(BlockId(7)), None);
        let mut pool = Pool::new(1, false);
        let (block, _) = pool.take();
        name(&mut pool, block, 7);
        assert_eq!(pool.find(BlockId(7)), None, "nothing is cached");
    }
}
