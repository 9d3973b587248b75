//! The prefix tree of GORGO v1's balancers, with what it forgets.
//!
//! A compressed tree in which a replica's tag sits only on the node where one of its prompts *ends*. A node that comes
//! about because two prompts part has no tag unless a prompt ends there too, so what they share is credited to nobody once a
//! third prompt follows it; a prompt that ends or parts inside a tagged edge is credited with what it shares. Nothing is
//! ever given up. [`super::PrefixIndex`] is the index without these faults; this one is here because published numbers
//! came from it. Source: gotoni, `insertIntoGORGOTree` and `findPrefixMatches` (there over bytes, here over blocks).

use super::IndexStats;
use gorgo_types::chain::common_prefix;
use gorgo_types::{BlockChain, BlockId, ReplicaId};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

const ROOT: u32 = 0;

#[derive(Debug, Default)]
struct Node {
    /// The blocks from its parent to it.
    edge: Vec<BlockId>,
    /// Replicas of which a prompt ends here, each once, in the order they came.
    ends: Vec<ReplicaId>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct EndTaggedIndex {
    nodes: Vec<Node>,
    /// By parent and first block.
    children: HashMap<(u32, BlockId), u32, FxBuildHasher>,
    block_tokens: u32,
}

impl EndTaggedIndex {
    pub(crate) fn new(block_tokens: u32) -> Self {
        Self { nodes: vec![Node::default()], children: HashMap::default(), block_tokens }
    }

    /// Writes, for each replica id below `cached.len()`, how many leading tokens it is credited with.
    pub(crate) fn match_all(&self, chain: &BlockChain, cached: &mut [u64]) {
        cached.fill(0);
        if chain.block_tokens() != self.block_tokens {
            return;
        }
        let (mut node, mut rest, mut blocks) = (ROOT, chain.ids(), 0);
        while let Some(&child) = rest.first().and_then(|first| self.children.get(&(node, *first))) {
            let Node { edge, ends } = &self.nodes[child as usize];
            let common = common_prefix(edge, rest);
            blocks += common;
            for replica in ends {
                if let Some(cached) = cached.get_mut(replica.index()) {
                    *cached = chain.tokens_in(blocks).get();
                }
            }
            if common < edge.len() {
                return;
            }
            (node, rest) = (child, &rest[common..]);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.block_tokens);
    }

    /// A prompt of `replica` enters.
    pub(crate) fn insert(&mut self, replica: ReplicaId, chain: &BlockChain) {
        if chain.block_tokens() != self.block_tokens {
            return;
        }
        let (mut node, mut rest) = (ROOT, chain.ids());
        while let Some(&first) = rest.first() {
            let Some(&child) = self.children.get(&(node, first)) else {
                node = self.add(node, rest.to_vec());
                break;
            };
            let common = common_prefix(&self.nodes[child as usize].edge, rest);
            rest = &rest[common..];
            node = if common < self.nodes[child as usize].edge.len() {
                self.split(node, child, common)
            } else {
                child
            };
        }
        let ends = &mut self.nodes[node as usize].ends;
        if !ends.contains(&replica) {
            ends.push(replica);
        }
    }

    fn add(&mut self, parent: u32, edge: Vec<BlockId>) -> u32 {
        let node = u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes");
        self.children.insert((parent, edge[0]), node);
        self.nodes.push(Node { edge, ends: Vec::new() });
        node
    }

    /// Puts a node without tags `at` blocks below `parent`, on the edge to `child`.
    fn split(&mut self, parent: u32, child: u32, at: usize) -> u32 {
        let lower = self.nodes[child as usize].edge.split_off(at);
        let upper = std::mem::replace(&mut self.nodes[child as usize].edge, lower);
        let middle = self.add(parent, upper);
        self.children.insert((middle, self.nodes[child as usize].edge[0]), child);
        middle
    }

    /// Forgets a replica.
    pub(crate) fn remove_replica(&mut self, replica: ReplicaId) {
        for node in &mut self.nodes {
            node.ends.retain(|end| *end != replica);
        }
    }

    pub(crate) fn stats(&self) -> IndexStats {
        let blocks = self.nodes.iter().map(|node| node.edge.len() as u64).sum();
        IndexStats { nodes: self.nodes.len() - 1, blocks, ..IndexStats::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_types::Tokens;

    fn chain(ids: &[u64]) -> BlockChain {
        let ids: Vec<_> = ids.iter().map(|&id| BlockId(id)).collect();
        BlockChain::from_ids(ids, Tokens(16 * 4), 16).expect("a chain")
    }

    fn credit(index: &EndTaggedIndex, ids: &[u64]) -> [u64; 2] {
        let mut cached = [7; 2];
        index.match_all(&chain(ids), &mut cached);
        cached
    }

    #[test]
    fn a_part_of_a_tagged_edge_counts() {
        let mut index = EndTaggedIndex::new(16);
        index.insert(ReplicaId(0), &chain(&[1, 2, 3, 4]));
        assert_eq!(credit(&index, &[1, 2, 3, 4]), [64, 0]);
        assert_eq!(credit(&index, &[1, 2, 9, 10]), [32, 0]);
        assert_eq!(credit(&index, &[8, 2, 3, 4]), [0, 0]);
    }

    #[test]
    fn what_two_prompts_share_is_nobodys() {
        let mut index = EndTaggedIndex::new(16);
        index.insert(ReplicaId(0), &chain(&[1, 2, 3, 4]));
        index.insert(ReplicaId(1), &chain(&[1, 2, 5, 6]));
        assert_eq!(credit(&index, &[1, 2, 9, 10]), [0, 0], "the split node has no tags");
        assert_eq!(credit(&index, &[1, 2, 3, 10]), [48, 0]);
        assert_eq!(credit(&index, &[1, 2, 5, 6]), [0, 64]);
        assert_eq!(index.stats().nodes, 3);
        assert_eq!(index.stats().blocks, 6);
        index.remove_replica(ReplicaId(1));
        assert_eq!(credit(&index, &[1, 2, 5, 6]), [0, 0]);
    }

    #[test]
    fn the_deepest_end_on_the_path_counts() {
        let mut index = EndTaggedIndex::new(16);
        index.insert(ReplicaId(0), &chain(&[1, 2, 3, 4]));
        index.insert(ReplicaId(1), &chain(&[1, 2, 3, 5]));
        index.insert(ReplicaId(0), &chain(&[1, 2, 3, 5]));
        assert_eq!(credit(&index, &[1, 2, 3, 5]), [64, 64]);
        assert_eq!(credit(&index, &[1, 2, 3, 4]), [64, 0]);
    }
}
