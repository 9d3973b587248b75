//! A source read once into memory, and cheap sources over it, so that several runs and threads share one reading.

use crate::{Due, Source, WorkloadError};
use gorgo_types::{Nanos, Origin, Request};
use std::sync::Arc;

/// All requests of a source that does not depend on completions, with their times. Cloning shares them.
///
/// Memory: about 110 bytes a request and 8 bytes a block.
#[derive(Clone, Debug)]
pub struct Recorded(Arc<Contents>);

#[derive(Debug)]
struct Contents {
    requests: Vec<(Nanos, Request)>,
    origins: Vec<Origin>,
    warnings: Vec<String>,
    block_tokens: u32,
}

impl Recorded {
    /// Reads `source` to its end.
    ///
    /// # Errors
    /// [`WorkloadError::NeedsCompletions`] where later requests wait for earlier ones, and whatever the source returns.
    pub fn read(source: &mut dyn Source) -> Result<Self, WorkloadError> {
        if source.needs_completions() {
            return Err(WorkloadError::NeedsCompletions { what: "a reading into memory" });
        }
        let mut requests = Vec::new();
        while let Due::At(_) = source.next_due()? {
            requests.push(source.take()?);
        }
        Ok(Self(Arc::new(Contents {
            requests,
            origins: source.origins().to_vec(),
            warnings: source.warnings(),
            block_tokens: source.block_tokens(),
        })))
    }

    /// A source over these requests, from the first one on.
    #[must_use]
    pub fn replay(&self) -> Replay {
        Replay { contents: Arc::clone(&self.0), next: 0 }
    }

    /// The requests and their times, in order.
    #[must_use]
    pub fn requests(&self) -> &[(Nanos, Request)] {
        &self.0.requests
    }

    /// The origins that the requests index.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.0.origins
    }
}

/// A source over [`Recorded`] requests.
#[derive(Clone, Debug)]
pub struct Replay {
    contents: Arc<Contents>,
    next: usize,
}

impl Source for Replay {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(self.contents.requests.get(self.next).map_or(Due::End, |(at, _)| Due::At(*at)))
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        let item = self.contents.requests.get(self.next).ok_or(WorkloadError::NothingDue)?;
        self.next += 1;
        Ok(item.clone())
    }

    fn origins(&self) -> &[Origin] {
        &self.contents.origins
    }

    fn warnings(&self) -> Vec<String> {
        self.contents.warnings.clone()
    }

    fn size_hint(&self) -> Option<u64> {
        Some(self.contents.requests.len() as u64)
    }

    fn block_tokens(&self) -> u32 {
        self.contents.block_tokens
    }
}
