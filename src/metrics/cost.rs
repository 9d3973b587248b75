//! What a run costs: GPU-hours and bytes, at given prices.
//!
//! Billed is the measured window: the GPUs are paid for its length, traffic and tokens are those of the requests that
//! were scheduled in it. A prompt travels from the router it came in at to its replica, the answer back and on to the
//! client; whoever sends pays, a region nothing for what stays inside it. What has no price is `null` and named, never
//! zero. Where prices come from is not known here: `gorgo-scenario` finds them.

use crate::{ReplicaSummary, RunResult, Summary};
use gorgo_types::{RegionId, ReplicaId};
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
    /// USD a GB from one region to another one. A pair that is not there has no price.
    pub egress_usd_per_gb: BTreeMap<(RegionId, RegionId), f64>,
    /// USD a GB from a router's region to clients. A region that is not there has no price.
    pub internet_usd_per_gb: BTreeMap<RegionId, f64>,
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

/// Tokens of the measured requests that one replica served for one router.
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

/// What each replica served, by the region of the router that its requests came in at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedTable {
    replicas: usize,
    /// A row of replicas for each region.
    cells: Vec<Served>,
}

impl ServedTable {
    /// Nothing served yet.
    #[must_use]
    pub fn new(regions: usize, replicas: usize) -> Self {
        Self { replicas, cells: vec![Served::default(); regions * replicas] }
    }

    /// The cell of a router's region and a replica.
    ///
    /// # Panics
    /// For a region or a replica beyond those it was made for.
    pub(crate) fn at(&mut self, router: RegionId, replica: ReplicaId) -> &mut Served {
        assert!(replica.index() < self.replicas, "a replica of this fleet");
        &mut self.cells[router.index() * self.replicas + replica.index()]
    }

    /// Every cell in which there was a request, by region and replica.
    pub fn cells(&self) -> impl Iterator<Item = (RegionId, ReplicaId, &Served)> {
        let rows = (0_u32..).map(RegionId).zip(self.cells.chunks(self.replicas.max(1)));
        rows.flat_map(|(router, row)| {
            let cells = (0_u32..).map(ReplicaId).zip(row);
            cells.map(move |(replica, served)| (router, replica, served))
        })
        .filter(|(_, _, served)| served.requests > 0)
    }

    /// Measured requests of each replica, whichever router they came in at.
    #[must_use]
    pub fn requests(&self) -> Vec<u64> {
        let mut requests = vec![0; self.replicas];
        for (_, replica, served) in self.cells() {
            requests[replica.index()] += served.requests;
        }
        requests
    }
}

/// The bill of the measured window, in USD. What has no price, and every sum with it, is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// GPU-hours at their price.
    pub gpu: Option<f64>,
    /// Traffic between regions.
    pub egress_cross_region: Option<f64>,
    /// Answers from the routers' regions to clients.
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
    /// GB from the routers' regions to clients.
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
        // An empty sum of floats is -0, which a table would show.
        let egress_cross_region = legs.iter().try_fold(0.0, |sum, leg| Some(sum + leg.usd?));
        let sum = |tokens: fn(&Served) -> u64| {
            self.served.cells().map(|(_, _, served)| tokens(served)).sum::<u64>()
        };
        let input_tokens = sum(|served| served.prompt_tokens);
        let output_tokens = sum(|served| served.output_tokens);
        let internet_gb = gigabytes(output_tokens, prices.bytes_per_output_token);
        let egress_internet = self.to_clients(prices, &mut unpriced);
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
            cross_region_gb: legs.iter().fold(0.0, |sum, leg| sum + leg.gb),
            internet_gb,
            input_tokens,
            output_tokens,
            legs,
            unpriced,
        }
    }

    /// What the answers to clients cost.
    fn to_clients(&self, prices: &Prices, unpriced: &mut Vec<String>) -> Option<f64> {
        let mut tokens: BTreeMap<RegionId, u64> = BTreeMap::new();
        for (router, _, served) in self.served.cells() {
            *tokens.entry(router).or_default() += served.output_tokens;
        }
        let mut sum = Some(0.0);
        for (router, tokens) in tokens {
            let gb = gigabytes(tokens, prices.bytes_per_output_token);
            let price = prices.internet_usd_per_gb.get(&router).copied();
            let usd = charge(gb, price, || {
                unpriced.push(format!("traffic from {} to clients", self.region(router)));
            });
            sum = sum.zip(usd).map(|(sum, usd)| sum + usd);
        }
        sum
    }

    /// The traffic between regions: prompts out, answers back.
    fn legs(&self, prices: &Prices, unpriced: &mut Vec<String>) -> Vec<Leg> {
        let mut legs: BTreeMap<(RegionId, RegionId), f64> = BTreeMap::new();
        for (router, replica, served) in self.served.cells() {
            let region = self.names.replicas[replica.index()].1;
            if region == router {
                continue;
            }
            let prompts = gigabytes(served.sent_prompt_tokens, prices.bytes_per_prompt_token);
            let answers = gigabytes(served.output_tokens, prices.bytes_per_output_token);
            *legs.entry((router, region)).or_default() += prompts;
            *legs.entry((region, router)).or_default() += answers;
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
