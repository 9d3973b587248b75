//! The simulator against queueing theory. A replica that serves one request at a time is an M/D/1 or M/M/1 queue;
//! several behind the router's queue are M/M/c.
//!
//! Two kinds of check. *Exact*: every single wait equals what the textbook recursion (Lindley's, or Kiefer and
//! Wolfowitz' for several servers) gives on the same arrivals and service times. *Statistical*: the mean wait agrees
//! with the formula. How near a mean of n waits must come follows from their correlation, so the quick test uses three
//! standard errors, and the long one enough requests that 1 % is more than three of them.

use gorgo_metrics::{Records, RequestRecord};
use gorgo_random::{Key, Purpose};
use gorgo_sim::World;
use gorgo_types::{BlockChain, Nanos, Origin, OriginId, Request, RequestId, Tokens};
use gorgo_workload::{Due, Source, WorkloadError};
use std::sync::{Arc, Mutex};

mod support;
use support::Bench;

/// Mean service time.
const SERVICE: Nanos = Nanos(10_000_000);
/// One token takes a microsecond of prefill, so service times are exact in whole tokens.
const NS_PER_TOKEN: u64 = 1_000;

#[derive(Clone, Copy, Debug)]
enum Service {
    Constant,
    Exponential,
}

/// Poisson arrivals of requests whose prompt length is their service time.
struct Queue {
    key: Key,
    service: Service,
    mean_gap_ns: f64,
    left: u64,
    taken: u64,
    next_at: Nanos,
    origins: [Origin; 1],
    /// (arrival, service time) of every request, for the recursion.
    log: Arc<Mutex<Vec<(Nanos, Nanos)>>>,
}

impl Queue {
    fn new(service: Service, load: f64, servers: u64, requests: u64) -> Self {
        Self {
            key: Key::new(20_261_121),
            service,
            mean_gap_ns: SERVICE.0 as f64 / (load * servers as f64),
            left: requests,
            taken: 0,
            next_at: Nanos::ZERO,
            origins: [Origin::default()],
            log: Arc::default(),
        }
    }

    fn tokens(&self) -> u64 {
        let mean = (SERVICE.0 / NS_PER_TOKEN) as f64;
        match self.service {
            Service::Constant => mean as u64,
            Service::Exponential => {
                let unit = self.key.with(Purpose::Turn).word(self.taken).draw().unit();
                ((-unit.ln() * mean).round() as u64).max(1)
            }
        }
    }
}

impl Source for Queue {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(if self.left == 0 { Due::End } else { Due::At(self.next_at) })
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        let tokens = self.tokens();
        let at = self.next_at;
        self.log.lock().unwrap().push((at, Nanos(tokens * NS_PER_TOKEN)));
        let prompt = BlockChain::from_raw_ids([self.taken], Tokens(tokens), 1 << 30).unwrap();
        let request = Request {
            id: RequestId { session: self.taken, turn: 0 },
            user: None,
            has_session: false,
            prompt,
            output_tokens: Tokens(1),
            max_tokens: Tokens(1),
            sequence: None,
            origin: OriginId(0),
        };
        self.taken += 1;
        self.left -= 1;
        let unit = self.key.with(Purpose::Arrival).word(self.taken).draw().unit();
        self.next_at = at + Nanos((-unit.ln() * self.mean_gap_ns).round() as u64);
        Ok((at, request))
    }

    fn origins(&self) -> &[Origin] {
        &self.origins
    }
    fn block_tokens(&self) -> u32 {
        1 << 30
    }
}

/// Runs the queue and returns every request's wait with the log of arrivals and services.
fn simulate(
    service: Service,
    load: f64,
    servers: u32,
    requests: u64,
) -> (Vec<RequestRecord>, Vec<(Nanos, Nanos)>) {
    let queue = Queue::new(service, load, u64::from(servers), requests);
    let log = Arc::clone(&queue.log);
    let setup = Bench::queueing(servers, NS_PER_TOKEN).setup(Box::new(queue), Records::Always);
    let result = World::new(setup).unwrap().run().unwrap();
    let log = std::mem::take(&mut *log.lock().unwrap());
    let mut records = result.records.expect("records are kept");
    records.sort_unstable_by_key(|record| record.id);
    (records, log)
}

fn wait(record: &RequestRecord) -> Nanos {
    record.parts.router_queue + record.parts.replica_queue
}

/// Waits by the textbook: each arrival takes the server that is free first.
fn textbook(log: &[(Nanos, Nanos)], servers: usize) -> Vec<Nanos> {
    let mut free_at = vec![Nanos::ZERO; servers];
    log.iter()
        .map(|&(at, service)| {
            let first = free_at.iter_mut().min().expect("at least one server");
            let start = at.max(*first);
            *first = start + service;
            start - at
        })
        .collect()
}

/// Erlang's C formula: the probability that an arrival has to wait.
fn erlang_c(servers: u32, load: f64) -> f64 {
    let offered = load * f64::from(servers);
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 0..servers {
        sum += term;
        term *= offered / f64::from(k + 1);
    }
    let tail = term / (1.0 - load);
    tail / (sum + tail)
}

/// Mean wait in units of the service time.
fn formula(service: Service, load: f64, servers: u32) -> f64 {
    let exponential = erlang_c(servers, load) / (f64::from(servers) * (1.0 - load));
    match service {
        Service::Exponential => exponential,
        Service::Constant => exponential / 2.0,
    }
}

/// Mean wait in units of the service time, and its standard error by batch means.
fn mean_and_error(waits: &[f64]) -> (f64, f64) {
    let batches = 50;
    let size = waits.len() / batches;
    let means: Vec<f64> =
        waits.chunks_exact(size).map(|batch| batch.iter().sum::<f64>() / size as f64).collect();
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (means.len() - 1) as f64;
    (mean, (variance / means.len() as f64).sqrt())
}

fn check(service: Service, load: f64, servers: u32, requests: u64, within: Option<f64>) {
    let (records, log) = simulate(service, load, servers, requests);
    assert_eq!(records.len() as u64, requests);
    if servers == 1 {
        for (record, expected) in records.iter().zip(textbook(&log, 1)) {
            assert_eq!(wait(record), expected, "request {}", record.id);
        }
    } else {
        // Replies take two nanoseconds on the way, so a queued request starts that much later than in the textbook.
        let slack = Nanos(requests * 4);
        for (record, expected) in records.iter().zip(textbook(&log, servers as usize)) {
            let wait = wait(record);
            assert!(wait >= expected.saturating_sub(slack) && wait <= expected + slack);
        }
    }
    let waits: Vec<f64> =
        records.iter().map(|record| wait(record).0 as f64 / SERVICE.0 as f64).collect();
    let (mean, error) = mean_and_error(&waits);
    let expected = formula(service, load, servers);
    let tolerance = within.map_or(3.0 * error, |share| share * expected);
    println!(
        "{service:?} c={servers} rho={load}: mean wait {mean:.4} services, formula {expected:.4}, \
         {:+.2} %, standard error {:.2} %",
        (mean / expected - 1.0) * 100.0,
        error / expected * 100.0
    );
    assert!((mean - expected).abs() <= tolerance, "tolerance {tolerance:.4}");
}

#[test]
fn one_server_with_constant_service_is_m_d_1() {
    for load in [0.5, 0.8, 0.9] {
        check(Service::Constant, load, 1, 200_000, None);
    }
}

#[test]
fn one_server_with_exponential_service_is_m_m_1() {
    for load in [0.5, 0.8, 0.9] {
        check(Service::Exponential, load, 1, 200_000, None);
    }
}

#[test]
fn several_servers_behind_the_routers_queue_are_m_m_c() {
    for (load, servers) in [(0.5, 3), (0.8, 4), (0.9, 8)] {
        check(Service::Exponential, load, servers, 200_000, None);
    }
}

/// The formulas to 1 %, with as many requests as that takes: a mean of n waits of M/M/1 has a relative standard error
/// of about 1.1 % at load 0.8 and 2.1 % at load 0.9 for n = 10^6.
#[test]
#[ignore = "long: run by .ci/long"]
fn mean_waits_are_within_one_percent() {
    for (load, requests) in [(0.5, 4_000_000), (0.8, 16_000_000), (0.9, 50_000_000)] {
        check(Service::Constant, load, 1, requests, Some(0.01));
        check(Service::Exponential, load, 1, requests, Some(0.01));
        check(Service::Exponential, load, 4, requests, Some(0.01));
    }
}
