//! The warnings that teach, each where it must come and where it must not; and how often a sound run gets one by chance.

use crate::{collector, completed};
use gorgo_metrics::{MeasureSpec, RequestRecord, Status, Summary};
use gorgo_types::Nanos;

/// Exponential draws of mean 1, the same on every platform for our purpose.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -unit.ln()
    }
}

/// One server, exponential service of 100 ms in the mean, Poisson arrivals: `rho` of what it can bear. The first token
/// is the end.
fn queue(rho: f64, requests: usize, seed: u64) -> Vec<RequestRecord> {
    let mut draws = Draws(seed);
    for _ in 0..20 {
        draws.next();
    }
    let (mut now_ms, mut free_ms) = (0.0_f64, 0.0_f64);
    let mut records = Vec::new();
    for session in 0..requests {
        now_ms += 100.0 / rho * draws.next();
        free_ms = free_ms.max(now_ms) + 100.0 * draws.next();
        let taken = (free_ms.ceil() - now_ms.floor()) as u64;
        records.push(completed(session as u64, now_ms as u64, taken, taken));
    }
    records
}

fn summary(spec: MeasureSpec, records: &[RequestRecord]) -> Summary {
    let mut collector = collector(spec);
    let mut end = Nanos::ZERO;
    for record in records {
        end = end.max(record.finished.unwrap_or_default());
        collector.push(record).unwrap();
    }
    collector.finish(end, records.len() as u64).unwrap().summary
}

fn said<'a>(summary: &'a Summary, what: &str) -> Option<&'a str> {
    summary.warnings.iter().map(String::as_str).find(|warning| warning.starts_with(what))
}

const COLD: &str = "the warm-up is too short";

#[test]
fn a_queue_that_grows_to_the_end_is_saturated() {
    for seed in 0..100 {
        let over = summary(MeasureSpec::default(), &queue(1.25, 2_000, seed));
        let warning =
            said(&over, "saturated").unwrap_or_else(|| panic!("seed {seed}: {:?}", over.warnings));
        assert!(warning.contains("stay below") && said(&over, COLD).is_none(), "{warning}");
    }
}

#[test]
fn a_steady_queue_is_hardly_ever_called_saturated_or_cold() {
    let (mut saturated, mut cold) = (0, 0);
    for seed in 0..200 {
        let records = queue(0.7, 6_000, seed);
        // Ten minutes in all, of which the first three are warm-up.
        let spec = MeasureSpec { warm_up: Nanos::from_secs(180), ..MeasureSpec::default() };
        let steady = summary(spec, &records);
        assert!(steady.window.measured > 3_000);
        saturated += u32::from(said(&steady, "saturated").is_some());
        cold += u32::from(said(&steady, COLD).is_some());
    }
    println!("of 200 steady runs {saturated} were called saturated and {cold} cold");
    assert!(saturated <= 2 && cold <= 6, "{saturated} saturated, {cold} cold of 200");
}

#[test]
fn a_closed_loop_is_not_saturated_however_busy() {
    // 50 users, each of whom sends at once when the one before has ended: the backlog is 50 throughout.
    let records: Vec<_> =
        (0..5_000).map(|i| completed(i, i / 50 * 1_000 + i % 50, 900, 1_000)).collect();
    assert_eq!(said(&summary(MeasureSpec::default(), &records), "saturated"), None);
}

#[test]
fn a_cold_start_is_told_until_the_warm_up_covers_it() {
    // The first 60 of 600 s are three times as slow.
    let ttft = |i: u64| if i < 300 { 300 } else { 100 } + i * 7_919 % 40;
    let records: Vec<_> = (0..3_000).map(|i| completed(i, i * 200, ttft(i), ttft(i))).collect();
    let cold = summary(MeasureSpec::default(), &records);
    let warning = said(&cold, COLD).expect("a cold start");
    assert!(warning.contains("set measure.warm_up to 60s or more"), "{warning}");
    let spec = MeasureSpec { warm_up: Nanos::from_secs(60), ..MeasureSpec::default() };
    assert_eq!(said(&summary(spec, &records), COLD), None);
    // A start that is faster than what follows, because queues are empty, is as untypical.
    let ttft = |i: u64| if i < 300 { 40 } else { 100 } + i * 7_919 % 40;
    let records: Vec<_> = (0..3_000).map(|i| completed(i, i * 200, ttft(i), ttft(i))).collect();
    assert!(said(&summary(MeasureSpec::default(), &records), COLD).is_some());
    // A slow trend over the whole run is not a matter of its start.
    let records: Vec<_> =
        (0..3_000).map(|i| completed(i, i * 200, 100 + i / 30, 100 + i / 30)).collect();
    assert_eq!(said(&summary(MeasureSpec::default(), &records), COLD), None);
}

#[test]
fn few_samples_and_hidden_waits_are_told() {
    let records =
        |count: u64| (0..count).map(|i| completed(i, i * 500, 100, 200)).collect::<Vec<_>>();
    let few = summary(MeasureSpec::default(), &records(999));
    let warning = said(&few, "999 requests were measured").expect("too few");
    assert!(
        warning.contains("the slowest 10 of them") && warning.contains("measure 1000 or more"),
        "{warning}"
    );
    assert!(summary(MeasureSpec::default(), &records(1_000)).warnings.is_empty());
    let mut held = records(1_000);
    for record in &mut held[..30] {
        record.sent = record.scheduled + Nanos::from_millis(40);
        record.parts.client_queue = Nanos::from_millis(40);
        record.parts.prefill = record.parts.prefill.saturating_sub(Nanos::from_millis(40));
    }
    let spec = MeasureSpec { client_holds_back: true, ..MeasureSpec::default() };
    let hidden = summary(spec, &held);
    let warning =
        said(&hidden, "3.0 % of the requests waited in the client").expect("hidden waits");
    assert!(
        warning.contains("(P99 40 ms)") && warning.contains("[client] more workers"),
        "{warning}"
    );
    assert_eq!(hidden.client.unwrap().waited_fraction, Some(0.03));
    assert!(summary(spec, &records(1_000)).warnings.is_empty());
}

#[test]
fn nothing_is_said_of_what_did_not_complete_in_order() {
    let records: Vec<_> = (0..2_000)
        .map(|i| RequestRecord { status: Status::Failed, ..completed(i, i * 100, 50, 50) })
        .collect();
    let failed = summary(MeasureSpec::default(), &records);
    assert_eq!((said(&failed, "saturated"), said(&failed, COLD)), (None, None));
}
