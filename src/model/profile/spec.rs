//! A cost profile as a file has it: milliseconds, checked, with its source.
//!
//! The form of `data/gpus/*.toml` (see `data/README.md`). Reading the file is the caller's. Turning the spec into a
//! [`CostProfile`] refuses every number that is negative, infinite, no number or out of range.

use super::decode_table::DecodeTable;
use super::knots::{Knots, Row};
use super::prefill_table::PrefillTable;
use super::{CostProfile, DecodeCost, PrefillCost};
use crate::{EngineLimits, Femtos, ModelError};
use gorgo_types::Nanos;
use serde::{Deserialize, Serialize};

/// A cost profile in milliseconds. What is left out costs nothing, but every profile has a cost per token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileSpec {
    /// Its name; that of its file in `data/gpus`.
    pub name: String,
    /// One number for everything, as GORGO's first version had it: ms per token, of a prompt as of an answer. Instead
    /// of `prefill_ms_per_token`; it is `decode_ms_per_sequence` too where nothing is said of decode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms_per_token: Option<f64>,
    /// Prefill: the constant of the fit, ms.
    pub prefill_base_ms: f64,
    /// Prefill: ms per new token.
    pub prefill_ms_per_token: f64,
    /// Prefill: c of `c·n·(p + n/2)`, ms per token².
    pub prefill_ms_per_token_squared: f64,
    /// Prefill: `[new tokens, ms]` of small passes without a cached prefix; tokens must rise, times may not fall.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefill_floor: Vec<(u64, f64)>,
    /// Prefill: measured passes of one request, `[cached tokens, [[new tokens, ms], ...]]` a row; the first row is
    /// that of 0 cached tokens. Not beside `prefill_floor`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefill_table: Vec<TableRow>,
    /// Decode: the constant of the fit, ms: what a step takes to read the weights. To be said, be it 0, wherever only
    /// slopes are said of decode: the fastest mistake is to forget it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_base_ms: Option<f64>,
    /// Decode: ms per sequence.
    pub decode_ms_per_sequence: f64,
    /// Decode: ms per token of context, over all sequences.
    pub decode_ms_per_context_token: f64,
    /// Decode: no step is shorter than this, ms.
    pub decode_floor_ms: f64,
    /// Decode: measured steps, `[sequences, [[context per sequence, ms], ...]]` a row; times may not fall along a row.
    /// Not beside `decode_floor_ms`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decode_table: Vec<TableRow>,
    /// From arrival at the engine until ready to be scheduled, ms per request.
    pub overhead_ms: f64,
    /// Bytes of KV per token, over all GPUs of the engine.
    pub kv_bytes_per_token: u64,
    /// Tokens of KV that fit beside the weights under the engine's defaults.
    pub kv_pool_tokens: u64,
    /// The scheduler's limits under the engine's defaults on this GPU.
    pub limits: EngineLimits,
    /// Where the measurements end.
    pub range: ProfileRange,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// A row of a table: where it stands, and its points.
pub type TableRow = (u64, Vec<(u64, f64)>);

impl Default for ProfileSpec {
    /// No cost yet, KV of an 8B model in bf16 (128 KiB a token), and a pool of a million tokens.
    fn default() -> Self {
        Self {
            name: String::new(),
            ms_per_token: None,
            prefill_base_ms: 0.0,
            prefill_ms_per_token: 0.0,
            prefill_ms_per_token_squared: 0.0,
            prefill_floor: Vec::new(),
            prefill_table: Vec::new(),
            decode_base_ms: None,
            decode_ms_per_sequence: 0.0,
            decode_ms_per_context_token: 0.0,
            decode_floor_ms: 0.0,
            decode_table: Vec::new(),
            overhead_ms: 0.0,
            kv_bytes_per_token: 131_072,
            kv_pool_tokens: 1 << 20,
            limits: EngineLimits::default(),
            range: ProfileRange::default(),
            provenance: Provenance::default(),
        }
    }
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
/// |profile / reference − 1| at reference points that were held back, the profile's tables having been cut to the
/// others (which points: `data/README.md`); `*_fit_*` are those of the fit alone at the same points. They say nothing
/// of how far the reference is from a running server: `method` does.
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
    /// Mean relative error of prefill of one request between the measured numbers of new tokens, where times jump:
    /// every other of them is cut from the table. The whole table's knots stand twice as close.
    pub prefill_between_error_mean: f64,
    /// Its 95th percentile.
    pub prefill_between_error_p95: f64,
    /// Mean relative error of decode.
    pub decode_error_mean: f64,
    /// 95th percentile of the relative error of decode.
    pub decode_error_p95: f64,
    /// Mean relative error of the fit of prefill alone.
    pub prefill_fit_error_mean: f64,
    /// Its 95th percentile.
    pub prefill_fit_error_p95: f64,
    /// Mean relative error of the fit of decode alone.
    pub decode_fit_error_mean: f64,
    /// Its 95th percentile.
    pub decode_fit_error_p95: f64,
    /// What else a reader must know of the numbers, one a line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Sources, one a line.
    pub sources: Vec<String>,
}

/// Times and slopes up to a million seconds; far above any engine, and no sum of them leaves 128 bits.
const LARGEST_MS: f64 = 1e9;
/// Slopes per token (a thousand seconds, 10¹⁸ fs): they are kept in 64 bits.
const LARGEST_MS_PER_TOKEN: f64 = 1e6;
/// Points of a floor may not lie above this many tokens.
const LARGEST_FLOOR_TOKENS: u64 = 1 << 32;
/// A table's times (a thousand seconds, 10¹⁸ fs): they and their differences are kept in 64 bits.
const LARGEST_TABLE_MS: f64 = 1e6;
/// Tokens of a table's point, or cached before it.
const LARGEST_TABLE_TOKENS: u64 = 1 << 24;
/// Sequences of a decode table's row: every batch size up to the last row's takes memory.
const LARGEST_TABLE_SEQUENCES: u64 = 4_096;
/// Rows of a table and points of a row.
const MOST_TABLE_ENTRIES: usize = 256;
/// Values of a table when it is dense (16 MB): rows, or batch sizes up to the last row's, by different numbers of tokens.
const MOST_TABLE_VALUES: u64 = 1 << 20;

impl TryFrom<ProfileSpec> for CostProfile {
    type Error = ModelError;

    fn try_from(mut spec: ProfileSpec) -> Result<Self, ModelError> {
        spec.spell_out()?;
        let slope =
            |field, value| spec.femtos(field, value, LARGEST_MS_PER_TOKEN).map(|fs| fs as u64);
        let time = |field, value| spec.femtos(field, value, LARGEST_MS);
        let squared = spec.prefill_ms_per_token_squared;
        let mut prefill = PrefillCost {
            t0: time("prefill_base_ms", spec.prefill_base_ms)?,
            per_token: slope("prefill_ms_per_token", spec.prefill_ms_per_token)?,
            half_per_token_squared: slope("prefill_ms_per_token_squared", squared)
                .and_then(|_| slope("prefill_ms_per_token_squared", squared / 2.0))?,
            floor: spec.floor()?,
            table: None,
        };
        prefill.table = spec.prefill_table(&prefill)?.map(Box::new);
        let mut decode = DecodeCost {
            t0: time("decode_base_ms", spec.decode_base_ms.unwrap_or(0.0))?,
            per_sequence: slope("decode_ms_per_sequence", spec.decode_ms_per_sequence)?,
            per_context_token: slope(
                "decode_ms_per_context_token",
                spec.decode_ms_per_context_token,
            )?,
            floor: time("decode_floor_ms", spec.decode_floor_ms)?,
            table: None,
        };
        decode.table = spec.decode_table(&decode)?.map(Box::new);
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
        if spec.name.is_empty() {
            return Err(spec.invalid("name", "none", "a name"));
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

    /// `ms_per_token` in the words of the other keys.
    fn spell_out(&mut self) -> Result<(), ModelError> {
        let Some(ms) = self.ms_per_token else { return Ok(()) };
        self.femtos("ms_per_token", ms, LARGEST_MS_PER_TOKEN)?;
        if self.prefill_ms_per_token != 0.0 || !self.prefill_table.is_empty() {
            let wanted = "none beside prefill_ms_per_token or prefill_table";
            return Err(self.invalid("ms_per_token", ms, wanted));
        }
        self.prefill_ms_per_token = ms;
        if self.decode_base_ms.unwrap_or(0.0) == 0.0
            && [self.decode_ms_per_sequence, self.decode_floor_ms] == [0.0; 2]
            && self.decode_table.is_empty()
        {
            self.decode_ms_per_sequence = ms;
            self.decode_base_ms = Some(0.0);
        }
        self.ms_per_token = None;
        Ok(())
    }

    fn prefill_table(&self, fit: &PrefillCost) -> Result<Option<PrefillTable>, ModelError> {
        let rows = self.table("prefill_table", &self.prefill_table, LARGEST_TABLE_TOKENS)?;
        let Some(first) = rows.first() else { return Ok(None) };
        if first.0 != 0 {
            let wanted = "the row of 0 cached tokens first";
            return Err(self.invalid("prefill_table[0]", first.0, wanted));
        }
        if !self.prefill_floor.is_empty() {
            let wanted = "none beside prefill_table";
            return Err(self.invalid("prefill_floor", self.prefill_floor.len(), wanted));
        }
        let largest = (LARGEST_TABLE_MS * 1e12) as u128;
        for (index, (cached, points)) in rows.iter().enumerate() {
            if let Some(&(new, _)) =
                points.iter().find(|&&(new, _)| fit.alone(new, *cached) > largest)
            {
                let wanted = "a fit of at most 10^6 ms at every point of the table";
                return Err(self.invalid(&format!("prefill_table[{index}]"), new, wanted));
            }
            if let Some(&(new, _)) = points.iter().find(|&&(new, time)| new == 0 || time == 0) {
                let wanted = "at least 1 token and a time above 0 at every point";
                return Err(self.invalid(&format!("prefill_table[{index}]"), new, wanted));
            }
        }
        self.check_size("prefill_table", &rows, rows.len() as u64)?;
        Ok(Some(PrefillTable::new(&rows, fit)))
    }

    fn decode_table(&self, fit: &DecodeCost) -> Result<Option<DecodeTable>, ModelError> {
        let rows = self.table("decode_table", &self.decode_table, LARGEST_TABLE_SEQUENCES)?;
        let Some(first) = rows.first() else { return Ok(None) };
        if first.0 == 0 {
            return Err(self.invalid("decode_table[0]", 0, "at least 1 sequence"));
        }
        if self.decode_floor_ms != 0.0 {
            let wanted = "none beside decode_table";
            return Err(self.invalid("decode_floor_ms", self.decode_floor_ms, wanted));
        }
        for (index, (sequences, points)) in rows.iter().enumerate() {
            let field = format!("decode_table[{index}]");
            // One femtosecond a token is the least that differs: shorter steps are those that cost nothing.
            if points[0].1 < 1_000_000 {
                return Err(self.invalid(&field, sequences, "steps of a nanosecond or more"));
            }
            if let Some(pair) = points.windows(2).find(|pair| pair[1].1 < pair[0].1) {
                let wanted = "a time that does not fall as the context grows";
                return Err(self.invalid(&field, format!("context {}", pair[1].0), wanted));
            }
        }
        self.check_size("decode_table", &rows, rows.last().map_or(0, |row| row.0))?;
        Ok(Some(DecodeTable::new(&rows, fit)))
    }

    fn check_size(&self, name: &str, rows: &[Row], dense: u64) -> Result<(), ModelError> {
        let knots = Knots::of(rows, None).as_slice().len() as u64;
        if dense * knots > MOST_TABLE_VALUES {
            let got = format!("{knots} different numbers of tokens for {dense} rows or sequences");
            return Err(self.invalid(
                name,
                got,
                "a product of at most 2^20: the same tokens in every row",
            ));
        }
        Ok(())
    }

    /// A table in femtoseconds: rows and points in rising order, none empty.
    fn table(&self, name: &str, rows: &[TableRow], largest: u64) -> Result<Vec<Row>, ModelError> {
        if rows.len() > MOST_TABLE_ENTRIES {
            return Err(self.invalid(name, rows.len(), "at most 256 rows"));
        }
        let mut read: Vec<Row> = Vec::with_capacity(rows.len());
        for (index, (at, points)) in rows.iter().enumerate() {
            let field = format!("{name}[{index}]");
            if *at > largest {
                return Err(self.invalid(&field, at, &format!("at most {largest}")));
            }
            if read.last().is_some_and(|&(before, _)| before >= *at) {
                return Err(self.invalid(&field, at, "more than the row before"));
            }
            if points.is_empty() || points.len() > MOST_TABLE_ENTRIES {
                return Err(self.invalid(&field, points.len(), "from 1 to 256 points"));
            }
            let mut row: Vec<(u64, u64)> = Vec::with_capacity(points.len());
            for &(tokens, ms) in points {
                if tokens > LARGEST_TABLE_TOKENS {
                    return Err(self.invalid(&field, tokens, "at most 2^24 tokens"));
                }
                if row.last().is_some_and(|&(before, _)| before >= tokens) {
                    return Err(self.invalid(&field, tokens, "more tokens than the point before"));
                }
                row.push((tokens, self.femtos(&field, ms, LARGEST_TABLE_MS)? as u64));
            }
            read.push((*at, row));
        }
        Ok(read)
    }

    fn check_errors(&self) -> Result<(), ModelError> {
        let stated = &self.provenance;
        for (field, error) in [
            ("provenance.prefill_error_mean", stated.prefill_error_mean),
            ("provenance.prefill_error_p95", stated.prefill_error_p95),
            ("provenance.prefill_between_error_mean", stated.prefill_between_error_mean),
            ("provenance.prefill_between_error_p95", stated.prefill_between_error_p95),
            ("provenance.decode_error_mean", stated.decode_error_mean),
            ("provenance.decode_error_p95", stated.decode_error_p95),
            ("provenance.prefill_fit_error_mean", stated.prefill_fit_error_mean),
            ("provenance.prefill_fit_error_p95", stated.prefill_fit_error_p95),
            ("provenance.decode_fit_error_mean", stated.decode_fit_error_mean),
            ("provenance.decode_fit_error_p95", stated.decode_fit_error_p95),
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
        let tables = (!self.prefill_table.is_empty(), !self.decode_table.is_empty());
        if !tables.0 && self.prefill_base_ms + self.prefill_ms_per_token + floor < 1e-6 {
            let wanted = "a nanosecond at least for one token (with base and floor)";
            return Err(self.invalid("prefill_ms_per_token", self.prefill_ms_per_token, wanted));
        }
        let slopes = self.decode_ms_per_sequence + self.decode_ms_per_context_token;
        if !tables.1 && self.decode_base_ms.is_none() && self.decode_floor_ms == 0.0 && slopes > 0.0
        {
            let wanted =
                "what a step takes to begin with, 0 included, beside the decode_ms_per keys";
            return Err(self.invalid("decode_base_ms", "none", wanted));
        }
        let decode = self.decode_base_ms.unwrap_or(0.0) + self.decode_ms_per_sequence;
        if !tables.1 && decode + self.decode_floor_ms < 1e-6 {
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
