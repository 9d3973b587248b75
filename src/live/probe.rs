//! What the router inside the client is told of its replicas: round trips, and what their metrics say.

use crate::attempt::{Answer, exchange};
use crate::flight::Field;
use bytes::Bytes;
use gorgo_routing::Scrape;
use gorgo_types::{Nanos, ReplicaId};
use http::{HeaderMap, Method};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Where probes go: every engine answers there.
const HEALTH: &str = "/health";
/// Where numbers are.
const METRICS: &str = "/metrics";
/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Probes under way; they end with it.
pub(crate) struct Probes {
    tasks: JoinSet<()>,
}

impl Probes {
    pub fn stop(mut self) {
        self.tasks.abort_all();
    }
}

/// Asks every replica once, and goes on asking.
pub(crate) async fn start(
    field: &Arc<Field>,
    probe_every: Option<Nanos>,
    scrape_every: Option<Nanos>,
) -> Probes {
    let mut tasks = JoinSet::new();
    if field.balancer.is_none() {
        return Probes { tasks };
    }
    let every = [(HEALTH, probe_every), (METRICS, scrape_every)];
    for replica in (0..field.endpoints.len() as u32).map(ReplicaId) {
        for (path, span) in every {
            once(field, replica, path).await;
            let Some(span) = span.filter(|span| span.0 > 0) else { continue };
            let field = Arc::clone(field);
            tasks.spawn(async move {
                let mut ticks = tokio::time::interval(Duration::from_nanos(span.0));
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                ticks.tick().await;
                loop {
                    ticks.tick().await;
                    once(&field, replica, path).await;
                }
            });
        }
    }
    Probes { tasks }
}

/// One probe, or one scrape. What comes of it is the router's; that nothing comes of it too.
async fn once(field: &Field, replica: ReplicaId, path: &'static str) {
    let Some(balancer) = &field.balancer else { return };
    let endpoint = &field.endpoints[replica.index()];
    let asked = exchange(endpoint, Method::GET, path, HeaderMap::new(), Bytes::new());
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    let answer = asked.ok().and_then(Result::ok).filter(|answer| answer.status == 200);
    if path == HEALTH {
        return balancer.probed(replica, answer.map(|answer| answer.rtt));
    }
    let Some(Answer { rtt: latency, text, .. }) = answer else { return };
    if let Some(mut scrape) = numbers(&text) {
        scrape.latency = latency;
        scrape.taken_at = field.clock.now().saturating_sub(Nanos(latency.0 / 2));
        balancer.scraped(replica, scrape);
    }
}

/// What `/metrics` of SGLang or vLLM says; none where it is neither's.
fn numbers(text: &str) -> Option<Scrape> {
    let value = |name: &str| {
        let mut found = None;
        for line in text.lines().filter(|line| line.starts_with(name)) {
            let rest = &line[name.len()..];
            if !rest.starts_with(['{', ' ']) {
                continue;
            }
            let number: Option<f64> = rest.rsplit(' ').next().and_then(|n| n.parse().ok());
            let number = number.filter(|n| n.is_finite() && *n >= 0.0);
            found = number.map(|n| n + found.unwrap_or(0.0)).or(found);
        }
        found
    };
    let running =
        value("sglang:num_running_reqs").or_else(|| value("vllm:num_requests_running"))?;
    let queued = value("sglang:num_queue_reqs").or_else(|| value("vllm:num_requests_waiting"))?;
    let pool = value("sglang:max_total_num_tokens").unwrap_or(0.0);
    Some(Scrape {
        running_requests: running as u32,
        queued_requests: queued as u32,
        used_tokens: value("sglang:num_used_tokens").unwrap_or(0.0) as u64,
        kv_pool_tokens: pool as u64,
        taken_at: Nanos::ZERO,
        latency: Nanos::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_both_engines_are_read() {
        let sglang = "# HELP x\nsglang:num_running_reqs{model_name=\"a b\"} 3.0\nsglang:num_running_reqs_x 9\n\
            sglang:num_queue_reqs{a=\"1\"} 2\nsglang:num_used_tokens 500\nsglang:max_total_num_tokens 1000\n";
        let seen = numbers(sglang).unwrap();
        assert_eq!((seen.running_requests, seen.queued_requests), (3, 2));
        assert_eq!((seen.used_tokens, seen.kv_pool_tokens), (500, 1_000));
        let vllm = "vllm:num_requests_running{engine=\"0\"} 1\nvllm:num_requests_running{engine=\"1\"} 2\n\
            vllm:num_requests_waiting{engine=\"0\"} 4\n";
        let seen = numbers(vllm).unwrap();
        assert_eq!((seen.running_requests, seen.queued_requests, seen.kv_pool_tokens), (3, 4, 0));
        for bad in
            ["", "nothing", "sglang:num_running_reqs NaN\nsglang:num_queue_reqs -1", "<html>"]
        {
            assert!(numbers(bad).is_none(), "{bad}");
        }
    }
}
