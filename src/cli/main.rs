//! gorgo
fn main() {}
