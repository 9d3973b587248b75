//! The committed network tables: complete, sane, and the numbers of their sources where those are at hand.

use gorgo_model::{
    Jitter, MEDIAN_P95_RATIO, NamedLink, Network, Place, PlaceKind, PlaceTable, RegionPlace,
};
use gorgo_types::{LatLon, Origin, RegionId};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A row of `regions.csv`.
#[derive(Deserialize)]
struct RegionRow {
    name: String,
    lat: f64,
    lon: f64,
    source: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rows<T: for<'a> Deserialize<'a>>(path: &Path) -> Vec<T> {
    let mut reader =
        csv::Reader::from_path(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let rows = reader.deserialize().collect::<Result<_, _>>();
    rows.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn data<T: for<'a> Deserialize<'a>>(name: &str) -> Vec<T> {
    rows(&root().join("data/network").join(name))
}

/// The regions that a table of links names.
fn regions_of(links: &[NamedLink]) -> Vec<RegionPlace> {
    let known: Vec<RegionRow> = data("regions.csv");
    let named = |name: &str| links.iter().any(|link| link.from == name);
    let place = |row: RegionRow| {
        assert!(!row.source.is_empty());
        RegionPlace { name: row.name, position: LatLon { lat: row.lat, lon: row.lon } }
    };
    known.into_iter().filter(|row| named(&row.name)).map(place).collect()
}

fn network(file: &str) -> (Network, Vec<NamedLink>) {
    let links: Vec<NamedLink> = data(file);
    let places: Vec<Place> = data("places.csv");
    let network = Network::new(regions_of(&links), &links, Jitter::default());
    let network = network.unwrap_or_else(|e| panic!("{file}: {e}"));
    (network.with_places(PlaceTable::new(&places).unwrap()), links)
}

#[test]
fn every_pair_is_there_in_both_directions() {
    for (file, regions) in [("azure.csv", 22), ("gorgo_v2.csv", 3)] {
        let (network, links) = network(file);
        assert_eq!(network.regions().len(), regions, "{file}");
        assert_eq!(links.len(), regions * regions, "{file}");
        for link in &links {
            let ratio = link.rtt_p95_ms / link.rtt_p50_ms;
            assert!((1.0..2.0).contains(&ratio), "{file}: {link:?}");
            let by_ratio = (ratio - MEDIAN_P95_RATIO).abs() < 1e-9;
            assert!(link.p95_measured || by_ratio, "{file}: {link:?} has a P95 from nowhere");
        }
    }
}

#[test]
fn azure_is_what_its_source_says() {
    #[derive(Deserialize)]
    struct Row {
        src_region: String,
        dst_region: String,
        rtt_ms: f64,
    }
    let folder = root().join("../shared/data/rtt");
    if !folder.exists() {
        println!("skipped: {} is not here", folder.display());
        return;
    }
    let slug = |name: &str| format!("azure:{}", name.to_lowercase().replace(' ', ""));
    let read = |name: &str| -> BTreeMap<(String, String), f64> {
        let rows: Vec<Row> = rows(&folder.join(name));
        rows.iter().map(|r| ((slug(&r.src_region), slug(&r.dst_region)), r.rtt_ms)).collect()
    };
    let (p50, p95) = (read("azure_rtt_p50.csv"), read("azure_rtt_p95.csv"));
    let mut ratios: Vec<f64> = p95.iter().map(|(pair, p95)| p95 / p50[pair]).collect();
    ratios.sort_by(f64::total_cmp);
    assert!((ratios[ratios.len() / 2] - MEDIAN_P95_RATIO).abs() < 0.005);
    for link in data::<NamedLink>("azure.csv") {
        let pair = (link.from.clone(), link.to.clone());
        if link.from == link.to {
            assert!(!p50.contains_key(&pair) && !link.p95_measured);
        } else {
            assert_eq!(
                (Some(&link.rtt_p50_ms), Some(&link.rtt_p95_ms)),
                (p50.get(&pair), p95.get(&pair))
            );
        }
    }
}

#[test]
fn places_are_those_of_the_preprocessing() {
    let places: Vec<Place> = data("places.csv");
    assert_eq!(places.len(), 94);
    let states = places.iter().filter(|place| place.kind == PlaceKind::State).count();
    assert_eq!(states, 31);
    let table = PlaceTable::new(&places).unwrap();
    assert!(table.state("Georgia").is_some() && table.country("Georgia").is_none());
    assert!(table.country("United States").is_some() && table.state("Texas").is_some());
}

#[test]
fn clients_are_nearer_to_their_own_region() {
    let (network, _) = network("azure.csv");
    let nearest = |origin: Origin| {
        let leg = |index| network.client_leg(&origin, RegionId(index)).unwrap().median;
        let best = (0..22).min_by_key(|&index| leg(index)).unwrap();
        network.regions()[best as usize].name.clone()
    };
    let from = |country: &str| Origin { country: Some(country.to_owned()), ..Origin::default() };
    assert_eq!(nearest(from("South Korea")), "azure:koreacentral");
    assert_eq!(nearest(from("Germany")), "azure:germanywestcentral");
    assert_eq!(nearest(from("Brazil")), "azure:brazilsouth");
    let state = Origin { state: Some("Washington".to_owned()), ..from("United States") };
    assert_eq!(nearest(state), "azure:westus2");
}

#[test]
fn the_fleet_of_the_paper_is_as_far_as_it_was() {
    let (network, _) = network("gorgo_v2.csv");
    let at = |name: &str| network.region(name).unwrap();
    let ms = |to: &str| network.median_rtt(at("us-ashburn"), at(to)).as_ms();
    assert_eq!((ms("us-ashburn"), ms("eu-frankfurt"), ms("ap-seoul")), (21.0, 102.0, 208.0));
}
