//! The prefix index: which leading part of a prompt each replica is believed to hold in its KV cache.
//!
//! It is GORGO's radix trie over block chains. An insertion tags every node on the prompt's path with the replica; a
//! split gives the new upper node the tags of the lower one. A match is one walk: a replica drops out at the first
//! node without its tag, and a part of a run counts. Matches are whole blocks; a partial last block counts only where
//! the lengths are equal too. A match may cover the whole prompt, although an engine caches one token less at most: it
//! has to compute something to answer. Policies take `tokens - cached` as the work, as GORGO does.
//!
//! What is different is inside. Block ids are chained hashes, so a run is compared by its last id, the place where two
//! prompts part is found by bisection, and one flat map is every node's child table. A match costs O(runs on the path +
//! replicas) and allocates nothing.
//!
//! A bounded index ([`IndexBound::Lru`]) keeps of each replica the most recently *inserted* blocks (a match changes
//! nothing), gives up the deepest block of the oldest use first, and is exact to the block: how the tree happens to be
//! split does not show. Nodes that differ in nothing any more are joined again, so memory is in proportion to the
//! runs that are alive. An unbounded one grows with the distinct blocks inserted.
//!
//! The parts: `tree` has nodes and links, `recency` the order of use, `run` the ids.

mod choice;
mod end_tagged;
mod events;
mod recency;
mod run;
mod tree;

use crate::config::IndexBound;
use crate::fleet::MAX_REPLICAS;
pub(crate) use choice::Index;
use gorgo_types::{BlockChain, ReplicaId, Tokens};
use recency::Recency;
use tree::{NONE, Step, Tree, WORD};

/// Words of bits for as many replicas as there may be.
const MAX_WORDS: usize = MAX_REPLICAS as usize / WORD;

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
    /// Operations that were cut short because two different blocks had the same id.
    pub collisions: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct PrefixIndex {
    tree: Tree,
    /// Kept by bounded indexes only.
    recency: Option<Recency>,
    /// Most tokens a replica may hold.
    capacity: u64,
    block_tokens: u32,
    /// By replica id.
    tokens: Vec<u64>,
    evicted_tokens: u64,
    collisions: u64,
    /// Scratch: the nodes of a path, or of a subtree.
    path: Vec<u32>,
}

impl PrefixIndex {
    /// An empty index over chains of `block_tokens` tokens a block; chains of other block sizes match nothing and are
    /// not taken in.
    #[must_use]
    pub fn new(block_tokens: u32, bound: IndexBound) -> Self {
        let (recency, capacity) = match bound {
            // What end tags forget is another index's business: `choice` asks this one for the others only.
            IndexBound::Unbounded | IndexBound::EndTagged => (None, u64::MAX),
            IndexBound::Lru { capacity_tokens_per_replica } => {
                (Some(Recency::default()), capacity_tokens_per_replica)
            }
        };
        Self {
            tree: Tree::new(block_tokens),
            recency,
            capacity,
            block_tokens,
            tokens: Vec::new(),
            evicted_tokens: 0,
            collisions: 0,
            path: Vec::new(),
        }
    }

    // ----------------------------------------------------------------------------------------------- matching

    /// Writes, for each replica id below `cached.len()`, how many leading tokens of the chain the replica holds.
    pub fn match_all(&self, chain: &BlockChain, cached: &mut [u64]) {
        cached.fill(0);
        if chain.block_tokens() != self.block_tokens {
            return;
        }
        match self.tree.words() {
            1 => self.match_words(chain, cached, &mut [0]),
            words => self.match_words(chain, cached, &mut [0; MAX_WORDS][..words]),
        }
    }

    /// `holding`: scratch for the replicas that hold everything up to the present node.
    fn match_words(&self, chain: &BlockChain, cached: &mut [u64], holding: &mut [u64]) {
        let ids = chain.ids();
        let (mut at, mut parent, mut depth) = (0, NONE, 0);
        while let Step::Into { node, common } = self.tree.step(ids, at, parent) {
            let mut anybody = 0;
            for (word, holding) in holding.iter_mut().enumerate() {
                let bits = self.tree.word(node, word);
                let still = if parent == NONE { bits } else { *holding & bits };
                write(cached, word, *holding & !still, depth);
                *holding = still;
                anybody |= still;
            }
            if anybody == 0 {
                return;
            }
            at += common;
            depth = chain.tokens_in(at).get();
            if common < self.tree.len(node) {
                break;
            }
            parent = node;
        }
        for (word, &holding) in holding.iter().enumerate() {
            write(cached, word, holding, depth);
        }
    }

    // ----------------------------------------------------------------------------------------------- learning

    /// Tells that `replica` holds the whole chain, as its most recent use. A bounded index then makes room.
    pub fn insert(&mut self, replica: ReplicaId, chain: &BlockChain) {
        if chain.block_tokens() != self.block_tokens || replica.0 >= MAX_REPLICAS {
            return;
        }
        let replica = replica.index();
        if self.tokens.len() <= replica {
            self.tokens.resize(replica + 1, 0);
            self.tree.widen(replica + 1);
        }
        self.find_or_make_path(replica, chain);
        if let Some(recency) = &mut self.recency {
            recency.reserve(self.tree.slots(), self.tokens.len());
        }
        // Leaf first, so that an ancestor is always newer than what hangs below it.
        for index in (0..self.path.len()).rev() {
            self.tag(self.path[index], replica);
        }
        self.make_room(replica);
    }

    /// Fills `path` with the nodes of the chain, splitting and adding where there are none yet.
    fn find_or_make_path(&mut self, replica: usize, chain: &BlockChain) {
        self.path.clear();
        let ids = chain.ids();
        let (mut at, mut parent) = (0, NONE);
        while at < ids.len() {
            match self.tree.step(ids, at, parent) {
                Step::Into { node, common } => {
                    let whole = common == self.tree.len(node);
                    let Some(upper) = (if whole { Some(node) } else { self.split(node, common) })
                    else {
                        return;
                    };
                    self.path.push(upper);
                    (at, parent) = (at + common, upper);
                }
                Step::Absent => {
                    if let Some(tokens) = self.lengthen(replica, parent, chain) {
                        self.tokens[replica] += tokens;
                    } else {
                        let leaf = self.tree.add_leaf(parent, chain, at);
                        self.path.push(leaf);
                    }
                    return;
                }
                Step::Collision => {
                    self.collisions += 1;
                    return;
                }
            }
        }
    }

    /// A leaf that this replica alone holds simply grows: a conversation that stays at one replica is one node.
    fn lengthen(&mut self, replica: usize, leaf: u32, chain: &BlockChain) -> Option<u64> {
        let alone = leaf != NONE && self.tree.holds(leaf, replica) && self.tree.holders(leaf) == 1;
        if alone { self.tree.extend_leaf(leaf, chain) } else { None }
    }

    /// Splits a node and returns the upper part, `None` on a collision.
    fn split(&mut self, node: u32, at: usize) -> Option<u32> {
        let Some(upper) = self.tree.split(node, at) else {
            self.collisions += 1;
            return None;
        };
        if let Some(recency) = &mut self.recency {
            recency.reserve(self.tree.slots(), self.tokens.len());
            recency.add_above(upper, node, self.tree.replicas(node));
        }
        Some(upper)
    }

    /// Makes `replica` a holder of the node, or its use of it the most recent.
    fn tag(&mut self, node: u32, replica: usize) {
        let held = self.tree.holds(node, replica);
        if !held {
            self.tree.set(node, replica);
            self.tokens[replica] += self.tree.tokens(node);
        }
        if let Some(recency) = &mut self.recency {
            let rank = self.tree.rank(node, replica);
            if held {
                recency.touch(node, rank, replica);
            } else {
                recency.add_newest(node, rank, replica);
            }
        }
    }

    // ---------------------------------------------------------------------------------------------- forgetting

    /// Gives up the oldest, deepest blocks of a replica until it is within the bound.
    fn make_room(&mut self, replica: usize) {
        while self.tokens[replica] > self.capacity {
            let Some(oldest) = self.recency.as_ref().and_then(|recency| recency.oldest(replica))
            else {
                return;
            };
            let (over, len) = (self.tokens[replica] - self.capacity, self.tree.len(oldest));
            // All blocks are whole but perhaps the last.
            let last = self.tree.tail_tokens(oldest, 1);
            let more = over.saturating_sub(last).div_ceil(u64::from(self.block_tokens));
            let blocks = usize::try_from(more).map_or(len, |more| len.min(more + 1));
            let before = self.tokens[replica];
            self.give_up(oldest, replica, blocks);
            self.evicted_tokens += before - self.tokens[replica];
        }
    }

    /// Takes the last `blocks` blocks of a node from a replica that holds nothing below it.
    fn give_up(&mut self, node: u32, replica: usize, blocks: usize) {
        if blocks == self.tree.len(node) {
            self.untag(node, replica);
            self.tidy(node);
        } else if self.tree.holders(node) == 1 {
            self.tokens[replica] -= self.tree.tail_tokens(node, blocks);
            self.tree.shorten_leaf(node, blocks);
        } else {
            // On a collision the whole node goes: the bound is kept, at the cost of some belief.
            let _ = self.split(node, self.tree.len(node) - blocks);
            self.untag(node, replica);
            self.tidy(node);
        }
    }

    /// Ends a replica's hold of a node.
    fn untag(&mut self, node: u32, replica: usize) {
        if let Some(recency) = &mut self.recency {
            recency.remove(node, self.tree.rank(node, replica), replica);
        }
        self.tree.clear(node, replica);
        self.tokens[replica] = self.tokens[replica]
            .checked_sub(self.tree.tokens(node))
            .expect("a replica's tokens in the index fell below zero");
    }

    /// Removes a node that nobody holds, or joins it to its only child, after a hold of it has ended.
    fn tidy(&mut self, node: u32) {
        if self.tree.holders(node) > 0 {
            self.join(node);
            return;
        }
        let parent = self.tree.parent(node);
        self.tree.remove(node);
        if parent != NONE {
            self.join(parent);
        }
    }

    /// Joins a node to its only child, where the two differ in nothing.
    fn join(&mut self, node: u32) {
        let Some(child) = self.tree.mergeable_child(node) else { return };
        if let Some(recency) = &mut self.recency {
            if !recency.adjacent(node, child) {
                return;
            }
            recency.remove_node(node, self.tree.replicas(node));
        }
        self.tree.merge(node, child);
    }

    /// Forgets what `replica` holds of the chain beyond its first `keep` tokens, rounded down to whole blocks, and
    /// everything that continues it: an engine has reported that it is not there.
    pub fn trim(&mut self, replica: ReplicaId, chain: &BlockChain, keep: Tokens) {
        let same_blocks = chain.block_tokens() == self.block_tokens;
        if !same_blocks || keep >= chain.tokens() || replica.index() >= self.tokens.len() {
            return;
        }
        let (ids, replica) = (chain.ids(), replica.index());
        // Below the chain's length, so it fits.
        let keep = (keep.get() / u64::from(self.block_tokens)) as usize;
        let (mut at, mut parent) = (0, NONE);
        while let Step::Into { node, common } = self.tree.step(ids, at, parent) {
            if !self.tree.holds(node, replica) {
                return;
            }
            if at + common > keep {
                if keep > at && self.split(node, keep - at).is_none() {
                    return;
                }
                self.forget_subtree(node, replica);
                return;
            }
            if common < self.tree.len(node) {
                return;
            }
            (at, parent) = (at + common, node);
        }
    }

    fn forget_subtree(&mut self, top: u32, replica: usize) {
        let parent = self.tree.parent(top);
        let mut subtree = std::mem::take(&mut self.path);
        subtree.clear();
        subtree.push(top);
        let mut next = 0;
        while let Some(&node) = subtree.get(next) {
            next += 1;
            let mut child = self.tree.first_child(node);
            while child != NONE {
                if self.tree.holds(child, replica) {
                    subtree.push(child);
                }
                child = self.tree.next_sibling(child);
            }
        }
        self.forget_all(&subtree, replica);
        if parent != NONE {
            self.join(parent);
        }
        self.path = subtree;
    }

    /// Ends a replica's hold of these nodes, parents before children. Joining waits until all are done, so that no
    /// node of the list is joined away before its turn.
    fn forget_all(&mut self, nodes: &[u32], replica: usize) {
        for &node in nodes.iter().rev() {
            self.untag(node, replica);
            if self.tree.holders(node) == 0 {
                self.tree.remove(node);
            }
        }
        for &node in nodes {
            if self.tree.is_alive(node) {
                self.join(node);
            }
        }
    }

    /// Forgets all that `replica` holds: it is gone, restarted or flushed. O(nodes).
    pub fn remove_replica(&mut self, replica: ReplicaId) {
        let replica = replica.index();
        if self.tokens.get(replica).is_none_or(|&tokens| tokens == 0) {
            return;
        }
        // Slots are used again, so their order says nothing of depth; removal does not need it.
        let held: Vec<u32> =
            (0..self.tree.slots() as u32).filter(|&n| self.tree.holds(n, replica)).collect();
        let parents: Vec<u32> = held.iter().map(|&node| self.tree.parent(node)).collect();
        self.forget_all(&held, replica);
        for parent in parents {
            if parent != NONE && self.tree.is_alive(parent) {
                self.join(parent);
            }
        }
    }

    /// Forgets everything; the totals of [`IndexStats`] stay.
    pub fn clear(&mut self) {
        let replicas = self.tokens.len();
        self.tree = Tree::new(self.block_tokens);
        self.tree.widen(replicas);
        self.recency = self.recency.take().map(|_| Recency::default());
        self.tokens.fill(0);
    }

    // ---------------------------------------------------------------------------------------------- inspection

    /// What the index holds. O(nodes).
    #[must_use]
    pub fn stats(&self) -> IndexStats {
        let (nodes, blocks) = self.tree.size();
        IndexStats {
            nodes,
            blocks,
            tokens_per_replica: self.tokens.clone(),
            evicted_tokens: self.evicted_tokens,
            collisions: self.collisions,
        }
    }

    /// Checks every invariant of the structure: links, tags, recency lists, token counts. For tests; slow.
    ///
    /// # Errors
    /// The first one that is broken, in words.
    pub fn check(&self) -> Result<(), String> {
        self.tree.check()?;
        let mut tokens = vec![0; self.tokens.len()];
        for node in 0..self.tree.slots() as u32 {
            for replica in self.tree.replicas(node) {
                tokens[replica] += self.tree.tokens(node);
            }
            if let Some(recency) = &self.recency
                && recency.entries_of(node) != self.tree.holders(node)
            {
                return Err(format!("node {node}: as many recency entries as holders expected"));
            }
        }
        if tokens != self.tokens {
            return Err(format!("counted {:?} tokens, found {tokens:?}", self.tokens));
        }
        if let Some(over) = self.tokens.iter().position(|&tokens| tokens > self.capacity) {
            return Err(format!("replica {over} is over its bound of {}", self.capacity));
        }
        self.check_recency()
    }

    fn check_recency(&self) -> Result<(), String> {
        let Some(recency) = &self.recency else { return Ok(()) };
        for replica in 0..self.tokens.len() {
            let nodes = recency.walk(replica)?;
            let mut place = vec![usize::MAX; self.tree.slots()];
            for (at, &node) in nodes.iter().enumerate() {
                place[node as usize] = at;
            }
            for node in 0..self.tree.slots() as u32 {
                if self.tree.holds(node, replica) != (place[node as usize] != usize::MAX) {
                    return Err(format!("node {node}, replica {replica}: held, or in the list?"));
                }
                let parent = if self.tree.is_alive(node) { self.tree.parent(node) } else { NONE };
                if self.tree.holds(node, replica)
                    && parent != NONE
                    && place[parent as usize] >= place[node as usize]
                {
                    return Err(format!("node {node} is newer than its parent {parent}"));
                }
            }
        }
        Ok(())
    }
}

/// Writes `depth` for every replica whose bit is set.
#[inline]
fn write(cached: &mut [u64], word: usize, mut bits: u64, depth: u64) {
    while bits != 0 {
        if let Some(cached) = cached.get_mut(word * WORD + bits.trailing_zeros() as usize) {
            *cached = depth;
        }
        bits &= bits - 1;
    }
}
