//! Recorded traces.
use crate::{AssumedService, Completed, Due, Source, TurnTiming, WorkloadError};
use gorgo_types::{Nanos, Origin, Request};
use std::io::Write;
use std::path::Path;

/// How to read a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceOptions {
    /// Times are divided by this.
    pub speedup: f64,
    /// Only requests recorded from here on, in the trace's own time (seconds).
    pub window_from_s: Option<f64>,
    /// Only requests recorded before here, in the trace's own time (seconds).
    pub window_to_s: Option<f64>,
    /// When later turns are due.
    pub turns: TurnTiming,
    /// For `after-previous`: how much of a recorded gap was service.
    pub assumed_service: AssumedService,
    /// At most so many requests.
    pub limit: Option<u64>,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            speedup: 1.0,
            window_from_s: None,
            window_to_s: None,
            turns: TurnTiming::Recorded,
            assumed_service: AssumedService::default(),
            limit: None,
        }
    }
}

/// Requests of a trace file.
pub struct TraceSource {}

impl TraceSource {
    /// Opens `path`.
    ///
    /// # Errors
    /// When the file, its first line or an option cannot be used.
    pub fn open(_path: &Path, _options: TraceOptions) -> Result<Self, WorkloadError> {
        Ok(Self {})
    }
}

impl Source for TraceSource {
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

/// Writes a trace.
pub struct TraceWriter<W> {
    out: W,
}

impl<W: Write> TraceWriter<W> {
    /// Begins a trace: writes the first line.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(out: W, _block_tokens: u32) -> std::io::Result<Self> {
        Ok(Self { out })
    }

    /// Writes one request.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write(
        &mut self,
        _at: Nanos,
        _request: &Request,
        _origin: &Origin,
    ) -> std::io::Result<()> {
        Ok(())
    }

    /// Flushes, and gives the output back.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> std::io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
