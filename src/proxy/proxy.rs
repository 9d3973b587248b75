//! What the tasks of a proxy share: the router behind its lock, settings that may change, clock, metrics.
//!
//! Who listens is in `server.rs`, and the order in which all of it starts and stops in `lib.rs`.

use crate::answer::Refusal;
use crate::config::{Config, Endpoint, ReplicaConfig};
use crate::core::{Ask, Core};
use crate::error::ProxyError;
use crate::fleet::Replica;
use crate::front;
use crate::kv_events;
use crate::metrics::Metrics;
use crate::tls;
use crate::upstream::{Bounds, Pool};
use bytes::Bytes;
use gorgo_routing::Reach;
use gorgo_text::Tokens;
use gorgo_types::{Nanos, RegionId, ReplicaId, ZoneId};
use gorgo_wire::Api;
use http::{HeaderValue, StatusCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio_rustls::rustls::ClientConfig;

/// Bodies longer than this are hashed beside the tasks that carry bytes.
const INLINE_BODY_BYTES: usize = 256 << 10;

/// What may change while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) policy: &'static str,
    pub(crate) models: Vec<String>,
    pub(crate) attempts: u32,
    pub(crate) decision_headers: bool,
    pub(crate) most_body_bytes: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) pause: Duration,
    pub(crate) learn_from_usage: bool,
}

/// How text becomes blocks.
pub(crate) struct Text {
    pub(crate) tokens: Tokens,
    pub(crate) template_tokens: u32,
    pub(crate) block_tokens: u32,
}

/// See the module.
pub(crate) struct Proxy {
    started: Instant,
    core: Mutex<Core>,
    settings: RwLock<Arc<Settings>>,
    text: Text,
    metrics: Metrics,
    names: Mutex<Names>,
    /// How often a request may be passed on among the proxies of regions; none: it is no region's.
    most_hops: Option<u32>,
    /// Whom to trust at `https` URLs; read when the first such replica comes.
    trust: OnceLock<Arc<ClientConfig>>,
    /// Wakes the timer where a deadline comes before the one it waits for.
    pub(crate) timer: Notify,
    ordinals: AtomicU64,
    boot: u64,
}

/// Names that the router knows by number: a number is the name's place.
#[derive(Debug, Default)]
struct Names {
    regions: Vec<String>,
    zones: Vec<String>,
}

/// What replicas are made with.
pub(crate) struct Parts {
    pub(crate) text: Text,
    pub(crate) metrics: Metrics,
}

impl Settings {
    pub(crate) fn of(config: &Config, policy: &'static str) -> Self {
        Self {
            policy,
            models: config.models.clone(),
            attempts: config.attempts,
            decision_headers: config.log.decision_headers,
            most_body_bytes: config.limits.body_bytes,
            body_timeout: config.timeouts.body,
            pause: config.timeouts.pause,
            learn_from_usage: config.learn_from_usage,
        }
    }
}

impl Proxy {
    /// A proxy whose core is made by `core`, from its first replicas.
    pub(crate) fn new(
        config: &Config,
        parts: Parts,
        core: impl FnOnce(&[Arc<Replica>]) -> Result<Core, ProxyError>,
    ) -> Result<Arc<Self>, ProxyError> {
        let Parts { text, metrics } = parts;
        let trust = OnceLock::new();
        let mut names =
            Names { regions: config.region.iter().cloned().collect(), ..Names::default() };
        let mut replicas = Vec::new();
        for (id, replica) in (0..).zip(&config.replicas) {
            let place = names.place(replica)?;
            let id = ReplicaId(id);
            replicas.push(new_replica(id, place, replica, config, &metrics, &trust)?);
        }
        let core = core(&replicas)?;
        let boot = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        Ok(Arc::new(Self {
            started: Instant::now(),
            settings: RwLock::new(Arc::new(Settings::of(config, core.router.name()))),
            core: Mutex::new(core),
            text,
            metrics,
            names: Mutex::new(names),
            most_hops: match &config.router.reach {
                Reach::All => None,
                Reach::Region(reach) => Some(reach.max_hops),
            },
            trust,
            timer: Notify::new(),
            ordinals: AtomicU64::new(0),
            boot,
        }))
    }

    /// Time since the start. Taken under the core's lock it never goes back from one call to the next.
    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Does something with the router, serves the queue after it, and sees to the timer.
    pub(crate) fn with_core<T>(&self, act: impl FnOnce(&mut Core, Nanos) -> T) -> T {
        let (result, sooner) = {
            let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            let now = self.now();
            let result = act(&mut core, now);
            core.serve_queue(now);
            let next = core.router.next_deadline();
            let sooner = next.is_some_and(|next| core.planned.is_none_or(|planned| next < planned));
            if sooner {
                core.planned = next;
            }
            (result, sooner)
        };
        if sooner {
            self.timer.notify_one();
        }
        result
    }

    /// Serves the queue at its deadlines, for ever.
    pub(crate) async fn keep_deadlines(&self) {
        loop {
            let next = self.with_core(|core, _| {
                core.planned = core.router.next_deadline();
                core.planned
            });
            let Some(next) = next else {
                self.timer.notified().await;
                continue;
            };
            let at = self.started + Duration::from_nanos(next.0);
            tokio::select! {
                // At the very time that was asked for: a queue with a beat looks at nothing between two of them.
                () = tokio::time::sleep_until(at.into()) => {
                    self.with_core(|core, _| core.serve_queue(next));
                }
                () = self.timer.notified() => {}
            }
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut settings));
    }

    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) const fn text(&self) -> &Text {
        &self.text
    }

    pub(crate) const fn most_hops(&self) -> Option<u32> {
        self.most_hops
    }

    pub(crate) fn policy_name(&self) -> &'static str {
        self.settings().policy
    }

    pub(crate) fn learns_from_reports(&self) -> bool {
        self.settings().learn_from_usage
    }

    /// Whether a replica beside these takes requests.
    pub(crate) fn has_other(&self, ask: &Ask, excluded: &[ReplicaId]) -> bool {
        self.with_core(|core, _| core.any_serves(ask, excluded))
    }

    /// A number that no request had before.
    pub(crate) fn ordinal(&self) -> u64 {
        self.ordinals.fetch_add(1, Ordering::Relaxed)
    }

    /// A request id that no other proxy gives: when this one started, and a number.
    pub(crate) fn fresh_id(&self) -> HeaderValue {
        let id = format!("{:x}-{:x}", self.boot, self.ordinal());
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("0"))
    }

    /// What the router may know of a request. Long prompts, and all where a tokenizer counts, are read beside the tasks that
    /// carry bytes, so that they hold up nobody's stream.
    pub(crate) async fn understand(
        self: &Arc<Self>,
        api: Api,
        body: &Bytes,
        id: &HeaderValue,
        session: Option<u64>,
    ) -> Result<Ask, Refusal> {
        if body.len() <= INLINE_BODY_BYTES && matches!(self.text.tokens, Tokens::FourCharacters) {
            return front::understand(self, api, body, id, session);
        }
        let (proxy, body, id) = (Arc::clone(self), body.clone(), id.clone());
        let read = move || front::understand(&proxy, api, &body, &id, session);
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| {
            let (status, message) =
                (StatusCode::INTERNAL_SERVER_ERROR, "the prompt could not be read");
            Err(Refusal::new(status, "internal_error", message))
        })
    }

    /// Listens to the events of a replica that has joined the fleet, where it publishes any.
    pub(crate) fn listen_to(self: &Arc<Self>, replica: &Arc<Replica>) {
        if let Some(endpoint) = replica.config.kv_events.clone() {
            let task = kv_events::listen(Arc::clone(self), Arc::clone(replica), endpoint);
            // It joins once.
            let _ = replica.listener.set(tokio::spawn(task).abort_handle());
        }
    }

    /// Whether replicas of a configuration can be trusted, where any of them wants to be: before anything changes.
    pub(crate) fn can_reach(&self, config: &Config) -> Result<(), ProxyError> {
        let replicas = config.replicas.iter().map(|replica| &replica.endpoint);
        let peers = config.peers.iter().map(|peer| &peer.endpoint);
        let wanted = replicas.chain(peers).any(|endpoint| endpoint.tls);
        if wanted && self.trust.get().is_none() {
            let read = tls::trust(config.upstream_ca.as_deref())?;
            self.trust.get_or_init(|| read);
        }
        Ok(())
    }

    /// A new replica, not yet in the fleet.
    pub(crate) fn new_replica(
        &self,
        id: ReplicaId,
        replica: &ReplicaConfig,
        config: &Config,
    ) -> Result<Arc<Replica>, ProxyError> {
        let place = self.names.lock().unwrap_or_else(PoisonError::into_inner).place(replica)?;
        new_replica(id, place, replica, config, &self.metrics, &self.trust)
    }

    /// A zone that some replica stands in or stood in.
    pub(crate) fn zone(&self, name: &str) -> Option<ZoneId> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.zones.iter().position(|known| known == name).and_then(ZoneId::from_index)
    }
}

impl Names {
    /// Where a replica stands: its region's number, and its zone's.
    fn place(&mut self, replica: &ReplicaConfig) -> Result<(RegionId, Option<ZoneId>), ProxyError> {
        let region = place_of(&mut self.regions, &replica.region);
        let region = u32::try_from(region).ok().map(RegionId);
        let zone = replica.residency.as_ref().map(|zone| place_of(&mut self.zones, zone));
        let many = || ProxyError::Refused("there are too many regions or zones".to_owned());
        let zone = zone.map(|zone| ZoneId::from_index(zone).ok_or_else(many)).transpose()?;
        Ok((region.ok_or_else(many)?, zone))
    }
}

/// The place of a name in a list, to which a new one is added.
fn place_of(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

fn new_replica(
    id: ReplicaId,
    place: (RegionId, Option<ZoneId>),
    replica: &ReplicaConfig,
    config: &Config,
    metrics: &Metrics,
    trust: &OnceLock<Arc<ClientConfig>>,
) -> Result<Arc<Replica>, ProxyError> {
    let bounds = Bounds {
        connect: config.timeouts.connect,
        headers: config.timeouts.response,
        idle: config.timeouts.idle,
        age: config.timeouts.age,
        most_idle: config.limits.idle_per_replica as usize,
    };
    let pool = |endpoint: &Endpoint| {
        let tls = match (endpoint.tls, trust.get()) {
            (false, _) => None,
            (true, Some(known)) => Some(Arc::clone(known)),
            (true, None) => {
                let read = tls::trust(config.upstream_ca.as_deref())?;
                Some(Arc::clone(trust.get_or_init(|| read)))
            }
        };
        Ok::<_, ProxyError>(Pool::new(endpoint.clone(), tls, bounds))
    };
    let peer = config.peers.iter().find(|peer| peer.region == replica.region);
    if let Reach::Region(reach) = config.router.reach
        && reach.max_hops > 0
        && peer.is_none()
        && config.region.as_deref() != Some(&replica.region)
    {
        let problem = format!("no peer is known for the region `{}`", replica.region);
        return Err(ProxyError::Refused(problem));
    }
    let via = peer.map(|peer| pool(&peer.endpoint)).transpose()?;
    let pools = (pool(&replica.endpoint)?, via);
    let metrics = metrics.of_replica(&replica.name);
    Ok(Arc::new(Replica::new(id, place, replica.clone(), pools, metrics)))
}
