//! Every place of the table goes to the region to which GORGO's geographic proxy sent it.

use crate::support::options;
use gorgo_import::{Regions, parse_position};
use gorgo_model::network::PlaceKind;
use std::collections::BTreeMap;

/// The nodes of GORGO's geographic proxy: San Francisco, Frankfurt, and the place that its table gives to Israel.
pub const NODES: &str = "us-west=37.7749,-122.4194,germany=50.1109,8.6821,israel=31.0461,34.8516";

const US_WEST: [&str; 9] = [
    "United States",
    "Canada",
    "Mexico",
    "Japan",
    "New Zealand",
    "Argentina",
    "Chile",
    "Colombia",
    "Peru",
];
const GERMANY: &str = "United Kingdom, Ireland, France, Germany, Spain, Italy, Portugal, Netherlands, Belgium, \
Switzerland, Austria, Poland, Czech Republic, Hungary, Sweden, Norway, Finland, Denmark, Romania, Bulgaria, Croatia, \
Slovakia, Slovenia, Estonia, Latvia, Lithuania, Ukraine, Russia, Brazil, Morocco";
const ISRAEL: &str = "Greece, Israel, Turkey, Saudi Arabia, United Arab Emirates, Iran, Egypt, South Korea, China, \
India, Pakistan, Bangladesh, Vietnam, Thailand, Indonesia, Malaysia, Philippines, Singapore, Taiwan, Hong Kong, \
Australia, South Africa, Nigeria, Kenya";

#[test]
fn the_places_go_where_gorgo_sent_them() {
    let nodes = Regions::parse(NODES).unwrap();
    let places = gorgo_scenario::data::places().unwrap();
    assert_eq!(places.len(), 94);
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut states = 0;
    for place in &places {
        let at = gorgo_types::LatLon { lat: place.lat, lon: place.lon };
        let node = nodes.nearest(at);
        if place.kind == PlaceKind::State {
            // All of them are in the United States.
            assert_eq!(node, "us-west", "{}", place.name);
            states += 1;
        } else {
            found.entry(node).or_default().push(&place.name);
        }
    }
    assert_eq!(states, 31);
    let mut check = |node: &str, wanted: Vec<&str>, states: usize, count: usize| {
        let mut got = found.remove(node).unwrap_or_default();
        let mut wanted: Vec<&str> = wanted;
        assert_eq!(got.len() + states, count, "{node}");
        got.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(got, wanted, "{node}");
    };
    check("us-west", US_WEST.to_vec(), states, 40);
    check("germany", GERMANY.split(", ").collect(), 0, 30);
    check("israel", ISRAEL.split(", ").collect(), 0, 24);
}

#[test]
fn what_is_in_no_table_goes_where_gorgo_sent_it() {
    let nodes = Regions::parse(NODES).unwrap();
    // A prompt without an entry: the centre of the United States. An unknown country: 0, 0.
    assert_eq!(nodes.nearest(options().unknown_at), "us-west");
    assert_eq!(nodes.nearest(parse_position("--unknown-at", "0,0").unwrap()), "israel");
}
