//! Recorded routing decisions, put to simulated replicas: what TTFT would the model have foretold, request by request?
//!
//! A log of a real fleet says when each request was decided, what was chosen and how long it took. [`replay()`] forces the
//! same choices on simulated replicas and so knows their real load at every moment; [`snapshot()`] has nothing but what
//! the router saw of the chosen replica; [`regression`] is the plain least squares that both are held against. What the
//! logs leave open is in [`Assumptions`], and [`fit()`] finds it on one log, so that others can be foretold with it.
//! [`score`] says how good a prediction is. [`calibrate`] makes a cost profile of measured requests.
//!
//! No files, no clock, no words for people: `src/cli/decisions/predict.rs` has those. Read [`recorded`] next, then
//! [`replay`](mod@replay).

pub mod assumptions;
pub mod calibrate;
pub mod fit;
pub mod probes;
pub mod recorded;
pub mod regression;
pub mod replay;
pub mod score;
pub mod snapshot;

pub use assumptions::{Assumptions, Free, Part};
pub use fit::{Fit, fit};
pub use probes::round_trips;
pub use recorded::{Outcome, Recorded, RecordedLog, RecordedLogColumns};
pub use replay::{Foretold, replay};
pub use snapshot::snapshot;

/// Why nothing can be foretold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PredictError {
    /// A row is not what it should be.
    #[error(transparent)]
    Row(#[from] gorgo_routing::verify::RowError),
    /// An assumption is out of its bounds.
    #[error("assumption `{name}` is {value}, wanted {wanted}")]
    Assumption {
        /// Its name.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What may be given.
        wanted: String,
    },
    /// The profile makes no engine, or the engine cannot serve a request.
    #[error("{0}")]
    Model(#[from] gorgo_model::ModelError),
    /// No request of the log was served, or no probe came back.
    #[error("got {got}, wanted {wanted}")]
    TooFew {
        /// What there is.
        got: String,
        /// What is needed.
        wanted: &'static str,
    },
}
