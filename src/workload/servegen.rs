//! A mix of clients as in ServeGen: each sends at a rate of its own, with gamma or Weibull gaps of its own burstiness,
//! and all of them follow the rate of a production service window by window.
//!
//! What is published of a service, without its clients one by one, is: how many they are, how much the busiest ten
//! send, the rate-weighted percentiles of the coefficient of variation of gaps, the share of Weibull among them, the
//! service's rate in windows of ten minutes, and the distributions of its lengths. Clients are made up to have these:
//! rates by a law of Zipf and Mandelbrot, CVs by the percentiles, over shares of the rate in an order that the seed
//! draws. All clients follow the service's rate alike, and draw from the service's lengths: what single clients did is
//! not published.
//!
//! Requests are lone and share nothing, as nothing is said of contents: no cache can hit anything, and a warning says
//! so. Every client's process is stationary from the start. Memory: that of the clients.
//!
//! The gaps are in `gaps`, the lengths in `lengths`.

mod gaps;
mod lengths;

pub use gaps::GapKind;
pub use lengths::TokenShares;

use crate::draws::{OriginShare, Origins};
use crate::error::{in_range, whole_in_range};
use crate::{Due, Source, WorkloadError};
use gaps::Gaps;
use gorgo_random::{Key, Purpose};
use gorgo_types::{BlockChain, Nanos, Origin, OriginId, Request, RequestId, Tokens};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Ordinals of a client's requests take so many bits of a request's identity.
const ORDINAL_BITS: u32 = 40;

/// Rate-weighted percentiles of clients' coefficients of variation of gaps (standard deviation / mean).
#[derive(
    Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct ClientCv {
    /// A tenth of the rate comes from clients with at most this.
    pub p10: f64,
    /// Half of it.
    pub p50: f64,
    /// Nine tenths of it.
    pub p90: f64,
}

/// Parameters of [`Servegen`]. At least one of `requests` and `duration_s` is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct ServegenSpec {
    /// How many requests in all.
    pub requests: Option<u64>,
    /// No request is scheduled from this many seconds on.
    pub duration_s: Option<f64>,
    /// Mean rate over all of `rates`, in requests per second.
    pub rate_rps: f64,
    /// Rates of the windows that follow one another, in any unit; after the last one the first one comes again.
    pub rates: Vec<f64>,
    /// Length of a window, in seconds.
    pub window_s: f64,
    /// Where time zero lies in the windows, in seconds.
    pub start_s: f64,
    /// How many clients.
    pub clients: u32,
    /// Share of the rate that the busiest ten send.
    pub top10_share: f64,
    /// How bursty they are.
    pub cv: ClientCv,
    /// Share of the clients whose gaps are Weibull; those of the others are gamma.
    pub weibull_share: f64,
    /// Tokens of prompts.
    pub input_tokens: TokenShares,
    /// Tokens of answers.
    pub output_tokens: TokenShares,
    /// Tokens per block of the made-up prompts.
    pub block_tokens: u32,
    /// Where clients sit; none: the unknown origin.
    pub origins: Vec<OriginShare>,
}

impl ServegenSpec {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When one is out of range, or nothing bounds the workload.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        if self.requests.is_none() && self.duration_s.is_none() {
            return Err(WorkloadError::Parameter {
                field: "requests",
                got: "neither requests nor duration_s".to_owned(),
                wanted: "at least one of them, to end the workload".to_owned(),
            });
        }
        whole_in_range("requests", self.requests.unwrap_or(1), 1, 1 << ORDINAL_BITS, "requests")?;
        in_range("duration_s", self.duration_s.unwrap_or(1.0), 1e-3, 1e9, "seconds")?;
        in_range("rate_rps", self.rate_rps, 1e-6, 1e9, "requests per second")?;
        in_range("window_s", self.window_s, 1e-3, 1e9, "seconds")?;
        whole_in_range("rates (count)", self.rates.len() as u64, 1, 10_000_000, "windows")?;
        for &rate in &self.rates {
            in_range("rates", rate, 0.0, 1e12, "rate")?;
        }
        in_range("rates (sum)", self.rates.iter().sum(), 1e-9, 1e18, "rate")?;
        #[expect(clippy::cast_precision_loss, reason = "a number of windows")]
        let all_s = self.window_s * self.rates.len() as f64;
        in_range("start_s", self.start_s, 0.0, all_s, "seconds, within the windows")?;
        whole_in_range("clients", u64::from(self.clients), 1, 1_000_000, "clients")?;
        let least = (10.0 / f64::from(self.clients)).min(1.0);
        let most = if self.clients > 10 { 0.999 } else { 1.0 };
        let unit = "share, from that of ten equal clients";
        in_range("top10_share", self.top10_share, least, most, unit)?;
        in_range("cv.p10", self.cv.p10, 0.1, 100.0, "standard deviation / mean")?;
        in_range("cv.p50", self.cv.p50, self.cv.p10, 100.0, "standard deviation / mean")?;
        in_range("cv.p90", self.cv.p90, self.cv.p50, 100.0, "standard deviation / mean")?;
        in_range("weibull_share", self.weibull_share, 0.0, 1.0, "share")?;
        self.input_tokens.validate("input_tokens")?;
        self.output_tokens.validate("output_tokens")?;
        whole_in_range("block_tokens", u64::from(self.block_tokens), 1, 1 << 20, "tokens")?;
        Origins::new(&self.origins).map(drop)
    }
}

/// A client that was made up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client {
    /// Its share of the rate.
    pub share: f64,
    /// Coefficient of variation of its gaps, at a constant rate.
    pub cv: f64,
    /// Their distribution.
    pub gaps: GapKind,
}

/// A mix of clients.
pub struct Servegen {
    spec: ServegenSpec,
    key: Key,
    clients: Vec<Client>,
    gaps: Vec<Gaps>,
    homes: Vec<OriginId>,
    origins: Origins,
    /// Each client's next request: when it would come at a constant rate (in order of their bits, as they are not
    /// negative), client, ordinal.
    next: BinaryHeap<Reverse<(u64, u32, u64)>>,
    windows: Windows,
    first: Option<Nanos>,
    ahead: Option<(Nanos, u32, u64)>,
    taken: u64,
}

impl Servegen {
    /// The workload `spec` under `seed`.
    ///
    /// # Errors
    /// As [`ServegenSpec::validate`].
    pub fn new(spec: ServegenSpec, seed: u64) -> Result<Self, WorkloadError> {
        spec.validate()?;
        let key = Key::new(seed).with(Purpose::Servegen);
        let clients = clients(&spec, key);
        let gaps: Vec<Gaps> = (clients.iter())
            .map(|client| Gaps::new(client.gaps, client.cv, spec.rate_rps * client.share))
            .collect::<Result<_, _>>()?;
        let origins = Origins::new(&spec.origins)?;
        let users = Key::new(seed).with(Purpose::Session);
        let homes = (0..u64::from(spec.clients)).map(|client| origins.pick(users.word(client)));
        let homes = homes.collect();
        let windows = Windows::new(&spec);
        let next = (gaps.iter().zip(0..))
            .map(|(gaps, client)| {
                let rest_s = gaps.rest(&mut gap_key(key, client, 0).draw().rng());
                Reverse((rest_s.to_bits(), client, 0))
            })
            .collect();
        let (first, ahead, taken) = (None, None, 0);
        Ok(Self { spec, key, clients, gaps, homes, origins, next, windows, first, ahead, taken })
    }

    /// The clients, the busiest first.
    #[must_use]
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// The next request's time, client and ordinal; time zero is the first of all.
    fn advance(&mut self) -> Option<(Nanos, u32, u64)> {
        if self.spec.requests.is_some_and(|requests| self.taken >= requests) {
            return None;
        }
        let Reverse((bits, client, ordinal)) = self.next.pop()?;
        let constant_s = f64::from_bits(bits);
        let mut rng = gap_key(self.key, client, ordinal + 1).draw().rng();
        let following_s = constant_s + self.gaps[client as usize].sample(&mut rng);
        if ordinal + 1 < 1 << ORDINAL_BITS {
            self.next.push(Reverse((following_s.to_bits(), client, ordinal + 1)));
        }
        let at = self.windows.stretch(constant_s);
        let since = at.saturating_sub(*self.first.get_or_insert(at));
        let end = self.spec.duration_s.and_then(|s| Nanos::from_s(s).ok()).unwrap_or(Nanos::MAX);
        (since < end).then_some((since, client, ordinal))
    }
}

fn gap_key(key: Key, client: u32, ordinal: u64) -> Key {
    key.word(1).word(u64::from(client)).word(ordinal)
}

/// Clients whose rates, CVs and gaps come out as published, in an order that the key draws.
fn clients(spec: &ServegenSpec, key: Key) -> Vec<Client> {
    let shares = zipf_shares(spec.clients, spec.top10_share);
    let order = |word: u64| {
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by_cached_key(|&index| key.word(word).word(index as u64).draw().bits());
        order
    };
    let mut clients: Vec<Client> =
        (shares.iter()).map(|&share| Client { share, cv: 1.0, gaps: GapKind::Gamma }).collect();
    let mut below = 0.0;
    for index in order(2) {
        let upto = below + shares[index];
        let fixed = [(0.1, spec.cv.p10), (0.5, spec.cv.p50), (0.9, spec.cv.p90)];
        // A client that lies across a percentile has exactly that.
        let across = fixed.into_iter().find(|(share, _)| (below..upto).contains(share));
        clients[index].cv =
            across.map_or_else(|| spec.cv.at(f64::midpoint(below, upto)), |(_, cv)| cv);
        below = upto;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the number of clients, rounded"
    )]
    let weibull = (spec.weibull_share * f64::from(spec.clients)).round() as usize;
    for index in order(3).into_iter().take(weibull) {
        clients[index].gaps = GapKind::Weibull;
    }
    clients
}

impl ClientCv {
    /// The CV at a share of the rate: its logarithm is linear between the percentiles and beyond them.
    fn at(&self, share: f64) -> f64 {
        let [p10, p50, p90] = [self.p10, self.p50, self.p90].map(libm::log);
        let (from, low, high) = if share < 0.5 { (0.1, p10, p50) } else { (0.5, p50, p90) };
        libm::exp(low + (high - low) * (share - from) / 0.4).clamp(0.05, 200.0)
    }
}

/// Shares that fall with the rank by a law of Zipf and Mandelbrot whose first ten add up to `top10`. Its offset keeps the
/// first one below 0.4, as it must be where a tenth and a half of the rate lie at different CVs.
fn zipf_shares(clients: u32, top10: f64) -> Vec<f64> {
    const OFFSET: f64 = 5.0;
    let shares = |exponent: f64| {
        let weight = |rank: u32| libm::pow(f64::from(rank) + OFFSET, -exponent);
        let all: f64 = (1..=clients).map(weight).sum();
        (1..=clients).map(|rank| weight(rank) / all).collect::<Vec<f64>>()
    };
    if clients <= 10 {
        return shares(1.0);
    }
    let (mut low, mut high) = (0.0, 100.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if shares(middle)[..10].iter().sum::<f64>() < top10 {
            low = middle;
        } else {
            high = middle;
        }
    }
    shares(f64::midpoint(low, high))
}

/// The service's rate, window by window: from times at a constant rate to times at the service's.
struct Windows {
    /// Rate of each window over their mean.
    rates: Vec<f64>,
    window_s: f64,
    /// The window, from the start of the workload on, and the time when it begins there.
    index: usize,
    begin_s: f64,
    /// How long it lasts: the first one may have begun before.
    length_s: f64,
    /// Time at the constant rate when it begins.
    passed_s: f64,
}

impl Windows {
    fn new(spec: &ServegenSpec) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a number of windows")]
        let mean = spec.rates.iter().sum::<f64>() / spec.rates.len() as f64;
        let rates = spec.rates.iter().map(|rate| rate / mean).collect();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the index of a window, which the spec has checked"
        )]
        let index = (spec.start_s / spec.window_s) as usize % spec.rates.len();
        let length_s = spec.window_s - spec.start_s % spec.window_s;
        let (begin_s, passed_s) = (0.0, 0.0);
        Self { rates, window_s: spec.window_s, index, begin_s, length_s, passed_s }
    }

    /// `constant_s` must not fall from call to call.
    fn stretch(&mut self, constant_s: f64) -> Nanos {
        const LAST_S: f64 = 1e9;
        if constant_s > LAST_S {
            return Nanos::MAX;
        }
        loop {
            let rate = self.rates[self.index];
            let left_s = constant_s - self.passed_s;
            if left_s < self.length_s * rate {
                let into_s = if left_s > 0.0 { left_s / rate } else { 0.0 };
                return Nanos::from_s(self.begin_s + into_s).unwrap_or(Nanos::MAX);
            }
            if self.begin_s > LAST_S {
                return Nanos::MAX;
            }
            self.passed_s += self.length_s * rate;
            self.begin_s += self.length_s;
            self.length_s = self.window_s;
            self.index = (self.index + 1) % self.rates.len();
        }
    }
}

impl Source for Servegen {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        if self.ahead.is_none() {
            self.ahead = self.advance();
        }
        Ok(self.ahead.map_or(Due::End, |(at, ..)| Due::At(at)))
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        self.next_due()?;
        let (at, client, ordinal) = self.ahead.take().ok_or(WorkloadError::NothingDue)?;
        self.taken += 1;
        let key = self.key.word(4).word(u64::from(client)).word(ordinal);
        let draw = key.draw();
        let input = self.spec.input_tokens.at(draw.unit());
        let output = Tokens(u64::from(self.spec.output_tokens.at(draw.next().unit())));
        let content = key.word(0).draw().bits();
        let block_tokens = self.spec.block_tokens;
        let blocks = u64::from(input.div_ceil(block_tokens));
        let prompt = BlockChain::from_raw_ids(
            (0..blocks).map(|block| content.wrapping_add(block)),
            Tokens(u64::from(input)),
            block_tokens,
        );
        let prompt = prompt.map_err(|error| crate::prefix_groups::chain_error(&error))?;
        let session = u64::from(client) << ORDINAL_BITS | ordinal;
        let request = Request {
            id: RequestId { session, turn: 0 },
            user: Some(u64::from(client)),
            has_session: false,
            prompt,
            output_tokens: output,
            max_tokens: output,
            sequence: None,
            origin: self.homes[client as usize],
        };
        Ok((at, request))
    }

    fn origins(&self) -> &[Origin] {
        self.origins.list()
    }

    fn warnings(&self) -> Vec<String> {
        vec![
            "servegen: the published mixes say nothing of contents: prompts share nothing, and no cache can hit anything"
                .to_owned(),
        ]
    }

    fn size_hint(&self) -> Option<u64> {
        if self.spec.duration_s.is_some() { None } else { self.spec.requests }
    }

    fn block_tokens(&self) -> u32 {
        self.spec.block_tokens
    }
}
