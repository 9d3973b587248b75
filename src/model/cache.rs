//! The prefix cache of one replica: a radix tree over block chains with locks and LRU eviction (SGLang: `RadixCache`).
//!
//! A node is a run of blocks: a range of the ids of the chain that brought it, shared and not copied. A [`BlockId`]
//! names all that stands before it, so one flat map from a run's first id to its node serves as every node's child
//! table, and a run is compared by bisection; nothing here works block by block.
//!
//! Eviction takes the least recently touched unlocked leaf. A touch stamps a whole path, so a parent is never older
//! than its child, and a lock holds a whole path, so below an unlocked node all is unlocked. Keeping the unlocked
//! nodes in one list by (newest stamp first, shallow before deep) therefore makes its last one always the leaf to
//! evict, and no heap is needed. What is unlocked joins it again: at the newest end after a touch, else at the place
//! that its stamp says.
//!
//! Tokens are the tree's only size; who pays for them is the replica's affair ([`crate::replica`]).

mod check;
mod journal;
mod list;
mod state;
#[cfg(test)]
mod tests;

pub use journal::CacheChange;

use gorgo_types::chain::common_prefix;
use gorgo_types::{BlockChain, BlockId};
use hashbrown::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// A node of the tree. Stays valid while it is locked; a split leaves it at the lower end of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// The root: the empty prefix. It holds nothing, is never locked and never evicted.
    pub const ROOT: Self = Self(0);
    /// No node: the end of the list.
    const NONE: Self = Self(u32::MAX);

    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a walk over the tree needs of a node.
#[derive(Clone, Debug)]
struct Node {
    /// Number of the last touch of its path.
    stamp: u64,
    /// Tokens from the root to its end.
    depth: u32,
    /// Tokens of its own run.
    tokens: u32,
    parent: NodeId,
    /// Locks on it and below it.
    locks: u32,
    children: u32,
    /// The tokens that the state of recurrent layers kept at its end stands for: all of its own, and fewer than a block
    /// more. 0: none is kept.
    state: u32,
    /// Neighbours in the list of unlocked nodes.
    newer: NodeId,
    older: NodeId,
}

/// The blocks of a node: `ids[start..start + len]`. Vacant nodes have no ids.
///
/// Its first and last id stand here once more: they are all that most look-ups need, and the ids themselves have left
/// the processor's caches long ago.
#[derive(Clone, Debug)]
struct Run {
    ids: Option<Arc<[BlockId]>>,
    start: u32,
    len: u32,
    first: BlockId,
    last: BlockId,
}

impl Run {
    const NONE: Self = Self { ids: None, start: 0, len: 0, first: BlockId(0), last: BlockId(0) };

    fn blocks(&self) -> &[BlockId] {
        let ids = self.ids.as_deref().unwrap_or_default();
        &ids[self.start as usize..self.start as usize + self.len as usize]
    }

    /// A run of a chain. It shares the chain's ids, unless it is so small a part of them that keeping them all alive
    /// would hold more than [`Self::MOST_SHARED`] times what it needs.
    fn of(chain: &BlockChain, from: usize, to: usize) -> Self {
        let len = to - from;
        let (first, last) = (chain.ids()[from], chain.ids()[to - 1]);
        if len * Self::MOST_SHARED < chain.blocks() {
            let ids: Arc<[BlockId]> = chain.ids()[from..to].into();
            return Self { ids: Some(ids), start: 0, len: narrow(len), first, last };
        }
        let ids = Arc::clone(chain.shared_ids());
        Self { ids: Some(ids), start: narrow(from), len: narrow(len), first, last }
    }

    const MOST_SHARED: usize = 16;

    /// How many of its first blocks `ids` starts with.
    fn common(&self, ids: &[BlockId]) -> usize {
        let len = self.len as usize;
        if ids.get(len - 1) == Some(&self.last) { len } else { common_prefix(ids, self.blocks()) }
    }

    /// Both parts of the run, cut after `keep` blocks.
    fn split(&self, keep: usize) -> (Self, Self) {
        let blocks = self.blocks();
        let (end, begin) = (blocks[keep - 1], blocks[keep]);
        let keep = narrow(keep);
        let upper = Self { len: keep, last: end, ..self.clone() };
        let lower =
            Self { start: self.start + keep, len: self.len - keep, first: begin, ..self.clone() };
        (upper, lower)
    }
}

/// Block ids are well mixed already: they are their own hash.
#[derive(Clone, Copy, Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

/// The longest cached prefix of a chain. It ends at the end of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The deepest node of the path.
    pub node: NodeId,
    /// How many blocks of the chain matched.
    pub blocks: u32,
    /// How many tokens that is.
    pub tokens: u32,
}

/// What an insertion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insertion {
    /// The deepest node of the inserted path.
    pub node: NodeId,
    /// Tokens that the tree did not have.
    pub added_tokens: u64,
}

/// A radix tree over block chains of one block size.
#[derive(Clone, Debug)]
pub struct PrefixCache {
    nodes: Vec<Node>,
    runs: Vec<Run>,
    vacant: Vec<NodeId>,
    by_first_id: HashMap<BlockId, NodeId, BuildHasherDefault<IdHasher>>,
    /// Ends of the list of unlocked nodes.
    newest: NodeId,
    oldest: NodeId,
    /// Number of the last touch.
    stamp: u64,
    tokens: u64,
    evictable: u64,
    states: state::States,
    /// What has changed, where somebody wants to know.
    journal: Option<Box<journal::Journal>>,
}

/// Where a walk along a chain ended.
struct Walk {
    node: NodeId,
    /// Blocks of the chain that were found.
    blocks: usize,
    /// How many blocks of `node`'s run were found, where that is not all of them; else 0.
    inside: usize,
}

impl Default for PrefixCache {
    fn default() -> Self {
        Self::new()
    }
}

impl PrefixCache {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        let root = Node {
            stamp: 0,
            depth: 0,
            tokens: 0,
            parent: NodeId::ROOT,
            locks: 0,
            children: 0,
            state: 0,
            newer: NodeId::NONE,
            older: NodeId::NONE,
        };
        Self {
            nodes: vec![root],
            runs: vec![Run::NONE],
            vacant: Vec::new(),
            by_first_id: HashMap::default(),
            newest: NodeId::NONE,
            oldest: NodeId::NONE,
            stamp: 0,
            tokens: 0,
            evictable: 0,
            states: state::States::default(),
            journal: None,
        }
    }

    /// Tokens in the tree.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Tokens of unlocked nodes.
    #[must_use]
    pub const fn evictable_tokens(&self) -> u64 {
        self.evictable
    }

    /// Number of nodes, the root not counted.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len() - 1 - self.vacant.len()
    }

    /// Tokens from the root to the end of `node`.
    #[must_use]
    pub fn depth(&self, node: NodeId) -> u64 {
        u64::from(self.nodes[node.index()].depth)
    }

    /// How many tokens of a chain are cached. Changes nothing.
    #[must_use]
    pub fn peek_tokens(&self, chain: &BlockChain) -> u64 {
        let walk = self.walk(NodeId::ROOT, 0, chain.ids());
        chain.tokens_in(walk.blocks).0
    }

    /// Finds the longest cached prefix, splitting the run in which it ends. The caller owes a [`Self::touch`] or a
    /// [`Self::touch_and_lock`], for a match is a touch.
    pub fn find(&mut self, chain: &BlockChain) -> Match {
        let walk = self.walk(NodeId::ROOT, 0, chain.ids());
        let node = self.cut(&walk, chain);
        Match { node, blocks: narrow(walk.blocks), tokens: self.nodes[node.index()].depth }
    }

    /// Tokens on the path to `node` that no lock holds: they form the lower end of the path.
    #[must_use]
    pub fn unlocked_tokens(&self, node: NodeId) -> u64 {
        let mut sum = 0;
        let mut at = node;
        while at != NodeId::ROOT {
            let here = &self.nodes[at.index()];
            if here.locks > 0 {
                break;
            }
            sum += u64::from(here.tokens);
            at = here.parent;
        }
        sum
    }

    /// Makes the path to `node` the most recently used one.
    pub fn touch(&mut self, node: NodeId) {
        let stamp = self.next_stamp();
        let mut at = node;
        while at != NodeId::ROOT {
            let here = &mut self.nodes[at.index()];
            here.stamp = stamp;
            let (unlocked, parent) = (here.locks == 0, here.parent);
            if unlocked {
                self.unlink(at);
                self.link_newest(at);
            }
            at = parent;
        }
    }

    /// Touches the path to `node` and locks it against eviction. [`Self::release`] or [`Self::unlock`] undoes it.
    pub fn touch_and_lock(&mut self, node: NodeId) {
        let stamp = self.next_stamp();
        let mut at = node;
        while at != NodeId::ROOT {
            self.nodes[at.index()].stamp = stamp;
            self.add_lock(at);
            at = self.nodes[at.index()].parent;
        }
    }

    /// Inserts the first `to` blocks of a chain below `held`, the locked node at which its first `blocks` blocks end
    /// (or [`NodeId::ROOT`] and 0), touches the path and moves the lock to its end.
    pub fn insert_and_lock(
        &mut self,
        held: NodeId,
        blocks: u32,
        chain: &BlockChain,
        to: usize,
    ) -> Insertion {
        let inserted = self.extend(held, blocks as usize, chain, to);
        let stamp = self.next_stamp();
        let mut above = false;
        let mut at = inserted.node;
        while at != NodeId::ROOT {
            above |= at == held;
            self.nodes[at.index()].stamp = stamp;
            if !above {
                self.add_lock(at);
            }
            at = self.nodes[at.index()].parent;
        }
        assert!(above || held == NodeId::ROOT, "a chain left the path that it had locked");
        inserted
    }

    /// Gives up the lock on `held` after a last touch: of `held` itself, or of the path that `last` inserts first (as
    /// [`Self::insert_and_lock`] does: blocks that end at `held`, chain, up to which block).
    pub fn release(&mut self, held: NodeId, last: Option<(u32, &BlockChain, usize)>) -> Insertion {
        let inserted = match last {
            Some((blocks, chain, to)) => self.extend(held, blocks as usize, chain, to),
            None => Insertion { node: held, added_tokens: 0 },
        };
        let stamp = self.next_stamp();
        let mut above = false;
        let mut at = inserted.node;
        while at != NodeId::ROOT {
            above |= at == held;
            let here = &mut self.nodes[at.index()];
            here.stamp = stamp;
            let parent = here.parent;
            if here.locks == 0 {
                self.unlink(at);
                self.link_newest(at);
            } else if above && self.remove_lock(at) {
                self.link_newest(at);
            }
            at = parent;
        }
        // The chain's next block was in the tree elsewhere, so the touched path is another one.
        if !above && held != NodeId::ROOT {
            self.unlock(held);
        }
        inserted
    }

    /// Gives up the lock on `held` without a touch: its path goes back to where its stamps say.
    pub fn unlock(&mut self, held: NodeId) {
        let mut at = held;
        while at != NodeId::ROOT {
            if self.remove_lock(at) {
                self.link_by_stamp(at);
            }
            at = self.nodes[at.index()].parent;
        }
    }

    /// Evicts least recently used unlocked leaves until `wanted` tokens are freed or none is left. Returns how many
    /// tokens were freed: whole nodes, so it may be more.
    pub fn evict(&mut self, wanted: u64) -> u64 {
        let mut freed = 0;
        while freed < wanted && self.oldest != NodeId::NONE {
            let leaf = self.oldest;
            self.unlink(leaf);
            freed += self.remove(leaf);
        }
        freed
    }

    /// A planted fault: evicts the most recently used leaves.
    pub(crate) fn evict_newest(&mut self, wanted: u64) -> u64 {
        let mut freed = 0;
        while freed < wanted && self.newest != NodeId::NONE {
            let mut leaf = self.newest;
            while self.nodes[leaf.index()].children > 0 {
                leaf = self.nodes[leaf.index()].older;
            }
            self.unlink(leaf);
            freed += self.remove(leaf);
        }
        freed
    }

    /// Empties the tree, locks and all.
    pub fn clear(&mut self) {
        let (states, mut journal) = (self.states.cleared(), self.journal.take());
        if let Some(journal) = &mut journal {
            journal.cleared();
        }
        *self = Self { stamp: self.stamp, states, journal, ..Self::new() };
    }

    /// Follows a chain from the end of `node`, at which its first `blocks` blocks end, as far as the tree goes.
    ///
    /// Where the walk has to stop inside a run, the next id may still start a run further down: an output that hangs
    /// below the partial last block of its prompt starts with the whole form of that block.
    fn walk(&self, node: NodeId, blocks: usize, ids: &[BlockId]) -> Walk {
        let mut walk = Walk { node, blocks, inside: 0 };
        while let Some(id) = ids.get(walk.blocks) {
            let Some(&next) = self.by_first_id.get(id) else { break };
            let run = &self.runs[next.index()];
            let common = run.common(&ids[walk.blocks..]);
            walk.node = next;
            walk.blocks += common;
            walk.inside = if common < run.len as usize { common } else { 0 };
        }
        walk
    }

    /// The node at whose end a walk ended: it is made by a split where the walk ended inside a run.
    fn cut(&mut self, walk: &Walk, chain: &BlockChain) -> NodeId {
        if walk.inside == 0 {
            return walk.node;
        }
        self.split(walk.node, walk.inside, narrow_u64(chain.tokens_in(walk.blocks).0))
    }

    /// Splits a run after `keep` blocks, which end `depth` tokens below the root. `lower` keeps its identity, for
    /// requests hold it; returned is the new upper part.
    fn split(&mut self, lower: NodeId, keep: usize, depth: u32) -> NodeId {
        let (above_run, below_run) = self.runs[lower.index()].split(keep);
        let node = self.nodes[lower.index()].clone();
        let above = node.depth - node.tokens;
        assert!(above < depth && depth < node.depth, "a split leaves tokens on both sides");
        let (first, second) = (above_run.first, below_run.first);
        let part = Node { depth, tokens: depth - above, children: 1, state: 0, ..node };
        let upper = self.allocate(part, above_run);
        let here = &mut self.nodes[lower.index()];
        here.tokens = here.depth - depth;
        here.parent = upper;
        self.runs[lower.index()] = below_run;
        self.by_first_id.insert(first, upper);
        self.by_first_id.insert(second, lower);
        if node.locks == 0 {
            self.link_before(upper, lower);
        }
        upper
    }

    /// Walks on from `node` and adds, unlocked and as the newest, what the tree lacks of the first `to` blocks.
    fn extend(&mut self, node: NodeId, blocks: usize, chain: &BlockChain, to: usize) -> Insertion {
        if to <= blocks {
            return Insertion { node, added_tokens: 0 };
        }
        let walk = self.walk(node, blocks, &chain.ids()[..to]);
        let parent = self.cut(&walk, chain);
        if walk.blocks == to {
            return Insertion { node: parent, added_tokens: 0 };
        }
        let depth = narrow_u64(chain.tokens_in(to).0);
        let tokens = depth
            .checked_sub(self.nodes[parent.index()].depth)
            .expect("a chain does not get shorter further down");
        assert!(tokens > 0, "a run has tokens");
        let fresh = Node {
            stamp: self.stamp,
            depth,
            tokens,
            parent,
            locks: 0,
            children: 0,
            state: 0,
            newer: NodeId::NONE,
            older: NodeId::NONE,
        };
        if let Some(journal) = &mut self.journal {
            journal.stored(chain, walk.blocks, to);
        }
        let added = self.allocate(fresh, Run::of(chain, walk.blocks, to));
        self.by_first_id.insert(chain.ids()[walk.blocks], added);
        self.nodes[parent.index()].children += 1;
        self.tokens += u64::from(tokens);
        self.evictable += u64::from(tokens);
        self.link_newest(added);
        Insertion { node: added, added_tokens: u64::from(tokens) }
    }

    fn allocate(&mut self, node: Node, run: Run) -> NodeId {
        if let Some(id) = self.vacant.pop() {
            self.nodes[id.index()] = node;
            self.runs[id.index()] = run;
            return id;
        }
        let id = NodeId(narrow(self.nodes.len()));
        assert!(id != NodeId::NONE, "fewer nodes than ids for them");
        self.nodes.push(node);
        self.runs.push(run);
        id
    }

    /// Removes a leaf that is out of the list already. Returns its tokens.
    fn remove(&mut self, leaf: NodeId) -> u64 {
        let node = &self.nodes[leaf.index()];
        assert!(node.children == 0 && node.locks == 0, "only unlocked leaves are evicted");
        let (tokens, parent) = (u64::from(node.tokens), node.parent);
        if node.state > 0 {
            self.nodes[leaf.index()].state = 0;
            self.states.forget(leaf);
        }
        if let Some(journal) = &mut self.journal {
            journal.removed(self.runs[leaf.index()].blocks(), self.nodes[leaf.index()].depth);
        }
        let run = std::mem::replace(&mut self.runs[leaf.index()], Run::NONE);
        let known = self.by_first_id.remove(&run.first);
        assert!(known == Some(leaf), "the map knows every node");
        self.nodes[parent.index()].children -= 1;
        self.tokens -= tokens;
        self.evictable -= tokens;
        self.vacant.push(leaf);
        tokens
    }

    const fn next_stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    fn add_lock(&mut self, at: NodeId) {
        let node = &mut self.nodes[at.index()];
        node.locks += 1;
        if node.locks == 1 {
            self.evictable -= u64::from(node.tokens);
            self.unlink(at);
        }
    }

    /// True where that was the last lock: the node then has to be linked.
    fn remove_lock(&mut self, at: NodeId) -> bool {
        let node = &mut self.nodes[at.index()];
        node.locks = node.locks.checked_sub(1).expect("a lock is given up once");
        if node.locks == 0 {
            self.evictable += u64::from(node.tokens);
        }
        node.locks == 0
    }
}

/// Block counts and node numbers stay below 2^32: a chain has at most that many tokens.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("counts of blocks and nodes fit 32 bits")
}

/// Tokens of a chain fit 32 bits by its invariant.
fn narrow_u64(tokens: u64) -> u32 {
    u32::try_from(tokens).expect("tokens of a chain fit 32 bits")
}
