//! The client against servers that answer as a test says: `answers.rs` is what it makes of answers, `sending.rs` when and
//! what it sends.

mod answers;
mod rounds;
mod secure;
mod sending;
mod support;
