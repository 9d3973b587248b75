//! What comes over HTTP is what the model computes: the same arrivals put to a replica in virtual time bring the same
//! events at the same nanoseconds, and a lone request takes what its parts take.

#[expect(dead_code, reason = "each test file uses a part of it")]
mod common;

use common::{Client, FLEET, ask, ms, running, scenario_of};
use gorgo_emulator::station::Recorded;
use gorgo_emulator::{Links, Options, start};
use gorgo_model::{Engine, ReplicaEvent, ReplicaOutput};
use gorgo_text::block_text;
use gorgo_types::BlockId;
use gorgo_wire::body::{Ask, Said};
use gorgo_wire::{Api, Extension};
use std::time::Duration;

/// A body for `/v1/completions`: blocks of 16 tokens by number, the answer's length.
fn body(blocks: &[u64], output_tokens: u64, api: Api) -> Vec<u8> {
    let mut text = String::new();
    for &block in blocks {
        block_text(BlockId(block), 16, &mut text);
    }
    let extension =
        Extension { output_tokens: Some(output_tokens), report_times: true, sequence: None };
    let ask = Ask {
        api,
        model: None,
        prompt: Said::Text(&text),
        max_tokens: output_tokens + 7,
        ignore_eos: true,
        stream: true,
        session: None,
        extension: Some(&extension),
    };
    ask.to_json().unwrap()
}

/// Plays what an engine was told to a new replica, in runs of steps, and gives what it reports.
fn played(recorded: &[Recorded], mut replica: Engine) -> Vec<ReplicaEvent> {
    let mut out = ReplicaOutput::default();
    let until = |replica: &mut Engine, at, out: &mut ReplicaOutput| {
        while let Some(wake) = replica.next_wake().filter(|wake| *wake <= at) {
            replica.advance(wake, out);
        }
    };
    for told in recorded {
        match told {
            Recorded::Arrived { at, key, request } => {
                until(&mut replica, *at, &mut out);
                replica.arrive(*at, *key, request.clone()).unwrap();
            }
            Recorded::Cancelled { at, key } => {
                until(&mut replica, *at, &mut out);
                assert!(replica.cancel(*at, *key));
            }
            Recorded::Failed { at } => {
                until(&mut replica, *at, &mut out);
                drop(replica.fail(*at));
            }
            Recorded::Reported(_) => {}
        }
    }
    while let Some(wake) = replica.next_wake() {
        replica.advance(wake, &mut out);
    }
    out.events
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_are_served_as_the_model_serves_them() {
    fifty_requests(FLEET).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vllm_serves_them_as_its_model_does() {
    fifty_requests(&FLEET.replacen("overhead = \"5ms\"", "overhead = \"5ms\"\nvllm = {}", 1)).await;
}

async fn fifty_requests(fleet: &str) {
    let options = Options { links: Links::None, record: true, ..Options::default() };
    let running = start(&scenario_of(fleet), options).await.unwrap();
    let address = running.replicas()[0].direct;
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..50_u64 {
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(i * 13 % 250)).await;
            // Five groups share 100 blocks; what follows is each request's own.
            let blocks: Vec<u64> = (0..100)
                .map(|b| b + 1_000 * (i % 5))
                .chain((0..i % 9).map(|b| b + 90_000 + i * 100))
                .collect();
            let api = Api::ALL[i as usize % 3];
            let answer = ask(address, api.path(), body(&blocks, 5 + i % 20, api)).await;
            (blocks.len() as u64 * 16, 5 + i % 20, answer)
        });
    }
    let mut cached = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let (prompt_tokens, output_tokens, answer) = ended.unwrap();
        let usage = answer.usage.expect("a usage");
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (prompt_tokens, output_tokens));
        assert!(answer.done && answer.times.is_some());
        cached.push(usage.cached_tokens.unwrap());
    }
    let recorded = running.station("us-0").unwrap().recorded();
    let reported: Vec<ReplicaEvent> = recorded
        .iter()
        .filter_map(|told| if let Recorded::Reported(event) = told { Some(*event) } else { None })
        .collect();
    let replica = Engine::new(scenario_of(fleet).replicas[0].config.clone()).unwrap();
    assert_eq!(played(&recorded, replica), reported);
    let mut simulated: Vec<u64> = reported
        .iter()
        .filter_map(|event| match event {
            ReplicaEvent::FirstToken { cached_tokens, .. } => Some(cached_tokens.get()),
            _ => None,
        })
        .collect();
    cached.sort_unstable();
    simulated.sort_unstable();
    assert_eq!(cached, simulated);
    assert!(cached.iter().filter(|tokens| **tokens >= 1_600).count() >= 30, "{cached:?}");
    let report = running.shutdown().await;
    println!("tokens: {}", report.tokens.in_words());
}

/// What a loaded machine may add to a lone request before the test says that something is wrong.
const LOADED: f64 = 60.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_request_takes_the_network_the_overhead_and_the_prefill() {
    let running = running(Options::default()).await;
    let us = running.replicas()[0].clone();
    let eu = running.replicas()[2].clone();
    for (address, network) in [(us.direct, 0.0), (eu.from_region("azure:eastus"), 80.0)] {
        let mut client = Client::connect(address).await.unwrap();
        // The first one opens the connection, which costs a round trip on a link.
        let warm = client.post("/v1/completions", body(&[1], 2, Api::Completions)).await;
        assert_eq!(warm.status, 200);
        let blocks: Vec<u64> = (5_000..5_256).collect();
        let answer = client.post("/v1/completions", body(&blocks, 10, Api::Completions)).await;
        let times = answer.times.unwrap();
        assert!((times.overhead_ms - 5.0).abs() < 1.0 && times.queue_ms < 1.0, "{times:?}");
        let model = times.overhead_ms + times.queue_ms + times.prefill_ms;
        let got = ms(answer.ttft);
        // A link's round trip scatters around its median, and has a floor of 0.8 of it.
        assert!(got >= model + 0.79 * network, "{got} ms is too early: {times:?}");
        assert!(got <= model + 2.0 * network + LOADED, "{got} ms: {times:?}");
        // Ten tokens, none before the one before it, and each in an event of its own.
        assert_eq!(answer.texts.len(), 10);
        assert!(ms(answer.e2e) >= model + 9.0 * 4.0, "{answer:?}");
        println!(
            "ttft {got:.2} ms = model {model:.2} + network {network} + {:.2}",
            got - model - network
        );
    }
    running.shutdown().await;
}
