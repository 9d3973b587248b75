//! The network: round trips between regions and between clients and regions.
//!
//! A matrix of measured links, checked when it is built, and one draw of an RTT per request and pair. Published
//! P95s are spreads over 30 days, not packet jitter; how they are split is [`Jitter`]. Reading `data/network/*.csv` is
//! the caller's. Read `network/spread.rs` next for the shape of a draw, `network/moving.rs` for what changes with time,
//! `network/place.rs` for clients, `network/connect.rs` and `network/payload.rs` for what a request pays beside the RTT.

mod changes;
mod city;
mod connect;
mod drift;
mod moving;
mod payload;
mod place;
mod series;
mod spread;
#[cfg(test)]
mod tests;

pub use changes::{Cut, Effect, Links, RttChange};
pub use city::{CITY_WITHIN_KM, City, CityTable};
pub use connect::{ClientConnections, Connect, Pool, ProbeConnections};
pub use payload::Payload;
pub use place::{ClientModel, Place, PlaceKind, PlaceTable, great_circle_km};
pub use series::{Interpolation, Sample, SeriesError, Traffic, check_samples};
pub use spread::Jitter;

use crate::ModelError;
use gorgo_random::{Draw, Key};
use gorgo_types::{LatLon, Nanos, Origin, RegionId};
use moving::Moving;
use payload::Bandwidths;
use serde::{Deserialize, Serialize};
use spread::{Quantiles, Spread};
use std::collections::{BTreeMap, BTreeSet};

/// RTT inside a region, ms, where nothing is measured. An assumption: Azure promises less than 2 ms between the
/// zones of a region (learn.microsoft.com, "What are availability zones?").
pub const IN_REGION_RTT_MS: f64 = 1.0;

/// P95/P50 where no P95 is measured: the median of 1,166 pairs of Azure regions over the 30 days to 2026-07-30
/// (azure-docs, network latency statistics).
pub const MEDIAN_P95_RATIO: f64 = 1.06;

/// The longest RTT that is believed: a minute.
const LONGEST_RTT_MS: f64 = 60_000.0;

/// Above this, P95/P50 is more likely a wrong unit than a network.
const LARGEST_P95_RATIO: f64 = 20.0;

/// A region and where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionPlace {
    /// Its name, for example `azure:eastus`.
    pub name: String,
    /// Where it is; only legs of clients that are known by their place need it.
    pub position: LatLon,
}

/// What is known of the round trip between two regions, ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Median.
    pub rtt_p50_ms: f64,
    /// 95th percentile: measured, or the median by a ratio.
    pub rtt_p95_ms: f64,
    /// Whether the 95th percentile is measured.
    pub p95_measured: bool,
}

impl Link {
    /// A link of which only the median is known; its P95 is [`MEDIAN_P95_RATIO`] times that.
    #[must_use]
    pub fn from_p50(rtt_p50_ms: f64) -> Self {
        Self { rtt_p50_ms, rtt_p95_ms: rtt_p50_ms * MEDIAN_P95_RATIO, p95_measured: false }
    }
}

/// A link with its ends: one row of `data/network/*.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedLink {
    /// Region that starts the round trip.
    pub from: String,
    /// Region that answers.
    pub to: String,
    /// Median, ms.
    pub rtt_p50_ms: f64,
    /// 95th percentile, ms.
    pub rtt_p95_ms: f64,
    /// Whether the 95th percentile is measured.
    pub p95_measured: bool,
}

/// The way from a client to a region, resolved once for an origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientLeg {
    /// Median RTT.
    pub median: Nanos,
    /// How the origin was resolved: `matrix`, `distance from position`, `distance from state`,
    /// `distance from country`, the same with `cities near` for `distance from`, or `unknown origin`.
    pub how: &'static str,
    spread: Spread,
    /// What its drift is keyed by.
    path: u64,
}

/// Regions, the links between all of them, and the rule for clients.
#[derive(Clone, Debug)]
pub struct Network {
    regions: Vec<RegionPlace>,
    by_name: BTreeMap<String, RegionId>,
    /// Row after row: from, to.
    links: Vec<Link>,
    spreads: Vec<Spread>,
    quantiles: Quantiles,
    jitter: Jitter,
    clients: ClientModel,
    places: PlaceTable,
    cities: CityTable,
    /// Pairs whose time is the distance fit's, the smaller id first.
    filled: BTreeSet<(RegionId, RegionId)>,
    /// What changes with time; none where nothing does.
    moving: Option<Box<Moving>>,
    payload: Payload,
    /// None where every link carries anything at once.
    bandwidths: Option<Box<Bandwidths>>,
}

impl Network {
    /// A network over `regions`, in their order. A link that is given in one direction only serves both; the one of
    /// a region with itself may be left out ([`IN_REGION_RTT_MS`]). Links between other regions are ignored.
    ///
    /// # Errors
    /// [`ModelError::MissingLink`] for a pair without a link; [`ModelError::Invalid`] for a median that is no
    /// positive number, a P95 below its median, a pair given twice, a region given twice or placed off the globe.
    pub fn new(
        regions: Vec<RegionPlace>,
        links: &[NamedLink],
        jitter: Jitter,
    ) -> Result<Self, ModelError> {
        jitter.validate()?;
        let mut by_name = BTreeMap::new();
        for (index, region) in (0_u32..).zip(&regions) {
            check_position(&format!("region `{}`", region.name), region.position)?;
            if by_name.insert(region.name.clone(), RegionId(index)).is_some() {
                return Err(invalid("regions", &region.name, "each region once"));
            }
        }
        if regions.is_empty() {
            return Err(invalid("regions", "none", "at least one"));
        }
        let links = matrix(&regions, &by_name, links)?;
        let spreads = links.iter().map(|link| Spread::new(link, jitter)).collect();
        let (clients, places) = (ClientModel::default(), PlaceTable::default());
        let quantiles = Quantiles::new();
        Ok(Self {
            regions,
            by_name,
            links,
            spreads,
            quantiles,
            jitter,
            clients,
            places,
            cities: CityTable::default(),
            filled: BTreeSet::new(),
            moving: Moving::new(jitter, Key::new(0)),
            payload: Payload::default(),
            bandwidths: None,
        })
    }

    /// The same network, whose drift is that of this seed.
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        if let Some(moving) = &mut self.moving {
            moving.set_key(self.jitter, key);
        }
        self
    }

    /// The same network, which knows where these countries and states are.
    #[must_use]
    pub fn with_places(mut self, places: PlaceTable) -> Self {
        self.places = places;
        self
    }

    /// The same network, which knows that the times of these pairs are estimates from distance and not measured.
    /// Names that it does not know are passed over.
    #[must_use]
    pub fn with_filled(mut self, pairs: &[(String, String)]) -> Self {
        for (from, to) in pairs {
            if let (Some(&from), Some(&to)) = (self.by_name.get(from), self.by_name.get(to)) {
                self.filled.insert((from.min(to), from.max(to)));
            }
        }
        self
    }

    /// Whether the time of this pair is an estimate from distance.
    #[must_use]
    pub fn is_filled(&self, from: RegionId, to: RegionId) -> bool {
        self.filled.contains(&(from.min(to), from.max(to)))
    }

    /// What a reader of results ought to know of the network: which times were not measured.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let (from, to) = self.filled.first()?;
        let name = |id: &RegionId| &self.regions[id.index()].name;
        let (first, n, of) = ((name(from), name(to)), self.filled.len(), self.regions.len());
        Some(format!(
            "the round trips of {n} of {} pairs of regions are estimated from their distance, not measured: {} to {}{}",
            of * of.saturating_sub(1) / 2,
            first.0,
            first.1,
            if n > 1 { " and others" } else { "" }
        ))
    }

    /// The same network, in which clients near a city of this table take its measured round trips.
    #[must_use]
    pub fn with_cities(mut self, cities: CityTable) -> Self {
        self.cities = cities;
        self
    }

    /// The same network with another rule for clients.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] for a rule that could give an RTT of zero or less, or a P95 below the median.
    pub fn with_clients(mut self, clients: ClientModel) -> Result<Self, ModelError> {
        clients.validate()?;
        self.clients = clients;
        Ok(self)
    }

    /// How measured spreads are split.
    #[must_use]
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// The regions, in the order of their ids.
    #[must_use]
    pub fn regions(&self) -> &[RegionPlace] {
        &self.regions
    }

    /// The id of a region.
    ///
    /// # Errors
    /// [`ModelError::UnknownPlace`], which lists the known ones.
    pub fn region(&self, name: &str) -> Result<RegionId, ModelError> {
        self.by_name.get(name).copied().ok_or_else(|| ModelError::UnknownPlace {
            kind: "region",
            value: name.to_owned(),
            wanted: format!("one of {}", self.known_regions()),
        })
    }

    fn known_regions(&self) -> String {
        self.by_name.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    /// What is known of the round trip `from` starts to `to`.
    #[must_use]
    pub fn link(&self, from: RegionId, to: RegionId) -> &Link {
        &self.links[self.index(from, to)]
    }

    /// The RTT that this draw stands for in a network in which nothing changes with time, at least a nanosecond. Over
    /// many draws, median and P95 are the link's (with a [`Jitter::spread_share`] of 1).
    #[must_use]
    pub fn rtt(&self, from: RegionId, to: RegionId, draw: Draw) -> Nanos {
        self.spreads[self.index(from, to)].draw(&self.quantiles, draw)
    }

    /// The median RTT.
    #[must_use]
    pub fn median_rtt(&self, from: RegionId, to: RegionId) -> Nanos {
        self.spreads[self.index(from, to)].median()
    }

    fn index(&self, from: RegionId, to: RegionId) -> usize {
        from.index() * self.regions.len() + to.index()
    }

    /// The way from an origin to a region, by the most exact thing that is known of the origin: a region's name
    /// (the client sits inside it: the matrix), else its position, state or country (the cities near it and
    /// the region where [`Network::with_cities`] gave a measured pair, else distance), else the [`ClientModel`]'s
    /// place for the unknown. A state or country that no table knows counts as not given.
    ///
    /// # Errors
    /// [`ModelError::UnknownPlace`] for a region that is not in the network, [`ModelError::Invalid`] for a position
    /// off the globe.
    pub fn client_leg(&self, origin: &Origin, to: RegionId) -> Result<ClientLeg, ModelError> {
        if let Some(name) = &origin.region {
            let spread = self.spreads[self.index(self.region(name)?, to)];
            return Ok(ClientLeg { median: spread.median(), how: "matrix", spread, path: 0 });
        }
        if let Some(position) = origin.position {
            check_position("origin", position)?;
        }
        let (place, by_distance, by_cities) = self.place_of(origin);
        let region = self.regions[to.index()].position;
        // Where a client of whom nothing is known sits is an assumption, and no measurement makes it better.
        let known = by_cities != by_distance;
        let (link, how) = match self.cities.rtt_ms(place, region).filter(|_| known) {
            Some(rtt_p50_ms) => (self.clients.spread(rtt_p50_ms), by_cities),
            None => (self.clients.link(great_circle_km(place, region)), by_distance),
        };
        let spread = Spread::new(&link, self.jitter);
        Ok(ClientLeg { median: spread.median(), how, spread, path: 0 })
    }

    /// Where an origin that names no region is taken to be, and how that is said where its leg is had by distance and
    /// where by cities.
    #[must_use]
    pub fn place_of(&self, origin: &Origin) -> (LatLon, &'static str, &'static str) {
        let state = || origin.state.as_deref().and_then(|name| self.places.state(name));
        let country = || origin.country.as_deref().and_then(|name| self.places.country(name));
        if let Some(position) = origin.position {
            (position, "distance from position", "cities near position")
        } else if let Some(place) = state() {
            (place, "distance from state", "cities near state")
        } else if let Some(place) = country() {
            (place, "distance from country", "cities near country")
        } else {
            (self.clients.unknown, "unknown origin", "unknown origin")
        }
    }

    /// The cities whose measured round trip stands for that between two places, by name, where there are such.
    #[must_use]
    pub fn cities_between(&self, a: LatLon, b: LatLon) -> Option<(&str, &str)> {
        self.cities.rtt_ms(a, b)?;
        self.cities.names(a, b)
    }

    /// How a leg was had, with the cities whose round trip it is where it is measured between such.
    #[must_use]
    pub fn leg_in_words(&self, origin: &Origin, to: RegionId, leg: &ClientLeg) -> String {
        let (place, by_distance, by_cities) = self.place_of(origin);
        let measured = leg.how == by_cities && by_cities != by_distance;
        match self.cities_between(place, self.regions[to.index()].position) {
            Some((near, far)) if measured && origin.region.is_none() => {
                format!("{}: {near} to {far}", leg.how)
            }
            _ => leg.how.to_owned(),
        }
    }

    /// The RTT of a client's leg that this draw stands for in a network in which nothing changes with time.
    #[must_use]
    pub fn client_rtt(&self, leg: &ClientLeg, draw: Draw) -> Nanos {
        leg.spread.draw(&self.quantiles, draw)
    }
}

impl ClientLeg {
    /// The same leg as that of the origin with this number: two origins drift independently.
    #[must_use]
    pub const fn of_origin(mut self, number: u32) -> Self {
        self.path = moving::client_path(number);
        self
    }
}

/// The way out and the way back of a round trip: half each, and the odd nanosecond goes to the way back.
#[must_use]
pub const fn halves(rtt: Nanos) -> (Nanos, Nanos) {
    (Nanos(rtt.0 / 2), Nanos(rtt.0 - rtt.0 / 2))
}

/// All pairs, in the order of the regions.
fn matrix(
    regions: &[RegionPlace],
    by_name: &BTreeMap<String, RegionId>,
    links: &[NamedLink],
) -> Result<Vec<Link>, ModelError> {
    let n = regions.len();
    let mut given: Vec<Option<Link>> = vec![None; n * n];
    for named in links {
        let (Some(from), Some(to)) = (by_name.get(&named.from), by_name.get(&named.to)) else {
            continue;
        };
        let pair = format!("link `{}` to `{}`", named.from, named.to);
        let link = named.link();
        check_link(&pair, &link)?;
        let cell = &mut given[from.index() * n + to.index()];
        if cell.replace(link).is_some() {
            return Err(invalid(&pair, "given twice", "each pair once"));
        }
    }
    let mut all = Vec::with_capacity(n * n);
    for (i, from) in regions.iter().enumerate() {
        for (j, to) in regions.iter().enumerate() {
            let in_region = (i == j).then(|| Link::from_p50(IN_REGION_RTT_MS));
            let link = given[i * n + j].or(given[j * n + i]).or(in_region);
            all.push(link.ok_or_else(|| ModelError::MissingLink {
                from: from.name.clone(),
                to: to.name.clone(),
            })?);
        }
    }
    Ok(all)
}

impl NamedLink {
    /// The link without its ends.
    #[must_use]
    pub fn link(&self) -> Link {
        let &Self { rtt_p50_ms, rtt_p95_ms, p95_measured, .. } = self;
        Link { rtt_p50_ms, rtt_p95_ms, p95_measured }
    }
}

fn check_link(pair: &str, link: &Link) -> Result<(), ModelError> {
    let (p50, p95) = (link.rtt_p50_ms, link.rtt_p95_ms);
    if !(p50 > 0.0 && p50 <= LONGEST_RTT_MS) {
        return Err(invalid(&format!("{pair}: rtt_p50_ms"), p50, "above 0 and at most 60000"));
    }
    if p95.is_nan() || p95 < p50 || p95 > p50 * LARGEST_P95_RATIO {
        let wanted = format!("from rtt_p50_ms = {p50} to {LARGEST_P95_RATIO} times that");
        return Err(invalid(&format!("{pair}: rtt_p95_ms"), p95, &wanted));
    }
    Ok(())
}

fn check_position(of: &str, position: LatLon) -> Result<(), ModelError> {
    for (field, value, most) in [("lat", position.lat, 90.0), ("lon", position.lon, 180.0)] {
        if !(-most..=most).contains(&value) {
            return Err(invalid(&format!("{of}: {field}"), value, &format!("-{most} to {most}")));
        }
    }
    Ok(())
}

fn invalid(field: &str, value: impl ToString, wanted: &str) -> ModelError {
    ModelError::Invalid {
        part: "network".to_owned(),
        field: field.to_owned(),
        value: value.to_string(),
        wanted: wanted.to_owned(),
    }
}
