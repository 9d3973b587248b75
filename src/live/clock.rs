//! The run's clock: whole nanoseconds since time zero, which lies a little ahead when a run starts.

use gorgo_types::Nanos;
use std::time::{Duration, Instant};

/// Time zero, as an instant of the system's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    zero: Instant,
}

impl Clock {
    pub fn starting_in(lead: Duration) -> Self {
        Self { zero: Instant::now() + lead }
    }

    /// Now; zero before time zero.
    pub fn now(&self) -> Nanos {
        let since = Instant::now().saturating_duration_since(self.zero);
        Nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The instant of a time of the run.
    pub fn instant(&self, at: Nanos) -> Instant {
        // Times beyond a century are "never".
        self.zero + Duration::from_nanos(at.0.min(100 * 365 * 86_400 * 1_000_000_000))
    }
}

/// A span of the system's as one of the run's.
pub(crate) fn nanos(span: Duration) -> Nanos {
    Nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}
