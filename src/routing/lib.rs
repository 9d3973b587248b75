//! Routing decisions for LLM replicas across regions.

pub mod decision;
pub mod log;
pub mod policy;
pub mod signals;
pub mod verify;

pub use decision::{Decision, Target, Tie};
pub use policy::{Needs, Policy, Question, registry};
pub use signals::{RoutingRequest, Signals};
