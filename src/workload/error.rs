//! What can be wrong with a workload. Every message names the place, what it found there and what was wanted.

use std::fmt;
use std::path::{Path, PathBuf};

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the caller named it.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
}

impl Place {
    /// A line of a file.
    #[must_use]
    pub fn new(file: &Path, line: u64) -> Self {
        Self { file: file.to_owned(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Why a workload cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file could not be opened.
    #[error("{}: cannot be opened: {source}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file could not be read to its end; a damaged or cut compressed file is the usual cause.
    #[error("{place}: cannot be read on from here: {source}")]
    Read {
        /// The line that could not be read.
        place: Place,
        /// The system's or the decompressor's reason.
        source: std::io::Error,
    },
    /// A line is not what the format wants.
    #[error("{place}: got {got} at column {column}, wanted {wanted}")]
    Syntax {
        /// The line.
        place: Place,
        /// The byte of the line, from 1.
        column: usize,
        /// What stands there.
        got: String,
        /// What should.
        wanted: String,
    },
    /// A field's value is not one that can be used.
    #[error("{place}: field `{field}`: got {got}, wanted {wanted}")]
    Field {
        /// The line.
        place: Place,
        /// The field, as the file spells it.
        field: String,
        /// Its value, shortened.
        got: String,
        /// What was wanted instead.
        wanted: String,
    },
    /// A parameter of a generator or reader is not one that can be used.
    #[error("parameter `{field}`: got {got}, wanted {wanted}")]
    Parameter {
        /// The parameter's name, as in the scenario.
        field: &'static str,
        /// Its value.
        got: String,
        /// What was wanted instead.
        wanted: String,
    },
    /// The file holds no request (or none inside the window).
    #[error("{}: no request {what}, wanted at least one", file.display())]
    NoRequests {
        /// The file.
        file: PathBuf,
        /// Where: "in the file" or "in the window a..b".
        what: String,
    },
    /// [`take`](crate::Source::take) was called although nothing was due.
    #[error("a request was taken although none was due")]
    NothingDue,
    /// A source that depends on completions was used where it is read without a run.
    #[error(
        "{what} cannot read a workload whose later requests wait for earlier ones: wanted turns = \"recorded\""
    )]
    NeedsCompletions {
        /// Who wanted to read it.
        what: &'static str,
    },
}

/// Refuses a parameter that is no number, or outside `low..=high`.
pub(crate) fn in_range(
    field: &'static str,
    value: f64,
    low: f64,
    high: f64,
    unit: &str,
) -> Result<(), WorkloadError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(WorkloadError::Parameter {
        field,
        got: value.to_string(),
        wanted: format!("a number from {low} to {high} ({unit})"),
    })
}

/// Refuses a whole parameter outside `low..=high`.
pub(crate) fn whole_in_range(
    field: &'static str,
    value: u64,
    low: u64,
    high: u64,
    unit: &str,
) -> Result<(), WorkloadError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(WorkloadError::Parameter {
        field,
        got: value.to_string(),
        wanted: format!("a whole number from {low} to {high} ({unit})"),
    })
}
