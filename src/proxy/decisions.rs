//! Decisions as they are written down: the routing crate's rows, to a file and to a short memory for the admin API.
//!
//! Rows are made under the router's lock, because they show what it knew; `journal.rs` writes them. A file belongs to one
//! policy: where the policy changes, the next file begins.

use crate::journal::Journal;
use gorgo_routing::log::{LogHead, LogLine, VERSION};
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// See the module.
#[derive(Default)]
pub(crate) struct DecisionLog {
    last: VecDeque<Vec<u8>>,
    kept: usize,
    pub(crate) journal: Journal,
}

impl DecisionLog {
    /// A log that keeps so many rows in memory and writes them to a journal.
    pub(crate) fn new(kept: u32, journal: Journal) -> Self {
        Self { last: VecDeque::new(), kept: kept as usize, journal }
    }

    pub(crate) const fn is_wanted(&self) -> bool {
        self.kept > 0 || self.journal.is_open()
    }

    /// The last rows, the newest first.
    pub(crate) fn last(&self) -> impl Iterator<Item = &[u8]> {
        self.last.iter().rev().map(Vec::as_slice)
    }

    /// The policy that decides from now on.
    pub(crate) fn begin(
        &mut self,
        policy: &str,
        parameters: &Map<String, Value>,
        block_tokens: u32,
    ) {
        let policy = policy.to_owned();
        self.journal.head(&LogHead { gorgo_decisions: VERSION, policy, parameters, block_tokens });
    }

    pub(crate) fn write(&mut self, line: &LogLine<'_>) {
        let Ok(row) = serde_json::to_vec(line) else { return };
        if self.kept > 0 {
            while self.last.len() >= self.kept {
                self.last.pop_front();
            }
            self.last.push_back(row.clone());
        }
        self.journal.row(row);
    }
}
