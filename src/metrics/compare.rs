//! Two runs side by side, paired by request identity.
//!
//! Under common random numbers the same request meets the same arrival, prompt and network draws in both runs, so
//! the difference of its two TTFTs says more than the difference of two percentiles. No significance is claimed
//! beyond the stated interval, and that interval is about this seed alone.

use crate::distribution::exact_percentiles;
use crate::{Distribution, RequestRecord, Window, nearest_rank};
use gorgo_types::{Nanos, RequestId};
use serde::Serialize;

/// One run in a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What the run is called.
    pub label: &'a str,
    /// Its records.
    pub records: &'a [RequestRecord],
    /// Which of them are measured.
    pub window: Window,
}

/// Why two runs cannot be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// Pairing needs every identity once.
    #[error("{label} holds request {id} more than once: wanted each request once")]
    Duplicate {
        /// Which run.
        label: String,
        /// Which request.
        id: RequestId,
    },
}

/// Run `b` against run `a`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The reference.
    pub a: SideNumbers,
    /// What is compared to it.
    pub b: SideNumbers,
    /// Requests measured in both runs.
    pub paired: u64,
    /// Requests measured in `a` alone.
    pub only_a: u64,
    /// Requests measured in `b` alone.
    pub only_b: u64,
    /// TTFT of b minus TTFT of a, request by request.
    pub ttft_difference: PairedDifference,
    /// E2E of b minus E2E of a, request by request.
    pub e2e_difference: PairedDifference,
}

/// One run's own numbers, over all its measured requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideNumbers {
    /// What the run is called.
    pub label: String,
    /// Measured requests.
    pub measured: u64,
    /// Of these, completed.
    pub completed: u64,
    /// Scheduled time to first token; a request that did not complete counts as +infinity.
    pub ttft_ms: Distribution,
    /// Scheduled time to last token.
    pub e2e_ms: Distribution,
}

/// Differences of one metric over pairs: negative is faster in `b`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PairedDifference {
    /// Pairs that completed in both runs: the differences are theirs.
    pub completed_in_both: u64,
    /// Mean difference.
    pub mean_ms: Option<f64>,
    /// 95 % interval of the mean by batch means: see [`batch_means_interval`].
    pub mean_ci95_ms: Option<[f64; 2]>,
    /// Median difference.
    pub median_ms: Option<f64>,
    /// 5th percentile: a large gain of `b`.
    pub p5_ms: Option<f64>,
    /// 95th percentile: a large loss of `b`.
    pub p95_ms: Option<f64>,
    /// Share of all pairs in which `b` is faster; completing is faster than not completing.
    pub better: Option<f64>,
    /// Share of all pairs in which `b` is slower.
    pub worse: Option<f64>,
}

/// Compares two runs.
///
/// # Errors
/// When a run holds a request twice.
pub fn compare(a: &Side<'_>, b: &Side<'_>) -> Result<Comparison, CompareError> {
    let (left, right) = (by_id(a)?, by_id(b)?);
    let mut pairs = Vec::with_capacity(left.len().min(right.len()));
    let mut rest = right.iter().peekable();
    for record in &left {
        while rest.next_if(|other| other.id < record.id).is_some() {}
        if let Some(other) = rest.next_if(|other| other.id == record.id) {
            pairs.push((*record, *other));
        }
    }
    // In the order of the schedule, so that batches are stretches of time.
    pairs.sort_by_key(|(record, _)| (record.scheduled, record.id));
    let paired = pairs.len() as u64;
    Ok(Comparison {
        a: SideNumbers::new(a.label, &left),
        b: SideNumbers::new(b.label, &right),
        paired,
        only_a: left.len() as u64 - paired,
        only_b: right.len() as u64 - paired,
        ttft_difference: PairedDifference::new(&pairs, RequestRecord::completed_ttft),
        e2e_difference: PairedDifference::new(&pairs, RequestRecord::e2e),
    })
}

/// The measured records of a run in the order of their identities.
fn by_id<'a>(side: &Side<'a>) -> Result<Vec<&'a RequestRecord>, CompareError> {
    let mut records: Vec<_> =
        side.records.iter().filter(|record| side.window.contains(record.scheduled)).collect();
    records.sort_unstable_by_key(|record| record.id);
    match records.windows(2).find(|pair| pair[0].id == pair[1].id) {
        Some(pair) => Err(CompareError::Duplicate { label: side.label.to_owned(), id: pair[0].id }),
        None => Ok(records),
    }
}

impl SideNumbers {
    fn new(label: &str, records: &[&RequestRecord]) -> Self {
        let ttft: Vec<_> = records.iter().map(|record| record.completed_ttft()).collect();
        let e2e: Vec<_> = records.iter().map(|record| record.e2e()).collect();
        Self {
            label: label.to_owned(),
            measured: records.len() as u64,
            completed: e2e.iter().flatten().count() as u64,
            ttft_ms: Distribution::of(&ttft),
            e2e_ms: Distribution::of(&e2e),
        }
    }
}

impl Distribution {
    /// The distribution of values in memory; none is +infinity.
    #[must_use]
    pub fn of(values: &[Option<Nanos>]) -> Self {
        let mut finite: Vec<u64> = values.iter().flatten().map(|ns| ns.0).collect();
        let infinite = (values.len() - finite.len()) as u64;
        let [p50, p90, p95, p99] =
            exact_percentiles(&mut finite, infinite).map(|ns| ns.map(|ns| Nanos(ns).as_ms()));
        let exact = infinite == 0 && !finite.is_empty();
        let sum: u128 = finite.iter().copied().map(u128::from).sum();
        #[expect(clippy::cast_precision_loss, reason = "a mean for display")]
        let mean = exact.then(|| sum as f64 / finite.len() as f64 / 1e6);
        let max = finite.iter().max().filter(|_| exact).map(|&ns| Nanos(ns).as_ms());
        Self { mean, p50, p90, p95, p99, max }
    }
}

impl PairedDifference {
    fn new(
        pairs: &[(&RequestRecord, &RequestRecord)],
        metric: fn(&RequestRecord) -> Option<Nanos>,
    ) -> Self {
        let mut in_ms = Vec::with_capacity(pairs.len());
        let (mut better, mut worse) = (0_u64, 0_u64);
        for (a, b) in pairs {
            let (a, b) = (metric(a), metric(b));
            let (rank_a, rank_b) = (a.unwrap_or(Nanos::MAX), b.unwrap_or(Nanos::MAX));
            better += u64::from(rank_b < rank_a);
            worse += u64::from(rank_b > rank_a);
            if let (Some(a), Some(b)) = (a, b) {
                in_ms.push(difference_ms(a, b));
            }
        }
        let mean_ci95_ms = batch_means_interval(&in_ms);
        let mean_ms = mean(&in_ms);
        in_ms.sort_unstable_by(f64::total_cmp);
        let n = in_ms.len() as u64;
        let at = |percent| in_ms.get(nearest_rank(percent, n) as usize - 1).copied();
        Self {
            completed_in_both: n,
            mean_ms,
            mean_ci95_ms,
            median_ms: at(50),
            p5_ms: at(5),
            p95_ms: at(95),
            better: share(better, pairs.len()),
            worse: share(worse, pairs.len()),
        }
    }
}

fn difference_ms(a: Nanos, b: Nanos) -> f64 {
    if b >= a { (b - a).as_ms() } else { -(a - b).as_ms() }
}

/// Batches of [`batch_means_interval`].
const BATCHES: usize = 20;
/// Fewest differences in a batch.
const SMALLEST_BATCH: usize = 10;
/// 97.5th percentile of Student's t with 19 degrees of freedom.
const T_975_19: f64 = 2.093;

/// A 95 % interval of the mean of differences in schedule order; none for fewer than 200 of them.
///
/// Neighbouring requests share queues, so their differences are not independent and the usual interval would be too
/// narrow. The method of batch means (Law, *Simulation Modeling and Analysis*, ch. 9) takes the means of 20
/// consecutive stretches as independent instead, and Student's t with 19 degrees of freedom.
#[must_use]
pub fn batch_means_interval(differences: &[f64]) -> Option<[f64; 2]> {
    if differences.len() < BATCHES * SMALLEST_BATCH {
        return None;
    }
    let n = differences.len();
    let means: Vec<f64> = (0..BATCHES)
        .filter_map(|batch| mean(&differences[batch * n / BATCHES..(batch + 1) * n / BATCHES]))
        .collect();
    let centre = mean(differences)?;
    let grand = mean(&means)?;
    let count = BATCHES as f64;
    let variance = means.iter().map(|m| (m - grand).powi(2)).sum::<f64>() / (count - 1.0);
    let half = T_975_19 * (variance / count).sqrt();
    Some([centre - half, centre + half])
}

#[expect(clippy::cast_precision_loss, reason = "a mean for display")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[expect(clippy::cast_precision_loss, reason = "a share for display")]
fn share(part: u64, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
