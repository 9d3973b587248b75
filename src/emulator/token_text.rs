//! The text of an answer, token by token: what the request says the answer is, else words made up from its prompt.

use gorgo_text::block_text;
use gorgo_types::BlockId;

/// Characters of a token of synthetic text.
const TOKEN_CHARS: usize = 4;

/// Gives the tokens of one answer in their order.
#[derive(Debug)]
pub(crate) struct TokenText {
    /// What is known of it, from its first character on.
    known: String,
    /// How much of that has been given, bytes.
    given: usize,
    /// What made-up words are drawn from.
    seed: u64,
    /// Tokens given.
    tokens: u64,
}

impl TokenText {
    /// The answer `known`, and words for what goes beyond it. The same prompt gets the same words.
    pub fn new(known: String, seed: BlockId) -> Self {
        Self { known, given: 0, seed: seed.0, tokens: 0 }
    }

    /// Appends the next token's text.
    pub fn next(&mut self, text: &mut String) {
        let rest = &self.known[self.given..];
        if rest.is_empty() {
            // Every token has an id of its own, so the words of an answer differ.
            let id = self.seed ^ self.tokens.wrapping_mul(0xff51_afd7_ed55_8ccd);
            block_text(BlockId(id), 1, text);
        } else {
            let end = rest.char_indices().nth(TOKEN_CHARS).map_or(rest.len(), |(at, _)| at);
            text.push_str(&rest[..end]);
            self.given += end;
        }
        self.tokens += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_four_characters_whatever_their_bytes() {
        let mut tokens = TokenText::new("abcdéè日本xy".to_owned(), BlockId(7));
        let mut got = Vec::new();
        for _ in 0..5 {
            let mut text = String::new();
            tokens.next(&mut text);
            got.push(text);
        }
        assert_eq!(got[..3], ["abcd", "éè日本", "xy"]);
        assert!(got[3] != got[4] && got[3..].iter().all(|word| word.len() == TOKEN_CHARS));
        let mut again = TokenText::new(String::new(), BlockId(7));
        let (mut first, mut other) = (String::new(), String::new());
        again.next(&mut first);
        TokenText::new(String::new(), BlockId(8)).next(&mut other);
        assert_ne!(first, other);
    }
}
