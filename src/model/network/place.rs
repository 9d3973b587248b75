//! Where clients are, and how far that is.
//!
//! Countries and states by name, great-circle distance, and the rule that turns a distance into a round trip. The
//! table itself is data (`data/network/places.csv`); nothing here reads it.

use super::{Link, check_link, check_position, invalid};
use crate::ModelError;
use gorgo_types::LatLon;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a place is. A state and a country may share a name: Georgia.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaceKind {
    /// A country.
    Country,
    /// A state or province.
    State,
}

/// A named place: one row of `data/network/places.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// What it is.
    pub kind: PlaceKind,
    /// Its name in English.
    pub name: String,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
}

/// Countries and states by name, whatever the case of the letters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlaceTable(BTreeMap<(PlaceKind, String), LatLon>);

impl PlaceTable {
    /// A table of places.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] for a place off the globe, without a name, or given twice.
    pub fn new(places: &[Place]) -> Result<Self, ModelError> {
        let mut table = BTreeMap::new();
        for place in places {
            let position = LatLon { lat: place.lat, lon: place.lon };
            check_position(&format!("place `{}`", place.name), position)?;
            if place.name.trim().is_empty() {
                return Err(invalid("place", "an empty name", "a name"));
            }
            if table.insert((place.kind, key(&place.name)), position).is_some() {
                return Err(invalid("place", &place.name, "each place once"));
            }
        }
        Ok(Self(table))
    }

    /// Where a state is.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<LatLon> {
        self.0.get(&(PlaceKind::State, key(name))).copied()
    }

    /// Where a country is.
    #[must_use]
    pub fn country(&self, name: &str) -> Option<LatLon> {
        self.0.get(&(PlaceKind::Country, key(name))).copied()
    }

    /// Number of places.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it knows no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The round trip of a client that is known by its place: `base_ms + ms_per_km · great circle`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientModel {
    /// RTT at no distance, ms. Default 20.2: the fit over Azure's region pairs (R² 0.82), which happens to leave
    /// room for an access network; cities (`WonderNetwork` 2018) give 27.8.
    pub base_ms: f64,
    /// RTT for each kilometre, ms. Default 0.0147, from the same fit; cities give 0.0160.
    pub ms_per_km: f64,
    /// P95/P50 of a client's round trips. Default 1.2, an assumption: what a wide link between regions has (the
    /// 90th percentile over Azure's pairs).
    pub p95_over_p50: f64,
    /// Where a client is of whom nothing is known. Default 39.8283, −98.5795, the centre of the United States, as
    /// in GORGO's own geographic proxy.
    pub unknown: LatLon,
}

impl Default for ClientModel {
    fn default() -> Self {
        Self {
            base_ms: 20.2,
            ms_per_km: 0.0147,
            p95_over_p50: 1.2,
            unknown: LatLon { lat: 39.8283, lon: -98.5795 },
        }
    }
}

/// Half the equator, km: nothing is farther apart.
const FARTHEST_KM: f64 = 20_038.0;

impl ClientModel {
    /// # Errors
    /// [`ModelError::Invalid`] for a rule that gives no valid link at some distance.
    pub fn validate(&self) -> Result<(), ModelError> {
        check_position("clients: unknown", self.unknown)?;
        if !(self.ms_per_km >= 0.0 && self.ms_per_km.is_finite()) {
            return Err(invalid("clients: ms_per_km", self.ms_per_km, "zero or more"));
        }
        check_link("clients: base_ms", &self.link(0.0))?;
        check_link("clients: ms_per_km at 20038 km", &self.link(FARTHEST_KM))
    }

    /// The link to a place so far away.
    #[must_use]
    pub fn link(&self, km: f64) -> Link {
        self.spread(self.base_ms + self.ms_per_km * km)
    }

    /// The link whose median this is.
    pub(super) fn spread(&self, rtt_p50_ms: f64) -> Link {
        Link { rtt_p50_ms, rtt_p95_ms: rtt_p50_ms * self.p95_over_p50, p95_measured: false }
    }
}

/// Mean radius of the Earth, km (IUGG).
const EARTH_KM: f64 = 6_371.008_8;

/// Great-circle distance in km, by the haversine formula, in `libm` alone.
#[must_use]
pub fn great_circle_km(a: LatLon, b: LatLon) -> f64 {
    let half_sine_squared = |degrees: f64| {
        let sine = libm::sin(degrees.to_radians() / 2.0);
        sine * sine
    };
    let cosines = libm::cos(a.lat.to_radians()) * libm::cos(b.lat.to_radians());
    let h = half_sine_squared(b.lat - a.lat) + cosines * half_sine_squared(b.lon - a.lon);
    2.0 * EARTH_KM * libm::asin(libm::sqrt(h.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat: f64, lon: f64) -> LatLon {
        LatLon { lat, lon }
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let (london, new_york) = (at(51.5074, -0.1278), at(40.7128, -74.0060));
        assert!((great_circle_km(london, new_york) - 5_570.2).abs() < 1.0);
        assert!((great_circle_km(at(0.0, 0.0), at(0.0, 180.0)) - 20_015.1).abs() < 0.1);
        assert!((great_circle_km(at(0.0, 179.0), at(0.0, -179.0)) - 222.4).abs() < 0.1);
        assert_eq!(great_circle_km(london, london), 0.0);
    }

    #[test]
    fn a_state_is_no_country() {
        let place = |kind, name: &str| Place { kind, name: name.to_owned(), lat: 1.0, lon: 2.0 };
        let georgia = place(PlaceKind::State, "Georgia");
        let table = PlaceTable::new(&[georgia.clone(), place(PlaceKind::Country, "Peru")]).unwrap();
        assert!(table.state(" georgia ").is_some());
        assert!(table.country("Georgia").is_none());
        assert!(table.country("PERU").is_some());
        assert_eq!(table.len(), 2);
        let twice = PlaceTable::new(&[georgia.clone(), georgia]).unwrap_err().to_string();
        assert!(twice.contains("Georgia") && twice.contains("once"), "{twice}");
        let off = Place { lat: f64::NAN, ..place(PlaceKind::Country, "Nowhere") };
        assert!(PlaceTable::new(&[off]).is_err());
    }

    #[test]
    fn rules_for_clients_that_make_no_sense_are_refused() {
        assert_eq!(ClientModel::default().validate(), Ok(()));
        let rule = ClientModel::default();
        for bad in [
            ClientModel { base_ms: 0.0, ..rule },
            ClientModel { base_ms: f64::NAN, ..rule },
            ClientModel { ms_per_km: -0.01, ..rule },
            ClientModel { ms_per_km: f64::INFINITY, ..rule },
            ClientModel { p95_over_p50: 0.9, ..rule },
            ClientModel { unknown: at(91.0, 0.0), ..rule },
        ] {
            assert!(bad.validate().is_err(), "{bad:?} passed");
        }
    }
}
