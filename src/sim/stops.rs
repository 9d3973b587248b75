//! What ends a warm-up or a run by counting: so many requests, or so many errors.

use gorgo_metrics::{ErrorLimit, MeasureSpec, Status};
use gorgo_types::Nanos;
use std::collections::VecDeque;

/// The counts of one run.
#[derive(Debug)]
pub struct Stops {
    /// Requests that are warm-up; [`u64::MAX`] where the warm-up is no count.
    warm_up_requests: u64,
    errors: Option<ErrorWatch>,
}

/// How the requests that ended last went.
#[derive(Debug)]
struct ErrorWatch {
    limit: ErrorLimit,
    /// True for an error, the oldest first.
    last: VecDeque<bool>,
    errors: u32,
    /// When there were too many.
    since: Option<Nanos>,
}

impl Stops {
    /// Nothing has ended yet.
    #[must_use]
    pub fn new(spec: &MeasureSpec) -> Self {
        let watch = |limit| ErrorWatch { limit, last: VecDeque::new(), errors: 0, since: None };
        Self {
            warm_up_requests: spec.warm_up_requests.unwrap_or(u64::MAX),
            errors: spec.max_errors.map(watch),
        }
    }

    /// Whether the warm-up is over with the request that was sent last, the `sent`-th.
    #[must_use]
    pub const fn is_warm(&self, sent: u64) -> bool {
        sent == self.warm_up_requests
    }

    /// Hears of every end.
    pub fn ended(&mut self, status: Status, now: Nanos) {
        let Some(watch) = &mut self.errors else { return };
        let is_error = matches!(status, Status::Failed | Status::Rejected | Status::TimedOut);
        watch.last.push_back(is_error);
        watch.errors += u32::from(is_error);
        if watch.last.len() > watch.limit.window as usize && watch.last.pop_front() == Some(true) {
            watch.errors -= 1;
        }
        let full = watch.last.len() == watch.limit.window as usize;
        if full && watch.errors >= watch.limit.errors && watch.since.is_none() {
            watch.since = Some(now);
        }
    }

    /// Whether too many have failed.
    #[must_use]
    pub fn gives_up(&self) -> bool {
        self.errors.as_ref().is_some_and(|watch| watch.since.is_some())
    }

    /// What to say of it.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let watch = self.errors.as_ref()?;
        let at = watch.since?;
        let ErrorLimit { errors, window } = watch.limit;
        Some(format!(
            "given up at {:.3} s: {errors} of the {window} requests that ended last failed, were rejected or timed out \
             (measure.max_error_share); what is measured is the time until then",
            at.as_s()
        ))
    }
}
