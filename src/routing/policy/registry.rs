//! The list of policies by name.
