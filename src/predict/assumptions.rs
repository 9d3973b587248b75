//! What a log does not say and a prediction needs: every number that is assumed or fitted, with its bounds.
//!
//! The engine itself (scheduler, chunks, passes, steps) is a cost profile of `data/gpus` as it is, but for its overhead,
//! which is split into one that all requests share and one that grows with the prompt. Read `fit.rs` for how a log
//! decides the free ones.

use crate::PredictError;
use gorgo_model::network::Connect;
use gorgo_model::{CostProfile, ProfileSpec};
use gorgo_types::Nanos;

/// A number that may be fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Free {
    /// Its name, unit last.
    pub name: &'static str,
    /// Least value.
    pub least: f64,
    /// Largest value.
    pub most: f64,
    /// What it is.
    pub what: &'static str,
}

/// How many numbers may be fitted.
pub const FREE: usize = 6;

/// The numbers that may be fitted, in the order of [`Assumptions::values`].
pub const FREE_NUMBERS: [Free; FREE] = [
    free("overhead_ms", 0.0, 200.0, "any request before it can be scheduled: HTTP, template, IPC"),
    free(
        "overhead_ms_per_token",
        0.0,
        0.1,
        "the same for each token of the prompt: tokenizer, copies",
    ),
    free("bytes_per_token", 0.0, 40.0, "the request's text on the wire; counts in round trips"),
    free(
        "reuse_least_share",
        0.0,
        1.0,
        "share of the prompt in the router's index below which the engine reuses nothing",
    ),
    free(
        "reuse_left_tokens",
        0.0,
        16_384.0,
        "tokens computed again where the engine reuses a prefix",
    ),
    free("repeat_left_tokens", 0.0, 16_384.0, "the same where the whole prompt was there before"),
];

const fn free(name: &'static str, least: f64, most: f64, what: &'static str) -> Free {
    Free { name, least, most, what }
}

/// Everything that a prediction assumes beside the log and the profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumptions {
    /// The engine of every replica.
    pub profile: ProfileSpec,
    /// Opening connections and keeping them. The default is the model's: two round trips, five idle seconds, and slow
    /// start from ten segments.
    pub connect: Connect,
    /// Engine tokens of a token that the router counts in text which is new to it. Assumption: its tokenizer and the
    /// engine's agree on text, and what the engine has more of (template, tools) stands in front.
    pub engine_tokens_per_new_token: f64,
    values: [f64; FREE],
    /// False: every prompt is computed whole.
    reuse: bool,
    /// Numbers that no fit may change.
    held: [bool; FREE],
}

/// A part of the model that can be left out, to see what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Opening a connection takes no time.
    Connections,
    /// A prompt of any length travels at once.
    SlowStart,
    /// Prompts are tokenized in no time, so none waits for another's.
    FrontEnd,
    /// No prefix is ever reused.
    Reuse,
}

/// The estimate of 4 characters a token in English.
const BYTES_PER_TOKEN: f64 = 4.0;
/// An assumption to begin with.
const LEAST_SHARE: f64 = 0.5;

/// Ten segments of 1,460 bytes (RFC 6928).
const INITIAL_WINDOW_BYTES: u64 = 14_600;

impl Assumptions {
    /// Before any fit: the profile as it is, and an engine that reuses what the router's index believes it has, where
    /// that is half of the prompt or more.
    #[must_use]
    pub fn of_profile(profile: ProfileSpec) -> Self {
        let values = [profile.overhead_ms, 0.0, BYTES_PER_TOKEN, LEAST_SHARE, 0.0, 0.0];
        let connect =
            Connect { initial_window_bytes: Some(INITIAL_WINDOW_BYTES), ..Connect::default() };
        Self {
            profile,
            connect,
            engine_tokens_per_new_token: 1.0,
            values,
            reuse: true,
            held: [false; FREE],
        }
    }

    /// The free numbers, as [`FREE_NUMBERS`] names them.
    #[must_use]
    pub const fn values(&self) -> &[f64; FREE] {
        &self.values
    }

    /// Whether a fit may change a free number.
    #[must_use]
    pub const fn is_held(&self, index: usize) -> bool {
        self.held[index]
    }

    /// The same without a part; the numbers that it alone needs are held.
    #[must_use]
    pub fn without(mut self, part: Part) -> Self {
        let unused: &[&str] = match part {
            Part::Connections => {
                self.connect.tcp_round_trips = 0;
                self.connect.tls_round_trips = 0;
                &[]
            }
            Part::SlowStart => {
                self.connect.initial_window_bytes = None;
                &["bytes_per_token"]
            }
            Part::FrontEnd => {
                self.values[1] = 0.0;
                &["overhead_ms_per_token"]
            }
            Part::Reuse => {
                self.reuse = false;
                &["reuse_least_share", "reuse_left_tokens", "repeat_left_tokens"]
            }
        };
        for (held, free) in self.held.iter_mut().zip(FREE_NUMBERS) {
            *held |= unused.contains(&free.name);
        }
        self
    }

    /// The same with one free number changed.
    ///
    /// # Errors
    /// [`PredictError::Assumption`] where it is out of bounds or no number.
    pub fn with(&self, index: usize, value: f64) -> Result<Self, PredictError> {
        let Free { name, least, most, .. } = FREE_NUMBERS[index];
        if !(least..=most).contains(&value) {
            let wanted = format!("from {least} to {most}");
            return Err(PredictError::Assumption { name, value, wanted });
        }
        let mut changed = self.clone();
        changed.values[index] = value;
        Ok(changed)
    }

    /// The profile without its overhead, which is counted apart.
    ///
    /// # Errors
    /// [`PredictError::Model`] where that is no profile.
    pub fn engine(&self) -> Result<CostProfile, PredictError> {
        Ok(CostProfile::try_from(ProfileSpec { overhead_ms: 0.0, ..self.profile.clone() })?)
    }

    /// From the end of tokenizing until a request can be scheduled.
    #[must_use]
    pub fn overhead(&self) -> Nanos {
        Nanos::from_ms(self.values[0]).unwrap_or(Nanos::ZERO)
    }

    /// How long the engine's front end is busy with a prompt; it takes one at a time.
    #[must_use]
    pub fn tokenizing(&self, prompt_tokens: u32) -> Nanos {
        // Bounds keep this below an hour.
        Nanos::from_ms(self.values[1] * f64::from(prompt_tokens)).unwrap_or(Nanos::ZERO)
    }

    /// Bytes of a request.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounds keep the product between 0 and 2^30"
    )]
    pub fn bytes(&self, prompt_tokens: u32) -> u64 {
        (self.values[2] * f64::from(prompt_tokens)) as u64
    }

    /// How many of a prompt's tokens the engine computes, from 1 to all: `share` of it is in the router's index
    /// (which never forgets, while engines do), `new_tokens` of its text, by the router's count, are not.
    ///
    /// The engine's model has recurrent layers, so it goes on only where a state was kept (`src/model/README.md`,
    /// *States*): not after a short common prefix, and some way before the end of a long one.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the prompt's tokens"
    )]
    pub fn computed_tokens(&self, prompt_tokens: u32, share: f64, new_tokens: u64) -> u32 {
        let [.., least_share, left, repeat_left] = self.values;
        if !self.reuse || share <= 0.0 || share < least_share {
            return prompt_tokens;
        }
        let new = new_tokens as f64 * self.engine_tokens_per_new_token;
        let computed = if new_tokens == 0 { repeat_left } else { new + left };
        computed.ceil().clamp(1.0, f64::from(prompt_tokens)) as u32
    }
}
