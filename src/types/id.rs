//! Identities. Dense ids index vectors; a [`RequestId`] names a request by what it is, never by when it came.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU16;

/// A replica (one inference engine), dense from 0 in the order of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(pub u32);

/// A region, dense from 0 in the order of the scenario's region list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegionId(pub u32);

/// Index into the list of origins that a workload source has met so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OriginId(pub u32);

/// A zone: a jurisdiction, say, that some requests must not leave. Numbered from 0 in the order of somebody's list of
/// names; whoever has two lists must translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ZoneId(NonZeroU16);

/// The identity of a request: which turn (from 0) of which session.
///
/// Draws are keyed by it and runs are paired by it, so it must not depend on the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId {
    /// The session; a request that belongs to none has a session of its own.
    pub session: u64,
    /// The turn within the session, from 0.
    pub turn: u32,
}

impl ReplicaId {
    /// The id as a vector index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl RegionId {
    /// The id as a vector index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl ZoneId {
    /// The most zones there can be.
    pub const MOST: usize = u16::MAX as usize;

    /// The zone of this index in the list of names; none from [`ZoneId::MOST`] on.
    #[must_use]
    pub fn from_index(index: usize) -> Option<Self> {
        u16::try_from(index).ok().and_then(|index| NonZeroU16::new(index.wrapping_add(1))).map(Self)
    }

    /// Its index in the list of names.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl OriginId {
    /// The id as a vector index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.session, self.turn)
    }
}

impl std::str::FromStr for RequestId {
    type Err = String;

    /// Reads `session.turn`; a bare number is turn 0 of that session.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = || format!("`{text}` is no request id: wanted SESSION.TURN, for example 12.0");
        let (session, turn) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Self {
            session: session.parse().map_err(|_| wanted())?,
            turn: turn.parse().map_err(|_| wanted())?,
        })
    }
}
