//! Every kind of load: it comes back the same from what is written out, and a source gives its requests.

use gorgo_scenario::{LoadSpec, Parsed, Resolved, SweepArrivals, SweepSpec};
use gorgo_workload::{Due, Source};
use std::path::Path;

/// Lone requests under a load.
fn resolve(load: &str) -> Resolved {
    let text = include_str!("good.toml");
    let (head, rest) = text.split_once("[workload.chat]").expect("a workload");
    let (_, tail) = rest.split_once("[router]").expect("a router");
    let text = format!("{head}[workload.prefix_groups]\nrequests = 50\n\n{load}\n\n[router]{tail}");
    let parsed = Parsed::new("load", &text, &[] as &[&str]);
    let resolved = parsed.and_then(|parsed| parsed.resolve(Path::new("")));
    resolved.unwrap_or_else(|error| panic!("{error}"))
}

const LOADS: [&str; 12] = [
    "[load.constant]\nrate = \"5/s\"",
    "[load.poisson]\nrate = \"5/s\"",
    "[load.gamma]\nrate = \"5/s\"\ncv = 3.0",
    "[load.ramp]\nto = \"5/s\"\nover = \"90s\"",
    "[load.ramp]\nfrom = \"9/min\"\nto = \"5/s\"\nover = \"0.1s\"\ncv = 0",
    "[load.diurnal]\nrate = \"5/s\"\namplitude = 0.7\npeak = \"14h\"\ncv = 1.5",
    "[load.diurnal]\nrate = \"5/s\"\nstart = \"7.5h\"\nhourly = [1, 1, 0, 0, 0, 0, 0, 2, 3.5, 4, 4, 4, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 1]",
    "[load.spike]\nrate = \"5/s\"\nfactor = 4\nfrom = \"2s\"\nto = \"3s\"\nevery = \"5s\"",
    "[load.synchronous]",
    "[load.concurrent]\nstreams = 3\nthink = { mean = \"1s\", sd = \"1s\" }\nramp = \"1s\"",
    "[load.throughput]\nmax_in_flight = 16",
    "[load.closed_loop]\nusers = 3",
];

#[test]
fn every_load_comes_back_the_same_and_gives_requests() {
    for load in LOADS {
        let once = resolve(load);
        let written = once.to_toml();
        let again = Parsed::new("written", &written, &[] as &[&str])
            .and_then(|parsed| parsed.resolve(Path::new("")))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.to_toml(), written, "{load}");
        assert_eq!(again.demand, once.demand, "{load}");
        let word =
            load.split(['.', ']']).nth(1).expect("a word").replace("closed_loop", "concurrent");
        assert!(written.contains(&format!("[load.{word}]")), "{load}: {written}");
        let mut source = once.requests().unwrap().source().unwrap();
        assert_eq!(source.next_due().unwrap(), Due::At(gorgo_types::Nanos::ZERO), "{load}");
        source.take().unwrap();
        let closed = matches!(once.demand.load, LoadSpec::ClosedLoop(_));
        assert_eq!(source.needs_completions(), closed, "{load}");
    }
}

#[test]
fn a_sweep_is_several_runs() {
    let resolved = resolve("[load.sweep]\nruns = 6\nmax_in_flight = 40\narrivals = \"poisson\"");
    let LoadSpec::Sweep(sweep) = resolved.demand.load else { panic!("a sweep") };
    let wanted = SweepSpec { runs: 6, arrivals: SweepArrivals::Poisson, max_in_flight: 40 };
    assert_eq!(sweep, wanted);
    let requests = resolved.requests().unwrap();
    let refused = requests.source().err().expect("a sweep is not one run").to_string();
    assert!(refused.contains("got a sweep of 6 runs"), "{refused}");
    // From the synchronous rate, not included, to that of the throughput run, included.
    assert_eq!(sweep.rates_rps(1.0, 9.0), [3.0, 5.0, 7.0, 9.0]);
    assert_eq!(sweep.rates_rps(0.0, 0.0), Vec::<f64>::new());
    assert_eq!(sweep.rates_rps(f64::NAN, 9.0), Vec::<f64>::new());
    for load in [SweepSpec::synchronous(), sweep.throughput(), sweep.at(3.0)] {
        assert!(requests.under(load).source().is_ok());
    }
}

#[test]
fn stops_and_warm_ups_by_count_come_back_the_same() {
    let measure =
        "warm_up_requests = 5\nstop_after_requests = 40\nmax_error_share = 0.25\nerror_window = 8";
    let text = include_str!("good.toml").replace("warm_up = \"10s\"", measure);
    let resolve = |text: &str| {
        let parsed = Parsed::new("stops", text, &[] as &[&str]);
        parsed
            .and_then(|parsed| parsed.resolve(Path::new("")))
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let once = resolve(&text);
    assert_eq!(
        (once.measure.warm_up_requests, once.measure.stop_after_requests),
        (Some(5), Some(40))
    );
    assert_eq!((once.measure.max_error_share, once.measure.error_window), (Some(0.25), 8));
    let again = resolve(&once.to_toml());
    assert_eq!((again.measure, again.to_toml()), (once.measure, once.to_toml()));
}
