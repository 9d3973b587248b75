//! Requests per second of one replica.
fn main() {}
