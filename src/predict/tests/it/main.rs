//! The crate's tests: what a table may hold, and what a forced replay must keep to.

mod hostile;
mod replaying;
mod support;
