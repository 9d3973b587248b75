//! Measured round trips between cities, for clients that sit near one.
//!
//! A way from a client to a region counts as measured where one city is near the client, another near the region, and
//! the round trip between the two was measured: then it is that, and the distance fit otherwise. The table itself is
//! data (`data/network/cities.csv`); nothing here reads it.

use super::{check_position, great_circle_km, invalid};
use crate::ModelError;
use gorgo_types::LatLon;
use std::sync::Arc;

/// How near a city must be to stand for a place, km. An assumption: at 0.0147 ms for each km two such ways are 7 ms
/// at most, where the fit over the same cities is off by 70 ms (one standard deviation).
pub const CITY_WITHIN_KM: f64 = 250.0;

/// A city, and what was measured from it.
#[derive(Clone, Debug, PartialEq)]
pub struct City {
    /// Its name in English.
    pub name: String,
    /// Where it is.
    pub position: LatLon,
    /// Round trips to the cities before it in the table, in their order, ms.
    pub rtt_ms: Vec<Option<f64>>,
}

/// Cities and the round trips between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CityTable {
    /// Shared: a network is cloned, and the table is large.
    cities: Arc<[City]>,
    within_km: f64,
}

impl CityTable {
    /// A table of cities, each of which stands for what is within so many km of it.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] for a city off the globe, with more or fewer round trips than cities before it, for a
    /// round trip that is no positive number, or a distance below zero.
    pub fn new(cities: impl Into<Arc<[City]>>, within_km: f64) -> Result<Self, ModelError> {
        if !(within_km >= 0.0 && within_km.is_finite()) {
            return Err(invalid("clients: city_within_km", within_km, "zero or more"));
        }
        let cities = cities.into();
        for (index, city) in cities.iter().enumerate() {
            let what = format!("city `{}`", city.name);
            check_position(&what, city.position)?;
            if city.rtt_ms.len() != index {
                let wanted = format!("{index}: one for each city before it");
                return Err(invalid(&format!("{what}: round trips"), city.rtt_ms.len(), &wanted));
            }
            if let Some(ms) =
                city.rtt_ms.iter().flatten().find(|ms| !(**ms > 0.0 && **ms <= 60_000.0))
            {
                return Err(invalid(&format!("{what}: rtt"), ms, "above 0 and at most 60000"));
            }
        }
        Ok(Self { cities, within_km })
    }

    /// The measured round trip that is nearest to a pair of places, ms: that between the nearest city of each, where
    /// both are near enough, are not the same and were measured.
    #[must_use]
    pub fn rtt_ms(&self, a: LatLon, b: LatLon) -> Option<f64> {
        let (a, b) = (self.nearest(a)?, self.nearest(b)?);
        self.cities[a.max(b)].rtt_ms.get(a.min(b)).copied().flatten()
    }

    /// The nearest city of each of two places, where both are near enough.
    pub(super) fn names(&self, a: LatLon, b: LatLon) -> Option<(&str, &str)> {
        let (a, b) = (self.nearest(a)?, self.nearest(b)?);
        Some((&self.cities[a].name, &self.cities[b].name))
    }

    /// The nearest city that is near enough; the first of several.
    fn nearest(&self, place: LatLon) -> Option<usize> {
        let far = |city: &City| great_circle_km(place, city.position);
        let all = self.cities.iter().map(far).enumerate();
        let nearest = all.min_by(|(_, a), (_, b)| a.total_cmp(b));
        nearest.filter(|(_, km)| *km <= self.within_km).map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn city(name: &str, lat: f64, lon: f64, rtt_ms: &[Option<f64>]) -> City {
        City { name: name.to_owned(), position: LatLon { lat, lon }, rtt_ms: rtt_ms.to_vec() }
    }

    #[test]
    fn only_what_is_near_at_both_ends_and_measured_counts() {
        let cities = vec![
            city("a", 0.0, 0.0, &[]),
            city("b", 0.0, 40.0, &[Some(90.0)]),
            city("c", 40.0, 0.0, &[None, Some(120.0)]),
        ];
        let table = CityTable::new(cities, 250.0).unwrap();
        let at = |lat, lon| LatLon { lat, lon };
        assert_eq!(table.rtt_ms(at(1.0, 1.0), at(0.0, 41.0)), Some(90.0));
        assert_eq!(table.rtt_ms(at(0.0, 41.0), at(1.0, 1.0)), Some(90.0));
        assert_eq!(table.rtt_ms(at(40.0, 1.0), at(0.0, 41.0)), Some(120.0));
        // Not measured; too far from any; the same city at both ends.
        assert_eq!(table.rtt_ms(at(40.0, 1.0), at(0.0, 0.0)), None);
        assert_eq!(table.rtt_ms(at(0.0, 3.0), at(0.0, 41.0)), None);
        assert_eq!(table.rtt_ms(at(0.5, 0.5), at(0.0, 0.0)), None);
    }

    #[test]
    fn tables_that_make_no_sense_are_refused() {
        for (cities, within) in [
            (vec![city("a", 91.0, 0.0, &[])], 1.0),
            (vec![city("a", 0.0, 0.0, &[Some(1.0)])], 1.0),
            (vec![city("a", 0.0, 0.0, &[]), city("b", 1.0, 0.0, &[Some(-1.0)])], 1.0),
            (vec![city("a", 0.0, 0.0, &[])], f64::NAN),
        ] {
            assert!(CityTable::new(cities.clone(), within).is_err(), "{cities:?} passed");
        }
    }
}
