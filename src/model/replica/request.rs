//! Requests alive in a replica, in slots that are reused.

use super::{GapRun, ReplicaEvent, ReplicaOutput, RequestKey, TokenRun};
use crate::Femtos;
use gorgo_types::{BlockChain, Nanos, Tokens};

/// Index of a live request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub(crate) u32);

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Arrived, still in its overhead.
    Coming,
    /// In the waiting queue, without KV.
    Waiting,
    /// In the prefill batch under way, or between two chunks.
    Prefill,
    /// In the running batch.
    Running,
}

/// One request alive. What it holds is its scheduler's affair.
#[derive(Clone, Debug)]
pub struct Live<H> {
    pub(crate) key: RequestKey,
    /// Ordinal of its arrival: tells a request from the next one in its slot.
    pub(crate) arrival: u64,
    pub(crate) place: Place,
    /// A cancel was asked for and waits for a boundary.
    pub(crate) cancelled: bool,
    pub(crate) prompt: BlockChain,
    pub(crate) sequence: Option<BlockChain>,
    pub(crate) output_tokens: u32,
    pub(crate) ready: Nanos,
    /// Start of the iteration that first computed something of it; zero before.
    pub(crate) admitted: Nanos,
    /// Prompt tokens that the cache had then.
    pub(crate) cached_tokens: u32,
    /// Tokens emitted. While a running batch counts for its members: when it last joined it, or left it.
    pub(crate) emitted: u32,
    /// When the last of them was emitted.
    pub(crate) last_token: Femtos,
    /// Tokens whose KV is there, computed or found.
    pub(crate) computed: u32,
    pub(crate) held: H,
}

impl<H> Live<H> {
    /// P.
    pub(crate) const fn prompt_tokens(&self) -> u32 {
        // A chain's length fits 32 bits by its invariant.
        self.prompt.tokens().0 as u32
    }

    /// L = P + g: prompt and what was emitted.
    pub(crate) const fn known_tokens(&self) -> u32 {
        self.prompt_tokens() + self.emitted
    }

    /// A token is out at `end`, a boundary that is `at` in nanoseconds: by itself, not as one of a run.
    pub(crate) fn emit(&mut self, at: Nanos, end: Femtos, record: bool, out: &mut ReplicaOutput) {
        let key = self.key;
        if self.emitted == 0 {
            let Self { ready, admitted, cached_tokens, .. } = *self;
            assert!(ready <= admitted && admitted <= at, "no event before its cause");
            let cached_tokens = Tokens(u64::from(cached_tokens));
            out.events.push(ReplicaEvent::FirstToken { key, at, ready, admitted, cached_tokens });
        } else {
            let first = end - self.last_token;
            out.gaps.push(GapRun { first, increment: Femtos::ZERO, steps: 1, sequences: 1 });
        }
        if record {
            let (first, increment) = (Femtos::ZERO, Femtos::ZERO);
            out.push_run(TokenRun { key, first_at: end, first, increment, steps: 1 });
        }
        self.emitted += 1;
        self.last_token = end;
    }
}

/// The requests alive.
#[derive(Clone, Debug)]
pub struct Requests<H> {
    slots: Vec<Option<Live<H>>>,
    vacant: Vec<Slot>,
}

impl<H> Default for Requests<H> {
    fn default() -> Self {
        Self { slots: Vec::new(), vacant: Vec::new() }
    }
}

impl<H> Requests<H> {
    pub(crate) fn insert(&mut self, live: Live<H>) -> Slot {
        if let Some(slot) = self.vacant.pop() {
            self.slots[slot.0 as usize] = Some(live);
            return slot;
        }
        let slot = Slot(u32::try_from(self.slots.len()).expect("fewer requests alive than keys"));
        self.slots.push(Some(live));
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Live<H> {
        self.vacant.push(slot);
        self.slots[slot.0 as usize].take().expect("a request leaves once")
    }

    /// The request in `slot`, if it is still the one that arrived as number `arrival`.
    pub(crate) fn get(&self, slot: Slot, arrival: u64) -> Option<&Live<H>> {
        self.slots.get(slot.0 as usize)?.as_ref().filter(|live| live.arrival == arrival)
    }

    pub(crate) fn at(&self, slot: Slot) -> &Live<H> {
        self.slots[slot.0 as usize].as_ref().expect("a slot in use has a request")
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut Live<H> {
        self.slots[slot.0 as usize].as_mut().expect("a slot in use has a request")
    }

    /// All requests alive, in order of slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Live<H>)> {
        let slots = (0..).map(Slot).zip(&self.slots);
        slots.filter_map(|(slot, live)| live.as_ref().map(|live| (slot, live)))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.vacant.clear();
    }
}
