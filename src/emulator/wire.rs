//! What a connection's bytes were due at, known on both of its ends.
//!
//! A socket carries bytes and no times. Where both ends are here, a relay and a replica, whoever writes also tells when
//! what it writes was due, and whoever reads learns it. So a relay counts its half of the round trip from when a token was
//! due, not from when it happened to read it, and a request has come when it was due to come; how late the machine is adds
//! up nowhere. What is late in the end was late to where it was due, all hops together.

use crate::clock::Clock;
use crate::lateness::Lateness;
use crate::line::{BACK, OUT};
use gorgo_types::Nanos;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one step: whoever panicked left it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One direction of a connection: up to which byte things were due at a time.
#[derive(Debug, Default)]
struct Marks {
    written: u64,
    read: u64,
    /// Ends of pieces, and when each was due; none: nobody knows.
    pieces: VecDeque<(u64, Option<Nanos>)>,
}

impl Marks {
    fn write(&mut self, bytes: usize, due: Option<Nanos>) {
        self.written += bytes as u64;
        self.pieces.push_back((self.written, due));
    }

    /// When the last of so many bytes was due.
    fn read(&mut self, bytes: usize) -> Option<Nanos> {
        self.read += bytes as u64;
        let mut last = None;
        while let Some(&(end, due)) = self.pieces.front() {
            last = due;
            if end > self.read {
                break;
            }
            self.pieces.pop_front();
            if end == self.read {
                break;
            }
        }
        last
    }
}

/// A connection from a relay to a replica that is served here.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    directions: [Mutex<Marks>; 2],
}

impl Wire {
    /// Before bytes are written in a direction: when they are due.
    pub fn write(&self, direction: usize, bytes: usize, due: Option<Nanos>) {
        locked(&self.directions[direction]).write(bytes, due);
    }

    /// After so many bytes were read from a direction: when the last of them was due, where the writer knew.
    pub fn read(&self, direction: usize, bytes: usize) -> Option<Nanos> {
        locked(&self.directions[direction]).read(bytes)
    }
}

/// The wires to a replica, by the address of their other end, until the replica's end has found its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wires {
    wires: Arc<Mutex<BTreeMap<SocketAddr, Arc<Wire>>>>,
}

impl Wires {
    /// The relay's end of a connection that was just opened.
    pub fn open(&self, from: SocketAddr) -> Arc<Wire> {
        let wire = Arc::<Wire>::default();
        locked(&self.wires).insert(from, Arc::clone(&wire));
        wire
    }

    /// The replica's end; none: who is there is no relay.
    pub fn find(&self, from: SocketAddr) -> Option<Arc<Wire>> {
        locked(&self.wires).remove(&from)
    }

    /// The connection has ended, found or not.
    pub fn close(&self, from: SocketAddr, wire: &Arc<Wire>) {
        let mut wires = locked(&self.wires);
        // The port may be another connection's by now.
        if wires.get(&from).is_some_and(|other| Arc::ptr_eq(other, wire)) {
            wires.remove(&from);
        }
    }
}

/// What a replica's end of a connection has to say and has heard.
pub(crate) struct Desk {
    clock: Clock,
    lateness: Arc<Lateness>,
    wires: Wires,
    peer: SocketAddr,
    state: Mutex<DeskState>,
}

#[derive(Default)]
struct DeskState {
    /// Looked for when the first byte comes: the relay writes it after it has told of the connection.
    wire: Option<Option<Arc<Wire>>>,
    /// What goes out with the next bytes.
    due: Vec<Nanos>,
    /// When the last byte that was read was due to come.
    came: Option<Nanos>,
}

impl Desk {
    /// The replica's end of a connection.
    pub fn new(clock: Clock, lateness: Arc<Lateness>, wires: Wires, peer: SocketAddr) -> Self {
        Self { clock, lateness, wires, peer, state: Mutex::default() }
    }

    /// Something that was due at a time goes out with the next bytes.
    pub fn due(&self, at: Nanos) {
        locked(&self.state).due.push(at);
    }

    /// So many bytes were read.
    pub fn read(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut state = locked(&self.state);
        let wire = state.wire.get_or_insert_with(|| self.wires.find(self.peer));
        state.came = wire.as_ref().and_then(|wire| wire.read(OUT, bytes));
    }

    /// When the last byte that was read came, or was due to where that is known.
    pub fn came(&self) -> Nanos {
        let now = self.clock.now();
        locked(&self.state).came.map_or(now, |came| came.min(now))
    }

    /// The kernel has taken `taken` of the `offered` bytes: if that is all, what was due has happened now.
    pub fn wrote(&self, offered: usize, taken: usize) {
        let mut state = locked(&self.state);
        let due = state.due.iter().max().copied();
        if let Some(Some(wire)) = &state.wire {
            wire.write(BACK, taken, due);
        }
        if taken == offered {
            let now = self.clock.now();
            state.due.drain(..).for_each(|due| self.lateness.record(due, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_learns_when_its_last_byte_was_due() {
        let mut marks = Marks::default();
        marks.write(10, Some(Nanos(1)));
        marks.write(10, None);
        marks.write(10, Some(Nanos(3)));
        assert_eq!(marks.read(4), Some(Nanos(1)));
        assert_eq!(marks.read(6), Some(Nanos(1)));
        assert_eq!(marks.read(1), None);
        // Over the end of one piece into the next.
        assert_eq!(marks.read(10), Some(Nanos(3)));
        assert_eq!(marks.read(9), Some(Nanos(3)));
        assert!(marks.pieces.is_empty());
        // Of what nobody told there is no time.
        assert_eq!(marks.read(5), None);
    }

    #[test]
    fn late_is_what_was_due_before_all_bytes_were_taken() {
        let (clock, lateness) = (Clock::start(), Arc::<Lateness>::default());
        let wires = Wires::default();
        let peer = SocketAddr::from(([127, 0, 0, 1], 4_000));
        let wire = wires.open(peer);
        let desk = Desk::new(clock.clone(), Arc::clone(&lateness), wires.clone(), peer);
        wire.write(OUT, 30, Some(Nanos(5)));
        desk.read(30);
        assert_eq!(desk.came(), Nanos(5));
        // What is due after now has not come yet.
        wire.write(OUT, 30, Some(Nanos::MAX));
        desk.read(30);
        assert!(desk.came() <= clock.now());
        desk.due(Nanos(7));
        desk.due(Nanos(9));
        desk.wrote(100, 60);
        assert_eq!(lateness.count(), 0);
        assert_eq!(wire.read(BACK, 60), Some(Nanos(9)));
        desk.wrote(40, 40);
        assert_eq!(lateness.count(), 2);
        assert_eq!(wire.read(BACK, 40), Some(Nanos(9)));
        // Found once, it is nobody else's.
        assert!(wires.find(peer).is_none());
        let other = wires.open(peer);
        wires.close(peer, &wire);
        assert!(wires.find(peer).is_some_and(|found| Arc::ptr_eq(&found, &other)));
    }
}
