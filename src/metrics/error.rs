//! Why a run's numbers cannot be trusted. The command line turns these into exit code 3.

use crate::RequestRecord;
use gorgo_types::{Nanos, RequestId};

/// A law that the run broke. It is a fault of the program (or of a live measurement), never of the input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A record contradicts itself.
    #[error("request {id} breaks the law that {law}: {record:?}")]
    Record {
        /// Which request.
        id: RequestId,
        /// What should have held.
        law: &'static str,
        /// The record.
        record: Box<RequestRecord>,
    },
    /// A record names a replica that the fleet does not have.
    #[error("request {id} names replica {replica}, wanted one of {replicas}")]
    UnknownReplica {
        /// Which request.
        id: RequestId,
        /// The index it gives.
        replica: usize,
        /// How many replicas there are.
        replicas: usize,
    },
    /// A record names a router's region that the run does not have.
    #[error("request {id} names region {region} of its router, wanted one of {regions}")]
    UnknownRegion {
        /// Which request.
        id: RequestId,
        /// The index it gives.
        region: usize,
        /// How many regions there are.
        regions: usize,
    },
    /// Requests were lost or counted twice.
    #[error(
        "{injected} requests went in, but {accounted} are accounted for ({ledger}): \
         wanted injected = completed + failed + rejected + cancelled + timed out + in flight"
    )]
    Conservation {
        /// How many the driver of the run says it injected.
        injected: u64,
        /// How many records came.
        accounted: u64,
        /// The counts by status.
        ledger: String,
    },
    /// A request ended after the run did.
    #[error("a request finished at {finished}, after the end of the run at {end}")]
    AfterEnd {
        /// When it finished.
        finished: Nanos,
        /// When the run ended.
        end: Nanos,
    },
}
