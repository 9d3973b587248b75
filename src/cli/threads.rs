//! The threads on which runs are made side by side.

use crate::exit::Failure;

/// So many threads; none: one per core.
pub fn threads(wanted: Option<u16>) -> Result<rayon::ThreadPool, Failure> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(wanted.map_or(0, usize::from))
        .build()
        .map_err(Failure::failed)
}
