//! The conversation between a workload and whoever runs it: [`Source`].
//!
//! A source is peeked with [`Source::next_due`], emptied with [`Source::take`] and, where it needs to know, told of
//! ends with [`Source::finished`]. It has no clock: times are spans since time zero, which is the first scheduled
//! arrival. Implementations are in the other files of this crate.

use crate::WorkloadError;
use gorgo_types::{Nanos, Origin, Request, RequestId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a source has next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A request, scheduled at this time.
    At(Nanos),
    /// Nothing until a request that was taken ends: tell the source with [`Source::finished`].
    Waiting,
    /// Nothing any more.
    End,
}

/// The end of a request, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Which request.
    pub id: RequestId,
    /// When the client knew: the last token's arrival, or that of the failure.
    pub at: Nanos,
    /// False where it failed, was refused, cancelled or timed out.
    pub ok: bool,
}

/// A stream of requests that may depend on how the earlier ones went.
pub trait Source: Send {
    /// What is next, without taking it. Cheap when repeated. After [`Source::finished`] the answer may be earlier than
    /// before, but never earlier than that end.
    ///
    /// # Errors
    /// When the input is malformed or cannot be read.
    fn next_due(&mut self) -> Result<Due, WorkloadError>;

    /// The request that [`Source::next_due`] announced, with its scheduled time.
    ///
    /// # Errors
    /// [`WorkloadError::NothingDue`] where nothing is due, and whatever `next_due` can return.
    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError>;

    /// Tells of a request's end. Unknown ids are ignored, so that a caller may tell of every request.
    fn finished(&mut self, completed: Completed) {
        let _ = completed;
    }

    /// False where [`Source::finished`] changes nothing and need not be called. True goes with a `finished` of one's own.
    fn needs_completions(&self) -> bool {
        false
    }

    /// The origins met so far: [`Request::origin`] indexes them. Index 0 is the unknown origin. The list only grows.
    fn origins(&self) -> &[Origin];

    /// What the reader of a result ought to know about this workload, for example a default that was taken.
    /// Complete only once the source has ended.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// How many requests there are in all, where that is known before the end.
    fn size_hint(&self) -> Option<u64> {
        None
    }

    /// Tokens per block of every chain of this source.
    fn block_tokens(&self) -> u32;

    /// How text was counted as tokens, where there was text and the workload says so.
    fn token_rule(&self) -> Option<&str> {
        None
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        (**self).next_due()
    }
    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        (**self).take()
    }
    fn finished(&mut self, completed: Completed) {
        (**self).finished(completed);
    }
    fn needs_completions(&self) -> bool {
        (**self).needs_completions()
    }
    fn origins(&self) -> &[Origin] {
        (**self).origins()
    }
    fn warnings(&self) -> Vec<String> {
        (**self).warnings()
    }
    fn size_hint(&self) -> Option<u64> {
        (**self).size_hint()
    }
    fn block_tokens(&self) -> u32 {
        (**self).block_tokens()
    }
    fn token_rule(&self) -> Option<&str> {
        (**self).token_rule()
    }
}

/// When the later turns of a session are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TurnTiming {
    /// At their recorded (or planned) times, whatever becomes of the turns before: an open loop.
    #[default]
    Recorded,
    /// Once the turn before has ended and the client has thought: feedback.
    AfterPrevious,
}

/// How long a request is taken to last where its real duration is not known: `base_ms + per_token_ms × output tokens`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AssumedService {
    /// Milliseconds whatever the output.
    pub base_ms: f64,
    /// Milliseconds per output token.
    pub per_token_ms: f64,
}
