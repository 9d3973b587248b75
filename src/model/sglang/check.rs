//! Everything that must hold of a replica, verified at a cost.

use super::{Live, SglangReplica};
use crate::cache::NodeId;
use crate::replica::request::Place;
use crate::replica::scheduler::Iteration;

impl SglangReplica {
    /// Verifies conservation of KV, the sums of the running batch, where every request is, and the cache.
    pub(super) fn check_state(&self) -> Result<(), String> {
        self.state.cache.check()?;
        self.state.running.check(|slot| self.requests.at(slot))?;
        let mut own = 0;
        let mut places = [0_usize; 4];
        for (_, live) in self.requests.iter() {
            places[place_index(live.place)] += 1;
            own += self.check_request(live)?;
        }
        let chunked = usize::from(self.state.chunked.is_some_and(|_| self.state.batch.is_empty()));
        let wanted = [
            self.coming.len(),
            self.waiting.len(),
            self.state.batch.len() + chunked,
            self.state.running.len(),
        ];
        if places != wanted {
            return Err(format!("coming, waiting, prefill, running: {places:?}, lists {wanted:?}"));
        }
        if own != self.state.own {
            return Err(format!("own tokens: {own} by a walk, {} counted", self.state.own));
        }
        let sum = self.state.free + self.state.own + self.state.cache.tokens();
        if sum != self.config.kv_pool_tokens {
            return Err(format!("free + own + cached = {sum} of {}", self.config.kv_pool_tokens));
        }
        if self.iteration == Iteration::Idle && !self.waiting.is_empty() {
            return Err("idle while requests wait".to_owned());
        }
        if self.requests.len() == 0
            && self.state.cache.evictable_tokens() != self.state.cache.tokens()
        {
            return Err("a lock is left without a request".to_owned());
        }
        Ok(())
    }

    /// Own tokens of a request, if it holds what it should.
    fn check_request(&self, live: &Live) -> Result<u64, String> {
        let own = match live.place {
            Place::Running => self.state.running.own(live),
            Place::Coming | Place::Waiting | Place::Prefill => live.held.own,
        };
        let wanted = match live.place {
            Place::Coming | Place::Waiting => {
                if live.held.node != NodeId::ROOT {
                    return Err(format!("{:?} waits with a lock", live.key));
                }
                0
            }
            Place::Running => {
                let held = u64::from(live.prompt_tokens() + self.state.running.emitted(live) - 1);
                held - if self.config.prefix_cache { u64::from(live.prompt_tokens()) } else { 0 }
            }
            // One token of a prompt that is cached as a whole is computed again.
            Place::Prefill => {
                let computed = u64::from(live.computed);
                let locked = self.state.cache.depth(live.held.node);
                if own + locked == computed + 1 { own } else { computed - locked }
            }
        };
        if own == wanted {
            Ok(own)
        } else {
            Err(format!("{:?} owns {own}, not {wanted}", live.key))
        }
    }
}

const fn place_index(place: Place) -> usize {
    match place {
        Place::Coming => 0,
        Place::Waiting => 1,
        Place::Prefill => 2,
        Place::Running => 3,
    }
}
