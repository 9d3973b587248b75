//! A cost profile as a file has it: milliseconds, checked, with its source.
//!
//! The form of `data/gpus/*.toml` (see `data/README.md`). Reading the file is the caller's. Turning the spec into a
//! [`CostProfile`] refuses every number that is negative, infinite, no number or out of range.

use super::{CostProfile, DecodeCost, PrefillCost};
use crate::{EngineLimits, Femtos, ModelError};
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};

/// A cost profile in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSpec {
    /// Its name; that of its file in `data/gpus`.
    pub name: String,
    /// Prefill: the constant of the fit, ms.
    pub prefill_base_ms: f64,
    /// Prefill: ms per new token.
    pub prefill_ms_per_token: f64,
    /// Prefill: c of `c·n·(p + n/2)`, ms per token².
    #[serde(default)]
    pub prefill_ms_per_token_squared: f64,
    /// Prefill: `[new tokens, ms]` of small passes without a cached prefix; tokens must rise, times may not fall.
    #[serde(default)]
    pub prefill_floor: Vec<(u64, f64)>,
    /// Decode: the constant of the fit, ms.
    pub decode_base_ms: f64,
    /// Decode: ms per sequence.
    pub decode_ms_per_sequence: f64,
    /// Decode: ms per token of context, over all sequences.
    #[serde(default)]
    pub decode_ms_per_context_token: f64,
    /// Decode: no step is shorter than this, ms.
    #[serde(default)]
    pub decode_floor_ms: f64,
    /// From arrival at the engine until ready to be scheduled, ms per request.
    #[serde(default)]
    pub overhead_ms: f64,
    /// Bytes of KV per token, over all GPUs of the engine.
    pub kv_bytes_per_token: u64,
    /// Tokens of KV that fit beside the weights under the engine's defaults.
    pub kv_pool_tokens: u64,
    /// The scheduler's limits under the engine's defaults on this GPU.
    #[serde(default)]
    pub limits: EngineLimits,
    /// Where the measurements end.
    #[serde(default)]
    pub range: ProfileRange,
    /// Where the numbers come from.
    #[serde(default)]
    pub provenance: Provenance,
}

/// Up to where a profile's numbers were compared with measurements. Beyond, it extrapolates by the same formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileRange {
    /// New tokens of a prefill pass.
    pub prefill_tokens: u64,
    /// Cached tokens before a request's new ones.
    pub cached_tokens: u64,
    /// Sequences of a decode step.
    pub decode_sequences: u32,
    /// Tokens of context of a decode step, over all sequences.
    pub decode_context_tokens: u64,
}

impl ProfileRange {
    /// No end: for profiles that are a definition and no measurement.
    pub const UNLIMITED: Self = Self {
        prefill_tokens: u64::MAX,
        cached_tokens: u64::MAX,
        decode_sequences: u32::MAX,
        decode_context_tokens: u64::MAX,
    };
}

impl Default for ProfileRange {
    fn default() -> Self {
        Self::UNLIMITED
    }
}

/// Where a profile's numbers come from. Errors are shares: the mean and the 95th percentile (nearest rank) of
/// |profile / reference − 1| over the reference points inside the range. They say nothing of how far the reference
/// is from a running server: `method` does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// GPU as its vendor names it.
    pub gpu: String,
    /// GPUs of one engine (tensor parallel).
    pub gpus: u32,
    /// Model.
    pub model: String,
    /// Number format of weights, attention and KV.
    pub precision: String,
    /// Engine and version under which the operators were timed.
    pub engine: String,
    /// How the numbers were made.
    pub method: String,
    /// Mean relative error of prefill.
    pub prefill_error_mean: f64,
    /// 95th percentile of the relative error of prefill.
    pub prefill_error_p95: f64,
    /// Mean relative error of decode.
    pub decode_error_mean: f64,
    /// 95th percentile of the relative error of decode.
    pub decode_error_p95: f64,
    /// Sources, one a line.
    pub sources: Vec<String>,
}

/// Times and slopes up to a million seconds; far above any engine, and no sum of them leaves 128 bits.
const LARGEST_MS: f64 = 1e9;
/// Slopes per token (a thousand seconds, 10¹⁸ fs): they are kept in 64 bits.
const LARGEST_MS_PER_TOKEN: f64 = 1e6;
/// Points of a floor may not lie above this many tokens.
const LARGEST_FLOOR_TOKENS: u64 = 1 << 32;

impl TryFrom<ProfileSpec> for CostProfile {
    type Error = ModelError;

    fn try_from(spec: ProfileSpec) -> Result<Self, ModelError> {
        let slope =
            |field, value| spec.femtos(field, value, LARGEST_MS_PER_TOKEN).map(|fs| fs as u64);
        let time = |field, value| spec.femtos(field, value, LARGEST_MS);
        let squared = spec.prefill_ms_per_token_squared;
        let prefill = PrefillCost {
            t0: time("prefill_base_ms", spec.prefill_base_ms)?,
            per_token: slope("prefill_ms_per_token", spec.prefill_ms_per_token)?,
            half_per_token_squared: slope("prefill_ms_per_token_squared", squared)
                .and_then(|_| slope("prefill_ms_per_token_squared", squared / 2.0))?,
            floor: spec.floor()?,
        };
        let decode = DecodeCost {
            t0: time("decode_base_ms", spec.decode_base_ms)?,
            per_sequence: slope("decode_ms_per_sequence", spec.decode_ms_per_sequence)?,
            per_context_token: slope(
                "decode_ms_per_context_token",
                spec.decode_ms_per_context_token,
            )?,
            floor: time("decode_floor_ms", spec.decode_floor_ms)?,
        };
        time("overhead_ms", spec.overhead_ms)?;
        let overhead = Nanos::from_ms(spec.overhead_ms)
            .map_err(|e| spec.invalid("overhead_ms", spec.overhead_ms, e.wanted))?;
        for (field, value) in [
            ("kv_bytes_per_token", spec.kv_bytes_per_token),
            ("kv_pool_tokens", spec.kv_pool_tokens),
        ] {
            if value == 0 {
                return Err(spec.invalid(field, value, "at least 1"));
            }
        }
        spec.check_passes()?;
        spec.check_errors()?;
        Ok(Self {
            name: spec.name,
            overhead,
            kv_bytes_per_token: spec.kv_bytes_per_token,
            kv_pool_tokens: spec.kv_pool_tokens,
            limits: spec.limits,
            range: spec.range,
            provenance: spec.provenance,
            prefill,
            decode,
        })
    }
}

impl ProfileSpec {
    fn invalid(&self, field: &str, value: impl ToString, wanted: &str) -> ModelError {
        ModelError::Invalid {
            part: format!("profile `{}`", self.name),
            field: field.to_owned(),
            value: value.to_string(),
            wanted: wanted.to_owned(),
        }
    }

    fn femtos(&self, field: &str, ms: f64, largest: f64) -> Result<u128, ModelError> {
        if ms > largest {
            return Err(self.invalid(field, ms, &format!("at most {largest}")));
        }
        match Femtos::from_ms(ms) {
            Ok(time) => Ok(time.0),
            Err(error) => Err(self.invalid(field, ms, error.wanted)),
        }
    }

    fn floor(&self) -> Result<Vec<(u64, u128)>, ModelError> {
        let mut points: Vec<(u64, u128)> = Vec::with_capacity(self.prefill_floor.len());
        for (index, &(tokens, ms)) in self.prefill_floor.iter().enumerate() {
            let field = format!("prefill_floor[{index}]");
            let time = self.femtos(&field, ms, LARGEST_MS)?;
            if tokens == 0 || tokens > LARGEST_FLOOR_TOKENS {
                return Err(self.invalid(&field, tokens, "from 1 to 2^32 tokens"));
            }
            if let Some(&(before, shorter)) = points.last() {
                if tokens <= before {
                    return Err(self.invalid(&field, tokens, "more tokens than the point before"));
                }
                if time < shorter {
                    return Err(self.invalid(&field, ms, "no less time than the point before"));
                }
            }
            points.push((tokens, time));
        }
        Ok(points)
    }

    fn check_errors(&self) -> Result<(), ModelError> {
        let stated = &self.provenance;
        for (field, error) in [
            ("provenance.prefill_error_mean", stated.prefill_error_mean),
            ("provenance.prefill_error_p95", stated.prefill_error_p95),
            ("provenance.decode_error_mean", stated.decode_error_mean),
            ("provenance.decode_error_p95", stated.decode_error_p95),
        ] {
            if !(0.0..=10.0).contains(&error) {
                return Err(self.invalid(field, error, "a share, 0 to 10 (0.05 is 5 %)"));
            }
        }
        Ok(())
    }

    /// A pass that takes no time would let a replica do any amount of work at one instant.
    fn check_passes(&self) -> Result<(), ModelError> {
        let floor = self.prefill_floor.first().map_or(0.0, |&(_, ms)| ms);
        if self.prefill_base_ms + self.prefill_ms_per_token + floor < 1e-6 {
            let wanted = "a nanosecond at least for one token (with base and floor)";
            return Err(self.invalid("prefill_ms_per_token", self.prefill_ms_per_token, wanted));
        }
        if self.decode_base_ms + self.decode_ms_per_sequence + self.decode_floor_ms < 1e-6 {
            let wanted = "a nanosecond at least for one sequence (with base and floor)";
            return Err(self.invalid(
                "decode_ms_per_sequence",
                self.decode_ms_per_sequence,
                wanted,
            ));
        }
        Ok(())
    }
}
