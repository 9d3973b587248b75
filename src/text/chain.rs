//! Text as tokens in blocks: the ids that make equal beginnings equal, in every file, on every machine.
//!
//! A conversation is the sequence of its messages' tokens. Without a tokenizer a token is four characters (code points,
//! not bytes), the last one of a message perhaps fewer. A block's content is xxh3-64 of its characters' UTF-8 bytes,
//! with a byte 0xff before each message but the first, so that no two ways to cut one text into messages look alike;
//! with a tokenizer it is xxh3-64 of the token ids as little-endian 32-bit numbers, as `BlockChain::from_tokens` has
//! it. `gorgo_types::chain` chains contents to ids. Both are pinned by the tests below: ids must not change between
//! versions, or traces of different days would no longer share what they share.
//!
//! Messages are encoded one by one, as the special tokens of a chat template would separate them. The template's own
//! tokens are not known here: `template_tokens` stand-ins go before every message, the answer's included, the same for
//! each message of a role.

use crate::Role;
use crate::error::TextError;
use gorgo_types::{BlockChain, BlockId, ChainBuilder, ChainError, Tokens as Count};
use xxhash_rust::xxh3::xxh3_64;

/// Characters taken for a token where no tokenizer is given.
pub(crate) const TOKEN_CHARS: usize = 4;
/// More tokens of a chat template before a message than any model has.
pub const MAX_TEMPLATE_TOKENS: u32 = 1_000;

/// Stands before a message that is not the first; in no UTF-8 text.
const MESSAGE: u8 = 0xff;
/// With the role behind it, a token of the chat template; in no UTF-8 text.
const TEMPLATE: u8 = 0xfe;

/// How text becomes tokens.
#[derive(Default)]
pub enum Tokens {
    /// Four characters are a token.
    #[default]
    FourCharacters,
    /// A model's own tokenizer.
    #[cfg(feature = "tokenizer")]
    Model(Box<crate::tokenizer::Model>),
}

impl Tokens {
    /// A model's tokenizer from its `tokenizer.json`. Its name is the file's with the hash (xxh3-64) of what stands in
    /// it, so that what different ones have counted can be told apart.
    ///
    /// # Errors
    /// When the file cannot be read, or is no tokenizer.
    #[cfg(feature = "tokenizer")]
    pub fn from_file(path: &std::path::Path) -> Result<Self, TextError> {
        crate::tokenizer::Model::from_file(path).map(|model| Self::Model(Box::new(model)))
    }

    /// The rule's name, as a trace's first line has it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::FourCharacters => "4-characters".to_owned(),
            #[cfg(feature = "tokenizer")]
            Self::Model(model) => model.name().to_owned(),
        }
    }
}

/// The tokens of a conversation so far.
pub struct TextChain<'a> {
    tokens: &'a Tokens,
    template_tokens: u32,
    block_tokens: u32,
    whole: ChainBuilder,
    count: u64,
    /// The content of the block that is not full yet, and its tokens.
    partial: Vec<u8>,
    filled: u32,
    first: bool,
}

impl<'a> TextChain<'a> {
    /// An empty conversation, in blocks of `block_tokens` tokens.
    ///
    /// # Errors
    /// When `block_tokens` is zero.
    pub fn new(
        tokens: &'a Tokens,
        template_tokens: u32,
        block_tokens: u32,
    ) -> Result<Self, ChainError> {
        Ok(Self {
            tokens,
            template_tokens,
            block_tokens,
            whole: ChainBuilder::new(block_tokens)?,
            count: 0,
            partial: Vec::with_capacity(512),
            filled: 0,
            first: true,
        })
    }

    /// The conversation whose first blocks are the first `blocks` of a chain, all of them whole; text that follows goes on
    /// in the message in which they end.
    ///
    /// # Errors
    /// Where the chain has fewer whole blocks.
    pub fn continuing(
        tokens: &'a Tokens,
        chain: &BlockChain,
        blocks: usize,
    ) -> Result<Self, ChainError> {
        let block_tokens = chain.block_tokens();
        let mut begun = Self::new(tokens, 0, block_tokens)?;
        if blocks > 0 {
            let kept = Count(blocks as u64 * u64::from(block_tokens));
            let ids: Vec<BlockId> =
                chain.ids().iter().take(blocks.min(chain.whole_blocks())).copied().collect();
            begun.whole = ChainBuilder::continuing(&BlockChain::from_ids(ids, kept, block_tokens)?);
            begun.count = kept.get();
        }
        Ok(begun)
    }

    /// Tokens so far.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What the chat template puts before a message of this role.
    pub fn begin(&mut self, role: Role) {
        for _ in 0..self.template_tokens {
            self.partial.push(TEMPLATE);
            self.partial.push(role as u8);
            self.fill(1);
        }
    }

    /// Appends a message's text.
    ///
    /// # Errors
    /// When a tokenizer refuses it.
    pub fn text(&mut self, text: &str) -> Result<(), TextError> {
        if text.is_empty() {
            return Ok(());
        }
        match self.tokens {
            Tokens::FourCharacters => self.characters(text),
            #[cfg(feature = "tokenizer")]
            Tokens::Model(model) => {
                for id in model.encode(text)? {
                    self.partial.extend_from_slice(&id.to_le_bytes());
                    self.fill(1);
                }
            }
        }
        self.first = false;
        Ok(())
    }

    fn characters(&mut self, text: &str) {
        if !self.first {
            self.partial.push(MESSAGE);
        }
        let mut rest = text;
        while !rest.is_empty() {
            let room = (self.block_tokens - self.filled) as usize * TOKEN_CHARS;
            let (end, chars) = leading_chars(rest, room);
            let (piece, after) = rest.split_at(end);
            rest = after;
            if self.partial.is_empty() && chars == room {
                // A block that lies in one message: nothing is copied.
                self.whole.push_block(xxh3_64(piece.as_bytes()));
                self.count += u64::from(self.block_tokens);
            } else {
                self.partial.extend_from_slice(piece.as_bytes());
                // At most the characters of a block: at most its tokens.
                self.fill(chars.div_ceil(TOKEN_CHARS) as u32);
            }
        }
    }

    /// Counts tokens whose content is in `partial` already.
    fn fill(&mut self, tokens: u32) {
        self.count += u64::from(tokens);
        self.filled += tokens;
        if self.filled == self.block_tokens {
            self.whole.push_block(xxh3_64(&self.partial));
            self.partial.clear();
            self.filled = 0;
        }
    }

    /// The chain so far.
    ///
    /// # Errors
    /// When it is empty, or longer than a chain can be.
    pub fn snapshot(&self) -> Result<BlockChain, ChainError> {
        let mut builder = self.whole.clone();
        if self.filled > 0 {
            builder.push_block(xxh3_64(&self.partial));
        }
        builder.finish(Count(self.count))
    }
}

/// The byte at which the first `most` characters end, and how many there are.
fn leading_chars(text: &str, most: usize) -> (usize, usize) {
    let bytes = text.as_bytes();
    match bytes.get(..most) {
        Some(ascii) if ascii.is_ascii() => return (most, most),
        None if bytes.is_ascii() => return (bytes.len(), bytes.len()),
        _ => {}
    }
    let mut chars = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        // Every byte but a continuation begins a character.
        if byte & 0xc0 != 0x80 {
            if chars == most {
                return (at, most);
            }
            chars += 1;
        }
    }
    (bytes.len(), chars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chain(messages: &[(Role, &str)], template_tokens: u32) -> BlockChain {
        let tokens = Tokens::default();
        let mut chain = TextChain::new(&tokens, template_tokens, 16).unwrap();
        for (role, text) in messages {
            chain.begin(*role);
            chain.text(text).unwrap();
        }
        chain.snapshot().unwrap()
    }

    fn user(text: &str) -> BlockChain {
        chain(&[(Role::User, text)], 0)
    }

    fn hex(chain: &BlockChain) -> Vec<String> {
        chain.ids().iter().map(|id| format!("{:016x}", id.0)).collect()
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        for (text, tokens) in
            [("a", 1), ("abcd", 1), ("abcde", 2), ("日本語の", 1), ("日本語のé", 2)]
        {
            assert_eq!(user(text).tokens().0, tokens, "{text}");
        }
        assert_eq!(leading_chars("aé日🦀b", 4), (10, 4));
        assert_eq!(leading_chars("aé日🦀b", 9), (11, 5));
    }

    #[test]
    fn the_same_text_has_the_same_ids_for_ever() {
        // A change of these numbers makes traces written before and after it share nothing.
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(3);
        assert_eq!(hex(&user(&text)), ["88cf3ac3de75b5d3", "1dbc4865c61a8121", "a1f33ed2663a0eae"]);
        let talk = [(Role::User, text.as_str()), (Role::Assistant, "Съешь же ещё этих булок")];
        assert_eq!(
            hex(&chain(&talk, 0)),
            ["88cf3ac3de75b5d3", "1dbc4865c61a8121", "63d8b6e1ef0bb480"]
        );
        assert_eq!(hex(&chain(&talk, 3))[0], "f285af5fc0eea864");
    }

    #[test]
    fn cutting_a_text_into_other_messages_gives_other_blocks() {
        let (a, b) = ("abcdefgh", "ijklmnop".repeat(8));
        let whole = format!("{a}{b}");
        let two = chain(&[(Role::User, a), (Role::User, &b)], 0);
        assert_ne!(two.ids()[0], user(&whole).ids()[0]);
        assert_ne!(
            two.ids()[0],
            chain(&[(Role::User, "abcd"), (Role::User, &whole[4..])], 0).ids()[0]
        );
        // An empty message adds nothing.
        assert_eq!(chain(&[(Role::User, a), (Role::Assistant, "")], 0), user(a));
    }

    #[test]
    fn template_tokens_stand_before_each_message() {
        let text = "x".repeat(64);
        let with = chain(&[(Role::User, &text), (Role::Assistant, "")], 4);
        assert_eq!(with.tokens().0, 4 + 16 + 4);
        let other = chain(&[(Role::Assistant, &text), (Role::Assistant, "")], 4);
        assert_ne!(with.ids()[0], other.ids()[0], "roles differ");
    }

    #[test]
    fn a_chain_goes_on_as_its_text_would() {
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(9);
        let (head, tail) = text.split_at(2 * 64);
        let tokens = Tokens::default();
        let mut chain = TextChain::continuing(&tokens, &user(head), 2).unwrap();
        chain.text(tail).unwrap();
        assert_eq!(chain.snapshot().unwrap(), user(&text));
        let mut anew = TextChain::continuing(&tokens, &user(head), 0).unwrap();
        anew.text(&text).unwrap();
        assert_eq!(anew.snapshot().unwrap(), user(&text));
        assert!(TextChain::continuing(&tokens, &user("too short"), 1).is_err());
    }

    proptest! {
        #[test]
        fn a_longer_conversation_keeps_the_whole_blocks_of_the_shorter(
            texts in prop::collection::vec("[a-zé日🦀 ]{0,150}", 1..6), template in 0u32..20,
        ) {
            let messages: Vec<(Role, &str)> = texts.iter().map(|t| (Role::User, t.as_str())).collect();
            let all = TextChain::new(&Tokens::FourCharacters, template, 16).map(|mut chain| {
                let mut seen = Vec::new();
                for (role, text) in &messages {
                    chain.begin(*role);
                    chain.text(text).unwrap();
                    seen.push((chain.count(), chain.snapshot().ok()));
                }
                seen
            }).unwrap();
            let wanted: u64 = texts.iter()
                .map(|t| t.chars().count().div_ceil(4) as u64 + u64::from(template)).sum();
            prop_assert_eq!(all.last().map(|(count, _)| *count), Some(wanted));
            for pair in all.windows(2) {
                if let [(_, Some(short)), (_, Some(long))] = pair {
                    prop_assert!(short.common_blocks(long) >= short.whole_blocks());
                }
            }
        }
    }
}
