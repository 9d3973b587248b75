//! The keys of a proxy that stands for one region: how far it reaches, and by whom it reaches the others.

use super::resolve::Context;
use super::tables::{File, PerRegionTable};
use super::{Endpoint, PeerConfig, ReplicaConfig};
use gorgo_config::{Diagnostic, Located};
use gorgo_routing::{Reach, RegionReach, Room};
use gorgo_types::RegionId;

/// How often a request may be passed on, as in scenarios.
const MOST_HOPS: u32 = 1;

impl Context<'_> {
    /// How far the router reaches.
    pub(super) fn reach(&self, file: &File) -> Result<Reach, Diagnostic> {
        let Some(given) = &file.router.per_region else { return Ok(Reach::All) };
        if file.region.is_none() {
            let problem = "got a router for one region, wanted the key `region` too: its name";
            return Err(self.document.blame(given, problem));
        }
        let PerRegionTable { max_hops, local_first, may_wait } = &given.value;
        let hops = max_hops.as_ref().map_or(MOST_HOPS, |hops| hops.value);
        if let Some(given) = max_hops.as_ref().filter(|_| hops > MOST_HOPS) {
            return Err(self.wrong(given, hops, &format!("0 or {MOST_HOPS}")));
        }
        let default = Room::default();
        let room = match local_first {
            None => None,
            Some(table) => Some(Room {
                running_requests_below: self.small(
                    table.running_requests_below.as_ref(),
                    default.running_requests_below,
                    u32::MAX,
                )?,
                kv_share_below: match &table.kv_share_below {
                    Some(share) if share.value.0 == 0.0 => {
                        return Err(self.wrong(share, 0, "a number above 0 and at most 1"));
                    }
                    Some(share) => share.value.0,
                    None => default.kv_share_below,
                },
            }),
        };
        Ok(Reach::Region(RegionReach {
            // The proxy's own region is the first that it names.
            region: RegionId(0),
            max_hops: hops,
            local_first: room,
            may_wait: may_wait.unwrap_or(true),
        }))
    }

    /// The proxies of other regions: each once, and one for each region with replicas that may be passed on to.
    pub(super) fn peers(
        &self,
        file: &File,
        reach: &Reach,
        replicas: &[ReplicaConfig],
    ) -> Result<Vec<PeerConfig>, Diagnostic> {
        let own = file.region.as_ref().map(|region| region.value.as_str());
        let mut peers: Vec<PeerConfig> = Vec::new();
        for given in &file.peer {
            let table = &given.value;
            if *reach == Reach::All {
                let problem = "got the proxy of another region, wanted the table router.per_region too: without it every \
                               replica is reached directly";
                return Err(self.document.blame(given, problem));
            }
            let region = self.name(&table.region)?;
            if own == Some(region.as_str()) || peers.iter().any(|peer| peer.region == region) {
                let got = format!(
                    "{region:?} {}",
                    if own == Some(&*region) { "itself" } else { "a second time" }
                );
                return Err(self.wrong(&table.region, got, "each other region once"));
            }
            let mut endpoint = Endpoint::parse(&table.url.value)
                .map_err(|problem| self.document.blame(&table.url, problem))?;
            if let Some(variable) = &table.api_key_env {
                endpoint.authorization = Some(self.api_key(variable)?);
            }
            peers.push(PeerConfig { region, endpoint });
        }
        if let Reach::Region(reach) = reach
            && reach.max_hops > 0
        {
            let reached = |replica: &ReplicaConfig| {
                own == Some(replica.region.as_str())
                    || peers.iter().any(|peer| peer.region == replica.region)
            };
            if let Some((stranger, place)) =
                replicas.iter().zip(&file.replica).find(|(replica, _)| !reached(replica))
            {
                let place: &Located<_> = place.value.region.as_ref().unwrap_or(&place.value.name);
                let got = format!("a replica in {:?}", stranger.region);
                return Err(self.wrong(
                    place,
                    got,
                    "a [[peer]] for its region, or router.per_region.max_hops = 0",
                ));
            }
        }
        Ok(peers)
    }
}
