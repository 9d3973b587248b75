//! The list of unlocked nodes, most recently used first, shallow before deep: links only, no policy.

use super::{NodeId, PrefixCache};

impl PrefixCache {
    /// Takes a node out of the list.
    pub(super) fn unlink(&mut self, at: NodeId) {
        let (newer, older) = {
            let node = &self.nodes[at.index()];
            (node.newer, node.older)
        };
        if newer == NodeId::NONE {
            self.newest = older;
        } else {
            self.nodes[newer.index()].older = older;
        }
        if older == NodeId::NONE {
            self.oldest = newer;
        } else {
            self.nodes[older.index()].newer = newer;
        }
    }

    /// Puts a node at the newest end. A path is linked from its leaf up, so that parents come before children.
    pub(super) fn link_newest(&mut self, at: NodeId) {
        let next = self.newest;
        self.link_before(at, next);
    }

    /// Puts a node just on the newer side of `older`, or at the oldest end where that is none.
    pub(super) fn link_before(&mut self, at: NodeId, older: NodeId) {
        let newer = if older == NodeId::NONE {
            std::mem::replace(&mut self.oldest, at)
        } else {
            std::mem::replace(&mut self.nodes[older.index()].newer, at)
        };
        if newer == NodeId::NONE {
            self.newest = at;
        } else {
            self.nodes[newer.index()].older = at;
        }
        let node = &mut self.nodes[at.index()];
        node.newer = newer;
        node.older = older;
    }

    /// Puts a node where its stamp and depth belong. The search starts at the newest end, since what is unlocked
    /// without a touch was in use until now.
    pub(super) fn link_by_stamp(&mut self, at: NodeId) {
        let (stamp, depth) = {
            let node = &self.nodes[at.index()];
            (node.stamp, node.depth)
        };
        let mut older = self.newest;
        while older != NodeId::NONE {
            let node = &self.nodes[older.index()];
            if node.stamp < stamp || (node.stamp == stamp && node.depth > depth) {
                break;
            }
            older = node.older;
        }
        self.link_before(at, older);
    }
}
