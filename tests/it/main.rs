//! Whole-program tests of the built binary, and tests of the workspace as a whole.

mod architecture;
mod bad_input;
mod commands;
#[cfg(feature = "live")]
mod demo;
mod determinism;
mod emulate;
mod gate;
mod generated;
mod import;
mod live;
mod metrics;
mod predict;
#[cfg(feature = "live")]
mod proxy;
mod scale;
mod support;
mod sweep;
mod tidy;
mod tuning;
