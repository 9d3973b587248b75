//! A progress bar on stderr, on a terminal, for work of over a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
        let visible = !quiet && std::io::stderr().is_terminal();
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let template = match total {
            Some(_) => "{bar:40} {human_pos}/{human_len} requests, {per_sec}, {eta} left",
            None => "{spinner} {human_pos} requests, {per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
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
