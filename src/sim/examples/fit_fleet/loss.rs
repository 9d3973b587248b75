//! How far a simulated run is from a measured one: logarithms of quantiles, in groups that count alike.
//!
//! Ratios, not differences: a tail of seconds and a floor of 100 ms count alike. Each squared log-ratio is divided by
//! how much that quantile varies from run to run ([`FEATURES`]' last number), for few runs were measured. Against one run
//! a loss of 1 is a fit as good as a second run; against the mean of two, a perfect model has 0.5.

use crate::measured::{Sample, Samples, quantile};

/// What a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Ttft,
    E2e,
    /// Mean gap of a request.
    Itl,
}

impl Figure {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::E2e => "E2E",
            Self::Itl => "ITL",
        }
    }

    fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Ttft => Some(sample.ttft_ms),
            Self::E2e => Some(sample.e2e_ms),
            Self::Itl => sample.itl_ms(),
        }
    }
}

/// Figures of one kind over one range of prompt lengths, at some quantiles, each with its run-to-run deviation as a
/// share (standard deviation of its logarithm).
pub struct Group {
    pub figure: Figure,
    /// Prompt tokens, from and (exclusive) to.
    pub inputs: (u32, u32),
    pub quantiles: &'static [(f64, f64)],
}

const fn group(figure: Figure, inputs: (u32, u32), quantiles: &'static [(f64, f64)]) -> Group {
    Group { figure, inputs, quantiles }
}

const ALL: (u32, u32) = (0, u32::MAX);
const BY_LENGTH: &[(f64, f64)] = &[(0.1, 0.06), (0.25, 0.03), (0.5, 0.05), (0.75, 0.07)];

/// What is compared. The deviations are those of 16 simulated reruns of both policies near the start of the search, the
/// quadratic mean of the two, with 3 % as the least. They are large in the tails because the fleet is bistable there: once
/// a burst has pushed batches above the last CUDA graph, slow steps keep them there for minutes.
pub const FEATURES: &[Group] = &[
    group(
        Figure::Ttft,
        ALL,
        &[
            (0.05, 0.06),
            (0.1, 0.03),
            (0.25, 0.04),
            (0.5, 0.045),
            (0.75, 0.06),
            (0.9, 0.09),
            (0.95, 0.12),
            (0.99, 0.145),
        ],
    ),
    group(
        Figure::E2e,
        ALL,
        &[
            (0.05, 0.03),
            (0.25, 0.04),
            (0.5, 0.055),
            (0.75, 0.12),
            (0.9, 0.16),
            (0.95, 0.135),
            (0.99, 0.085),
        ],
    ),
    group(
        Figure::Itl,
        ALL,
        &[(0.05, 0.03), (0.25, 0.045), (0.5, 0.06), (0.75, 0.125), (0.9, 0.165), (0.95, 0.135)],
    ),
    group(Figure::Ttft, (0, 18), BY_LENGTH),
    group(Figure::Ttft, (3_000, 6_000), BY_LENGTH),
    group(Figure::Ttft, (6_000, 10_000), BY_LENGTH),
    group(Figure::Ttft, (10_000, 15_000), BY_LENGTH),
    group(Figure::Ttft, (15_000, 24_000), BY_LENGTH),
];

/// The five groups by length count as much as one of the others together.
const WEIGHT_BY_LENGTH: f64 = 0.3;

/// The logarithms of all features of a run, in the order of [`FEATURES`].
pub fn features(samples: &Samples) -> Vec<f64> {
    FEATURES
        .iter()
        .flat_map(|group| {
            let (from, to) = group.inputs;
            let sorted = samples.sorted(from..to, |sample| group.figure.of(sample));
            let logs: Vec<f64> =
                group.quantiles.iter().map(|&(q, _)| quantile(&sorted, q).ln()).collect();
            logs
        })
        .collect()
}

/// The loss of one policy: `simulated` are the features averaged over seeds.
pub fn loss(measured: &[f64], simulated: &[f64]) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    let mut at = 0;
    for group in FEATURES {
        let weight = if group.inputs == ALL { 1.0 } else { WEIGHT_BY_LENGTH };
        let mut of_group = 0.0;
        for &(_, deviation) in group.quantiles {
            of_group += ((simulated[at] - measured[at]) / deviation).powi(2);
            at += 1;
        }
        sum += weight * of_group / group.quantiles.len() as f64;
        weights += weight;
    }
    sum / weights
}

/// The mean of several runs' features.
pub fn mean(runs: &[Vec<f64>]) -> Vec<f64> {
    let n = runs.len() as f64;
    (0..runs[0].len()).map(|i| runs.iter().map(|run| run[i]).sum::<f64>() / n).collect()
}
