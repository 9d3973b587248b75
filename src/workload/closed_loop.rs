//! A closed loop: N users, each of whom sends the next request of a stream when its previous one has ended.
//!
//! The stream's own times are ignored. Which user sends which request depends on how fast answers come; what the
//! requests hold and how long a user thinks after one does not: think time is keyed by the request that ended. A
//! stream whose sessions should stay with one user wants the chat generator's own feedback instead.

use crate::draws::{ThinkSpec, ThinkTime};
use crate::error::whole_in_range;
use crate::{Completed, Due, Source, WorkloadError};
use gorgo_random::Key;
use gorgo_types::{Nanos, Origin, Request, RequestId};
use rustc_hash::FxHashSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Users of a closed loop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedLoopSpec {
    /// How many users, each with at most one request under way.
    pub users: u32,
    /// Time between the end of a user's request and its next one.
    #[serde(default)]
    pub think: ThinkSpec,
    /// The users' first requests are spread evenly over this many seconds, the first at time zero.
    #[serde(default)]
    pub ramp_s: f64,
}

/// Another source's requests, sent by a fixed number of users.
pub struct ClosedLoop<S> {
    inner: S,
    think: ThinkTime,
    /// When users want to send; only the times matter, since users are alike.
    ready: BinaryHeap<Reverse<Nanos>>,
    under_way: FxHashSet<RequestId>,
}

impl<S: Source> ClosedLoop<S> {
    /// Lets `spec.users` users send the requests of `inner`.
    ///
    /// # Errors
    /// When a parameter is out of range, or `inner` itself waits for completions.
    pub fn new(inner: S, spec: &ClosedLoopSpec, key: Key) -> Result<Self, WorkloadError> {
        if inner.needs_completions() {
            return Err(WorkloadError::NeedsCompletions { what: "a closed loop" });
        }
        whole_in_range("users", u64::from(spec.users), 1, 10_000_000, "users")?;
        crate::error::in_range("ramp_s", spec.ramp_s, 0.0, 1e9, "seconds")?;
        let start = |user: u32| {
            Nanos::from_s(spec.ramp_s * f64::from(user) / f64::from(spec.users))
                .unwrap_or(Nanos::MAX)
        };
        Ok(Self {
            inner,
            think: ThinkTime::new(spec.think, key)?,
            ready: (0..spec.users).map(|user| Reverse(start(user))).collect(),
            under_way: FxHashSet::default(),
        })
    }
}

impl<S: Source> Source for ClosedLoop<S> {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(match self.inner.next_due()? {
            Due::At(_) => self.ready.peek().map_or(Due::Waiting, |Reverse(at)| Due::At(*at)),
            other => other,
        })
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        let Some(Reverse(at)) = self.ready.peek().copied() else {
            return Err(WorkloadError::NothingDue);
        };
        let (_, request) = self.inner.take()?;
        self.ready.pop();
        self.under_way.insert(request.id);
        Ok((at, request))
    }

    fn finished(&mut self, completed: Completed) {
        if self.under_way.remove(&completed.id) {
            self.ready.push(Reverse(completed.at.saturating_add(self.think.after(completed.id))));
        }
    }

    fn needs_completions(&self) -> bool {
        true
    }

    fn origins(&self) -> &[Origin] {
        self.inner.origins()
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }

    fn size_hint(&self) -> Option<u64> {
        self.inner.size_hint()
    }

    fn block_tokens(&self) -> u32 {
        self.inner.block_tokens()
    }
}
