//! Small worlds whose every nanosecond is computed by hand: a lone request, a queue, regret, keyed draws, limits.

use gorgo_metrics::{ErrorLimit, MeasureSpec, Records, RunResult, Status};
use gorgo_model::{CostProfile, Jitter};
use gorgo_sim::{FirstTokens, World, regret};
use gorgo_types::{Nanos, ReplicaId, Request, RequestId};
use gorgo_workload::ClientSpec;

mod support;
use support::{Bench, Listed, MS, profile, record, request};

fn two_requests() -> Vec<(Nanos, Request)> {
    vec![(Nanos::ZERO, request(0, 100, 1)), (Nanos(MS), request(1, 100, 1))]
}

fn run(bench: &Bench, requests: Vec<(Nanos, Request)>) -> RunResult {
    let setup = bench.setup(Box::new(Listed::new(requests)), Records::Always);
    World::new(setup).unwrap().run().unwrap()
}

#[test]
fn a_lone_request_takes_network_plus_overhead_plus_profile() {
    let mut bench = Bench::new(profile(), &[10.0]);
    bench.overhead = Nanos(3 * MS);
    let result = run(&bench, vec![(Nanos(7), request(0, 123, 5))]);
    let record = record(&result, 0);
    // Client to router and back 10 ms, router to replica and back 10 ms, overhead 3 ms, 123 tokens 12.3 ms.
    assert_eq!(record.ttft(), Some(Nanos(35_300_000)));
    assert_eq!(record.finished, Some(Nanos(7 + 35_300_000 + 4 * MS)));
    assert_eq!(record.parts.client_to_router, Nanos(5 * MS));
    assert_eq!(record.parts.network_out, Nanos(5 * MS));
    assert_eq!(record.parts.replica_overhead, Nanos(3 * MS));
    assert_eq!(record.parts.replica_queue, Nanos::ZERO);
    assert_eq!(record.parts.prefill, Nanos(12_300_000));
    assert_eq!(record.parts.network_back, Nanos(10 * MS));
}

#[test]
fn a_second_request_waits_for_the_first_ones_prefill() {
    let mut bench = Bench::new(profile(), &[10.0, 50.0]);
    bench.policy = "nearest";
    let result = run(&bench, two_requests());
    // The first reaches the replica at 10 ms and is served until 20 ms; the second waits from 11 to 20 ms.
    assert_eq!(record(&result, 0).ttft(), Some(Nanos(30 * MS)));
    assert_eq!(record(&result, 1).ttft(), Some(Nanos(39 * MS)));
    assert_eq!(record(&result, 1).parts.replica_queue, Nanos(9 * MS));
}

#[test]
fn a_router_of_one_thread_decides_on_one_request_after_the_other() {
    let mut bench = Bench::new(profile(), &[10.0, 10.0, 10.0]);
    bench.policy = "round-robin";
    let run = |serial_decisions| {
        let at = |session, ms| (Nanos(ms * MS), request(session, 100, 1));
        // The third comes when the first has just been decided on, the fourth when nobody waits any more.
        let requests = vec![at(0, 0), at(1, 0), at(2, 4), at(3, 30)];
        let mut setup = bench.setup(Box::new(Listed::new(requests)), Records::Always);
        (setup.decision_time, setup.serial_decisions) = (Nanos(4 * MS), serial_decisions);
        World::new(setup).unwrap().run().unwrap()
    };
    let waits = |run: &RunResult| [0, 1, 2, 3].map(|of| record(run, of).parts.router_queue);
    let (serial, side_by_side) = (run(true), run(false));
    assert_eq!(waits(&serial), [Nanos::ZERO, Nanos(4 * MS), Nanos(4 * MS), Nanos::ZERO]);
    assert_eq!(waits(&side_by_side), [Nanos::ZERO; 4]);
    // Each has a replica of its own but the last, which comes when the first is done: 10 ms to the router and back,
    // 4 ms for the decision, 10 ms to the replica and back, 10 ms of prefill; and the wait.
    for (session, wait) in (0..4).zip([0, 4, 4, 0]) {
        assert_eq!(record(&serial, session).ttft(), Some(Nanos((34 + wait) * MS)), "{session}");
        assert_eq!(record(&serial, session).parts.routing, Nanos(4 * MS));
    }
}

#[test]
fn passing_on_tokens_slows_down_the_decisions_of_the_same_thread() {
    let mut bench = Bench::new(profile(), &[10.0, 10.0, 10.0]);
    bench.policy = "round-robin";
    let run = |relay_us: u64| {
        let at = |session, ms, output| (Nanos(ms * MS), request(session, 100, output));
        // The first decodes, a token each millisecond, when the next two come; nobody does when the last comes.
        let requests = vec![at(0, 0, 100), at(1, 30, 1), at(2, 31, 1), at(3, 400, 1)];
        let mut setup = bench.setup(Box::new(Listed::new(requests)), Records::Always);
        (setup.decision_time, setup.serial_decisions) = (Nanos(4 * MS), true);
        setup.relay_time_per_token = Nanos(relay_us * 1_000);
        World::new(setup).unwrap().run().unwrap()
    };
    let waits_and_takes = |run: &RunResult| {
        [0, 1, 2, 3].map(|of| {
            let parts = &record(run, of).parts;
            [parts.router_queue, parts.routing].map(|part| part.0 / MS)
        })
    };
    assert_eq!(waits_and_takes(&run(0)), [[0, 4], [0, 4], [3, 4], [0, 4]]);
    // Half of the thread's time is left, so that everything takes twice as long.
    let half = run(500);
    assert_eq!(waits_and_takes(&half), [[0, 4], [0, 8], [7, 8], [0, 4]]);
    assert_eq!(record(&half, 1).ttft(), Some(Nanos(38 * MS)));
    // Nothing is left: 20 times as long, and no longer.
    assert_eq!(waits_and_takes(&run(5_000)), [[0, 4], [0, 80], [79, 80], [0, 4]]);
}

#[test]
fn regret_is_what_the_other_choice_would_have_given() {
    let mut bench = Bench::new(profile(), &[10.0, 50.0]);
    let of = |bench: &Bench, session| {
        let id = RequestId { session, turn: 0 };
        let run = |forced| {
            let mut setup = bench.setup(Box::new(Listed::new(two_requests())), Records::Always);
            setup.options.forced = forced;
            World::new(setup).unwrap().run().unwrap()
        };
        let first_tokens = |forced| FirstTokens::of(&run(forced)).unwrap();
        let chosen = record(&run(None), session).replica.unwrap();
        let forced = [0, 1].map(|replica| first_tokens(Some((id, ReplicaId(replica)))));
        regret(id, chosen, &first_tokens(None), &forced)
    };
    bench.policy = "nearest";
    // Sent to the far replica, the first takes 5 + 25 + 10 + 25 + 5 = 70 ms, and the second no longer waits 9 ms.
    let first = of(&bench, 0);
    assert_eq!(first.chosen, ReplicaId(0));
    assert_eq!(first.alternatives[0].ttft, Some(Nanos(30 * MS)));
    assert_eq!(first.alternatives[0].others_change_ms, 0.0);
    assert_eq!(first.alternatives[1].ttft, Some(Nanos(70 * MS)));
    assert_eq!(first.alternatives[1].others_change_ms, -9.0);
    assert_eq!((first.own_ms(), first.total_ms()), (Some(0.0), Some(0.0)));
    bench.policy = "round-robin";
    // Round robin sends the second to the far replica: 70 ms instead of 39 ms, and nobody else is touched.
    let second = of(&bench, 1);
    assert_eq!(second.chosen, ReplicaId(1));
    assert_eq!((second.own_ms(), second.total_ms()), (Some(31.0), Some(31.0)));
}

#[test]
fn forcing_one_decision_changes_no_other_requests_draws() {
    let mut bench = Bench::new(profile(), &[10.0, 50.0, 120.0]);
    bench.policy = "random";
    bench.jitter = Jitter::default();
    bench.p95_ratio = 1.5;
    let requests = || (0..60).map(|i| (Nanos(i * 20 * MS), request(i, 64, 8))).collect::<Vec<_>>();
    let with = |forced| {
        let mut setup = bench.setup(Box::new(Listed::new(requests())), Records::Always);
        setup.options.forced = forced;
        World::new(setup).unwrap().run().unwrap()
    };
    let plain = with(None);
    let forced = with(Some((RequestId { session: 5, turn: 0 }, ReplicaId(0))));
    assert_ne!(record(&plain, 5).replica, record(&forced, 5).replica);
    let mut jittered = 0;
    for session in (0..60).filter(|session| *session != 5) {
        let (a, b) = (record(&plain, session), record(&forced, session));
        assert_eq!(a.replica, b.replica, "request {session}");
        assert_eq!(a.parts.client_to_router, b.parts.client_to_router, "request {session}");
        assert_eq!(a.parts.network_out, b.parts.network_out, "request {session}");
        assert_eq!(a.parts.network_back, b.parts.network_back, "request {session}");
        jittered += u32::from(a.parts.client_to_router != Nanos(5 * MS));
    }
    assert!(jittered > 50, "the network did jitter");
}

#[test]
fn drain_leaves_the_slow_ones_in_flight_and_counts_them() {
    let bench = Bench::new(profile(), &[10.0]);
    let mut setup = bench.setup(Box::new(Listed::new(two_requests())), Records::Always);
    setup.measure.drain = Some(Nanos(32 * MS));
    let result = World::new(setup).unwrap().run().unwrap();
    // Time zero to 1 ms + 32 ms: the first is done at 30 ms, the second would be at 40 ms.
    assert_eq!(record(&result, 0).status, Status::Completed);
    assert_eq!(record(&result, 1).status, Status::InFlight);
    assert_eq!(record(&result, 1).first_token, None);
    assert_eq!(result.summary.requests.in_flight, 1);
    assert_eq!(result.summary.ttft_ms.p99, None);
}

#[test]
fn what_has_passed_the_router_when_the_drain_ends_has_ended() {
    let bench = Bench::new(profile(), &[10.0]);
    let mut setup = bench.setup(Box::new(Listed::new(two_requests())), Records::Always);
    setup.measure.drain = Some(Nanos(26 * MS));
    let result = World::new(setup).unwrap().run().unwrap();
    // The end of the first leaves the router at 25 ms and reaches its client at 30 ms, 3 ms after the limit.
    assert_eq!(record(&result, 0).status, Status::Completed);
    assert_eq!(record(&result, 0).finished, Some(Nanos(30 * MS)));
    assert_eq!(record(&result, 1).status, Status::InFlight);
}

#[test]
fn a_request_that_can_never_be_served_is_an_error_that_names_it() {
    let mut bench = Bench::new(profile(), &[10.0]);
    bench.kv_pool_tokens = 90;
    let setup = bench.setup(Box::new(Listed::new(two_requests())), Records::Always);
    let error = World::new(setup).unwrap().run().unwrap_err();
    assert!(error.is_input());
    let text = error.to_string();
    assert!(text.contains("request 0.0") && text.contains("replica `r0`"), "{text}");
}

#[test]
fn the_routers_queue_holds_what_the_gate_refuses() {
    let mut bench = Bench::new(profile(), &[10.0]);
    bench.router.max_in_flight_per_replica = Some(1);
    bench.router.max_queue = 10;
    let result = run(&bench, two_requests());
    // The first's response ends at the router at 25 ms; the second, there since 6 ms, goes then.
    let second = record(&result, 1);
    assert_eq!(second.parts.router_queue, Nanos(19 * MS));
    assert_eq!(second.ttft(), Some(Nanos((5 + 19 + 5 + 10 + 5 + 5) * MS)));
    bench.router.max_queue = 0;
    let refused = run(&bench, two_requests());
    assert_eq!(record(&refused, 1).status, Status::Rejected);
    assert_eq!(refused.summary.requests.rejected, 1);
}

fn run_by(bench: &Bench, client: ClientSpec, [stop, drain]: [Option<u64>; 2]) -> RunResult {
    let requests = (0..3).map(|i| (Nanos(i * MS), request(i, 100, 1))).collect();
    let mut setup = bench.setup(Box::new(Listed::new(requests)), Records::Always);
    setup.client = client;
    setup.measure.client_holds_back = true;
    (setup.measure.stop, setup.measure.drain) =
        (stop.map(|ms| Nanos(ms * MS)), drain.map(|ms| Nanos(ms * MS)));
    World::new(setup).unwrap().run().unwrap()
}

#[test]
fn a_worker_holds_one_request_until_its_end() {
    let bench = Bench::new(profile(), &[10.0]);
    let client = ClientSpec { workers: Some(1), queue: Some(1), startup_stall: Nanos(4 * MS) };
    let result = run_by(&bench, client, [None, None]);
    // Each takes 30 ms from its sending to its end; the third is looked at when the second leaves the queue.
    let times = [(0, 4, 4), (1, 34, 4), (2, 64, 4)];
    for (session, (scheduled, sent, offered)) in times.into_iter().enumerate() {
        let record = record(&result, session as u64);
        assert_eq!((record.scheduled, record.sent), (Nanos(scheduled * MS), Nanos(sent * MS)));
        assert_eq!(record.slip, Nanos((offered - scheduled) * MS));
        assert_eq!(record.parts.client_queue, Nanos((sent - scheduled) * MS));
        assert_eq!(record.ttft_from_send(), Some(Nanos(30 * MS)));
        assert_eq!(record.ttft(), Some(Nanos((sent + 30 - scheduled) * MS)));
    }
    let held = result.summary.client.unwrap();
    assert_eq!((held.queue_ms.p50, held.queue_ms.max), (Some(33.0), Some(62.0)));
    assert_eq!((held.slip_ms.max, held.waited_fraction), (Some(4.0), Some(1.0)));
    let in_flight = result.summary.load.mean_in_flight.unwrap();
    assert!((in_flight - 90.0 / 94.0).abs() < 1e-12, "{in_flight}");
}

#[test]
fn a_stall_lets_all_that_was_due_go_at_once() {
    let bench = Bench::new(profile(), &[10.0]);
    let client = ClientSpec { startup_stall: Nanos(8 * MS), ..ClientSpec::default() };
    let result = run_by(&bench, client, [None, None]);
    let sent: Vec<Nanos> = (0..3).map(|session| record(&result, session).sent).collect();
    assert_eq!(sent, [Nanos(8 * MS); 3]);
}

#[test]
fn what_the_client_still_holds_at_the_cut_is_counted_as_under_way() {
    let bench = Bench::new(profile(), &[10.0]);
    let client = ClientSpec { workers: Some(1), ..ClientSpec::default() };
    // The second is sent at 30 ms and would end at 60 ms; the third is not sent before the cut at 50 ms.
    let result = run_by(&bench, client, [Some(10), Some(40)]);
    assert_eq!(record(&result, 0).status, Status::Completed);
    assert_eq!((record(&result, 1).status, record(&result, 1).attempts), (Status::InFlight, 1));
    assert_eq!((record(&result, 2).status, record(&result, 2).attempts), (Status::InFlight, 0));
    assert_eq!(record(&result, 2).sent, Nanos(50 * MS));
    let summary = &result.summary;
    assert_eq!((summary.requests.injected, summary.requests.in_flight), (3, 2));
    assert_eq!((summary.window.measured, summary.client.unwrap().never_sent), (3, 1));
    assert_eq!(summary.ttft_ms.p50, None, "the second and the third count as infinitely slow");
    // Without a stop, the drain begins when the last request is sent.
    let result = run_by(&bench, client, [None, Some(20)]);
    assert_eq!(
        (record(&result, 2).status, record(&result, 2).sent),
        (Status::InFlight, Nanos(60 * MS))
    );
    assert_eq!(result.summary.duration_s, 0.08);
}

#[test]
fn a_stop_does_not_forget_what_the_client_holds_from_before() {
    let bench = Bench::new(profile(), &[10.0]);
    let client = ClientSpec { workers: Some(1), ..ClientSpec::default() };
    let result = run_by(&bench, client, [Some(3), None]);
    assert_eq!(result.summary.window.measured_completed, 3);
    assert_eq!(record(&result, 2).sent, Nanos(60 * MS));
}

/// Ten requests, one every 10 ms, each served in 10 ms.
fn run_ten(change: impl FnOnce(&mut Bench, &mut MeasureSpec)) -> RunResult {
    let mut bench = Bench::new(profile(), &[10.0]);
    let mut measure = MeasureSpec { records: Records::Always, ..MeasureSpec::default() };
    change(&mut bench, &mut measure);
    let requests = (0..10).map(|i| (Nanos(i * 10 * MS), request(i, 100, 1))).collect();
    let mut setup = bench.setup(Box::new(Listed::new(requests)), Records::Always);
    setup.measure = measure;
    World::new(setup).unwrap().run().unwrap()
}

#[test]
fn phases_are_counted_by_time_or_by_number() {
    let phases = |run: &RunResult| {
        let window = run.summary.window;
        (window.warm_up, window.measured, window.cool_down, window.from_s)
    };
    let by_time = run_ten(|_, measure| {
        (measure.warm_up, measure.stop) = (Nanos(15 * MS), Some(Nanos(40 * MS)));
    });
    // The one at 40 ms and those after keep up the load until the one at 30 ms has ended, at 60 ms.
    assert_eq!(phases(&by_time), (2, 2, 2, 0.015));
    let by_number = run_ten(|_, measure| measure.warm_up_requests = Some(3));
    assert_eq!(phases(&by_number), (3, 7, 0, 0.020_000_001));
    let stopped = run_ten(|_, measure| {
        (measure.warm_up_requests, measure.stop_after_requests) = (Some(3), Some(8));
    });
    assert_eq!(
        (phases(&stopped), stopped.summary.requests.injected),
        ((3, 5, 0, 0.020_000_001), 8)
    );
    let all_warm_up = run_ten(|_, measure| measure.warm_up_requests = Some(11));
    assert_eq!((phases(&all_warm_up).0, phases(&all_warm_up).1), (10, 0));
}

#[test]
fn a_run_gives_up_when_too_many_fail() {
    let run = |errors, window| {
        run_ten(|bench, measure| {
            // Each takes 20 ms at the replica, one at a time, and nothing may wait: every second or third is refused.
            bench.profile = CostProfile::constant(Nanos::ZERO, 200_000, Nanos(MS), 0, 0);
            bench.router.max_in_flight_per_replica = Some(1);
            bench.router.max_queue = 0;
            measure.max_errors = Some(ErrorLimit { errors, window });
        })
    };
    let patient = run(6, 6);
    assert_eq!((patient.summary.requests.injected, patient.summary.requests.in_flight), (10, 0));
    let refused = patient.summary.requests.rejected;
    assert!((4..8).contains(&refused), "{refused} of 10 were refused");
    let strict = run(2, 4);
    let counts = strict.summary.requests;
    assert!(counts.injected < 10 && counts.rejected >= 2, "{counts:?}");
    let warning =
        strict.summary.warnings.iter().find(|text| text.starts_with("given up at")).unwrap();
    assert!(warning.contains("2 of the 4 requests that ended last failed"), "{warning}");
    assert!(!patient.summary.warnings.iter().any(|text| text.starts_with("given up")));
}
