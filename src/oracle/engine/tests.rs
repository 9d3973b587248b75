//! Runs computed by hand.
