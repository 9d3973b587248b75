//! The rate over time of each arrival process whose rate changes, measured against its definition.

use gorgo_random::Key;
use gorgo_types::Nanos;
use gorgo_workload::rate_curve::Cumulative;
use gorgo_workload::{ArrivalSpec, ArrivalTimes, RateCurve};

/// Each curve, and a span that its features lie in, in seconds. Rates are such that 50 bins hold hundreds each.
fn curves() -> [(RateCurve, f64); 6] {
    let mut hourly = [1.0; 24];
    (hourly[2], hourly[3], hourly[20]) = (0.0, 0.2, 4.0);
    let spike = |every_s| RateCurve::Spike {
        rate_rps: 20.0,
        factor: 6.0,
        from_s: 300.0,
        to_s: 360.0,
        every_s,
    };
    [
        (RateCurve::Ramp { from_rps: 0.0, to_rps: 40.0, over_s: 1_000.0 }, 1_500.0),
        (RateCurve::Ramp { from_rps: 60.0, to_rps: 5.0, over_s: 1_000.0 }, 1_500.0),
        (
            RateCurve::Diurnal { rate_rps: 20.0, amplitude: 1.0, period_s: 600.0, peak_s: 100.0 },
            2_000.0,
        ),
        (RateCurve::Hourly { rate_rps: 0.5, hourly, start_s: 70_200.0 }, 2.0 * 86_400.0),
        (spike(None), 1_000.0),
        (spike(Some(400.0)), 2_000.0),
    ]
}

/// Arrivals in each of 50 bins of `span_s`, and how many the definition wants there.
fn bins(curve: RateCurve, cv: f64, span_s: f64, seed: u64) -> Vec<(f64, f64)> {
    let mut times = ArrivalTimes::new(ArrivalSpec::Varying { curve, cv }, Key::new(seed)).unwrap();
    let cumulative = Cumulative::new(&curve).unwrap();
    let width_s = span_s / 50.0;
    let mut counts = [0.0; 50];
    // The arrival at time zero is there by convention, not by the rate.
    times.advance();
    while times.peek() < Nanos::from_s(span_s).unwrap() {
        counts[((times.peek().as_s() / width_s) as usize).min(49)] += 1.0;
        let before = times.peek();
        times.advance();
        assert!(times.peek() >= before);
    }
    let by = |bin: usize| cumulative.arrivals_by(bin as f64 * width_s);
    counts.into_iter().enumerate().map(|(bin, count)| (count, by(bin + 1) - by(bin))).collect()
}

/// A count of a Poisson process has the variance of its mean: every bin within 4.5 standard deviations (one of 1,500
/// such would fall outside by chance every hundred runs), and their sum of squares within 5 of its own.
#[test]
fn poisson_counts_follow_every_curve() {
    for (curve, span_s) in curves() {
        for seed in 0..5 {
            let bins = bins(curve, 1.0, span_s, seed);
            let filled: Vec<_> = bins.iter().filter(|(_, wanted)| *wanted > 20.0).collect();
            assert!(filled.len() >= 40, "{curve:?}: {} bins hold enough to measure", filled.len());
            let squares = filled.iter().map(|(count, wanted)| (count - wanted).powi(2) / wanted);
            assert!(
                squares.clone().all(|square| square < 4.5 * 4.5),
                "{curve:?}, seed {seed}: {bins:?}"
            );
            let (chi2, bins) = (squares.sum::<f64>(), filled.len() as f64);
            assert!(
                (chi2 - bins).abs() < 5.0 * (2.0 * bins).sqrt(),
                "{curve:?}: chi-square {chi2} of {bins}"
            );
        }
    }
}

/// Evenly spaced arrivals are where the definition puts them: no count is off by more than 1.
#[test]
fn even_counts_follow_every_curve_exactly() {
    for (curve, span_s) in curves() {
        for (count, wanted) in bins(curve, 0.0, span_s, 1) {
            assert!((count - wanted).abs() <= 1.000_001, "{curve:?}: {count}, not {wanted}");
        }
    }
}

/// Bursts keep the rate and spread it: the variance of a count is about cv^2 times that of a Poisson process.
#[test]
fn bursty_counts_keep_the_rate() {
    for (curve, span_s) in curves() {
        let all: Vec<_> = (0..8).flat_map(|seed| bins(curve, 2.0, span_s, seed)).collect();
        let (sum, wanted) = all.iter().fold((0.0, 0.0), |sum, bin| (sum.0 + bin.0, sum.1 + bin.1));
        assert!((sum - wanted).abs() < 5.0 * 2.0 * wanted.sqrt(), "{curve:?}: {sum}, not {wanted}");
        let filled = all.iter().filter(|(_, wanted)| *wanted > 100.0);
        let spread: Vec<f64> =
            filled.map(|(count, wanted)| (count - wanted).powi(2) / wanted).collect();
        let dispersion = spread.iter().sum::<f64>() / spread.len() as f64;
        assert!((2.8..5.2).contains(&dispersion), "{curve:?}: variance / mean {dispersion}, not 4");
    }
}

/// A gap belongs to its ordinal: a rate twice as high meets the same gaps in half the time.
#[test]
fn curves_meet_the_same_gaps() {
    let times = |rate_rps: f64| {
        let curve = RateCurve::Diurnal { rate_rps, amplitude: 0.0, period_s: 100.0, peak_s: 0.0 };
        let spec = ArrivalSpec::Varying { curve, cv: 1.0 };
        let mut times = ArrivalTimes::new(spec, Key::new(5)).unwrap();
        (0..1_000)
            .map(move |_| {
                times.advance();
                times.peek().as_s()
            })
            .collect::<Vec<_>>()
    };
    let mut poisson =
        ArrivalTimes::new(ArrivalSpec::Poisson { rate_rps: 3.0 }, Key::new(5)).unwrap();
    for (once, twice) in times(3.0).into_iter().zip(times(6.0)) {
        poisson.advance();
        assert!((once - 2.0 * twice).abs() < 1e-6 && (once - poisson.peek().as_s()).abs() < 1e-5);
    }
}

#[test]
fn parameters_that_make_no_curve_are_refused() {
    let day = |hourly| RateCurve::Hourly { rate_rps: 1.0, hourly, start_s: 0.0 };
    let spike = |factor, from_s, to_s, every_s| RateCurve::Spike {
        rate_rps: 1.0,
        factor,
        from_s,
        to_s,
        every_s,
    };
    let wave = |amplitude, period_s, peak_s| RateCurve::Diurnal {
        rate_rps: 1.0,
        amplitude,
        period_s,
        peak_s,
    };
    let ramp = |from_rps, to_rps, over_s| RateCurve::Ramp { from_rps, to_rps, over_s };
    for (curve, field) in [
        (ramp(-1.0, 1.0, 1.0), "from_rps"),
        (ramp(f64::NAN, 1.0, 1.0), "from_rps"),
        (ramp(1.0, 0.0, 1.0), "to_rps"),
        (ramp(1.0, f64::INFINITY, 1.0), "to_rps"),
        (ramp(1.0, 1.0, 0.0), "over_s"),
        (wave(1.1, 10.0, 0.0), "amplitude"),
        (wave(-0.1, 10.0, 0.0), "amplitude"),
        (wave(0.5, 0.0, 0.0), "period_s"),
        (wave(0.5, 10.0, 11.0), "peak_s"),
        (day([0.0; 24]), "hourly"),
        (day([f64::NAN; 24]), "hourly"),
        (day([-1.0; 24]), "hourly"),
        (spike(-1.0, 0.0, 1.0, None), "factor"),
        (spike(2.0, 1.0, 1.0, None), "to_s"),
        (spike(2.0, 0.0, 10.0, Some(10.0)), "every_s"),
        (spike(2.0, 0.0, 10.0, Some(f64::NAN)), "every_s"),
    ] {
        let spec = ArrivalSpec::Varying { curve, cv: 1.0 };
        let refused = spec.validate().unwrap_err().to_string();
        assert!(refused.contains(&format!("`{field}`")), "{curve:?}: {refused}");
    }
    let spec = ArrivalSpec::Varying { curve: ramp(1.0, 1.0, 1.0), cv: 0.001 };
    assert!(spec.validate().unwrap_err().to_string().contains("`cv`"));
}
