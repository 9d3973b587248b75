//! What may be changed while a router works: its policy, the policy's weights, who tunes them, what the index believes.
//!
//! None of it touches the fleet, the requests under way or the queue.

use super::Router;
use crate::error::WeightError;
use crate::index::Index;
use crate::policy::Policy;
use crate::tuner::attached::Attached;
use crate::tuner::{TunerConfig, TunerError};

impl Router {
    /// Decides by another policy from now on, and gives the old one back.
    ///
    /// What it knows of the replicas, counts at them and keeps waiting stays. A tuner is gone, as its weights are the old
    /// policy's ([`Router::tune`] attaches another). The prefix index is kept where both policies need one; a policy
    /// that is the first to need one finds it empty, and requests dispatched before are not learned; it is dropped where
    /// the new policy needs none. What a policy remembered (whose turn it is) the new one does not know.
    pub fn set_policy(&mut self, policy: Box<dyn Policy>) -> Box<dyn Policy> {
        let needs_index = policy.needs().prefix_index;
        if needs_index && self.index.is_none() {
            self.index = Some(Index::of(&self.config));
        } else if !needs_index {
            self.index = None;
            self.cached.fill(0);
            self.fleet.set_cached(&self.cached);
        }
        self.tuner = None;
        self.queue.unblock();
        std::mem::replace(&mut self.policy, policy)
    }

    /// Gives a weight of the policy another value, and returns the one that it had.
    ///
    /// # Errors
    /// When the policy has no such weight, the value is out of its bounds, or a tuner is at work on it.
    pub fn set_weight(&mut self, name: &str, value: f64) -> Result<f64, WeightError> {
        let known = self.policy.tunable();
        let place = known.iter().position(|weight| weight.name == name);
        let place = place.ok_or_else(|| WeightError::Unknown {
            name: name.to_owned(),
            policy: self.policy.name(),
            known: known.iter().map(|weight| weight.name).collect(),
        })?;
        known[place].check(value)?;
        if self.tuner().is_some_and(|tuner| tuner.names().iter().any(|tuned| tuned == name)) {
            return Err(WeightError::Tuned { name: name.to_owned() });
        }
        let before = self.policy.weight(place);
        self.policy.set_weight(place, value);
        self.queue.unblock();
        Ok(before)
    }

    /// Lets a tuner change the policy's weights from now on, starting from those that it has; `seed` keys its draws. A
    /// tuner that was there before is gone, and the policy keeps the weights that it was given last.
    ///
    /// # Errors
    /// When a parameter is out of range, or the policy has no such weight or starts outside of its box.
    pub fn tune(&mut self, config: &TunerConfig, seed: u64) -> Result<(), TunerError> {
        self.tuner = Some(Box::new(Attached::new(config, &*self.policy, seed)?));
        Ok(())
    }

    /// Takes the tuner away; the policy keeps the best weights that it has found. False: there was none.
    pub fn untune(&mut self) -> bool {
        let Some(tuner) = self.tuner.take() else { return false };
        tuner.settle(&mut *self.policy);
        true
    }

    /// Forgets what every replica is believed to hold.
    pub fn index_clear(&mut self) {
        if let Some(index) = &mut self.index {
            index.clear();
        }
    }
}
