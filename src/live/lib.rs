//! The workload of a scenario against real URLs, with the records of a simulation.
//!
//! [`run`] sends what the simulator would send, at the same times, with prompts whose text shares what the workload's
//! prompts share, and gives a [`gorgo_metrics::RunResult`] a policy. It knows HTTP and the wall clock; of proxies and
//! engines it knows what they answer and nothing more. It writes no files and prints nothing.
//!
//! Read `options.rs` for what can be asked, `run.rs` for rounds and policies, `engine.rs` for the loop that keeps the
//! times, `flight.rs` and `attempt.rs` for one request.

mod admin;
mod attempt;
mod balance;
mod book;
mod clock;
mod connection;
mod engine;
mod error;
mod flight;
mod options;
mod pool;
mod prepare;
mod probe;
mod progress;
mod run;
mod way;

pub use error::LiveError;
pub use gorgo_wire::Api;
pub use http::{HeaderName, HeaderValue};
pub use options::{Admin, ClientLegs, Hearer, Lengths, Options, Patience, Prompts, Target};
pub use progress::Progress;
pub use run::{LiveOutcome, PolicyOutcome, run};
pub use tokio_util::sync::CancellationToken;
