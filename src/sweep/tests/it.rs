//! Sweeps as a caller runs them.
