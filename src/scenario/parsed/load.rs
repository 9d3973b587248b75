//! `[load]`: when requests are sent. Kinds have GuideLLM's names where it has one.

use super::{ThinkTable, keep_if};
use crate::SweepArrivals;
use gorgo_config::{
    Count, Duration, Located, NonNegative, Positive, PositiveDuration, Rate, Share,
};
use gorgo_workload::TurnTiming;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When requests are sent: at most one kind. Default for traces and arrival files: `recorded`; generators need one.
///
/// For the chat workload an arrival is a new session, and a stream holds one session after the
/// other, thinking between its turns.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadTable {
    /// When later turns of a session are due: at their `recorded` times, or `after-previous`, once the turn before
    /// has ended and the client has thought. Default: after-previous for chat, recorded for traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Located<TurnTiming>>,
    /// Evenly spaced arrivals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<Located<RateTable>>,
    /// Independent exponential gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poisson: Option<Located<RateTable>>,
    /// Independent gamma gaps: bursts where `cv` is above 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma: Option<Located<GammaTable>>,
    /// The workload's own times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Located<RecordedTable>>,
    /// A rate that goes from one value to another and stays there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Located<RampTable>>,
    /// A rate that rises and falls with the time of day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diurnal: Option<Located<DiurnalTable>>,
    /// A rate that is multiplied for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spike: Option<Located<SpikeTable>>,
    /// One request at a time, the next one when the one before has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronous: Option<Located<SynchronousTable>>,
    /// A fixed number of streams (or users), each with at most one request under way: a closed loop.
    #[serde(default, alias = "closed_loop", skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<Located<ConcurrentTable>>,
    /// As much as there may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Located<ThroughputTable>>,
    /// Several runs: synchronous, throughput, and rates between the two that were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Located<SweepTable>>,
}

impl LoadTable {
    /// Takes away every key that is not kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let Self {
            turns,
            constant,
            poisson,
            gamma,
            recorded,
            ramp,
            diurnal,
            spike,
            synchronous,
            concurrent,
            throughput,
            sweep,
        } = self;
        keep_if(keep("turns"), turns);
        keep_if(keep("constant"), constant);
        keep_if(keep("poisson"), poisson);
        keep_if(keep("gamma"), gamma);
        keep_if(keep("recorded"), recorded);
        keep_if(keep("ramp"), ramp);
        keep_if(keep("diurnal"), diurnal);
        keep_if(keep("spike"), spike);
        keep_if(keep("synchronous"), synchronous);
        keep_if(keep("concurrent") || keep("closed_loop"), concurrent);
        keep_if(keep("throughput"), throughput);
        keep_if(keep("sweep"), sweep);
    }

    /// Whether it says when requests are sent otherwise than at their recorded times.
    pub(crate) fn redraws(&self) -> bool {
        let only_recorded =
            Self { turns: self.turns.clone(), recorded: self.recorded.clone(), ..Self::default() };
        *self != only_recorded
    }
}

/// Arrivals at a rate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateTable {
    /// Mean rate of arrivals.
    pub rate: Located<Rate>,
}

/// Bursty arrivals.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GammaTable {
    /// Mean rate of arrivals.
    pub rate: Located<Rate>,
    /// Coefficient of variation of the gaps (standard deviation / mean).
    pub cv: Located<Positive>,
}

/// The workload's own times.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedTable {
    /// Times are divided by this. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speedup: Option<Located<Positive>>,
    /// Only requests recorded from here on, in the trace's own time. Default: from its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Located<Duration>>,
    /// Only requests recorded before here, in the trace's own time. Default: to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Located<Duration>>,
}

/// A ramp.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RampTable {
    /// Rate at the start. Default: none, that is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Located<Rate>>,
    /// Rate at the end of the ramp, and from then on.
    pub to: Located<Rate>,
    /// How long the ramp takes.
    pub over: Located<PositiveDuration>,
    /// Coefficient of variation of the gaps, before they are stretched: 1 is Poisson, 0 evenly spaced. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cv: Option<Located<NonNegative>>,
}

/// The rhythm of a day: a cosine with `amplitude`, or a table `hourly`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiurnalTable {
    /// Mean rate over a period.
    pub rate: Located<Rate>,
    /// Height of the peak above the mean, as a share of it; the trough is as far below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amplitude: Option<Located<Share>>,
    /// Length of a period, with `amplitude`. Default: 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Located<PositiveDuration>>,
    /// When the first peak is, with `amplitude`. Default: 0s, the start of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<Located<Duration>>,
    /// Weights of the 24 hours of a day, from midnight on, instead of `amplitude`; only their ratios count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly: Option<Located<Vec<NonNegative>>>,
    /// The time of day at the start of the run, with `hourly`. Default: 0s, midnight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Located<Duration>>,
    /// As for a ramp. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cv: Option<Located<NonNegative>>,
}

/// A spike.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpikeTable {
    /// Rate outside the spike.
    pub rate: Located<Rate>,
    /// What it is multiplied by during it; below 1 it is a lull.
    pub factor: Located<NonNegative>,
    /// When it begins.
    pub from: Located<Duration>,
    /// When it ends.
    pub to: Located<Duration>,
    /// How long after its beginning the next one begins. Default: there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Located<PositiveDuration>>,
    /// As for a ramp. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cv: Option<Located<NonNegative>>,
}

/// One request at a time.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SynchronousTable {}

/// As much as there may be under way at once.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThroughputTable {
    /// Most requests under way at once.
    pub max_in_flight: Located<Count>,
    /// The first ones are spread evenly over this span. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Duration>,
}

/// From idle to saturated, as GuideLLM's sweep: the first run is synchronous, the second for throughput, and the
/// others have rates evenly spaced from the first one's measured rate, not included, to the second one's, included. A
/// scenario of several policies takes the lowest and the highest rate of any, so that all meet the same arrivals.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepTable {
    /// How many runs in all, 3 or more. Default: 10, GuideLLM's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Located<Count>>,
    /// How requests of the runs between follow one another. Default: constant, GuideLLM's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<SweepArrivals>,
    /// Most requests under way at once in the run for throughput.
    pub max_in_flight: Located<Count>,
}

/// A fixed number of streams.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrentTable {
    /// How many.
    #[serde(alias = "users")]
    pub streams: Located<Count>,
    /// Time between the end of a stream's request and its next one; not for chat, whose sessions have their own.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<Located<ThinkTable>>,
    /// The streams' first requests are spread evenly over this span. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Duration>,
}
