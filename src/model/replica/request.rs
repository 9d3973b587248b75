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

/// No slot: there are fewer.
const NOBODY: u32 = u32::MAX;

/// The requests alive.
#[derive(Clone, Debug)]
pub struct Requests<H> {
    /// The slot of each key, [`NOBODY`] where no request of that key is alive.
    by_key: Vec<u32>,
    slots: Vec<Option<Live<H>>>,
    vacant: Vec<Slot>,
}

impl<H> Default for Requests<H> {
    fn default() -> Self {
        Self { by_key: Vec::new(), slots: Vec::new(), vacant: Vec::new() }
    }
}

impl<H> Requests<H> {
    /// A request of a key that nobody alive has.
    pub(crate) fn insert(&mut self, live: Live<H>) -> Slot {
        let key = live.key.0 as usize;
        if key >= self.by_key.len() {
            self.by_key.resize(key + 1, NOBODY);
        }
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.slots[slot.0 as usize] = Some(live);
                slot
            }
            None => {
                self.slots.push(Some(live));
                Slot(super::count(self.slots.len() - 1))
            }
        };
        self.by_key[key] = slot.0;
        slot
    }

    /// A request has left for good.
    pub(crate) fn free(&mut self, slot: Slot) {
        let place = &mut self.slots[slot.0 as usize];
        let live = place.as_ref().expect("a request leaves once");
        self.by_key[live.key.0 as usize] = NOBODY;
        *place = None;
        self.vacant.push(slot);
    }

    /// The slot of a key, if a request of it is alive.
    pub(crate) fn slot(&self, key: RequestKey) -> Option<Slot> {
        self.by_key.get(key.0 as usize).filter(|&&slot| slot != NOBODY).map(|&slot| Slot(slot))
    }

    /// Verifies that keys lead to the requests that have them, and to no others.
    pub(crate) fn check(&self) -> Result<(), String> {
        let stray = self.iter().find(|(slot, live)| self.slot(live.key) != Some(*slot));
        if let Some((_, live)) = stray {
            return Err(format!("{:?} does not lead to its request", live.key));
        }
        let named = self.by_key.iter().filter(|&&slot| slot != NOBODY).count();
        if named != self.len() {
            return Err(format!("{} requests are alive, {named} have a key", self.len()));
        }
        Ok(())
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
        self.by_key.clear();
        self.slots.clear();
        self.vacant.clear();
    }
}
