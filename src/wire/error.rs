//! What can be wrong with a request or an answer.

use gorgo_text::TextError;
use gorgo_types::ChainError;

/// Why bytes could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No JSON, or JSON of another form.
    #[error("{what}: {problem}")]
    Json {
        /// What was read: `the request body`, say.
        what: &'static str,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// A field whose value cannot be used.
    #[error("field `{field}`: got {got}, wanted {wanted}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value, shortened.
        got: String,
        /// What was wanted.
        wanted: &'static str,
    },
    /// The prompt cannot be made blocks.
    #[error("the prompt: {0}")]
    Chain(#[from] ChainError),
    /// The prompt cannot be made tokens.
    #[error("the prompt: {0}")]
    Text(#[from] TextError),
    /// One event of a stream is longer than any token's.
    #[error("an event of more than {limit} bytes in the stream")]
    LongEvent {
        /// The most that is read.
        limit: usize,
    },
}
