//! Recency: for each replica, the nodes it holds in the order of use. Only bounded indexes keep it.
//!
//! Every (node, replica) pair that exists in the tree has one entry, linked into its replica's list from the newest to
//! the oldest. A touch moves a path's leaf first and its ancestors after it, so an ancestor is always newer than what
//! hangs below it, and the oldest entry of a replica is a node with nothing of that replica below.

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    node: u32,
    newer: u32,
    older: u32,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    newest: u32,
    oldest: u32,
}

/// See the module. Callers name a pair's entry by the node and the replica's rank among the node's replicas.
#[derive(Debug, Default)]
pub(super) struct Recency {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// By replica.
    ends: Vec<Ends>,
    /// By node: one entry per replica that holds it, in the order of replica ids.
    of_node: Vec<Vec<u32>>,
}

impl Recency {
    pub(super) fn reserve(&mut self, nodes: usize, replicas: usize) {
        if self.of_node.len() < nodes {
            self.of_node.resize_with(nodes, Vec::new);
        }
        if self.ends.len() < replicas {
            self.ends.resize(replicas, Ends { newest: NONE, oldest: NONE });
        }
    }

    /// The oldest node of a replica.
    pub(super) fn oldest(&self, replica: usize) -> Option<u32> {
        let oldest = self.ends.get(replica)?.oldest;
        (oldest != NONE).then(|| self.entries[oldest as usize].node)
    }

    /// Adds a pair as its replica's newest.
    pub(super) fn add_newest(&mut self, node: u32, rank: usize, replica: usize) {
        let newest = self.ends[replica].newest;
        let entry = self.alloc(node);
        self.of_node[node as usize].insert(rank, entry);
        self.link(replica, entry, newest);
    }

    /// Gives `upper` an entry for each of `lower`'s, just newer than it: `replicas` in the order of ids.
    pub(super) fn add_above(
        &mut self,
        upper: u32,
        lower: u32,
        replicas: impl Iterator<Item = usize>,
    ) {
        for (rank, replica) in replicas.enumerate() {
            let below = self.of_node[lower as usize][rank];
            let entry = self.alloc(upper);
            self.of_node[upper as usize].push(entry);
            self.link(replica, entry, below);
        }
    }

    /// Makes a pair its replica's newest.
    pub(super) fn touch(&mut self, node: u32, rank: usize, replica: usize) {
        let entry = self.of_node[node as usize][rank];
        if self.ends[replica].newest != entry {
            self.unlink(replica, entry);
            self.link(replica, entry, self.ends[replica].newest);
        }
    }

    /// Removes a pair.
    pub(super) fn remove(&mut self, node: u32, rank: usize, replica: usize) {
        let entry = self.of_node[node as usize].remove(rank);
        self.unlink(replica, entry);
        self.free.push(entry);
    }

    /// Removes all pairs of a node.
    pub(super) fn remove_node(&mut self, node: u32, replicas: impl Iterator<Item = usize>) {
        let mut entries = std::mem::take(&mut self.of_node[node as usize]);
        for (&entry, replica) in entries.iter().zip(replicas) {
            self.unlink(replica, entry);
            self.free.push(entry);
        }
        // The room is kept for the node's next use.
        entries.clear();
        self.of_node[node as usize] = entries;
    }

    /// True where, for every replica, `lower` was last used just before `upper`, with nothing between.
    pub(super) fn adjacent(&self, upper: u32, lower: u32) -> bool {
        let (upper, lower) = (&self.of_node[upper as usize], &self.of_node[lower as usize]);
        upper.iter().zip(lower).all(|(&u, &l)| self.entries[u as usize].older == l)
    }

    fn alloc(&mut self, node: u32) -> u32 {
        let entry = Entry { node, newer: NONE, older: NONE };
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = entry;
            slot
        } else {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 - 1 entries")
        }
    }

    /// Links a loose entry into a list as the next newer one of `older` (`NONE`: as the only one of an empty list).
    fn link(&mut self, replica: usize, entry: u32, older: u32) {
        let ends = &mut self.ends[replica];
        let newer = if older == NONE {
            ends.oldest = entry;
            NONE
        } else {
            std::mem::replace(&mut self.entries[older as usize].newer, entry)
        };
        if newer == NONE {
            ends.newest = entry;
        } else {
            self.entries[newer as usize].older = entry;
        }
        let linked = &mut self.entries[entry as usize];
        (linked.newer, linked.older) = (newer, older);
    }

    fn unlink(&mut self, replica: usize, entry: u32) {
        let Entry { newer, older, .. } = self.entries[entry as usize];
        let ends = &mut self.ends[replica];
        if newer == NONE {
            ends.newest = older;
        } else {
            self.entries[newer as usize].older = older;
        }
        if older == NONE {
            ends.oldest = newer;
        } else {
            self.entries[older as usize].newer = newer;
        }
    }

    /// The nodes of a replica from the newest to the oldest, with both directions of the list compared on the way.
    pub(super) fn walk(&self, replica: usize) -> Result<Vec<u32>, String> {
        let mut nodes = Vec::new();
        let Some(ends) = self.ends.get(replica) else { return Ok(nodes) };
        let (mut at, mut newer) = (ends.newest, NONE);
        while at != NONE {
            let entry = self.entries[at as usize];
            if entry.newer != newer || nodes.len() > self.entries.len() {
                return Err(format!("replica {replica}: the recency list is broken at entry {at}"));
            }
            nodes.push(entry.node);
            (newer, at) = (at, entry.older);
        }
        if ends.oldest != newer {
            return Err(format!("replica {replica}: the recency list ends elsewhere"));
        }
        Ok(nodes)
    }

    /// Entries of a node, for checks.
    pub(super) fn entries_of(&self, node: u32) -> usize {
        self.of_node.get(node as usize).map_or(0, Vec::len)
    }
}
