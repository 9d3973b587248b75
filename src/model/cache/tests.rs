//! Tests of the prefix cache: cases by hand, and random operations against a naive choice of what to evict.

use super::*;
use gorgo_types::{ChainBuilder, Tokens};
use proptest::prelude::*;

const BLOCK: u32 = 16;

/// A chain of blocks with these contents and `tokens` tokens.
fn chain(contents: &[u64], tokens: u64) -> BlockChain {
    BlockChain::from_raw_ids(contents.iter().copied(), Tokens(tokens), BLOCK).unwrap()
}

/// Whole blocks only.
fn whole(contents: &[u64]) -> BlockChain {
    chain(contents, contents.len() as u64 * u64::from(BLOCK))
}

/// As a request does it: match, lock, insert the rest, and keep the lock.
fn hold(cache: &mut PrefixCache, chain: &BlockChain) -> NodeId {
    let found = cache.find(chain);
    cache.touch_and_lock(found.node);
    let inserted = cache.insert_and_lock(found.node, found.blocks, chain, chain.blocks());
    cache.check().unwrap();
    inserted.node
}

/// A request that comes and goes.
fn pass(cache: &mut PrefixCache, chain: &BlockChain) {
    let node = hold(cache, chain);
    cache.release(node, None);
    cache.check().unwrap();
}

#[test]
fn a_prompt_is_found_block_by_block_and_split_where_another_leaves_it() {
    let mut cache = PrefixCache::new();
    pass(&mut cache, &whole(&[1, 2, 3, 4]));
    assert_eq!((cache.tokens(), cache.evictable_tokens(), cache.node_count()), (64, 64, 1));
    assert_eq!(cache.peek_tokens(&whole(&[1, 2, 9])), 32);
    assert_eq!(cache.node_count(), 1, "a peek splits nothing");
    let found = cache.find(&whole(&[1, 2, 9]));
    assert_eq!((found.blocks, found.tokens, cache.node_count()), (2, 32, 2));
    cache.touch(found.node);
    cache.check().unwrap();
    pass(&mut cache, &whole(&[1, 2, 9]));
    assert_eq!((cache.tokens(), cache.node_count()), (80, 3));
    assert_eq!(cache.peek_tokens(&whole(&[1, 2, 3, 4, 5])), 64);
    assert_eq!(cache.peek_tokens(&whole(&[2])), 0);
}

#[test]
fn a_partial_last_block_is_found_at_its_own_length_only() {
    let mut cache = PrefixCache::new();
    pass(&mut cache, &chain(&[1, 2], 20));
    assert_eq!(cache.tokens(), 20);
    assert_eq!(cache.peek_tokens(&chain(&[1, 2], 20)), 20);
    assert_eq!(cache.peek_tokens(&chain(&[1, 2], 21)), 16);
    assert_eq!(cache.peek_tokens(&whole(&[1, 2])), 16);
}

#[test]
fn the_oldest_leaf_goes_first_and_its_parent_after_it() {
    let mut cache = PrefixCache::new();
    pass(&mut cache, &whole(&[1, 2]));
    pass(&mut cache, &whole(&[1, 3, 4]));
    pass(&mut cache, &whole(&[7]));
    // Nodes: [1] with leaves [2] and [3, 4]; [7]. The path of [1, 2] was touched first.
    assert_eq!(cache.evict(1), 16);
    assert_eq!(cache.peek_tokens(&whole(&[1, 2])), 16);
    assert_eq!(cache.evict(1), 32, "a node goes as a whole");
    assert_eq!(cache.evict(17), 32, "its parent, now a leaf, is older than [7], which follows");
    assert_eq!((cache.tokens(), cache.evict(1)), (0, 0));
    cache.check().unwrap();
}

#[test]
fn a_locked_path_stays() {
    let mut cache = PrefixCache::new();
    let held = hold(&mut cache, &whole(&[1, 2]));
    pass(&mut cache, &whole(&[1, 3]));
    assert_eq!((cache.evictable_tokens(), cache.unlocked_tokens(held)), (16, 0));
    assert_eq!(cache.evict(1_000), 16);
    assert_eq!(cache.peek_tokens(&whole(&[1, 2])), 32);
    cache.release(held, None);
    assert_eq!(cache.evict(1_000), 32);
}

#[test]
fn a_touch_saves_a_path_from_eviction() {
    let mut cache = PrefixCache::new();
    pass(&mut cache, &whole(&[1]));
    pass(&mut cache, &whole(&[2]));
    let found = cache.find(&whole(&[1, 5]));
    cache.touch(found.node);
    cache.evict(1);
    assert_eq!((cache.peek_tokens(&whole(&[1])), cache.peek_tokens(&whole(&[2]))), (16, 0));
}

#[test]
fn what_is_unlocked_without_a_touch_keeps_its_age() {
    let mut cache = PrefixCache::new();
    let first = hold(&mut cache, &whole(&[1, 2]));
    pass(&mut cache, &whole(&[3]));
    cache.unlock(first);
    cache.check().unwrap();
    assert_eq!(cache.evict(1), 32, "older than [3], though unlocked later");
    assert_eq!(cache.peek_tokens(&whole(&[3])), 16);
}

#[test]
fn a_split_keeps_locks_and_age() {
    let mut cache = PrefixCache::new();
    let held = hold(&mut cache, &whole(&[1, 2, 3]));
    let found = cache.find(&whole(&[1, 9]));
    cache.check().unwrap();
    assert_ne!(found.node, held, "the holder keeps the lower end");
    assert_eq!(cache.evict(1_000), 0);
    cache.unlock(held);
    cache.check().unwrap();
    assert_eq!(cache.evict(1), 32, "the lower part, deepest of equal stamps");
    assert_eq!(cache.evict(1), 16);
}

/// Prompt of 20 tokens [1, 2'], then output that fills the second block and a third.
fn sequence() -> BlockChain {
    whole(&[1, 2, 3])
}

#[test]
fn an_output_hangs_below_the_partial_block_and_brings_the_next_turn_to_it() {
    let mut cache = PrefixCache::new();
    let node = hold(&mut cache, &chain(&[1, 2], 20));
    let inserted = cache.release(node, Some((1, &sequence(), 3)));
    cache.check().unwrap();
    assert_eq!(inserted.added_tokens, 28, "counted from the prompt's end");
    assert_eq!((cache.tokens(), cache.node_count()), (48, 2));
    let next_turn = whole(&[1, 2, 3, 4]);
    assert_eq!(cache.peek_tokens(&next_turn), 48);
    let found = cache.find(&next_turn);
    assert_eq!((found.tokens, cache.node_count()), (48, 2), "nothing to split");
    cache.touch_and_lock(found.node);
    cache.check().unwrap();
    assert_eq!(cache.evict(1_000), 0, "the prompt's tail is on the path");
    // One that leaves the output inside splits it; its tokens still count from the prompt's end.
    let found = cache.find(&whole(&[1, 2, 9]));
    assert_eq!((found.tokens, cache.node_count()), (32, 3));
    cache.check().unwrap();
    // One that leaves before the partial block splits that off.
    let found = cache.find(&whole(&[1, 9]));
    assert_eq!((found.tokens, cache.node_count()), (16, 4));
    cache.check().unwrap();
    assert_eq!(cache.peek_tokens(&next_turn), 48);
    assert_eq!(cache.peek_tokens(&chain(&[1, 2], 20)), 20);
}

#[test]
fn an_output_whose_first_block_is_elsewhere_is_matched_there() {
    let mut cache = PrefixCache::new();
    let node = hold(&mut cache, &chain(&[1, 2], 20));
    pass(&mut cache, &whole(&[1, 2]));
    assert_eq!(cache.tokens(), 36, "block 1 once, 4 tokens of the tail, block 2 as a whole");
    let inserted = cache.release(node, Some((1, &sequence(), 3)));
    cache.check().unwrap();
    assert_eq!((inserted.added_tokens, cache.tokens()), (16, 52));
    assert_eq!(cache.evict(1), 4, "the tail was not on the touched path");
}

#[test]
fn two_with_the_same_prefix_in_one_batch_insert_it_once() {
    let mut cache = PrefixCache::new();
    let prompt = whole(&[1, 2, 3]);
    let (a, b) = (cache.find(&prompt), cache.find(&prompt));
    let first = cache.insert_and_lock(a.node, a.blocks, &prompt, 3);
    let second = cache.insert_and_lock(b.node, b.blocks, &prompt, 3);
    assert_eq!((first.added_tokens, second.added_tokens), (48, 0));
    assert_eq!(first.node, second.node);
    cache.release(first.node, None);
    assert_eq!(cache.evictable_tokens(), 0);
    cache.release(second.node, None);
    assert_eq!(cache.evictable_tokens(), 48);
    cache.check().unwrap();
}

#[test]
fn a_small_part_of_a_long_chain_does_not_keep_it_alive() {
    let mut cache = PrefixCache::new();
    let contents: Vec<u64> = (0..100).collect();
    pass(&mut cache, &whole(&contents[..99]));
    let long = whole(&contents);
    pass(&mut cache, &long);
    assert_eq!(std::sync::Arc::strong_count(long.shared_ids()), 1);
    assert_eq!(cache.peek_tokens(&long), 1_600);
}

/// The leaf that the rule names, found by looking at every node.
fn naive_victim(cache: &PrefixCache) -> Option<NodeId> {
    (1..cache.nodes.len())
        .map(|index| NodeId(narrow(index)))
        .filter(|id| !cache.vacant.contains(id))
        .filter(|id| {
            let node = &cache.nodes[id.index()];
            node.locks == 0 && node.children == 0
        })
        .min_by_key(|id| {
            let node = &cache.nodes[id.index()];
            (node.stamp, std::cmp::Reverse(node.depth))
        })
}

#[derive(Clone, Debug)]
enum Op {
    /// A request comes (what of its chain: see `prompt`), is refused or admitted.
    Come {
        seed: u64,
        blocks: u64,
        tail: u64,
        admitted: bool,
    },
    /// The n-th holder goes: with output, without, or retracted.
    Go {
        which: usize,
        how: u8,
        output: u64,
    },
    Evict {
        tokens: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..1_u64 << 20, 1..6_u64, 0..16_u64, any::<bool>())
            .prop_map(|(seed, blocks, tail, admitted)| Op::Come { seed, blocks, tail, admitted }),
        (any::<usize>(), 0..4_u8, 1..60_u64).prop_map(|(which, how, output)| Op::Go {
            which,
            how,
            output
        }),
        (1..200_u64).prop_map(|tokens| Op::Evict { tokens }),
    ]
}

/// Contents of two choices a block, so that prompts share, leave each other, and contain each other's outputs.
fn contents(seed: u64, blocks: u64) -> impl Iterator<Item = u64> {
    (0..blocks).map(move |position| seed >> position & 1)
}

/// A prompt of so many blocks less `tail` tokens, and a sequence that goes on with output.
fn prompt(seed: u64, blocks: u64, tail: u64, output: u64) -> (BlockChain, BlockChain) {
    let tokens = blocks * u64::from(BLOCK) - tail;
    let prompt = BlockChain::from_raw_ids(contents(seed, blocks), Tokens(tokens), BLOCK).unwrap();
    let total = tokens + output;
    let all = total.div_ceil(u64::from(BLOCK));
    let mut builder = ChainBuilder::new(BLOCK).unwrap();
    contents(seed, all).for_each(|content| builder.push_block(content));
    (prompt, builder.finish(Tokens(total)).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(debug_assertions) { 300 } else { 3_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_operations_keep_the_tree_whole(ops in prop::collection::vec(op(), 1..80)) {
        let mut cache = PrefixCache::new();
        let mut holders: Vec<(NodeId, u64, u64, u64)> = Vec::new();
        for op in ops {
            match op {
                Op::Come { seed, blocks, tail, admitted } => {
                    let (prompt, _) = prompt(seed, blocks, tail, 1);
                    let (before, peeked) = (cache.tokens(), cache.peek_tokens(&prompt));
                    let found = cache.find(&prompt);
                    prop_assert_eq!(u64::from(found.tokens), peeked);
                    if !admitted {
                        cache.touch(found.node);
                    } else {
                        let free = cache.unlocked_tokens(found.node);
                        let evictable = cache.evictable_tokens();
                        cache.touch_and_lock(found.node);
                        prop_assert_eq!(cache.evictable_tokens(), evictable - free);
                        let inserted =
                            cache.insert_and_lock(found.node, found.blocks, &prompt, prompt.blocks());
                        prop_assert_eq!(inserted.added_tokens, prompt.tokens().0 - peeked);
                        prop_assert_eq!(cache.tokens(), before + inserted.added_tokens);
                        prop_assert_eq!(cache.depth(inserted.node), prompt.tokens().0);
                        holders.push((inserted.node, seed, blocks, tail));
                    }
                }
                Op::Go { which, how, output } => {
                    if holders.is_empty() {
                        continue;
                    }
                    let (node, seed, blocks, tail) = holders.swap_remove(which % holders.len());
                    let (prompt, sequence) = prompt(seed, blocks, tail, output);
                    let to = sequence.whole_blocks();
                    match how {
                        0 => cache.unlock(node),
                        1 => { cache.release(node, None); }
                        _ if to > prompt.whole_blocks() => {
                            let whole = narrow(prompt.whole_blocks());
                            let inserted = cache.release(node, Some((whole, &sequence, to)));
                            prop_assert!(inserted.added_tokens <= output);
                            prop_assert_eq!(
                                cache.peek_tokens(&sequence) >= to as u64 * u64::from(BLOCK), true
                            );
                        }
                        _ => { cache.release(node, None); }
                    }
                }
                Op::Evict { tokens } => {
                    let mut freed = 0;
                    while freed < tokens {
                        let victim = naive_victim(&cache);
                        prop_assert_eq!(victim.unwrap_or(NodeId::NONE), cache.oldest);
                        let Some(_) = victim else { break };
                        freed += cache.evict(1);
                        cache.check().map_err(TestCaseError::fail)?;
                    }
                }
            }
            cache.check().map_err(TestCaseError::fail)?;
        }
        for (node, ..) in holders {
            cache.release(node, None);
        }
        cache.check().map_err(TestCaseError::fail)?;
        let all = cache.tokens();
        prop_assert_eq!(cache.evict(u64::MAX), all);
        prop_assert_eq!(cache.node_count(), 0);
    }
}
