//! What of the network changes with time, in one place beside the tables that do not.
//!
//! Where nothing changes, there is no [`Moving`] at all, and a draw costs what it cost without. Read `drift.rs` next.

use super::drift::Drift;
use super::spread::Jitter;
use super::{ClientLeg, Network};
use gorgo_random::{Draw, Key};
use gorgo_types::{Nanos, RegionId};

/// What changes with time.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    drift: Option<Drift>,
}

impl Moving {
    /// What changes of itself.
    pub(super) fn new(jitter: Jitter, key: Key) -> Option<Box<Self>> {
        let drift = Drift::new(jitter, key);
        drift.is_some().then(|| Box::new(Self { drift }))
    }

    pub(super) fn set_key(&mut self, jitter: Jitter, key: Key) {
        self.drift = Drift::new(jitter, key);
    }
}

/// What the drift between two regions is keyed by: the same both ways.
const fn region_path(a: RegionId, b: RegionId) -> u64 {
    let (low, high) = if a.0 < b.0 { (a.0, b.0) } else { (b.0, a.0) };
    ((low as u64) << 32) | high as u64
}

/// What the drift of a client's leg is keyed by: no pair of regions, whose ids are below 2^31.
pub(super) const fn client_path(number: u32) -> u64 {
    (1 << 63) | number as u64
}

impl Network {
    /// The RTT of a message that is sent now, by its draw. Over many draws and times, median and P95 are the link's
    /// (with a [`Jitter::spread_share`] of 1).
    #[must_use]
    pub fn rtt_at(&self, from: RegionId, to: RegionId, now: Nanos, draw: Draw) -> Nanos {
        match &self.moving {
            None => self.rtt(from, to, draw),
            Some(moving) => self.moved_rtt(moving, from, to, now, draw),
        }
    }

    #[cold]
    fn moved_rtt(
        &self,
        moving: &Moving,
        from: RegionId,
        to: RegionId,
        now: Nanos,
        draw: Draw,
    ) -> Nanos {
        let spread = &self.spreads[self.index(from, to)];
        match &moving.drift {
            Some(drift) if !spread.is_still() => {
                let own = self.quantiles.normal(draw.unit());
                spread.at(drift.mix(region_path(from, to), now, own, &self.quantiles))
            }
            _ => spread.draw(&self.quantiles, draw),
        }
    }

    /// The RTT of a client's message that is sent now, by its draw.
    #[must_use]
    pub fn client_rtt_at(&self, leg: &ClientLeg, now: Nanos, draw: Draw) -> Nanos {
        let drift = self.moving.as_ref().and_then(|moving| moving.drift.as_ref());
        match drift {
            Some(drift) if !leg.spread.is_still() => {
                let own = self.quantiles.normal(draw.unit());
                leg.spread.at(drift.mix(leg.path, now, own, &self.quantiles))
            }
            _ => self.client_rtt(leg, draw),
        }
    }
}
