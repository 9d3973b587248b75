//! What can be wrong with a file to import. Every message names the place, what it found there and what was wanted.

use gorgo_text::TextError;
use gorgo_workload::WorkloadError;
use std::fmt;
use std::path::PathBuf;

/// A row of a parquet file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPlace {
    /// The file, as the caller named it.
    pub file: PathBuf,
    /// The row in the file, from 0 as in other tools.
    pub row: u64,
    /// The row group that it stands in, from 0.
    pub row_group: usize,
}

impl fmt::Display for RowPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: row {} (row group {})", self.file.display(), self.row, self.row_group)
    }
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file could not be opened or read.
    #[error("{}: cannot be read: {source}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line of a text file, with its place.
    #[error(transparent)]
    Line(#[from] WorkloadError),
    /// The file is no parquet file, or not a whole one.
    #[error("{}: cannot be read as parquet: {problem}", file.display())]
    NotParquet {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// The file's columns are not those of the data set.
    #[error("{}: column `{column}`: got {got}, wanted {wanted}", file.display())]
    Column {
        /// The file.
        file: PathBuf,
        /// The column's path.
        column: String,
        /// What is there.
        got: String,
        /// What was wanted.
        wanted: String,
    },
    /// A part of a parquet file is damaged: what it holds cannot be decoded.
    #[error("{place}: column `{column}`: damaged at or after this row: {problem}")]
    Damaged {
        /// The first row that could not be read for certain.
        place: RowPlace,
        /// The column's path.
        column: String,
        /// The decoder's reason.
        problem: String,
    },
    /// A value of a row cannot be used.
    #[error("{place}: field `{field}`: got {got}, wanted {wanted}")]
    Row {
        /// Where: a row of a parquet file or a line of a text file.
        place: String,
        /// The field.
        field: String,
        /// Its value, shortened.
        got: String,
        /// What was wanted.
        wanted: String,
    },
    /// A table of places by hash.
    #[error("{}: {field}: got {got}, wanted {wanted}", file.display())]
    Lookup {
        /// The file.
        file: PathBuf,
        /// The entry, or the line and column.
        field: String,
        /// What is there.
        got: String,
        /// What was wanted.
        wanted: String,
    },
    /// The tokenizer refused a text.
    #[error("{place}: {source}")]
    Tokenize {
        /// Where the text stands.
        place: String,
        /// The reason.
        source: TextError,
    },
    /// An option of the import.
    #[error("{option}: got {got}, wanted {wanted}")]
    Option {
        /// The option, as on the command line.
        option: &'static str,
        /// Its value.
        got: String,
        /// What was wanted.
        wanted: String,
    },
    /// Nothing was left to write.
    #[error("no request in {files}, wanted at least one: {skipped}")]
    NoRequests {
        /// The files.
        files: String,
        /// Why what was there was passed over.
        skipped: String,
    },
    /// The trace, or a file that sorting needs beside it, could not be written.
    #[error("{}: cannot be written: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl ImportError {
    /// Whether the input or an option is to blame, not the disk.
    #[must_use]
    pub const fn is_input(&self) -> bool {
        !matches!(self, Self::Write { .. })
    }
}
