//! What the proxy finds out for its router: round trips, and what engines say of their load.
//!
//! Each replica is asked at its own pace, with one question of a kind under way at most. A probe's time is that of the
//! exchange alone: opening a connection is not in it. A scrape is taken to show the engine half way between question and
//! answer. What requests themselves tell is in `flight.rs`.

use crate::config::ProbeConfig;
use crate::exchange::{get, whole};
use crate::fleet::Replica;
use crate::proxy::Proxy;
use gorgo_routing::Scrape;
use gorgo_types::Nanos;
use gorgo_wire::EngineLoad;
use http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// A page of metrics is some hundred kilobytes.
const MOST_PAGE_BYTES: usize = 4 << 20;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// How long the way is, and whether anybody is there.
    Rtt = 0,
    /// The engine's metrics.
    Metrics = 1,
}

impl Watch {
    const fn name(self) -> &'static str {
        match self {
            Self::Rtt => "rtt",
            Self::Metrics => "metrics",
        }
    }
}

/// Asks every replica, for ever.
pub(crate) async fn keep_asking(proxy: Arc<Proxy>, watch: Watch, config: ProbeConfig) {
    let Some(interval) = config.interval else { return };
    let config = Arc::new(config);
    let mut rounds = tokio::time::interval(interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut asking = JoinSet::new();
    loop {
        rounds.tick().await;
        while asking.try_join_next().is_some() {}
        let replicas = proxy.with_core(|core, _| {
            core.members().map(|member| Arc::clone(&member.replica)).collect::<Vec<_>>()
        });
        for replica in replicas {
            if replica.asking[watch as usize].swap(true, Ordering::AcqRel) {
                continue;
            }
            let (proxy, config) = (Arc::clone(&proxy), Arc::clone(&config));
            asking.spawn(async move {
                ask(&proxy, watch, &config, &replica).await;
                replica.asking[watch as usize].store(false, Ordering::Release);
            });
        }
    }
}

/// Asks one replica, and tells the router.
async fn ask(proxy: &Proxy, watch: Watch, config: &ProbeConfig, replica: &Replica) {
    let answered = tokio::time::timeout(config.timeout, exchange(watch, config, replica)).await;
    let answered = answered.ok().flatten();
    proxy.metrics().probed(replica, watch.name(), answered.is_some());
    let nanos = |span: Duration| Nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    proxy.with_core(|core, now| {
        // It may have left the fleet meanwhile, and another of its number have come.
        if !core.members().any(|member| std::ptr::eq(&raw const *member.replica, replica)) {
            return;
        }
        match (watch, answered) {
            (Watch::Rtt, answered) => {
                let took = answered.map(|(took, _)| nanos(took));
                core.router.probe_result(now, replica.id, took);
            }
            (Watch::Metrics, Some((took, Some(load)))) => {
                let latency = nanos(took);
                let taken_at = now.saturating_sub(Nanos(latency.0 / 2));
                let EngineLoad { running_requests, queued_requests, used_tokens, kv_pool_tokens } =
                    load;
                let scrape = Scrape {
                    running_requests,
                    queued_requests,
                    used_tokens,
                    kv_pool_tokens,
                    taken_at,
                    latency,
                };
                core.router.scraped(now, replica.id, scrape);
            }
            (Watch::Metrics, _) => core.router.scrape_failed(now, replica.id),
        }
    });
}

/// The time of the exchange, and of a scrape what it read; none: no answer, or a bad one.
async fn exchange(
    watch: Watch,
    config: &ProbeConfig,
    replica: &Replica,
) -> Option<(Duration, Option<EngineLoad>)> {
    let mut link = replica.pool.link().await.ok()?;
    let asked = Instant::now();
    let response = link.headers(get(&replica.pool, &config.path)).await.ok()?;
    let mut took = asked.elapsed();
    let (head, body) = response.into_parts();
    let page = whole(&mut link, body, MOST_PAGE_BYTES).await?;
    replica.pool.give_back(link);
    if head.status != StatusCode::OK {
        return None;
    }
    if watch == Watch::Rtt {
        return Some((took, None));
    }
    took = asked.elapsed();
    match EngineLoad::parse(&String::from_utf8_lossy(&page)) {
        Ok(load) => Some((took, Some(load))),
        Err(error) => {
            tracing::debug!(replica = %replica.name, %error, "a scrape cannot be used");
            None
        }
    }
}
