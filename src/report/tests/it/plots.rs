//! Plots of ordinary and of ugly runs: they are whole, stay on the sheet, and say so where there is nothing to show.

use crate::{many, rejected, run};
use gorgo_metrics::RunResult;
use gorgo_report::plot;

fn all(runs: &[RunResult]) -> Vec<String> {
    let runs: Vec<&RunResult> = runs.iter().collect();
    let mut plots = vec![plot::ttft_cdf(&runs), plot::ttft_parts(&runs), plot::timeline(&runs)];
    plots.extend(runs.iter().map(|run| plot::ttft_histogram(run)));
    plots
}

/// The numbers of an attribute, wherever it stands in a tag.
fn numbers<'a>(svg: &'a str, attribute: &str) -> impl Iterator<Item = f64> + 'a {
    let key = format!(" {attribute}=\"");
    let starts: Vec<usize> = svg.match_indices(&key).map(|(at, found)| at + found.len()).collect();
    starts.into_iter().flat_map(|start| {
        let value = svg[start..].split('"').next().unwrap_or_default();
        value.split([' ', ',']).filter_map(|number| number.parse().ok())
    })
}

fn check(svg: &str) {
    let view: Vec<f64> = numbers(svg, "viewBox").collect();
    let [_, _, width, height] = view[..] else { panic!("no viewBox in {svg}") };
    assert!(svg.ends_with("</svg>\n"), "not closed");
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "a number is missing");
    for (index, number) in numbers(svg, "points").enumerate() {
        let limit = if index % 2 == 0 { width } else { height };
        assert!((0.0..=limit).contains(&number), "{number} is off the sheet");
    }
    for (x, y) in numbers(svg, "x").zip(numbers(svg, "y")) {
        assert!(
            (0.0..=width).contains(&x) && (0.0..=height).contains(&y),
            "{x},{y} is off the sheet"
        );
    }
    assert!(numbers(svg, "width").chain(numbers(svg, "height")).all(|size| size >= 0.0));
}

#[test]
fn ordinary_runs() {
    let runs = [run("random", &many(500), 60), run("gorgo", &many(300), 60)];
    for svg in all(&runs) {
        check(&svg);
        assert!(svg.contains("sans-serif"));
    }
}

#[test]
fn twelve_policies_with_long_names() {
    let names: Vec<String> = (0..12)
        .map(|i| format!("policy-{i}-with-a-name-that-does-not-end <&> soon (w=0.{i})"))
        .collect();
    let runs: Vec<_> = names.iter().map(|name| run(name, &many(50), 3)).collect();
    for svg in all(&runs) {
        check(&svg);
        assert!(!svg.contains("<&>"), "names are escaped");
    }
}

#[test]
fn runs_with_nothing_to_show_say_so() {
    let empty = [run("gorgo", &[], 0)];
    let lost = [run("gorgo", &[rejected(1, 0), rejected(2, 5)], 1)];
    for runs in [&empty, &lost] {
        let plots = all(runs);
        plots.iter().for_each(|svg| check(svg));
        assert!(plots[0].contains("No measured request completed"));
        assert!(plots[1].contains("no measured request completed"));
        assert!(plots[3].contains("No measured request completed"));
    }
    assert!(all(&empty)[2].contains("no samples"));
    all(&[]).iter().for_each(|svg| check(svg));
}

#[test]
fn unfinished_requests_are_mentioned_and_percentiles_marked() {
    let mut records = many(100);
    records.extend((0..3).map(|i| rejected(1_000 + i, i)));
    let svg = plot::ttft_histogram(&run("gorgo", &records, 0));
    check(&svg);
    assert!(svg.contains("3 of them did not complete and are in no bin"));
    assert!(svg.contains("P99: never (did not complete)"));
    assert!(svg.contains("P50 "));
}

#[test]
fn one_value_and_huge_ranges_have_axes() {
    let mut records = many(2);
    records[0].first_token = records[1].first_token;
    let equal: Vec<_> = (0..5).map(|i| crate::completed(i, 0, 100, 100)).collect();
    let huge = [crate::completed(1, 0, 5, 10), crate::completed(2, 0, 50_000_000, 50_000_000)];
    let mut collected = Vec::new();
    for records in [&equal[..], &huge[..]] {
        let mut collector =
            gorgo_metrics::Collector::new(Default::default(), &crate::names("gorgo"));
        records.iter().for_each(|record| collector.push(record).unwrap());
        let end = gorgo_types::Nanos::from_secs(100_000);
        collected.push(collector.finish(end, records.len() as u64).unwrap());
    }
    for svg in all(&collected) {
        check(&svg);
    }
    assert!(plot::ttft_cdf(&[&collected[0]]).contains("100 ms"));
}

#[test]
fn the_same_runs_give_the_same_bytes() {
    let runs = || [run("random", &many(200), 30), run("gorgo", &many(200), 30)];
    assert!(all(&runs()) == all(&runs()));
}

/// A tuner's plot is whole with no step, one, and many, with scores that are minus infinity, and weights far apart.
#[test]
fn what_a_tuner_did_is_drawn_whatever_it_was() {
    let weights = |queue, rtt| [("w_queue".to_owned(), queue), ("w_rtt".to_owned(), rtt)].into();
    let summary = gorgo_metrics::TunerSummary {
        strategy: "one_fifth".to_owned(),
        steps: 60,
        accepted: 2,
        start: weights(0.1, 0.5),
        weights: weights(1e-9, 1e9),
    };
    let step = |step: u64| gorgo_routing::tuner::TuneStep {
        step,
        at_ns: gorgo_types::Nanos::from_secs(step * step),
        samples: 32 * step,
        weight: step.is_multiple_of(2).then(|| "w_rtt".to_owned()),
        candidate: vec![0.1 / step as f64, 0.5 * step as f64],
        score: if step == 3 { f64::NEG_INFINITY } else { -1.0 / step as f64 },
        accepted: step % 7 == 1,
        sigma: 0.5,
        best: vec![1e-9, 1e9],
        next: None,
    };
    for steps in [0, 1, 60] {
        let steps: Vec<_> = (1..=steps).map(step).collect();
        let (scenario, policy) = ("test", "a <policy>");
        let tuning =
            gorgo_report::Tuning { scenario, policy, seed: 1, summary: &summary, steps: &steps };
        let svg = plot::tuning(&tuning);
        check(&svg);
        assert_eq!(svg.contains("No step"), steps.is_empty());
        assert_eq!(svg, plot::tuning(&tuning));
    }
}

/// Weights that follow a schedule were neither judged nor drawn: there is no step size and no score to show.
#[test]
fn a_schedule_has_panels_for_its_weights_alone() {
    let weights = |rtt| [("w_rtt".to_owned(), rtt)].into();
    let summary = gorgo_metrics::TunerSummary {
        strategy: "schedule".to_owned(),
        steps: 1,
        accepted: 1,
        start: weights(0.5),
        weights: weights(0.25),
    };
    let mut step = gorgo_routing::tuner::TuneStep {
        step: 1,
        at_ns: gorgo_types::Nanos::from_secs(7),
        samples: 128,
        weight: None,
        candidate: vec![0.25],
        score: 0.0,
        accepted: true,
        sigma: 0.0,
        best: vec![0.25],
        next: None,
    };
    let drawn = |step: &gorgo_routing::tuner::TuneStep| {
        let steps = std::slice::from_ref(step);
        let (scenario, policy) = ("test", "gorgo");
        let svg = plot::tuning(&gorgo_report::Tuning {
            scenario,
            policy,
            seed: 1,
            summary: &summary,
            steps,
        });
        check(&svg);
        ["w_rtt", "in force", "step size", "score", "accepted"].map(|text| svg.contains(text))
    };
    assert_eq!(drawn(&step), [true, true, false, false, false]);
    step.sigma = 0.5;
    assert_eq!(drawn(&step), [true, false, true, true, true]);
}
