//! The prefix cache of one replica.

/// A radix tree over block chains.
#[derive(Clone, Debug, Default)]
pub struct PrefixCache {}
