//! `workload.wildchat` against the published figures of WildChat: within the sampling error of what is drawn.

use gorgo_scenario::{Parsed, WorkloadSpec};
use gorgo_workload::{ChatGenerator, ChatSpec, Due, Source, TurnTiming};
use std::collections::BTreeMap;
use std::path::Path;

/// Requests drawn.
const REQUESTS: u64 = 60_000;

fn spec(countries: &str) -> ChatSpec {
    let text = include_str!("../../../scenarios/bench/replicas_8.toml");
    let workload = format!(
        "[workload.wildchat]\nrequests = {REQUESTS}\ncountries = \"{countries}\"\n\
         [load.poisson]\nrate = \"50/s\"\n"
    );
    let parsed = Parsed::new("test", &format!("{text}\n{workload}"), &[] as &[&str]);
    let resolved = parsed.and_then(|parsed| parsed.resolve(Path::new(""))).expect("valid");
    let WorkloadSpec::Chat(spec) = resolved.demand.workload else { panic!("chat sessions") };
    ChatSpec { turn_timing: TurnTiming::Recorded, ..spec }
}

/// Sessions by country, and each session's turns.
fn draw(countries: &str) -> (BTreeMap<String, u64>, Vec<u32>) {
    let mut chat = ChatGenerator::new(spec(countries), 5).expect("valid");
    let (mut by_country, mut turns) = (BTreeMap::new(), BTreeMap::new());
    while let Due::At(_) = chat.next_due().expect("generated") {
        let (_, request) = chat.take().expect("due");
        *turns.entry(request.id.session).or_insert(0) += 1;
        if request.id.turn == 0 {
            let origin = &chat.origins()[request.origin.index()];
            *by_country.entry(origin.country.clone().unwrap_or_default()).or_insert(0) += 1;
        }
    }
    let mut turns: Vec<u32> = turns.into_values().collect();
    turns.sort_unstable();
    (by_country, turns)
}

#[test]
fn countries_are_those_of_the_sample() {
    for (sample, published) in [
        ("first-9930", &[("China", 0.2481), ("United States", 0.1171), ("", 0.2433)][..]),
        ("english-188732", &[("China", 0.069), ("United States", 0.3175), ("Hong Kong", 0.055)]),
    ] {
        let (by_country, turns) = draw(sample);
        for &(country, share) in published {
            let n = turns.len() as f64;
            let got = by_country[country] as f64 / n;
            let error = (share * (1.0 - share) / n).sqrt();
            assert!((got - share).abs() < 4.0 * error, "{sample}, {country}: {got}, not {share}");
        }
    }
}

#[test]
fn turns_are_the_published_ones() {
    let (_, turns) = draw("first-9930");
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
    assert!((mean - 2.35).abs() < 0.08, "mean {mean}");
}

#[test]
fn a_sample_that_is_none_is_refused_with_its_place() {
    let text = "[workload.wildchat]\ncountries = \"mars\"\n";
    let error = Parsed::new("test", text, &[] as &[&str]).expect_err("no such sample");
    let error = error.to_string();
    assert!(error.contains("test:2") && error.contains("first-9930"), "{error}");
}
