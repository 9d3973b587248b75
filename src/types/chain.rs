//! Prompts as chains of blocks.
//!
//! A prompt of `n` tokens is `ceil(n / block_tokens)` blocks. A [`BlockId`] stands for the block's content *and
//! everything before it*: it is a chained hash. Three things follow, and the whole project leans on them:
//!
//! 1. Two prompts share their first `k` blocks exactly when their `k`-th ids are equal, so the length of a common
//!    prefix is found by bisection, and a run of blocks is compared by its last id alone.
//! 2. An id needs no parent to be looked up: one flat map from id to node serves as the tree's child table.
//! 3. A partial last block mixes its length into its id, so it equals another only where the length is equal too.
//!
//! The hash is xxh3-64 of the block's content, chained by a fixed mixing step; it is stable across versions and
//! platforms, because proxies and trace files meet on it. A [`BlockChain`] shares its ids: cloning one, or keeping
//! a slice of one in a tree, copies no ids.

use crate::Tokens;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// A block of a prompt together with everything before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockId(pub u64);

/// The ids of a token sequence's blocks, in order, with the length of the sequence.
///
/// Invariant: `ids.len() == ceil(tokens / block_tokens)`, `block_tokens >= 1`, `tokens >= 1`.
#[derive(Clone, PartialEq, Eq)]
pub struct BlockChain {
    ids: Arc<[BlockId]>,
    tokens: u32,
    block_tokens: u32,
}

/// Why ids and lengths do not make a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// A sequence has at least one token.
    Empty,
    /// A block has at least one token.
    ZeroBlock,
    /// The number of ids does not fit the length.
    WrongCount {
        /// How many ids were given.
        got: usize,
        /// How many the length asks for.
        wanted: usize,
    },
    /// More tokens than a 32-bit count holds.
    TooLong,
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "got 0 tokens, wanted at least 1"),
            Self::ZeroBlock => write!(f, "got a block size of 0 tokens, wanted at least 1"),
            Self::WrongCount { got, wanted } => write!(f, "got {got} block ids, wanted {wanted}"),
            Self::TooLong => write!(f, "got more than {} tokens", u32::MAX),
        }
    }
}

impl std::error::Error for ChainError {}

/// The id before the first block.
const ROOT: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sets the length of a partial block apart from the contents of blocks: without it a block of content `c` cut to `r`
/// tokens would have the id of a whole block `c` followed by a block of content `r`, and traces number theirs from 0.
const PARTIAL: u64 = 0x2545_f491_4f6c_dd1d;

/// One link of the chain: a bijective mix of the content, folded with what came before.
const fn link(previous: u64, content: u64) -> u64 {
    let mut x = previous.rotate_left(23) ^ content.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

/// Number of blocks of `tokens` tokens.
const fn blocks_for(tokens: u64, block_tokens: u32) -> u64 {
    tokens.div_ceil(block_tokens as u64)
}

/// Hashes blocks of token ids, as little-endian bytes.
#[derive(Debug, Default)]
struct TokenHasher {
    /// For blocks of other lengths than the usual one.
    bytes: Vec<u8>,
}

impl TokenHasher {
    /// The usual block: its bytes stay on the stack, and its length is known to the hash function's compiler.
    const USUAL: usize = 16;

    #[inline]
    fn content(&mut self, block: &[u32]) -> u64 {
        if let Ok(block) = <&[u32; Self::USUAL]>::try_from(block) {
            let mut bytes = [0; Self::USUAL * 4];
            for (to, id) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(block) {
                *to = id.to_le_bytes();
            }
            return xxh3_64(&bytes);
        }
        self.bytes.clear();
        self.bytes.extend(block.iter().flat_map(|id| id.to_le_bytes()));
        xxh3_64(&self.bytes)
    }
}

impl BlockChain {
    /// A chain from ids that already are chained hashes (from another chain, or a KV event).
    ///
    /// # Errors
    /// When there are no tokens, the block size is zero, or the number of ids does not fit.
    pub fn from_ids(
        ids: impl Into<Arc<[BlockId]>>,
        tokens: Tokens,
        block_tokens: u32,
    ) -> Result<Self, ChainError> {
        let ids = ids.into();
        if block_tokens == 0 {
            return Err(ChainError::ZeroBlock);
        }
        if tokens.0 == 0 {
            return Err(ChainError::Empty);
        }
        let length = u32::try_from(tokens.0).map_err(|_| ChainError::TooLong)?;
        let wanted = blocks_for(tokens.0, block_tokens) as usize;
        if ids.len() != wanted {
            return Err(ChainError::WrongCount { got: ids.len(), wanted });
        }
        Ok(Self { ids, tokens: length, block_tokens })
    }

    /// A chain from a trace's own ids, whatever they are: each is chained to what stands before it.
    ///
    /// # Errors
    /// As [`BlockChain::from_ids`].
    pub fn from_raw_ids(
        raw: impl IntoIterator<Item = u64>,
        tokens: Tokens,
        block_tokens: u32,
    ) -> Result<Self, ChainError> {
        let mut builder = ChainBuilder::new(block_tokens)?;
        for content in raw {
            builder.push_block(content);
        }
        builder.finish(tokens)
    }

    /// A chain from token ids, hashed block by block.
    ///
    /// # Errors
    /// When there are no tokens or the block size is zero.
    pub fn from_tokens(token_ids: &[u32], block_tokens: u32) -> Result<Self, ChainError> {
        if block_tokens == 0 {
            return Err(ChainError::ZeroBlock);
        }
        let length = u32::try_from(token_ids.len()).map_err(|_| ChainError::TooLong)?;
        if length == 0 {
            return Err(ChainError::Empty);
        }
        let mut hasher = TokenHasher::default();
        let mut last = ROOT;
        // Collected straight into the shared slice: an iterator of known length needs one allocation.
        let ids = token_ids
            .chunks(block_tokens as usize)
            .map(|block| {
                last = link(last, hasher.content(block));
                if block.len() < block_tokens as usize {
                    last = link(last, block.len() as u64 ^ PARTIAL);
                }
                BlockId(last)
            })
            .collect();
        Ok(Self { ids, tokens: length, block_tokens })
    }

    /// The ids, first block first.
    #[must_use]
    pub fn ids(&self) -> &[BlockId] {
        &self.ids
    }

    /// The ids as they are shared: keep this with a range to hold a slice without copying.
    #[must_use]
    pub const fn shared_ids(&self) -> &Arc<[BlockId]> {
        &self.ids
    }

    /// Length of the sequence in tokens, at least 1.
    #[must_use]
    pub const fn tokens(&self) -> Tokens {
        Tokens(self.tokens as u64)
    }

    /// Tokens per block.
    #[must_use]
    pub const fn block_tokens(&self) -> u32 {
        self.block_tokens
    }

    /// Number of blocks, a partial last one included.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.ids.len()
    }

    /// Number of whole blocks: a partial last one is left out.
    #[must_use]
    pub const fn whole_blocks(&self) -> usize {
        (self.tokens / self.block_tokens) as usize
    }

    /// Tokens in the first `blocks` blocks.
    #[must_use]
    pub const fn tokens_in(&self, blocks: usize) -> Tokens {
        let aligned = blocks as u64 * self.block_tokens as u64;
        if aligned < self.tokens as u64 { Tokens(aligned) } else { Tokens(self.tokens as u64) }
    }

    /// How many leading blocks two chains of one block size have in common, by bisection.
    #[must_use]
    pub fn common_blocks(&self, other: &Self) -> usize {
        common_prefix(&self.ids, &other.ids)
    }
}

/// How many leading ids two slices *that start at the same position of their chains* have in common.
///
/// Because ids are chained, equality at one position implies equality at all before it: the usual case (all of the
/// shorter one) is one comparison, the rest is bisection.
#[must_use]
pub fn common_prefix(a: &[BlockId], b: &[BlockId]) -> usize {
    let n = a.len().min(b.len());
    if n == 0 || a[n - 1] == b[n - 1] {
        return n;
    }
    let (mut equal, mut differs) = (0, n - 1);
    while equal < differs {
        let middle = usize::midpoint(equal, differs);
        if a[middle] == b[middle] {
            equal = middle + 1;
        } else {
            differs = middle;
        }
    }
    equal
}

impl fmt::Debug for BlockChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockChain({} tokens in {} blocks", self.tokens, self.ids.len())?;
        if let Some(last) = self.ids.last() {
            write!(f, ", last {:016x}", last.0)?;
        }
        write!(f, ")")
    }
}

/// Builds a chain block by block, from content words of the caller's (a trace's ids, hashes of tokens or of text).
#[derive(Clone, Debug)]
pub struct ChainBuilder {
    ids: Vec<BlockId>,
    before_last: u64,
    last: u64,
    last_content: u64,
    block_tokens: u32,
}

impl ChainBuilder {
    /// An empty chain of blocks of `block_tokens` tokens.
    ///
    /// # Errors
    /// When `block_tokens` is zero.
    pub const fn new(block_tokens: u32) -> Result<Self, ChainError> {
        if block_tokens == 0 {
            return Err(ChainError::ZeroBlock);
        }
        Ok(Self { ids: Vec::new(), before_last: ROOT, last: ROOT, last_content: 0, block_tokens })
    }

    /// A builder that continues the whole blocks of a chain; a partial last block is dropped.
    #[must_use]
    pub fn continuing(chain: &BlockChain) -> Self {
        let ids = chain.ids[..chain.whole_blocks()].to_vec();
        let last = ids.last().map_or(ROOT, |id| id.0);
        Self { ids, before_last: last, last, last_content: 0, block_tokens: chain.block_tokens }
    }

    /// Appends a block whose content is (or hashes to) `content`.
    pub fn push_block(&mut self, content: u64) {
        self.before_last = self.last;
        self.last_content = content;
        self.last = link(self.last, content);
        self.ids.push(BlockId(self.last));
    }

    /// Number of blocks so far.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.ids.len()
    }

    /// The chain of a sequence of `tokens` tokens; the last block is partial where the length says so.
    ///
    /// # Errors
    /// When the number of blocks does not fit the length.
    pub fn finish(mut self, tokens: Tokens) -> Result<BlockChain, ChainError> {
        let partial = tokens.0 % u64::from(self.block_tokens);
        if partial != 0 && self.ids.len() as u64 == blocks_for(tokens.0, self.block_tokens) {
            let id = link(link(self.before_last, self.last_content), partial ^ PARTIAL);
            if let Some(last) = self.ids.last_mut() {
                *last = BlockId(id);
            }
        }
        BlockChain::from_ids(self.ids, tokens, self.block_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(raw: &[u64], tokens: u64) -> BlockChain {
        BlockChain::from_raw_ids(raw.iter().copied(), Tokens(tokens), 16).unwrap()
    }

    #[test]
    fn common_blocks_is_what_a_walk_finds() {
        for shared in 0..=9 {
            let a: Vec<u64> = (0..9).collect();
            let b: Vec<u64> = (0..9).map(|i| if i < shared { i } else { i + 100 }).collect();
            assert_eq!(chain(&a, 144).common_blocks(&chain(&b, 144)), shared.min(9) as usize);
        }
    }

    #[test]
    fn the_same_raw_id_after_another_prefix_is_another_block() {
        assert_ne!(chain(&[1, 7], 32).ids()[1], chain(&[2, 7], 32).ids()[1]);
    }

    #[test]
    fn a_partial_last_block_matches_only_at_its_own_length() {
        assert_eq!(chain(&[1, 2], 20), chain(&[1, 2], 20));
        assert_ne!(chain(&[1, 2], 20).ids()[1], chain(&[1, 2], 21).ids()[1]);
        assert_ne!(chain(&[1, 2], 20).ids()[1], chain(&[1, 2], 32).ids()[1]);
        assert_eq!(chain(&[1, 2], 20).ids()[0], chain(&[1, 2], 32).ids()[0]);
    }

    #[test]
    fn a_partial_last_block_is_no_whole_block_followed_by_another() {
        assert_ne!(chain(&[1, 2], 20).ids()[1], chain(&[1, 2, 4], 48).ids()[2]);
    }

    #[test]
    fn continuing_a_chain_gives_the_ids_of_the_whole() {
        let whole = chain(&[1, 2, 3, 4], 64);
        let mut builder = ChainBuilder::continuing(&chain(&[1, 2, 9], 40));
        builder.push_block(3);
        builder.push_block(4);
        assert_eq!(builder.finish(Tokens(64)).unwrap(), whole);
    }

    #[test]
    fn ids_are_stable() {
        let hex = |chain: BlockChain| -> Vec<String> {
            chain.ids().iter().map(|id| format!("{:016x}", id.0)).collect()
        };
        let tokens: Vec<u32> = (0..40).collect();
        assert_eq!(
            hex(BlockChain::from_tokens(&tokens, 16).unwrap()),
            ["e0889a770761b28d", "72676fb8fbef4bdb", "5f9c29ac1eb06ec1"]
        );
        assert_eq!(
            hex(BlockChain::from_tokens(&tokens, 20).unwrap()),
            ["a38317a2370bd16b", "b7ffc04a66e203cd"]
        );
        assert_eq!(hex(BlockChain::from_tokens(&tokens[..7], 1).unwrap())[6], "f90992a006d1f40b");
        assert_eq!(
            hex(chain(&[0, 1, 2], 40)),
            ["f4825f8c62b7812a", "c47d28a0548f400f", "88c35302cc2a574e"]
        );
        assert_eq!(hex(chain(&[0, 1, 2], 48))[2], "1a9633ecd997197f");
    }

    #[test]
    fn token_blocks_are_content_hashes_chained() {
        let tokens: Vec<u32> = (0..100).map(|i| i * i).collect();
        for block_tokens in [1, 3, 15, 16, 17, 100, 128] {
            for length in [1, 15, 16, 17, 48, 100] {
                let mut builder = ChainBuilder::new(block_tokens).unwrap();
                for block in tokens[..length].chunks(block_tokens as usize) {
                    let bytes: Vec<u8> = block.iter().flat_map(|id| id.to_le_bytes()).collect();
                    builder.push_block(xxh3_64(&bytes));
                }
                let wanted = builder.finish(Tokens(length as u64)).unwrap();
                let got = BlockChain::from_tokens(&tokens[..length], block_tokens).unwrap();
                assert_eq!(got, wanted, "{length} tokens in blocks of {block_tokens}");
            }
        }
        assert_eq!(BlockChain::from_tokens(&[], 16), Err(ChainError::Empty));
        assert_eq!(BlockChain::from_tokens(&[1], 0), Err(ChainError::ZeroBlock));
    }

    #[test]
    fn counts_that_do_not_fit_are_refused() {
        let wrong = BlockChain::from_raw_ids([1, 2, 3], Tokens(20), 16);
        assert_eq!(wrong, Err(ChainError::WrongCount { got: 3, wanted: 2 }));
        assert_eq!(BlockChain::from_raw_ids([], Tokens(0), 16), Err(ChainError::Empty));
        assert_eq!(BlockChain::from_raw_ids([1], Tokens(1), 0), Err(ChainError::ZeroBlock));
    }
}
