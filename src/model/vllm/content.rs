//! What a request's blocks are known by.

use super::Live;
use super::pool::Known;
use gorgo_types::{BlockChain, BlockId};

impl Live {
    /// What its block `index` of `size` tokens is known by once it is full.
    pub(super) fn known(&self, index: u32, size: u32) -> Known {
        let end = (u64::from(index) + 1) * u64::from(size);
        if end <= self.prompt.tokens().get() {
            return content(&self.prompt, index, size).map_or(Known::Unnamed, Known::As);
        }
        let sequence = self.sequence.as_ref().filter(|sequence| end <= sequence.tokens().get());
        sequence.and_then(|s| content(s, index, size)).map_or(Known::Unnamed, Known::As)
    }
}

/// The content of a chain's engine block, of `size` tokens: one id of the chain where its blocks are as large or smaller,
/// a part of one where they are larger. The chain's block size and `size` must be multiples of each other.
pub(super) fn content(chain: &BlockChain, index: u32, size: u32) -> Option<BlockId> {
    let own = chain.block_tokens();
    if size >= own {
        // The last of the chain's blocks inside: its id stands for all before it too.
        let last = (u64::from(index) + 1) * u64::from(size / own) - 1;
        return chain.ids().get(usize::try_from(last).ok()?).copied();
    }
    let parts = own / size;
    let id = chain.ids().get((index / parts) as usize)?;
    // Parts of a block are told apart by their place; SplitMix64's constant keeps them off other blocks' ids.
    Some(BlockId(id.0 ^ u64::from(index % parts).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_types::Tokens;

    #[test]
    fn engine_blocks_may_be_larger_or_smaller_than_the_chains() {
        let raw: Vec<u64> = (0..8).collect();
        let chain = BlockChain::from_raw_ids(raw.iter().copied(), Tokens(128), 16).unwrap();
        assert_eq!(content(&chain, 3, 16), Some(chain.ids()[3]));
        assert_eq!(content(&chain, 1, 32), Some(chain.ids()[3]));
        assert_eq!(content(&chain, 4, 32), None);
        assert_eq!(content(&chain, 2, 8), Some(chain.ids()[1]));
        assert_ne!(content(&chain, 2, 8), content(&chain, 3, 8));
    }
}
