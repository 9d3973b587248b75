//! The built-in network tables: complete, sane, and the numbers of their sources where those are at hand.

use gorgo_model::{
    Jitter, MEDIAN_P95_RATIO, ModelError, NamedLink, Network, PlaceKind, PlaceTable, RegionPlace,
};
use gorgo_random::{Key, Purpose};
use gorgo_scenario::{DEFAULT, Parsed, Resolved, data};
use gorgo_types::{LatLon, Origin, RegionId};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A network of all regions whose names start so, and its links.
fn network(prefixes: &[&str]) -> (Result<Network, ModelError>, Vec<NamedLink>) {
    let mut regions = data::regions().unwrap();
    regions.retain(|region| prefixes.iter().any(|prefix| region.name.starts_with(prefix)));
    let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
    let links = data::links_among(&names).unwrap();
    (Network::new(regions, &links, Jitter::default()), links)
}

/// The three regions of the fleet of the paper.
const FLEET: [&str; 3] = ["us-ashburn", "eu-frankfurt", "ap-seoul"];

/// The rows of a file of measurements by its pair, or `None` where the folder is not here.
fn measured(
    file: &str,
    name: impl Fn(&str) -> String,
) -> Option<BTreeMap<(String, String), Vec<f64>>> {
    #[derive(Deserialize)]
    struct Row {
        src_region: String,
        dst_region: String,
        rtt_ms: f64,
    }
    let path = root().join("../shared/data/rtt").join(file);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let mut all: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for row in data::read_csv::<Row>(file, &text).unwrap() {
        all.entry((name(&row.src_region), name(&row.dst_region))).or_default().push(row.rtt_ms);
    }
    Some(all)
}

#[test]
fn every_provider_is_there_with_its_regions_and_gaps() {
    for (prefixes, regions, links, p95s) in [
        (&["azure:"][..], 54, 2_862, 1_166),
        (&["aws:", "gcp:"], 45, 1_556, 0),
        (&["aws:"], 17, 228, 0),
        (&["ibm:"], 13, 156, 0),
        (&FLEET, 3, 9, 2),
    ] {
        let (_, all) = network(prefixes);
        let mut names: Vec<&str> = all.iter().map(|link| link.from.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), all.len()), (regions, links), "{prefixes:?}");
        assert_eq!(all.iter().filter(|link| link.p95_measured).count(), p95s, "{prefixes:?}");
        for link in &all {
            let ratio = link.rtt_p95_ms / link.rtt_p50_ms;
            assert!((1.0..2.0).contains(&ratio), "{link:?}");
            let by_ratio = (ratio - MEDIAN_P95_RATIO).abs() < 1e-9;
            assert!(link.p95_measured || by_ratio, "{link:?} has a P95 from nowhere");
        }
    }
}

#[test]
fn a_gap_is_an_error_that_names_both_ends() {
    for prefixes in [&["aws:", "gcp:"][..], &["ibm:", "us-ashburn"]] {
        let error = network(prefixes).0.expect_err("refused");
        let ModelError::MissingLink { from, to } = &error else { panic!("{error}") };
        let text = error.to_string();
        assert!(text.contains(from) && text.contains(to) && from != to, "{text}");
    }
    assert!(network(&["ibm:"]).0.is_ok() && network(&["azure:"]).0.is_ok());
}

/// 100,000 draws of links of every provider: the standard error of a P95 is
/// well below 1 %.
#[test]
fn draws_have_the_measured_median_and_p95() {
    let key = Key::new(7).with(Purpose::NetworkRtt);
    for (from, to, p50, p95) in [
        ("azure:eastus", "azure:germanywestcentral", 94.0, 97.0),
        ("azure:eastus", "azure:southeastasia", 224.0, 229.0),
        ("azure:westus2", "azure:australiaeast", 160.0, 179.0),
        ("aws:us-east-1", "aws:eu-central-1", 0.0, 0.0),
        ("aws:us-east-1", "gcp:us-central1", 0.0, 0.0),
        ("gcp:asia-east1", "gcp:europe-west1", 0.0, 0.0),
        ("ibm:dallas", "ibm:frankfurt", 0.0, 0.0),
        ("us-ashburn", "ap-seoul", 208.0, 208.0 * MEDIAN_P95_RATIO),
    ] {
        let network = network(&[from, to]).0.unwrap_or_else(|error| panic!("{error}"));
        let (a, b) = (network.region(from).unwrap(), network.region(to).unwrap());
        let link = network.link(a, b);
        if p50 > 0.0 {
            assert_eq!(link.rtt_p50_ms, p50, "{from} {to}");
            assert!((link.rtt_p95_ms - p95).abs() < 1e-9, "{from} {to}");
        }
        let draw = |i: u64| network.rtt(a, b, key.word(i).draw()).as_ms();
        let mut draws: Vec<f64> = (0..100_000).map(draw).collect();
        draws.sort_by(f64::total_cmp);
        for (what, got, wanted) in
            [("median", draws[49_999], link.rtt_p50_ms), ("P95", draws[94_999], link.rtt_p95_ms)]
        {
            let error = (got / wanted - 1.0).abs();
            assert!(error < 0.01, "{from} {to}: {what} {got} ms, wanted {wanted} ms");
        }
    }
}

#[test]
fn azure_is_what_its_source_says() {
    let slug = |name: &str| format!("azure:{}", name.to_lowercase().replace(' ', ""));
    let (Some(p50), Some(p95)) =
        (measured("azure_rtt_p50.csv", slug), measured("azure_rtt_p95.csv", slug))
    else {
        return;
    };
    let mut ratios: Vec<f64> = p95.iter().map(|(pair, p95)| p95[0] / p50[pair][0]).collect();
    ratios.sort_by(f64::total_cmp);
    assert!((ratios[ratios.len() / 2] - MEDIAN_P95_RATIO).abs() < 0.005);
    let links = network(&["azure:"]).1;
    assert_eq!(links.len(), p50.len());
    for link in links {
        let pair = (link.from.clone(), link.to.clone());
        assert_eq!(link.rtt_p50_ms, p50[&pair][0], "{pair:?}");
        assert_eq!(link.p95_measured.then_some(link.rtt_p95_ms), p95.get(&pair).map(|p| p[0]));
    }
}

#[test]
fn the_other_providers_are_what_their_sources_say() {
    let slug = |name: &str| name.to_lowercase().replace(' ', "-");
    let ibm = |name: &str| format!("ibm:{}", slug(name));
    for (prefixes, source) in [
        (&["aws:", "gcp:"][..], measured("aws_gcp_rtt_2022.csv", slug)),
        (&["ibm:"], measured("ibm_cloud_rtt_30day_avg.csv", ibm)),
    ] {
        let Some(source) = source else { return };
        let links = network(prefixes).1;
        assert_eq!(links.len(), source.len());
        for link in links {
            let mut snapshots = source[&(link.from.clone(), link.to.clone())].clone();
            snapshots.sort_by(f64::total_cmp);
            let median = snapshots[snapshots.len() / 2];
            assert!((link.rtt_p50_ms - median).abs() < 0.051, "{link:?} is {median}");
        }
    }
}

#[test]
fn places_are_those_of_the_preprocessing() {
    let places = data::places().unwrap();
    assert_eq!(places.len(), 94);
    let states = places.iter().filter(|place| place.kind == PlaceKind::State).count();
    assert_eq!(states, 31);
    let table = PlaceTable::new(&places).unwrap();
    assert!(table.state("Georgia").is_some() && table.country("Georgia").is_none());
    assert!(table.country("United States").is_some() && table.state("Texas").is_some());
}

/// A link of 100 ms for every pair: only the legs of clients are looked at.
fn all_pairs(regions: &[RegionPlace]) -> Vec<NamedLink> {
    let pair = |from: &RegionPlace, to: &RegionPlace| NamedLink {
        from: from.name.clone(),
        to: to.name.clone(),
        rtt_p50_ms: 100.0,
        rtt_p95_ms: 106.0,
        p95_measured: false,
    };
    regions.iter().flat_map(|from| regions.iter().map(move |to| pair(from, to))).collect()
}

#[test]
fn clients_are_nearer_to_their_own_region() {
    let mut regions = data::regions().unwrap();
    regions.retain(|region| region.name.starts_with("azure:"));
    let far: Vec<NamedLink> = all_pairs(&regions);
    let places = PlaceTable::new(&data::places().unwrap()).unwrap();
    let network = Network::new(regions, &far, Jitter::default()).unwrap().with_places(places);
    let nearest = |origin: Origin| {
        let leg = |index| network.client_leg(&origin, RegionId(index)).unwrap().median;
        let best = (0..54).min_by_key(|&index| leg(index)).unwrap();
        network.regions()[best as usize].name.clone()
    };
    let from = |country: &str| Origin { country: Some(country.to_owned()), ..Origin::default() };
    assert_eq!(nearest(from("South Korea")), "azure:koreasouth"); // the middle of the country lies nearer to Busan
    assert_eq!(nearest(from("Germany")), "azure:germanywestcentral");
    assert_eq!(nearest(from("Brazil")), "azure:brazilsouth");
    let state = Origin { state: Some("Washington".to_owned()), ..from("United States") };
    assert_eq!(nearest(state), "azure:westus2");
}

#[test]
fn the_fleet_of_the_paper_is_as_far_as_it_was() {
    let network = network(&FLEET).0.unwrap();
    let at = |name: &str| network.region(name).unwrap();
    let ms = |to: &str| network.median_rtt(at("us-ashburn"), at(to)).as_ms();
    assert_eq!((ms("us-ashburn"), ms("eu-frankfurt"), ms("ap-seoul")), (21.0, 102.0, 208.0));
}

/// The built-in scenario between other regions, and what it says.
fn with_regions(regions: [&str; 3], more: &str) -> Result<Resolved, String> {
    let mut text = DEFAULT.to_owned();
    for (old, new) in
        ["azure:eastus", "azure:germanywestcentral", "azure:southeastasia"].iter().zip(regions)
    {
        text = text.replace(&format!("\"{old}\""), &format!("\"{new}\""));
    }
    let sets: Vec<&str> = if more.is_empty() { vec![] } else { vec![more] };
    let parsed = Parsed::new("test.toml", &text, &sets);
    parsed.and_then(|parsed| parsed.resolve(Path::new(""))).map_err(|error| error.to_string())
}

#[test]
fn pairs_across_providers_are_filled_only_when_allowed() {
    let mixed = ["azure:eastus", "ibm:frankfurt", "aws:us-east-1"];
    let error = with_regions(mixed, "").expect_err("refused");
    for word in ["azure:eastus", "ibm:frankfurt", "fill_missing = \"distance\""] {
        assert!(error.contains(word), "{error}");
    }
    let filled = with_regions(mixed, "network.fill_missing=\"distance\"").unwrap();
    let warning = filled.network.warning().expect("says so");
    assert!(warning.contains("3 of 3 pairs") && warning.contains("azure:eastus"), "{warning}");
    let link = filled.network.link(RegionId(0), RegionId(1));
    assert!((115.0..125.0).contains(&link.rtt_p50_ms) && !link.p95_measured, "{link:?}");
    // What is written out says the same of itself.
    let again = Parsed::new("again.toml", &filled.to_toml(), &[] as &[&str]).unwrap();
    let again = again.resolve(Path::new("")).unwrap();
    assert_eq!(again.network.warning(), Some(warning));
    let one = with_regions(
        ["azure:eastus", "azure:ukwest", "aws:us-east-1"],
        "network.fill_missing=\"distance\"",
    );
    assert!(one.unwrap().network.warning().unwrap().contains("2 of 3 pairs"));
    let measured = with_regions(
        ["aws:us-east-1", "gcp:us-central1", "aws:eu-central-1"],
        "network.fill_missing=\"distance\"",
    );
    assert_eq!(measured.unwrap().network.warning(), None);
}

#[test]
fn clients_take_measured_round_trips_of_cities_where_there_are_some() {
    let mixed = ["azure:eastus", "azure:germanywestcentral", "azure:southeastasia"];
    let distance = with_regions(mixed, "network.clients.by=\"distance\"").unwrap().network;
    let cities = with_regions(mixed, "").unwrap();
    let seoul = LatLon { lat: 37.56, lon: 126.99 };
    let at = |position| Origin { position: Some(position), ..Origin::default() };
    let frankfurt = RegionId(1);
    let leg = |network: &Network, origin: &Origin| network.client_leg(origin, frankfurt).unwrap();
    let (far, near) = (leg(&distance, &at(seoul)), leg(&cities.network, &at(seoul)));
    assert_eq!((far.how, near.how), ("distance from position", "cities near position"));
    // Frankfurt and Seoul are both in the table, and light takes at least 86 ms.
    assert!((200.0..400.0).contains(&near.median.as_ms()), "{near:?}");
    let at_sea = at(LatLon { lat: -40.0, lon: -120.0 });
    assert_eq!(leg(&cities.network, &at_sea), leg(&distance, &at_sea));
    assert_eq!(leg(&cities.network, &Origin::default()).how, "unknown origin");
    let own_fit = with_regions(mixed, "network.clients.ms_per_km=0.02").unwrap().network;
    assert_eq!(leg(&own_fit, &at(seoul)).how, "distance from position");
    let words = |origin: &Origin| {
        cities.network.leg_in_words(origin, frankfurt, &leg(&cities.network, origin))
    };
    assert_eq!(words(&at(seoul)), "cities near position: Seoul to Frankfurt");
    assert_eq!(words(&Origin::default()), "unknown origin");
    let again = Parsed::new("again.toml", &cities.to_toml(), &[] as &[&str]).unwrap();
    let again = again.resolve(Path::new("")).unwrap();
    assert_eq!(leg(&again.network, &at(seoul)), near);
    let table = data::cities().unwrap();
    assert_eq!(table.len(), 241);
    let pairs = table.iter().flat_map(|city| &city.rtt_ms).flatten().count();
    assert_eq!(pairs, 28_902);
    for (text, wanted) in [
        ("a,0,0,\nb,0,1,fast\n", "x.csv: city \"b\": rtt_ms_to_the_cities_above: got \"fast\""),
        ("a,north,0,\n", "x.csv:2:1: lat:"),
    ] {
        let text = format!("city,lat,lon,rtt_ms_to_the_cities_above\n{text}");
        let error = data::read_cities("x.csv", &text).expect_err("malformed").to_string();
        assert!(error.contains(wanted), "{error}");
    }
}
