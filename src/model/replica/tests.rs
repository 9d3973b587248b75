//! Tests of the replica.
