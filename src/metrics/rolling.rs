//! The TTFT over time: percentiles of the first tokens between two timeline samples of a region.
//!
//! It needs records; a run too large to keep them has no rolling TTFT.

use crate::{RequestRecord, TimelineSample, nearest_rank};
use gorgo_types::{Nanos, RegionId};

/// The first tokens that arrived since the region's previous sample (for the first one: since time zero).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rolling {
    /// How many.
    pub first_tokens: u64,
    /// Median of their TTFTs, by nearest rank; none where there were none.
    pub ttft_p50: Option<Nanos>,
    /// 99th percentile of their TTFTs.
    pub ttft_p99: Option<Nanos>,
}

/// One entry for each sample, in the samples' order. Samples of a region must come in the order of time.
#[must_use]
pub fn rolling(timeline: &[TimelineSample], records: &[RequestRecord]) -> Vec<Rolling> {
    let regions = timeline.iter().map(|sample| sample.region.index() + 1).max().unwrap_or(0);
    let mut first_tokens: Vec<Vec<(Nanos, Nanos)>> = vec![Vec::new(); regions];
    for record in records {
        let (Some(RegionId(region)), Some(at), Some(ttft)) =
            (record.region, record.first_token, record.ttft())
        else {
            continue;
        };
        if let Some(of_region) = first_tokens.get_mut(region as usize) {
            of_region.push((at, ttft));
        }
    }
    for of_region in &mut first_tokens {
        of_region.sort_unstable();
    }
    let mut taken = vec![0; regions];
    let mut ttfts = Vec::new();
    timeline
        .iter()
        .map(|sample| {
            let region = sample.region.index();
            let rest = &first_tokens[region][taken[region]..];
            let count = rest.partition_point(|&(at, _)| at <= sample.at);
            ttfts.clear();
            ttfts.extend(rest[..count].iter().map(|&(_, ttft)| ttft));
            taken[region] += count;
            ttfts.sort_unstable();
            let at = |percent| ttfts.get(nearest_rank(percent, count as u64) as usize - 1).copied();
            Rolling { first_tokens: count as u64, ttft_p50: at(50), ttft_p99: at(99) }
        })
        .collect()
}
