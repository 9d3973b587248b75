//! `/metrics` in Prometheus' text form, with the names of SGLang or of vLLM.
//!
//! Names, kinds and bounds are those of SGLang 0.5 (`srt/metrics/collector.py`) and vLLM V1 (`v1/metrics/loggers.py`); of
//! each engine's many, those that routers and load generators read. One differs: `sglang:cache_hit_rate` is that of all
//! prompts since the start, where SGLang's is that of its last prefill batch.

use crate::lateness::Lateness;
use crate::options::EngineMetrics;
use crate::station::Look;
use std::fmt::Write;

/// A histogram with fixed bounds, seconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// Not cumulated; the last is what lies above all bounds.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub fn observe(&mut self, seconds: f64) {
        let bucket = self.bounds.partition_point(|&bound| bound < seconds);
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What a replica measures of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Histograms {
    /// From a request's last byte to its first token.
    pub ttft: Histogram,
    /// From one token to the next.
    pub itl: Histogram,
    /// From a request's last byte to its last token.
    pub e2e: Histogram,
}

/// SGLang's bounds.
const TTFT_BOUNDS: [f64; 18] = [
    0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0,
    400.0,
];
const ITL_BOUNDS: [f64; 23] = [
    0.002, 0.004, 0.006, 0.008, 0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040, 0.060, 0.080,
    0.100, 0.200, 0.400, 0.600, 0.800, 1.0, 2.0, 4.0, 6.0, 8.0,
];
const E2E_BOUNDS: [f64; 19] = [
    0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0,
    400.0, 800.0,
];

impl Default for Histograms {
    fn default() -> Self {
        Self {
            ttft: Histogram::new(&TTFT_BOUNDS),
            itl: Histogram::new(&ITL_BOUNDS),
            e2e: Histogram::new(&E2E_BOUNDS),
        }
    }
}

/// A page under construction.
struct Page {
    text: String,
    labels: String,
}

impl Page {
    fn line(&mut self, name: &str, more_labels: &str, value: f64) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{name}{{{}{more_labels}}} {value}", self.labels);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn number(&mut self, kind: &str, name: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.line(name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.number("gauge", name, help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.number("counter", name, help, value as f64);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let mut below = 0;
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
            below += count;
            self.line(&format!("{name}_bucket"), &format!(",le=\"{bound}\""), below as f64);
        }
        let count = histogram.count() as f64;
        self.line(&format!("{name}_bucket"), ",le=\"+Inf\"", count);
        self.line(&format!("{name}_sum"), "", histogram.sum);
        self.line(&format!("{name}_count"), "", count);
    }
}

/// A part of a whole, 0 where there is nothing.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The page.
pub(crate) fn page(kind: EngineMetrics, model: &str, look: &Look, lateness: &Lateness) -> String {
    let model: String = model.chars().filter(|c| !matches!(c, '"' | '\\' | '\n')).collect();
    let labels = format!("model_name=\"{model}\"");
    let mut page = Page { text: String::with_capacity(8_192), labels };
    match kind {
        EngineMetrics::Sglang => sglang(&mut page, look),
        EngineMetrics::Vllm => vllm(&mut page, look),
    }
    for (share, word) in [(0.5, "0.5"), (0.99, "0.99")] {
        if share == 0.5 {
            page.head(
                "gorgo_emulator_lateness_seconds",
                "summary",
                "From when a token was due to when it was handed to the socket",
            );
        }
        let late = lateness.quantile(share).map_or(0.0, |late| late.as_s());
        page.line("gorgo_emulator_lateness_seconds", &format!(",quantile=\"{word}\""), late);
    }
    page.line("gorgo_emulator_lateness_seconds_count", "", lateness.count() as f64);
    page.text
}

fn sglang(page: &mut Page, look: &Look) {
    let (now, totals) = (&look.observation, &look.totals);
    let requests = |count: u32| f64::from(count);
    page.gauge("sglang:num_running_reqs", "Running requests", requests(now.running_requests));
    page.gauge("sglang:num_queue_reqs", "Waiting requests", requests(now.queued_requests));
    page.gauge("sglang:num_used_tokens", "Used tokens", now.used_tokens as f64);
    let usage = share(now.used_tokens, now.kv_pool_tokens);
    page.gauge("sglang:token_usage", "Share of used tokens", usage);
    let pool = now.kv_pool_tokens as f64;
    page.gauge("sglang:max_total_num_tokens", "Tokens of the KV pool", pool);
    let seen = totals.cached_tokens + totals.prefill_tokens;
    let hits = share(totals.cached_tokens, seen);
    page.gauge("sglang:cache_hit_rate", "Prefix cache hits since the start", hits);
    page.counter("sglang:prompt_tokens_total", "Prompt tokens", seen);
    page.counter("sglang:generation_tokens_total", "Generated tokens", totals.emitted_tokens);
    page.counter("sglang:cached_tokens_total", "Cached prompt tokens", totals.cached_tokens);
    page.counter("sglang:num_requests_total", "Requests that ended", totals.finished);
    page.counter("sglang:num_retracted_reqs_total", "Retractions", totals.retracted);
    let histograms = &look.histograms;
    page.histogram("sglang:time_to_first_token_seconds", "Time to first token", &histograms.ttft);
    page.histogram("sglang:inter_token_latency_seconds", "Time between tokens", &histograms.itl);
    page.histogram("sglang:e2e_request_latency_seconds", "Time to the last token", &histograms.e2e);
}

fn vllm(page: &mut Page, look: &Look) {
    let (now, totals) = (&look.observation, &look.totals);
    let requests = |count: u32| f64::from(count);
    page.gauge("vllm:num_requests_running", "Running requests", requests(now.running_requests));
    page.gauge("vllm:num_requests_waiting", "Waiting requests", requests(now.queued_requests));
    let usage = share(now.used_tokens, now.kv_pool_tokens);
    page.gauge("vllm:kv_cache_usage_perc", "Share of the KV cache in use", usage);
    let seen = totals.cached_tokens + totals.prefill_tokens;
    page.counter("vllm:prefix_cache_queries_total", "Tokens looked up", seen);
    page.counter("vllm:prefix_cache_hits_total", "Tokens found", totals.cached_tokens);
    page.counter("vllm:prompt_tokens_total", "Prompt tokens", seen);
    page.counter("vllm:generation_tokens_total", "Generated tokens", totals.emitted_tokens);
    page.counter("vllm:request_success_total", "Requests that ended", totals.finished);
    page.counter("vllm:num_preemptions_total", "Retractions", totals.retracted);
    let histograms = &look.histograms;
    page.histogram("vllm:time_to_first_token_seconds", "Time to first token", &histograms.ttft);
    page.histogram("vllm:inter_token_latency_seconds", "Time between tokens", &histograms.itl);
    page.histogram("vllm:e2e_request_latency_seconds", "Time to the last token", &histograms.e2e);
}
