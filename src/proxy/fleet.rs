//! A replica as the proxy knows it: name, place, connections.

use crate::config::ReplicaConfig;
use crate::metrics::OfReplica;
use crate::upstream::Pool;
use gorgo_types::{RegionId, ReplicaId, ZoneId};
use http::HeaderValue;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use tokio::task::AbortHandle;

/// A replica of the fleet. Its id is the router's; its name is the inventory's and never changes its id while it lives.
pub(crate) struct Replica {
    pub(crate) id: ReplicaId,
    pub(crate) name: String,
    pub(crate) name_header: HeaderValue,
    pub(crate) region: RegionId,
    /// The zone whose requests it may serve; none: only requests without one.
    pub(crate) zone: Option<ZoneId>,
    pub(crate) region_name: String,
    pub(crate) region_header: HeaderValue,
    pub(crate) config: ReplicaConfig,
    pub(crate) pool: Pool,
    /// The proxy of its region, by which it gets its requests; none: it gets them itself.
    pub(crate) via: Option<Pool>,
    pub(crate) metrics: OfReplica,
    /// Whether a probe, a scrape is under way.
    pub(crate) asking: [AtomicBool; 2],
    /// Who listens to its events.
    pub(crate) listener: OnceLock<AbortHandle>,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("id", &self.id).field("name", &self.name).finish()
    }
}

impl Replica {
    /// It has left the fleet: nothing of it goes on but the requests that it has.
    pub(crate) fn retire(&self) {
        self.pool.close_idle();
        if let Some(via) = &self.via {
            via.close_idle();
        }
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }

    /// Where its requests are sent.
    pub(crate) const fn gate(&self) -> &Pool {
        match &self.via {
            Some(via) => via,
            None => &self.pool,
        }
    }

    pub(crate) fn new(
        id: ReplicaId,
        (region, zone): (RegionId, Option<ZoneId>),
        config: ReplicaConfig,
        (pool, via): (Pool, Option<Pool>),
        metrics: OfReplica,
    ) -> Self {
        // Names are checked by the configuration: printable ASCII.
        let header =
            |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("?"));
        Self {
            id,
            name: config.name.clone(),
            name_header: header(&config.name),
            region,
            zone,
            region_name: config.region.clone(),
            region_header: header(&config.region),
            config,
            pool,
            via,
            metrics,
            asking: Default::default(),
            listener: OnceLock::new(),
        }
    }
}
