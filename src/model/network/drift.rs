//! The slow drift of a path: a stationary Gaussian process of time that can be asked at any time without state.
//!
//! Every path has independent standard normal knots, one each period, each a keyed draw of (path, knot), and a phase of
//! its own. Between two knots the value is `cos(a) g + sin(a) h`, `a` from 0 to a right angle: since the squares of the
//! weights add up to 1, the value is standard normal at *every* time, which linear interpolation would not give. Its
//! correlation over a lag of r periods is `(1 - r/2) cos(pi r/2) + sin(pi r/2)/pi` up to r = 1, `cos(pi s/2)/pi -
//! (1 - s)/2 sin(pi s/2)` with s = r - 1 up to r = 2, and nothing beyond (the mean over the phase). It is a choice of
//! shape: nothing published says how paths drift.

use super::spread::{Jitter, Quantiles};
use gorgo_random::{Key, Purpose};
use gorgo_types::Nanos;

/// The drift of all paths.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    key: Key,
    period_ns: u64,
    /// Weight of the drift in a deviate, the root of its share.
    slow: f64,
    /// Weight of the request's own jitter.
    fast: f64,
}

impl Drift {
    /// The drift of a checked jitter, if it has any.
    pub(super) fn new(jitter: Jitter, key: Key) -> Option<Self> {
        let share = jitter.drift_share;
        (share > 0.0 && jitter.spread_share > 0.0).then(|| Self {
            key: key.with(Purpose::NetworkDrift),
            period_ns: jitter.drift_period.0,
            slow: libm::sqrt(share),
            fast: libm::sqrt(1.0 - share),
        })
    }

    /// The standard normal deviate of a request at `now` whose own is `own`.
    pub(super) fn mix(&self, path: u64, now: Nanos, own: f64, quantiles: &Quantiles) -> f64 {
        self.slow * self.at(path, now, quantiles) + self.fast * own
    }

    /// The drift of a path, standard normal at every time.
    pub(super) fn at(&self, path: u64, now: Nanos, quantiles: &Quantiles) -> f64 {
        let key = self.key.word(path);
        let since = now.0.saturating_add(key.draw().below(self.period_ns));
        let (knot, within) = (since / self.period_ns, since % self.period_ns);
        let normal = |knot| quantiles.normal(key.word(knot).draw().unit());
        let angle = core::f64::consts::FRAC_PI_2 * (within as f64 / self.period_ns as f64);
        libm::cos(angle) * normal(knot) + libm::sin(angle) * normal(knot + 1)
    }
}
