//! The agenda: what happens next, in one total order.
//!
//! Events are ordered by (time, class, sequence). The class order is written here and nowhere else. What an event
//! *does* is not known here; read `world.rs` for that.
//!
//! Two events of five are wakes of replicas, and a replica has one at a time. They stand in a tree of their own
//! (`Wakes`), where a new wake takes the old one's place; everything else is in `soonest.rs`.

mod soonest;

use gorgo_types::{Nanos, ReplicaId};
use soonest::Soonest;
use std::cmp::Ordering;

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
    /// The first token of a response passes the router that had passed its request on. After the routers of the replicas'
    /// own regions, which it comes from.
    FirstTokenAtFirstRouter(Slot),
    /// The end of such a response passes it, or the refusal of the router it was passed on to.
    EndAtFirstRouter(Slot),
    /// The head of a router's queue may be offered, or have waited too long. After ends, which may have freed its way.
    RouterDeadline(u32),
    /// A request reaches the router, which decides.
    AtRouter(Slot),
    /// A router that decides on one request after the other takes the next. One that arrives at this very instant is
    /// behind those that wait.
    Turn(u32),
    /// A replica is back after an outage: what reaches it at this instant is served.
    Up(ReplicaId),
    /// A request reaches its replica. After all decisions of the instant; before the replica moves, because a request
    /// that arrives exactly at an iteration's boundary joins it.
    AtReplica(Slot),
    /// A replica reaches an iteration boundary that the outside must hear of. It takes the place of the replica's wake
    /// that was planned before, if any; the number tells an outdated one, where none took its place.
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
            Self::FirstTokenAtFirstRouter(_) => 6,
            Self::EndAtFirstRouter(_) => 7,
            Self::RouterDeadline(_) => 8,
            Self::AtRouter(_) => 9,
            Self::Turn(_) => 10,
            Self::Up(_) => 11,
            Self::AtReplica(_) => 12,
            Self::Wake(..) => 13,
            Self::Down(_) => 14,
            Self::ProbeAtReplica(_) => 15,
            Self::ProbeRound(..) => 16,
            Self::Sample => 17,
        }
    }
}

/// The class of a request that its source lets go: after [`Event::AtClient`], which may have caused it. Requests are
/// not on the agenda (the source is asked), but take part in its order.
pub const SOURCE_CLASS: u8 = 1;

/// A time and class after all events.
pub const LAST: (Nanos, u8) = (Nanos::MAX, u8::MAX);

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
    /// Reversed: a heap gives the greatest, the agenda wants the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

/// The next wake of each replica, as a knock-out tree: every node has the earlier one of each of the two below it.
#[derive(Debug)]
struct Wakes {
    /// The key of the earliest, as in [`Entry`].
    first: u128,
    /// Keys of two neighbours; nodes 2n and 2n + 1 stand below node n, the root is 1, the lower half has the replicas.
    pairs: Vec<[u128; 2]>,
    /// What tells an outdated wake, by replica.
    numbers: Vec<u32>,
    /// The replica whose wake was taken last, as long as the tree still has it: most often its next one is set at once,
    /// and one way up the tree does for both.
    taken: Option<usize>,
}

impl Default for Wakes {
    fn default() -> Self {
        Self { first: Self::NONE, pairs: Vec::new(), numbers: Vec::new(), taken: None }
    }
}

impl Wakes {
    /// No wake.
    const NONE: u128 = u128::MAX;

    #[inline(never)]
    fn set(&mut self, replica: ReplicaId, number: u32, key: u128) {
        if self.taken == Some(replica.index()) {
            self.taken = None;
        } else {
            self.settle();
        }
        if replica.index() >= self.numbers.len() {
            self.grow(replica.index() + 1);
        }
        self.numbers[replica.index()] = number;
        self.put(replica.index(), key);
    }

    /// Removes the wake that was taken last, where no other has come in its place.
    #[inline]
    fn settle(&mut self) {
        if let Some(replica) = self.taken.take() {
            self.put(replica, Self::NONE);
        }
    }

    /// Takes the earliest of a settled tree.
    fn pop(&mut self) -> (u128, Event) {
        let (key, nodes) = (self.first, self.pairs.len());
        let mut node = 1;
        while node < nodes {
            // No two keys are the same.
            node = 2 * node + usize::from(self.pairs[node][0] != key);
        }
        let replica = node - nodes;
        self.taken = Some(replica);
        (key, Event::Wake(ReplicaId(replica as u32), self.numbers[replica]))
    }

    /// Sets a replica's key, and what stands above it as far as that changes.
    fn put(&mut self, replica: usize, key: u128) {
        let (mut place, mut key) = (self.pairs.len() + replica, key);
        while place > 1 {
            let pair = &mut self.pairs[place / 2];
            let before = pair[0].min(pair[1]);
            pair[place % 2] = key;
            key = pair[0].min(pair[1]);
            if key == before {
                return;
            }
            place /= 2;
        }
        self.first = key;
    }

    fn grow(&mut self, replicas: usize) {
        // Node 0 is not used. At least one other, so that there is a root.
        let nodes = replicas.next_power_of_two().max(2);
        let old = std::mem::replace(&mut self.pairs, vec![[Self::NONE; 2]; nodes]);
        self.numbers.resize(nodes, 0);
        self.first = Self::NONE;
        for (replica, key) in old[old.len() / 2..].iter().flatten().enumerate() {
            self.put(replica, *key);
        }
    }
}

/// Events to come.
#[derive(Debug, Default)]
pub struct Agenda {
    others: Soonest,
    wakes: Wakes,
    sequence: u64,
}

impl Agenda {
    /// Adds an event.
    #[inline]
    pub fn push(&mut self, at: Nanos, event: Event) {
        let order = (u64::from(event.class()) << 56) | self.sequence;
        self.sequence += 1;
        let key = (u128::from(at.0) << 64) | u128::from(order);
        match event {
            Event::Wake(replica, number) => self.wakes.set(replica, number, key),
            _ => self.others.push(Entry { key, event }),
        }
    }

    /// The time of the next event.
    #[must_use]
    pub fn next_at(&mut self) -> Option<Nanos> {
        self.wakes.settle();
        let key = self.others.first().map_or(Wakes::NONE, |entry| entry.key).min(self.wakes.first);
        (key != Wakes::NONE).then_some(Nanos((key >> 64) as u64))
    }

    /// Whether all that is ever to come are probes and samples.
    #[must_use]
    pub fn has_watches_alone(&mut self) -> bool {
        self.wakes.settle();
        self.wakes.first == Wakes::NONE
            && self.others.iter().all(|entry| {
                let never = entry.at() == Nanos::MAX;
                never
                    || matches!(
                        entry.event,
                        Event::ProbeAnswered(_)
                            | Event::ProbeAtReplica(_)
                            | Event::ProbeRound(..)
                            | Event::Sample
                    )
            })
    }

    /// Takes the next event, if its time and class come before these.
    #[inline]
    pub fn pop_before(&mut self, (at, class): (Nanos, u8)) -> Option<(Nanos, Event)> {
        self.wakes.settle();
        let bound = (u128::from(at.0) << 64) | (u128::from(class) << 56);
        let wake = self.wakes.first;
        let first = self.others.first().map_or(Wakes::NONE, |entry| entry.key);
        if first.min(wake) >= bound {
            return None;
        }
        if first < wake {
            return self.others.pop().map(|entry| (entry.at(), entry.event));
        }
        let (key, event) = self.wakes.pop();
        Some((Nanos((key >> 64) as u64), event))
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
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop_before(LAST)).collect();
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
                assert_eq!(agenda.pop_before(LAST), None);
            } else {
                let (at, step) = sorted.remove(0);
                let event = Event::AtRouter(Slot(step as u32));
                assert_eq!(agenda.next_at(), Some(at));
                assert_eq!(agenda.pop_before((at, event.class())), None, "at its own place");
                assert_eq!(agenda.pop_before((at, event.class() + 1)), Some((at, event)));
            }
            assert_eq!(agenda.others.iter().count(), sorted.len());
        }
    }

    /// Wakes among other events, replaced and taken in turn, against a list of what is next for each replica.
    #[test]
    fn a_replica_has_one_wake_at_a_time() {
        let key = gorgo_random::Key::new(2);
        let mut agenda = Agenda::default();
        let mut planned: Vec<(Nanos, u8, u64, Event)> = Vec::new();
        for step in 0..20_000_u64 {
            let draw = key.word(step).draw();
            // One replica after the other comes into use.
            let replica = ReplicaId(draw.next().below(1 + step / 500) as u32);
            let at = Nanos(step / 50 + draw.next().next().below(60));
            match draw.below(5) {
                0..2 => {
                    let event = Event::Wake(replica, step as u32);
                    agenda.push(at, event);
                    planned.retain(
                        |entry| !matches!(entry.3, Event::Wake(other, _) if other == replica),
                    );
                    planned.push((at, event.class(), step, event));
                }
                2 => {
                    let event = Event::AtRouter(Slot(step as u32));
                    agenda.push(at, event);
                    planned.push((at, event.class(), step, event));
                }
                _ => {
                    planned.sort();
                    let next = (!planned.is_empty()).then(|| planned.remove(0));
                    assert_eq!(agenda.next_at(), next.map(|(at, ..)| at));
                    assert_eq!(agenda.pop_before(LAST), next.map(|(at, .., event)| (at, event)));
                }
            }
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
            Event::FirstTokenAtFirstRouter(Slot(0)),
            Event::EndAtFirstRouter(Slot(0)),
            Event::RouterDeadline(0),
            Event::AtRouter(Slot(0)),
            Event::Turn(0),
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
