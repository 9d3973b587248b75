//! States of recurrent layers (SGLang: `MambaRadixCache`): where on the tree a request could go on from.
//!
//! A model with linear-attention or Mamba layers cannot be continued from any cached token, only from one at which the
//! state of those layers was kept. A kept state is a mark on the node that ends there; its age is the node's stamp. How
//! many there are is limited, and few (hundreds), so the oldest is found by looking at all of them. Without a limit
//! nothing here is ever called. The rules stand in `README.md` (*States*).

use super::{Match, NodeId, PrefixCache, narrow};
use gorgo_types::{BlockChain, BlockId};

/// The states that are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    /// How many there can be; none: the model has no such layers.
    slots: Option<usize>,
    /// At this share of the places, parts per billion, one can be gone on from; none: at all of them.
    use_ppb: Option<u32>,
    /// This share of the prompts, parts per billion, can be gone on from at their very end, when they are sent again.
    repeat_ppb: u32,
    /// Those that a match can reach: the nodes that bear the mark.
    nodes: Vec<NodeId>,
    /// When those were left that no match can reach, oldest first: the caller knows no ids for what they stand for.
    unreachable: std::collections::VecDeque<u64>,
}

impl States {
    /// As many slots, all empty.
    pub(super) fn cleared(&self) -> Self {
        let Self { slots, use_ppb, repeat_ppb, .. } = *self;
        Self { slots, use_ppb, repeat_ppb, ..Self::default() }
    }

    /// Whether a request could go on from a state at the end of this block. A block's id stands for all before it, and is
    /// mixed here, so that ids that are counted up will do.
    fn can_be_used(&self, last: BlockId) -> bool {
        self.use_ppb.is_none_or(|ppb| is_of_share(last.0.wrapping_mul(0x9e37_79b9_7f4a_7c15), ppb))
    }

    /// Whether the prompt that ends with this block can be gone on from at its end. Another mixing than the one above, so
    /// that the two do not depend on each other.
    fn can_be_repeated(&self, last: BlockId) -> bool {
        is_of_share(last.0.wrapping_mul(0xd6e8_feb8_6659_fd93), self.repeat_ppb)
    }

    /// A node that bears the mark is gone.
    pub(super) fn forget(&mut self, node: NodeId) {
        let place = self.nodes.iter().position(|&other| other == node);
        self.nodes.swap_remove(place.expect("a node with a state is on the list"));
    }
}

/// Whether mixed bits are among that share of all, parts per billion.
fn is_of_share(mixed: u64, ppb: u32) -> bool {
    u128::from(mixed >> 32) * 1_000_000_000 < u128::from(ppb) << 32
}

impl PrefixCache {
    /// An empty tree for a model with recurrent layers, of whose states `slots` are kept. None: no such layers.
    #[must_use]
    pub fn with_state_slots(slots: Option<u32>) -> Self {
        let mut cache = Self::new();
        cache.states.slots = slots.map(|slots| slots as usize);
        cache
    }

    /// The same, but that only at this share of places, parts per billion, a state can be gone on from.
    #[must_use]
    pub fn with_state_use(mut self, ppb: u32) -> Self {
        self.states.use_ppb = (ppb < 1_000_000_000).then_some(ppb);
        self
    }

    /// The same, but that this share of the prompts, parts per billion, can be gone on from at their end.
    #[must_use]
    pub const fn with_state_repeat(mut self, ppb: u32) -> Self {
        self.states.repeat_ppb = ppb;
        self
    }

    /// Whether a match must end at a kept state.
    #[must_use]
    pub const fn needs_states(&self) -> bool {
        self.states.slots.is_some()
    }

    /// Finds the longest cached prefix at whose end a state is kept that stands for at most `most` tokens, or for one more
    /// where that is the whole prompt and it is one that can be repeated. Nothing is split. The caller owes a touch, as
    /// after [`Self::find`].
    #[must_use]
    pub fn find_state(&self, chain: &BlockChain, most: u32) -> Match {
        let walk = self.walk(NodeId::ROOT, 0, chain.ids());
        let (mut at, mut blocks) = (walk.node, walk.blocks);
        if walk.inside > 0 {
            blocks -= walk.inside;
            at = self.nodes[at.index()].parent;
        }
        while at != NodeId::ROOT {
            // A run on the path may end with the partial block of another prompt, which is none of this chain's: a
            // state there stands for the middle of a block.
            let (here, run) = (&self.nodes[at.index()], &self.runs[at.index()]);
            let ends_here = blocks > 0 && run.last == chain.ids()[blocks - 1];
            let is_kept = ends_here && here.state > 0;
            if is_kept && here.state <= most && self.states.can_be_used(run.last) {
                break;
            }
            let is_whole = is_kept && here.state == most + 1 && blocks == chain.blocks();
            if is_whole && self.states.can_be_repeated(run.last) {
                break;
            }
            blocks -= run.len as usize - usize::from(!ends_here);
            at = here.parent;
        }
        Match { node: at, blocks: narrow(blocks), tokens: self.nodes[at.index()].depth }
    }

    /// A state that stands for `tokens` tokens is left at the end of `node`, which has just been touched and at which
    /// those of them end that were inserted. At the root there is none to leave.
    pub fn leave_state(&mut self, node: NodeId, tokens: u32) {
        let at = &mut self.nodes[node.index()];
        if node == NodeId::ROOT {
            return;
        }
        let is_new = at.state == 0;
        at.state = if is_new { tokens } else { at.state.min(tokens) };
        if is_new {
            self.states.nodes.push(node);
            self.drop_excess_state();
        }
    }

    /// A state is left at a place that no prompt will ever be matched to. It counts as a touch.
    pub fn leave_unreachable_state(&mut self) {
        let stamp = self.next_stamp();
        self.states.unreachable.push_back(stamp);
        self.drop_excess_state();
    }

    /// Drops the state least recently touched, the shallower one on a path, where there is one too many.
    fn drop_excess_state(&mut self) {
        let held = self.states.nodes.len() + self.states.unreachable.len();
        if self.states.slots.is_none_or(|slots| held <= slots) {
            return;
        }
        let age = |&node: &NodeId| {
            let node = &self.nodes[node.index()];
            (node.stamp, node.depth)
        };
        let oldest = (0..self.states.nodes.len()).min_by_key(|&i| age(&self.states.nodes[i]));
        let Some(place) = oldest else {
            self.states.unreachable.pop_front();
            return;
        };
        let stamp = age(&self.states.nodes[place]).0;
        if self.states.unreachable.front().is_some_and(|&left| left < stamp) {
            self.states.unreachable.pop_front();
        } else {
            let node = self.states.nodes.swap_remove(place);
            self.nodes[node.index()].state = 0;
        }
    }

    /// Verifies that marks and list agree and that no more states are kept than there is room for.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn check_states(&self, live: &[NodeId]) -> Result<(), String> {
        let mut listed = self.states.nodes.clone();
        listed.sort_unstable();
        let marked: Vec<NodeId> =
            live.iter().copied().filter(|id| self.nodes[id.index()].state > 0).collect();
        if listed != marked {
            return Err(format!("states at {marked:?}, listed {listed:?}"));
        }
        let held = narrow(listed.len() + self.states.unreachable.len());
        if held as usize > self.states.slots.unwrap_or(0) {
            return Err(format!("{held} states in {:?} slots", self.states.slots));
        }
        Ok(())
    }
}
