//! What a workload holds: the numbers of `gorgo trace info`.
//!
//! Memory grows with the number of *different* blocks, lengths, sessions and users, not with the requests as such.
//! Percentiles are nearest rank: the value at rank ceil(q n).

use crate::{Due, Source, WorkloadError};
use gorgo_types::{BlockId, Nanos, Origin, Request};
use rustc_hash::{FxHashMap, FxHashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Origins listed at most.
const TOP_ORIGINS: usize = 20;
/// Width of the windows of the peak rate.
const PEAK_WINDOW_S: u64 = 60;

/// Mean and percentiles of lengths, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LengthStats {
    /// Mean.
    pub mean: f64,
    /// 10th percentile, nearest rank.
    pub p10: u64,
    /// Median, nearest rank.
    pub p50: u64,
    /// 90th percentile, nearest rank.
    pub p90: u64,
    /// 95th percentile, nearest rank.
    pub p95: u64,
    /// 99th percentile, nearest rank.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

/// How many requests come from an origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OriginCount {
    /// The origin in words; "unknown" where a request gives none.
    pub origin: String,
    /// Requests from there.
    pub requests: u64,
}

/// Statistics of a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceInfo {
    /// Requests.
    pub requests: u64,
    /// From the first to the last scheduled time, in seconds.
    pub span_s: f64,
    /// Prompt lengths.
    pub input_tokens: LengthStats,
    /// Output lengths.
    pub output_tokens: LengthStats,
    /// Mean of the gaps between arrivals; none below two requests.
    pub interarrival_mean_s: Option<f64>,
    /// Standard deviation / mean of the gaps between arrivals (sample deviation); none below three requests, or where
    /// all come at once.
    pub interarrival_cv: Option<f64>,
    /// Requests per second of the span; none where the span is zero.
    pub mean_rate_rps: Option<f64>,
    /// Requests per second in the fullest of the 60-second windows that follow one another from time zero.
    pub peak_rate_60s_rps: f64,
    /// The rate of the fullest 60-second window over the mean of those windows, the last one counted whole.
    pub peak_to_mean_60s: f64,
    /// Variance / mean of the requests in the 10-second windows from time zero to the last arrival, its unfinished one
    /// included (as published tables count, though it adds to the variance): 1 for a Poisson process in the long run.
    /// None where there are fewer than two windows.
    pub fano_10s: Option<f64>,
    /// The same in windows of 60 seconds.
    pub fano_60s: Option<f64>,
    /// Blocks of all prompts.
    pub blocks: u64,
    /// Those that an earlier prompt had, as a share of all of them.
    pub prefix_block_hit_rate_infinite: f64,
    /// Prompt tokens whose blocks an earlier prompt had, as a share of all prompt tokens: the hit rate of an infinite
    /// cache of prompts. A partial last block counts where it is equal in length too.
    pub prefix_token_hit_rate_infinite: f64,
    /// At most this share of all prompt tokens repeats earlier *outputs* whose blocks the workload does not give, so
    /// that no simulated cache can hit them: prompts that go on where an earlier prompt ended.
    pub hidden_output_reuse_rate_max: f64,
    /// Sessions; lone requests are not counted.
    pub sessions: u64,
    /// Users, where requests name them.
    pub users: u64,
    /// Tokens per block.
    pub block_tokens: u32,
    /// How text was counted as tokens, where the workload says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// Different blocks of prompts.
    pub distinct_blocks: u64,
    /// Origins, the most frequent first, at most 20.
    pub origins: Vec<OriginCount>,
    /// How many different origins there are.
    pub distinct_origins: u64,
    /// The source's warnings.
    pub warnings: Vec<String>,
}

impl TraceInfo {
    /// Reads `source` to its end.
    ///
    /// # Errors
    /// [`WorkloadError::NeedsCompletions`] where later requests wait for earlier ones, and what the source returns.
    pub fn of(source: &mut dyn Source) -> Result<Self, WorkloadError> {
        Self::of_each(source, |_, _| {})
    }

    /// The same, and shows every request to `each`.
    pub(crate) fn of_each(
        source: &mut dyn Source,
        mut each: impl FnMut(Nanos, &Request),
    ) -> Result<Self, WorkloadError> {
        if source.needs_completions() {
            return Err(WorkloadError::NeedsCompletions { what: "trace info" });
        }
        let (mut lengths, mut arrivals, mut reuse) =
            ((Counts::default(), Counts::default()), Arrivals::default(), Reuse::default());
        let (mut sessions, mut users) = (FxHashSet::default(), FxHashSet::default());
        let mut origins = Vec::new();
        while let Due::At(_) = source.next_due()? {
            let (at, request) = source.take()?;
            each(at, &request);
            lengths.0.add(request.prompt.tokens().0);
            lengths.1.add(request.output_tokens.0);
            arrivals.add(at);
            reuse.add(&request);
            if request.has_session {
                sessions.insert(request.id.session);
            }
            users.extend(request.user);
            if origins.len() <= request.origin.index() {
                origins.resize(request.origin.index() + 1, 0);
            }
            origins[request.origin.index()] += 1;
        }
        let tokens = lengths.0.sum.max(1) as f64;
        let span_s = arrivals.span().as_s();
        Ok(Self {
            requests: arrivals.count,
            span_s,
            input_tokens: lengths.0.stats(),
            output_tokens: lengths.1.stats(),
            interarrival_mean_s: (arrivals.count > 1).then_some(arrivals.mean_gap_s),
            interarrival_cv: arrivals.cv(),
            mean_rate_rps: (span_s > 0.0).then(|| arrivals.count as f64 / span_s),
            peak_rate_60s_rps: arrivals.windows_60s.peak() as f64 / PEAK_WINDOW_S as f64,
            peak_to_mean_60s: match arrivals.count {
                0 => 0.0,
                n => arrivals.windows_60s.peak() as f64 / arrivals.windows_60s.mean(n),
            },
            fano_10s: arrivals.windows_10s.fano(arrivals.count),
            fano_60s: arrivals.windows_60s.fano(arrivals.count),
            blocks: reuse.blocks,
            prefix_block_hit_rate_infinite: reuse.hit_blocks as f64 / reuse.blocks.max(1) as f64,
            prefix_token_hit_rate_infinite: reuse.hit_tokens as f64 / tokens,
            hidden_output_reuse_rate_max: reuse.hidden_tokens as f64 / tokens,
            sessions: sessions.len() as u64,
            users: users.len() as u64,
            block_tokens: source.block_tokens(),
            tokens: source.token_rule().map(str::to_owned),
            distinct_blocks: reuse.seen.len() as u64,
            distinct_origins: origins.iter().filter(|&&requests| requests > 0).count() as u64,
            origins: top_origins(source.origins(), &origins),
            warnings: source.warnings(),
        })
    }
}

/// How often each length came.
#[derive(Default)]
struct Counts {
    by_length: BTreeMap<u64, u64>,
    count: u64,
    sum: u64,
}

impl Counts {
    fn add(&mut self, length: u64) {
        *self.by_length.entry(length).or_default() += 1;
        self.count += 1;
        self.sum += length;
    }

    /// The value at rank ceil(percent/100 · n).
    fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100);
        let mut passed = 0;
        for (&length, &count) in &self.by_length {
            passed += count;
            if passed >= rank {
                return length;
            }
        }
        0
    }

    fn stats(&self) -> LengthStats {
        LengthStats {
            mean: self.sum as f64 / self.count.max(1) as f64,
            p10: self.percentile(10),
            p50: self.percentile(50),
            p90: self.percentile(90),
            p95: self.percentile(95),
            p99: self.percentile(99),
            max: self.by_length.last_key_value().map_or(0, |(&length, _)| length),
        }
    }
}

/// Gaps (Welford's running mean and squares) and counts per window.
#[derive(Default)]
struct Arrivals {
    count: u64,
    first: Nanos,
    last: Nanos,
    mean_gap_s: f64,
    squares: f64,
    windows_10s: Windows,
    windows_60s: Windows,
}

/// Counts in windows that follow one another from time zero.
#[derive(Default)]
struct Windows {
    index: u64,
    inside: u64,
    fullest: u64,
    /// Sum of the squared counts of the windows before this one.
    squares: u128,
}

impl Windows {
    fn add(&mut self, at: Nanos, width_s: u64) {
        let index = at.0 / Nanos::from_secs(width_s).0;
        if index != self.index {
            self.squares += u128::from(self.inside).pow(2);
            self.fullest = self.peak();
            (self.index, self.inside) = (index, 0);
        }
        self.inside += 1;
    }

    fn peak(&self) -> u64 {
        self.fullest.max(self.inside)
    }

    fn mean(&self, count: u64) -> f64 {
        count as f64 / (self.index + 1) as f64
    }

    fn fano(&self, count: u64) -> Option<f64> {
        if self.index == 0 {
            return None;
        }
        let squares = (self.squares + u128::from(self.inside).pow(2)) as f64;
        let mean = self.mean(count);
        Some((squares / (self.index + 1) as f64 - mean * mean) / mean)
    }
}

impl Arrivals {
    fn add(&mut self, at: Nanos) {
        if self.count == 0 {
            self.first = at;
        } else {
            let gap_s = at.saturating_sub(self.last).as_s();
            let delta = gap_s - self.mean_gap_s;
            self.mean_gap_s += delta / self.count as f64;
            self.squares += delta * (gap_s - self.mean_gap_s);
        }
        self.last = at;
        self.count += 1;
        self.windows_10s.add(at, 10);
        self.windows_60s.add(at, PEAK_WINDOW_S);
    }

    fn span(&self) -> Nanos {
        self.last.saturating_sub(self.first)
    }

    fn cv(&self) -> Option<f64> {
        let gaps = self.count.checked_sub(1)?;
        if gaps < 2 || self.mean_gap_s <= 0.0 {
            return None;
        }
        Some((self.squares / (gaps - 1) as f64).sqrt() / self.mean_gap_s)
    }
}

/// What an infinite cache of prompts holds.
#[derive(Default)]
struct Reuse {
    seen: FxHashSet<BlockId>,
    /// The last whole block of each prompt whose output has no known blocks, with its longest output.
    ends: FxHashMap<BlockId, u64>,
    blocks: u64,
    hit_blocks: u64,
    hit_tokens: u64,
    hidden_tokens: u64,
}

impl Reuse {
    fn add(&mut self, request: &Request) {
        let prompt = &request.prompt;
        let ids = prompt.ids();
        // Ids are chained, so those seen before come first.
        let known = ids.partition_point(|id| self.seen.contains(id));
        let hit = prompt.tokens_in(known).0;
        self.hit_tokens += hit;
        self.hit_blocks += known as u64;
        self.blocks += ids.len() as u64;
        if known > 0 && known < ids.len() {
            let output = self.ends.get(&ids[known - 1]).copied().unwrap_or(0);
            self.hidden_tokens += output.min(prompt.tokens().0 - hit);
        }
        self.seen.extend(&ids[known..]);
        if request.sequence.is_none() && prompt.whole_blocks() > 0 {
            let longest = self.ends.entry(ids[prompt.whole_blocks() - 1]).or_default();
            *longest = (*longest).max(request.output_tokens.0);
        }
    }
}

fn top_origins(origins: &[Origin], requests: &[u64]) -> Vec<OriginCount> {
    let mut counts: Vec<(u64, usize)> =
        requests.iter().copied().zip(0..).filter(|&(requests, _)| requests > 0).collect();
    counts.sort_unstable_by_key(|&(requests, index)| (Reverse(requests), index));
    counts.truncate(TOP_ORIGINS);
    let count = |(requests, index): (u64, usize)| OriginCount {
        origin: origins.get(index).map_or_else(|| "unknown".to_owned(), origin_name),
        requests,
    };
    counts.into_iter().map(count).collect()
}

/// An origin in words, its most exact part first.
#[must_use]
pub fn origin_name(origin: &Origin) -> String {
    let position = origin.position.map(|p| format!("{}, {}", p.lat, p.lon));
    let parts = [&origin.region, &position, &origin.state, &origin.country];
    let parts: Vec<&str> = parts.into_iter().filter_map(Option::as_deref).collect();
    if parts.is_empty() { "unknown".to_owned() } else { parts.join(", ") }
}
