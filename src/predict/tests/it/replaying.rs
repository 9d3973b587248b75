//! What a forced replay must keep to: times that can be reckoned by hand, causes before effects, replicas apart.

use crate::support::{Ask, assumptions, log};
use gorgo_predict::assumptions::FREE_NUMBERS;
use gorgo_predict::regression::Regression;
use gorgo_predict::replay::Answers;
use gorgo_predict::{Assumptions, Part, RecordedLog, fit, replay, round_trips, snapshot};

fn ttfts(log: &RecordedLog, numbers: &Assumptions) -> Vec<Option<f64>> {
    let foretold = replay(log, numbers, Answers::Recorded).expect("it can be replayed");
    foretold.into_iter().map(|foretold| foretold.map(|f| (f.ttft_ms * 1e3).round() / 1e3)).collect()
}

fn with(numbers: &Assumptions, name: &str, value: f64) -> Assumptions {
    let index = FREE_NUMBERS.iter().position(|free| free.name == name).expect("it is free");
    numbers.with(index, value).expect("it is within its bounds")
}

#[test]
fn a_lone_request_takes_what_its_parts_take() {
    let log = log(&[
        Ask::default(),
        Ask { at_s: 3.0, ..Ask::default() },
        Ask { at_s: 6.0, tokens: 2_000, ..Ask::default() },
        Ask { at_s: 20.0, ..Ask::default() },
        Ask { at_s: 21.0, chosen: 1, ..Ask::default() },
    ]);
    assert_eq!(round_trips(&log).expect("there are probes").len(), 2);
    // Path 100 ms, overhead 30 ms, a pass of 50 or 200 ms; a new connection takes two more round trips.
    let wanted = [380.0, 180.0, 330.0, 380.0, 140.0].map(Some);
    assert_eq!(ttfts(&log, &assumptions()), wanted);
}

#[test]
fn a_long_prompt_waits_for_acknowledgements_and_for_whoever_is_before_it() {
    let both = log(&[
        Ask::default(),
        // 4 bytes a token: 40 kB in windows of 14.6 and 29.2 kB, so one more round trip.
        Ask { at_s: 2.0, tokens: 10_000, ..Ask::default() },
        Ask { at_s: 2.1, ..Ask::default() },
    ]);
    let found = ttfts(&both, &assumptions());
    // The short one needs a connection of its own (200 ms) and comes while the first chunk of 8,192 tokens runs; it
    // shares the pass of the second chunk.
    assert_eq!(found[1], Some(100.0 + 100.0 + 30.0 + 1_002.0));
    assert_eq!(found[2], found[1].map(|long| long - 100.0));
}

#[test]
fn a_refused_prompt_keeps_the_front_end_busy_but_not_when_a_gateway_refused_it() {
    let numbers = with(&assumptions(), "overhead_ms_per_token", 0.01);
    let behind = |status| {
        let asks = [
            Ask { tokens: 30_000, status, chosen: 1, ..Ask::default() },
            Ask { at_s: 0.2, chosen: 1, ..Ask::default() },
        ];
        let found = ttfts(&log(&asks), &numbers);
        assert_eq!(found[0], None, "nothing is foretold of a refused request");
        found[1].expect("it was served")
    };
    assert!(behind(400) > behind(502) + 100.0, "{} and {}", behind(400), behind(502));
}

#[test]
fn reuse_shortens_a_prompt_from_the_least_share_on() {
    let numbers = with(&assumptions(), "reuse_left_tokens", 500.0);
    let of = |cached| {
        let ask = Ask { chosen: 1, tokens: 3_000, cached, ..Ask::default() };
        ttfts(&log(&[Ask { chosen: 1, ..ask }]), &numbers)[0].expect("it was served")
    };
    let cold = of(0);
    assert_eq!(of(1_499), cold, "less than half");
    assert_eq!(of(1_500), cold - 100.0, "1,500 new and 500 again instead of 3,000");
    assert_eq!(of(3_000), cold - 250.0, "all there: a pass of 50 ms");
    assert_eq!(of(9_000), of(3_000), "an index that has more than the prompt");
}

#[test]
fn another_choice_changes_neither_the_past_nor_the_other_replica() {
    let asks: Vec<Ask> = (0..60)
        .map(|i| Ask {
            at_s: f64::from(i) * 0.15,
            tokens: 20 + 700 * (i % 7),
            output: 5 + i % 40,
            chosen: (i % 2) as usize,
            ..Ask::default()
        })
        .collect();
    let mut moved = asks.clone();
    moved[30].status = 502;
    let (before, after) = (ttfts(&log(&asks), &assumptions()), ttfts(&log(&moved), &assumptions()));
    for (index, ask) in asks.iter().enumerate() {
        if ask.chosen != asks[30].chosen || index < 30 {
            assert_eq!(before[index], after[index], "request {index}");
        }
    }
    assert_ne!(before[32..], after[32..], "those behind it notice");
    assert_eq!(before, ttfts(&log(&asks), &assumptions()), "twice the same");
}

#[test]
fn what_a_router_cannot_know_is_not_used_by_the_causal_replay() {
    let asks = |output| {
        let long = Ask { output, ..Ask::default() };
        let next = |i| Ask { at_s: 1.0 + 0.1 * f64::from(i), ..Ask::default() };
        log(&[vec![long], (0..5).map(next).collect()].concat())
    };
    let causal = |output| {
        let log = asks(output);
        let foretold = replay(&log, &assumptions(), Answers::MeanSoFar).expect("it replays");
        foretold[0].map(|foretold| foretold.ttft_ms)
    };
    assert_eq!(causal(2), causal(5_000));
}

#[test]
fn a_snapshot_with_more_running_is_no_faster() {
    let of = |running| {
        let log = log(&[Ask { chosen: 1, running, ..Ask::default() }]);
        let foretold = snapshot(&log, &assumptions()).expect("it can be foretold");
        foretold[0].expect("it was served").ttft_ms
    };
    // Path, overhead, a pass; with others running, half a step before.
    assert_eq!((of(0), of(4)), (100.0, 105.0));
    assert_eq!(of(u32::MAX), of(4_096), "a scrape that cannot be is cut");
}

#[test]
fn a_fit_finds_the_numbers_that_made_a_log() {
    let asks: Vec<Ask> = (0..80)
        .map(|i| Ask { at_s: f64::from(i), tokens: 20 + 150 * (i % 9), ..Ask::default() })
        .collect();
    let truth = with(&with(&assumptions(), "overhead_ms", 55.0), "overhead_ms_per_token", 0.02);
    let made: Vec<Ask> = asks
        .iter()
        .zip(ttfts(&log(&asks), &truth))
        .map(|(ask, ttft)| Ask { ttft_ms: ttft.expect("all are served"), ..*ask })
        .collect();
    let fitted = fit(&log(&made), &assumptions()).expect("it fits");
    assert!(fitted.loss < 0.003 && fitted.loss < fitted.loss_before / 20.0, "{fitted:?}");
    assert!((fitted.assumptions.values()[0] - 55.0).abs() < 1.0, "{fitted:?}");
}

#[test]
fn a_part_left_out_takes_no_time_and_its_numbers_stay() {
    let log = log(&[
        Ask { tokens: 10_000, ..Ask::default() },
        Ask { at_s: 9.0, tokens: 10_000, cached: 10_000, ..Ask::default() },
    ]);
    let numbers = with(&assumptions(), "overhead_ms_per_token", 0.01);
    let of = |part: Option<Part>| {
        let numbers = part.map_or_else(|| numbers.clone(), |part| numbers.clone().without(part));
        let found = ttfts(&log, &numbers);
        [found[0], found[1]].map(|ttft| ttft.expect("it was served"))
    };
    // Connection 200 ms, slow start 100 ms, path 100 ms, tokenizing 100 ms, overhead 30 ms, prefill 1,000 or 50 ms.
    assert_eq!(of(None), [1_530.0, 580.0]);
    assert_eq!(of(Some(Part::Connections)), [1_330.0, 380.0]);
    assert_eq!(of(Some(Part::SlowStart)), [1_430.0, 480.0]);
    assert_eq!(of(Some(Part::FrontEnd)), [1_430.0, 480.0]);
    assert_eq!(of(Some(Part::Reuse)), [1_530.0, 1_530.0]);
    let start = numbers.without(Part::Reuse).without(Part::FrontEnd);
    let fitted = fit(&log, &start).expect("it fits").assumptions;
    assert_eq!((fitted.values()[1], &fitted.values()[3..]), (0.0, &start.values()[3..]));
}

#[test]
fn a_regression_needs_more_requests_than_coefficients() {
    let few = log(&[Ask::default(); 3]);
    let error = Regression::fit(&few).expect_err("three rows for six coefficients");
    assert!(error.to_string().contains("3 requests"), "{error}");
    let refused = log(&[Ask { status: 400, ..Ask::default() }; 9]);
    assert!(Regression::fit(&refused).is_err() && fit(&refused, &assumptions()).is_err());
}
