//! Connections: what opening one costs, and which requests need not open one.
//!
//! A connection carries one request at a time (HTTP/1.1) and goes back to its pool when the response has ended; the most
//! recently used one is taken first, as Go's, hyper's and aiohttp's pools do. Who takes and gives back, and when, is the
//! simulator's business. Processor time of the handshake, session resumption and HTTP/2 are not modelled.

use super::invalid;
use crate::ModelError;
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How a probe of the router reaches its replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeConnections {
    /// Over a connection of its own that is always open: it pays nothing.
    #[default]
    Open,
    /// Over one of the pool that the requests use: it pays where none is idle.
    Pooled,
    /// Over a new one each time.
    New,
}

/// How a client reaches the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientConnections {
    /// Over a connection that is always open: it pays nothing.
    #[default]
    Open,
    /// Over a new one for each request.
    New,
}

/// What opening a connection costs and how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Round trips before the first byte of TLS can be sent: 1 (RFC 9293).
    pub tcp_round_trips: u32,
    /// Round trips of the TLS handshake: 1 in TLS 1.3 (RFC 8446), 2 in TLS 1.2, 0 without TLS.
    pub tls_round_trips: u32,
    /// How long an idle connection lives. The shorter of both ends' limits counts; the default, 5 s, is uvicorn's,
    /// behind which SGLang and vLLM serve.
    pub keep_alive: Nanos,
    /// Idle connections kept to each replica; none: no limit.
    pub pool_size: Option<u32>,
    /// Bytes that a new connection may send before the first acknowledgement, from where its window doubles each round
    /// trip (slow start); none: no limit. Linux starts with 10 segments (RFC 6928), 14,600 bytes.
    pub initial_window_bytes: Option<u64>,
    /// Does an idle connection start slow again too (RFC 5681, 4.1; Linux: `tcp_slow_start_after_idle`, on by default)?
    /// It does after a retransmission time-out without sending, which is shorter than an answer takes: so every request
    /// pays.
    pub slow_start_after_idle: bool,
    /// How probes travel.
    pub probes: ProbeConnections,
    /// How clients travel.
    pub clients: ClientConnections,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            tcp_round_trips: 1,
            tls_round_trips: 1,
            keep_alive: Nanos::from_secs(5),
            pool_size: None,
            initial_window_bytes: None,
            slow_start_after_idle: false,
            probes: ProbeConnections::Open,
            clients: ClientConnections::Open,
        }
    }
}

/// More round trips than any handshake has.
const MOST_ROUND_TRIPS: u32 = 10;

impl Connect {
    /// # Errors
    /// [`ModelError::Invalid`] for a handshake of more than ten round trips, or a window of nothing.
    pub fn validate(&self) -> Result<(), ModelError> {
        for (field, trips) in
            [("tcp_round_trips", self.tcp_round_trips), ("tls_round_trips", self.tls_round_trips)]
        {
            if trips > MOST_ROUND_TRIPS {
                return Err(invalid(&format!("connect: {field}"), trips, "at most 10"));
            }
        }
        if self.initial_window_bytes == Some(0) {
            return Err(invalid("connect: initial_window", "0", "at least 1 byte"));
        }
        Ok(())
    }

    /// The time to open a connection over a path of this round trip.
    #[must_use]
    pub fn set_up(&self, rtt: Nanos) -> Nanos {
        Nanos(rtt.0.saturating_mul(u64::from(self.tcp_round_trips + self.tls_round_trips)))
    }

    /// The time that slow start adds to so many bytes on a new connection: whole round trips, each of which doubles
    /// what may be under way.
    #[must_use]
    pub fn slow_start(&self, rtt: Nanos, bytes: u64) -> Nanos {
        let Some(window) = self.initial_window_bytes else {
            return Nanos::ZERO;
        };
        let mut sent = window.max(1);
        let mut trips = 0;
        while sent < bytes {
            trips += 1;
            sent = sent.saturating_mul(2).saturating_add(window);
        }
        Nanos(rtt.0.saturating_mul(trips))
    }
}

/// The idle connections of a router to a replica.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    /// Since when each is idle, the longest first.
    idle: VecDeque<Nanos>,
}

impl Pool {
    /// Takes the connection that was used last. False: none is idle, or all have been closed.
    pub fn take(&mut self, now: Nanos, connect: &Connect) -> bool {
        match self.idle.pop_back() {
            Some(since) if now.saturating_sub(since) < connect.keep_alive => true,
            // The others have been idle for longer.
            _ => {
                self.idle.clear();
                false
            }
        }
    }

    /// Puts a connection back; where the pool is full of live ones, it is closed. Times never go back.
    pub fn give_back(&mut self, now: Nanos, connect: &Connect) {
        while self
            .idle
            .front()
            .is_some_and(|&since| now.saturating_sub(since) >= connect.keep_alive)
        {
            self.idle.pop_front();
        }
        if connect.pool_size.is_none_or(|most| self.idle.len() < most as usize) {
            self.idle.push_back(now);
        }
    }

    /// Every connection breaks: the replica is gone.
    pub fn clear(&mut self) {
        self.idle.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn an_idle_connection_serves_until_it_is_closed() {
        let connect = Connect::default();
        let mut pool = Pool::default();
        assert!(!pool.take(Nanos(0), &connect), "a new pool is empty");
        pool.give_back(Nanos(S), &connect);
        pool.give_back(Nanos(2 * S), &connect);
        assert!(pool.take(Nanos(6 * S), &connect), "the one idle for 4 s");
        assert!(!pool.take(Nanos(6 * S), &connect), "the other is idle for 5 s");
        pool.give_back(Nanos(7 * S), &connect);
        pool.clear();
        assert!(!pool.take(Nanos(7 * S), &connect));
    }

    #[test]
    fn a_full_pool_closes_what_comes_back_but_counts_only_the_living() {
        let connect = Connect { pool_size: Some(1), ..Connect::default() };
        let mut pool = Pool::default();
        pool.give_back(Nanos(0), &connect);
        pool.give_back(Nanos(S), &connect);
        assert!(pool.take(Nanos(2 * S), &connect) && !pool.take(Nanos(2 * S), &connect));
        pool.give_back(Nanos(2 * S), &connect);
        pool.give_back(Nanos(7 * S), &connect);
        assert!(pool.take(Nanos(11 * S), &connect), "the first one had been closed by 7 s");
        let none = Connect { pool_size: Some(0), ..connect };
        pool.give_back(Nanos(12 * S), &none);
        assert!(!pool.take(Nanos(12 * S), &none));
    }

    #[test]
    fn handshakes_and_slow_start_are_whole_round_trips() {
        let rtt = Nanos(100);
        let connect = Connect { initial_window_bytes: Some(14_600), ..Connect::default() };
        assert_eq!(connect.set_up(rtt), Nanos(200));
        assert_eq!(Connect { tls_round_trips: 0, ..connect }.set_up(rtt), Nanos(100));
        for (bytes, trips) in
            [(0, 0), (14_600, 0), (14_601, 1), (43_800, 1), (43_801, 2), (102_200, 2), (102_201, 3)]
        {
            assert_eq!(connect.slow_start(rtt, bytes), Nanos(trips * 100), "{bytes} bytes");
        }
        assert_eq!(Connect::default().slow_start(rtt, u64::MAX), Nanos::ZERO);
        let _ = connect.slow_start(Nanos::MAX, u64::MAX);
        assert!(connect.validate().is_ok());
        assert!(Connect { tls_round_trips: 11, ..connect }.validate().is_err());
        assert!(Connect { initial_window_bytes: Some(0), ..connect }.validate().is_err());
    }
}
