//! Time inside a replica: whole femtoseconds.

use gorgo_types::Nanos;

/// A point in time or a span of it, in whole femtoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Femtos(pub u128);

impl Femtos {
    /// The same time, exactly.
    #[must_use]
    pub const fn from_nanos(nanos: Nanos) -> Self {
        Self(nanos.0 as u128 * 1_000_000)
    }

    /// The first whole nanosecond at or after this time.
    #[must_use]
    pub fn to_nanos(self) -> Nanos {
        Nanos(u64::try_from(self.0.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}
