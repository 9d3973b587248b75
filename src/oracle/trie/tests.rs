//! Hand-computed trees: blocks of 4 tokens, written as letters.

use super::*;
use gorgo_types::Tokens;

/// A chain of blocks of 4 tokens with these contents; `tokens` says how long the last one is.
fn chain(raw: &[u64], tokens: u64) -> BlockChain {
    BlockChain::from_raw_ids(raw.iter().copied(), Tokens(tokens), 4).unwrap()
}

fn all(chain: &BlockChain) -> Vec<TokenName> {
    names(chain, chain.tokens().0)
}

#[test]
fn a_prefix_is_found_and_split_off() {
    let mut trie = TokenTrie::new();
    trie.insert(&all(&chain(&[1, 2, 3], 12)), None);
    assert_eq!(trie.find(&all(&chain(&[1, 2, 9], 12))).len(), 8);
    assert_eq!(trie.find(&all(&chain(&[7, 2], 8))).len(), 0);
    // The third block is a unit of its own now, and older than the first two.
    assert_eq!(trie.evict(1), 4);
    assert_eq!(trie.evict(1), 8);
    assert_eq!((trie.count(), trie.evict(1)), (0, 0));
    trie.check();
}

#[test]
fn a_partial_block_matches_only_at_its_own_length() {
    let mut trie = TokenTrie::new();
    trie.insert(&all(&chain(&[1, 2], 6)), None);
    assert_eq!(trie.walk(&all(&chain(&[1, 2], 6))).len(), 6);
    assert_eq!(trie.walk(&all(&chain(&[1, 2], 7))).len(), 4);
    assert_eq!(trie.walk(&all(&chain(&[1, 2], 8))).len(), 4);
}

#[test]
fn an_output_continues_its_prompts_partial_tail() {
    let mut trie = TokenTrie::new();
    let prompt = chain(&[1, 2], 6);
    let end = trie.insert(&all(&prompt), None);
    let sequence = chain(&[1, 2, 3], 12);
    trie.insert(&all(&sequence), Some(end));
    // Nothing is held twice: 6 tokens of the prompt, 2 more of its second block, 4 of the third.
    assert_eq!(trie.count(), 12);
    trie.check();
    // A later prompt that contains the whole second block goes through the tail, and is split off behind it.
    assert_eq!(trie.find(&all(&chain(&[1, 2, 8], 12))).len(), 8);
    assert_eq!(trie.walk(&all(&prompt)).len(), 6);
    assert_eq!(trie.evict(1), 4);
    assert_eq!(trie.evict(1), 2);
    assert_eq!(trie.evict(1), 6);
}

#[test]
fn an_output_that_is_known_elsewhere_is_found_there() {
    let mut trie = TokenTrie::new();
    let end = trie.insert(&all(&chain(&[1, 2], 6)), None);
    trie.insert(&all(&chain(&[1, 2, 5], 12)), None);
    assert_eq!(trie.count(), 6 + 8);
    trie.insert(&all(&chain(&[1, 2, 3], 12)), Some(end));
    assert_eq!(trie.count(), 6 + 8 + 4);
    trie.check();
    // The tail was not touched by that: it goes first.
    assert_eq!(trie.evict(1), 2);
    // Of the two third blocks, the one that came first goes first.
    trie.find(&all(&chain(&[1, 2, 5], 12)));
    trie.evict(1);
    assert_eq!(trie.walk(&all(&chain(&[1, 2, 3], 12))).len(), 8);
    assert_eq!(trie.walk(&all(&chain(&[1, 2, 5], 12))).len(), 12);
}

#[test]
fn locked_paths_stay() {
    let mut trie = TokenTrie::new();
    let long = trie.insert(&all(&chain(&[1, 2, 3], 12)), None);
    let path = trie.find(&all(&chain(&[1, 9], 8)));
    assert_eq!(trie.unlocked_on(path[3]), 4);
    assert_eq!(trie.lock(path[3]), 4);
    assert_eq!((trie.lock(path[3]), trie.evictable()), (0, 8));
    assert_eq!(trie.evict(100), 8);
    assert_eq!(trie.count(), 4);
    assert!(trie.path_to(path[3]).len() == 4 && long != path[3]);
    trie.unlock(path[3]);
    assert_eq!(trie.evict(100), 0);
    trie.unlock(path[3]);
    assert_eq!(trie.evict(100), 4);
    trie.check();
}

#[test]
fn splitting_keeps_stamps_and_locks() {
    let mut trie = TokenTrie::new();
    let end = trie.insert(&all(&chain(&[1, 2], 8)), None);
    trie.lock(end);
    trie.insert(&all(&chain(&[1, 3], 8)), None);
    // [1] and [2] are locked, [3] is not.
    assert_eq!((trie.count(), trie.evictable()), (12, 4));
    trie.unlock(end);
    // [2] was last touched by its own insertion, before [1, 3] came.
    assert_eq!(trie.evict(1), 4);
    assert_eq!(trie.walk(&all(&chain(&[1, 2], 8))).len(), 4);
    assert_eq!(trie.walk(&all(&chain(&[1, 3], 8))).len(), 8);
    trie.check();
}
