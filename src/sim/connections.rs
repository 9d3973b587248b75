//! The router's connections to its replicas, where opening one costs something.

use gorgo_model::network::{ClientConnections, Connect, Pool, ProbeConnections};
use gorgo_types::{Nanos, ReplicaId};

/// One pool for each replica.
#[derive(Debug)]
pub(crate) struct Connections {
    spec: Connect,
    pools: Vec<Pool>,
}

impl Connections {
    pub fn new(spec: Connect, replicas: usize) -> Self {
        Self { spec, pools: vec![Pool::default(); replicas] }
    }

    /// A request takes a connection: the time to open it where none is idle, and what slow start adds on a new one (or
    /// on any, where idle ones start slow again).
    pub fn take(
        &mut self,
        replica: ReplicaId,
        now: Nanos,
        rtt: Nanos,
        bytes: u64,
    ) -> (Nanos, Nanos) {
        if self.pools[replica.index()].take(now, &self.spec) {
            let again = self.spec.slow_start_after_idle;
            let slow = if again { self.spec.slow_start(rtt, bytes) } else { Nanos::ZERO };
            return (Nanos::ZERO, slow);
        }
        (self.spec.set_up(rtt), self.spec.slow_start(rtt, bytes))
    }

    /// A probe takes a connection: the time to open it. (It is small: slow start does not concern it.)
    pub fn take_for_probe(&mut self, replica: ReplicaId, now: Nanos, rtt: Nanos) -> Nanos {
        let open = match self.spec.probes {
            ProbeConnections::Open => true,
            ProbeConnections::New => false,
            ProbeConnections::Pooled => self.pools[replica.index()].take(now, &self.spec),
        };
        if open { Nanos::ZERO } else { self.spec.set_up(rtt) }
    }

    /// A response has ended: its connection is idle.
    pub fn give_back(&mut self, replica: ReplicaId, now: Nanos) {
        self.pools[replica.index()].give_back(now, &self.spec);
    }

    /// A probe has been answered.
    pub fn give_back_of_probe(&mut self, replica: ReplicaId, now: Nanos) {
        if self.spec.probes == ProbeConnections::Pooled {
            self.give_back(replica, now);
        }
    }

    /// The replica is gone, and all connections to it.
    pub fn break_all(&mut self, replica: ReplicaId) {
        self.pools[replica.index()].clear();
    }

    /// The time in which a client opens its connection to the router, and what slow start adds.
    pub fn of_client(&self, rtt: Nanos, bytes: u64) -> (Nanos, Nanos) {
        match self.spec.clients {
            ClientConnections::Open => (Nanos::ZERO, Nanos::ZERO),
            ClientConnections::New => (self.spec.set_up(rtt), self.spec.slow_start(rtt, bytes)),
        }
    }
}
