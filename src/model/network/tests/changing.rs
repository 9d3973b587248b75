//! Tests of changes and cuts of links.

use super::*;
use crate::network::changes::{Cut, Effect, Links, RttChange};
use crate::network::series::Traffic;

const S: Nanos = Nanos::from_secs(1);

fn at(network: &Network, from: RegionId, to: RegionId, s: u64) -> f64 {
    let draw = Key::new(3).draw();
    network.rtt_at(from, to, Nanos::from_secs(s), Traffic::Requests, draw).as_ms()
}

fn change(links: Links, from: u64, to: u64, effect: Effect) -> RttChange {
    RttChange { links, from: Nanos::from_secs(from), to: Nanos::from_secs(to), effect }
}

#[test]
fn round_trips_change_where_and_while_they_should() {
    let changes = [
        change(Links::Between(DE, KR), 10, 20, Effect::Factor(2.0)),
        change(Links::Of(US), 15, 30, Effect::Median(Nanos::from_millis(500))),
    ];
    let network = network(Jitter::NONE).with_changes(&changes, &[]).unwrap();
    let over_time = |from, to| [0, 9, 10, 19, 20, 30].map(|s| at(&network, from, to, s));
    assert_eq!(over_time(DE, KR), [244.0, 244.0, 488.0, 488.0, 244.0, 244.0]);
    assert_eq!(over_time(KR, DE), [235.0, 235.0, 470.0, 470.0, 235.0, 235.0]);
    assert_eq!(over_time(US, KR), [190.0, 190.0, 190.0, 500.0, 500.0, 190.0]);
    assert_eq!(over_time(KR, US), over_time(US, KR));
    assert_eq!(over_time(US, US), [1.0; 6], "inside the region nothing changes");
    // Jitter keeps its proportion.
    let jittered = network_of(Jitter::default(), &changes);
    let ratio = at(&jittered, US, KR, 16) / at(&jittered, US, KR, 0);
    assert!((ratio - 500.0 / 190.0).abs() < 1e-6, "{ratio}");
}

fn network_of(jitter: Jitter, changes: &[RttChange]) -> Network {
    network(jitter).with_changes(changes, &[]).unwrap()
}

#[test]
fn what_is_sent_into_a_cut_is_sent_again_until_it_passes() {
    let cut = Cut { links: Links::Between(US, DE), from: S, to: Nanos::from_secs(5) };
    let network = network(Jitter::NONE).with_changes(&[], &[cut]).unwrap();
    let passes =
        |from, to, ms| network.passes(from, to, Nanos::from_millis(ms), Nanos::from_millis(100));
    assert_eq!(passes(US, DE, 999), Nanos::from_millis(999));
    // Again after 0.3, 0.9, 2.1, 4.5 s: the last of these finds the link whole.
    assert_eq!(passes(US, DE, 1_000), Nanos::from_millis(5_500));
    assert_eq!(passes(DE, US, 1_000), Nanos::from_millis(5_500));
    assert_eq!(passes(DE, US, 4_900), Nanos::from_millis(5_200));
    assert_eq!(passes(US, DE, 5_000), Nanos::from_millis(5_000));
    assert_eq!(passes(US, KR, 1_000), Nanos::from_millis(1_000));
    assert!(network.has_cuts());
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let of = Links::Of(US);
    for bad in [
        change(of, 5, 5, Effect::Factor(2.0)),
        change(of, 5, 4, Effect::Factor(2.0)),
        change(of, 1, 2, Effect::Factor(0.0)),
        change(of, 1, 2, Effect::Factor(-1.0)),
        change(of, 1, 2, Effect::Factor(f64::NAN)),
        change(of, 1, 2, Effect::Factor(f64::INFINITY)),
        change(of, 1, 2, Effect::Median(Nanos::ZERO)),
        change(of, 1, 2, Effect::Median(Nanos::from_secs(61))),
    ] {
        assert!(network(Jitter::NONE).with_changes(&[bad], &[]).is_err(), "{bad:?} passed");
    }
    for (from, to) in [(S, S), (S, Nanos::MAX)] {
        let cut = Cut { links: of, from, to };
        assert!(network(Jitter::NONE).with_changes(&[], &[cut]).is_err(), "{cut:?} passed");
    }
}
