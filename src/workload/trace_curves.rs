//! What the pictures of a trace need beyond its statistics: the rate over time, the lengths as counts, and the reuse of
//! prefixes within a user and in caches of several sizes.
//!
//! Memory grows with the different blocks and (user, block) pairs, with the time windows and with the sizes of the
//! caches; so a trace's statistics alone ([`TraceInfo::of`]) do not make these.

use crate::{Source, TraceInfo, WorkloadError};
use gorgo_types::{BlockId, Nanos, Request};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// Sizes of the finite caches, in tokens: about what one GPU to a rack holds.
const CACHE_TOKENS: [u64; 6] = [1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28];
/// Windows of the rate at most; where there are more, two become one.
const MOST_WINDOWS: usize = 512;

/// A cache of prompts that evicts the block used least recently, and what it would have hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CacheReuse {
    /// What it holds, in tokens.
    pub capacity_tokens: u64,
    /// Prompt tokens that it had, as a share of all.
    pub token_hit_rate: f64,
}

/// Curves of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceCurves {
    /// Width of the windows of `rate_rps`, in seconds.
    pub window_s: f64,
    /// Requests per second in the windows that follow one another from time zero.
    pub rate_rps: Vec<f64>,
    /// How many prompts have a length in tokens, by length.
    pub input_tokens: BTreeMap<u64, u64>,
    /// The same of outputs.
    pub output_tokens: BTreeMap<u64, u64>,
    /// Prompt tokens that an earlier prompt *of the same user* had, as a share of all; none where a request names no
    /// user.
    pub within_user: Option<f64>,
    /// Caches of the prompts of everybody, smallest first.
    pub caches: Vec<CacheReuse>,
}

impl TraceCurves {
    /// Reads `source` to its end, for its statistics too.
    ///
    /// # Errors
    /// As [`TraceInfo::of`].
    pub fn of(source: &mut dyn Source) -> Result<(TraceInfo, Self), WorkloadError> {
        let block_tokens = u64::from(source.block_tokens());
        let mut rate = Rate { width: Nanos::from_secs(1), counts: Vec::new() };
        let (mut curves, mut users) = (Self::default(), Users::default());
        let mut caches: Vec<Lru> =
            CACHE_TOKENS.iter().map(|tokens| Lru::new(tokens / block_tokens)).collect();
        let mut tokens = 0;
        let info = TraceInfo::of_each(source, |at, request| {
            rate.add(at);
            tokens += request.prompt.tokens().0;
            *curves.input_tokens.entry(request.prompt.tokens().0).or_default() += 1;
            *curves.output_tokens.entry(request.output_tokens.0).or_default() += 1;
            users.add(request);
            for cache in &mut caches {
                cache.add(request);
            }
        })?;
        let share = |hits: u64| hits as f64 / tokens.max(1) as f64;
        curves.window_s = rate.width.as_s();
        curves.rate_rps = rate.counts.iter().map(|&count| count as f64 / curves.window_s).collect();
        curves.within_user = (!users.missing).then(|| share(users.hit_tokens));
        curves.caches = (CACHE_TOKENS.into_iter().zip(&caches))
            .map(|(capacity_tokens, cache)| CacheReuse {
                capacity_tokens,
                token_hit_rate: share(cache.hit_tokens),
            })
            .collect();
        Ok((info, curves))
    }
}

/// Requests per window; the windows widen so that there are never many.
struct Rate {
    width: Nanos,
    counts: Vec<u64>,
}

impl Rate {
    fn add(&mut self, at: Nanos) {
        while at.0 / self.width.0 >= MOST_WINDOWS as u64 {
            self.width = Nanos(self.width.0 * 2);
            self.counts = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
        let index = usize::try_from(at.0 / self.width.0).unwrap_or(MOST_WINDOWS);
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
    }
}

/// What each user's earlier prompts had.
#[derive(Default)]
struct Users {
    seen: FxHashSet<(u64, BlockId)>,
    missing: bool,
    hit_tokens: u64,
}

impl Users {
    fn add(&mut self, request: &Request) {
        let Some(user) = request.user else {
            self.missing = true;
            return;
        };
        let ids = request.prompt.ids();
        let known = ids.partition_point(|&id| self.seen.contains(&(user, id)));
        self.hit_tokens += request.prompt.tokens_in(known).0;
        self.seen.extend(ids[known..].iter().map(|&id| (user, id)));
    }
}

/// No neighbour.
const NONE: u32 = u32::MAX;

/// Blocks in the order of their last use, as a list through a table of slots.
struct Lru {
    capacity: usize,
    slots: Vec<Slot>,
    /// Where a block is. For lookups only.
    places: FxHashMap<BlockId, u32>,
    newest: u32,
    oldest: u32,
    hit_tokens: u64,
}

struct Slot {
    id: BlockId,
    newer: u32,
    older: u32,
}

impl Lru {
    fn new(capacity_blocks: u64) -> Self {
        let capacity = usize::try_from(capacity_blocks).unwrap_or(usize::MAX).min(NONE as usize);
        let (slots, places) = (Vec::new(), FxHashMap::default());
        Self { capacity, slots, places, newest: NONE, oldest: NONE, hit_tokens: 0 }
    }

    fn add(&mut self, request: &Request) {
        let ids = request.prompt.ids();
        // A block without those before it is of no use, so the search ends at the first one that is gone.
        let known = ids.iter().take_while(|id| self.places.contains_key(id)).count();
        self.hit_tokens += request.prompt.tokens_in(known).0;
        // The prompt's beginning is used last: so its end is evicted first. What does not fit is not kept.
        for &id in ids.iter().take(self.capacity).rev() {
            self.touch(id);
        }
    }

    fn touch(&mut self, id: BlockId) {
        let place = if let Some(&place) = self.places.get(&id) {
            self.unlink(place);
            place
        } else if self.slots.len() < self.capacity {
            let place = u32::try_from(self.slots.len()).unwrap_or(NONE);
            self.slots.push(Slot { id, newer: NONE, older: NONE });
            self.places.insert(id, place);
            place
        } else {
            let place = self.oldest;
            self.unlink(place);
            self.places.remove(&self.slots[place as usize].id);
            self.slots[place as usize].id = id;
            self.places.insert(id, place);
            place
        };
        let slot = &mut self.slots[place as usize];
        (slot.newer, slot.older) = (NONE, self.newest);
        match self.newest {
            NONE => self.oldest = place,
            newest => self.slots[newest as usize].newer = place,
        }
        self.newest = place;
    }

    fn unlink(&mut self, place: u32) {
        let Slot { newer, older, .. } = self.slots[place as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_types::{BlockChain, OriginId, RequestId, Tokens};

    fn request(user: Option<u64>, ids: &[u64]) -> Request {
        let tokens = Tokens(ids.len() as u64 * 4);
        let prompt = BlockChain::from_raw_ids(ids.iter().copied(), tokens, 4).expect("a chain");
        let (id, one) = (RequestId { session: 0, turn: 0 }, Tokens(1));
        let (sequence, origin) = (None, OriginId(0));
        let has_session = false;
        Request {
            id,
            user,
            has_session,
            prompt,
            output_tokens: one,
            max_tokens: one,
            sequence,
            origin,
        }
    }

    #[test]
    fn the_end_of_the_prompt_used_longest_ago_goes_first() {
        let mut cache = Lru::new(4);
        let mut hits = |ids: &[u64]| {
            let before = cache.hit_tokens;
            cache.add(&request(None, ids));
            (cache.hit_tokens - before) / 4
        };
        assert_eq!(hits(&[1, 2, 3]), 0);
        assert_eq!(hits(&[1, 2, 3]), 3);
        // Two more blocks: 3 goes, the last block of the older prompt.
        assert_eq!(hits(&[8, 9]), 0);
        assert_eq!(hits(&[1, 2]), 2);
        assert_eq!(hits(&[1, 2, 3]), 2);
        // 3 came back in the place of 9; a prompt longer than the cache keeps its beginning.
        assert_eq!(hits(&[8, 9]), 1);
        assert_eq!(hits(&[5, 6, 7, 5, 6]), 0);
        assert_eq!(hits(&[5, 6, 7, 5, 6]), 4);
        assert!(cache.slots.len() <= 4 && cache.places.len() <= 4);
    }

    #[test]
    fn a_user_reuses_only_what_was_the_users_own() {
        let mut users = Users::default();
        for (user, ids, hits) in [(1, [1, 2], 0), (2, [1, 2], 0), (1, [1, 3], 4), (2, [1, 2], 12)] {
            users.add(&request(Some(user), &ids));
            assert_eq!(users.hit_tokens, hits);
        }
        assert!(!users.missing);
        users.add(&request(None, &[1]));
        assert!(users.missing);
    }

    #[test]
    fn windows_widen_and_lose_nobody() {
        let mut rate = Rate { width: Nanos::from_secs(1), counts: Vec::new() };
        (0..2_000).for_each(|s| rate.add(Nanos::from_secs(s)));
        assert_eq!(rate.width, Nanos::from_secs(4));
        assert_eq!(rate.counts, [4; 500]);
    }
}
