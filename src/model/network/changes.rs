//! Changes of links from one time to another: other round trips, and cuts.
//!
//! A cut loses what is *sent* while it lasts; TCP sends it again, first after a round trip and 200 ms (the least that
//! Linux waits), then after twice as long each time, at most two minutes. So a message is late by the first of these
//! moments that finds the link whole, and lost only where its sender gives up before. A message under way when the cut
//! begins passes. Clients' legs are not concerned.

use super::moving::Moving;
use super::{LONGEST_RTT_MS, Network, invalid};
use crate::ModelError;
use gorgo_types::{Nanos, RegionId};

/// The links that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Between these two regions, both ways; they may be the same.
    Between(RegionId, RegionId),
    /// Between this region and all others, both ways.
    Of(RegionId),
}

impl Links {
    fn hold(self, a: RegionId, b: RegionId) -> bool {
        match self {
            Self::Between(from, to) => (from, to) == (a, b) || (from, to) == (b, a),
            Self::Of(region) => a != b && (a == region || b == region),
        }
    }
}

/// What becomes of round trips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// They take so many times as long.
    Factor(f64),
    /// Their median is this; jitter and drift keep their proportion, and what is recorded gives way to it.
    Median(Nanos),
}

/// A change of round trips, from a time to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RttChange {
    /// Which links.
    pub links: Links,
    /// From when.
    pub from: Nanos,
    /// Up to when; [`Nanos::MAX`]: for good.
    pub to: Nanos,
    /// What becomes of them.
    pub effect: Effect,
}

/// A cut, from a time to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which links.
    pub links: Links,
    /// From when.
    pub from: Nanos,
    /// Up to when.
    pub to: Nanos,
}

/// All changes of a network.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    rtts: Vec<RttChange>,
    cuts: Vec<Cut>,
}

/// The least that Linux waits before it sends again, beyond the round trip (`TCP_RTO_MIN`).
const LEAST_WAIT: Nanos = Nanos::from_millis(200);
/// The longest that it waits (`TCP_RTO_MAX`).
const LONGEST_WAIT: Nanos = Nanos::from_secs(120);

impl Changes {
    /// The round trip after all changes of this moment, in their order.
    pub(super) fn rtt(
        &self,
        (from, to): (RegionId, RegionId),
        now: Nanos,
        median: Nanos,
        rtt: Nanos,
    ) -> Nanos {
        let here = |change: &&RttChange| {
            change.links.hold(from, to) && (change.from..change.to).contains(&now)
        };
        self.rtts.iter().filter(here).fold(rtt, |rtt, change| match change.effect {
            Effect::Factor(factor) => scaled(rtt, factor),
            Effect::Median(new) => scaled(rtt, new.0 as f64 / median.0.max(1) as f64),
        })
    }

    /// When a message that is sent now is sent for the time that passes.
    fn passes(&self, from: RegionId, to: RegionId, sent: Nanos, rtt: Nanos) -> Nanos {
        let cut_at = |at: Nanos| {
            self.cuts.iter().any(|cut| cut.links.hold(from, to) && (cut.from..cut.to).contains(&at))
        };
        let (mut at, mut wait) = (sent, rtt.saturating_add(LEAST_WAIT));
        while cut_at(at) {
            at = at.saturating_add(wait);
            wait = Nanos(wait.0.saturating_mul(2)).min(LONGEST_WAIT);
        }
        at
    }
}

/// A round trip made longer or shorter: at least a nanosecond, at most an hour.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float to u64 saturates, and no factor is negative"
)]
fn scaled(rtt: Nanos, factor: f64) -> Nanos {
    Nanos((rtt.0 as f64 * factor) as u64).clamp(Nanos(1), Nanos::from_secs(3600))
}

impl Network {
    /// The same network with changes of round trips and cuts, besides those that it has.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] for a change that ends before it begins, a factor or median out of range, or a cut for
    /// good: what is sent into it would never end.
    pub fn with_changes(mut self, rtts: &[RttChange], cuts: &[Cut]) -> Result<Self, ModelError> {
        let spans = rtts.iter().map(|change| (change.from, change.to));
        for (from, to) in spans.chain(cuts.iter().map(|cut| (cut.from, cut.to))) {
            if to <= from {
                return Err(invalid("event: to", to, &format!("later than from = {from}")));
            }
        }
        if let Some(cut) = cuts.iter().find(|cut| cut.to == Nanos::MAX) {
            return Err(invalid("event: to", cut.to, "an end of the cut"));
        }
        for change in rtts {
            match change.effect {
                Effect::Factor(factor) if !(1e-3..=1e3).contains(&factor) => {
                    return Err(invalid("event: factor", factor, "from 0.001 to 1000"));
                }
                Effect::Median(rtt) if !(1e-6..=LONGEST_RTT_MS).contains(&rtt.as_ms()) => {
                    return Err(invalid("event: rtt", rtt, "above 0 and at most 60 s"));
                }
                Effect::Factor(_) | Effect::Median(_) => {}
            }
        }
        if !(rtts.is_empty() && cuts.is_empty()) {
            let moving = self.moving.get_or_insert_with(|| Box::new(Moving::still()));
            moving.changes.rtts.extend_from_slice(rtts);
            moving.changes.cuts.extend_from_slice(cuts);
        }
        Ok(self)
    }

    /// When a message that is sent now over a link of this round trip is sent for the time that passes: now, unless the
    /// link is cut.
    #[must_use]
    #[inline]
    pub fn passes(&self, from: RegionId, to: RegionId, sent: Nanos, rtt: Nanos) -> Nanos {
        match &self.moving {
            None => sent,
            Some(moving) => moving.changes.passes(from, to, sent, rtt),
        }
    }

    /// Whether any link is ever cut.
    #[must_use]
    pub fn has_cuts(&self) -> bool {
        self.moving.as_ref().is_some_and(|moving| !moving.changes.cuts.is_empty())
    }
}
