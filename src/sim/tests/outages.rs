//! Crashes, cut links and what the router does about them: small worlds by hand, and the laws under load.

use gorgo_metrics::{Records, RunResult, Status};
use gorgo_model::network::{Cut, Links};
use gorgo_random::{Key, Purpose};
use gorgo_scenario::{FailureSpec, Outage};
use gorgo_sim::{RunOptions, World};
use gorgo_types::{Nanos, RegionId, ReplicaId, Request, RequestId};

mod support;
use support::{Bench, Listed, MS, profile, record, request};

fn outage(replica: u32, from_ms: u64, to_ms: u64) -> Outage {
    Outage { replica: ReplicaId(replica), from: Nanos(from_ms * MS), to: Nanos(to_ms * MS) }
}

fn attempts(attempts: u16) -> FailureSpec {
    FailureSpec { attempts, ..FailureSpec::default() }
}

/// Requests of 100 tokens that emit `output` each, sent at these times.
fn requests(times_ms: &[u64], output: u64) -> Vec<(Nanos, Request)> {
    (0..).zip(times_ms).map(|(i, at)| (Nanos(at * MS), request(i, 100, output))).collect()
}

fn run(bench: &Bench, times_ms: &[u64], output: u64) -> RunResult {
    let source = Box::new(Listed::new(requests(times_ms, output)));
    World::new(bench.setup(source, Records::Always)).unwrap().run().unwrap()
}

#[test]
fn a_crash_fails_what_the_replica_held_and_refuses_what_comes() {
    let mut bench = Bench::new(profile(), &[20.0]);
    bench.outages = vec![outage(0, 25, 100)];
    // The first is at the replica from 20 ms on, the second comes at 60 ms, the third at 110 ms.
    let result = run(&bench, &[0, 40, 90], 1);
    let fates = [0, 1, 2].map(|i| (record(&result, i).status, record(&result, i).finished));
    assert_eq!(fates[0], (Status::Failed, Some(Nanos(45 * MS))), "lost at 25 ms, known at 35 ms");
    assert_eq!(fates[1], (Status::Failed, Some(Nanos(80 * MS))), "refused at 60 ms");
    assert_eq!(fates[2], (Status::Completed, Some(Nanos(140 * MS))), "served");
    assert_eq!(result.summary.requests.failed, 2);
    assert_eq!(result.summary.requests.completed, 1);
}

#[test]
fn another_attempt_is_made_and_accounted_for() {
    let mut bench = Bench::new(profile(), &[20.0]);
    bench.outages = vec![outage(0, 25, 100)];
    bench.failures = attempts(10);
    let result = run(&bench, &[0], 1);
    let record = record(&result, 0);
    // Known lost at 35 ms; refused at 45, 65, 85 ms, each known 10 ms later; at 105 ms the replica is back.
    assert_eq!((record.status, record.attempts), (Status::Completed, 5));
    assert_eq!(record.parts.failed_attempts, Nanos(85 * MS));
    assert_eq!(record.ttft(), Some(Nanos(135 * MS)));
    bench.failures = attempts(3);
    let given_up = run(&bench, &[0], 1);
    assert_eq!(given_up.summary.requests.failed, 1);
}

#[test]
fn an_answer_that_has_begun_is_not_tried_again() {
    let mut bench = Bench::new(profile(), &[20.0]);
    bench.failures = attempts(10);
    // The first token leaves at 30 ms, the last would at 1,030 ms.
    bench.outages = vec![outage(0, 500, 600)];
    let result = run(&bench, &[0], 1_001);
    let record = record(&result, 0);
    assert_eq!((record.status, record.attempts), (Status::Failed, 1));
    assert_eq!(record.first_token, Some(Nanos(50 * MS)));
    assert_eq!(record.finished, Some(Nanos(520 * MS)));
}

#[test]
fn outages_may_overlap_and_a_replica_may_crash_twice_at_once() {
    let mut bench = Bench::new(profile(), &[20.0]);
    bench.outages = vec![outage(0, 25, 50), outage(0, 30, 200), outage(0, 25, 26)];
    let result = run(&bench, &[0, 100, 300], 1);
    let fates = [0, 1, 2].map(|i| record(&result, i).status);
    assert_eq!(fates, [Status::Failed, Status::Failed, Status::Completed]);
}

#[test]
fn failed_scrapes_take_a_replica_out_until_one_succeeds() {
    let mut bench = Bench::new(profile(), &[20.0, 60.0]);
    bench.policy = "nearest";
    bench.outages = vec![outage(0, 5, 400)];
    let times = [0, 100, 200, 500];
    let chosen = |bench: &Bench| {
        let mut setup = bench.setup(Box::new(Listed::new(requests(&times, 1))), Records::Always);
        setup.scrape_interval = Some(Nanos(20 * MS));
        let result = World::new(setup).unwrap().run().unwrap();
        [0, 1, 2, 3].map(|i| record(&result, i).replica.map(|replica| replica.0))
    };
    // Scrapes are refused at 30, 50, 70 ms: the router knows of the third at 80 ms, and of a good one at 420 ms.
    assert_eq!(chosen(&bench), [Some(0), Some(1), Some(1), Some(0)]);
    bench.failures.unhealthy_after = 0;
    assert_eq!(chosen(&bench), [Some(0); 4], "a router that does not look");
}

#[test]
fn who_would_wait_for_ever_ends_the_run() {
    let mut bench = Bench::new(profile(), &[20.0]);
    bench.router.max_queue = 10;
    bench.outages = vec![Outage { to: Nanos::MAX, ..outage(0, 5, 6) }];
    let mut setup = bench.setup(Box::new(Listed::new(requests(&[500], 1))), Records::Always);
    setup.scrape_interval = Some(Nanos(20 * MS));
    let error = World::new(setup).unwrap().run().unwrap_err().to_string();
    assert!(error.contains("queues for ever, 1 of them"), "{error}");
}

#[test]
fn a_cut_link_delays_what_is_sent_into_it_or_times_it_out() {
    let bench = Bench::new(profile(), &[20.0, 60.0]);
    let with = |bench: &Bench, from_ms: u64, to_ms: u64| {
        let links = Links::Between(RegionId(0), RegionId(1));
        let cut = Cut { links, from: Nanos(from_ms * MS), to: Nanos(to_ms * MS) };
        let mut setup = bench.setup(Box::new(Listed::new(requests(&[0], 1))), Records::Always);
        setup.network = setup.network.with_changes(&[], &[cut]).unwrap();
        setup.failures = bench.failures;
        setup.options = RunOptions {
            forced: Some((RequestId { session: 0, turn: 0 }, ReplicaId(1))),
            ..RunOptions::default()
        };
        record(&World::new(setup).unwrap().run().unwrap(), 0)
    };
    // At the router at 10 ms, sent again after 260 ms, there 30 ms later, 10 ms of prefill, 30 + 10 ms back.
    let delayed = with(&bench, 5, 200);
    assert_eq!(delayed.ttft(), Some(Nanos((10 + 260 + 30 + 10 + 30 + 10) * MS)));
    assert_eq!(delayed.parts.network_out, Nanos(290 * MS));
    // The answer leaves at 50 ms into the cut: it is sent again at 310 ms.
    let late = with(&bench, 45, 100);
    assert_eq!(late.ttft(), Some(Nanos((310 + 30 + 10) * MS)));
    assert_eq!(late.parts.network_back, Nanos(300 * MS));
    let mut impatient = bench;
    impatient.failures.connect_timeout = Nanos(100 * MS);
    let failed = with(&impatient, 5, 200);
    assert_eq!((failed.status, failed.finished), (Status::Failed, Some(Nanos(120 * MS))));
}

#[test]
fn probes_over_a_cut_link_fail_and_make_the_replica_unhealthy() {
    let mut bench = Bench::new(profile(), &[20.0, 60.0]);
    bench.policy = "nearest";
    bench.failures = FailureSpec { probe_timeout: Nanos(50 * MS), ..FailureSpec::default() };
    let links = Links::Between(RegionId(0), RegionId(0));
    let cut = Cut { links, from: Nanos(5 * MS), to: Nanos(2_000 * MS) };
    let mut setup =
        bench.setup(Box::new(Listed::new(requests(&[1_000, 4_000], 1))), Records::Always);
    setup.network = setup.network.with_changes(&[], &[cut]).unwrap();
    setup.scrape_interval = Some(Nanos(100 * MS));
    setup.probe_interval = Some(Nanos(100 * MS));
    let result = World::new(setup).unwrap().run().unwrap();
    assert_eq!(record(&result, 0).replica, Some(ReplicaId(1)), "the nearest is out of reach");
    assert_eq!(record(&result, 1).replica, Some(ReplicaId(0)), "and back");
}

/// Many crashes and cuts under load: every request ends in one way, replicas keep their books, and the run is the same
/// when it is run again. (The collector and the world assert the laws in every run.)
#[test]
fn nothing_is_lost_or_doubled_under_outages_and_load() {
    let key = Key::new(17).with(Purpose::Arrival);
    let draw = |i: u64, below: u64| key.word(i).draw().below(below);
    for (policy, queue, tries) in [("random", 0, 1), ("gorgo", 50, 3), ("round-robin", 50, 8)] {
        let mut bench = Bench::new(profile(), &[10.0, 40.0, 90.0]);
        bench.policy = policy;
        bench.kv_pool_tokens = 4_000;
        bench.router.max_queue = queue;
        bench.router.max_in_flight_per_replica = (queue > 0).then_some(12);
        bench.failures = FailureSpec { connect_timeout: Nanos(700 * MS), ..attempts(tries) };
        let times = (0..2_000_u64).map(|i| Nanos(i * 8 * MS + draw(i, 8 * MS)));
        let sent: Vec<_> = (0..)
            .zip(times)
            .map(|(i, at)| (at, request(i, 20 + draw(i + 10_000, 300), 1 + draw(i + 20_000, 60))))
            .collect();
        bench.outages = (0..40_u64)
            .map(|i| {
                let from = draw(i + 30_000, 16_000);
                outage((i % 3) as u32, from, from + 1 + draw(i + 40_000, 400))
            })
            .collect();
        let cuts: Vec<Cut> = (0..20_u64)
            .map(|i| {
                let from = Nanos(draw(i + 50_000, 16_000) * MS);
                let links = Links::Between(RegionId(0), RegionId((i % 3) as u32));
                Cut { links, from, to: from + Nanos((1 + draw(i + 60_000, 1_500)) * MS) }
            })
            .collect();
        let once = || {
            let mut setup = bench.setup(Box::new(Listed::new(sent.clone())), Records::Always);
            setup.network = setup.network.with_changes(&[], &cuts).unwrap();
            setup.scrape_interval = Some(Nanos(100 * MS));
            setup.probe_interval = Some(Nanos(100 * MS));
            setup.options.check = true;
            World::new(setup).unwrap().run().unwrap()
        };
        let result = once();
        let count = &result.summary.requests;
        assert_eq!(count.injected, 2_000, "{policy}");
        let ended = count.completed + count.failed + count.rejected + count.timed_out;
        assert_eq!(ended, 2_000, "{policy}: all have ended");
        assert!(count.failed > 0 || tries > 1, "{policy}: something failed");
        assert!(count.completed > 1_000, "{policy}: {count:?}");
        let records = result.records.as_ref().unwrap();
        let tried_again = records.iter().filter(|record| record.attempts > 1).count();
        assert_eq!(tried_again > 0, tries > 1, "{policy}: {tried_again} tried again");
        let again = once();
        assert_eq!(again.records.as_ref(), Some(records), "{policy}");
    }
}
