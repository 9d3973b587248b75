//! Text for blocks that have ids alone: equal ids have equal text, different ones different text.
//!
//! A token is a word of three letters and a space: four characters, so that under the rule of four characters a block of
//! `n` tokens is `n` tokens long again, and the text of a chain is cut where the chain is. A model's tokenizer counts
//! such words otherwise; whoever needs its exact count asks the engine.
//!
//! An id stands for its block *and everything before it*, so text made from it alone is shared as far as the chains
//! share their blocks. A partial last block has an id of its own, and so text of its own: a longer prompt does not go on
//! from it.

use crate::chain::TOKEN_CHARS;
use gorgo_types::{BlockChain, BlockId};
use xxhash_rust::xxh3::xxh3_64;

/// Letters of a word but its last character, which is a space.
const LETTERS: usize = TOKEN_CHARS - 1;

/// The step of SplitMix64's state.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64, whose outputs for different states differ.
const fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Appends the text of a block of `tokens` tokens.
pub fn block_text(id: BlockId, tokens: u32, text: &mut String) {
    text.reserve(tokens as usize * TOKEN_CHARS);
    let mut state = id.0;
    for _ in 0..tokens {
        state = state.wrapping_add(GOLDEN);
        let mut word = mixed(state);
        for _ in 0..LETTERS {
            text.push(char::from(b'a' + (word % 26) as u8));
            word /= 26;
        }
        text.push(' ');
    }
}

/// The least token id that is used: models keep their special tokens at the beginning.
const SPECIAL: u32 = 100;

/// Appends ids for the tokens of a block, all below `vocabulary` (which is more than 100): for engines that take prompts
/// as ids, so that lengths are exact whatever their tokenizer.
pub fn block_token_ids(id: BlockId, tokens: u32, vocabulary: u32, ids: &mut Vec<u32>) {
    let usual = u64::from(vocabulary.saturating_sub(SPECIAL).max(1));
    let mut state = id.0;
    for _ in 0..tokens {
        state = state.wrapping_add(GOLDEN);
        ids.push(SPECIAL.min(vocabulary.saturating_sub(1)) + (mixed(state) % usual) as u32);
    }
}

/// Ids of the tokens of a text under the rule of four characters, for those who want ids: a token's UTF-8 bytes as a
/// little-endian number where they fit in 32 bits (as those of ASCII do), else 32 bits of their xxh3.
#[must_use]
pub fn token_ids(text: &str) -> Vec<u32> {
    let mut ids = Vec::with_capacity(text.len() / TOKEN_CHARS + 1);
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(TOKEN_CHARS).map_or(rest.len(), |(at, _)| at);
        let (token, after) = rest.split_at(end);
        rest = after;
        let bytes = token.as_bytes();
        ids.push(if bytes.len() <= 4 {
            let mut four = [0; 4];
            four[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(four)
        } else {
            // The lower half of a hash.
            xxh3_64(bytes) as u32
        });
    }
    ids
}

/// The text of a chain from block `from` on.
#[must_use]
pub fn chain_text(chain: &BlockChain, from: usize) -> String {
    let mut text = String::new();
    let mut before = chain.tokens_in(from).get();
    for (at, &id) in chain.ids().iter().enumerate().skip(from) {
        let end = chain.tokens_in(at + 1).get();
        // At most the tokens of a block.
        block_text(id, (end - before) as u32, &mut text);
        before = end;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, TextChain, Tokens};
    use gorgo_types::Tokens as Count;
    use proptest::prelude::*;

    fn read_back(text: &str, block_tokens: u32) -> BlockChain {
        let tokens = Tokens::default();
        let mut chain = TextChain::new(&tokens, 0, block_tokens).unwrap();
        chain.begin(Role::User);
        chain.text(text).unwrap();
        chain.snapshot().unwrap()
    }

    fn chain(raw: &[u64], tokens: u64, block_tokens: u32) -> BlockChain {
        BlockChain::from_raw_ids(raw.iter().copied(), Count(tokens), block_tokens).unwrap()
    }

    #[test]
    fn text_is_stable() {
        let mut text = String::new();
        block_text(BlockId(1), 4, &mut text);
        assert_eq!(text, "ths twy owh dio ");
    }

    #[test]
    fn token_ids_are_the_bytes_of_tokens() {
        assert_eq!(token_ids("abcdab"), [0x6463_6261, 0x6261]);
        let wide = token_ids("日本語のabc");
        assert_eq!((wide.len(), wide[1]), (2, 0x0063_6261));
        assert!(token_ids("").is_empty());
    }

    proptest! {
        #[test]
        fn chains_share_in_their_text_what_they_share_in_their_ids(
            block_tokens in 1u32..40, shared in 0u64..6, a in 1u64..6, b in 1u64..6, cut in 0u64..40,
        ) {
            let size = u64::from(block_tokens);
            let cut = cut % size;
            let one: Vec<u64> = (0..shared + a).collect();
            let two: Vec<u64> = (0..shared + b).map(|i| if i < shared { i } else { i + 99 }).collect();
            let one = chain(&one, (shared + a) * size - cut, block_tokens);
            let two = chain(&two, (shared + b) * size, block_tokens);
            let (x, y) = (read_back(&chain_text(&one, 0), block_tokens), read_back(&chain_text(&two, 0), block_tokens));
            prop_assert_eq!(x.tokens(), one.tokens());
            prop_assert_eq!(x.common_blocks(&y), one.common_blocks(&two));
            let tail = chain_text(&one, shared as usize);
            prop_assert!(chain_text(&one, 0).ends_with(&tail));
        }
    }
}
