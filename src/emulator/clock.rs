//! The emulator's clock: nanoseconds since it started, and since the scenario's time zero.

use gorgo_types::Nanos;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A clock that all parts share.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// When the scenario's events begin to count.
    zero: OnceLock<Nanos>,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { shared: Arc::new(Shared { start: Instant::now(), zero: OnceLock::new() }) }
    }

    /// Time since the start.
    pub fn now(&self) -> Nanos {
        // 584 years fit.
        Nanos(u64::try_from(self.shared.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Sets the scenario's time zero to now. The first call counts; true for it.
    pub fn set_zero(&self) -> bool {
        self.shared.zero.set(self.now()).is_ok()
    }

    /// The scenario's time zero, once it has been set.
    pub fn zero(&self) -> Option<Nanos> {
        self.shared.zero.get().copied()
    }

    /// A time of this clock in the scenario's: zero until that has begun.
    pub fn in_scenario(&self, at: Nanos) -> Nanos {
        self.zero().map_or(Nanos::ZERO, |zero| at.saturating_sub(zero))
    }
}

/// From one time to a later one.
pub(crate) fn between(from: Nanos, to: Nanos) -> Duration {
    Duration::from_nanos(to.saturating_sub(from).0)
}
