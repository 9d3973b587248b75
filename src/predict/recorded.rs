//! A decision of the recorded tables together with what then happened.
//!
//! Beside the columns that decided ([`gorgo_routing::verify::recorded`]) this reads `engine_prompt_tokens`,
//! `completion_tokens`, `status`, `ttft_ms` and `e2e_ms`. A request of status 200 was served and has them all; any other
//! status never reached the GPU, and has its status and `e2e_ms`. Splitting lines into fields is the caller's.

use gorgo_routing::decision::Target;
use gorgo_routing::signals::Signals;
use gorgo_routing::verify::recorded::RecordedColumns;
use gorgo_routing::verify::{Case, RowError};
use gorgo_types::Nanos;

/// No engine takes longer prompts or answers than this many tokens (16 times the longest context in use).
pub(crate) const MOST_TOKENS: u32 = 1 << 24;
/// No response takes longer than a day.
const LONGEST_MS: f64 = 86_400_000.0;
/// The status of a request that was served.
const OK: u16 = 200;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It was answered.
    Served {
        /// Prompt tokens as the engine counted them, at least 1.
        prompt_tokens: u32,
        /// Tokens of the answer, at least 1.
        output_tokens: u32,
        /// Measured, from the decision on, ms; above 0.
        ttft_ms: f64,
        /// Measured, from the decision on, ms; at least `ttft_ms`.
        e2e_ms: f64,
    },
    /// The engine or something before it refused it.
    Refused {
        /// HTTP status.
        status: u16,
        /// Until the refusal came back, ms.
        e2e_ms: f64,
    },
}

/// A decision and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// What the router saw and chose.
    pub case: Case,
    /// The chosen candidate's place in `case.candidates`.
    pub chosen: usize,
    /// What happened.
    pub outcome: Outcome,
}

impl Recorded {
    /// What the router saw of the replica that it chose.
    #[must_use]
    pub fn seen(&self) -> &Signals {
        &self.case.candidates[self.chosen]
    }

    /// The router's own count of the prompt's tokens.
    #[must_use]
    pub fn request_tokens(&self) -> u64 {
        self.case.prompt.tokens().get()
    }

    /// The share of the prompt that the router's index had at the chosen replica, 0 to 1.
    #[must_use]
    pub fn cached_share(&self) -> f64 {
        let cached = self.seen().cached_tokens.min(self.request_tokens());
        cached as f64 / self.request_tokens() as f64
    }

    /// The measured TTFT, where the request was served, ms.
    #[must_use]
    pub fn ttft_ms(&self) -> Option<f64> {
        match self.outcome {
            Outcome::Served { ttft_ms, .. } => Some(ttft_ms),
            Outcome::Refused { .. } => None,
        }
    }
}

/// The decisions of one log, in order of time, all among the same replicas.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RecordedLog {
    rows: Vec<Recorded>,
}

impl RecordedLog {
    /// The next decision.
    ///
    /// # Errors
    /// When it lies before the one before.
    pub fn push(&mut self, row: Recorded) -> Result<(), RowError> {
        if let Some(last) = self.rows.last().filter(|last| row.case.now < last.case.now) {
            let at = |now: Nanos| format!("{:.6} s of the clock", now.as_s());
            return Err(RowError {
                field: "decided_s".to_owned(),
                got: format!("before the row above ({})", at(row.case.now)),
                wanted: format!("rows in order of time ({} or later)", at(last.case.now)),
            });
        }
        self.rows.push(row);
        Ok(())
    }

    /// The decisions.
    #[must_use]
    pub fn rows(&self) -> &[Recorded] {
        &self.rows
    }

    /// The number of replicas.
    #[must_use]
    pub fn replicas(&self) -> usize {
        self.rows.first().map_or(0, |row| row.case.candidates.len())
    }

    /// How many requests were served.
    #[must_use]
    pub fn served(&self) -> usize {
        self.rows.iter().filter(|row| row.ttft_ms().is_some()).count()
    }
}

/// Where the needed columns of a table stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLogColumns {
    decision: RecordedColumns,
    status: usize,
    prompt: usize,
    output: usize,
    ttft: usize,
    e2e: usize,
}

impl RecordedLogColumns {
    /// Finds the columns by the names in the table's first line.
    ///
    /// # Errors
    /// When one is missing or there twice, or there is no replica.
    pub fn from_header<'a>(
        names: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Result<Self, RowError> {
        let decision = RecordedColumns::from_header(names.clone())?;
        let place = |wanted: &str| {
            let found = names.clone().into_iter().position(|name| name == wanted);
            found.ok_or_else(|| wrong(wanted, "missing", "a column of that name"))
        };
        Ok(Self {
            decision,
            status: place("status")?,
            prompt: place("engine_prompt_tokens")?,
            output: place("completion_tokens")?,
            ttft: place("ttft_ms")?,
            e2e: place("e2e_ms")?,
        })
    }

    /// Reads row `ordinal` (from 0) of the table.
    ///
    /// # Errors
    /// When the row has more or fewer fields than the header, or a field is not what its column holds.
    pub fn row(&self, ordinal: u64, fields: &[&str]) -> Result<Recorded, RowError> {
        let case = self.decision.case(ordinal, fields)?;
        let status: u16 = fields[self.status]
            .parse()
            .ok()
            .filter(|status| (100..600).contains(status))
            .ok_or_else(|| field("status", fields[self.status], "an HTTP status, 100 to 599"))?;
        let e2e_ms = milliseconds("e2e_ms", fields[self.e2e])?;
        let outcome = if status == OK {
            let ttft_ms = milliseconds("ttft_ms", fields[self.ttft])?;
            if ttft_ms <= 0.0 || ttft_ms > e2e_ms {
                let wanted = format!("above 0 and at most e2e_ms ({e2e_ms})");
                return Err(field("ttft_ms", fields[self.ttft], wanted));
            }
            Outcome::Served {
                prompt_tokens: tokens("engine_prompt_tokens", fields[self.prompt])?,
                output_tokens: tokens("completion_tokens", fields[self.output])?,
                ttft_ms,
                e2e_ms,
            }
        } else {
            Outcome::Refused { status, e2e_ms }
        };
        let Target::Replica(replica) = case.chosen else {
            return Err(wrong("chosen", "no replica", "a replica's index"));
        };
        let chosen = case.candidates.iter().position(|candidate| candidate.replica == replica);
        let chosen = chosen.ok_or_else(|| wrong("chosen", replica.0, "one of the candidates"))?;
        Ok(Recorded { case, chosen, outcome })
    }
}

fn wrong(field: &str, got: impl ToString, wanted: impl Into<String>) -> RowError {
    RowError { field: field.to_owned(), got: got.to_string(), wanted: wanted.into() }
}

fn field(name: &str, text: &str, wanted: impl Into<String>) -> RowError {
    wrong(name, format!("`{text}`"), wanted)
}

fn tokens(name: &str, text: &str) -> Result<u32, RowError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u32> = if plain { text.parse().ok() } else { None };
    number
        .filter(|number| (1..=MOST_TOKENS).contains(number))
        .ok_or_else(|| field(name, text, format!("a whole number from 1 to {MOST_TOKENS}")))
}

fn milliseconds(name: &str, text: &str) -> Result<f64, RowError> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|ms| (0.0..=LONGEST_MS).contains(ms))
        .ok_or_else(|| field(name, text, "a number of milliseconds from 0 to a day's"))
}
