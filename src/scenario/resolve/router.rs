//! Where the routers stand and what each knows, does and remembers; the policies are in `policies.rs`.

use super::Context;
use crate::parsed::{EventTable, LocalFirstTable, PerRegionTable, RouterTable};
use crate::{IndexSpec, PerRegionSpec, RouterSpec};
use gorgo_config::{Diagnostic, Located, PositiveDuration, Share};
use gorgo_model::Network;
use gorgo_routing::Room;
use gorgo_types::{Nanos, RegionId};
use std::collections::BTreeMap;

/// Spacing of probes and scrapes: the pace at which GORGO v1 polls its engines' metrics. GORGO v2's proxy does both
/// every 30 s.
const DEFAULT_INTERVAL: Nanos = Nanos::from_secs(1);

/// Weight of the newest probe: that of both GORGO v1 and v2.
const DEFAULT_EWMA_ALPHA: f64 = 0.3;

/// What a request may be passed on in all, so far as the simulated world carries it.
const MOST_HOPS: u32 = 1;

impl Context<'_> {
    /// The router, its variants and its policies. `replicas`: the regions of the fleet.
    pub(super) fn router(
        &self,
        network: &Network,
        replicas: &[RegionId],
    ) -> Result<RouterSpec, Diagnostic> {
        let base = &self.table.router;
        let mut router = self.one_router(base, network, replicas)?;
        for (name, variant) in &base.variants {
            for (given, key) in [
                (variant.value.policies.as_ref().map(|p| p.with(())), "policies"),
                (variant.value.variants.values().next().map(|v| v.with(())), "variants"),
            ] {
                if let Some(place) = given {
                    let problem = format!("got {key} in a variant, wanted them in [router] alone");
                    return Err(self.document.blame(&place, problem));
                }
            }
            let whole = over(&variant.value, base);
            let spec = self.one_router(&whole, network, replicas)?;
            router.variants.insert(name.clone(), spec);
        }
        router.policies = self.policies()?;
        self.no_incidents_behind_a_hop(&router)?;
        Ok(router)
    }

    /// What becomes of a request that fails after it was passed on, at which router and tried by whom again, is not
    /// modelled.
    fn no_incidents_behind_a_hop(&self, router: &RouterSpec) -> Result<(), Diagnostic> {
        let passes_on = |router: &RouterSpec| {
            (router.per_region.as_ref()).is_some_and(|regions| !regions.reaches_all)
        };
        let hops = passes_on(router) || router.variants.values().any(passes_on);
        let incident = |event: &&Located<EventTable>| {
            event.value.outage.is_some() || event.value.partition.is_some()
        };
        match self.table.event.iter().find(incident).filter(|_| hops) {
            Some(event) => {
                let problem = "got an outage or a partition where routers pass requests on, wanted one router, or \
                               routers that reach every replica themselves (reaches_all = true)";
                Err(self.document.blame(event, problem.to_owned()))
            }
            None => Ok(()),
        }
    }

    fn one_router(
        &self,
        given: &RouterTable,
        network: &Network,
        replicas: &[RegionId],
    ) -> Result<RouterSpec, Diagnostic> {
        let interval =
            |span: Option<PositiveDuration>| span.map_or(DEFAULT_INTERVAL, |span| span.0);
        let alpha = given.rtt_ewma_alpha.clone().unwrap_or(Share(DEFAULT_EWMA_ALPHA).into());
        if alpha.value.0 == 0.0 {
            let problem = "got 0, wanted a number above 0 and at most 1";
            return Err(self.document.blame(&alpha, problem));
        }
        let (region, per_region) = self.places(given, network, replicas)?;
        Ok(RouterSpec {
            region,
            per_region,
            policies: Vec::new(),
            variants: BTreeMap::new(),
            probe_interval: interval(given.probe_interval),
            scrape_interval: interval(given.scrape_interval),
            rtt_ewma_alpha: alpha.value.0,
            index: self.index(given)?,
            learn_at: given.learn_at.unwrap_or_default(),
            release_at: given.release_at.unwrap_or_default(),
            decision_time: given.decision_time.map_or(Nanos::ZERO, |span| span.0),
            serial_decisions: given.serial_decisions.unwrap_or(false),
            relay_time_per_token: (given.relay_time_per_token).map_or(Nanos::ZERO, |span| span.0),
            max_in_flight_per_replica: match &given.max_in_flight_per_replica {
                Some(most) => Some(self.small(Some(most), 0)?),
                None => None,
            },
            max_queue: given.queue_limit.as_ref().map_or(u32::MAX, |most| most.value),
            queue_timeout: given.queue_timeout.map(|span| span.0),
            serial_queue: given.serial_queue.unwrap_or(false),
            queue_interval: given.queue_interval.map(|span| span.0),
            learn_output: given.learn_output.unwrap_or(false),
            failures: self.failures(given.failures.as_ref())?,
        })
    }

    fn places(
        &self,
        given: &RouterTable,
        network: &Network,
        replicas: &[RegionId],
    ) -> Result<(RegionId, Option<PerRegionSpec>), Diagnostic> {
        match (&given.region, &given.per_region) {
            (Some(region), None) => Ok((self.region_id(region, network)?, None)),
            (None, Some(table)) => {
                let spec = self.per_region(table, network, replicas)?;
                Ok((spec.regions[0], Some(spec)))
            }
            (Some(_), Some(table)) => {
                let problem = "got both region and per_region, wanted one of them";
                Err(self.document.blame(table, problem))
            }
            (None, None) => {
                let span = self.document.at(&["router"]).map_or(0..0, toml::Spanned::span);
                let problem =
                    "got no place for the router, wanted `region = \"...\"` or [router.per_region]";
                Err(self.document.error(span, problem.to_owned()))
            }
        }
    }

    fn per_region(
        &self,
        given: &Located<PerRegionTable>,
        network: &Network,
        replicas: &[RegionId],
    ) -> Result<PerRegionSpec, Diagnostic> {
        let table = &given.value;
        let mut regions: Vec<RegionId> = Vec::new();
        for name in table.regions.iter().flat_map(|regions| &regions.value) {
            let region = self.region_id(name, network)?;
            if regions.contains(&region) {
                let problem =
                    format!("got {:?} a second time, wanted each region once", name.value);
                return Err(self.document.blame(name, problem));
            }
            regions.push(region);
        }
        match &table.regions {
            Some(listed) if regions.is_empty() => {
                let problem = "got no regions, wanted at least one";
                return Err(self.document.blame(listed, problem));
            }
            Some(_) => {}
            None => {
                for &region in replicas {
                    if !regions.contains(&region) {
                        regions.push(region);
                    }
                }
            }
        }
        let reaches_all = table.reaches_all.unwrap_or(false);
        let max_hops = table.max_hops.as_ref().map_or(MOST_HOPS, |hops| hops.value);
        if let Some(hops) = table.max_hops.as_ref().filter(|_| max_hops > MOST_HOPS) {
            let problem = format!("got {max_hops}, wanted 0 or {MOST_HOPS}");
            return Err(self.document.blame(hops, problem));
        }
        if !reaches_all {
            let alone = replicas.iter().find(|region| !regions.contains(region));
            if let Some(alone) = alone {
                let name = &network.regions()[alone.index()].name;
                let problem = format!(
                    "got no router in `{name}`, where replicas stand, wanted one (or reaches_all = true)"
                );
                return Err(self.document.blame(given, problem));
            }
            let idle = regions.iter().find(|region| !replicas.contains(region));
            if let Some(idle) = idle.filter(|_| max_hops == 0) {
                let name = &network.regions()[idle.index()].name;
                let problem =
                    format!("got a router in `{name}`, where no replica stands, and max_hops = 0");
                return Err(self.document.blame(given, problem));
            }
        }
        Ok(PerRegionSpec {
            regions,
            reaches_all,
            max_hops,
            local_first: match &table.local_first {
                Some(room) => Some(self.room(&room.value)?),
                None => None,
            },
            may_wait: table.may_wait.unwrap_or(true),
            geo_proxy: match &table.geo_proxy {
                Some(region) => Some(self.region_id(region, network)?),
                None => None,
            },
        })
    }

    fn room(&self, given: &LocalFirstTable) -> Result<Room, Diagnostic> {
        let default = Room::default();
        let running = given.running_requests_below.as_ref();
        let kv_share_below = match &given.kv_share_below {
            Some(share) if share.value.0 == 0.0 => {
                let problem = "got 0, wanted a number above 0 and at most 1";
                return Err(self.document.blame(share, problem));
            }
            Some(share) => share.value.0,
            None => default.kv_share_below,
        };
        let running_requests_below = self.small(running, default.running_requests_below)?;
        Ok(Room { running_requests_below, kv_share_below })
    }

    fn index(&self, given: &RouterTable) -> Result<IndexSpec, Diagnostic> {
        let Some(index) = &given.index else { return Ok(IndexSpec::Unbounded) };
        match (&index.value.unbounded, &index.value.end_tagged, &index.value.lru) {
            (Some(_), None, None) => Ok(IndexSpec::Unbounded),
            (None, Some(_), None) => Ok(IndexSpec::EndTagged),
            (None, None, Some(lru)) => Ok(IndexSpec::Lru {
                capacity_tokens_per_replica: lru.value.capacity_tokens_per_replica.0,
            }),
            (None, None, None) => {
                let problem = "got no kind of index, wanted one of [router.index.unbounded], [router.index.lru] and [router.index.end_tagged]";
                Err(self.document.blame(index, problem))
            }
            (_, end_tagged, lru) => {
                let problem =
                    "got a second kind of index, wanted one of unbounded, lru and end_tagged";
                let second = match (end_tagged, lru) {
                    (_, Some(lru)) => lru.with(()),
                    (Some(end_tagged), None) => end_tagged.with(()),
                    (None, None) => index.with(()),
                };
                Err(self.document.blame(&second, problem))
            }
        }
    }
}

/// A variant's table, in which what it leaves out is the router's.
fn over(variant: &RouterTable, base: &RouterTable) -> RouterTable {
    let moves = variant.region.is_some() || variant.per_region.is_some();
    let place = if moves { variant } else { base };
    RouterTable {
        region: place.region.clone(),
        per_region: place.per_region.clone(),
        policies: None,
        variants: BTreeMap::new(),
        probe_interval: variant.probe_interval.or(base.probe_interval),
        scrape_interval: variant.scrape_interval.or(base.scrape_interval),
        rtt_ewma_alpha: variant.rtt_ewma_alpha.clone().or_else(|| base.rtt_ewma_alpha.clone()),
        index: variant.index.clone().or_else(|| base.index.clone()),
        learn_at: variant.learn_at.or(base.learn_at),
        release_at: variant.release_at.or(base.release_at),
        decision_time: variant.decision_time.or(base.decision_time),
        serial_decisions: variant.serial_decisions.or(base.serial_decisions),
        relay_time_per_token: variant.relay_time_per_token.or(base.relay_time_per_token),
        max_in_flight_per_replica: (variant.max_in_flight_per_replica.clone())
            .or_else(|| base.max_in_flight_per_replica.clone()),
        queue_limit: variant.queue_limit.clone().or_else(|| base.queue_limit.clone()),
        queue_timeout: variant.queue_timeout.or(base.queue_timeout),
        serial_queue: variant.serial_queue.or(base.serial_queue),
        queue_interval: variant.queue_interval.or(base.queue_interval),
        learn_output: variant.learn_output.or(base.learn_output),
        failures: variant.failures.clone().or_else(|| base.failures.clone()),
    }
}
