//! A link and what travels over it: which round trip applies, and when something that is sent now arrives. Relays
//! (`relay.rs`) and the device (`tun.rs`) have it in common, so both draw the same.

use crate::clock::Clock;
use crate::options::SetUp;
use gorgo_model::network::{Connect, Traffic};
use gorgo_model::{Network, halves};
use gorgo_random::Key;
use gorgo_types::{Nanos, RegionId};
use std::sync::Arc;

/// From the client to the server.
pub(crate) const OUT: usize = 0;
/// From the server to the client.
pub(crate) const BACK: usize = 1;

/// A link from a router's region to a replica.
#[derive(Clone)]
pub(crate) struct Line {
    pub from: RegionId,
    pub to: RegionId,
    pub network: Arc<Network>,
    pub connect: Option<Connect>,
    /// The link's key.
    pub key: Key,
    pub clock: Clock,
}

impl Line {
    fn rtt(&self, connection: u64, exchange: u64, now: Nanos) -> Nanos {
        let draw = self.key.word(connection).word(exchange).draw();
        let at = self.clock.in_scenario(now);
        self.network.rtt_at(self.from, self.to, at, Traffic::Requests, draw)
    }

    /// How long a message waits because the link is cut.
    pub fn held_back(&self, sent: Nanos, rtt: Nanos, direction: usize) -> Nanos {
        let at = self.clock.in_scenario(sent);
        let (from, to) =
            if direction == BACK { (self.to, self.from) } else { (self.from, self.to) };
        self.network.passes(from, to, at, rtt).saturating_sub(at)
    }

    /// What a new connection costs before its first byte.
    pub fn set_up(&self, by: SetUp, rtt: Nanos) -> Nanos {
        match by {
            SetUp::Wan => rtt,
            SetUp::Scenario => self.connect.map_or(Nanos::ZERO, |connect| connect.set_up(rtt)),
        }
    }

    /// How long the link takes to send so many bytes.
    fn carry(&self, bytes: usize) -> Nanos {
        self.network.bandwidth(self.from, self.to).map_or(Nanos::ZERO, |bits| {
            // A float to u64 saturates, and bandwidths are positive.
            Nanos((bytes as f64 * 8e9 / bits) as u64)
        })
    }
}

/// A connection's exchanges: what a client sends and what the server answers. The first byte from the client after one from
/// the server begins a new one, and each has one round trip, drawn by its place (link, connection, exchange).
#[derive(Debug)]
pub(crate) struct Exchanges {
    connection: u64,
    number: u64,
    rtt: Nanos,
    /// The client has sent something, and the server has answered since.
    answered: bool,
    begun: bool,
    /// When each direction is free again.
    sent: [Nanos; 2],
    arrived: [Nanos; 2],
}

impl Exchanges {
    /// Those of the link's connection of this number.
    pub fn new(line: &Line, connection: u64, now: Nanos) -> Self {
        Self {
            connection,
            number: 0,
            rtt: line.rtt(connection, 0, now),
            answered: false,
            begun: false,
            sent: [Nanos::ZERO; 2],
            arrived: [Nanos::ZERO; 2],
        }
    }

    /// The round trip of the exchange under way.
    pub const fn rtt(&self) -> Nanos {
        self.rtt
    }

    /// Whether anything was said.
    pub const fn has_begun(&self) -> bool {
        self.begun
    }

    /// One side says something: the round trip that applies to it.
    pub fn says(&mut self, line: &Line, direction: usize, now: Nanos) -> Nanos {
        if direction == OUT {
            if self.begun && self.answered {
                self.number += 1;
                self.rtt = line.rtt(self.connection, self.number, now);
            }
            self.begun = true;
            self.answered = false;
        } else {
            self.answered = true;
        }
        self.rtt
    }

    /// When so many bytes arrive that are sent at a time: in their order, with the link's bandwidth, half a round trip
    /// later.
    pub fn arrival(&mut self, line: &Line, direction: usize, bytes: usize, at: Nanos) -> Nanos {
        let (out, back) = halves(self.rtt);
        let sent = at.max(self.sent[direction]).saturating_add(line.carry(bytes));
        self.sent[direction] = sent;
        let delay = if direction == OUT { out } else { back };
        let arrives = sent.saturating_add(delay).max(self.arrived[direction]);
        self.arrived[direction] = arrives;
        arrives
    }
}
