//! Progress bars on stderr, on a terminal, for work of over a second.

use gorgo_types::{Nanos, Origin, Request};
use gorgo_workload::{Completed, Due, Source, WorkloadError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Progress of several runs side by side, in requests.
pub struct Progress {
    bar: ProgressBar,
    visible: bool,
    started: Instant,
    done: AtomicU64,
}

impl Progress {
    /// Progress towards `total` requests (unknown: a counter). `quiet` shows nothing.
    pub fn new(total: Option<u64>, quiet: bool) -> Self {
        Self::of("requests", total, quiet)
    }

    /// The same for other things than requests.
    pub fn of(things: &str, total: Option<u64>, quiet: bool) -> Self {
        let visible = !quiet && std::io::stderr().is_terminal();
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let template = match total {
            Some(_) => format!(
                "{{bar:40}} {{human_pos}}/{{human_len}} {things}, {{per_sec}}, {{eta}} left"
            ),
            None => format!("{{spinner}} {{human_pos}} {things}, {{per_sec}}"),
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Self { bar, visible, started: Instant::now(), done: AtomicU64::new(0) }
    }

    /// Adds requests that have ended.
    pub fn add(&self, requests: u64) {
        let done = self.done.fetch_add(requests, Ordering::Relaxed) + requests;
        if self.visible && self.started.elapsed() > Duration::from_secs(1) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            self.bar.set_position(done);
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Requests told of at once.
const STEP: u64 = 1024;

/// A source whose requests are counted as they are taken.
pub struct Watched {
    inner: Box<dyn Source>,
    progress: Progress,
    taken: u64,
}

impl Watched {
    /// Shows how many requests of `inner` have been taken, until this is dropped.
    pub fn new(inner: Box<dyn Source>, progress: Progress) -> Self {
        Self { inner, progress, taken: 0 }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.progress.finish();
    }
}

impl Source for Watched {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        self.inner.next_due()
    }
    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        self.taken += 1;
        if self.taken.is_multiple_of(STEP) {
            self.progress.add(STEP);
        }
        self.inner.take()
    }
    fn finished(&mut self, completed: Completed) {
        self.inner.finished(completed);
    }
    fn needs_completions(&self) -> bool {
        self.inner.needs_completions()
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
    fn token_rule(&self) -> Option<&str> {
        self.inner.token_rule()
    }
}

/// Progress of an import, in conversations read and then requests written.
pub struct ImportProgress {
    bar: ProgressBar,
    visible: bool,
    started: Instant,
    /// Whether the bar has been shown.
    shown: Cell<bool>,
}

impl ImportProgress {
    /// Progress from here on. `quiet` shows nothing.
    pub fn new(quiet: bool) -> Self {
        let visible = !quiet && std::io::stderr().is_terminal();
        let bar = ProgressBar::no_length();
        bar.set_draw_target(ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}, {eta} left") {
            bar.set_style(style);
        }
        Self { bar, visible, started: Instant::now(), shown: Cell::new(false) }
    }

    /// Shows how far it is.
    pub fn show(&self, at: gorgo_import::Progress) {
        if !self.visible || self.started.elapsed() < Duration::from_secs(1) {
            return;
        }
        if !self.shown.replace(true) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        }
        let (done, of, message) = match at {
            gorgo_import::Progress::Reading { done, of, text_bytes } => {
                let of_all = of.map_or(String::new(), |of| format!("/{of}"));
                let megabytes = text_bytes as f64 / 1e6;
                (done, of, format!("{done}{of_all} conversations read, {megabytes:.0} MB of text"))
            }
            gorgo_import::Progress::Writing { done, of } => {
                (done, Some(of), format!("{done}/{of} requests written"))
            }
        };
        if let Some(of) = of {
            self.bar.set_length(of);
        }
        self.bar.set_position(done);
        self.bar.set_message(message);
    }
}

impl Drop for ImportProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
