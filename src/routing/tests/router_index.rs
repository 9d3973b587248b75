//! The prefix index against a model that is slow and obvious: a set of (replica, block) pairs with the time of their
//! last use. Random operations, bounded and unbounded; after each one every invariant and some matches are compared.

use gorgo_routing::{IndexBound, PrefixIndex};
use gorgo_types::{BlockChain, BlockId, ReplicaId, Tokens};
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeMap;

const BLOCK: u32 = 4;

/// A block held by a replica.
#[derive(Clone, Copy, Debug)]
struct Held {
    used: u64,
    depth: usize,
    tokens: u64,
}

/// The model.
#[derive(Debug, Default)]
struct Naive {
    held: BTreeMap<(u32, BlockId), Held>,
    parents: BTreeMap<BlockId, BlockId>,
    capacity: Option<u64>,
    clock: u64,
    evicted: u64,
}

impl Naive {
    fn insert(&mut self, replica: u32, chain: &BlockChain) {
        self.clock += 1;
        for (depth, &id) in chain.ids().iter().enumerate() {
            let tokens = (chain.tokens_in(depth + 1) - chain.tokens_in(depth)).get();
            self.held.insert((replica, id), Held { used: self.clock, depth, tokens });
            if depth > 0 {
                self.parents.insert(id, chain.ids()[depth - 1]);
            }
        }
        while self.capacity.is_some_and(|capacity| self.tokens(replica) > capacity) {
            let oldest = self
                .held
                .iter()
                .filter(|((holder, _), _)| *holder == replica)
                .min_by_key(|(_, held)| (held.used, Reverse(held.depth)))
                .map(|(&key, _)| key)
                .unwrap();
            self.evicted += self.held.remove(&oldest).unwrap().tokens;
        }
    }

    fn tokens(&self, replica: u32) -> u64 {
        self.held.iter().filter(|((holder, _), _)| *holder == replica).map(|(_, h)| h.tokens).sum()
    }

    fn cached(&self, replica: u32, chain: &BlockChain) -> u64 {
        let blocks =
            chain.ids().iter().take_while(|&&id| self.held.contains_key(&(replica, id))).count();
        chain.tokens_in(blocks).get()
    }

    fn trim(&mut self, replica: u32, chain: &BlockChain, keep: u64) {
        if keep >= chain.tokens().get() {
            return;
        }
        let keep = (keep / u64::from(BLOCK)) as usize;
        if self.cached(replica, chain) <= (keep * BLOCK as usize) as u64 {
            return;
        }
        let top = chain.ids()[keep];
        let below = |mut id: BlockId| loop {
            if id == top {
                return true;
            }
            match self.parents.get(&id) {
                Some(&parent) => id = parent,
                None => return false,
            }
        };
        let gone: Vec<_> = self
            .held
            .keys()
            .filter(|(holder, id)| *holder == replica && below(*id))
            .copied()
            .collect();
        for key in gone {
            self.held.remove(&key);
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u32, BlockChain),
    Trim(u32, BlockChain, u64),
    Remove(u32),
    Clear,
}

/// Prompts of up to 12 blocks over an alphabet of two, so that they share, diverge and end everywhere.
fn chain() -> impl Strategy<Value = BlockChain> {
    (prop::collection::vec(0..2u64, 1..12), 0..u64::from(BLOCK)).prop_map(|(content, missing)| {
        let tokens = content.len() as u64 * u64::from(BLOCK) - missing;
        BlockChain::from_raw_ids(content, Tokens(tokens), BLOCK).unwrap()
    })
}

fn op(replicas: &'static [u32]) -> impl Strategy<Value = Op> {
    let replica = prop::sample::select(replicas);
    prop_oneof![
        60 => (replica.clone(), chain()).prop_map(|(replica, chain)| Op::Insert(replica, chain)),
        10 => (replica.clone(), chain(), 0..48u64).prop_map(|(r, chain, keep)| Op::Trim(r, chain, keep)),
        3 => replica.prop_map(Op::Remove),
        1 => Just(Op::Clear),
    ]
}

fn compare(ops: &[(Op, BlockChain)], replicas: &[u32], capacity: Option<u64>) {
    let bound = capacity.map_or(IndexBound::Unbounded, |capacity_tokens_per_replica| {
        IndexBound::Lru { capacity_tokens_per_replica }
    });
    let mut index = PrefixIndex::new(BLOCK, bound);
    let mut naive = Naive { capacity, ..Naive::default() };
    let mut cached = vec![0; 1 + *replicas.iter().max().unwrap() as usize];
    for (step, (op, query)) in ops.iter().enumerate() {
        match op {
            Op::Insert(replica, chain) => {
                index.insert(ReplicaId(*replica), chain);
                naive.insert(*replica, chain);
            }
            Op::Trim(replica, chain, keep) => {
                index.trim(ReplicaId(*replica), chain, Tokens(*keep));
                naive.trim(*replica, chain, *keep);
            }
            Op::Remove(replica) => {
                index.remove_replica(ReplicaId(*replica));
                naive.held.retain(|(holder, _), _| holder != replica);
            }
            Op::Clear => {
                index.clear();
                naive.held.clear();
            }
        }
        index.check().unwrap_or_else(|broken| panic!("step {step}, {op:?}: {broken}"));
        index.match_all(query, &mut cached);
        for &replica in replicas {
            let wanted = naive.cached(replica, query);
            assert_eq!(
                cached[replica as usize], wanted,
                "step {step}, replica {replica}, {query:?}"
            );
            let tokens = index.stats().tokens_per_replica.get(replica as usize).copied();
            assert_eq!(
                tokens.unwrap_or(0),
                naive.tokens(replica),
                "step {step}, replica {replica}"
            );
        }
        assert_eq!(index.stats().evicted_tokens, naive.evicted, "step {step}");
        assert_eq!(index.stats().collisions, 0);
    }
}

const FEW: &[u32] = &[0, 1, 2];
const WIDE: &[u32] = &[0, 63, 64, 130, 200];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn unbounded_is_the_model(ops in prop::collection::vec((op(FEW), chain()), 1..80)) {
        compare(&ops, FEW, None);
    }

    #[test]
    fn bounded_is_the_model(
        ops in prop::collection::vec((op(FEW), chain()), 1..120),
        capacity in u64::from(BLOCK)..120,
    ) {
        compare(&ops, FEW, Some(capacity));
    }

    #[test]
    fn more_than_64_replicas_are_the_model(
        ops in prop::collection::vec((op(WIDE), chain()), 1..60),
        capacity in prop::option::of(u64::from(BLOCK)..120),
    ) {
        compare(&ops, WIDE, capacity);
    }
}

/// A chain of `blocks` whole blocks of the given content.
fn whole(content: impl IntoIterator<Item = u64>) -> BlockChain {
    let content: Vec<u64> = content.into_iter().collect();
    let tokens = Tokens(content.len() as u64 * u64::from(BLOCK));
    BlockChain::from_raw_ids(content, tokens, BLOCK).unwrap()
}

#[test]
fn a_conversation_at_one_replica_is_one_node() {
    let mut index = PrefixIndex::new(BLOCK, IndexBound::Unbounded);
    for turn in 1..=20 {
        index.insert(ReplicaId(0), &whole(0..turn * 5));
    }
    let stats = index.stats();
    assert_eq!((stats.nodes, stats.blocks), (1, 100));
}

#[test]
fn a_bounded_index_stays_small_however_much_passes_through() {
    let bound = IndexBound::Lru { capacity_tokens_per_replica: 400 };
    let mut index = PrefixIndex::new(BLOCK, bound);
    for session in 0..2_000u64 {
        // A system prompt of 20 blocks, left after a varying part of it, and 30 own blocks.
        let own = (0..30).map(|block| 1_000 + session * 100 + block);
        let chain = whole((0..1 + session % 20).chain(own));
        index.insert(ReplicaId((session % 4) as u32), &chain);
    }
    let stats = index.stats();
    index.check().unwrap();
    assert!(stats.blocks <= 400, "4 replicas hold 100 blocks each, not {}", stats.blocks);
    assert!(stats.nodes <= 100, "{} nodes", stats.nodes);
    assert!(stats.evicted_tokens > 0);
}

#[test]
fn runs_that_differ_in_nothing_any_more_are_joined() {
    let bound = IndexBound::Lru { capacity_tokens_per_replica: 80 };
    let mut index = PrefixIndex::new(BLOCK, bound);
    index.insert(ReplicaId(0), &whole([1, 2, 3, 4, 5]));
    index.insert(ReplicaId(0), &whole([1, 2, 9]));
    index.insert(ReplicaId(0), &whole([1, 2, 3, 4, 5]));
    assert_eq!(index.stats().nodes, 3);
    // What gives way is the branch to 9: a straight line is left.
    index.insert(ReplicaId(0), &whole(100..115));
    assert_eq!(index.stats().evicted_tokens, 4);
    assert_eq!(index.stats().nodes, 2);
    index.check().unwrap();
}

#[test]
fn a_foreign_block_size_matches_nothing_and_is_not_taken_in() {
    let mut index = PrefixIndex::new(BLOCK, IndexBound::Unbounded);
    let foreign = BlockChain::from_raw_ids([1, 2], Tokens(32), 16).unwrap();
    index.insert(ReplicaId(0), &foreign);
    assert_eq!(index.stats().nodes, 0);
    let mut cached = [7];
    index.match_all(&foreign, &mut cached);
    assert_eq!(cached, [0]);
}

#[test]
fn ids_that_are_no_chain_are_counted_and_break_nothing() {
    let chain = |ids: &[u64]| {
        let ids: Vec<BlockId> = ids.iter().map(|&id| BlockId(id)).collect();
        let tokens = Tokens(ids.len() as u64 * u64::from(BLOCK));
        BlockChain::from_ids(ids, tokens, BLOCK).unwrap()
    };
    for capacity in [None, Some(16)] {
        let bound = capacity.map_or(IndexBound::Unbounded, |capacity_tokens_per_replica| {
            IndexBound::Lru { capacity_tokens_per_replica }
        });
        let mut index = PrefixIndex::new(BLOCK, bound);
        for ids in [&[5, 5, 5][..], &[5, 7], &[7, 5], &[5, 5, 7], &[7], &[5]] {
            index.insert(ReplicaId(0), &chain(ids));
            index.insert(ReplicaId(1), &chain(ids));
            index.trim(ReplicaId(1), &chain(ids), Tokens(4));
            index.match_all(&chain(ids), &mut [0, 0]);
        }
        assert!(index.stats().collisions > 0);
    }
}
