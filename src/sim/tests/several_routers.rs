//! Routers in two regions, every nanosecond computed by hand: who serves, who passes on, who hears of the end when.

use gorgo_metrics::{Records, RequestRecord, RunResult, Status};
use gorgo_model::CostProfile;
use gorgo_routing::{Reach, RegionReach, Room, RouterConfig, registry};
use gorgo_sim::{RouterSetup, Setup, World};
use gorgo_types::{BlockChain, Nanos, OriginId, RegionId, ReplicaId, Request, RequestId, Tokens};

mod support;
use support::{Bench, Listed};

const MS: u64 = 1_000_000;
const US: u64 = 1_000;

/// 10 ms inside region 0, where all clients are, 100 ms to region 1, 1 ms inside that; 0.1 ms of prefill per token.
fn bench() -> Bench {
    let profile = CostProfile::constant(Nanos::ZERO, 100_000, Nanos(MS), 0, 0);
    Bench::new(profile, &[10.0, 100.0])
}

fn request(session: u64, output: u64) -> Request {
    let content = (0..7).map(|block| session * 10_000 + block);
    Request {
        id: RequestId { session, turn: 0 },
        user: None,
        has_session: false,
        prompt: BlockChain::from_raw_ids(content, Tokens(100), 16).unwrap(),
        output_tokens: Tokens(output),
        max_tokens: Tokens(output),
        sequence: None,
        origin: OriginId(0),
    }
}

/// A router in each region that serves one request and passes the others on, or lets `max_queue` of them wait.
fn run(max_queue: u32, may_wait: bool, requests: Vec<(Nanos, Request)>) -> RunResult {
    run_with(max_queue, may_wait, requests, |setup| setup.scrape_interval = Some(Nanos(MS)))
}

/// The same with other things changed.
fn run_with(
    max_queue: u32,
    may_wait: bool,
    requests: Vec<(Nanos, Request)>,
    change: impl Fn(&mut Setup<'_>),
) -> RunResult {
    let mut setup = bench().setup(Box::new(Listed::new(requests)), Records::Always);
    let router = |region| {
        let reach = RegionReach {
            region: RegionId(region),
            max_hops: 1,
            local_first: Some(Room { running_requests_below: 1, ..Room::default() }),
            may_wait,
        };
        let config = RouterConfig {
            reach: Reach::Region(reach),
            max_queue,
            block_tokens: 16,
            ..RouterConfig::default()
        };
        let nothing = serde_json::json!({});
        let name = if may_wait { "nearest" } else { "least-request" };
        let policy = registry::build(name, &nothing).unwrap();
        RouterSetup { region: RegionId(region), config, policy }
    };
    setup.routers = vec![router(0), router(1)];
    change(&mut setup);
    // Nobody is under way for so long.
    setup.measure.drain = Some(Nanos(10_000 * MS));
    World::new(setup).unwrap().run().unwrap()
}

fn record(run: &RunResult, session: u64) -> RequestRecord {
    let id = RequestId { session, turn: 0 };
    *run.records.iter().flatten().find(|record| record.id == id).expect("the request is recorded")
}

#[test]
fn what_one_region_has_no_room_for_is_served_in_the_other() {
    let requests = vec![(Nanos::ZERO, request(0, 500)), (Nanos(50 * MS), request(1, 2))];
    let run = run(10, false, requests);
    let here = record(&run, 0);
    assert_eq!((here.replica, here.region), (Some(ReplicaId(0)), Some(RegionId(0))));
    assert_eq!(here.parts.forward, Nanos::ZERO);
    let there = record(&run, 1);
    assert_eq!((there.replica, there.region), (Some(ReplicaId(1)), Some(RegionId(1))));
    assert_eq!(there.status, Status::Completed);
    let parts = there.parts;
    assert_eq!((parts.client_to_router, parts.forward), (Nanos(5 * MS), Nanos(50 * MS)));
    assert_eq!((parts.network_out, parts.prefill), (Nanos(500 * US), Nanos(10 * MS)));
    assert_eq!(parts.network_back, Nanos(500 * US + 50 * MS + 5 * MS));
    assert_eq!(there.ttft(), Some(Nanos(121 * MS)));
    assert_eq!(there.finished, Some(Nanos(50 * MS + 121 * MS + MS)));
}

#[test]
fn who_is_refused_after_a_hop_hears_it_by_way_of_the_first_router() {
    let requests = vec![
        (Nanos::ZERO, request(0, 500)),
        (Nanos(50 * MS), request(1, 500)),
        (Nanos(200 * MS), request(2, 2)),
    ];
    let run = run(0, false, requests);
    assert_eq!(record(&run, 1).region, Some(RegionId(1)));
    let refused = record(&run, 2);
    assert_eq!(refused.status, Status::Rejected);
    // Out: 5 ms to the first router, 50 to the second; and back the same way.
    assert_eq!(refused.finished, Some(Nanos(200 * MS + 110 * MS)));
}

#[test]
fn a_policy_may_wait_for_its_own_region() {
    let requests = vec![(Nanos::ZERO, request(0, 40)), (Nanos(20 * MS), request(1, 2))];
    let run = run(10, true, requests);
    let waited = record(&run, 1);
    // The own region is the nearest, full or not.
    assert_eq!((waited.region, waited.status), (Some(RegionId(0)), Status::Completed));
    assert!(waited.parts.router_queue > Nanos(20 * MS), "{:?}", waited.parts);
    assert_eq!(waited.parts.forward, Nanos::ZERO);
}

#[test]
fn who_waits_for_room_is_looked_at_when_a_scrape_tells_of_it() {
    // Scraped at 35 ms, the first runs; its end passes the router at about 65 ms; that there is room again is known at 70.
    let requests = vec![(Nanos::ZERO, request(0, 40)), (Nanos(45 * MS), request(1, 2))];
    let run = run_with(10, true, requests, |setup| setup.scrape_interval = Some(Nanos(30 * MS)));
    let waited = record(&run, 1);
    assert_eq!((waited.region, waited.status), (Some(RegionId(0)), Status::Completed));
    assert_eq!(
        waited.sent + waited.parts.client_to_router + waited.parts.router_queue,
        Nanos(70 * MS)
    );
}

#[test]
fn a_router_is_slowed_down_by_the_tokens_that_pass_it_and_by_no_others() {
    let at = |session, ms| (Nanos(ms * MS), request(session, 500));
    let run = run_with(0, false, vec![at(0, 0), at(1, 50), at(2, 300)], |setup| {
        setup.scrape_interval = Some(Nanos(MS));
        setup.decision_time = Nanos(4 * MS);
        setup.relay_time_per_token = Nanos(200 * US);
    });
    let routing = [0, 1, 2].map(|session| record(&run, session).parts.routing);
    assert_eq!(routing[0], Nanos(4 * MS), "nothing passes yet");
    // 1,000 tokens a second take a fifth of the first router's time; the second, which decides next, has none to pass on.
    assert_eq!(record(&run, 1).region, Some(RegionId(1)));
    assert_eq!(routing[1], Nanos(5 * MS + 4 * MS));
    // The first passes on the tokens of both, the second's own too; its decision is the only one, for the second has no room.
    assert_eq!(record(&run, 2).status, Status::Rejected);
    assert_eq!(routing[2], Nanos(6_666_667));
}
