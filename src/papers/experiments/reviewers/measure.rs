//! The numbers that a question may ask of a run, each under a key that is its column in the CSV files.
//!
//! All come from the run's summary, whose definitions `gorgo help metrics` prints. Nothing is computed here but shares,
//! rates and sums of them. Read `question.rs` next.

use gorgo_metrics::{PartsMs, RunResult};

/// What a number is, for axes and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Milliseconds.
    Time,
    /// Percent.
    Percent,
    /// A count, a rate.
    Plain,
}

/// A number's key, and what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Column of the CSV; the unit last.
    pub key: &'static str,
    /// In tables and pictures.
    pub title: &'static str,
    /// What it is.
    pub kind: Kind,
}

const fn metric(key: &'static str, title: &'static str, kind: Kind) -> Metric {
    Metric { key, title, kind }
}

/// Every number, in the order of the CSV's columns. The last ones are those of single questions, empty elsewhere.
pub const METRICS: [Metric; 29] = [
    metric("ttft_p50_ms", "TTFT P50", Kind::Time),
    metric("ttft_p95_ms", "TTFT P95", Kind::Time),
    metric("ttft_p99_ms", "TTFT P99", Kind::Time),
    metric("ttft_mean_ms", "TTFT mean", Kind::Time),
    metric("e2e_p50_ms", "E2E P50", Kind::Time),
    metric("e2e_p95_ms", "E2E P95", Kind::Time),
    metric("tpot_p50_ms", "TPOT P50", Kind::Time),
    metric("itl_p50_ms", "ITL P50", Kind::Time),
    metric("itl_p99_ms", "ITL P99", Kind::Time),
    metric("network_ms", "network part of the mean TTFT", Kind::Time),
    metric("wait_ms", "replica's queue in the mean TTFT", Kind::Time),
    metric("prefill_ms", "prefill in the mean TTFT", Kind::Time),
    metric("hit_pct", "cache hits, % of prompt tokens", Kind::Percent),
    metric("predicted_pct", "hits the router predicted, % of tokens", Kind::Percent),
    metric("busiest_pct", "requests at the busiest replica, %", Kind::Percent),
    metric("in_flight", "mean requests in flight", Kind::Plain),
    metric("completed", "measured requests completed", Kind::Plain),
    metric("completed_rps", "completed requests/s", Kind::Plain),
    metric("output_tps", "output tokens/s", Kind::Plain),
    metric("goodput_rps", "good requests/s", Kind::Plain),
    metric("good_pct", "good requests, %", Kind::Percent),
    metric("cross_region_gb_h", "GB/h between regions", Kind::Plain),
    metric("retracted", "retractions", Kind::Plain),
    metric("saturated", "saturated (share of seeds)", Kind::Plain),
    metric("spearman", "rank correlation of score and TTFT", Kind::Plain),
    metric("top_choice_pct", "decisions that took the best replica, %", Kind::Percent),
    metric("regret_ms", "mean regret of a decision", Kind::Time),
    metric("break_even_tokens", "break-even prompt, tokens", Kind::Plain),
    metric("crosses_from_tokens", "the rule crosses from, tokens", Kind::Plain),
];

/// A metric by its key.
#[must_use]
pub fn metric_of(key: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.key == key)
}

/// The numbers of one run, by key; what does not exist is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(Vec<(&'static str, f64)>);

impl Values {
    /// A number by its key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| *known == key).map(|&(_, value)| value)
    }

    /// Adds a number, if it is one.
    pub fn put(&mut self, key: &'static str, value: Option<f64>) {
        debug_assert!(metric_of(key).is_some(), "{key} is no metric");
        self.0.extend(value.filter(|value| value.is_finite()).map(|value| (key, value)));
    }

    /// Rounds all numbers to three decimals.
    pub(super) fn round(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| *value = (*value * 1e3).round() / 1e3);
    }

    /// The numbers of a run.
    #[must_use]
    pub fn of(run: &RunResult) -> Self {
        let s = &run.summary;
        let mut values = Self::default();
        for (key, value) in [
            ("ttft_p50_ms", s.ttft_ms.p50),
            ("ttft_p95_ms", s.ttft_ms.p95),
            ("ttft_p99_ms", s.ttft_ms.p99),
            ("ttft_mean_ms", s.ttft_ms.mean),
            ("e2e_p50_ms", s.e2e_ms.p50),
            ("e2e_p95_ms", s.e2e_ms.p95),
            ("tpot_p50_ms", s.tpot_ms.p50),
            ("itl_p50_ms", s.itl_ms.p50),
            ("itl_p99_ms", s.itl_ms.p99),
            ("in_flight", s.load.mean_in_flight),
            ("goodput_rps", s.goodput_rps),
        ] {
            values.put(key, value);
        }
        if let Some(parts) = &s.ttft_parts_ms {
            values.put("network_ms", Some(network_ms(parts)));
            values.put("wait_ms", Some(parts.replica_queue));
            values.put("prefill_ms", Some(parts.prefill));
        }
        let percent = |share: Option<f64>| share.map(|share| 100.0 * share);
        values.put("hit_pct", percent(s.cache.real_token_hit_rate));
        values.put("predicted_pct", percent(s.cache.predicted_token_hit_rate));
        values.put("busiest_pct", percent(s.load.busiest_replica_share));
        values.put("good_pct", percent(s.good_fraction));
        let seconds = s.window.to_s - s.window.from_s;
        let completed = s.window.measured_completed as f64;
        values.put("completed", Some(completed));
        values.put("completed_rps", Some(completed / seconds));
        let output: u64 = run.served.cells().map(|(.., served)| served.output_tokens).sum();
        values.put("output_tps", Some(output as f64 / seconds));
        let traffic = s.cost_usd.as_ref().map(|cost| cost.cross_region_gb / (seconds / 3_600.0));
        values.put("cross_region_gb_h", traffic);
        let retracted: u64 = s.replicas.iter().map(|replica| replica.retracted).sum();
        values.put("retracted", Some(retracted as f64));
        let saturated = s.warnings.iter().any(|warning| warning.starts_with("saturated"));
        values.put("saturated", Some(f64::from(u8::from(saturated))));
        values
    }
}

/// All the way that is network, from the client to the replica and back.
fn network_ms(parts: &PartsMs) -> f64 {
    parts.client_to_router + parts.forward + parts.connect + parts.network_out + parts.network_back
}
