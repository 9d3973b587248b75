//! Dispatched requests: what each still owes its replica's counters and the prefix index.
//!
//! A request passes four stages (dispatched, headers, first token, ended) and is told of each at most once. Servers
//! need not send them apart, and messages about one request can cross (a client hangs up while the last token is on
//! its way), so a later stage implies the ones before it, and news of a stage already passed is counted and ignored.

use gorgo_types::{BlockChain, ReplicaId};

/// A dispatched request's handle, valid until the request has ended. Later calls find it without hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    slot: u32,
    generation: u32,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Dispatched,
    Headers,
    FirstToken,
    Ended,
}

/// What a dispatched request adds to its replica's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedTokens {
    /// Of its prompt.
    pub(crate) all: u64,
    /// Of these, those that the index did not believe to be cached there when it was sent.
    pub(crate) uncached: u64,
}

/// A dispatched request.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) stage: Stage,
    pub(crate) replica: ReplicaId,
    /// Which life of the replica's id it was sent to: a removed and added replica starts from zero.
    pub(crate) life: u32,
    pub(crate) tokens: QueuedTokens,
    /// Still counted in the replica's load.
    pub(crate) counted: bool,
    /// It came out of the queue, which is served one at a time.
    pub(crate) holds_queue: bool,
    /// Still to be learned; taken when it is, or when it never will be.
    pub(crate) prompt: Option<BlockChain>,
}

impl Ticket {
    /// Its place in tables of dispatched requests: used again once the request has ended.
    pub(crate) const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// In a cache line of its own: when its request's first token comes, the slot has not been looked at for long.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    generation: u32,
    request: Option<InFlight>,
}

/// All dispatched requests, in slots that are used again.
#[derive(Debug, Default)]
pub(crate) struct InFlights {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl InFlights {
    pub(crate) fn insert(&mut self, request: InFlight) -> Ticket {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 requests in flight")
        });
        let place = &mut self.slots[slot as usize];
        place.request = Some(request);
        Ticket { slot, generation: place.generation }
    }

    /// Moves a request on to `stage`; `None` where it is there already, or has ended.
    pub(crate) fn advance(&mut self, ticket: Ticket, stage: Stage) -> Option<&mut InFlight> {
        let place = self.slots.get_mut(ticket.slot as usize)?;
        if place.generation != ticket.generation {
            return None;
        }
        let request = place.request.as_mut().filter(|request| request.stage < stage)?;
        request.stage = stage;
        Some(request)
    }

    /// Ends a request; `None` where it has ended already.
    pub(crate) fn end(&mut self, ticket: Ticket) -> Option<InFlight> {
        let place = self.slots.get_mut(ticket.slot as usize)?;
        if place.generation != ticket.generation {
            return None;
        }
        let mut request = place.request.take()?;
        request.stage = Stage::Ended;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(ticket.slot);
        Some(request)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> InFlight {
        InFlight {
            stage: Stage::Dispatched,
            replica: ReplicaId(0),
            life: 0,
            tokens: QueuedTokens { all: 1, uncached: 1 },
            counted: true,
            holds_queue: false,
            prompt: None,
        }
    }

    #[test]
    fn stages_pass_once_and_in_order() {
        let mut flights = InFlights::default();
        let ticket = flights.insert(request());
        assert!(flights.advance(ticket, Stage::FirstToken).is_some());
        assert!(flights.advance(ticket, Stage::Headers).is_none(), "implied by the first token");
        assert!(flights.advance(ticket, Stage::FirstToken).is_none());
        assert!(flights.end(ticket).is_some() && flights.end(ticket).is_none());
        assert!(flights.advance(ticket, Stage::FirstToken).is_none());
    }

    #[test]
    fn an_old_ticket_does_not_reach_the_slots_next_request() {
        let mut flights = InFlights::default();
        let old = flights.insert(request());
        assert!(flights.end(old).is_some());
        let new = flights.insert(request());
        assert_ne!(old, new);
        assert!(flights.end(old).is_none());
        assert_eq!(flights.len(), 1);
        assert!(flights.end(new).is_some());
        assert_eq!(flights.len(), 0);
    }
}
