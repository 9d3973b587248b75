//! Chat sessions: the embedded default workload.
use crate::draws::{LengthSpec, OriginShare, ThinkSpec};
use crate::{ArrivalSpec, AssumedService, Completed, Due, Source, TurnTiming, WorkloadError};
use gorgo_types::{Nanos, Origin, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many turns a session has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TurnCount {
    /// As published for WildChat: mean 2.35, median 1, P90 5, P95 7, P99 13.
    #[default]
    Wildchat,
    /// Always the same.
    Fixed {
        /// Turns of a session.
        turns: u32,
    },
    /// Geometric.
    Geometric {
        /// Mean number of turns, at least 1.
        mean: f64,
    },
}

/// How sessions begin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SessionStart {
    /// New sessions arrive on their own.
    Arrivals(ArrivalSpec),
    /// A fixed number of users, each of whom begins a session when the previous one has ended.
    Users {
        /// How many.
        users: u32,
        /// Their first sessions are spread evenly over this many seconds.
        ramp_s: f64,
    },
}

/// System prompts that sessions share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SystemPrompts {
    /// How many different ones; 0: none.
    pub count: u32,
    /// Weight of prompt k (from 1) is `1 / k^zipf_exponent`.
    pub zipf_exponent: f64,
    /// Lengths.
    pub tokens: LengthSpec,
}

impl Default for SystemPrompts {
    fn default() -> Self {
        Self {
            count: 32,
            zipf_exponent: 1.0,
            tokens: LengthSpec { mean: 600.0, sd: 600.0, min: 16, max: 4096 },
        }
    }
}

/// Parameters of [`ChatGenerator`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChatSpec {
    /// How many requests in all.
    pub requests: Option<u64>,
    /// No request is scheduled from this many seconds on.
    pub duration_s: Option<f64>,
    /// How sessions begin.
    pub start: SessionStart,
    /// Tokens per block.
    pub block_tokens: u32,
    /// When later turns are due.
    pub turn_timing: TurnTiming,
    /// Used only where `turn_timing` is `recorded`.
    pub assumed_service: AssumedService,
    /// Turns of a session.
    pub turns: TurnCount,
    /// Shared system prompts.
    pub system: SystemPrompts,
    /// Tokens of one user text.
    pub user_tokens: LengthSpec,
    /// Tokens of one answer.
    pub output_tokens: LengthSpec,
    /// What clients ask for as max_tokens; none: the output length.
    pub max_tokens: Option<u32>,
    /// A session ends before a turn whose prompt and output would be longer.
    pub context_tokens_max: u32,
    /// Time between an answer and the next turn.
    pub think: ThinkSpec,
    /// Users among whom sessions are spread; 0: each session has its own.
    pub users: u64,
    /// Where users sit; none: the unknown origin.
    pub origins: Vec<OriginShare>,
}

impl Default for ChatSpec {
    fn default() -> Self {
        Self {
            requests: Some(10_000),
            duration_s: None,
            start: SessionStart::Arrivals(ArrivalSpec::Poisson { rate_rps: 2.0 }),
            block_tokens: 16,
            turn_timing: TurnTiming::AfterPrevious,
            assumed_service: AssumedService { base_ms: 500.0, per_token_ms: 20.0 },
            turns: TurnCount::Wildchat,
            system: SystemPrompts::default(),
            user_tokens: LengthSpec { mean: 295.58, sd: 1609.18, min: 1, max: 8192 },
            output_tokens: LengthSpec { mean: 441.34, sd: 410.91, min: 1, max: 4096 },
            max_tokens: None,
            context_tokens_max: 32_768,
            think: ThinkSpec { mean_s: 30.0, sd_s: 45.0 },
            users: 0,
            origins: Vec::new(),
        }
    }
}

impl ChatSpec {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When one is out of range.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        Ok(())
    }
}

/// Chat sessions.
pub struct ChatGenerator {}

impl ChatGenerator {
    /// The workload `spec` under `seed`.
    ///
    /// # Errors
    /// As [`ChatSpec::validate`].
    pub fn new(spec: ChatSpec, _seed: u64) -> Result<Self, WorkloadError> {
        spec.validate()?;
        Ok(Self {})
    }
}

impl Source for ChatGenerator {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(Due::End)
    }
    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        Err(WorkloadError::NothingDue)
    }
    fn finished(&mut self, _: Completed) {}
    fn needs_completions(&self) -> bool {
        true
    }
    fn origins(&self) -> &[Origin] {
        &[]
    }
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    fn size_hint(&self) -> Option<u64> {
        None
    }
    fn block_tokens(&self) -> u32 {
        16
    }
}
