//! The agenda: what happens next, in one total order.
//!
//! Events are ordered by (time, class, sequence). The class order is written here and nowhere else. What an event
//! *does* is not known here; read `world.rs` for that.

use gorgo_types::{Nanos, ReplicaId};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What happens. The order of the variants is the order of events at one instant, and each place has its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A completed response reaches its client. First, because a closed-loop client may answer in the same instant.
    AtClient(Slot),
    /// Answers of probes reach the router. Before requests do: a router decides on all it has been told by now.
    ProbeAnswered(Slot),
    /// The first token of a response (and its headers) passes the router: it may release load and teach the index.
    FirstTokenAtRouter(Slot),
    /// The end of a response passes the router: it releases load and may let a queued request go.
    EndAtRouter(Slot),
    /// The router learns that an attempt came to nothing. After ends, before what it frees is used.
    AttemptFailed(Slot),
    /// The head of the router's queue may have waited too long. After ends, which may have freed its way.
    RouterDeadline,
    /// A request reaches the router, which decides.
    AtRouter(Slot),
    /// A replica is back after an outage: what reaches it at this instant is served.
    Up(ReplicaId),
    /// A request reaches its replica. After all decisions of the instant; before the replica moves, because a request
    /// that arrives exactly at an iteration's boundary joins it.
    AtReplica(Slot),
    /// A replica reaches an iteration boundary that the outside must hear of. The number tells stale wakes apart.
    Wake(ReplicaId, u32),
    /// A replica crashes: after all that it still did at this instant.
    Down(ReplicaId),
    /// A probe reaches a replica and reads its metrics: after the replica has moved, so that it reads the new state.
    ProbeAtReplica(Slot),
    /// The router sends the next round of probes of a kind.
    ProbeRound(Watch, u32),
    /// A sample for the timeline: last, it sees the instant as it ended.
    Sample,
}

/// What a probe is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// The round trip.
    Rtt,
    /// The replica's metrics.
    Metrics,
}

/// Index into a table of things under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u32);

impl Slot {
    /// The slot as a vector index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Event {
    /// The event's place at one instant; smaller goes first.
    const fn class(self) -> u8 {
        match self {
            Self::AtClient(_) => 0,
            Self::ProbeAnswered(_) => 2,
            Self::FirstTokenAtRouter(_) => 3,
            Self::EndAtRouter(_) => 4,
            Self::AttemptFailed(_) => 5,
            Self::RouterDeadline => 6,
            Self::AtRouter(_) => 7,
            Self::Up(_) => 8,
            Self::AtReplica(_) => 9,
            Self::Wake(..) => 10,
            Self::Down(_) => 11,
            Self::ProbeAtReplica(_) => 12,
            Self::ProbeRound(..) => 13,
            Self::Sample => 14,
        }
    }
}

/// The class of a request that its source lets go: after [`Event::AtClient`], which may have caused it. Requests are
/// not on the agenda (the source is asked), but take part in its order.
pub const SOURCE_CLASS: u8 = 1;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Time, then class, then sequence, from the top bit down: one number, so that one comparison orders two events.
    key: u128,
    event: Event,
}

impl Entry {
    const fn at(&self) -> Nanos {
        Nanos((self.key >> 64) as u64)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// Reversed: [`BinaryHeap`] gives the greatest, the agenda wants the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

/// Events to come.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

impl Agenda {
    /// Adds an event.
    pub fn push(&mut self, at: Nanos, event: Event) {
        let order = (u64::from(event.class()) << 56) | self.sequence;
        self.sequence += 1;
        self.heap.push(Entry { key: (u128::from(at.0) << 64) | u128::from(order), event });
    }

    /// Time and class of the next event.
    #[must_use]
    pub fn next(&self) -> Option<(Nanos, u8)> {
        self.heap.peek().map(|entry| (entry.at(), (entry.key >> 56) as u8))
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Nanos, Event)> {
        self.heap.pop().map(|entry| (entry.at(), entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_class_then_order_of_entry() {
        let mut agenda = Agenda::default();
        agenda.push(Nanos(5), Event::Sample);
        agenda.push(Nanos(5), Event::AtReplica(Slot(1)));
        agenda.push(Nanos(5), Event::AtReplica(Slot(0)));
        agenda.push(Nanos(5), Event::AtClient(Slot(9)));
        agenda.push(Nanos(4), Event::Sample);
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(
            order,
            [
                (Nanos(4), Event::Sample),
                (Nanos(5), Event::AtClient(Slot(9))),
                (Nanos(5), Event::AtReplica(Slot(1))),
                (Nanos(5), Event::AtReplica(Slot(0))),
                (Nanos(5), Event::Sample),
            ]
        );
    }

    /// Pushes and pops in turn, with many ties, against a sorted list.
    #[test]
    fn the_agenda_is_a_sorted_list() {
        let key = gorgo_random::Key::new(1);
        let mut agenda = Agenda::default();
        let mut sorted: Vec<(Nanos, u64)> = Vec::new();
        for step in 0..20_000_u64 {
            let draw = key.word(step).draw();
            if draw.below(5) < 3 {
                let at = Nanos(step / 50 + draw.next().below(100));
                agenda.push(at, Event::AtRouter(Slot(step as u32)));
                let place = sorted.partition_point(|&(other, _)| other <= at);
                sorted.insert(place, (at, step));
            } else if sorted.is_empty() {
                assert_eq!(agenda.pop(), None);
            } else {
                let (at, step) = sorted.remove(0);
                assert_eq!(agenda.next(), Some((at, Event::AtRouter(Slot(0)).class())));
                assert_eq!(agenda.pop(), Some((at, Event::AtRouter(Slot(step as u32)))));
            }
            assert_eq!(agenda.heap.len(), sorted.len());
        }
    }

    #[test]
    fn variant_order_is_class_order() {
        let events = [
            Event::AtClient(Slot(0)),
            Event::ProbeAnswered(Slot(0)),
            Event::FirstTokenAtRouter(Slot(0)),
            Event::EndAtRouter(Slot(0)),
            Event::AttemptFailed(Slot(0)),
            Event::RouterDeadline,
            Event::AtRouter(Slot(0)),
            Event::Up(ReplicaId(0)),
            Event::AtReplica(Slot(0)),
            Event::Wake(ReplicaId(0), 0),
            Event::Down(ReplicaId(0)),
            Event::ProbeAtReplica(Slot(0)),
            Event::ProbeRound(Watch::Rtt, 0),
            Event::Sample,
        ];
        assert!(events.is_sorted());
        assert!(events.iter().map(|event| event.class()).is_sorted());
        assert!(events.iter().all(|event| event.class() != SOURCE_CLASS));
    }
}
