//! Parameters of the chat generator, with their defaults and where those come from.
//!
//! Lengths and turns follow what is published of WildChat: lengths from Table 1 of arXiv 2405.01470 (Llama-2 tokens:
//! user 295.58 ± 1609.18, assistant 441.34 ± 410.91), turns from an analysis of 529,428 of its conversations (mean 2.35,
//! median 1, P90 5, P95 7, P99 13; at least 2: 42.11 %, 3: 26.19 %, 5: 12.43 %, 10: 2.73 %). System prompts and think
//! times are not published there: their defaults are assumptions.

use crate::WorkloadError;
use crate::arrival::ArrivalSpec;
use crate::day::DaySpec;
use crate::draws::{Length, LengthSpec, OriginShare, Origins, ThinkSpec, ThinkTime};
use crate::error::{in_range, whole_in_range};
use crate::source::{AssumedService, TurnTiming};
use gorgo_random::{Draw, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No session has more turns.
const MOST_TURNS: u32 = 1_000;

/// How many turns a session has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TurnCount {
    /// As published for WildChat.
    #[default]
    Wildchat,
    /// Always the same.
    Fixed {
        /// Turns of a session, at least 1.
        turns: u32,
    },
    /// Geometric: after each turn the session goes on with the same probability.
    Geometric {
        /// Mean number of turns, at least 1.
        mean: f64,
    },
}

/// Share of WildChat's sessions that have at least k + 1 turns. Published: those of 1, 2, 3, 5 and 10, and the
/// percentiles; between them by geometric interpolation.
const WILDCHAT_AT_LEAST: [f64; 14] = [
    1.0, 0.4211, 0.2619, 0.1804, 0.1243, 0.0917, 0.0676, 0.0499, 0.0369, 0.0273, 0.0212, 0.0165,
    0.0128, 0.009_99,
];
/// Beyond the table each further turn has this probability: it makes the mean the published 2.35.
const WILDCHAT_TAIL: f64 = 0.735;

impl TurnCount {
    pub(crate) fn validate(self) -> Result<(), WorkloadError> {
        match self {
            Self::Wildchat => Ok(()),
            Self::Fixed { turns } => {
                whole_in_range("turns.fixed", u64::from(turns), 1, u64::from(MOST_TURNS), "turns")
            }
            Self::Geometric { mean } => in_range("turns.geometric.mean", mean, 1.0, 100.0, "turns"),
        }
    }

    /// The number of turns of a draw, by the inverse of the distribution.
    #[must_use]
    pub fn sample(self, draw: Draw) -> u32 {
        let (first, ratio): (&[f64], f64) = match self {
            Self::Wildchat => (&WILDCHAT_AT_LEAST, WILDCHAT_TAIL),
            Self::Fixed { turns } => return turns,
            Self::Geometric { mean } => (&[1.0], 1.0 - 1.0 / mean),
        };
        let unit = draw.unit();
        let mut turns = u32::try_from(first.partition_point(|&p| unit < p)).unwrap_or(MOST_TURNS);
        if turns as usize == first.len() {
            let mut at_least = first[first.len() - 1] * ratio;
            while unit < at_least && turns < MOST_TURNS {
                turns += 1;
                at_least *= ratio;
            }
        }
        turns.max(1)
    }
}

/// How sessions begin.
#[expect(clippy::large_enum_variant, reason = "one is read per run; a table of 24 hours is large")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SessionStart {
    /// New sessions arrive on their own, at the rate given (sessions, not requests, per second).
    Arrivals(ArrivalSpec),
    /// A closed loop: each user begins a session when the previous one has ended and the user has thought.
    Users {
        /// How many users.
        users: u32,
        /// Their first sessions are spread evenly over this many seconds.
        #[serde(default)]
        ramp_s: f64,
    },
}

/// System prompts that sessions share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SystemPrompts {
    /// How many different ones; 0: sessions have none.
    pub count: u32,
    /// Weight of prompt k (from 1) is `1 / k^zipf_exponent`.
    pub zipf_exponent: f64,
    /// Their lengths.
    pub tokens: LengthSpec,
}

impl Default for SystemPrompts {
    fn default() -> Self {
        let tokens = LengthSpec { mean: 600.0, sd: 600.0, min: 16, max: 4096 };
        Self { count: 32, zipf_exponent: 1.0, tokens }
    }
}

/// Parameters of [`ChatGenerator`](crate::ChatGenerator). At least one of `requests` and `duration_s` is needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChatSpec {
    /// How many requests in all: sessions begin until their planned turns add up to it. So where sessions arrive on
    /// their own, the requests are the same ones whatever a run does.
    pub requests: Option<u64>,
    /// No request is scheduled from this many seconds on. Turns that would be are dropped, and counted in a warning.
    pub duration_s: Option<f64>,
    /// How sessions begin.
    pub start: SessionStart,
    /// Tokens per block.
    pub block_tokens: u32,
    /// When later turns are due: after the end of the turn before plus think time (the default), or at planned times,
    /// which take each turn to last as long as `assumed_service` says.
    pub turn_timing: TurnTiming,
    /// Used only where `turn_timing` is `recorded`. Default: 500 ms + 20 ms per output token (an assumption).
    pub assumed_service: AssumedService,
    /// Turns of a session.
    pub turns: TurnCount,
    /// Shared system prompts. Default: 32, Zipf with exponent 1, 600 ± 600 tokens (assumptions).
    pub system: SystemPrompts,
    /// Tokens of one user text. Default: WildChat's, cut at 8,192.
    pub user_tokens: LengthSpec,
    /// Tokens of one answer. Default: WildChat's, cut at 4,096.
    pub output_tokens: LengthSpec,
    /// What clients ask for as `max_tokens`; answers are cut at it. None: the length of the answer.
    pub max_tokens: Option<u32>,
    /// A session ends before a turn whose prompt and answer would be longer than this together.
    pub context_tokens_max: u32,
    /// Time between an answer and the next turn. Default: 30 ± 45 s, lognormal (an assumption).
    pub think: ThinkSpec,
    /// Users among whom sessions are spread; 0: each session has its own. Unused where `start` is `users`.
    pub users: u64,
    /// Where users sit; none: the unknown origin.
    pub origins: Vec<OriginShare>,
    /// How the rate of new sessions follows the local time of `origins`, those with a position. None: it does not. Only
    /// where sessions arrive on their own.
    pub day: Option<DaySpec>,
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
            day: None,
        }
    }
}

impl ChatSpec {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When one is out of range, nothing bounds the workload, or a first turn might not fit the context.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        if self.requests.is_none() && self.duration_s.is_none() {
            return Err(WorkloadError::Parameter {
                field: "requests",
                got: "neither requests nor duration_s".to_owned(),
                wanted: "at least one of them, to end the workload".to_owned(),
            });
        }
        whole_in_range("requests", self.requests.unwrap_or(1), 1, 1 << 48, "requests")?;
        in_range("duration_s", self.duration_s.unwrap_or(1.0), 1e-3, 1e9, "seconds")?;
        match self.start {
            SessionStart::Arrivals(arrival) => arrival.validate()?,
            SessionStart::Users { users, ramp_s } => {
                whole_in_range("start.users.users", u64::from(users), 1, 10_000_000, "users")?;
                in_range("start.users.ramp_s", ramp_s, 0.0, 1e9, "seconds")?;
            }
        }
        whole_in_range("block_tokens", u64::from(self.block_tokens), 1, 1 << 20, "tokens")?;
        self.assumed_service.validate()?;
        self.turns.validate()?;
        whole_in_range("system.count", u64::from(self.system.count), 0, 10_000_000, "prompts")?;
        in_range("system.zipf_exponent", self.system.zipf_exponent, 0.0, 10.0, "exponent")?;
        Length::new("system.tokens", self.system.tokens)?;
        Length::new("user_tokens", self.user_tokens)?;
        Length::new("output_tokens", self.output_tokens)?;
        let answer = u64::from(self.max_tokens.unwrap_or(u32::MAX).min(self.output_tokens.max));
        whole_in_range("max_tokens", answer, 1, u64::from(u32::MAX), "tokens")?;
        let system = if self.system.count == 0 { 0 } else { u64::from(self.system.tokens.max) };
        let context = u64::from(self.context_tokens_max);
        let unit = "tokens: the longest system prompt, the longest answer and 1 must fit";
        whole_in_range("context_tokens_max", context, system + answer + 1, 1 << 31, unit)?;
        ThinkTime::new(self.think, Key::new(0))?;
        Origins::new(&self.origins)?;
        match (&self.day, self.start) {
            (None, _) => Ok(()),
            (Some(day), SessionStart::Arrivals(_)) => day.validate(),
            (Some(_), SessionStart::Users { .. }) => Err(WorkloadError::Parameter {
                field: "day",
                got: "a rate that follows the day beside a closed loop, which has no rate"
                    .to_owned(),
                wanted: "arrivals at a rate".to_owned(),
            }),
        }
    }
}
