//! The parameters of [`super::paired`], and what each may be. Read [`super::paired`] next.

use super::config::{TunerError, check, number};
use serde::{Deserialize, Serialize};

/// The most requests of a trial: its costs are kept until it ends.
const LONGEST_TRIAL: u64 = 10_000_000;

/// The parameters. The defaults are this project's, chosen on other fleets and workloads than those of its results page
/// (`results/papers/reviewers/tuner.md`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PairedParameters {
    /// Requests in a row that are routed alike. From 1 to 10,000.
    pub block: u32,
    /// Of these, the first that are not judged: they meet the queues that the block before has left. Below `block`.
    pub burn_in: u32,
    /// One block in so many goes to each of a weight's two levels, in the first trial and after each success. From 2 to
    /// 100.
    pub share: u32,
    /// What it doubles up to while trials find nothing better. From `share` to 1,000.
    pub share_max: u32,
    /// Requests from one comparison to the next, at `share`; at a larger share as many groups. From 2 to 100,000.
    pub look: u32,
    /// The most judged requests of a trial at `share`; at a larger share it has as many groups. From `look` to
    /// 1,000,000.
    pub samples: u32,
    /// Standard deviations of chance by which a level must be better to be accepted at once. Above 0, at most 100.
    pub accept: f64,
    /// By which it must be at the end of the trial. From 0 to 100.
    pub accept_last: f64,
    /// By which the one level that the box leaves must be worse to be given up at once. Above 0, at most 100.
    pub reject: f64,
    /// The first step size: from the centre to a level, in the weight's logarithm. From `sigma_min` to `sigma_max`.
    pub sigma: f64,
    /// The smallest step size. Above 0.
    pub sigma_min: f64,
    /// The largest step size, at most 10.
    pub sigma_max: f64,
    /// What a step grows by when it was the second in the same direction, or the first. From 1 to 10.
    pub grow: f64,
    /// What it shrinks by after a turn, or when nothing better was found. Above 0, at most 1.
    pub shrink: f64,
}

impl Default for PairedParameters {
    fn default() -> Self {
        Self {
            block: 1,
            burn_in: 0,
            share: 2,
            share_max: 16,
            look: 32,
            samples: 384,
            accept: 2.0,
            accept_last: 1.0,
            reject: 0.5,
            sigma: 1.5,
            sigma_min: 0.1,
            sigma_max: 2.0,
            grow: 1.5,
            shrink: 0.8,
        }
    }
}

impl PairedParameters {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), TunerError> {
        let count = |name, value: u32, good, wanted| check(name, value, good, wanted);
        count("block", self.block, (1..=10_000).contains(&self.block), "from 1 to 10,000")?;
        count("burn_in", self.burn_in, self.burn_in < self.block, "below `block`")?;
        count("share", self.share, (2..=100).contains(&self.share), "from 2 to 100")?;
        let good = self.share_max >= self.share && self.share_max <= 1_000;
        count("share_max", self.share_max, good, "from `share` to 1,000")?;
        count("look", self.look, (2..=100_000).contains(&self.look), "from 2 to 100,000")?;
        let good = self.samples >= self.look && self.samples <= 1_000_000;
        count("samples", self.samples, good, "from `look` to 1,000,000")?;
        let good = self.trial_requests(self.share_max) <= LONGEST_TRIAL;
        let wanted = "so many that a trial has at most 10,000,000 requests, `burn_in` included";
        count("samples", self.samples, good, wanted)?;
        let real = |name, value: f64, good, wanted| check(name, number(value), good, wanted);
        let positive = |value: f64| value > 0.0 && value <= 100.0;
        real("accept", self.accept, positive(self.accept), "above 0 and at most 100")?;
        let good = (0.0..=100.0).contains(&self.accept_last);
        real("accept_last", self.accept_last, good, "from 0 to 100")?;
        real("reject", self.reject, positive(self.reject), "above 0 and at most 100")?;
        let good = self.sigma_max > 0.0 && self.sigma_max <= 10.0;
        real("sigma_max", self.sigma_max, good, "above 0 and at most 10")?;
        let good = self.sigma_min > 0.0 && self.sigma_min <= self.sigma_max;
        real("sigma_min", self.sigma_min, good, "above 0 and at most `sigma_max`")?;
        let good = self.sigma >= self.sigma_min && self.sigma <= self.sigma_max;
        real("sigma", self.sigma, good, "from `sigma_min` to `sigma_max`")?;
        real("grow", self.grow, (1.0..=10.0).contains(&self.grow), "from 1 to 10")?;
        let good = self.shrink > 0.0 && self.shrink <= 1.0;
        real("shrink", self.shrink, good, "above 0 and at most 1")
    }

    /// Requests of a trial, judged or not, when one block in `share` goes to each level.
    pub(super) fn trial_requests(&self, share: u32) -> u64 {
        let judged_of_group = u64::from(self.block - self.burn_in) * u64::from(self.share);
        let groups = u64::from(self.samples).div_ceil(judged_of_group);
        groups * u64::from(self.block) * u64::from(share)
    }
}
