//! What a search refuses.

/// Why a search cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: got {got}, wanted {wanted}")]
pub struct TuneError {
    /// The option.
    pub what: String,
    /// Its value.
    pub got: String,
    /// What was wanted instead.
    pub wanted: String,
}

impl TuneError {
    /// An option, what it was, and what it may be.
    pub fn new(what: impl Into<String>, got: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self { what: what.into(), got: got.into(), wanted: wanted.into() }
    }
}
