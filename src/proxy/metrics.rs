//! The proxy's own metrics, in Prometheus' form. What each name means stands in README.md; a test holds the two together.
//!
//! Counters that a request touches are looked up once, when its replica joins the fleet. Gauges of the router are
//! taken at the moment of a scrape.

use crate::core::Core;
use crate::fleet::Replica;
use gorgo_types::Tokens;
use gorgo_wire::Usage;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

type Labels = Vec<(&'static str, String)>;
type Level = Gauge<f64, AtomicU64>;

/// How an attempt at a replica ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A whole answer with a good status.
    Completed,
    /// A whole answer with another one.
    Refused,
    /// None, or one that broke off.
    Failed,
    /// The client went away.
    Cancelled,
}

impl End {
    const ALL: [Self; 4] = [Self::Completed, Self::Refused, Self::Failed, Self::Cancelled];

    const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a request touches of one replica's metrics.
#[derive(Clone, Debug)]
pub(crate) struct OfReplica {
    ends: [Counter; 4],
    duration: Histogram,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    arrived: Counter,
    refused: Family<Labels, Counter>,
    retried: Counter,
    waited: Histogram,
    first_token: Histogram,
    attempts: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
    prompt_tokens: Counter,
    predicted_tokens: Counter,
    cached_tokens: Counter,
    engine_prompt_tokens: Counter,
    completion_tokens: Counter,
    probes: Family<Labels, Counter>,
    of_replicas: Family<Labels, Level>,
    of_router: Family<Labels, Level>,
}

/// Seconds: from a millisecond to ten minutes, a factor of about two apart.
const SECONDS: [f64; 19] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0,
    60.0, 180.0, 600.0,
];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("gorgo_proxy");
        let mut new = Self {
            registry: Registry::default(),
            arrived: Counter::default(),
            refused: Family::default(),
            retried: Counter::default(),
            waited: seconds(),
            first_token: seconds(),
            attempts: Family::default(),
            durations: Family::new_with_constructor(seconds),
            prompt_tokens: Counter::default(),
            predicted_tokens: Counter::default(),
            cached_tokens: Counter::default(),
            engine_prompt_tokens: Counter::default(),
            completion_tokens: Counter::default(),
            probes: Family::default(),
            of_replicas: Family::default(),
            of_router: Family::default(),
        };
        let r = &mut registry;
        r.register("requests", "Requests for completions that came in", new.arrived.clone());
        r.register(
            "refused",
            "Requests answered by the proxy itself, by reason",
            new.refused.clone(),
        );
        r.register("retries", "Attempts made after one that failed", new.retried.clone());
        r.register(
            "queue_seconds",
            "Time in the proxy's queue of those that waited",
            new.waited.clone(),
        );
        r.register(
            "first_token_seconds",
            "From dispatch to the first token",
            new.first_token.clone(),
        );
        r.register("attempts", "Attempts at replicas, by how they ended", new.attempts.clone());
        r.register("attempt_seconds", "From dispatch to the end", new.durations.clone());
        r.register(
            "prompt_tokens",
            "Prompt tokens of completed requests as the proxy counts them",
            new.prompt_tokens.clone(),
        );
        r.register(
            "predicted_cached_tokens",
            "Of those, what the chosen replica was believed to have cached",
            new.predicted_tokens.clone(),
        );
        r.register(
            "engine_prompt_tokens",
            "Prompt tokens of requests whose engine told its cached tokens, as it counts them",
            new.engine_prompt_tokens.clone(),
        );
        r.register(
            "engine_cached_tokens",
            "Of those, what the engine had cached",
            new.cached_tokens.clone(),
        );
        r.register(
            "completion_tokens",
            "Output tokens, as engines count them",
            new.completion_tokens.clone(),
        );
        r.register("probes", "RTT probes and scrapes, by replica and outcome", new.probes.clone());
        r.register(
            "replica",
            "What the router knows of a replica now, by name of the signal",
            new.of_replicas.clone(),
        );
        r.register("router", "What the router holds now", new.of_router.clone());
        new.registry = registry;
        new
    }

    /// The metrics of one replica.
    pub(crate) fn of_replica(&self, name: &str) -> OfReplica {
        let labels = |end: End| vec![("replica", name.to_owned()), ("end", end.name().to_owned())];
        let ends = End::ALL.map(|end| self.attempts.get_or_create(&labels(end)).clone());
        let duration = self.durations.get_or_create(&vec![("replica", name.to_owned())]).clone();
        OfReplica { ends, duration }
    }

    pub(crate) fn arrived(&self) {
        self.arrived.inc();
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }

    pub(crate) fn retried(&self) {
        self.retried.inc();
    }

    pub(crate) fn waited(&self, span: Duration) {
        self.waited.observe(span.as_secs_f64());
    }

    pub(crate) fn first_token(&self, span: Duration) {
        self.first_token.observe(span.as_secs_f64());
    }

    pub(crate) fn attempt(&self, replica: &Replica, end: End, span: Duration) {
        replica.metrics.ends[end as usize].inc();
        replica.metrics.duration.observe(span.as_secs_f64());
    }

    pub(crate) fn usage(&self, prompt: Tokens, predicted: u64, usage: Option<Usage>) {
        self.prompt_tokens.inc_by(prompt.get());
        self.predicted_tokens.inc_by(predicted);
        let Some(usage) = usage else { return };
        self.completion_tokens.inc_by(usage.completion_tokens);
        if let Some(cached) = usage.cached_tokens {
            self.engine_prompt_tokens.inc_by(usage.prompt_tokens);
            self.cached_tokens.inc_by(cached);
        }
    }

    pub(crate) fn probed(&self, replica: &Replica, kind: &'static str, ok: bool) {
        let labels = vec![
            ("replica", replica.name.clone()),
            ("kind", kind.to_owned()),
            ("outcome", if ok { "answered" } else { "failed" }.to_owned()),
        ];
        self.probes.get_or_create(&labels).inc();
    }

    /// The page that Prometheus reads.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(crate) fn page(&self, core: &Core, now_ms: f64) -> String {
        self.of_replicas.clear();
        let signals = core.router.signals();
        for member in core.members() {
            let replica = &member.replica;
            let set = |name: &str, value: f64| {
                let labels = vec![
                    ("replica", replica.name.clone()),
                    ("region", replica.region_name.clone()),
                    ("signal", name.to_owned()),
                ];
                self.of_replicas.get_or_create(&labels).set(value);
            };
            let health = core.router.health_of(replica.id);
            set("fit", f64::from(u8::from(health.is_none_or(|health| health.fit))));
            set("circuit_openings", health.map_or(0.0, |health| f64::from(health.openings)));
            set("draining", f64::from(u8::from(member.draining)));
            set("idle_connections", replica.pool.idle() as f64);
            let Some(known) = signals.iter().find(|s| s.replica == replica.id) else { continue };
            set("eligible", f64::from(u8::from(known.eligible)));
            set("in_flight_requests", f64::from(known.in_flight_requests));
            set("queued_tokens", known.queued_tokens as f64);
            if let Some(rtt) = known.rtt_ewma_ms {
                set("rtt_ewma_ms", rtt);
            }
            if let Some(at) = known.scraped_at {
                set("running_requests", f64::from(known.running_requests));
                set("queued_requests", f64::from(known.queued_requests));
                set("used_tokens", known.used_tokens as f64);
                set("kv_pool_tokens", known.kv_pool_tokens as f64);
                set("scrape_age_ms", (now_ms - at.as_ms()).max(0.0));
            }
        }
        let index = core.router.index_stats();
        let ignored = core.router.ignored();
        for (name, value) in [
            ("queued_requests", core.router.queued() as f64),
            ("queue_timeouts", core.timed_out as f64),
            ("in_flight_requests", core.router.in_flight() as f64),
            ("index_nodes", index.nodes as f64),
            ("index_blocks", index.blocks as f64),
            ("index_evicted_tokens", index.evicted_tokens as f64),
            ("late_news", ignored.late_news as f64),
            ("dropped_log_rows", (core.log.journal.dropped() + core.tuning.dropped()) as f64),
        ] {
            self.of_router.get_or_create(&vec![("signal", name.to_owned())]).set(value);
        }
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut page, &self.registry);
        page
    }
}
