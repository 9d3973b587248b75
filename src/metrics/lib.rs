//! From request records to numbers, with one definition of every metric for simulated and live runs.
//!
//! A run tells a [`Collector`] of each request's fate ([`RequestRecord`]), of gaps between tokens, of timeline
//! samples and of its replicas; [`Collector::finish`] gives a [`RunResult`] with the [`Summary`] that `summary.json`
//! holds. Laws that must hold (TTFT parts add up, no request is lost) are checked in every build and end in
//! [`Invalid`].
//!
//! It does no I/O, knows no clock and draws no random numbers. Files, tables and plots are `gorgo-report`'s.
//! Read `record.rs` first, then `tally.rs`, where every number is defined.

mod advice;
mod buckets;
mod collector;
mod columns;
mod compare;
mod cost;
mod distribution;
mod error;
mod live;
mod numbers;
mod parity;
mod record;
mod rolling;
mod spec;
mod summary;
mod tally;

pub use buckets::Buckets;
pub use collector::{Collector, OriginLeg, RunResult};
pub use compare::{
    CompareError, Comparison, PairedDifference, Side, SideNumbers, batch_means_interval, compare,
};
pub use cost::{BYTES_PER_GB, Cost, Leg, Prices, ReplicaPrice, Served, ServedTable};
pub use distribution::nearest_rank;
pub use error::Invalid;
pub use hdrhistogram::Histogram;
pub use live::{LiveSummary, RoundNumbers};
pub use numbers::Numbers;
pub use parity::{NumberParity, OrderParity, Parity, PolicyParity};
pub use record::{RequestRecord, Status, TtftParts};
pub use rolling::{Rolling, rolling};
pub use spec::{
    AUTO_RECORDS_LIMIT, ErrorLimit, FleetNames, MeasureSpec, Records, ReplicaSummary,
    TimelineSample, Window,
};
pub use summary::{
    CacheRates, ClientHeld, Distribution, Load, MeasuredWindow, PartsMs, PercentilesFrom,
    RequestCounts, SCHEMA, Slo, Summary, TunerSummary,
};
