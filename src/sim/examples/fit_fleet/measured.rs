//! What was measured: one file per policy, one row per request. Simulated runs are brought into the same form.

use csv::ReaderBuilder;
use flate2::read::GzDecoder;
use gorgo_metrics::{RequestRecord, Status};
use gorgo_types::Nanos;
use serde::Deserialize;
use std::fs::File;
use std::path::Path;

/// Without a hit a token of the prompt takes 0.06 ms (`parameters.rs`), and there is the way.
const FAST_MS_PER_TOKEN: f64 = 0.05;

/// A request as its client saw it, from its send on.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The same request has the same one in every run of its workload.
    pub id: u64,
    pub sent_ms: f64,
    pub input_tokens: u32,
    pub output_tokens: u32,
    pub ttft_ms: f64,
    pub e2e_ms: f64,
    /// Tokens of the prompt that the engine had cached, where that is known.
    pub cached_tokens: u32,
}

impl Sample {
    /// Mean gap between its tokens, ms; none for a single token.
    pub fn itl_ms(&self) -> Option<f64> {
        let gaps = self.output_tokens.checked_sub(1).filter(|&gaps| gaps > 0)?;
        Some((self.e2e_ms - self.ttft_ms) / f64::from(gaps))
    }

    /// Whether it came sooner than its tokens could be computed, and so has hit. Of long prompts: a short one's way is
    /// longer than that.
    pub fn has_hit(&self) -> bool {
        self.ttft_ms < FAST_MS_PER_TOKEN * f64::from(self.input_tokens)
    }
}

/// The requests of one policy's run.
#[derive(Clone, Debug)]
pub struct Samples {
    pub requests: Vec<Sample>,
    /// Mean number of requests in flight: Σ E2E / time between the first and the last arrival.
    pub in_flight: f64,
}

#[derive(Deserialize)]
struct Row {
    request_id: String,
    arrival_ms: f64,
    sent_ms: f64,
    input_tokens: u32,
    output_tokens: u32,
    ttft_ms: f64,
    e2e_ms: f64,
}

/// Of the load generator.
const WORKERS: usize = 64;

/// Reads a file of `request_id, arrival_ms, sent_ms, input_tokens, output_tokens, ttft_ms, e2e_ms`, gzipped.
pub fn read(path: &Path) -> Result<Samples, String> {
    let at = |line: u64, problem: String| format!("{}, row {line}: {problem}", path.display());
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut requests = Vec::new();
    let mut arrivals = Vec::new();
    let mut free = [0.0_f64; WORKERS];
    let mut rows = ReaderBuilder::new().from_reader(GzDecoder::new(file));
    for (row, line) in rows.deserialize::<Row>().zip(1_u64..) {
        let row = row.map_err(|error| at(line, error.to_string()))?;
        let times = [row.arrival_ms, row.sent_ms, row.ttft_ms, row.e2e_ms];
        if times.iter().any(|time| !time.is_finite() || *time < 0.0) || row.e2e_ms < row.ttft_ms {
            let wanted =
                "wanted arrival_ms and sent_ms >= 0 and 0 <= ttft_ms <= e2e_ms, all finite";
            return Err(at(line, format!("got {times:?}, {wanted}")));
        }
        let digits = row.request_id.trim_start_matches(|c: char| !c.is_ascii_digit());
        let id = digits.parse().map_err(|_| {
            at(
                line,
                format!(
                    "got the request_id {:?}, wanted one that ends in a number",
                    row.request_id
                ),
            )
        })?;
        let (input_tokens, output_tokens) = (row.input_tokens, row.output_tokens);
        let (ttft_ms, e2e_ms) = (row.ttft_ms, row.e2e_ms);
        let cached_tokens = 0;
        // The file's `sent_ms` is stamped before the queue, from which the workers take in order.
        let worker = free.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("there are workers");
        let sent_ms = row.sent_ms.max(*worker);
        *worker = sent_ms + e2e_ms;
        requests.push(Sample {
            id,
            sent_ms,
            input_tokens,
            output_tokens,
            ttft_ms,
            e2e_ms,
            cached_tokens,
        });
        arrivals.push(row.arrival_ms);
    }
    let span = arrivals.iter().copied().fold(0.0, f64::max);
    if span <= 0.0 {
        return Err(format!("{}: got no requests over time, wanted some", path.display()));
    }
    Ok(Samples::new(requests, span))
}

impl Samples {
    fn new(mut requests: Vec<Sample>, span_ms: f64) -> Self {
        requests.sort_unstable_by_key(|request| request.id);
        let busy: f64 = requests.iter().map(|request| request.e2e_ms).sum();
        Self { requests, in_flight: busy / span_ms }
    }

    /// What a simulated run gave. Times count from the worker's send, as in the files.
    pub fn of_run(records: &[RequestRecord]) -> Result<Self, String> {
        let mut requests = Vec::with_capacity(records.len());
        let mut span = Nanos::ZERO;
        for record in records {
            let (Some(first), Some(end), Status::Completed) =
                (record.first_token, record.finished, record.status)
            else {
                return Err(format!("request {} did not complete", record.id));
            };
            span = span.max(record.scheduled);
            requests.push(Sample {
                id: record.id.session << 32 | u64::from(record.id.turn),
                sent_ms: record.sent.as_ms(),
                input_tokens: record.input_tokens,
                output_tokens: record.output_tokens,
                ttft_ms: (first - record.sent).as_ms(),
                e2e_ms: (end - record.sent).as_ms(),
                cached_tokens: record.cached_tokens,
            });
        }
        Ok(Self::new(requests, span.as_ms()))
    }

    /// A figure of every request that has it and whose prompt length is in the range, sorted.
    pub fn sorted(
        &self,
        inputs: std::ops::Range<u32>,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Vec<f64> {
        let fitting = self.requests.iter().filter(|request| inputs.contains(&request.input_tokens));
        let mut values: Vec<f64> = fitting.filter_map(figure).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }
}

/// The quantile as GORGO's load generator takes it: element ⌊n·q⌋ of the sorted values.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().checked_sub(1).expect("a class of requests has members");
    sorted[last.min((sorted.len() as f64 * q) as usize)]
}

/// In words, how often and how much the engines had of prompts.
pub fn hits(runs: &[Samples]) -> String {
    let all = || runs.iter().flat_map(|run| &run.requests);
    let mut cached: Vec<f64> = all()
        .map(|request| f64::from(request.cached_tokens))
        .filter(|&tokens| tokens > 0.0)
        .collect();
    cached.sort_unstable_by(f64::total_cmp);
    if cached.is_empty() {
        return "no prompt was cached".to_owned();
    }
    let tokens: f64 = all().map(|request| f64::from(request.input_tokens)).sum();
    format!(
        "{:.1} % of requests hit, {:.1} % of tokens; half of the hits have {:.0} tokens or more",
        100.0 * cached.len() as f64 / all().count() as f64,
        100.0 * cached.iter().sum::<f64>() / tokens,
        quantile(&cached, 0.5),
    )
}
