//! What of the network changes with time, in one place beside the tables that do not.
//!
//! Where nothing changes, there is no [`Moving`] at all, and a draw costs what it cost without. A link takes its recorded
//! series where it has one for this traffic, else its distribution, of which a share may drift; on that events are laid.
//! Read `drift.rs`, `series.rs` and `changes.rs` next.

use super::changes::Changes;
use super::drift::Drift;
use super::series::{Series, Traffic};
use super::spread::Jitter;
use super::{ClientLeg, Network};
use gorgo_random::{Draw, Key};
use gorgo_types::{Nanos, RegionId};
use std::sync::Arc;

/// What changes with time.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    drift: Option<Drift>,
    /// For each link the series of each kind of traffic; empty where no link has one.
    series: Vec<[Option<Arc<Series>>; 3]>,
    pub(super) changes: Changes,
}

impl Moving {
    /// What changes of itself.
    pub(super) fn new(jitter: Jitter, key: Key) -> Option<Box<Self>> {
        let drift = Drift::new(jitter, key);
        drift.is_some().then(|| Box::new(Self { drift, ..Self::still() }))
    }

    /// Nothing yet.
    pub(super) fn still() -> Self {
        Self { drift: None, series: Vec::new(), changes: Changes::default() }
    }

    pub(super) fn set_key(&mut self, jitter: Jitter, key: Key) {
        self.drift = Drift::new(jitter, key);
    }

    /// Gives a link, one of `cells`, its series for some traffic.
    pub(super) fn record(
        &mut self,
        cells: usize,
        link: usize,
        series: &Arc<Series>,
        traffic: &[Traffic],
    ) {
        if self.series.is_empty() {
            self.series = vec![[const { None }; 3]; cells];
        }
        for kind in traffic {
            self.series[link][*kind as usize] = Some(Arc::clone(series));
        }
    }

    fn series(&self, link: usize, traffic: Traffic) -> Option<&Series> {
        self.series.get(link)?[traffic as usize].as_deref()
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
    /// The RTT of a message that is sent now, by its draw. Where nothing was recorded, median and P95 over many draws
    /// and times are the link's (with a [`Jitter::spread_share`] of 1).
    #[must_use]
    #[inline]
    pub fn rtt_at(
        &self,
        from: RegionId,
        to: RegionId,
        now: Nanos,
        traffic: Traffic,
        draw: Draw,
    ) -> Nanos {
        match &self.moving {
            None => self.rtt(from, to, draw),
            Some(moving) => self.moved_rtt(moving, (from, to), now, traffic, draw),
        }
    }

    #[cold]
    fn moved_rtt(
        &self,
        moving: &Moving,
        (from, to): (RegionId, RegionId),
        now: Nanos,
        traffic: Traffic,
        draw: Draw,
    ) -> Nanos {
        let link = self.index(from, to);
        let spread = &self.spreads[link];
        let (median, rtt) = match (moving.series(link, traffic), &moving.drift) {
            (Some(series), _) => {
                let recorded = series.at(now);
                (recorded, recorded)
            }
            (None, Some(drift)) if !spread.is_still() => {
                let own = self.quantiles.normal(draw.unit());
                let z = drift.mix(region_path(from, to), now, own, &self.quantiles);
                (spread.median(), spread.at(z, &self.quantiles))
            }
            _ => (spread.median(), spread.draw(&self.quantiles, draw)),
        };
        moving.changes.rtt((from, to), now, median, rtt)
    }

    /// The RTT of a client's message that is sent now, by its draw.
    #[must_use]
    #[inline]
    pub fn client_rtt_at(&self, leg: &ClientLeg, now: Nanos, draw: Draw) -> Nanos {
        let drift = self.moving.as_ref().and_then(|moving| moving.drift.as_ref());
        match drift {
            Some(drift) if !leg.spread.is_still() => {
                let own = self.quantiles.normal(draw.unit());
                leg.spread.at(drift.mix(leg.path, now, own, &self.quantiles), &self.quantiles)
            }
            _ => self.client_rtt(leg, draw),
        }
    }
}
