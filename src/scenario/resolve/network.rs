//! Regions and links: the scenario's own first, then the built-in ones.

use super::Context;
use crate::SeriesSpec;
use crate::data;
use crate::parsed::{ClientsBy, ClientsTable, FillMissing, LinkTable, NetworkTable, RegionTable};
use gorgo_config::{
    Bandwidth, Bytes, Diagnostic, Located, NonNegative, Positive, PositiveDuration, Share,
};
use gorgo_model::network::{CITY_WITHIN_KM, CityTable, Connect, Payload};
use gorgo_model::{
    ClientModel, Jitter, Link, MEDIAN_P95_RATIO, ModelError, NamedLink, Network, PlaceTable,
    RegionPlace, great_circle_km,
};
use gorgo_types::{LatLon, Nanos};

/// The network and the table that makes it again.
pub(super) struct NetworkPart {
    pub(super) network: Network,
    pub(super) connect: Option<Connect>,
    pub(super) series: Vec<SeriesSpec>,
    pub(super) table: NetworkTable,
}

impl Context<'_> {
    pub(super) fn network(&self) -> Result<NetworkPart, Diagnostic> {
        let given = &self.table.network;
        let regions = self.regions()?;
        let mut links = self.links(&regions)?;
        let filled = self.fill(&regions, &mut links);
        let jitter = Jitter {
            spread_share: given.spread_share.as_ref().map_or(1.0, |share| share.value.0),
            drift_share: given.drift_share.as_ref().map_or(0.0, |share| share.value.0),
            drift_period: given.drift_period.map_or(Jitter::default().drift_period, |span| span.0),
            floor_fraction: self.floor_share()?,
        };
        let (clients, clients_table) = self.clients()?;
        let network = Network::new(regions, &links, jitter)
            .map_err(|error| self.network_error(&error))?
            .with_filled(&filled)
            .with_places(PlaceTable::new(&data::places()?).map_err(|error| broken_data(&error))?)
            .with_clients(clients)
            .map_err(|error| match &given.clients {
                Some(table) => self.model_error(table, &error),
                None => broken_data(&error),
            })?;
        let network = match clients_table.city_within_km {
            Some(km) => network.with_cities(
                CityTable::new(data::cities()?, km.0).map_err(|error| broken_data(&error))?,
            ),
            None => network,
        };
        let network = self.sized(network)?;
        let (connect, connect_table) = self.connect()?;
        let (series, series_tables) = self.series()?;
        let table = NetworkTable {
            connect: connect_table,
            series: series_tables,
            ..explicit(&network, jitter, clients_table)
        };
        Ok(NetworkPart { network, connect, series, table })
    }

    /// The network with the size of requests and its bandwidths.
    fn sized(&self, network: Network) -> Result<Network, Diagnostic> {
        let given = &self.table.network;
        let default = Payload::default();
        let payload = Payload {
            bytes_per_token: given.bytes_per_token.map_or(default.bytes_per_token, |each| each.0),
            bytes_per_request: given.bytes_per_request.map_or(default.bytes_per_request, |b| b.0),
        };
        let links: Vec<(String, String, f64)> = (given.links.iter())
            .filter_map(|Located { value: link, .. }| {
                let bits = link.bandwidth?.0;
                Some((link.from.value.clone(), link.to.value.clone(), bits))
            })
            .collect();
        let clients = given.clients.as_ref().and_then(|clients| clients.value.bandwidth);
        network
            .with_payload(payload)
            .and_then(|network| {
                let all = given.bandwidth.map(|all| all.0);
                network.with_bandwidth(all, &links, clients.map(|bits| bits.0))
            })
            .map_err(|error| broken_data(&error))
    }

    /// The regions that are listed, or else those that the fleet and the router name, in that order.
    fn regions(&self) -> Result<Vec<RegionPlace>, Diagnostic> {
        let built_in = data::regions()?;
        let mut regions: Vec<RegionPlace> = Vec::new();
        if let Some(listed) = &self.table.network.regions {
            if listed.value.is_empty() {
                return Err(self.document.blame(listed, "got no regions, wanted at least one"));
            }
            for region in &listed.value {
                // A region given by its name alone stands where its element does.
                let name = match region.value.name.span() {
                    Some(_) => region.value.name.clone(),
                    None => region.with(region.value.name.value.clone()),
                };
                if regions.iter().any(|known| known.name == name.value) {
                    let problem =
                        format!("got {:?} a second time, wanted each region once", name.value);
                    return Err(self.document.blame(&name, problem));
                }
                regions.push(self.region(&name, &region.value, &built_in)?);
            }
            return Ok(regions);
        }
        let fleet = self.table.fleet.replicas.value.iter().map(|group| &group.value.region);
        for name in fleet.chain(self.table.router.regions()) {
            if !regions.iter().any(|known| known.name == name.value) {
                let bare = RegionTable { name: name.clone(), lat: None, lon: None };
                regions.push(self.region(name, &bare, &built_in)?);
            }
        }
        Ok(regions)
    }

    fn region(
        &self,
        name: &Located<String>,
        table: &RegionTable,
        built_in: &[RegionPlace],
    ) -> Result<RegionPlace, Diagnostic> {
        self.text(name, "a region's name")?;
        let degrees = |value: &Located<f64>, most: f64| {
            if (-most..=most).contains(&value.value) {
                return Ok(value.value);
            }
            let problem = format!("got {}, wanted degrees from -{most} to {most}", value.value);
            Err(self.document.blame(value, problem))
        };
        match (&table.lat, &table.lon) {
            (Some(lat), Some(lon)) => Ok(RegionPlace {
                name: name.value.clone(),
                position: LatLon { lat: degrees(lat, 90.0)?, lon: degrees(lon, 180.0)? },
            }),
            (None, None) => {
                let names: Vec<&str> = built_in.iter().map(|region| region.name.as_str()).collect();
                let found = self.known(name, "region", &names)?;
                let place = built_in.iter().find(|region| region.name == found);
                // `known` also finds other capitals; one spelling alone keeps names equal everywhere.
                place.filter(|region| region.name == name.value).cloned().ok_or_else(|| {
                    let problem = format!("got {:?}, wanted {found:?}", name.value);
                    self.document.blame(name, problem)
                })
            }
            (Some(one), None) | (None, Some(one)) => {
                Err(self.document.blame(one, "got one of lat and lon, wanted both or none"))
            }
        }
    }

    /// The built-in links, with the scenario's own instead where it gives some.
    fn links(&self, regions: &[RegionPlace]) -> Result<Vec<NamedLink>, Diagnostic> {
        let given = &self.table.network;
        let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
        let mut links: Vec<NamedLink> = data::links_among(&names)?.iter().map(in_nanos).collect();
        if let Some(rtt) = &given.in_region_rtt {
            links.retain(|link| link.from != link.to);
            let own = |name: &&str| !given.links.iter().any(|link| link.value.joins(name, name));
            links.extend(
                names
                    .iter()
                    .filter(|name| own(name))
                    .map(|name| named(name, name, Link::from_p50(rtt.value.0.as_ms()))),
            );
        }
        for (index, link) in given.links.iter().enumerate() {
            let LinkTable { from, to, rtt_p50, rtt_p95, .. } = &link.value;
            self.known(from, "region of this network", &names)?;
            self.known(to, "region of this network", &names)?;
            if given.links[..index]
                .iter()
                .any(|other| other.value.from == *from && other.value.to == *to)
            {
                let problem = format!(
                    "got {:?} to {:?} a second time, wanted each pair once",
                    from.value, to.value
                );
                return Err(self.document.blame(from, problem));
            }
            // A pair of the scenario's own replaces both directions of the built-in one.
            let own = |known: &NamedLink| {
                given.links[..index].iter().any(|other| other.value.joins(&known.from, &known.to))
            };
            links.retain(|known| own(known) || !link.value.joins(&known.from, &known.to));
            let p50 = rtt_p50.0.as_ms();
            links.push(named(
                &from.value,
                &to.value,
                match rtt_p95 {
                    Some(p95) => {
                        Link { rtt_p50_ms: p50, rtt_p95_ms: p95.0.as_ms(), p95_measured: true }
                    }
                    None => Link::from_p50(p50),
                },
            ));
        }
        Ok(links)
    }

    /// The pairs that are filled by distance, of which those that are missing are added to the links.
    fn fill(&self, regions: &[RegionPlace], links: &mut Vec<NamedLink>) -> Vec<(String, String)> {
        let given = &self.table.network;
        let told = given.links.iter().map(|link| &link.value).filter(|link| link.filled);
        let mut filled: Vec<(String, String)> =
            told.map(|link| (link.from.value.clone(), link.to.value.clone())).collect();
        if given.fill_missing.as_ref().map(|fill| fill.value) != Some(FillMissing::Distance) {
            return filled;
        }
        for (index, from) in regions.iter().enumerate() {
            for to in &regions[index + 1..] {
                let joins = |link: &NamedLink| {
                    let ends = (&link.from, &link.to);
                    ends == (&from.name, &to.name) || ends == (&to.name, &from.name)
                };
                if !links.iter().any(joins) {
                    let km = great_circle_km(from.position, to.position);
                    let fit = Link::from_p50(ClientModel::default().link(km).rtt_p50_ms);
                    links.push(in_nanos(&named(&from.name, &to.name, fit)));
                    filled.push((from.name.clone(), to.name.clone()));
                }
            }
        }
        filled
    }

    fn floor_share(&self) -> Result<f64, Diagnostic> {
        let Some(share) = &self.table.network.floor_share else {
            return Ok(Jitter::default().floor_fraction);
        };
        if share.value.0 >= 1.0 {
            return Err(self.document.blame(share, "got 1, wanted a number from 0 to below 1"));
        }
        Ok(share.value.0)
    }

    fn clients(&self) -> Result<(ClientModel, ClientsTable), Diagnostic> {
        let default = ClientModel::default();
        let given = self.table.network.clients.clone().unwrap_or_default().value;
        let base_rtt = match given.base_rtt {
            Some(rtt) => rtt,
            None => PositiveDuration(Nanos::from_ms(default.base_ms).unwrap_or(Nanos(1))),
        };
        let model = ClientModel {
            base_ms: base_rtt.0.as_ms(),
            ms_per_km: given.ms_per_km.map_or(default.ms_per_km, |slope| slope.0),
            p95_over_p50: given.p95_over_p50.map_or(default.p95_over_p50, |ratio| ratio.0),
            unknown: LatLon {
                lat: given.unknown_lat.unwrap_or(default.unknown.lat),
                lon: given.unknown_lon.unwrap_or(default.unknown.lon),
            },
        };
        let own_fit = given.base_rtt.is_some() || given.ms_per_km.is_some();
        let by = match given.by {
            Some(by) => by,
            None if own_fit => ClientsBy::Distance,
            None => ClientsBy::Cities,
        };
        let within_km = given.city_within_km.unwrap_or(NonNegative(CITY_WITHIN_KM));
        let table = ClientsTable {
            by: Some(by),
            city_within_km: (by == ClientsBy::Cities).then_some(within_km),
            base_rtt: Some(base_rtt),
            ms_per_km: Some(NonNegative(model.ms_per_km)),
            p95_over_p50: Some(Positive(model.p95_over_p50)),
            bandwidth: given.bandwidth,
            unknown_lat: Some(model.unknown.lat),
            unknown_lon: Some(model.unknown.lon),
        };
        Ok((model, table))
    }

    /// Puts an error of the network where it belongs: a missing link at a region that lacks it, a bad one at its own
    /// table.
    fn network_error(&self, error: &ModelError) -> Diagnostic {
        let given = &self.table.network;
        match error {
            ModelError::MissingLink { from, to } => {
                let problem = format!(
                    "got no round-trip time between {from:?} and {to:?}, wanted one for every pair of regions: \
                     add a [[network.links]] table, or let fill_missing = \"distance\" under [network] estimate it"
                );
                match self.place_of_region(to) {
                    Some(place) => self.document.blame(&place, problem),
                    None => self.document.error(0..0, problem),
                }
            }
            ModelError::Invalid { field, .. } => {
                let pair = |link: &&Located<LinkTable>| {
                    let ends =
                        format!("link `{}` to `{}`", link.value.from.value, link.value.to.value);
                    field.starts_with(&ends)
                };
                match (given.links.iter().find(pair), &given.in_region_rtt) {
                    (Some(link), _) => self.model_error(link, error),
                    (None, Some(rtt)) => self.model_error(rtt, error),
                    (None, None) => broken_data(error),
                }
            }
            other => broken_data(other),
        }
    }

    /// Where the scenario first names a region.
    fn place_of_region(&self, name: &str) -> Option<Located<String>> {
        let listed = self.table.network.regions.iter().flat_map(|regions| &regions.value);
        let listed = listed.map(|region| match region.value.name.span() {
            Some(_) => region.value.name.clone(),
            None => region.with(region.value.name.value.clone()),
        });
        let fleet = self.table.fleet.replicas.value.iter().map(|group| group.value.region.clone());
        let routers = self.table.router.regions().cloned();
        listed.chain(fleet).chain(routers).find(|place| place.value == name)
    }
}

impl LinkTable {
    /// Whether it is about this pair, in either direction.
    fn joins(&self, from: &str, to: &str) -> bool {
        let (a, b) = (self.from.value.as_str(), self.to.value.as_str());
        (a, b) == (from, to) || (a, b) == (to, from)
    }
}

fn named(from: &str, to: &str, link: Link) -> NamedLink {
    let Link { rtt_p50_ms, rtt_p95_ms, p95_measured } = link;
    NamedLink { from: from.to_owned(), to: to.to_owned(), rtt_p50_ms, rtt_p95_ms, p95_measured }
}

/// A built-in link in whole nanoseconds, and with the one ratio where no P95 is measured: as it would be read from a
/// scenario that spells it out.
fn in_nanos(link: &NamedLink) -> NamedLink {
    let whole = |ms: f64| Nanos::from_ms(ms).map_or(ms, Nanos::as_ms);
    let (p50, measured) = (whole(link.rtt_p50_ms), link.p95_measured);
    let p95 = if measured { whole(link.rtt_p95_ms) } else { p50 * MEDIAN_P95_RATIO };
    let link_in_nanos = Link { rtt_p50_ms: p50, rtt_p95_ms: p95, p95_measured: measured };
    named(&link.from, &link.to, link_in_nanos)
}

/// An error that no scenario can be blamed for.
fn broken_data(error: &ModelError) -> Diagnostic {
    Diagnostic::whole_file("data/network", error.to_string())
}

/// The table that spells a network out: every region with its position, every pair with its times.
fn explicit(network: &Network, jitter: Jitter, clients: ClientsTable) -> NetworkTable {
    let rtt = |ms: f64| PositiveDuration(Nanos::from_ms(ms).unwrap_or(Nanos(1)));
    let ids = || (0_u32..).map(gorgo_types::RegionId).zip(network.regions());
    let regions = network.regions().iter().map(|region| {
        Located::nowhere(RegionTable {
            name: region.name.clone().into(),
            lat: Some(region.position.lat.into()),
            lon: Some(region.position.lon.into()),
        })
    });
    let links = ids().flat_map(|(from, from_region)| {
        ids().map(move |(to, to_region)| {
            let link = network.link(from, to);
            Located::nowhere(LinkTable {
                from: from_region.name.clone().into(),
                to: to_region.name.clone().into(),
                rtt_p50: rtt(link.rtt_p50_ms),
                rtt_p95: link.p95_measured.then(|| rtt(link.rtt_p95_ms)),
                bandwidth: network.bandwidth(from, to).map(Bandwidth),
                filled: network.is_filled(from, to),
            })
        })
    });
    NetworkTable {
        regions: Some(regions.collect::<Vec<_>>().into()),
        links: links.collect(),
        fill_missing: None,
        in_region_rtt: None,
        spread_share: Some(Share(jitter.spread_share).into()),
        drift_share: Some(Share(jitter.drift_share).into()),
        drift_period: Some(PositiveDuration(jitter.drift_period)),
        floor_share: Some(Share(jitter.floor_fraction).into()),
        // Every link says its own.
        bandwidth: None,
        bytes_per_token: Some(NonNegative(network.payload().bytes_per_token)),
        bytes_per_request: Some(Bytes(network.payload().bytes_per_request)),
        connect: None,
        series: Vec::new(),
        clients: Some(clients.into()),
    }
}
