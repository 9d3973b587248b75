//! Two runs side by side.

use crate::{completed, lost};
use gorgo_metrics::{
    CompareError, RequestRecord, Side, Status, Window, batch_means_interval, compare,
};
use gorgo_types::{Nanos, RequestId};

fn side<'a>(label: &'a str, records: &'a [RequestRecord]) -> Side<'a> {
    Side { label, records, window: Window::default() }
}

#[test]
fn pairs_by_identity_whatever_the_order() {
    let a: Vec<_> = (1..=4).map(|i| completed(i, i * 100, 100, 1_000)).collect();
    // In b: 1 is 20 ms faster, 2 is 50 ms slower, 3 is equal, 4 is missing, 9 is new.
    let b = [
        completed(9, 900, 5, 6),
        completed(3, 300, 100, 1_000),
        completed(2, 200, 150, 1_000),
        completed(1, 100, 80, 1_000),
    ];
    let comparison = compare(&side("a", &a), &side("b", &b)).unwrap();
    assert_eq!((comparison.paired, comparison.only_a, comparison.only_b), (3, 1, 1));
    let ttft = comparison.ttft_difference;
    assert_eq!((ttft.mean_ms, ttft.median_ms), (Some(10.0), Some(0.0)));
    assert_eq!((ttft.p5_ms, ttft.p95_ms), (Some(-20.0), Some(50.0)));
    assert_eq!((ttft.better, ttft.worse), (Some(1.0 / 3.0), Some(1.0 / 3.0)));
    assert_eq!(ttft.mean_ci95_ms, None, "three pairs carry no interval");
    assert_eq!(comparison.a.ttft_ms.p50, Some(100.0));
    assert_eq!(comparison.b.ttft_ms.p50, Some(80.0), "5, 80, 100, 150");
    assert_eq!(comparison.e2e_difference.mean_ms, Some(0.0));
}

#[test]
fn not_finishing_is_worse_than_finishing() {
    let a = [completed(1, 0, 100, 200), completed(2, 0, 100, 200), completed(3, 0, 100, 200)];
    let mut b = a;
    b[0] = lost(1, 0, Some(50), Status::Failed);
    b[1] = completed(2, 0, 90, 200);
    let mut also_lost = a;
    also_lost[0] = lost(1, 0, Some(70), Status::Failed);
    let ttft = compare(&side("a", &a), &side("b", &b)).unwrap().ttft_difference;
    assert_eq!((ttft.completed_in_both, ttft.mean_ms), (2, Some(-5.0)));
    assert_eq!((ttft.better, ttft.worse), (Some(1.0 / 3.0), Some(1.0 / 3.0)));
    let ttft = compare(&side("c", &also_lost), &side("b", &b)).unwrap().ttft_difference;
    assert_eq!((ttft.better, ttft.worse), (Some(1.0 / 3.0), Some(0.0)), "two losses are a tie");
}

#[test]
fn only_measured_requests_are_paired() {
    let a = [completed(1, 100, 10, 20), completed(2, 200, 10, 20)];
    let window = Window { from: Nanos::from_millis(150), to: None };
    let late = Side { window, ..side("a", &a) };
    let comparison = compare(&late, &late).unwrap();
    assert_eq!((comparison.paired, comparison.a.measured), (1, 1));
}

#[test]
fn a_request_twice_is_refused() {
    let a = [completed(1, 0, 10, 20), completed(1, 5, 10, 20)];
    let error = compare(&side("a", &a), &side("b", &[])).unwrap_err();
    let id = RequestId { session: 1, turn: 0 };
    assert_eq!(error, CompareError::Duplicate { label: "a".to_owned(), id });
}

#[test]
fn nothing_to_pair_gives_no_numbers() {
    let comparison = compare(&side("a", &[]), &side("b", &[completed(1, 0, 1, 2)])).unwrap();
    assert_eq!((comparison.paired, comparison.only_b), (0, 1));
    assert_eq!(comparison.ttft_difference.better, None);
    assert_eq!(comparison.ttft_difference.mean_ms, None);
}

#[test]
fn the_interval_by_hand() {
    // 20 batches of 10: ten with mean 1 and ten with mean 3. Sample variance 20 / 19, standard error
    // sqrt(20 / 19 / 20) = 0.229416, times 2.093.
    let values: Vec<f64> = (0..200).map(|i| if i < 100 { 1.0 } else { 3.0 }).collect();
    let [low, high] = batch_means_interval(&values).unwrap();
    assert!((low - (2.0 - 0.480_167)).abs() < 1e-5, "{low}");
    assert!((high - (2.0 + 0.480_167)).abs() < 1e-5, "{high}");
    assert_eq!(batch_means_interval(&values[..199]), None);
}
