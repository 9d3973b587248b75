//! Tests of the network: draws against the measured numbers, client legs, what is refused.

mod changing;
mod drifting;

use super::*;
use gorgo_random::{Key, Purpose};

fn region(name: &str, lat: f64, lon: f64) -> RegionPlace {
    RegionPlace { name: name.to_owned(), position: LatLon { lat, lon } }
}

fn named(from: &str, to: &str, rtt_p50_ms: f64, rtt_p95_ms: f64) -> NamedLink {
    let (from, to) = (from.to_owned(), to.to_owned());
    NamedLink { from, to, rtt_p50_ms, rtt_p95_ms, p95_measured: true }
}

fn regions() -> Vec<RegionPlace> {
    vec![region("us", 37.4, -79.8), region("de", 50.1, 8.7), region("kr", 37.6, 127.0)]
}

fn links() -> Vec<NamedLink> {
    vec![
        named("us", "de", 94.0, 97.0),
        named("us", "kr", 190.0, 228.0),
        named("de", "kr", 244.0, 272.0),
        named("kr", "de", 235.0, 271.0),
    ]
}

fn network(jitter: Jitter) -> Network {
    Network::new(regions(), &links(), jitter).unwrap()
}

const US: RegionId = RegionId(0);
const DE: RegionId = RegionId(1);
const KR: RegionId = RegionId(2);

/// The sorted draws, ms.
fn draws(n: u64, draw: impl Fn(Draw) -> Nanos) -> Vec<f64> {
    let key = Key::new(11).with(Purpose::NetworkRtt);
    let mut all: Vec<f64> = (0..n).map(|i| draw(key.word(i).draw()).as_ms()).collect();
    all.sort_by(f64::total_cmp);
    all
}

fn rank(sorted: &[f64], q: f64) -> f64 {
    sorted[(q * sorted.len() as f64).ceil() as usize - 1]
}

fn assert_near(what: &str, got: f64, wanted: f64) {
    assert!((got / wanted - 1.0).abs() < 0.01, "{what}: {got}, wanted {wanted} within 1 %");
}

#[test]
fn draws_have_the_measured_median_and_p95() {
    let network = network(Jitter::default());
    for (from, to, p50, p95) in [
        (US, DE, 94.0, 97.0),
        (US, KR, 190.0, 228.0),
        (DE, KR, 244.0, 272.0),
        (KR, DE, 235.0, 271.0),
    ] {
        let all = draws(100_000, |draw| network.rtt(from, to, draw));
        assert_near("median", rank(&all, 0.5), p50);
        assert_near("p95", rank(&all, 0.95), p95);
        // The excess over the median is what jitter is: it must hold too, not only the sum.
        let excess = (rank(&all, 0.95) - p50) / (p95 - p50);
        assert!((excess - 1.0).abs() < 0.05, "excess at P95 is {excess} of the measured");
        assert!(all[0] >= 0.8 * p50, "{} is below the floor", all[0]);
        assert_eq!(network.median_rtt(from, to), Nanos::from_ms(p50).unwrap());
    }
}

#[test]
fn the_spread_share_scales_the_spread() {
    let half = Jitter { spread_share: 0.5, ..Jitter::default() };
    let network = network(half);
    let all = draws(100_000, |draw| network.rtt(US, KR, draw));
    assert_near("median", rank(&all, 0.5), 190.0);
    assert_near("p95", rank(&all, 0.95), 190.0 * (228.0_f64 / 190.0).sqrt());
}

#[test]
fn without_jitter_every_draw_is_the_median() {
    let network = network(Jitter::NONE);
    let all = draws(100, |draw| network.rtt(US, KR, draw));
    assert!(all.iter().all(|&ms| ms == 190.0));
}

#[test]
fn the_ends_of_the_unit_interval_draw_sane_times() {
    let wide = [named("us", "de", 1.0, 20.0)];
    let network = Network::new(regions()[..2].to_vec(), &wide, Jitter::default()).unwrap();
    let least = network.rtt(US, DE, Draw::from_bits(0));
    let most = network.rtt(US, DE, Draw::from_bits(u64::MAX));
    assert_eq!(least, Nanos(800_000));
    assert_eq!(most, Nanos::from_millis(100), "cut at 100 medians");
}

#[test]
fn a_link_in_one_direction_serves_both_and_two_may_differ() {
    let network = network(Jitter::default());
    assert_eq!(network.median_rtt(DE, US), Nanos::from_millis(94));
    assert_eq!(network.median_rtt(DE, KR), Nanos::from_millis(244));
    assert_eq!(network.median_rtt(KR, DE), Nanos::from_millis(235));
    assert_eq!(network.median_rtt(KR, KR), Nanos::from_ms(IN_REGION_RTT_MS).unwrap());
    assert!(!network.link(KR, KR).p95_measured);
    assert!(network.link(DE, US).p95_measured);
}

#[test]
fn halves_add_up() {
    for ns in [0, 1, 2, 94_000_001] {
        let (out, back) = halves(Nanos(ns));
        assert_eq!(out + back, Nanos(ns));
        assert!(back.0 - out.0 <= 1);
    }
}

fn places() -> PlaceTable {
    let place = |kind, name: &str, lat, lon| Place { kind, name: name.to_owned(), lat, lon };
    PlaceTable::new(&[
        place(PlaceKind::Country, "Germany", 51.1657, 10.4515),
        place(PlaceKind::Country, "United States", 39.8283, -98.5795),
        place(PlaceKind::State, "Georgia", 32.1656, -82.9001),
    ])
    .unwrap()
}

#[test]
fn the_most_exact_origin_wins() {
    let network = network(Jitter::default()).with_places(places());
    let full = Origin {
        country: Some("Germany".to_owned()),
        state: Some("Georgia".to_owned()),
        position: Some(LatLon { lat: 37.5, lon: 127.0 }),
        region: Some("kr".to_owned()),
        ..Origin::default()
    };
    let without_region = Origin { region: None, ..full.clone() };
    let without_position = Origin { position: None, ..without_region.clone() };
    let without_state = Origin { state: None, ..without_position.clone() };
    let strange_state = Origin { state: Some("Atlantis".to_owned()), ..without_state.clone() };
    let country_georgia = Origin { country: Some("Georgia".to_owned()), ..Origin::default() };
    let us_centre = LatLon { lat: 39.8283, lon: -98.5795 };
    let cases = [
        (&full, "matrix", None),
        (&without_region, "distance from position", full.position),
        (&without_position, "distance from state", Some(LatLon { lat: 32.1656, lon: -82.9001 })),
        (&without_state, "distance from country", Some(LatLon { lat: 51.1657, lon: 10.4515 })),
        (&strange_state, "distance from country", Some(LatLon { lat: 51.1657, lon: 10.4515 })),
        (&country_georgia, "unknown origin", Some(us_centre)),
        (&Origin::default(), "unknown origin", Some(us_centre)),
    ];
    for (origin, how, place) in cases {
        let leg = network.client_leg(origin, DE).unwrap();
        assert_eq!(leg.how, how, "{origin:?}");
        let wanted = place.map_or(235.0, |place| {
            20.2 + 0.0147 * great_circle_km(place, network.regions()[DE.index()].position)
        });
        assert!((leg.median.as_ms() - wanted).abs() < 1e-5, "{origin:?}: {}", leg.median);
    }
}

#[test]
fn clients_have_their_jitter() {
    let network = network(Jitter::default()).with_places(places());
    let origin = Origin { country: Some("germany".to_owned()), ..Origin::default() };
    let leg = network.client_leg(&origin, US).unwrap();
    let all = draws(100_000, |draw| network.client_rtt(&leg, draw));
    assert_near("median", rank(&all, 0.5), leg.median.as_ms());
    assert_near("p95", rank(&all, 0.95), leg.median.as_ms() * 1.2);
}

#[test]
fn other_rules_for_clients_are_taken_and_checked() {
    let flat = ClientModel { base_ms: 30.0, ms_per_km: 0.0, ..ClientModel::default() };
    let network = network(Jitter::NONE).with_clients(flat).unwrap();
    let leg = network.client_leg(&Origin::default(), KR).unwrap();
    assert_eq!(network.client_rtt(&leg, Draw::from_bits(1)), Nanos::from_millis(30));
    let bad = ClientModel { base_ms: -1.0, ..flat };
    assert!(network.with_clients(bad).is_err());
}

fn refused(regions: Vec<RegionPlace>, links: &[NamedLink], jitter: Jitter) -> String {
    Network::new(regions, links, jitter).map(|_| ()).unwrap_err().to_string()
}

fn assert_says(error: &str, words: &[&str]) {
    assert!(words.iter().all(|word| error.contains(word)), "`{error}` lacks one of {words:?}");
}

#[test]
fn a_missing_pair_names_both_ends() {
    let error = refused(regions(), &links()[..2], Jitter::default());
    assert_says(&error, &["`de`", "`kr`"]);
}

#[test]
fn an_unknown_region_lists_the_known_ones() {
    let network = network(Jitter::default());
    let error = network.region("mars").unwrap_err().to_string();
    assert_says(&error, &["`mars`", "`us`", "`de`", "`kr`"]);
    let origin = Origin { region: Some("mars".to_owned()), ..Origin::default() };
    assert_says(&network.client_leg(&origin, US).unwrap_err().to_string(), &["`mars`"]);
    assert_eq!(network.region("kr"), Ok(KR));
}

#[test]
fn bad_links_are_refused_with_their_ends() {
    for (p50, p95, field) in [
        (0.0, 1.0, "rtt_p50_ms"),
        (-94.0, 97.0, "rtt_p50_ms"),
        (f64::NAN, 97.0, "rtt_p50_ms"),
        (f64::INFINITY, f64::INFINITY, "rtt_p50_ms"),
        (60_001.0, 60_002.0, "rtt_p50_ms"),
        (94.0, 93.9, "rtt_p95_ms"),
        (94.0, f64::NAN, "rtt_p95_ms"),
        (94.0, f64::INFINITY, "rtt_p95_ms"),
        (94.0, 94.0 * 21.0, "rtt_p95_ms"),
    ] {
        let mut links = links();
        links[0] = named("us", "de", p50, p95);
        assert_says(&refused(regions(), &links, Jitter::default()), &["`us`", "`de`", field]);
    }
    let mut twice = links();
    twice.push(named("us", "de", 94.0, 97.0));
    assert_says(&refused(regions(), &twice, Jitter::default()), &["`us`", "`de`", "twice"]);
}

#[test]
fn bad_regions_and_shares_are_refused() {
    let mut twice = regions();
    twice.push(region("us", 0.0, 0.0));
    assert_says(&refused(twice, &links(), Jitter::default()), &["us", "once"]);
    assert_says(&refused(vec![], &[], Jitter::default()), &["at least one"]);
    let off = vec![region("us", 90.5, 0.0)];
    assert_says(&refused(off, &[], Jitter::default()), &["`us`", "lat", "90.5"]);
    for bad in [-0.1, 1.1, f64::NAN] {
        let share = Jitter { spread_share: bad, ..Jitter::default() };
        assert_says(&refused(regions(), &links(), share), &["spread_share"]);
        let drift = Jitter { drift_share: bad, ..Jitter::default() };
        assert_says(&refused(regions(), &links(), drift), &["drift_share"]);
        let floor = Jitter { floor_fraction: bad, ..Jitter::default() };
        assert_says(&refused(regions(), &links(), floor), &["floor_fraction"]);
    }
    let no_period = Jitter { drift_period: Nanos::ZERO, ..Jitter::default() };
    assert_says(&refused(regions(), &links(), no_period), &["drift_period"]);
    let nowhere = Origin { position: Some(LatLon { lat: 0.0, lon: 181.0 }), ..Origin::default() };
    let error = network(Jitter::default()).client_leg(&nowhere, US).unwrap_err().to_string();
    assert_says(&error, &["lon", "181"]);
}

/// Some draws to the nanosecond, so that another platform or a careless change of the formula shows. They were
/// computed from the formula in Python (`statistics.NormalDist().inv_cdf`); what must hold of all draws is tested
/// above.
#[test]
fn draws_are_stable() {
    let network = network(Jitter::default());
    let bits =
        [1_u64 << 20, 1 << 60, 3 << 60, 1 << 63, 0xF0F0_F0F0_F0F0_F0F0, u64::MAX - (1 << 50)];
    let drawn = bits.map(|bits| network.rtt(US, KR, Draw::from_bits(bits)).0);
    assert!(drawn.is_sorted());
    assert_eq!(
        drawn,
        [153_663_903, 171_907_614, 178_147_130, 190_000_000, 225_476_936, 343_826_140]
    );
}
