//! The built-in networks: regions, round trips between them, cities, countries and states.
//!
//! A provider's table is read only when one of its regions is asked for, and of it only the rows that are asked for:
//! starting the program must not cost more with every network that the world measures. What the numbers mean is in
//! `src/model/network.rs`, where they come from in `data/README.md`.

use super::read_csv;
use gorgo_config::{Diagnostic, Source};
use gorgo_model::network::City;
use gorgo_model::{Link, NamedLink, Place, RegionPlace};
use gorgo_types::LatLon;
use serde::Deserialize;
use std::sync::{Arc, OnceLock};

const GORGO_V2: (&str, &str) =
    ("data/network/gorgo_v2.csv", include_str!("../../../data/network/gorgo_v2.csv"));

/// The round-trip times of `data/network`, as (file, text): matrices of a provider, but for the list of the last one.
/// No region is in two of them.
pub const LINK_FILES: &[(&str, &str)] = &[
    ("data/network/aws_gcp.csv", include_str!("../../../data/network/aws_gcp.csv")),
    ("data/network/azure.csv", include_str!("../../../data/network/azure.csv")),
    GORGO_V2,
    ("data/network/ibm.csv", include_str!("../../../data/network/ibm.csv")),
];

const REGIONS_FILE: (&str, &str) =
    ("data/network/regions.csv", include_str!("../../../data/network/regions.csv"));

const PLACES_FILE: (&str, &str) =
    ("data/network/places.csv", include_str!("../../../data/network/places.csv"));

const CITIES_FILE: (&str, &str) =
    ("data/network/cities.csv", include_str!("../../../data/network/cities.csv"));

/// One row of `data/network/regions.csv`; its further columns say where it comes from.
#[derive(Debug, Deserialize)]
struct RegionRow {
    name: String,
    lat: f64,
    lon: f64,
}

/// All built-in regions with their positions.
///
/// # Errors
/// Where the file is malformed, with the line and field.
pub fn regions() -> Result<Vec<RegionPlace>, Diagnostic> {
    let rows: Vec<RegionRow> = read_csv(REGIONS_FILE.0, REGIONS_FILE.1)?;
    let place = |row: RegionRow| RegionPlace {
        name: row.name,
        position: LatLon { lat: row.lat, lon: row.lon },
    };
    Ok(rows.into_iter().map(place).collect())
}

/// All built-in round-trip times.
///
/// # Errors
/// Where a file is malformed, with the line and field.
pub fn links() -> Result<Vec<NamedLink>, Diagnostic> {
    let mut all = Vec::new();
    for (file, text) in LINK_FILES {
        all.extend(read_links(file, text, |_| true)?);
    }
    Ok(all)
}

/// The built-in round-trip times between these regions; names that no file has are passed over.
///
/// # Errors
/// Where a file that has one of them is malformed, with the line and field.
pub fn links_among(names: &[&str]) -> Result<Vec<NamedLink>, Diagnostic> {
    let mut all = Vec::new();
    for (file, text) in LINK_FILES {
        if names.iter().any(|name| file_of(name) == *file) {
            all.extend(read_links(file, text, |name| names.contains(&name))?);
        }
    }
    Ok(all)
}

/// The file that a region's name belongs in, by what stands before its colon.
fn file_of(name: &str) -> &'static str {
    match name.split_once(':').map(|(provider, _)| provider) {
        Some("aws" | "gcp") => "data/network/aws_gcp.csv",
        Some("azure") => "data/network/azure.csv",
        Some("ibm") => "data/network/ibm.csv",
        _ => GORGO_V2.0,
    }
}

/// The links between wanted regions from a CSV text: a list with a row per link (`from,to,...`), or a matrix with a
/// row per region that starts the round trip and a column per region that answers, `P50` or `P50/P95` in ms in its
/// cells, which are empty where nothing is measured.
///
/// # Errors
/// Where a row is malformed, with the line and field.
pub fn read_links(
    file: &str,
    text: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<NamedLink>, Diagnostic> {
    if text.starts_with("from,to,") {
        let mut all: Vec<NamedLink> = read_csv(file, text)?;
        all.retain(|link| wanted(&link.from) && wanted(&link.to));
        return Ok(all);
    }
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let columns: Vec<bool> = header.iter().map(|name| wanted(name)).collect();
    let mut all = Vec::new();
    for line in lines {
        let start = line.as_ptr().addr() - text.as_ptr().addr();
        let wrong = |field: &str, problem: String| {
            Source::new(file, text).error(start..start + line.len(), field, problem)
        };
        let from = line.split(',').next().unwrap_or_default();
        if !wanted(from) {
            continue;
        }
        let cells = line.split(',').count();
        if cells != header.len() {
            return Err(wrong("row", format!("got {cells} fields, wanted {}", header.len())));
        }
        for ((to, cell), _) in header
            .iter()
            .zip(line.split(','))
            .zip(&columns)
            .skip(1)
            .filter(|((_, cell), wanted)| **wanted && !cell.is_empty())
        {
            let link = read_cell(cell).ok_or_else(|| {
                wrong(to, format!("got {cell:?}, wanted ms as P50 or P50/P95, or nothing"))
            })?;
            let Link { rtt_p50_ms, rtt_p95_ms, p95_measured } = link;
            let (from, to) = (from.to_owned(), (*to).to_owned());
            all.push(NamedLink { from, to, rtt_p50_ms, rtt_p95_ms, p95_measured });
        }
    }
    Ok(all)
}

fn read_cell(cell: &str) -> Option<Link> {
    let ms = |text: &str| text.parse::<f64>().ok().filter(|ms| *ms > 0.0 && ms.is_finite());
    match cell.split_once('/') {
        None => ms(cell).map(Link::from_p50),
        Some((p50, p95)) => {
            Some(Link { rtt_p50_ms: ms(p50)?, rtt_p95_ms: ms(p95)?, p95_measured: true })
        }
    }
}

/// All built-in countries and states.
///
/// # Errors
/// Where the file is malformed, with the line and field.
pub fn places() -> Result<Vec<Place>, Diagnostic> {
    read_csv(PLACES_FILE.0, PLACES_FILE.1)
}

/// One row of `data/network/cities.csv`.
#[derive(Debug, Deserialize)]
struct CityRow {
    city: String,
    lat: f64,
    lon: f64,
    rtt_ms_to_the_cities_above: String,
}

/// All built-in cities, each with its round trips to those before it: 28,920 pairs, read once in a process.
///
/// # Errors
/// Where the file is malformed, with the line and field.
pub fn cities() -> Result<Arc<[City]>, Diagnostic> {
    static CITIES: OnceLock<Result<Arc<[City]>, Diagnostic>> = OnceLock::new();
    let read = || read_cities(CITIES_FILE.0, CITIES_FILE.1).map(Arc::from);
    CITIES.get_or_init(read).clone()
}

/// The cities of a CSV text; a round trip that was not measured is a dash.
///
/// # Errors
/// Where a row is malformed, with the city and field.
pub fn read_cities(file: &str, text: &str) -> Result<Vec<City>, Diagnostic> {
    let city = |row: CityRow| {
        let ms = |cell: &str| match cell {
            "-" => Ok(None),
            _ => cell.parse::<f64>().map(Some).map_err(|_| {
                let place = format!("city {:?}: rtt_ms_to_the_cities_above", row.city);
                Diagnostic::whole_file(file, format!("{place}: got {cell:?}, wanted ms or -"))
            }),
        };
        let cells = row.rtt_ms_to_the_cities_above.split_whitespace();
        let rtt_ms = cells.map(ms).collect::<Result<_, _>>()?;
        let position = LatLon { lat: row.lat, lon: row.lon };
        Ok(City { name: row.city, position, rtt_ms })
    };
    read_csv(file, text)?.into_iter().map(city).collect()
}
