//! How good a prediction is: errors, rank correlation, and whether what was foretold is what came (calibration).
//!
//! Percentiles are by nearest rank. Nothing here knows where a prediction comes from.

use serde::Serialize;

/// How far predictions are from what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Requests.
    pub requests: u64,
    /// Median of |foretold − measured|, ms.
    pub median_abs_error_ms: f64,
    /// Mean of the same, ms.
    pub mean_abs_error_ms: f64,
    /// 90th percentile of the same, ms.
    pub p90_abs_error_ms: f64,
    /// Median of foretold − measured, ms: above 0, predictions are too slow.
    pub median_error_ms: f64,
    /// Median of |foretold − measured| / measured.
    pub median_relative_error: f64,
    /// Share of predictions within 25 % of what was measured.
    pub within_25_percent: f64,
    /// Spearman's rank correlation; `None` where one side is all the same.
    pub spearman: Option<f64>,
}

/// One bin of a calibration: requests of about the same prediction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Requests in it.
    pub requests: u64,
    /// Median prediction, ms.
    pub foretold_p50_ms: f64,
    /// 10th percentile of what was measured, ms.
    pub measured_p10_ms: f64,
    /// Median of what was measured, ms.
    pub measured_p50_ms: f64,
    /// 90th percentile of what was measured, ms.
    pub measured_p90_ms: f64,
}

/// Scores pairs of (foretold, measured) milliseconds; `None` of no pairs.
#[must_use]
pub fn score(pairs: &[(f64, f64)]) -> Option<Score> {
    if pairs.is_empty() {
        return None;
    }
    let sorted = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let absolute = sorted(|(foretold, measured)| (foretold - measured).abs());
    let signed = sorted(|(foretold, measured)| foretold - measured);
    let relative = sorted(|(foretold, measured)| (foretold - measured).abs() / measured);
    let count = pairs.len() as f64;
    Some(Score {
        requests: pairs.len() as u64,
        median_abs_error_ms: percentile(&absolute, 50),
        mean_abs_error_ms: absolute.iter().sum::<f64>() / count,
        p90_abs_error_ms: percentile(&absolute, 90),
        median_error_ms: percentile(&signed, 50),
        median_relative_error: percentile(&relative, 50),
        within_25_percent: relative.partition_point(|error| *error <= 0.25) as f64 / count,
        spearman: spearman(pairs),
    })
}

/// Cuts pairs of (foretold, measured) into `bins` bins of equally many, by prediction.
#[must_use]
pub fn calibration(pairs: &[(f64, f64)], bins: usize) -> Vec<CalibrationBin> {
    let mut pairs = pairs.to_vec();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let bounds = (0..=bins.max(1)).map(|bin| bin * pairs.len() / bins.max(1)).collect::<Vec<_>>();
    let bin = |bounds: &[usize]| {
        let pairs = &pairs[bounds[0]..bounds[1]];
        let foretold: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
        let mut measured: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
        measured.sort_by(f64::total_cmp);
        (!pairs.is_empty()).then(|| CalibrationBin {
            requests: pairs.len() as u64,
            foretold_p50_ms: percentile(&foretold, 50),
            measured_p10_ms: percentile(&measured, 10),
            measured_p50_ms: percentile(&measured, 50),
            measured_p90_ms: percentile(&measured, 90),
        })
    };
    bounds.windows(2).filter_map(bin).collect()
}

/// Nearest rank of sorted values, which are at least one.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (percent * sorted.len()).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// Spearman's rank correlation of both sides; equal values share the mean of their ranks.
fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let foretold = ranks(pairs.iter().map(|pair| pair.0));
    let measured = ranks(pairs.iter().map(|pair| pair.1));
    // Ranks from 1 have this mean, shared or not.
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum()
    };
    let spread = product(&foretold, &foretold) * product(&measured, &measured);
    (spread > 0.0).then(|| product(&foretold, &measured) / spread.sqrt())
}

fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut order: Vec<(f64, usize)> = values.zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0.0; order.len()];
    let mut start = 0;
    for same in order.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let shared = start as f64 + (same.len() as f64 + 1.0) / 2.0;
        same.iter().for_each(|&(_, place)| ranks[place] = shared);
        start += same.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_correlate_whatever_the_scale() {
        let rising: Vec<(f64, f64)> = (1..9).map(|i| (f64::from(i), f64::from(i * i))).collect();
        assert_eq!(score(&rising).and_then(|score| score.spearman), Some(1.0));
        let falling: Vec<(f64, f64)> = (1..9).map(|i| (f64::from(-i), f64::from(i))).collect();
        assert_eq!(score(&falling).and_then(|score| score.spearman), Some(-1.0));
        let flat: Vec<(f64, f64)> = (1..9).map(|i| (7.0, f64::from(i))).collect();
        assert_eq!(score(&flat).and_then(|score| score.spearman), None);
        // By hand: ranks 1 2.5 2.5 4 against 1 3 2 4; Pearson of those is 4.5 / sqrt(4.5 · 5).
        let tied = [(1.0, 10.0), (2.0, 30.0), (2.0, 20.0), (3.0, 40.0)];
        let found = score(&tied).and_then(|score| score.spearman).unwrap_or(0.0);
        assert!((found - 4.5 / 22.5_f64.sqrt()).abs() < 1e-12, "{found}");
    }

    #[test]
    fn errors_by_hand() {
        let pairs = [(110.0, 100.0), (150.0, 200.0), (310.0, 300.0), (1000.0, 400.0)];
        let score = score(&pairs).expect("there are pairs");
        assert_eq!(score.requests, 4);
        assert_eq!(score.median_abs_error_ms, 10.0);
        assert_eq!(score.mean_abs_error_ms, 167.5);
        assert_eq!(score.p90_abs_error_ms, 600.0);
        assert_eq!(score.median_error_ms, 10.0);
        assert_eq!(score.within_25_percent, 0.75);
        assert!(super::score(&[]).is_none());
    }

    #[test]
    fn bins_hold_equally_many() {
        let pairs: Vec<(f64, f64)> = (0..10).map(|i| (f64::from(i), f64::from(10 * i))).collect();
        let bins = calibration(&pairs, 3);
        assert_eq!(bins.iter().map(|bin| bin.requests).collect::<Vec<_>>(), [3, 3, 4]);
        assert_eq!(bins[0].measured_p50_ms, 10.0);
        assert_eq!(calibration(&pairs[..2], 5).iter().map(|bin| bin.requests).sum::<u64>(), 2);
        assert!(calibration(&[], 5).is_empty());
    }
}
