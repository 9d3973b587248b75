//! A model's own tokenizer, from its `tokenizer.json`.

use crate::error::TextError;
use std::path::Path;
use tokenizers::Tokenizer;
use xxhash_rust::xxh3::xxh3_64;

/// A tokenizer, and what a trace calls it.
pub struct Model {
    tokenizer: Tokenizer,
    name: String,
}

impl Model {
    pub(crate) fn from_file(path: &Path) -> Result<Self, TextError> {
        let bytes = std::fs::read(path)
            .map_err(|source| TextError::Open { file: path.to_owned(), source })?;
        let refuse = |error: tokenizers::Error| TextError::Tokenizer {
            file: path.to_owned(),
            problem: error.to_string(),
        };
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(refuse)?;
        // Some files cut or pad every text to a training length; here every token counts.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(refuse)?;
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let name = format!("{file} (xxh3 {:016x})", xxh3_64(&bytes));
        Ok(Self { tokenizer, name })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The ids of a text's tokens, without special ones.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let encoding = self
            .tokenizer
            .encode_fast(text, false)
            .map_err(|error| TextError::Tokenize { problem: error.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }
}
