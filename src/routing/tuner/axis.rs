//! One weight's search under [`super::paired`]: its levels, its trial, and which request meets which level.
//!
//! A weight has three levels: its centre, which is the best value known, one a step above and one a step below. A trial
//! deals the requests out in groups of `share` blocks: one block of each group, drawn by lot, gets the level above,
//! another the level below, the others the centre. What is compared is the level above with the level below. Where the
//! box ends at the centre, the centre stands for the level beyond it. Read `rank.rs` next.

use super::config::Bounds;
use super::paired_parameters::PairedParameters;
use gorgo_random::{Key, Purpose};

/// Of two levels that are compared, which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Below,
    Above,
}

/// One weight's search.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    parameters: PairedParameters,
    /// The weight's name and its box.
    pub(super) bounds: Bounds,
    centre: f64,
    below: f64,
    above: f64,
    sigma: f64,
    /// Blocks in a group.
    share: u32,
    /// Which way the last trial moved the centre; none: it did not.
    moved: Option<Side>,
    /// The first place of the trial under way.
    from: u64,
    /// What the trial's lots are keyed by.
    key: Key,
}

impl Axis {
    /// A weight that starts here, before its first trial.
    pub(super) fn new(parameters: PairedParameters, bounds: &Bounds, start: f64) -> Self {
        Self {
            parameters,
            bounds: bounds.clone(),
            centre: start,
            below: start,
            above: start,
            sigma: parameters.sigma,
            share: parameters.share,
            moved: None,
            from: 0,
            key: Key::new(0),
        }
    }

    /// Begins a trial with the request at the place `from`; `seed`, `weight` and `trial` key its lots.
    pub(super) fn start_trial(&mut self, seed: u64, weight: usize, trial: u64, from: u64) {
        let step = libm::exp(self.sigma);
        self.below = (self.centre / step).max(self.bounds.low);
        self.above = (self.centre * step).min(self.bounds.high);
        self.from = from;
        let key = Key::new(seed).with(Purpose::Tuner).word(u64::MAX);
        self.key = key.word(weight as u64).word(trial);
    }

    /// The level on this side was better: it is the centre from now on. Steps grow while they lead the same way.
    pub(super) fn moves(&mut self, side: Side) {
        let PairedParameters { share, sigma_min, sigma_max, grow, shrink, .. } = self.parameters;
        let turned = self.moved.is_some_and(|before| before != side);
        self.sigma *= if turned { shrink } else { grow };
        self.sigma = self.sigma.clamp(sigma_min, sigma_max);
        self.centre = self.level(Some(side));
        self.share = share;
        self.moved = Some(side);
    }

    /// Nothing better was found: steps are smaller and fewer requests are exposed to them.
    pub(super) fn stays(&mut self) {
        let PairedParameters { share_max, sigma_min, shrink, .. } = self.parameters;
        self.sigma = (self.sigma * shrink).max(sigma_min);
        self.share = self.share.saturating_mul(2).min(share_max);
        self.moved = None;
    }

    /// The value on a side; none: the centre.
    pub(super) const fn level(&self, side: Option<Side>) -> f64 {
        match side {
            None => self.centre,
            Some(Side::Below) => self.below,
            Some(Side::Above) => self.above,
        }
    }

    pub(super) const fn sigma(&self) -> f64 {
        self.sigma
    }

    /// The first place that the trial needs to be kept; none where the box leaves nothing to try.
    pub(super) fn needs(&self) -> Option<u64> {
        self.ways().next().map(|_| self.from)
    }

    /// The first place after the trial.
    pub(super) fn end(&self) -> u64 {
        self.from + self.parameters.trial_requests(self.share)
    }

    /// Whether the trial is to be judged by the requests before the place `to`: at its end, and once in so many requests
    /// that each time as many groups have come in as `look` requests make at the first share.
    pub(super) fn is_due(&self, to: u64) -> bool {
        let look = u64::from(self.parameters.look);
        let every = (look * u64::from(self.share)).div_ceil(u64::from(self.parameters.share));
        let looks = |to: u64| to.saturating_sub(self.from) / every;
        to >= self.end() || looks(to) > looks(to.saturating_sub(look))
    }

    /// The sides whose level is another than the centre.
    #[expect(clippy::float_cmp, reason = "the very value that was set")]
    pub(super) fn ways(&self) -> impl Iterator<Item = Side> + use<> {
        let ways = [(Side::Below, self.below), (Side::Above, self.above)];
        let centre = self.centre;
        ways.into_iter().filter(move |&(_, level)| level != centre).map(|(side, _)| side)
    }

    /// Whether the trial deals out this place.
    pub(super) fn deals(&self, place: u64) -> bool {
        (self.from..self.end()).contains(&place) && self.ways().next().is_some()
    }

    /// The value for the request at this place.
    pub(super) fn value_at(&self, place: u64) -> f64 {
        self.level(if self.deals(place) { self.lot(place).1 } else { None })
    }

    /// The group of a place that is judged, and the side that it counts for.
    pub(super) fn compared(&self, place: u64) -> Option<(u64, Side)> {
        let PairedParameters { block, burn_in, .. } = self.parameters;
        if !self.deals(place) || (place - self.from) % u64::from(block) < u64::from(burn_in) {
            return None;
        }
        let (group, side) = self.lot(place);
        let mut ways = self.ways();
        let side = side.or_else(|| match (ways.next(), ways.next()) {
            (Some(Side::Above), None) => Some(Side::Below),
            (Some(Side::Below), None) => Some(Side::Above),
            _ => None,
        });
        side.map(|side| (group, side))
    }

    /// The group of a place, and the side that it drew.
    fn lot(&self, place: u64) -> (u64, Option<Side>) {
        let share = u64::from(self.share);
        let block = (place - self.from) / u64::from(self.parameters.block);
        let (group, block) = (block / share, block % share);
        let draw = self.key.word(group).draw();
        let above = draw.below(share);
        let below = (above + 1 + draw.next().below(share - 1)) % share;
        let side = match block {
            block if block == above => Some(Side::Above),
            block if block == below => Some(Side::Below),
            _ => None,
        };
        (group, side)
    }
}
