//! Tests of the drift: whatever its share, median and P95 are the measured ones, and it forgets as it should.

use super::*;
use crate::network::drift::Drift;
use crate::network::series::Traffic;
use std::f64::consts::{FRAC_PI_2, PI};

const HOUR: Nanos = Nanos::from_secs(3600);

fn drifting(drift_share: f64) -> Jitter {
    Jitter { drift_share, drift_period: HOUR, ..Jitter::default() }
}

/// A time for the `i`-th draw, over many periods.
fn time(i: u64) -> Nanos {
    Nanos(i * (HOUR.0 / 7 + 13))
}

#[test]
fn draws_over_times_and_requests_have_the_measured_median_and_p95() {
    let key = Key::new(5).with(Purpose::NetworkRtt);
    for share in [0.0, 0.3, 0.9, 1.0] {
        let network = network(drifting(share)).with_key(Key::new(5));
        for (from, to, p50, p95) in [(US, KR, 190.0, 228.0), (DE, KR, 244.0, 272.0)] {
            let draw = |i: u64| {
                network.rtt_at(from, to, time(i), Traffic::Requests, key.word(i).draw()).as_ms()
            };
            let mut all: Vec<f64> = (0..100_000).map(draw).collect();
            all.sort_by(f64::total_cmp);
            assert_near("median", rank(&all, 0.5), p50);
            assert_near("p95", rank(&all, 0.95), p95);
        }
        let origin = Origin { region: Some("us".to_owned()), ..Origin::default() };
        let leg = network.client_leg(&origin, KR).unwrap().of_origin(3);
        let draw = |i: u64| network.client_rtt_at(&leg, time(i), key.word(i).draw()).as_ms();
        let mut all: Vec<f64> = (0..100_000).map(draw).collect();
        all.sort_by(f64::total_cmp);
        assert_near("client's median", rank(&all, 0.5), 190.0);
        assert_near("client's p95", rank(&all, 0.95), 228.0);
    }
}

#[test]
fn within_a_minute_only_the_jitter_is_seen() {
    let key = Key::new(5).with(Purpose::NetworkRtt);
    let width = |share: f64| {
        let network = network(drifting(share)).with_key(Key::new(5));
        let draw = |i: u64| {
            network.rtt_at(US, KR, Nanos(i * 6_000), Traffic::Requests, key.word(i).draw()).as_ms()
        };
        let mut all: Vec<f64> = (0..10_000).map(draw).collect();
        all.sort_by(f64::total_cmp);
        rank(&all, 0.95) / rank(&all, 0.5)
    };
    assert!(width(1.0) < 1.0005, "drift alone moves slowly: {}", width(1.0));
    assert!((1.0005..1.1).contains(&width(0.9)), "{}", width(0.9));
    assert_eq!(width(0.0), network(Jitter::default()).with_key(Key::new(5)).width_of(key));
}

impl Network {
    /// P95 over median of 10,000 still draws from `us` to `kr`.
    fn width_of(&self, key: Key) -> f64 {
        let draw = |i: u64| self.rtt(US, KR, key.word(i).draw()).as_ms();
        let mut all: Vec<f64> = (0..10_000).map(draw).collect();
        all.sort_by(f64::total_cmp);
        rank(&all, 0.95) / rank(&all, 0.5)
    }
}

/// The formula at the head of `drift.rs`.
fn correlation(lag: f64) -> f64 {
    match lag {
        r if r <= 1.0 => (1.0 - r / 2.0) * (FRAC_PI_2 * r).cos() + (FRAC_PI_2 * r).sin() / PI,
        r if r <= 2.0 => {
            let s = r - 1.0;
            (FRAC_PI_2 * s).cos() / PI - (1.0 - s) / 2.0 * (FRAC_PI_2 * s).sin()
        }
        _ => 0.0,
    }
}

/// Over 40,000 paths, each asked at one time and a lag later: the standard error of a correlation is 0.005.
#[test]
fn the_drift_is_standard_normal_and_forgets_as_its_formula_says() {
    let drift = Drift::new(drifting(1.0), Key::new(9)).expect("it drifts");
    let quantiles = Quantiles::new();
    let paths = 40_000;
    let at = |path: u64, ns: u64| drift.at(path, Nanos(ns), &quantiles);
    for lag in [0.0, 0.1, 0.5, 0.9, 1.0, 1.3, 1.7, 2.0, 5.0] {
        let later = (lag * HOUR.0 as f64) as u64;
        let [mut sum, mut squares, mut products] = [0.0; 3];
        for path in 0..paths {
            let (a, b) = (at(path, 77 * HOUR.0), at(path, 77 * HOUR.0 + later));
            sum += a;
            squares += a * a;
            products += a * b;
        }
        let n = paths as f64;
        assert!((sum / n).abs() < 0.02, "mean {}", sum / n);
        assert!((squares / n - 1.0).abs() < 0.03, "variance {}", squares / n);
        let got = products / squares;
        assert!((got - correlation(lag)).abs() < 0.02, "lag {lag}: {got}, {}", correlation(lag));
    }
}

#[test]
fn the_drift_is_a_function_of_seed_path_and_time_alone() {
    let draw = Key::new(1).draw();
    let at = |seed, from, to, hours: u64| {
        let network = network(drifting(1.0)).with_key(Key::new(seed));
        network.rtt_at(from, to, Nanos(hours * HOUR.0), Traffic::RttProbes, draw)
    };
    assert_eq!(at(1, US, KR, 5), at(1, US, KR, 5));
    assert_ne!(at(1, US, KR, 5), at(2, US, KR, 5), "another seed");
    assert_ne!(at(1, US, KR, 5), at(1, US, KR, 9), "another time");
    // The two directions of a path drift together: their deviates are the same, their medians are not.
    assert_eq!(at(1, US, KR, 5), at(1, KR, US, 5));
    let still = network(drifting(0.0)).with_key(Key::new(1));
    assert_eq!(still.rtt_at(US, KR, HOUR, Traffic::Scrapes, draw), still.rtt(US, KR, draw));
    let none = network(Jitter { drift_share: 1.0, ..Jitter::NONE });
    assert_eq!(none.rtt_at(US, KR, HOUR, Traffic::Requests, draw).as_ms(), 190.0);
    // The end of time is no overflow.
    let _ = at(1, US, KR, u64::MAX / HOUR.0);
}
