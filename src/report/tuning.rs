//! `tune.jsonl`: what a tuner did, step by step. Its first line is a [`TuneHead`]; each further line is
//! one [`TuneStep`], whose lists of weights are in the head's order. How it looks: `plot/tuning.rs`.

use gorgo_metrics::TunerSummary;
use gorgo_routing::tuner::{TuneHead, TuneStep};
use std::io::{self, Write};

/// What a policy's tuner did.
#[derive(Clone, Copy, Debug)]
pub struct Tuning<'a> {
    /// The scenario's name.
    pub scenario: &'a str,
    /// The policy's name.
    pub policy: &'a str,
    /// The seed of all draws.
    pub seed: u64,
    /// What it came to.
    pub summary: &'a TunerSummary,
    /// Its steps, in order.
    pub steps: &'a [TuneStep],
}

impl Tuning<'_> {
    /// The names of the weights, in the order of the steps' lists: that of the names.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.summary.start.keys().map(String::as_str).collect()
    }

    /// Writes the file.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let names = self.summary.start.keys().cloned().collect();
        let start = self.summary.start.values().copied().collect();
        let head = TuneHead::new(self.policy, &self.summary.strategy, names, start);
        serde_json::to_writer(&mut *out, &head)?;
        out.write_all(b"\n")?;
        for step in self.steps {
            serde_json::to_writer(&mut *out, step)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}
