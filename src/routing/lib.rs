//! Routing decisions for LLM replicas across regions.

pub mod decision;
pub mod policy;
pub mod signals;

pub use decision::{Decision, Target, Tie};
pub use policy::{Needs, Policy, Question, registry};
pub use signals::{RoutingRequest, Signals};
