//! Everything that must hold of the tree, verified at a cost.

use super::{NodeId, PrefixCache};
use gorgo_types::BlockId;

impl PrefixCache {
    /// Verifies links, counts, locks, stamps and the order of the list.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), String> {
        let mut lives = vec![true; self.nodes.len()];
        self.vacant.iter().for_each(|id| lives[id.index()] = false);
        let live: Vec<NodeId> = (1..self.nodes.len())
            .map(|index| NodeId(super::narrow(index)))
            .filter(|id| lives[id.index()])
            .collect();
        self.check_nodes(&live, &lives)?;
        self.check_sums(&live)?;
        self.check_states(&live)?;
        self.check_list(&live, &lives)
    }

    fn check_nodes(&self, live: &[NodeId], lives: &[bool]) -> Result<(), String> {
        let mut blocks: Vec<BlockId> = Vec::new();
        for &id in live {
            let (node, run) = (&self.nodes[id.index()], &self.runs[id.index()]);
            let parent = &self.nodes[node.parent.index()];
            if !lives[node.parent.index()] {
                return Err(format!("{id:?} has a parent that is gone: {:?}", node.parent));
            }
            if run.blocks().is_empty() || node.tokens == 0 {
                return Err(format!("{id:?} is empty: {node:?}"));
            }
            let ends = (run.blocks().first(), run.blocks().last());
            if ends != (Some(&run.first), Some(&run.last)) {
                return Err(format!("{id:?} has other ends than its run: {run:?}"));
            }
            if self.by_first_id.get(&run.first) != Some(&id) {
                return Err(format!("{id:?} is not the node of its first id"));
            }
            blocks.extend_from_slice(run.blocks());
            if node.depth != parent.depth + node.tokens {
                return Err(format!("{id:?}: depth {} under {}", node.depth, parent.depth));
            }
            if node.parent != NodeId::ROOT && parent.stamp < node.stamp {
                return Err(format!("{id:?} was touched after its parent {:?}", node.parent));
            }
        }
        blocks.sort_unstable();
        if let Some(twice) = blocks.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{:?} stands in two places", twice[0]));
        }
        if self.by_first_id.len() != live.len() {
            return Err(format!("{} ids lead to {} nodes", self.by_first_id.len(), live.len()));
        }
        Ok(())
    }

    fn check_sums(&self, live: &[NodeId]) -> Result<(), String> {
        let mut children = vec![0_u32; self.nodes.len()];
        let mut locks_below = vec![0_u32; self.nodes.len()];
        let (mut tokens, mut evictable) = (0, 0);
        for &id in live {
            let node = &self.nodes[id.index()];
            children[node.parent.index()] += 1;
            locks_below[node.parent.index()] += node.locks;
            tokens += u64::from(node.tokens);
            evictable += if node.locks == 0 { u64::from(node.tokens) } else { 0 };
        }
        for &id in live {
            let node = &self.nodes[id.index()];
            if node.children != children[id.index()] {
                return Err(format!("{id:?} has {} children: {node:?}", children[id.index()]));
            }
            if node.locks < locks_below[id.index()] {
                return Err(format!(
                    "{id:?} has {} locks below: {node:?}",
                    locks_below[id.index()]
                ));
            }
        }
        if self.nodes[0].children != children[0] || self.nodes[0].depth != 0 {
            return Err(format!("the root has {} children: {:?}", children[0], self.nodes[0]));
        }
        if (tokens, evictable) != (self.tokens, self.evictable) {
            let counted = (self.tokens, self.evictable);
            return Err(format!(
                "tokens, evictable: {:?}, counted {counted:?}",
                (tokens, evictable)
            ));
        }
        Ok(())
    }

    fn check_list(&self, live: &[NodeId], lives: &[bool]) -> Result<(), String> {
        let unlocked = live.iter().filter(|id| self.nodes[id.index()].locks == 0).count();
        let (mut count, mut newer, mut at) = (0, NodeId::NONE, self.newest);
        while at != NodeId::NONE {
            let node = &self.nodes[at.index()];
            if !lives[at.index()] || node.locks > 0 || node.newer != newer {
                return Err(format!("{at:?} is in the list after {newer:?}: {node:?}"));
            }
            if newer != NodeId::NONE {
                let before = &self.nodes[newer.index()];
                if (before.stamp, node.depth) <= (node.stamp, before.depth) {
                    return Err(format!("{newer:?} {before:?} stands before {at:?} {node:?}"));
                }
            }
            count += 1;
            if count > unlocked {
                return Err("the list goes round".to_owned());
            }
            (newer, at) = (at, node.older);
        }
        if (count, newer) != (unlocked, self.oldest) {
            return Err(format!("{count} nodes in the list of {unlocked}, last {newer:?}"));
        }
        Ok(())
    }
}
