//! What a request pays on a link beside its round trip: connections, bandwidth, slow start; and recorded series.

use gorgo_metrics::{Records, RunResult};
use gorgo_model::network::{ClientConnections, Connect, Payload, ProbeConnections};
use gorgo_routing::{Router, RoutingRequest, Target};
use gorgo_scenario::Parsed;
use gorgo_sim::{PolicyRun, RunOptions, World, setup_of};
use gorgo_types::Nanos;
use std::path::Path;

mod support;
use support::{Bench, Listed, MS, profile, record, request};

const S: u64 = 1_000 * MS;

fn run(bench: &Bench, times_ms: &[u64]) -> RunResult {
    let requests =
        (0..).zip(times_ms).map(|(i, at)| (Nanos(at * MS), request(i, 100, 1))).collect();
    let setup = bench.setup(Box::new(Listed::new(requests)), Records::Always);
    World::new(setup).unwrap().run().unwrap()
}

#[test]
fn a_request_without_an_idle_connection_opens_one() {
    let mut bench = Bench::new(profile(), &[20.0]);
    bench.connect = Some(Connect::default());
    // Each request is done at the router 20 + 40 + 20 + 10 ms after it was there, the first at 100 ms.
    let result = run(&bench, &[0, 5, 1_000, 7_000]);
    let connects: Vec<Nanos> = (0..4).map(|i| record(&result, i).parts.connect).collect();
    // The first two have none; the third takes one that is idle for less than 5 s, the last finds all closed.
    assert_eq!(connects, [Nanos(40 * MS), Nanos(40 * MS), Nanos(0), Nanos(40 * MS)]);
    let first = record(&result, 0);
    assert_eq!(first.ttft(), Some(Nanos((20 + 40 + 20 + 10) * MS)));
    assert_eq!(first.parts.network_out, Nanos(10 * MS));
    assert_eq!(result.summary.ttft_parts_ms.map(|parts| parts.connect), Some(30.0));
    bench.connect = Some(Connect { tls_round_trips: 2, pool_size: Some(0), ..Connect::default() });
    let result = run(&bench, &[0, 1_000]);
    assert_eq!(record(&result, 1).parts.connect, Nanos(60 * MS), "nothing is kept");
    bench.connect = Some(Connect { clients: ClientConnections::New, ..Connect::default() });
    let result = run(&bench, &[0, 1_000]);
    assert_eq!(record(&result, 0).parts.connect, Nanos(80 * MS), "the client's and the router's");
    assert_eq!(record(&result, 1).parts.connect, Nanos(40 * MS), "the client's alone");
}

#[test]
fn long_prompts_take_longer_over_thin_links_and_new_connections() {
    let mut bench = Bench::new(profile(), &[20.0]);
    let setup = |bench: &Bench, bits: Option<f64>, clients: Option<f64>| {
        let mut setup = bench
            .setup(Box::new(Listed::new(vec![(Nanos(0), request(0, 10_000, 1))])), Records::Always);
        setup.network = setup
            .network
            .with_payload(Payload { bytes_per_token: 4.0, bytes_per_request: 960 })
            .and_then(|network| network.with_bandwidth(bits, &[], clients))
            .unwrap();
        record(&World::new(setup).unwrap().run().unwrap(), 0)
    };
    let free = setup(&bench, None, None);
    // 40,960 bytes at 8 Mbit/s are 40.96 ms.
    let thin = setup(&bench, Some(8e6), None);
    assert_eq!(thin.parts.network_out, free.parts.network_out + Nanos(40_960_000));
    assert_eq!(thin.ttft(), free.ttft().map(|ttft| ttft + Nanos(40_960_000)));
    let client = setup(&bench, None, Some(80e6));
    assert_eq!(client.parts.client_to_router, free.parts.client_to_router + Nanos(4_096_000));
    // 14,600 + 29,200 bytes go in two windows.
    bench.connect = Some(Connect { initial_window_bytes: Some(14_600), ..Connect::default() });
    let slow = setup(&bench, None, None);
    assert_eq!(slow.parts.network_out, free.parts.network_out + Nanos(20 * MS));
    assert_eq!(slow.parts.connect, Nanos(40 * MS));
}

#[test]
fn an_idle_connection_starts_slow_again_where_it_is_said_to() {
    let mut bench = Bench::new(profile(), &[20.0]);
    let second = |bench: &Bench| {
        let requests =
            vec![(Nanos(0), request(0, 10_000, 1)), (Nanos(3 * S), request(1, 10_000, 1))];
        let mut setup = bench.setup(Box::new(Listed::new(requests)), Records::Always);
        let payload = Payload { bytes_per_token: 4.0, bytes_per_request: 960 };
        setup.network = setup.network.with_payload(payload).unwrap();
        record(&World::new(setup).unwrap().run().unwrap(), 1).parts
    };
    let connect = Connect { initial_window_bytes: Some(14_600), ..Connect::default() };
    bench.connect = Some(connect);
    let warm = second(&bench);
    bench.connect = Some(Connect { slow_start_after_idle: true, ..connect });
    let slow = second(&bench);
    assert_eq!((warm.connect, slow.connect), (Nanos::ZERO, Nanos::ZERO), "the first one's is idle");
    assert_eq!(slow.network_out, warm.network_out + Nanos(20 * MS));
}

/// What the router knows of its first replica's round trip when each request arrives.
fn known_rtts(bench: &Bench, times_ms: &[u64]) -> Vec<f64> {
    let requests = (0..).zip(times_ms).map(|(i, at)| (Nanos(at * MS), request(i, 16, 1))).collect();
    let mut known = Vec::new();
    let mut observer = |_, _: &RoutingRequest<'_>, _, router: &Router, _: Target| {
        known.push(router.signals()[0].rtt_ewma_ms.unwrap());
    };
    let mut setup = bench.setup(Box::new(Listed::new(requests)), Records::Always);
    setup.probe_interval = Some(Nanos(30 * S));
    setup.options = RunOptions { observer: Some(&mut observer), ..RunOptions::default() };
    World::new(setup).unwrap().run().unwrap();
    known
}

#[test]
fn probes_pay_as_they_are_told_to() {
    let mut bench = Bench::new(profile(), &[20.0]);
    bench.router.rtt_ewma_alpha = 1.0;
    let with = |probes| Some(Connect { probes, ..Connect::default() });
    // The probe of 30 s finds the connection of the request at 29 s idle, that of 60 s finds none.
    let times = [1_000, 29_000, 31_000, 61_000];
    bench.connect = with(ProbeConnections::Open);
    assert_eq!(known_rtts(&bench, &times), [20.0, 20.0, 20.0, 20.0]);
    bench.connect = with(ProbeConnections::New);
    assert_eq!(known_rtts(&bench, &times), [60.0, 60.0, 60.0, 60.0]);
    bench.connect = with(ProbeConnections::Pooled);
    assert_eq!(known_rtts(&bench, &times), [60.0, 60.0, 20.0, 60.0]);
}

/// GORGO's own probes, as a link series for probes alone: the simulated router's averages are the published ones.
#[test]
fn the_published_averages_of_gorgos_router_come_out_again() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/gorgo/apr5_1615_probes.csv.gz");
    let text = r#"
        name = "gorgo-v2-probes"
        [[fleet.replicas]]
        name = "ap-seoul"
        region = "ap-seoul"
        profile = "p"
        [[fleet.replicas]]
        name = "eu-frankfurt"
        region = "eu-frankfurt"
        profile = "p"
        [[fleet.replicas]]
        name = "us-ashburn"
        region = "us-ashburn"
        profile = "p"
        [[network.series]]
        built_in = "gorgo-v2-probes"
        applies_to = ["rtt-probes"]
        interpolation = "nearest"
        [workload.prefix_groups]
        requests = 122
        [load.constant]
        rate = "0.0654302 req/s"
        [router]
        region = "us-ashburn"
        policies = ["gorgo"]
        probe_interval = "30.5669s"
        [[profiles]]
        name = "p"
        ms_per_token = 0.01
    "#;
    let scenario = Parsed::new("v2.toml", text, &[] as &[&str])
        .and_then(|parsed| parsed.resolve(Path::new("")))
        .unwrap_or_else(|error| panic!("{error}"));
    // Every second request comes in the middle between two rounds of probes.
    let mut seen: Vec<[f64; 3]> = Vec::new();
    let mut observer = |_, _: &RoutingRequest<'_>, _, router: &Router, _: Target| {
        seen.push([0, 1, 2].map(|i| router.signals()[i].rtt_ewma_ms.unwrap()));
    };
    let source = scenario.requests().unwrap().source().unwrap();
    let options = RunOptions { observer: Some(&mut observer), ..RunOptions::default() };
    let run = PolicyRun { scenario: &scenario, policy: 0, source, options };
    World::new(setup_of(run).unwrap()).unwrap().run().unwrap();
    let rounds: Vec<[f64; 3]> = seen.into_iter().skip(1).step_by(2).collect();
    // What a reader of the table in the paper's log sees, whole ms: the first rounds of each.
    let seen =
        |replica: usize| rounds.iter().map(|round| round[replica].round()).collect::<Vec<_>>();
    assert!(seen(0).starts_with(&[655.0, 764.0, 717.0, 565.0, 631.0, 504.0]), "{:?}", seen(0));
    assert!(seen(1).starts_with(&[330.0, 262.0, 214.0, 288.0, 398.0, 423.0]), "{:?}", seen(1));
    assert!(seen(2).starts_with(&[32.0, 29.0, 30.0, 27.0, 25.0, 33.0]), "{:?}", seen(2));
    assert_eq!(rounds.len(), 61);
    // The requests themselves travel as before: over the path.
    if !published.exists() {
        println!("skipped: {} is not here", published.display());
        return;
    }
    let wanted = published_rounds(&published);
    for (round, (got, wanted)) in rounds.iter().zip(&wanted).enumerate() {
        for (got, wanted) in got.iter().zip(wanted) {
            assert!((got - wanted).abs() < 0.002, "round {round}: {got}, published {wanted}");
        }
    }
}

/// Seoul, Frankfurt, Ashburn of each round, ms.
fn published_rounds(path: &Path) -> Vec<[f64; 3]> {
    let file = std::fs::File::open(path).unwrap();
    let mut reader = csv::Reader::from_reader(flate2::read::GzDecoder::new(file));
    let mut by_replica: [Vec<f64>; 3] = Default::default();
    for row in reader.records() {
        let row = row.unwrap();
        let replica = ["ap-seoul", "eu-frankfurt", "us-ashburn"].iter().position(|r| *r == &row[1]);
        by_replica[replica.unwrap()].push(row[2].parse().unwrap());
    }
    let [a, b, c] = by_replica;
    a.into_iter().zip(b).zip(c).map(|((a, b), c)| [a, b, c]).collect()
}
