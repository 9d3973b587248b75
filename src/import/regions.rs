//! Which region a client goes to: the nearest one on the globe, as GORGO's geographic proxy had it.

use crate::error::ImportError;
use gorgo_model::network::{PlaceTable, great_circle_km};
use gorgo_types::LatLon;

/// Regions by name, with where they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Regions(Vec<(String, LatLon)>);

const WANTED: &str =
    "regions with degrees north and east, such as us-west=37.77,-122.42,frankfurt=50.11,8.68";

impl Regions {
    /// Reads `name=lat,lon,name=lat,lon,...`.
    ///
    /// # Errors
    /// Where that is not what it is, a position is off the globe, or a name comes twice.
    pub fn parse(text: &str) -> Result<Self, ImportError> {
        let refuse = |got: &str| ImportError::Option {
            option: "--regions",
            got: format!("`{got}`"),
            wanted: WANTED.to_owned(),
        };
        let parts: Vec<&str> = text.split(',').collect();
        let (pairs, rest) = parts.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(refuse(text));
        }
        let mut regions: Vec<(String, LatLon)> = Vec::new();
        for [named, lon] in pairs {
            let (name, lat) = named.split_once('=').ok_or_else(|| refuse(named))?;
            let name = name.trim();
            let position =
                position(lat, lon).ok_or_else(|| refuse(&format!("{name}={lat},{lon}")))?;
            if name.is_empty() || regions.iter().any(|(known, _)| known == name) {
                return Err(refuse(named));
            }
            regions.push((name.to_owned(), position));
        }
        Ok(Self(regions))
    }

    /// The name of the nearest region by great circle; the first one named where two are equally far.
    #[must_use]
    pub fn nearest(&self, from: LatLon) -> &str {
        let mut best: Option<(f64, &str)> = None;
        for (name, position) in &self.0 {
            let km = great_circle_km(from, *position);
            if best.is_none_or(|(nearest, _)| km < nearest) {
                best = Some((km, name));
            }
        }
        best.map_or("", |(_, name)| name)
    }
}

/// A position from two texts; none where it is off the globe or no number.
fn position(lat: &str, lon: &str) -> Option<LatLon> {
    let degrees = |text: &str, most: f64| {
        text.trim().parse().ok().filter(|value: &f64| value.is_finite() && value.abs() <= most)
    };
    Some(LatLon { lat: degrees(lat, 90.0)?, lon: degrees(lon, 180.0)? })
}

/// Reads `lat,lon`, as `option` has it.
///
/// # Errors
/// Where that is no position on the globe.
pub fn parse_position(option: &'static str, text: &str) -> Result<LatLon, ImportError> {
    text.split_once(',').and_then(|(lat, lon)| position(lat, lon)).ok_or_else(|| {
        ImportError::Option {
            option,
            got: format!("`{text}`"),
            wanted: "degrees north and east, such as 39.8283,-98.5795".to_owned(),
        }
    })
}

/// Where a place is: a state's name is looked up before the country's, as in GORGO's preprocessing.
pub(crate) fn locate(
    table: &PlaceTable,
    country: Option<&str>,
    state: Option<&str>,
) -> Option<LatLon> {
    state
        .and_then(|name| table.state(name))
        .or_else(|| country.and_then(|name| table.country(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_read_and_the_nearest_is_found() {
        let regions = Regions::parse("west=37.77,-122.42, europe = 50.11,8.68").unwrap();
        assert_eq!(regions.nearest(LatLon { lat: 48.0, lon: 2.0 }), "europe");
        assert_eq!(regions.nearest(LatLon { lat: 35.0, lon: 139.0 }), "west");
    }

    #[test]
    fn what_is_no_list_of_regions_is_refused_with_the_part_at_fault() {
        for (text, at_fault) in [
            ("", "``"),
            ("west", "`west`"),
            ("west=1", "`west=1`"),
            ("west=1,2,3", "`west=1,2,3`"),
            ("west=1,2,east,4", "`east`"),
            ("west=91,2", "`west=91,2`"),
            ("west=1,nan", "`west=1,nan`"),
            ("west=1,181", "`west=1,181`"),
            ("=1,2", "`=1`"),
            ("a=1,2,a=3,4", "`a=3`"),
        ] {
            let error = Regions::parse(text).unwrap_err().to_string();
            assert!(error.contains("--regions") && error.contains(at_fault), "{text}: {error}");
        }
        assert!(parse_position("--unknown-at", "1,2").is_ok());
        for text in ["", "1", "1,2,3", "inf,2", "-91,0"] {
            let error = parse_position("--unknown-at", text).unwrap_err().to_string();
            assert!(error.contains("--unknown-at"), "{error}");
        }
    }
}
