//! Requests alive in a replica, in slots that are reused.

use crate::cache::NodeId;
use crate::{Femtos, RequestKey};
use gorgo_types::{BlockChain, Nanos};

/// Index of a live request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u32);

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Arrived, still in its overhead.
    Coming,
    /// In the waiting queue, without KV.
    Waiting,
    /// In the prefill batch under way, or between two chunks.
    Prefill,
    /// In the running batch.
    Running,
}

/// One request alive.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) key: RequestKey,
    /// Ordinal of its arrival: tells a request from the next one in its slot.
    pub(super) arrival: u64,
    pub(super) place: Place,
    /// A cancel was asked for and waits for a boundary.
    pub(super) cancelled: bool,
    pub(super) prompt: BlockChain,
    pub(super) sequence: Option<BlockChain>,
    pub(super) output_tokens: u32,
    pub(super) max_tokens: u32,
    pub(super) ready: Nanos,
    /// Start of the prefill batch that first had it.
    pub(super) admitted: Nanos,
    /// Prompt tokens that the cache had then.
    pub(super) cached_tokens: u32,
    /// Tokens emitted when it last joined the running batch, or left it.
    pub(super) emitted: u32,
    /// When the last of them was emitted.
    pub(super) last_token: Femtos,
    /// Tokens whose KV prefill has computed or found, while it is in prefill.
    pub(super) computed: u32,
    /// KV tokens that are its own and not the tree's, as of joining the running batch.
    pub(super) own: u64,
    /// End of the path that it has locked, and the number of prompt blocks up to there.
    pub(super) node: NodeId,
    pub(super) node_blocks: u32,
    /// When it joined the running batch: decode steps by then, ordinal, index among the members.
    pub(super) joined_at_step: u64,
    pub(super) joined: u64,
    pub(super) member: u32,
}

impl Live {
    /// P.
    pub(super) const fn prompt_tokens(&self) -> u32 {
        // A chain's length fits 32 bits by its invariant.
        self.prompt.tokens().0 as u32
    }

    /// L = P + g: what prefill has to compute or find.
    pub(super) const fn prefill_tokens(&self) -> u32 {
        self.prompt_tokens() + self.emitted
    }

    /// min(M − g, clip): what admission sets aside for its further output.
    pub(super) fn reserve(&self, clip: u32) -> u64 {
        u64::from((self.max_tokens - self.emitted).min(clip))
    }
}

/// The requests alive.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    slots: Vec<Option<Live>>,
    vacant: Vec<Slot>,
}

impl Requests {
    pub(super) fn insert(&mut self, live: Live) -> Slot {
        if let Some(slot) = self.vacant.pop() {
            self.slots[slot.0 as usize] = Some(live);
            return slot;
        }
        let slot = Slot(u32::try_from(self.slots.len()).expect("fewer requests alive than keys"));
        self.slots.push(Some(live));
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Live {
        self.vacant.push(slot);
        self.slots[slot.0 as usize].take().expect("a request leaves once")
    }

    /// The request in `slot`, if it is still the one that arrived as number `arrival`.
    pub(super) fn get(&self, slot: Slot, arrival: u64) -> Option<&Live> {
        self.slots.get(slot.0 as usize)?.as_ref().filter(|live| live.arrival == arrival)
    }

    pub(super) fn at(&self, slot: Slot) -> &Live {
        self.slots[slot.0 as usize].as_ref().expect("a slot in use has a request")
    }

    pub(super) fn at_mut(&mut self, slot: Slot) -> &mut Live {
        self.slots[slot.0 as usize].as_mut().expect("a slot in use has a request")
    }

    /// All requests alive, in order of slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Live)> {
        let slots = (0..).map(Slot).zip(&self.slots);
        slots.filter_map(|(slot, live)| live.as_ref().map(|live| (slot, live)))
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.vacant.clear();
    }
}
