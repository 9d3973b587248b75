//! Tests of the workload crate through its public face: one binary, one module per concern.

mod client;
mod common;
mod fuzz;
mod generators;
mod hostile;
mod kinds;
mod malformed;
mod profiles;
mod readers;
