//! What can go wrong with files.

use std::path::PathBuf;

/// Why a file could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The output directory holds something already.
    #[error(
        "{path}: the directory is not empty, and nothing in it was touched; \
         wanted an empty or new directory (or --overwrite, which replaces only files that gorgo writes)",
        path = path.display()
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The output path is a file.
    #[error("{path}: got a file, wanted a directory", path = path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Two policies would write to one directory.
    #[error(
        "policies `{first}` and `{second}` would both write to the directory `{directory}`: wanted other labels"
    )]
    SameDirectory {
        /// One policy.
        first: String,
        /// The other.
        second: String,
        /// Where both would go.
        directory: String,
    },
    /// A value of a CSV file is not what it should be.
    #[error("{file}: line {line}, column `{column}`: got `{value}`, wanted {wanted}")]
    Value {
        /// The file.
        file: String,
        /// Line, from 1, the header's included.
        line: u64,
        /// The column's name.
        column: String,
        /// What stands there.
        value: String,
        /// What should.
        wanted: String,
    },
    /// A row of a CSV file as a whole is not what it should be.
    #[error("{file}: line {line}: {problem}")]
    Row {
        /// The file.
        file: String,
        /// Line, from 1, the header's included.
        line: u64,
        /// What is wrong and what was wanted.
        problem: String,
    },
    /// A summary cannot be read.
    #[error("{path}: {source}; wanted a summary.json as gorgo writes it", path = path.display())]
    Summary {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A directory holds no run, or more than one.
    #[error("{path}: {problem}", path = path.display())]
    NoRun {
        /// The directory.
        path: PathBuf,
        /// What was found and what was wanted.
        problem: String,
    },
}
