//! How long a prefill batch and a decode step take on one GPU with one model.
//!
//! A [`CostProfile`] is a handful of integers in femtoseconds, made from a [`ProfileSpec`] (milliseconds, as in
//! `data/gpus/*.toml`) or by [`CostProfile::constant`] for tests. It knows GPU time alone: no queue, no HTTP, no
//! scheduler; a request's fixed overhead is carried beside it. No noise is drawn here.
//! A profile may have measured tables beside its fit (`profile/prefill_table.rs`, `profile/decode_table.rs`); the fit
//! then goes on where they end. Outside its measured [`ProfileRange`] it goes on with the same formulas; `*_in_range` say
//! when that happens. Read `profile/spec.rs` next for the file form, `replica.rs` for who calls this.

mod decode_table;
mod knots;
mod prefill_table;
mod spec;
#[cfg(test)]
mod tests;

pub use spec::{ProfileRange, ProfileSpec, Provenance, TableRow};

use crate::{EngineLimits, Femtos};
use decode_table::DecodeTable;
use gorgo_types::Nanos;
use prefill_table::PrefillTable;

/// One request's part of a prefill batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefillItem {
    /// Tokens to compute.
    pub new_tokens: u32,
    /// Tokens before them whose KV is there already.
    pub cached_tokens: u32,
}

/// Decode steps that form an arithmetic series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeSegment {
    /// Duration of the next step.
    pub first: Femtos,
    /// What each further step takes longer.
    pub increment: Femtos,
    /// For how many steps, the next one included, this holds; at least 1. `u64::MAX`: for good.
    pub steps: u64,
}

/// The time of prefill batches and decode steps of one engine on one GPU (or group of GPUs) with one model.
#[derive(Clone, Debug, PartialEq)]
pub struct CostProfile {
    /// Its name.
    pub name: String,
    /// From a request's arrival at the engine until it is ready to be scheduled: HTTP, tokenizer, IPC.
    pub overhead: Nanos,
    /// Bytes of KV per token, over all GPUs of the engine.
    pub kv_bytes_per_token: u64,
    /// Tokens of KV that fit beside the weights under the engine's defaults.
    pub kv_pool_tokens: u64,
    /// The scheduler's limits under the engine's defaults on this GPU.
    pub limits: EngineLimits,
    /// Where the measurements end.
    pub range: ProfileRange,
    /// Where the numbers come from and how far off they are.
    pub provenance: Provenance,
    prefill: PrefillCost,
    decode: DecodeCost,
}

/// `max(floor(Σn) + 2·c_half·Σnp, t0 + b·Σn + c_half·Σn(2p + n))`, in femtoseconds, or the same fit with a table of
/// what measured passes took above or below it.
#[derive(Clone, Debug, Default, PartialEq)]
struct PrefillCost {
    t0: u128,
    per_token: u64,
    half_per_token_squared: u64,
    /// (tokens, femtoseconds): tokens rise, times do not fall.
    floor: Vec<(u64, u128)>,
    table: Option<Box<PrefillTable>>,
}

/// `max(floor, t0 + b·B + c·S)`, in femtoseconds, or a table.
#[derive(Clone, Debug, Default, PartialEq)]
struct DecodeCost {
    t0: u128,
    per_sequence: u64,
    per_context_token: u64,
    floor: u128,
    table: Option<Box<DecodeTable>>,
}

impl CostProfile {
    /// Time of one prefill pass over `batch`, each request n new tokens after p cached ones:
    /// `max(floor(Σn) + c·Σ n·p, t0 + b·Σn + (c/2)·Σ n·(2p + n))`.
    ///
    /// The floor is the time of a small pass without a cached prefix, which reads the weights whatever its size; it
    /// is linear between its measured points, flat before the first and after the last, and reading the cached
    /// prefix comes on top of it. As both sides are continuous and never fall as n or p grows, neither does their
    /// maximum: the join is where they cross (297 tokens on the H100 profile).
    ///
    /// With a table, `R(n, p)` being what a lone pass of n tokens after p cached ones takes above the fit: the fit of
    /// the whole batch, plus `R(Σn, 0)`, plus the largest `R(n, p) − R(n, 0)` among its requests. So a lone pass at a
    /// knot takes what was measured; in a batch everything is additive around one t0, and what reading a cached
    /// prefix costs to begin with (kernel launches, short reads) is paid once. No pass is shorter than the table's
    /// shortest. Such a profile falls where its table does: in measured tables some passes after a longer prefix are
    /// a little shorter.
    ///
    /// A time that does not fit in 128 bits (which takes billions of tokens) is the largest that does.
    #[must_use]
    pub fn prefill(&self, batch: &[PrefillItem]) -> Femtos {
        let (mut new, mut new_times_cached, mut new_squared) = (0_u64, 0_u128, 0_u128);
        for item in batch {
            let (n, p) = (u64::from(item.new_tokens), u64::from(item.cached_tokens));
            new += n;
            new_times_cached += u128::from(n * p);
            new_squared += u128::from(n * n);
        }
        let cost = &self.prefill;
        let half = u128::from(cost.half_per_token_squared);
        let prefix = half.saturating_mul(2 * new_times_cached);
        let linear = cost.t0 + u128::from(cost.per_token) * u128::from(new);
        let fit = linear.saturating_add(half.saturating_mul(new_squared));
        if let Some(table) = &cost.table {
            let tokens =
                |item: &PrefillItem| (u64::from(item.new_tokens), u64::from(item.cached_tokens));
            let above = match batch {
                // Most passes are of one request: one search among the knots serves both.
                [item] => table.above_fit_alone(tokens(item)),
                _ => {
                    let prefix = batch.iter().map(tokens).map(|at| table.above_fit_for_prefix(at));
                    i128::from(table.above_fit(new)) + i128::from(prefix.max().unwrap_or(0))
                }
            };
            let time = fit.saturating_add(prefix).saturating_add_signed(above);
            return Femtos(time.max(table.shortest));
        }
        Femtos(fit.max(cost.floor(new)).saturating_add(prefix))
    }

    /// Time of one decode step of `sequences` sequences that hold `context_tokens` tokens of KV in all:
    /// `max(floor, t0 + b·sequences + c·context_tokens)`, or what the table says of that batch at that mean context.
    #[must_use]
    pub fn decode_step(&self, sequences: u32, context_tokens: u64) -> Femtos {
        if let Some(table) = &self.decode.table {
            return table.segment(sequences, context_tokens).first;
        }
        Femtos(self.decode.formula(sequences, context_tokens).max(self.decode.floor))
    }

    /// The decode steps from here on, while the batch stays the same (so that each step adds `sequences` tokens of
    /// context) and until the form of the cost changes: where the floor stops binding, or at a knot of the table.
    #[must_use]
    pub fn decode_segment(&self, sequences: u32, context_tokens: u64) -> DecodeSegment {
        if let Some(table) = &self.decode.table {
            return table.segment(sequences, context_tokens);
        }
        let now = self.decode.formula(sequences, context_tokens);
        let increment = u128::from(self.decode.per_context_token) * u128::from(sequences);
        if now >= self.decode.floor {
            return DecodeSegment {
                first: Femtos(now),
                increment: Femtos(increment),
                steps: u64::MAX,
            };
        }
        // Step k costs the floor while now + k * increment <= floor.
        let steps = (self.decode.floor - now)
            .checked_div(increment)
            .map_or(u64::MAX, |more| u64::try_from(more).unwrap_or(u64::MAX).saturating_add(1));
        DecodeSegment { first: Femtos(self.decode.floor), increment: Femtos::ZERO, steps }
    }

    /// Whether measurements cover this prefill batch; if not, [`CostProfile::prefill`] extrapolates. With a table that
    /// takes rows of the table that reach as far, for each request and for the new tokens of all.
    #[must_use]
    pub fn prefill_in_range(&self, batch: &[PrefillItem]) -> bool {
        let new: u64 = batch.iter().map(|item| u64::from(item.new_tokens)).sum();
        let cached = batch.iter().map(|item| u64::from(item.cached_tokens)).max().unwrap_or(0);
        let in_range = new <= self.range.prefill_tokens && cached <= self.range.cached_tokens;
        let Some(table) = &self.prefill.table else { return in_range };
        let covered = |item: &PrefillItem| {
            table.covers(u64::from(item.new_tokens), u64::from(item.cached_tokens))
        };
        in_range && table.covers(new, 0) && batch.iter().all(covered)
    }

    /// Whether measurements cover this decode step; if not, [`CostProfile::decode_step`] extrapolates. With a table that
    /// takes rows that reach as far in the mean context.
    #[must_use]
    pub fn decode_in_range(&self, sequences: u32, context_tokens: u64) -> bool {
        self.decode_range(sequences).is_some_and(|most| context_tokens <= most)
    }

    /// The most context, over all of so many sequences, that measurements of decode steps cover. None: they do not cover
    /// so many sequences.
    #[must_use]
    pub fn decode_range(&self, sequences: u32) -> Option<u64> {
        if sequences > self.range.decode_sequences {
            return None;
        }
        let most = self.range.decode_context_tokens;
        match &self.decode.table {
            None => Some(most),
            Some(table) => table.range(sequences).map(|end| end.min(most)),
        }
    }

    /// A plain profile for tests and queueing theory: exact nanoseconds, no floors, no quadratic term, no overhead.
    ///
    /// Prefill takes `prefill_base + prefill_ns_per_token · Σn`; a decode step takes
    /// `decode_base + decode_ns_per_sequence · B + decode_ns_per_context_token · S`.
    #[must_use]
    pub fn constant(
        prefill_base: Nanos,
        prefill_ns_per_token: u32,
        decode_base: Nanos,
        decode_ns_per_sequence: u32,
        decode_ns_per_context_token: u32,
    ) -> Self {
        let fs = |ns: u32| u64::from(ns) * 1_000_000;
        Self {
            name: "constant".to_owned(),
            overhead: Nanos::ZERO,
            kv_bytes_per_token: 1,
            kv_pool_tokens: 1 << 20,
            limits: EngineLimits::default(),
            range: ProfileRange::UNLIMITED,
            provenance: Provenance::default(),
            prefill: PrefillCost {
                t0: Femtos::from_nanos(prefill_base).0,
                per_token: fs(prefill_ns_per_token),
                ..PrefillCost::default()
            },
            decode: DecodeCost {
                t0: Femtos::from_nanos(decode_base).0,
                per_sequence: fs(decode_ns_per_sequence),
                per_context_token: fs(decode_ns_per_context_token),
                ..DecodeCost::default()
            },
        }
    }
}

impl PrefillCost {
    /// The fit of one request alone.
    fn alone(&self, new: u64, cached: u64) -> u128 {
        let (n, p) = (u128::from(new), u128::from(cached));
        self.t0
            + u128::from(self.per_token) * n
            + u128::from(self.half_per_token_squared) * n * (2 * p + n)
    }

    /// The floor for `tokens` new tokens in all, rounded down to a whole femtosecond between two points.
    fn floor(&self, tokens: u64) -> u128 {
        let after = self.floor.partition_point(|&(at, _)| at <= tokens);
        match (after.checked_sub(1).map(|before| self.floor[before]), self.floor.get(after)) {
            (Some((a, low)), Some(&(b, high))) => {
                low + (high - low) * u128::from(tokens - a) / u128::from(b - a)
            }
            (Some((_, time)), None) | (None, Some(&(_, time))) => time,
            (None, None) => 0,
        }
    }
}

impl DecodeCost {
    fn formula(&self, sequences: u32, context_tokens: u64) -> u128 {
        self.t0
            + u128::from(self.per_sequence) * u128::from(sequences)
            + u128::from(self.per_context_token) * u128::from(context_tokens)
    }
}
