//! The network between regions.
