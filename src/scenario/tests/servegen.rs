//! `workload.servegen` against the published aggregates of its services: within the sampling error, worked out here.

use gorgo_scenario::{Parsed, Resolved, WorkloadSpec};
use gorgo_types::Nanos;
use gorgo_workload::{Due, Servegen, ServegenSpec, Source, TokenShares};
use std::path::Path;

fn resolve(keys: &str) -> Result<Resolved, String> {
    let text = include_str!("../../../scenarios/bench/replicas_8.toml");
    let text = format!("{text}\n[workload.servegen]\n{keys}\n");
    let parsed = Parsed::new("test", &text, &[] as &[&str]);
    parsed.and_then(|parsed| parsed.resolve(Path::new(""))).map_err(|error| error.to_string())
}

fn spec(keys: &str) -> ServegenSpec {
    let resolved = resolve(keys).expect("valid");
    let WorkloadSpec::Servegen(spec) = resolved.demand.workload else { panic!("a mix of clients") };
    spec
}

/// Service, rate (req/s), top ten's share, CV percentiles, tokens in: mean and percentiles 10 50 90 95 99, out: the same.
type Published = (&'static str, f64, f64, [f64; 3], [f64; 6], [f64; 6]);

const PUBLISHED: [Published; 4] = [
    (
        "m-large",
        195.84,
        0.632,
        [0.94, 1.19, 6.23],
        [973.0, 75.0, 654.0, 2355.0, 2402.0, 5435.0],
        [160.0, 2.0, 67.0, 458.0, 605.0, 934.0],
    ),
    (
        "m-mid",
        1790.06,
        0.786,
        [1.04, 2.04, 27.39],
        [301.0, 135.0, 172.0, 522.0, 803.0, 3024.0],
        [52.0, 9.0, 36.0, 93.0, 128.0, 341.0],
    ),
    (
        "m-small",
        1174.4,
        0.928,
        [1.07, 1.22, 6.99],
        [128.0, 19.0, 39.0, 336.0, 589.0, 1490.0],
        [18.0, 1.0, 3.0, 57.0, 97.0, 169.0],
    ),
    (
        "deepseek-r1",
        16.01,
        0.677,
        [0.74, 1.02, 5.56],
        [1596.0, 19.0, 266.0, 3294.0, 8816.0, 25753.0],
        [1690.0, 295.0, 807.0, 4165.0, 6533.0, 13533.0],
    ),
];

/// Mean and deviation of a table of lengths, from many even shares of it drawn through the generator's own source.
fn moments(lengths: &[u64]) -> (f64, f64) {
    let n = lengths.len() as f64;
    let mean = lengths.iter().sum::<u64>() as f64 / n;
    let squares = lengths.iter().map(|&tokens| (tokens as f64 - mean).powi(2)).sum::<f64>();
    (mean, (squares / n).sqrt())
}

fn lengths_match(what: &str, lengths: &[u64], published: [f64; 6]) {
    let n = lengths.len() as f64;
    let (mean, sd) = moments(lengths);
    // Published means are whole tokens.
    let error = 4.0 * sd / n.sqrt() + 0.5;
    assert!(
        (mean - published[0]).abs() < error,
        "{what}: mean {mean}, not {} ± {error}",
        published[0]
    );
    for (share, tokens) in [0.1, 0.5, 0.9, 0.95, 0.99].into_iter().zip(&published[1..]) {
        // A percentile of t tokens: at least that share has at most t, and no more than it has fewer. A percentile may
        // be off by 1 % of its length, or a token, where the table is coarser than its source.
        let error = 4.0 * (share * (1.0 - share) / n).sqrt();
        let at_most =
            |tokens: f64| lengths.iter().filter(|&&one| one as f64 <= tokens).count() as f64 / n;
        let slack = (tokens * 0.01).max(1.0);
        assert!(at_most(tokens + slack) > share - error, "{what}: P{share} above {tokens}");
        assert!(at_most(tokens - slack - 1.0) < share + error, "{what}: P{share} below {tokens}");
    }
}

#[test]
fn lengths_are_the_published_ones() {
    for (service, _, _, _, input, output) in PUBLISHED {
        let spec =
            spec(&format!("service = \"{service}\"\nrequests = 60_000\nblock_tokens = 4096"));
        let mut source = Servegen::new(spec, 3).expect("valid");
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        while let Due::At(_) = source.next_due().expect("generated") {
            let (_, request) = source.take().expect("due");
            inputs.push(request.prompt.tokens().0);
            outputs.push(request.output_tokens.0);
            assert!(!request.has_session && request.max_tokens == request.output_tokens);
        }
        lengths_match(&format!("{service} in"), &inputs, input);
        lengths_match(&format!("{service} out"), &outputs, output);
    }
}

#[test]
fn clients_have_the_published_shares_and_cvs() {
    for (service, rate, top10, cv, ..) in PUBLISHED {
        for seed in [1, 2, 3] {
            let spec = spec(&format!("service = \"{service}\""));
            assert!((spec.rate_rps - rate).abs() < 0.01);
            let source = Servegen::new(spec, seed).expect("valid");
            let clients = source.clients();
            let all: f64 = clients.iter().map(|client| client.share).sum();
            assert!((all - 1.0).abs() < 1e-9, "{service}: {all}");
            let first: f64 = clients[..10].iter().map(|client| client.share).sum();
            assert!((first - top10).abs() < 1e-6, "{service}: {first}");
            let mut by_cv: Vec<_> = clients.iter().map(|one| (one.cv, one.share)).collect();
            by_cv.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (share, wanted) in [0.1, 0.5, 0.9].into_iter().zip(cv) {
                let mut below = 0.0;
                let at = by_cv.iter().find(|one| {
                    below += one.1;
                    below > share
                });
                let got = at.expect("some client").0;
                assert!(
                    (got / wanted - 1.0).abs() < 1e-9,
                    "{service}, P{share}: {got}, not {wanted}"
                );
            }
        }
    }
}

#[test]
fn the_rate_is_the_published_one_over_time() {
    for (service, ..) in PUBLISHED {
        let days = if service == "deepseek-r1" { 1.0 } else { 14.0 };
        let rate = 40_000.0 / (days * 86_400.0);
        let keys = format!(
            "service = \"{service}\"\nrate = \"{rate:.9}/s\"\nduration = \"{}h\"\nblock_tokens = 1048576",
            days * 24.0
        );
        let spec = spec(&keys);
        let rates = spec.rates.clone();
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let mut source = Servegen::new(spec, 1).expect("valid");
        let squares: f64 = source.clients().iter().map(|one| one.share * one.cv * one.cv).sum();
        let mut counts = vec![0.0; rates.len()];
        while let Due::At(_) = source.next_due().expect("generated") {
            let (at, _) = source.take().expect("due");
            counts[(at.as_s() / 600.0) as usize % rates.len()] += 1.0;
        }
        // A renewal process has about mean × CV² as the variance of its count, a sum of them the sum.
        let total: f64 = counts.iter().sum();
        let error = (40_000.0 * squares).sqrt();
        assert!((total - 40_000.0).abs() < 4.0 * error, "{service}: {total} ± {error}");
        // Windows of an hour and their published rates go together.
        let sum =
            |values: &[f64]| values.chunks(6).map(|six| six.iter().sum()).collect::<Vec<f64>>();
        let (counts, rates) = (sum(&counts), sum(&rates));
        let wanted: Vec<f64> = rates.iter().map(|rate| rate / mean / 6.0).collect();
        let n = counts.len() as f64;
        let per = total / n;
        let both: f64 = counts.iter().zip(&wanted).map(|(a, b)| (a / per - 1.0) * (b - 1.0)).sum();
        let [a, b] = [
            counts.iter().map(|a| (a / per - 1.0).powi(2)).sum::<f64>(),
            wanted.iter().map(|b| (b - 1.0).powi(2)).sum::<f64>(),
        ];
        // The slope of counts over rates is 1, within the noise of the counts.
        let slope = both / b;
        let noise = (squares / per / b).sqrt();
        assert!(
            (slope - 1.0).abs() < 4.0 * noise,
            "{service}: slope {slope} ± {noise}, r {}",
            both / (a * b).sqrt()
        );
    }
}

#[test]
fn a_steady_mix_starts_stationary_and_an_offset_is_an_offset() {
    // Many short runs: their mean count is the rate's, also right after the start, however bursty clients are. Time
    // zero is the first request, so counts are compared from some time on.
    let keys = "service = \"m-mid\"\nsteady = true\nrate = \"50/s\"\nduration = \"60s\"\nblock_tokens = 1048576";
    let spec = spec(keys);
    let count = |seed: u64| {
        let mut source = Servegen::new(spec.clone(), seed).expect("valid");
        let mut count = 0.0;
        while let Due::At(_) = source.next_due().expect("generated") {
            source.take().expect("due");
            count += 1.0;
        }
        count
    };
    let counts: Vec<f64> = (1..=60).map(count).collect();
    let n = counts.len() as f64;
    let mean = counts.iter().sum::<f64>() / n;
    let squares = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let error = (squares / n).sqrt();
    assert!((mean - 3_000.0).abs() < 4.0 * error, "{mean} ± {error}");
    // At 26 h into m-small the rate is that of window 156.
    let spec = self::spec(
        "service = \"m-small\"\nstart = \"26h\"\nrate = \"200/s\"\nduration = \"600s\"\ncv = { p10 = 1.0, p50 = 1.0, p90 = 1.0 }\nblock_tokens = 1048576",
    );
    let wanted =
        600.0 * 200.0 * spec.rates[156] * spec.rates.len() as f64 / spec.rates.iter().sum::<f64>();
    let mut source = Servegen::new(spec, 1).expect("valid");
    let mut count = 0.0;
    while let Due::At(_) = source.next_due().expect("generated") {
        source.take().expect("due");
        count += 1.0;
    }
    assert!((count - wanted).abs() < 4.0 * wanted.sqrt(), "{count}, not {wanted}");
}

#[test]
fn what_is_written_out_runs_again_and_other_loads_go_over_it() {
    let load = "[load.poisson]\nrate = \"5/s\"\n";
    for keys in [
        "service = \"m-small\"\nrate = \"3/s\"\nstart = \"5h\"".to_owned(),
        format!("requests = 50\n{load}"),
    ] {
        let once = resolve(&keys).expect("valid");
        let written = once.to_toml();
        let twice = Parsed::new("again", &written, &[] as &[&str]);
        let twice = twice.and_then(|parsed| parsed.resolve(Path::new(""))).expect("valid");
        assert_eq!(twice.to_toml(), written);
        assert_eq!(twice.demand, once.demand);
    }
    let requests = resolve(&format!("requests = 50\n{load}")).expect("valid").requests();
    let mut source = requests.expect("generated").source().expect("generated");
    let mut last = Nanos::ZERO;
    while let Due::At(_) = source.next_due().expect("generated") {
        last = source.take().expect("due").0;
    }
    assert!((2.0..30.0).contains(&last.as_s()), "50 at 5 a second: {last:?}");
    assert!(source.warnings().iter().any(|warning| warning.contains("no cache can hit")));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (keys, wanted) in [
        ("service = \"m-huge\"", "m-large"),
        ("rate = \"0/s\"", "0"),
        ("rate = 5", "rate"),
        ("start = \"400h\"", "start_s: got 1440000"),
        ("clients = 0", "clients: got 0"),
        ("top10_share = 0.01", "top10_share: got 0.01"),
        ("top10_share = 1.0", "top10_share: got 1"),
        ("cv = { p10 = 2.0, p50 = 1.0, p90 = 3.0 }", "cv.p50: got 1"),
        ("cv = { p10 = nan, p50 = 1.0, p90 = 3.0 }", "NaN"),
        ("weibull_share = 1.5", "1.5"),
        ("block_tokens = 0", "block_tokens: got 0"),
        ("tokens = 5", "tokens"),
        ("[load]\nturns = \"after-previous\"", "after-previous"),
        ("[load.recorded]\nspeedup = 2.0", "wanted its `rate`"),
        ("[load.recorded]\nto = \"2s\"", "got a window of servegen"),
    ] {
        let error = resolve(keys).expect_err(keys);
        assert!(error.contains("test:") && error.contains(wanted), "{keys}\n{error}");
    }
    let spec = ServegenSpec { input_tokens: TokenShares(Vec::new()), ..spec("") };
    assert!(Servegen::new(spec, 1).is_err());
}
