//! What can be wrong with text or a tokenizer.

use std::path::PathBuf;

/// Why text could not be made tokens.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file could not be opened or read.
    #[error("{}: cannot be read: {source}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A tokenizer that cannot be used.
    #[error("{}: cannot be read as a tokenizer.json: {problem}", file.display())]
    Tokenizer {
        /// The file.
        file: PathBuf,
        /// The reason.
        problem: String,
    },
    /// The tokenizer refused a text.
    #[error("the tokenizer failed: {problem}")]
    Tokenize {
        /// The reason.
        problem: String,
    },
}
