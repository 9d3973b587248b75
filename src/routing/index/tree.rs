//! The tree: nodes, their links, and which replicas hold them.
//!
//! A node is a run of blocks. Since an id stands for everything before it too, one flat map from a run's first id to
//! its node serves as every node's child table. Replicas are bits; the first 64 lie in the node itself, so that a
//! fleet of that size costs one cache line per node, further ones in a table beside.
//!
//! What is kept consistent here is the tree alone; recency and token counts are the caller's ([`super::PrefixIndex`]).

use super::run::Run;
use gorgo_types::{BlockChain, BlockId, chain::common_prefix};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// Replicas per word of bits.
pub(super) const WORD: usize = 64;

/// A node: 64 bytes on 64-bit targets, one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node {
    run: Run,
    /// The run's last id: all that has to be looked at where a prompt contains the whole run.
    last: BlockId,
    /// The first 64 replicas.
    bits: u64,
    /// Position of the run's first block in its chain.
    start: u32,
    /// Tokens from the beginning of the chain to the end of the run.
    end_tokens: u32,
    parent: u32,
    first_child: u32,
    next_sibling: u32,
    previous_sibling: u32,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Node>() == 64, "a node is one cache line");

/// One step down the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The prompt goes on in this node, and has this many of its blocks, at least one.
    Into { node: u32, common: usize },
    /// The prompt ends here, or nobody holds what comes next.
    Absent,
    /// The next id is known, but at another place: two different contents have the same id.
    Collision,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<u32>,
    by_first_id: HashMap<u64, u32, FxBuildHasher>,
    /// Words of bits per node, at least 1.
    words: usize,
    /// The words after the first, `words - 1` a node.
    more_bits: Vec<u64>,
    block_tokens: u32,
}

impl Tree {
    pub(super) fn new(block_tokens: u32) -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            by_first_id: HashMap::with_hasher(FxBuildHasher),
            words: 1,
            more_bits: Vec::new(),
            block_tokens,
        }
    }

    // ----------------------------------------------------------------------------------------------- looking

    /// Steps from `parent` (`NONE`: the beginning) to where the chain goes on at block `at`.
    #[inline]
    pub(super) fn step(&self, ids: &[BlockId], at: usize, parent: u32) -> Step {
        let Some(first) = ids.get(at) else { return Step::Absent };
        let Some(&index) = self.by_first_id.get(&first.0) else { return Step::Absent };
        let node = &self.nodes[index as usize];
        if node.parent != parent {
            return Step::Collision;
        }
        let (rest, len) = (&ids[at..], node.run.len());
        let whole = rest.len() >= len && rest[len - 1] == node.last;
        let common = if whole { len } else { common_prefix(rest, node.run.ids()) };
        Step::Into { node: index, common }
    }

    pub(super) fn len(&self, node: u32) -> usize {
        self.nodes[node as usize].run.len()
    }

    pub(super) fn parent(&self, node: u32) -> u32 {
        self.nodes[node as usize].parent
    }

    pub(super) fn first_child(&self, node: u32) -> u32 {
        self.nodes[node as usize].first_child
    }

    pub(super) fn next_sibling(&self, node: u32) -> u32 {
        self.nodes[node as usize].next_sibling
    }

    /// Tokens of the run.
    pub(super) fn tokens(&self, node: u32) -> u64 {
        let node = &self.nodes[node as usize];
        u64::from(node.end_tokens) - u64::from(node.start) * u64::from(self.block_tokens)
    }

    /// Tokens of the run's last `blocks` blocks.
    pub(super) fn tail_tokens(&self, node: u32, blocks: usize) -> u64 {
        let node = &self.nodes[node as usize];
        let kept_blocks = node.start as usize + node.run.len() - blocks;
        u64::from(node.end_tokens) - kept_blocks as u64 * u64::from(self.block_tokens)
    }

    pub(super) fn is_alive(&self, node: u32) -> bool {
        self.nodes[node as usize].run.len() > 0
    }

    /// Slots of nodes, in use or not: nodes are below this.
    pub(super) fn slots(&self) -> usize {
        self.nodes.len()
    }

    // ----------------------------------------------------------------------------------------------- replicas

    pub(super) const fn words(&self) -> usize {
        self.words
    }

    #[inline]
    pub(super) fn word(&self, node: u32, word: usize) -> u64 {
        if word == 0 {
            self.nodes[node as usize].bits
        } else {
            self.more_bits[node as usize * (self.words - 1) + word - 1]
        }
    }

    fn word_mut(&mut self, node: u32, word: usize) -> &mut u64 {
        if word == 0 {
            &mut self.nodes[node as usize].bits
        } else {
            &mut self.more_bits[node as usize * (self.words - 1) + word - 1]
        }
    }

    /// Makes room for replica ids below `replicas`.
    pub(super) fn widen(&mut self, replicas: usize) {
        let words = replicas.div_ceil(WORD).max(1);
        if words <= self.words {
            return;
        }
        let mut wider = vec![0; self.nodes.len() * (words - 1)];
        if self.words > 1 {
            let rows = self.more_bits.chunks_exact(self.words - 1);
            for (to, from) in wider.chunks_exact_mut(words - 1).zip(rows) {
                to[..from.len()].copy_from_slice(from);
            }
        }
        (self.words, self.more_bits) = (words, wider);
    }

    pub(super) fn holds(&self, node: u32, replica: usize) -> bool {
        replica < self.words * WORD
            && self.word(node, replica / WORD) & (1 << (replica % WORD)) != 0
    }

    pub(super) fn set(&mut self, node: u32, replica: usize) {
        *self.word_mut(node, replica / WORD) |= 1 << (replica % WORD);
    }

    pub(super) fn clear(&mut self, node: u32, replica: usize) {
        *self.word_mut(node, replica / WORD) &= !(1 << (replica % WORD));
    }

    /// How many replicas with smaller ids hold the node.
    pub(super) fn rank(&self, node: u32, replica: usize) -> usize {
        let (whole, bit) = (replica / WORD, replica % WORD);
        let before: u32 = (0..whole).map(|word| self.word(node, word).count_ones()).sum();
        (before + (self.word(node, whole) & ((1 << bit) - 1)).count_ones()) as usize
    }

    pub(super) fn holders(&self, node: u32) -> usize {
        (0..self.words).map(|word| self.word(node, word).count_ones() as usize).sum()
    }

    fn same_holders(&self, a: u32, b: u32) -> bool {
        (0..self.words).all(|word| self.word(a, word) == self.word(b, word))
    }

    /// The replicas that hold the node, in the order of ids.
    pub(super) fn replicas(&self, node: u32) -> impl Iterator<Item = usize> + '_ {
        (0..self.words).flat_map(move |word| {
            let mut bits = self.word(node, word);
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(word * WORD + bit)
            })
        })
    }

    // ----------------------------------------------------------------------------------------------- changing

    /// Adds a leaf below `parent` for a chain's blocks from `start` on.
    pub(super) fn add_leaf(&mut self, parent: u32, chain: &BlockChain, start: usize) -> u32 {
        let ids = chain.ids();
        let index = self.alloc(Node {
            run: Run::of(chain, start, ids.len()),
            last: ids[ids.len() - 1],
            bits: 0,
            start: start as u32,
            // A chain counts its tokens in 32 bits.
            end_tokens: chain.tokens().get() as u32,
            parent,
            first_child: NONE,
            next_sibling: NONE,
            previous_sibling: NONE,
        });
        self.by_first_id.insert(ids[start].0, index);
        self.adopt(parent, index);
        index
    }

    /// Lengthens a leaf of whole blocks to the end of the chain that it begins; returns the tokens gained. `None`
    /// where it cannot be lengthened.
    pub(super) fn extend_leaf(&mut self, leaf: u32, chain: &BlockChain) -> Option<u64> {
        let node = &mut self.nodes[leaf as usize];
        let whole = node.end_tokens.is_multiple_of(self.block_tokens);
        if node.first_child != NONE || !whole {
            return None;
        }
        let ids = chain.ids();
        node.run = Run::of(chain, node.start as usize, ids.len());
        node.last = ids[ids.len() - 1];
        let before = std::mem::replace(&mut node.end_tokens, chain.tokens().get() as u32);
        Some(u64::from(node.end_tokens - before))
    }

    /// Drops the last `blocks` blocks of a leaf, at least one and fewer than all.
    pub(super) fn shorten_leaf(&mut self, leaf: u32, blocks: usize) {
        let block_tokens = self.block_tokens;
        let node = &mut self.nodes[leaf as usize];
        let len = node.run.len() - blocks;
        node.run.truncate(len);
        node.last = node.run.ids()[len - 1];
        node.end_tokens = (node.start + len as u32) * block_tokens;
    }

    /// Splits a node after `at` of its blocks, at least one and fewer than all. The node becomes the lower part; the
    /// upper part is new, and held by the same replicas. `None` where the lower part's first id collides.
    pub(super) fn split(&mut self, node: u32, at: usize) -> Option<u32> {
        let lower = &mut self.nodes[node as usize];
        let (first, second) = (lower.run.ids()[0], lower.run.ids()[at]);
        if self.by_first_id.contains_key(&second.0) {
            return None;
        }
        let lower_run = lower.run.split_off(at);
        let upper_run = std::mem::replace(&mut lower.run, lower_run);
        let (start, parent, bits) = (lower.start, lower.parent, lower.bits);
        lower.start += at as u32;
        let upper = self.alloc(Node {
            last: upper_run.ids()[at - 1],
            run: upper_run,
            bits,
            start,
            end_tokens: (start + at as u32) * self.block_tokens,
            parent,
            first_child: node,
            next_sibling: NONE,
            previous_sibling: NONE,
        });
        for word in 1..self.words {
            *self.word_mut(upper, word) = self.word(node, word);
        }
        self.replace_child(node, upper);
        self.nodes[node as usize].parent = upper;
        self.by_first_id.insert(first.0, upper);
        self.by_first_id.insert(second.0, node);
        Some(upper)
    }

    /// The only child of `upper`, where the two could be one node: held by the same replicas.
    pub(super) fn mergeable_child(&self, upper: u32) -> Option<u32> {
        let child = self.nodes[upper as usize].first_child;
        let only = child != NONE && self.nodes[child as usize].next_sibling == NONE;
        (only && self.same_holders(upper, child)).then_some(child)
    }

    /// Joins `upper` to its only child, which stands for both from now on; `upper` is free.
    pub(super) fn merge(&mut self, upper: u32, child: u32) {
        let first = self.nodes[upper as usize].run.ids()[0];
        let second = self.nodes[child as usize].run.ids()[0];
        let run = Run::join(&self.nodes[upper as usize].run, &self.nodes[child as usize].run);
        let (start, parent) = (self.nodes[upper as usize].start, self.nodes[upper as usize].parent);
        self.replace_child(upper, child);
        let node = &mut self.nodes[child as usize];
        (node.run, node.start, node.parent) = (run, start, parent);
        self.by_first_id.remove(&second.0);
        self.by_first_id.insert(first.0, child);
        self.release(upper);
    }

    /// Removes a node. Its children, if any are left, must be removed before anything is added.
    pub(super) fn remove(&mut self, node: u32) {
        let Node { parent, next_sibling, previous_sibling, .. } = self.nodes[node as usize];
        if previous_sibling != NONE {
            self.nodes[previous_sibling as usize].next_sibling = next_sibling;
        } else if parent != NONE {
            self.nodes[parent as usize].first_child = next_sibling;
        }
        if next_sibling != NONE {
            self.nodes[next_sibling as usize].previous_sibling = previous_sibling;
        }
        let first = self.nodes[node as usize].run.ids()[0];
        self.by_first_id.remove(&first.0);
        self.release(node);
    }

    fn alloc(&mut self, node: Node) -> u32 {
        if let Some(index) = self.free.pop() {
            self.nodes[index as usize] = node;
            return index;
        }
        self.nodes.push(node);
        self.more_bits.resize(self.nodes.len() * (self.words - 1), 0);
        u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 - 1 nodes")
    }

    fn release(&mut self, node: u32) {
        let released = &mut self.nodes[node as usize];
        released.run = Run::default();
        released.bits = 0;
        for word in 1..self.words {
            *self.word_mut(node, word) = 0;
        }
        self.free.push(node);
    }

    /// Puts `child` first among the children of `parent`. Beginnings of chains have no parent and are in no list.
    fn adopt(&mut self, parent: u32, child: u32) {
        if parent == NONE {
            return;
        }
        let next = std::mem::replace(&mut self.nodes[parent as usize].first_child, child);
        self.nodes[child as usize].next_sibling = next;
        if next != NONE {
            self.nodes[next as usize].previous_sibling = child;
        }
    }

    /// Puts `new` where `old` is among its siblings, and makes `old` an only child.
    fn replace_child(&mut self, old: u32, new: u32) {
        let place = &mut self.nodes[old as usize];
        let parent = place.parent;
        let next = std::mem::replace(&mut place.next_sibling, NONE);
        let previous = std::mem::replace(&mut place.previous_sibling, NONE);
        self.nodes[new as usize].next_sibling = next;
        self.nodes[new as usize].previous_sibling = previous;
        if next != NONE {
            self.nodes[next as usize].previous_sibling = new;
        }
        if previous != NONE {
            self.nodes[previous as usize].next_sibling = new;
        } else if parent != NONE {
            self.nodes[parent as usize].first_child = new;
        }
    }

    // ----------------------------------------------------------------------------------------------- checking

    /// Nodes in use and blocks in them.
    pub(super) fn size(&self) -> (usize, u64) {
        let blocks = self.nodes.iter().map(|node| node.run.len() as u64).sum();
        (self.nodes.len() - self.free.len(), blocks)
    }

    /// Checks links, the map, and that a node's replicas hold its parent too.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut in_use = 0;
        for (index, node) in self.nodes.iter().enumerate() {
            let id = index as u32;
            if node.run.len() == 0 {
                continue;
            }
            in_use += 1;
            let wrong = |what: &str| Err(format!("node {index}: {what}"));
            if self.by_first_id.get(&node.run.ids()[0].0) != Some(&id) {
                return wrong("not in the map by its first id");
            }
            if node.run.ids().last() != Some(&node.last) {
                return wrong("its last id is not its run's");
            }
            if node.run.held() > 2 * node.run.len() {
                return wrong("holds more than twice its ids");
            }
            if self.holders(id) == 0 {
                return wrong("nobody holds it");
            }
            if node.parent == NONE {
                if node.start != 0 {
                    return wrong("has no parent and is no beginning");
                }
                continue;
            }
            let parent = &self.nodes[node.parent as usize];
            if parent.end_tokens != node.start * self.block_tokens {
                return wrong("does not start where its parent ends");
            }
            if !(0..self.words).all(|w| self.word(id, w) & !self.word(node.parent, w) == 0) {
                return wrong("held by a replica that does not hold its parent");
            }
            let mut sibling = parent.first_child;
            while sibling != id && sibling != NONE {
                sibling = self.nodes[sibling as usize].next_sibling;
            }
            if sibling == NONE {
                return wrong("not among its parent's children");
            }
        }
        if in_use != self.by_first_id.len() || in_use + self.free.len() != self.nodes.len() {
            return Err(format!("{in_use} nodes in use, {} in the map", self.by_first_id.len()));
        }
        Ok(())
    }
}
