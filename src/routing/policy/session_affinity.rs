//! `session-affinity`: the same session always goes to the same replica.
//!
//! The key is the session id where the client names one (rule `session`), else the first ceil(256 / block) blocks of
//! the prompt (rule `prefix`). Because a block's id stands for everything before it, the id of the last of those blocks
//! is the key of all of them. `hash(key) mod n` over all replicas is the home; the score is how many steps a candidate
//! stands after it in the fleet's order, around its end, so that a home that is not eligible passes its sessions to its
//! successor. Scores differ, so there are no ties. Where weights differ, a replica stands as often in that list as its
//! weight says.
//!
//! Source: GORGO v2's simple-session-affinity, `hash(tuple(token_ids[:256])) % n` (`gorgo/policy/lb_aibrix.py`; the 256
//! is AIBrix's). [`python_tuple_hash`] is that hash; with block ids in place of token ids the same prompts share a
//! replica, but which one it is differs from a proxy that hashes the tokens themselves. No parameters.
//! Read [`super::prefix_cache`] next.

use super::{Configured, DrawUse, NoParameters, ParameterError, Policy, Question, count};
use crate::decision::{Decision, Tie};
use crate::signals::Signals;
use gorgo_types::BlockChain;

/// How many leading tokens of a prompt stand for its session.
pub const PREFIX_TOKENS: u32 = 256;

/// The policy `session-affinity`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionAffinity;

/// `CPython`'s `hash(tuple)` of non-negative integers (3.8 and later, 64-bit), as a signed word.
///
/// The same in every process: `PYTHONHASHSEED` touches only strings and bytes.
#[must_use]
pub fn python_tuple_hash(words: &[u64]) -> i64 {
    const SEED: u64 = 2_870_177_450_012_600_261;
    /// An integer's own hash is its remainder by this prime, 2^61 - 1.
    const INTEGER_MODULUS: u64 = (1 << 61) - 1;
    let mut hash = SEED;
    for word in words {
        hash = hash
            .wrapping_add((word % INTEGER_MODULUS).wrapping_mul(14_029_467_366_897_019_727))
            .rotate_left(31)
            .wrapping_mul(11_400_714_785_074_694_791);
    }
    hash = hash.wrapping_add(words.len() as u64 ^ (SEED ^ 3_527_539));
    // -1 marks an error in CPython, so a tuple never hashes to it.
    if hash == u64::MAX { 1_546_275_796 } else { hash.cast_signed() }
}

/// The block id that stands for the first [`PREFIX_TOKENS`] tokens of a prompt: its affinity key where there is no
/// session.
#[must_use]
pub fn prefix_key(prompt: &BlockChain) -> u64 {
    let blocks = PREFIX_TOKENS.div_ceil(prompt.block_tokens()) as usize;
    let last = blocks.min(prompt.blocks());
    prompt.ids()[..last].last().map_or(0, |id| id.0)
}

/// The place of the candidate that a hash falls to, in a list in which each stands as often as its weight says.
fn by_weight(candidates: &[Signals], hash: i64) -> usize {
    let total: i64 = candidates.iter().map(|c| i64::from(c.weight)).sum();
    let mut left = hash.rem_euclid(total.max(1));
    let falls_to = |candidate: &Signals| {
        left -= i64::from(candidate.weight);
        left < 0
    };
    candidates.iter().position(falls_to).unwrap_or(0)
}

impl Configured for SessionAffinity {
    type Parameters = NoParameters;
    const NAME: &'static str = "session-affinity";
    const SUMMARY: &'static str =
        "hash of the session, or of the first 256 tokens, over the replica list";

    fn new(_: NoParameters) -> Result<Self, ParameterError> {
        Ok(Self)
    }
}

impl Policy for SessionAffinity {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn decide(&self, question: &Question<'_>, decision: &mut Decision) {
        let (rule, key) = match question.request.session {
            Some(session) => ("session", session),
            None => ("prefix", prefix_key(question.request.prompt)),
        };
        let n = question.candidates.len();
        let hash = python_tuple_hash(&[key]);
        let home = if question.weighted {
            by_weight(question.candidates, hash)
        } else {
            hash.rem_euclid(n.max(1) as i64) as usize
        };
        decision.start(rule, &["steps"]);
        for i in 0..n {
            let steps = count(((i + n - home) % n) as u64);
            decision.push(steps, &[steps]);
        }
        decision.choose_lowest(question.candidates, Tie::First, question.draw);
    }

    fn additive(&self) -> bool {
        true
    }

    fn draw_use(&self) -> DrawUse {
        DrawUse::None
    }
}
