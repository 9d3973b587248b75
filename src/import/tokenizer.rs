//! A model's own tokenizer, from its `tokenizer.json`.

use crate::chain::Tokens;
use crate::error::ImportError;
use std::path::Path;
use tokenizers::Tokenizer;
use xxhash_rust::xxh3::xxh3_64;

/// A tokenizer, and what a trace calls it.
pub struct Model {
    tokenizer: Tokenizer,
    name: String,
}

impl Tokens {
    /// Reads a `tokenizer.json`. Its name is the file's with the hash (xxh3-64) of what stands in it, so that traces
    /// written with different ones can be told apart.
    ///
    /// # Errors
    /// When the file cannot be read, or is no tokenizer.
    pub fn from_file(path: &Path) -> Result<Self, ImportError> {
        let bytes = std::fs::read(path)
            .map_err(|source| ImportError::Open { file: path.to_owned(), source })?;
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(|error| {
            ImportError::Tokenizer { file: path.to_owned(), problem: error.to_string() }
        })?;
        // Some files cut or pad every text to a training length; here every token counts.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| ImportError::Tokenizer {
            file: path.to_owned(),
            problem: error.to_string(),
        })?;
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let name = format!("{file} (xxh3 {:016x})", xxh3_64(&bytes));
        Ok(Self::Model(Box::new(Model { tokenizer, name })))
    }
}

impl Model {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The ids of a text's tokens, without special ones.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let encoding =
            self.tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }
}
