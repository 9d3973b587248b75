//! The client pool: against one that keeps its queue and steps through time, against a real load generator's log, and
//! its bad parameters.

use crate::common::shared_data;
use flate2::read::GzDecoder;
use gorgo_types::{BlockChain, Nanos, Origin, OriginId, Request, RequestId, Tokens};
use gorgo_workload::{
    Client, ClientSpec, ClosedLoop, ClosedLoopSpec, Completed, Due, Outgoing, Source, WorkloadError,
};
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;

/// Requests at given times; the session is the place in the list.
struct Listed {
    times: Vec<Nanos>,
    next: usize,
}

impl Listed {
    fn new(times: impl IntoIterator<Item = Nanos>) -> Self {
        Self { times: times.into_iter().collect(), next: 0 }
    }
}

fn request(session: u64) -> Request {
    Request {
        id: RequestId { session, turn: 0 },
        user: None,
        has_session: false,
        prompt: BlockChain::from_raw_ids([session], Tokens(16), 16).unwrap(),
        output_tokens: Tokens(1),
        max_tokens: Tokens(1),
        sequence: None,
        origin: OriginId(0),
    }
}

impl Source for Listed {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(self.times.get(self.next).map_or(Due::End, |at| Due::At(*at)))
    }
    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        let at = *self.times.get(self.next).ok_or(WorkloadError::NothingDue)?;
        self.next += 1;
        Ok((at, request(self.next as u64 - 1)))
    }
    fn origins(&self) -> &[Origin] {
        &[]
    }
    fn size_hint(&self) -> Option<u64> {
        Some(self.times.len() as u64)
    }
    fn block_tokens(&self) -> u32 {
        16
    }
}

/// Lets the client send everything; a response ends `services` after its sending.
fn drive(source: impl Source + 'static, spec: ClientSpec, services: &[Nanos]) -> Vec<Outgoing> {
    let mut client = Client::new(Box::new(source), &spec).unwrap();
    let mut ends = BinaryHeap::new();
    let mut sent: Vec<Outgoing> = Vec::new();
    loop {
        let next = client.next_send().unwrap();
        assert_eq!(client.next_send().unwrap(), next, "peeking twice changed the answer");
        let end = ends.peek().map(|&Reverse((at, _))| at);
        match (next, end) {
            (Due::At(at), end) if end.is_none_or(|end| at < end) => {
                let outgoing = client.send().unwrap();
                assert_eq!(outgoing.sent, at, "a request went at another time than announced");
                let id = outgoing.request.id;
                ends.push(Reverse((at + services[sent.len()], id.session)));
                sent.push(outgoing);
            }
            (_, Some(at)) => {
                let Reverse((_, session)) = ends.pop().unwrap();
                let id = RequestId { session, turn: 0 };
                client.finished(Completed { id, at, ok: true });
            }
            (Due::End, None) => return sent,
            (next, None) => panic!("{next:?}, but nothing is under way"),
        }
    }
}

/// (offered, sent) of each request, by a client that has its queue and looks at every nanosecond.
fn tick_by_tick(due: &[Nanos], spec: ClientSpec, services: &[Nanos]) -> Vec<(Nanos, Nanos)> {
    let (mut queue, mut busy) = (VecDeque::<usize>::new(), Vec::<Nanos>::new());
    let mut times: Vec<(Nanos, Nanos)> = Vec::new();
    let (mut offered, mut taken, mut now) = (0, 0, Nanos::ZERO);
    while taken < due.len() {
        busy.retain(|end| *end > now);
        loop {
            let worker = spec.workers.is_none_or(|workers| busy.len() < workers as usize);
            let room = match spec.queue {
                None => true,
                Some(0) => worker && queue.is_empty(),
                Some(places) => queue.len() < places as usize,
            };
            // The producer has stamped `times.len()` requests and put `offered` of them.
            if offered == times.len()
                && times.len() < due.len()
                && now >= due[times.len()].max(spec.startup_stall)
            {
                times.push((now, Nanos::MAX));
            } else if offered < times.len() && room {
                queue.push_back(offered);
                offered += 1;
            } else if worker && !queue.is_empty() {
                let request = queue.pop_front().unwrap();
                times[request].1 = now;
                busy.push(now + services[request]);
                taken += 1;
            } else {
                break;
            }
        }
        now += Nanos(1);
    }
    times
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_pool_is_a_queue_with_workers(
        gaps in prop::collection::vec((0..12_u64, 1..40_u64), 1..60),
        workers in prop::option::of(1..5_u32), queue in prop::option::of(0..6_u32), stall in 0..60_u64,
    ) {
        let queue = queue.filter(|_| workers.is_some());
        let spec = ClientSpec { workers, queue, startup_stall: Nanos(stall) };
        let mut now = Nanos::ZERO;
        let due: Vec<Nanos> = gaps.iter().map(|(gap, _)| { now += Nanos(*gap); now }).collect();
        let services: Vec<Nanos> = gaps.iter().map(|(_, service)| Nanos(*service)).collect();
        let sent = drive(Listed::new(due.clone()), spec, &services);
        let wanted = tick_by_tick(&due, spec, &services);
        let found: Vec<_> = sent.iter().map(|out| (out.offered, out.sent)).collect();
        prop_assert_eq!(found, wanted);
        prop_assert!(sent.iter().zip(&due).all(|(out, due)| out.scheduled == *due));
    }
}

#[test]
fn a_full_queue_makes_the_requests_behind_slip() {
    let spec = ClientSpec { workers: Some(1), queue: Some(1), startup_stall: Nanos::ZERO };
    let sent = drive(Listed::new([Nanos(0); 4]), spec, &[Nanos(10); 4]);
    let times: Vec<_> = sent.iter().map(|out| (out.offered.0, out.sent.0)).collect();
    // The third waits for room until the second goes, and the fourth is stamped only then.
    assert_eq!(times, [(0, 0), (0, 10), (0, 20), (10, 30)]);
}

#[test]
fn users_of_a_closed_loop_share_the_workers() {
    let users = ClosedLoopSpec { users: 3, think: Default::default(), ramp_s: 0.0 };
    let key = gorgo_random::Key::new(1);
    let users = ClosedLoop::new(Listed::new([Nanos(0); 5]), &users, key).unwrap();
    let spec = ClientSpec { workers: Some(2), ..ClientSpec::default() };
    let sent = drive(users, spec, &[Nanos(10); 5]);
    let times: Vec<_> = sent.iter().map(|out| (out.scheduled.0, out.sent.0)).collect();
    assert_eq!(times, [(0, 0), (0, 0), (0, 10), (10, 10), (10, 20)]);
}

#[test]
fn what_was_never_sent_can_still_be_counted() {
    let spec = ClientSpec { workers: Some(1), ..ClientSpec::default() };
    let source = Listed::new([0, 5, 7, 9].map(Nanos));
    let mut client = Client::new(Box::new(source), &spec).unwrap();
    client.send().unwrap();
    assert_eq!(client.next_send().unwrap(), Due::Waiting);
    assert_eq!(client.next_due().unwrap(), Due::At(Nanos(5)));
    assert!(matches!(client.send(), Err(WorkloadError::NothingDue)));
    let left = std::iter::from_fn(|| client.never_sent(Nanos(9)).unwrap());
    assert_eq!(left.map(|(at, _)| at.0).collect::<Vec<_>>(), [5, 7]);
}

#[test]
fn parameters_that_make_no_client_are_refused() {
    let spec = |workers, queue| ClientSpec { workers, queue, ..ClientSpec::default() };
    for (bad, field) in [
        (spec(Some(0), None), "workers"),
        (spec(Some(10_000_001), None), "workers"),
        (spec(None, Some(8)), "queue"),
        (spec(Some(1), Some(10_000_001)), "queue"),
    ] {
        let refused = bad.validate().unwrap_err();
        assert!(
            matches!(refused, WorkloadError::Parameter { field: at, .. } if at == field),
            "{refused}"
        );
    }
}

/// One measured run: its name, and what was rebuilt from it elsewhere, by other code: mean in flight; waits for a
/// worker at P95, P99 and most, s; share that waited, %; TTFT from the schedule at P50, P95, P99, ms; E2E likewise, s.
struct Measured {
    policy: &'static str,
    in_flight: f64,
    waits_s: [f64; 3],
    waited_percent: f64,
    ttft_ms: [f64; 3],
    e2e_s: [f64; 3],
}

/// Two of GORGO's measured runs of April 5 (64 workers). Their log has when the generator offered each request and how
/// long it took from its sending; the 64 workers rebuilt from that wait as published in the reference notes.
#[test]
fn a_real_generators_hidden_waits_are_rebuilt() {
    for run in [
        Measured {
            policy: "least-load",
            in_flight: 19.3,
            waits_s: [0.7, 3.7, 6.1],
            waited_percent: 5.9,
            ttft_ms: [800.0, 3_226.0, 6_435.0],
            e2e_s: [3.63, 14.2, 19.3],
        },
        Measured {
            policy: "least-request",
            in_flight: 24.0,
            waits_s: [8.3, 15.6, 20.1],
            waited_percent: 12.6,
            ttft_ms: [1_055.0, 11_343.0, 18_116.0],
            e2e_s: [4.38, 23.1, 30.6],
        },
    ] {
        rebuild(&run);
    }
}

fn rebuild(run: &Measured) {
    let file = format!("gorgo/apr5_1615_measured_{}.csv.gz", run.policy);
    let Some(path) = shared_data(&file) else { return };
    let mut rows = csv::Reader::from_reader(GzDecoder::new(File::open(path).unwrap()));
    // arrival_ms, sent_ms, ttft_ms, e2e_ms
    let mut rows: Vec<[f64; 4]> = rows
        .records()
        .map(|row| [1, 2, 5, 6].map(|column| row.as_ref().unwrap()[column].parse().unwrap()))
        .collect();
    rows.sort_by(|a, b| a[1].total_cmp(&b[1]));
    let times = |column: usize| rows.iter().map(move |row| Nanos::from_ms(row[column]).unwrap());
    let services: Vec<Nanos> = times(3).collect();
    let spec = ClientSpec { workers: Some(64), queue: Some(128), startup_stall: Nanos::ZERO };
    let sent = drive(Listed::new(times(1)), spec, &services);
    assert_eq!(sent.len(), rows.len());
    let waits: Vec<f64> = sent.iter().map(|out| (out.sent - out.scheduled).as_ms()).collect();
    let since_due = |column: usize| {
        let way = sent.iter().zip(&rows);
        sorted(way.map(|(out, row)| out.sent.as_ms() - row[0] + row[column]).collect())
    };
    let same = |what: &str, got: f64, published: f64, unit: f64| {
        let policy = run.policy;
        assert!((got - published).abs() <= 0.501 * unit, "{policy}: {what} {got}, not {published}");
    };
    let busy: f64 = services.iter().map(|service| service.as_s()).sum();
    let ends = sent.iter().zip(&services).map(|(out, service)| (out.sent + *service).as_s());
    // From time zero, the first scheduled arrival, to the last end.
    same("mean in flight", busy / ends.fold(0.0, f64::max), run.in_flight, 0.1);
    let waited = waits.iter().filter(|wait| **wait > 0.0).count() as f64 / waits.len() as f64;
    same("share that waited", 100.0 * waited, run.waited_percent, 0.1);
    let waits = sorted(waits);
    for (at, published) in [0.95, 0.99, 1.0].into_iter().zip(run.waits_s) {
        same("wait", rank(&waits, at) / 1e3, published, 0.1);
    }
    for (at, (ttft, e2e)) in
        [0.5, 0.95, 0.99].into_iter().zip(run.ttft_ms.into_iter().zip(run.e2e_s))
    {
        same("TTFT", rank(&since_due(2), at), ttft, 1.0);
        same("E2E", rank(&since_due(3), at) / 1e3, e2e, if e2e < 10.0 { 0.01 } else { 0.1 });
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The percentile as the published figures take it.
fn rank(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() as f64 * q) as usize).min(sorted.len() - 1)]
}
