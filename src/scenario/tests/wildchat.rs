//! `workload.wildchat` against the published figures of WildChat: within the sampling error of what is drawn, which is
//! worked out here and not guessed. An error of four standard deviations comes once in 16,000 draws.

use gorgo_scenario::{Parsed, WorkloadSpec};
use gorgo_types::Nanos;
use gorgo_workload::{ChatGenerator, ChatSpec, Due, Source, TurnTiming};
use std::collections::BTreeMap;
use std::path::Path;

/// Requests drawn.
const REQUESTS: u64 = 60_000;

fn parse(workload: &str) -> Result<ChatSpec, String> {
    let text = include_str!("../../../scenarios/bench/replicas_8.toml");
    let parsed = Parsed::new("test", &format!("{text}\n{workload}"), &[] as &[&str]);
    let resolved = parsed.and_then(|parsed| parsed.resolve(Path::new("")));
    let resolved = resolved.map_err(|error| error.to_string())?;
    let WorkloadSpec::Chat(spec) = resolved.demand.workload else { panic!("chat sessions") };
    Ok(ChatSpec { turn_timing: TurnTiming::Recorded, ..spec })
}

fn spec(keys: &str, rate: &str) -> ChatSpec {
    let workload = format!("[workload.wildchat]\n{keys}\n[load.poisson]\nrate = \"{rate}\"\n");
    parse(&workload).expect("valid")
}

/// What a generated workload holds.
#[derive(Default)]
struct Drawn {
    /// Sessions by country and by state of the United States.
    countries: BTreeMap<String, u64>,
    states: BTreeMap<String, u64>,
    turns: Vec<u32>,
    /// Texts without system prompts, and answers, in tokens.
    user: Vec<u64>,
    output: Vec<u64>,
    /// When sessions begin, and the country of each.
    starts: Vec<(Nanos, String)>,
}

fn draw(spec: ChatSpec, seed: u64) -> Drawn {
    let mut chat = ChatGenerator::new(spec, seed).expect("valid");
    let (mut drawn, mut sessions) = (Drawn::default(), BTreeMap::new());
    while let Due::At(_) = chat.next_due().expect("generated") {
        let (at, request) = chat.take().expect("due");
        let (turns, before) = sessions.entry(request.id.session).or_insert((0, 0));
        *turns += 1;
        let prompt = request.prompt.tokens().0;
        drawn.user.push(prompt - *before);
        drawn.output.push(request.output_tokens.0);
        *before = prompt + request.output_tokens.0;
        if request.id.turn == 0 {
            let origin = &chat.origins()[request.origin.index()];
            let country = origin.country.clone().unwrap_or_default();
            if country == "United States" {
                *drawn.states.entry(origin.state.clone().unwrap_or_default()).or_insert(0) += 1;
            }
            *drawn.countries.entry(country.clone()).or_insert(0) += 1;
            drawn.starts.push((at, country));
        }
    }
    drawn.turns = sessions.into_values().map(|(turns, _)| turns).collect();
    drawn
}

fn assert_share(what: &str, count: u64, of: usize, share: f64) {
    let n = of as f64;
    let (got, error) = (count as f64 / n, (share * (1.0 - share) / n).sqrt());
    assert!((got - share).abs() < 4.0 * error, "{what}: {got}, not {share} ± {error}");
}

#[test]
fn countries_are_those_of_the_sample() {
    for (sample, published) in [
        ("first-9930", &[("China", 0.2481), ("United States", 0.1171), ("", 0.2433)][..]),
        ("english-188732", &[("China", 0.069), ("United States", 0.3175), ("Hong Kong", 0.055)]),
    ] {
        let keys = format!("requests = {REQUESTS}\ncountries = \"{sample}\"\ncurve = \"flat\"");
        let drawn = draw(spec(&keys, "50/s"), 5);
        for &(country, share) in published {
            let what = format!("{sample}, {country}");
            assert_share(&what, drawn.countries[country], drawn.turns.len(), share);
        }
        // The states' sample is of English prompts, whatever that of the countries.
        let americans = drawn.countries["United States"] as usize;
        for (state, prompts) in [("California", 5889.0), ("Michigan", 5470.0), ("", 547.0)] {
            assert_share(state, drawn.states[state], americans, prompts / 37_816.0);
        }
    }
    let plain = spec("us_states = false\nrequests = 10", "50/s");
    assert!(plain.origins.iter().all(|origin| origin.state.is_none()));
}

#[test]
fn turns_are_the_published_ones() {
    let turns = draw(spec(&format!("requests = {REQUESTS}"), "50/s"), 5).turns;
    let n = turns.len() as f64;
    let at_least = |k: u32| turns.iter().filter(|&&turns| turns >= k).count() as f64 / n;
    let error = |share: f64| 4.0 * (share * (1.0 - share) / n).sqrt();
    // A percentile of k turns: at least so many have k, fewer have more.
    for (beyond, k) in [(0.5, 1), (0.1, 5), (0.05, 7), (0.01, 13)] {
        assert!(at_least(k) > beyond - error(beyond), "{k} turns: {}", at_least(k));
        assert!(at_least(k + 1) < beyond + error(beyond), "over {k} turns: {}", at_least(k + 1));
    }
    for (k, share) in [(2, 0.4211), (3, 0.2619), (5, 0.1243), (10, 0.0273)] {
        let got = at_least(k);
        assert!((got - share).abs() < error(share), "at least {k} turns: {got}, not {share}");
    }
    let mean = f64::from(turns.iter().sum::<u32>()) / n;
    let squares: f64 = turns.iter().map(|&turns| (f64::from(turns) - mean).powi(2)).sum();
    let error = (squares / n / n).sqrt();
    assert!((mean - 2.35).abs() < 4.0 * error + 0.005, "mean {mean} ± {error}");
}

/// Raw moments, from the first to the fourth, of a lognormal of this mean and deviation cut to `min..=max`.
fn cut_moments(mean: f64, sd: f64, min: f64, max: f64) -> [f64; 4] {
    let variance = (sd / mean).powi(2).ln_1p();
    let (mu, sigma, steps) = (mean.ln() - variance / 2.0, variance.sqrt(), 200_000);
    let mut moments = [0.0; 4];
    // The middle of each of many equally likely slices would be too coarse in the tail, so: by the density.
    let (from, step) = (-9.0, 18.0 / f64::from(steps));
    for i in 0..steps {
        let z = from + (f64::from(i) + 0.5) * step;
        let weight = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * step;
        let tokens = (mu + sigma * z).exp().round().clamp(min, max);
        let mut power = weight;
        for moment in &mut moments {
            power *= tokens;
            *moment += power;
        }
    }
    moments
}

#[test]
fn lengths_have_the_published_mean_and_deviation() {
    let spec = spec(&format!("requests = {REQUESTS}\nsystem = {{ count = 0 }}"), "50/s");
    let (user, output) = (spec.user_tokens, spec.output_tokens);
    let drawn = draw(spec, 11);
    for (what, spec, lengths, mean, sd) in [
        ("user", user, &drawn.user, 295.58, 1609.18),
        ("assistant", output, &drawn.output, 441.34, 410.91),
    ] {
        // What is drawn from has the published moments: the constants are right.
        let m = cut_moments(spec.mean, spec.sd, f64::from(spec.min), f64::from(spec.max));
        let variance = m[1] - m[0] * m[0];
        assert!((m[0] / mean - 1.0).abs() < 5e-4, "{what}: mean {}", m[0]);
        assert!((variance.sqrt() / sd - 1.0).abs() < 5e-4, "{what}: deviation {}", variance.sqrt());
        // And so has what is drawn, within the error of so many draws of so heavy a tail.
        let n = lengths.len() as f64;
        let got = lengths.iter().sum::<u64>() as f64 / n;
        let error = (variance / n).sqrt();
        assert!((got - mean).abs() < 4.0 * error, "{what}: {got}, not {mean} ± {error}");
        let squares = lengths.iter().map(|&tokens| (tokens as f64 - got).powi(2)).sum::<f64>() / n;
        let fourth = m[3] - 4.0 * m[2] * m[0] + 6.0 * m[1] * m[0] * m[0] - 3.0 * m[0].powi(4);
        let error = ((fourth / (variance * variance) - 1.0) / (4.0 * n)).sqrt() * sd;
        assert!(
            (squares.sqrt() - sd).abs() < 4.0 * error,
            "{what}: {}, not {sd} ± {error}",
            squares.sqrt()
        );
    }
}

#[test]
fn gaps_are_the_published_ones() {
    // 105 conversations an hour, for 60 days, under several seeds: the spread between seeds is the sampling error.
    let gaps = |seed: u64| {
        let spec = spec("duration = \"1440h\"\nusers = 0", "105/min");
        let spec = ChatSpec { turns: gorgo_workload::TurnCount::Fixed { turns: 1 }, ..spec };
        let start = gorgo_workload::SessionStart::Arrivals(gorgo_workload::ArrivalSpec::Poisson {
            rate_rps: 105.0 / 3600.0,
        });
        let starts = draw(ChatSpec { start, ..spec }, seed).starts;
        let mut gaps: Vec<u64> = starts.windows(2).map(|two| (two[1].0 - two[0].0).0).collect();
        gaps.sort_unstable();
        let mean = gaps.iter().sum::<u64>() as f64 / gaps.len() as f64;
        let at = |share: f64| gaps[(gaps.len() as f64 * share) as usize] as f64 / mean;
        (at(0.5), at(0.95))
    };
    let all: Vec<(f64, f64)> = (1..=8).map(gaps).collect();
    let stats = |values: Vec<f64>| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, (squares / (n - 1.0) / n).sqrt())
    };
    // Published: median 22.0 s and P95 108 s, whole and half seconds, of 3600 / 105 s.
    let mean = 3600.0 / 105.0;
    for (what, (got, error), seconds, rounding) in [
        ("median", stats(all.iter().map(|gaps| gaps.0).collect()), 22.0, 0.25),
        ("P95", stats(all.iter().map(|gaps| gaps.1).collect()), 108.0, 0.5),
    ] {
        let wanted = seconds / mean;
        assert!(
            (got - wanted).abs() < 4.0 * error + rounding / mean,
            "{what}: {got} means, not {wanted} ± {error}"
        );
    }
}

#[test]
fn each_country_follows_its_own_clock() {
    // Ten days without drift: sessions of a country by its local hour, against the curve.
    let keys = "duration = \"240h\"\ndrift_cv = 0\nus_states = false\nstart = \"3h\"";
    let spec = spec(keys, "0.5/s");
    let curve = spec.day.clone().expect("the default").hourly;
    assert_eq!(curve.len(), 24);
    let lon: BTreeMap<String, f64> = (spec.origins.iter())
        .filter_map(|origin| Some((origin.country.clone()?, origin.lon?)))
        .collect();
    let spec = ChatSpec { turns: gorgo_workload::TurnCount::Fixed { turns: 1 }, ..spec };
    let starts = draw(spec, 3).starts;
    for country in ["China", "United States", "Russia"] {
        let local: Vec<f64> = (starts.iter().filter(|start| start.1 == country))
            .map(|start| (start.0.as_s() / 3600.0 + 3.0 + lon[country] / 15.0).rem_euclid(24.0))
            .collect();
        let total = curve.iter().sum::<f64>();
        for (hour, rate) in curve.iter().enumerate() {
            let count = local.iter().filter(|local| **local as usize == hour).count() as f64;
            // Between the middles of hours the curve is linear, which blunts its corners.
            let (before, after) = (curve[(hour + 23) % 24], curve[(hour + 1) % 24]);
            let blunt = (before + 6.0 * rate + after) / 8.0;
            let wanted = local.len() as f64 * blunt / total;
            let off = (count - wanted) / wanted.sqrt();
            assert!(off.abs() < 4.5, "{country}, hour {hour}: {count}, wanted {wanted}");
        }
    }
}

#[test]
fn users_stay_where_they_are() {
    let mut chat =
        ChatGenerator::new(spec("requests = 30_000\nusers = 500", "5/s"), 2).expect("valid");
    let mut home = BTreeMap::new();
    while let Due::At(_) = chat.next_due().expect("generated") {
        let (_, request) = chat.take().expect("due");
        let user = request.user.expect("known");
        assert!(user < 500);
        assert_eq!(
            *home.entry(user).or_insert(request.origin),
            request.origin,
            "user {user} moved"
        );
    }
    assert!(home.len() > 490, "{} users", home.len());
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let poisson = "[load.poisson]\nrate = \"1/s\"\n";
    let closed = "[load.concurrent]\nstreams = 5\n";
    let day = |hourly: &str| {
        format!("[workload.chat]\nday = {{ hourly = {hourly}, start = \"1h\" }}\n{poisson}")
    };
    for (text, wanted) in [
        (format!("[workload.wildchat]\ncountries = \"mars\"\n{poisson}"), "first-9930"),
        (format!("[workload.wildchat]\ncurve = \"wavy\"\n{poisson}"), "m-small"),
        (
            format!("[workload.wildchat]\nstart = \"25h\"\n{poisson}"),
            "wanted a number from 0 to 86400",
        ),
        (format!("[workload.wildchat]\nstart = \"1h\"\n{closed}"), "closed loop"),
        (format!("[workload.wildchat]\ndrift_cv = 1e9\n{poisson}"), "day.drift_cv"),
        (day("[1.0]"), "got 1 rates, wanted 24"),
        (day("[]"), "got 0 rates, wanted 24"),
        (day(&format!("[{}]", ["0.0"; 24].join(","))), "got 24 times 0"),
        (day(&format!("[{}]", ["-1.0"; 24].join(","))), "got -1, wanted 24 rates from 0"),
        (day(&format!("[{}]", ["nan"; 24].join(","))), "NaN"),
        (day(&format!("[{}]", ["inf"; 24].join(","))), "inf"),
    ] {
        let error = parse(&text).expect_err(&text);
        assert!(error.contains("test:") && error.contains(wanted), "{text}\n{error}");
    }
    // A closed loop alone is fine: it has no rate that could follow the day.
    let spec = parse(&format!("[workload.wildchat]\n{closed}")).expect("valid");
    assert_eq!(spec.day, None);
}
