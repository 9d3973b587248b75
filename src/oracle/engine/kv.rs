//! KV memory as requests see it: what is free, what enters the cache, what is freed (*Release* and *Insertion* of the
//! specification). The cache itself is `trie.rs`.

use super::{Live, Oracle};
use crate::script::Index;
use crate::trie::{Place, TokenName, names};

impl Oracle {
    /// Tokens of the pool that hold nothing.
    pub(super) fn free(&self) -> u64 {
        let own: u64 = self.live.values().map(Live::own).sum();
        self.config.kv_pool_tokens - self.trie.count() - own
    }

    pub(super) fn used(&self) -> u64 {
        self.config.kv_pool_tokens - self.free() - self.trie.evictable()
    }

    /// What a request holds enters the cache, as far as it is whole blocks that later prompts could ask for; its lock
    /// and the rest of its tokens go.
    pub(super) fn release(&mut self, index: Index) {
        let live = self.of(index);
        let (locked, whole) = (live.locked, live.held / live.block_tokens());
        let sequence = live.request.sequence.as_ref();
        match sequence.filter(|_| whole > live.prompt_tokens() / live.block_tokens()) {
            Some(sequence) => {
                let entering = names(sequence, whole * live.block_tokens());
                let held = live.held as usize;
                if let Some(end) = self.insert(index, &entering) {
                    self.leave_state(Some((end, held)));
                }
            }
            None => {
                if let Some(end) = locked {
                    self.trie.touch(&self.trie.path_to(end));
                }
                self.leave_state(None);
            }
        }
        self.live.remove(&index);
        if let Some(end) = locked {
            self.trie.unlock(end);
        }
        self.clear_full();
    }

    /// A part of the prompt enters the cache, and the request's lock moves to its end; where states are kept, one is
    /// left there, which stands for the `computed` tokens of the prompt.
    pub(super) fn enter(&mut self, index: Index, part: &[TokenName], computed: usize) {
        if let Some(end) = self.insert(index, part) {
            self.lock_instead(index, end);
            self.leave_state(Some((end, computed)));
        }
    }

    /// After a touch of the path to where it is left.
    fn leave_state(&mut self, end: Option<(Place, usize)>) {
        if let Some(slots) = self.config.limits.state_slots
            && self.config.prefix_cache
        {
            let dropped = self.trie.leave_state(end, slots as usize);
            self.coverage.states_dropped += u64::from(dropped);
        }
    }

    /// Tokens that a request holds enter the cache; those the cache had already are freed. The request's lock stays
    /// where it is.
    pub(super) fn insert(&mut self, index: Index, entering: &[TokenName]) -> Option<Place> {
        if !self.config.prefix_cache || entering.is_empty() {
            return None;
        }
        let live = self.live[&index].clone();
        let known = self.trie.walk(entering).len() as u64;
        let after_tail = live.in_cache == live.prompt_tokens()
            && entering.len() > live.prompt.len()
            && !live.prompt_tokens().is_multiple_of(live.block_tokens());
        let prompt_end = if after_tail { live.locked } else { None };
        if after_tail {
            self.coverage.hung_under_tail += u64::from(known < live.prompt_tokens());
            self.coverage.output_found_elsewhere += u64::from(known > live.prompt_tokens());
        } else {
            let locked = live.in_cache.min(entering.len() as u64);
            assert!(known >= locked, "what is locked stays");
        }
        self.coverage.duplicates_freed += u64::from(known > live.in_cache);
        let end = self.trie.insert(entering, prompt_end);
        self.of_mut(index).in_cache = live.in_cache.max(entering.len() as u64);
        Some(end)
    }

    /// Moves a request's lock to another path.
    pub(super) fn lock_instead(&mut self, index: Index, end: Place) {
        self.trie.lock(end);
        if let Some(before) = self.of_mut(index).locked.replace(end) {
            self.trie.unlock(before);
        }
    }

    /// Verifies the engine's own laws.
    pub(super) fn check(&self) {
        self.trie.check();
        let locked: u64 = self.trie.count() - self.trie.evictable();
        let own: u64 = self.live.values().map(Live::own).sum();
        assert_eq!(self.used(), locked + own, "used tokens are locked ones and requests' own");
        for live in self.live.values() {
            let path = live.locked.map_or(0, |end| self.trie.path_to(end).len() as u64);
            assert!(live.in_cache <= path, "what a request has in the cache is locked");
        }
        let anyone_holds = self.live.values().any(|live| live.locked.is_some());
        assert_eq!(anyone_holds, locked > 0, "whoever holds a lock is alive");
    }
}
