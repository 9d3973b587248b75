//! The index that engines write by events, against a model that is slow and obvious: a set of (replica, block) pairs.

use gorgo_routing::policy::Configured;
use gorgo_routing::policy::gorgo::Gorgo;
use gorgo_routing::{
    Ignored, IndexBound, LearnAt, Router, RouterConfig, RoutingError, RoutingRequest, registry,
};
use gorgo_types::{BlockChain, BlockId, Nanos, RegionId, ReplicaId, RequestId, Tokens};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

const BLOCK: u32 = 4;
const NOW: Nanos = Nanos(1);

fn router(replicas: &[u32]) -> Router {
    let config =
        RouterConfig { learn_at: LearnAt::KvEvent, block_tokens: BLOCK, ..RouterConfig::default() };
    let fleet: Vec<_> = replicas.iter().map(|&i| (ReplicaId(i), RegionId(0))).collect();
    Router::new(config, Box::new(Gorgo::new(Default::default()).unwrap()), &fleet).unwrap()
}

const fn request(prompt: &BlockChain) -> RoutingRequest<'_> {
    let id = RequestId { session: 1, turn: 0 };
    RoutingRequest { id, prompt, max_tokens: Tokens(9), session: None, hops: 0, residency: None }
}

fn chain(content: &[u64], missing: u64) -> BlockChain {
    let tokens = content.len() as u64 * u64::from(BLOCK) - missing;
    BlockChain::from_raw_ids(content.iter().copied(), Tokens(tokens), BLOCK).unwrap()
}

fn cached(router: &mut Router, prompt: &BlockChain) -> Vec<(u32, u64)> {
    router.decide(NOW, &request(prompt), 0);
    router.signals().iter().map(|s| (s.replica.0, s.cached_tokens)).collect()
}

#[derive(Clone, Debug)]
enum Event {
    /// Blocks `from..to` of a chain are stored.
    Store(u32, BlockChain, usize, usize),
    Remove(u32, BlockChain, usize, usize),
    Clear(u32),
    /// The replica leaves and comes again.
    Restart(u32),
    /// A request is served there, of which the index must learn nothing.
    Serve(u32, BlockChain),
    ClearAll,
}

fn prompts() -> impl Strategy<Value = BlockChain> {
    (prop::collection::vec(0..2_u64, 1..9), 0..u64::from(BLOCK))
        .prop_map(|(content, missing)| chain(&content, missing))
}

fn event(replicas: &'static [u32]) -> impl Strategy<Value = Event> {
    let some = (prop::sample::select(replicas), prompts(), 0..9_usize, 0..9_usize);
    some.prop_flat_map(|(replica, chain, a, b)| {
        let (from, to) = (a.min(b), a.max(b));
        prop_oneof![
            12 => Just(Event::Store(replica, chain.clone(), from, to)),
            6 => Just(Event::Remove(replica, chain.clone(), from, to)),
            2 => Just(Event::Serve(replica, chain)),
            1 => Just(Event::Clear(replica)),
            1 => Just(Event::Restart(replica)),
            1 => Just(Event::ClearAll),
        ]
    })
}

/// The whole blocks of a chain from one place to another.
fn blocks(chain: &BlockChain, from: usize, to: usize) -> &[BlockId] {
    let whole = &chain.ids()[..chain.whole_blocks()];
    &whole[from.min(whole.len())..to.min(whole.len())]
}

fn compare(replicas: &[u32], events: &[(Event, BlockChain)]) {
    let mut router = router(replicas);
    let mut held: BTreeSet<(u32, BlockId)> = BTreeSet::new();
    for (event, prompt) in events {
        match event {
            Event::Store(replica, chain, from, to) => {
                let blocks = blocks(chain, *from, *to);
                router.kv_stored(NOW, ReplicaId(*replica), blocks);
                held.extend(blocks.iter().map(|&id| (*replica, id)));
            }
            Event::Remove(replica, chain, from, to) => {
                let blocks = blocks(chain, *from, *to);
                router.kv_removed(NOW, ReplicaId(*replica), blocks);
                held.retain(|(holder, id)| holder != replica || !blocks.contains(id));
            }
            Event::Clear(replica) => {
                router.kv_cleared(NOW, ReplicaId(*replica));
                held.retain(|(holder, _)| holder != replica);
            }
            Event::Restart(replica) => {
                router.replica_removed(NOW, ReplicaId(*replica)).unwrap();
                router.replica_added(NOW, ReplicaId(*replica), RegionId(0)).unwrap();
                held.retain(|(holder, _)| holder != replica);
            }
            Event::Serve(replica, chain) => {
                let ticket = router.dispatched(NOW, &request(chain), ReplicaId(*replica));
                router.first_token(NOW, ticket);
                router.cache_reported(NOW, ReplicaId(*replica), chain, Tokens(0));
                router.finished(NOW, ticket, Some(chain));
            }
            Event::ClearAll => {
                router.index_clear();
                held.clear();
            }
        }
        for (replica, tokens) in cached(&mut router, prompt) {
            let whole = blocks(prompt, 0, usize::MAX).iter();
            let wanted = whole.take_while(|&&id| held.contains(&(replica, id))).count();
            assert_eq!(tokens, wanted as u64 * u64::from(BLOCK), "replica {replica}, {event:?}");
        }
        let stats = router.index_stats();
        let distinct: BTreeSet<BlockId> = held.iter().map(|&(_, id)| id).collect();
        assert_eq!(stats.blocks, distinct.len() as u64);
        for &replica in replicas {
            let wanted = held.iter().filter(|(holder, _)| *holder == replica).count() as u64;
            let tokens = stats.tokens_per_replica.get(replica as usize).copied().unwrap_or(0);
            assert_eq!(tokens, wanted * u64::from(BLOCK), "replica {replica}");
        }
    }
    assert_eq!(router.ignored(), Ignored::default());
}

proptest! {
    #[test]
    fn the_index_is_what_the_events_say(
        events in prop::collection::vec((event(&[0, 1, 2]), prompts()), 1..120),
    ) {
        compare(&[0, 1, 2], &events);
    }

    #[test]
    fn of_many_replicas_too(
        events in prop::collection::vec((event(&[3, 63, 64, 200]), prompts()), 1..80),
    ) {
        compare(&[3, 63, 64, 200], &events);
    }
}

#[test]
fn a_block_given_up_in_the_middle_ends_the_match_and_comes_back() {
    let mut router = router(&[0]);
    let prompt = chain(&[5, 6, 7, 8], 0);
    router.kv_stored(NOW, ReplicaId(0), prompt.ids());
    assert_eq!(cached(&mut router, &prompt), [(0, 16)]);
    router.kv_removed(NOW, ReplicaId(0), &prompt.ids()[1..2]);
    assert_eq!(cached(&mut router, &prompt), [(0, 4)]);
    router.kv_stored(NOW, ReplicaId(0), &prompt.ids()[1..2]);
    assert_eq!(cached(&mut router, &prompt), [(0, 16)]);
}

#[test]
fn events_that_nobody_listens_to_are_counted() {
    let fleet = [(ReplicaId(0), RegionId(0))];
    let policy = || registry::build("gorgo", json!({})).unwrap();
    let mut router = Router::new(RouterConfig::default(), policy(), &fleet).unwrap();
    router.kv_stored(NOW, ReplicaId(0), &[BlockId(1)]);
    router.kv_removed(NOW, ReplicaId(0), &[BlockId(1)]);
    router.kv_stored(NOW, ReplicaId(1), &[BlockId(1)]);
    let wanted = Ignored { kv_event: 2, unknown_replica: 1, ..Ignored::default() };
    assert_eq!(router.ignored(), wanted);
}

#[test]
fn a_bound_makes_no_sense_where_engines_say_what_they_hold() {
    let index = IndexBound::Lru { capacity_tokens_per_replica: 1_000 };
    let config = RouterConfig { learn_at: LearnAt::KvEvent, index, ..RouterConfig::default() };
    let refused = config.validate();
    assert!(
        matches!(refused, Err(RoutingError::Parameter { parameter: "index", .. })),
        "{refused:?}"
    );
}
