//! What a run costs: GPU-hours and bytes, at given prices.
//!
//! Billed is the measured window: the GPUs are paid for its length, traffic and tokens are those of the requests that
//! were scheduled in it. A prompt travels from the router to its replica, the answer back to the router and on to the
//! client; whoever sends pays, a region nothing for what stays inside it. What has no price is `null` and named, never
//! zero. Where prices come from is not known here: `gorgo-scenario` finds them.

use crate::{ReplicaSummary, RunResult, Summary};
use gorgo_types::RegionId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of a GB, as prices of traffic count them here.
pub const BYTES_PER_GB: f64 = 1e9;

/// What things cost. Prices are finite and not negative.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// What each replica costs, by `ReplicaId`.
    pub replicas: Vec<ReplicaPrice>,
    /// Whether a replica costs something while it has nothing to do. Otherwise it costs its busy share of the run.
    pub count_idle: bool,
    /// Where the router stands.
    pub router_region: RegionId,
    /// USD a GB from one region to another one. A pair that is not there has no price.
    pub egress_usd_per_gb: BTreeMap<(RegionId, RegionId), f64>,
    /// USD a GB from the router's region to clients; none: it has no price.
    pub internet_usd_per_gb: Option<f64>,
    /// Bytes that travel for a token of a prompt.
    pub bytes_per_prompt_token: f64,
    /// Bytes that travel for a token of an answer.
    pub bytes_per_output_token: f64,
}

/// What a replica costs.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaPrice {
    /// What its GPUs are called.
    pub gpu: String,
    /// How many it has.
    pub gpus: u32,
    /// USD for one of them and an hour; none: it has no price.
    pub usd_per_gpu_hour: Option<f64>,
}

/// Tokens of the measured requests that one replica served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Measured requests whose last attempt went there.
    pub requests: u64,
    /// Prompt tokens of those requests: their prompts travelled, whatever became of them.
    pub sent_prompt_tokens: u64,
    /// Prompt tokens of the completed ones.
    pub prompt_tokens: u64,
    /// Output tokens of the completed ones.
    pub output_tokens: u64,
}

/// The bill of the measured window, in USD. What has no price, and every sum with it, is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// GPU-hours at their price.
    pub gpu: Option<f64>,
    /// Traffic between regions.
    pub egress_cross_region: Option<f64>,
    /// Answers from the router's region to clients.
    pub egress_internet: Option<f64>,
    /// Both kinds of traffic.
    pub egress: Option<f64>,
    /// GPUs and traffic.
    pub total: Option<f64>,
    /// `total` for a million tokens, prompt and output of completed requests; null where there are none.
    pub per_million_tokens: Option<f64>,
    /// `total` for a million output tokens; null where there are none.
    pub per_million_output_tokens: Option<f64>,
    /// Hours of single GPUs.
    pub gpu_hours: f64,
    /// GB between regions.
    pub cross_region_gb: f64,
    /// GB from the router's region to clients.
    pub internet_gb: f64,
    /// Prompt tokens of the measured completed requests.
    pub input_tokens: u64,
    /// Output tokens of the measured completed requests.
    pub output_tokens: u64,
    /// The traffic between regions, by the region that sends and the one that receives.
    pub legs: Vec<Leg>,
    /// What has no price although it was used.
    pub unpriced: Vec<String>,
}

/// What one region sent to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// The region that sends, and pays.
    pub from: String,
    /// The region that receives.
    pub to: String,
    /// GB.
    pub gb: f64,
    /// USD; null where the pair has no price.
    pub usd: Option<f64>,
}

impl RunResult {
    /// Puts the bill into the summary.
    pub fn charge(&mut self, prices: &Prices) {
        self.summary.cost_usd = Some(self.bill(prices));
    }

    fn bill(&self, prices: &Prices) -> Cost {
        let mut unpriced = Vec::new();
        let (gpu, gpu_hours) = gpus(&self.summary, prices, &mut unpriced);
        let legs = self.legs(prices, &mut unpriced);
        let egress_cross_region = legs.iter().map(|leg| leg.usd).sum();
        let sum = |tokens: fn(&Served) -> u64| self.served.iter().map(tokens).sum::<u64>();
        let input_tokens = sum(|served| served.prompt_tokens);
        let output_tokens = sum(|served| served.output_tokens);
        let internet_gb = gigabytes(output_tokens, prices.bytes_per_output_token);
        let egress_internet = charge(internet_gb, prices.internet_usd_per_gb, || {
            unpriced.push(format!("traffic from {} to clients", self.region(prices.router_region)));
        });
        let both = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        let egress = both(egress_cross_region, egress_internet);
        let total = both(gpu, egress);
        let per_million = |tokens: u64| {
            #[expect(clippy::cast_precision_loss, reason = "a mean for display")]
            let millions = tokens as f64 / 1e6;
            total.filter(|_| tokens > 0).map(|total| total / millions)
        };
        Cost {
            gpu,
            egress_cross_region,
            egress_internet,
            egress,
            total,
            per_million_tokens: per_million(input_tokens + output_tokens),
            per_million_output_tokens: per_million(output_tokens),
            gpu_hours,
            cross_region_gb: legs.iter().map(|leg| leg.gb).sum(),
            internet_gb,
            input_tokens,
            output_tokens,
            legs,
            unpriced,
        }
    }

    /// The traffic between regions: prompts out, answers back.
    fn legs(&self, prices: &Prices, unpriced: &mut Vec<String>) -> Vec<Leg> {
        let router = prices.router_region;
        let mut legs: BTreeMap<(RegionId, RegionId), f64> = BTreeMap::new();
        for ((_, region), served) in self.names.replicas.iter().zip(&self.served) {
            if *region == router {
                continue;
            }
            let prompts = gigabytes(served.sent_prompt_tokens, prices.bytes_per_prompt_token);
            let answers = gigabytes(served.output_tokens, prices.bytes_per_output_token);
            *legs.entry((router, *region)).or_default() += prompts;
            *legs.entry((*region, router)).or_default() += answers;
        }
        let leg = |((from, to), gb): ((RegionId, RegionId), f64)| {
            let price = prices.egress_usd_per_gb.get(&(from, to)).copied();
            let (from, to) = (self.region(from).to_owned(), self.region(to).to_owned());
            let usd = charge(gb, price, || unpriced.push(format!("traffic from {from} to {to}")));
            Leg { from, to, gb, usd }
        };
        legs.into_iter().map(leg).collect()
    }

    fn region(&self, id: RegionId) -> &str {
        self.names.regions.get(id.index()).map_or("?", String::as_str)
    }
}

/// USD and hours of the GPUs.
fn gpus(summary: &Summary, prices: &Prices, unpriced: &mut Vec<String>) -> (Option<f64>, f64) {
    let hours = (summary.window.to_s - summary.window.from_s).max(0.0) / 3600.0;
    let (mut usd, mut gpu_hours) = (Some(0.0), 0.0);
    for (price, replica) in prices.replicas.iter().zip(&summary.replicas) {
        let used = used_share(replica, prices.count_idle) * hours * f64::from(price.gpus);
        gpu_hours += used;
        let cost = charge(used, price.usd_per_gpu_hour, || {
            let what = format!("GPU {}", price.gpu);
            if !unpriced.contains(&what) {
                unpriced.push(what);
            }
        });
        usd = usd.zip(cost).map(|(sum, cost)| sum + cost);
    }
    (usd, gpu_hours)
}

fn used_share(replica: &ReplicaSummary, count_idle: bool) -> f64 {
    if count_idle { 1.0 } else { replica.busy_fraction }
}

/// An amount at its price. None of a thing costs nothing, whatever its price.
fn charge(amount: f64, price: Option<f64>, unpriced: impl FnOnce()) -> Option<f64> {
    if amount <= 0.0 {
        return Some(0.0);
    }
    if price.is_none() {
        unpriced();
    }
    price.map(|price| amount * price)
}

fn gigabytes(tokens: u64, bytes_per_token: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an amount for display")]
    let bytes = tokens as f64 * bytes_per_token;
    bytes / BYTES_PER_GB
}
