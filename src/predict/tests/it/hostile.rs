//! Whatever a table holds: an error that names the column, or times that are numbers. Never a panic.

use crate::support::{Ask, HEADER, assumptions, log};
use gorgo_predict::replay::Answers;
use gorgo_predict::{PredictError, RecordedLog, RecordedLogColumns, replay, snapshot};
use proptest::prelude::*;

/// The message for a good row with one field replaced.
fn complaint(column: &str, value: &str) -> String {
    let row = Ask::default().row();
    let mut fields: Vec<&str> = row.split(',').collect();
    let place = HEADER.split(',').position(|name| name == column).expect("there is that column");
    fields[place] = value;
    let columns = RecordedLogColumns::from_header(HEADER.split(',')).expect("the header is good");
    columns.row(0, &fields).expect_err("the row is bad").to_string()
}

#[test]
fn every_bad_field_is_named_with_what_was_wanted() {
    for (column, value) in [
        ("decided_s", "-1"),
        ("decided_s", "NaN"),
        ("request_tokens", "0"),
        ("engine_prompt_tokens", "0"),
        ("engine_prompt_tokens", ""),
        ("engine_prompt_tokens", "-4"),
        ("engine_prompt_tokens", "99999999999999999999"),
        ("engine_prompt_tokens", "16777217"),
        ("completion_tokens", "0"),
        ("completion_tokens", "1.5"),
        ("status", "99"),
        ("status", "ok"),
        ("ttft_ms", ""),
        ("ttft_ms", "0"),
        ("ttft_ms", "-3"),
        ("ttft_ms", "NaN"),
        ("ttft_ms", "inf"),
        ("ttft_ms", "1e9"),
        ("ttft_ms", "5000"),
        ("e2e_ms", "-1"),
        ("e2e_ms", "1e300"),
        ("chosen", "2"),
        ("r1_rtt_ewma_ms", "inf"),
    ] {
        let message = complaint(column, value);
        assert!(message.contains(&format!("`{column}`")), "{column} = {value}: {message}");
        assert!(message.contains("wanted"), "{column} = {value}: {message}");
    }
}

#[test]
fn missing_columns_rows_out_of_order_and_missing_probes_are_errors() {
    for column in ["status", "ttft_ms", "e2e_ms", "engine_prompt_tokens", "completion_tokens"] {
        let names = HEADER.split(',').filter(|name| *name != column);
        let names: Vec<&str> = names.collect();
        let error = RecordedLogColumns::from_header(names.iter().copied()).expect_err("one lacks");
        assert!(error.to_string().contains(column), "{error}");
    }
    let rows = log(&[Ask { at_s: 2.0, ..Ask::default() }]).rows().to_vec();
    let earlier = log(&[Ask::default()]).rows()[0].clone();
    let mut backwards = RecordedLog::default();
    backwards.push(rows[0].clone()).expect("the first row");
    let error = backwards.push(earlier).expect_err("time went back");
    assert!(error.to_string().contains("decided_s"), "{error}");

    let columns = RecordedLogColumns::from_header(HEADER.split(',')).expect("the header is good");
    let row = Ask::default().row().replace("100,100,", "100,,");
    let row = columns.row(0, &row.split(',').collect::<Vec<_>>()).expect("the row is good");
    let mut unprobed = RecordedLog::default();
    unprobed.push(row).expect("the first row");
    let error = replay(&unprobed, &assumptions(), Answers::Recorded).expect_err("no probe");
    assert!(matches!(error, PredictError::TooFew { .. }), "{error}");
}

#[test]
fn assumptions_out_of_bounds_are_refused() {
    for value in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
        let error = assumptions().with(0, value).expect_err("no overhead is that");
        assert!(error.to_string().contains("overhead_ms"), "{error}");
    }
}

#[test]
fn a_prompt_that_no_engine_holds_is_an_error() {
    let long = log(&[Ask { tokens: 1 << 24, ..Ask::default() }]);
    assert!(replay(&long, &assumptions(), Answers::Recorded).is_err());
    assert!(snapshot(&long, &assumptions()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_good_log_gives_times_that_are_numbers(
        asks in prop::collection::vec(
            (0.0..3.0_f64, 1..40_000_u32, 1..300_u32, 0..4_u8, 0..2_usize, 0..50_000_u32, 0..30_u32),
            1..40,
        )
    ) {
        let mut at_s = 0.0;
        let asks: Vec<Ask> = asks
            .into_iter()
            .map(|(gap, tokens, output, kind, chosen, cached, running)| {
                at_s += gap * gap;
                let status = [200, 200, 400, 502][usize::from(kind)];
                Ask { at_s, tokens, output, status, chosen, cached, running, ttft_ms: 100.0 }
            })
            .collect();
        let log = log(&asks);
        let foretold = replay(&log, &assumptions(), Answers::Recorded).expect("it can be replayed");
        let seen = snapshot(&log, &assumptions()).expect("it can be foretold");
        for (row, (foretold, seen)) in log.rows().iter().zip(foretold.iter().zip(&seen)) {
            prop_assert_eq!(row.ttft_ms().is_some(), foretold.is_some());
            prop_assert_eq!(row.ttft_ms().is_some(), seen.is_some());
            if let (Some(foretold), Some(seen)) = (foretold, seen) {
                let parts = foretold.before_engine_ms + foretold.queue_ms + foretold.prefill_ms;
                prop_assert!((foretold.ttft_ms - parts).abs() < 1e-6, "{:?}", foretold);
                prop_assert!(foretold.ttft_ms >= 80.0 && foretold.e2e_ms >= foretold.ttft_ms);
                prop_assert!(seen.ttft_ms.is_finite() && seen.ttft_ms >= 80.0);
            }
        }
    }
}
