//! Lone requests whose prompts begin with one of a number of shared prefixes: the generator for runs of any size.
//!
//! Prefix `g` is drawn with Zipf weights, its blocks are hashed once, and a request hashes only its own tail. Memory
//! is that of the prefixes, whatever the number of requests.

use crate::arrival::{ArrivalSpec, ArrivalTimes};
use crate::draws::{OriginShare, Origins};
use crate::error::{in_range, whole_in_range};
use crate::{Due, Source, WorkloadError};
use gorgo_random::{Key, Purpose};
use gorgo_types::{BlockChain, ChainBuilder, Nanos, Origin, Request, RequestId, Tokens};
use rand::Rng;
use rand_distr::{Distribution, Zipf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of [`PrefixGroups`]. The defaults follow a common replay benchmark: prompts of about 1,400 tokens, of
/// which 512 or 1,024 are shared, and 100 to 200 tokens of output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrefixGroupsSpec {
    /// How many requests.
    pub requests: u64,
    /// How they arrive.
    pub arrival: ArrivalSpec,
    /// Tokens per block.
    pub block_tokens: u32,
    /// How many shared prefixes.
    pub groups: u32,
    /// Weight of prefix k (from 1) is `1 / k^zipf_exponent`.
    pub zipf_exponent: f64,
    /// Lengths of the shared prefixes in tokens: prefix k has the (k mod n)-th of these.
    pub prefix_tokens: Vec<u32>,
    /// Fewest tokens of a request's own, after its prefix.
    pub unique_tokens_min: u32,
    /// Most tokens of a request's own; lengths are uniform.
    pub unique_tokens_max: u32,
    /// Fewest output tokens.
    pub output_tokens_min: u32,
    /// Most output tokens; lengths are uniform.
    pub output_tokens_max: u32,
    /// Where requests come from; none: the unknown origin.
    pub origins: Vec<OriginShare>,
}

impl Default for PrefixGroupsSpec {
    fn default() -> Self {
        Self {
            requests: 100_000,
            arrival: ArrivalSpec::Poisson { rate_rps: 80.0 },
            block_tokens: 16,
            groups: 200,
            zipf_exponent: 1.0,
            prefix_tokens: vec![512, 1024],
            unique_tokens_min: 257,
            unique_tokens_max: 1024,
            output_tokens_min: 100,
            output_tokens_max: 200,
            origins: Vec::new(),
        }
    }
}

impl PrefixGroupsSpec {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When one is out of range, or a least is above its most.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        const MOST: u64 = 16_000_000;
        self.arrival.validate()?;
        whole_in_range("requests", self.requests, 1, 1 << 48, "requests")?;
        whole_in_range("block_tokens", u64::from(self.block_tokens), 1, 1 << 20, "tokens")?;
        whole_in_range("groups", u64::from(self.groups), 1, 10_000_000, "prefixes")?;
        in_range("zipf_exponent", self.zipf_exponent, 0.0, 10.0, "exponent")?;
        whole_in_range(
            "prefix_tokens (count)",
            self.prefix_tokens.len() as u64,
            1,
            1_000,
            "lengths",
        )?;
        for &tokens in &self.prefix_tokens {
            whole_in_range("prefix_tokens", u64::from(tokens), 0, MOST, "tokens")?;
        }
        let (low, high) = (u64::from(self.unique_tokens_min), u64::from(self.unique_tokens_max));
        whole_in_range("unique_tokens_max", high, 1, MOST, "tokens")?;
        whole_in_range("unique_tokens_min", low, 1, high, "tokens, at most unique_tokens_max")?;
        let (low, high) = (u64::from(self.output_tokens_min), u64::from(self.output_tokens_max));
        whole_in_range("output_tokens_max", high, 1, MOST, "tokens")?;
        whole_in_range("output_tokens_min", low, 1, high, "tokens, at most output_tokens_max")?;
        Origins::new(&self.origins).map(drop)
    }
}

/// A shared prefix: its whole blocks as a chain, and the tokens beyond them (which end up in the request's own block).
struct Prefix {
    whole: Option<BlockChain>,
    tokens: u32,
}

/// Lone requests with shared prefixes.
pub struct PrefixGroups {
    spec: PrefixGroupsSpec,
    key: Key,
    times: ArrivalTimes,
    zipf: Zipf<f64>,
    prefixes: Vec<Prefix>,
    origins: Origins,
}

impl PrefixGroups {
    /// The workload `spec` under `seed`.
    ///
    /// # Errors
    /// As [`PrefixGroupsSpec::validate`].
    pub fn new(spec: PrefixGroupsSpec, seed: u64) -> Result<Self, WorkloadError> {
        spec.validate()?;
        let key = Key::new(seed);
        let refuse = |error: rand_distr::ZipfError| WorkloadError::Parameter {
            field: "zipf_exponent",
            got: spec.zipf_exponent.to_string(),
            wanted: format!("a Zipf distribution: {error}"),
        };
        let zipf = Zipf::new(f64::from(spec.groups), spec.zipf_exponent).map_err(refuse)?;
        let prefixes = (0..spec.groups).map(|g| prefix(&spec, key, g)).collect::<Result<_, _>>()?;
        let times = ArrivalTimes::new(spec.arrival, key)?;
        let origins = Origins::new(&spec.origins)?;
        Ok(Self { spec, key, times, zipf, prefixes, origins })
    }

    /// The request of an ordinal: a function of the seed and the ordinal alone.
    fn request(&self, ordinal: u64) -> Result<Request, WorkloadError> {
        let mut rng = self.key.with(Purpose::Turn).word(ordinal).draw().rng();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank from 1 to the number of prefixes"
        )]
        let rank = self.zipf.sample(&mut rng) as usize;
        let prefix = &self.prefixes[rank.clamp(1, self.prefixes.len()) - 1];
        let spec = &self.spec;
        let unique = between(rng.next_u64(), spec.unique_tokens_min, spec.unique_tokens_max);
        let output = between(rng.next_u64(), spec.output_tokens_min, spec.output_tokens_max);
        let tokens = u64::from(prefix.tokens) + u64::from(unique);
        let blocks = tokens.div_ceil(u64::from(spec.block_tokens)) as usize;
        let mut builder = match &prefix.whole {
            Some(whole) => ChainBuilder::continuing(whole),
            None => builder(spec.block_tokens)?,
        };
        let mut content = rng.next_u64();
        while builder.blocks() < blocks {
            builder.push_block(content);
            content = content.wrapping_add(1);
        }
        Ok(Request {
            id: RequestId { session: ordinal, turn: 0 },
            user: None,
            has_session: false,
            prompt: finish(builder, tokens)?,
            output_tokens: Tokens(u64::from(output)),
            max_tokens: Tokens(u64::from(output)),
            sequence: None,
            origin: self.origins.pick(self.key.with(Purpose::Session).word(ordinal)),
        })
    }
}

/// A uniform whole number from `low` to `high`, both included.
fn between(bits: u64, low: u32, high: u32) -> u32 {
    let below = gorgo_random::Draw::from_bits(bits).below(u64::from(high - low) + 1);
    low + u32::try_from(below).unwrap_or(high - low)
}

/// The shared prefix of a rank.
fn prefix(spec: &PrefixGroupsSpec, key: Key, rank: u32) -> Result<Prefix, WorkloadError> {
    let tokens = spec.prefix_tokens[rank as usize % spec.prefix_tokens.len()];
    let whole = tokens / spec.block_tokens;
    let content = key.with(Purpose::SharedPrefix).word(u64::from(rank)).draw().bits();
    let mut blocks = builder(spec.block_tokens)?;
    (0..whole).for_each(|i| blocks.push_block(content.wrapping_add(u64::from(i))));
    let whole = match whole {
        0 => None,
        n => Some(finish(blocks, u64::from(n) * u64::from(spec.block_tokens))?),
    };
    Ok(Prefix { whole, tokens })
}

fn builder(block_tokens: u32) -> Result<ChainBuilder, WorkloadError> {
    ChainBuilder::new(block_tokens).map_err(|error| chain_error(&error))
}

fn finish(builder: ChainBuilder, tokens: u64) -> Result<BlockChain, WorkloadError> {
    builder.finish(Tokens(tokens)).map_err(|error| chain_error(&error))
}

/// A prompt that is no chain: validated parameters do not lead here.
pub(crate) fn chain_error(error: &gorgo_types::ChainError) -> WorkloadError {
    WorkloadError::Parameter {
        field: "block_tokens",
        got: error.to_string(),
        wanted: "lengths that make a chain of blocks".to_owned(),
    }
}

impl Source for PrefixGroups {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        let more = self.times.ordinal() < self.spec.requests;
        Ok(if more { Due::At(self.times.peek()) } else { Due::End })
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        if self.times.ordinal() >= self.spec.requests {
            return Err(WorkloadError::NothingDue);
        }
        let request = self.request(self.times.ordinal())?;
        let at = self.times.peek();
        self.times.advance();
        Ok((at, request))
    }

    fn origins(&self) -> &[Origin] {
        self.origins.list()
    }

    fn size_hint(&self) -> Option<u64> {
        Some(self.spec.requests)
    }

    fn block_tokens(&self) -> u32 {
        self.spec.block_tokens
    }
}
