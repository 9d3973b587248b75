//! When and what the client sends.

use crate::support::{Mock, Step, scenario, streamed};
use gorgo_live::{CancellationToken, ClientLegs, LiveError, Options, Target};
use gorgo_metrics::Status;
use gorgo_wire::{Api, Asked};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn options(urls: &[&str]) -> Options {
    let targets = urls.iter().map(|url| Target::parse(url).unwrap()).collect();
    Options { lead: Duration::from_millis(100), ..Options::new(targets) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_stays_open_while_answers_take_their_time() {
    // Each answer takes longer than all sendings together.
    let mock = Mock::start(|_, _| streamed(&[1_500], [10, 1, 0])).await;
    let outcome = gorgo_live::run(&scenario(40, ""), &options(&[&mock.url])).await.unwrap();
    let run = &outcome.policies[0].rounds[0];
    let live = run.summary.live.as_ref().unwrap();
    assert_eq!(run.summary.requests.completed, 40);
    let scheduled: Vec<_> = run.records.as_ref().unwrap().iter().map(|r| r.scheduled).collect();
    assert!(scheduled.iter().max() < Some(&gorgo_types::Nanos::from_millis(1_100)));
    // Other work on the machine may delay a few; the median is the client's own.
    assert!(live.send_lag_ms.p50 < Some(5.0), "{:?}", live.send_lag_ms);
    assert!(live.connections >= 40, "each request under way has a connection of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_kept_and_a_closed_one_loses_no_request() {
    let closing = |number: usize, _: &crate::support::Got| {
        let mut steps = streamed(&[1], [10, 1, 0]);
        if number % 5 == 4 {
            steps.push(Step::Close);
        }
        steps
    };
    let mock = Mock::start(closing).await;
    let outcome = gorgo_live::run(&scenario(30, ""), &options(&[&mock.url])).await.unwrap();
    let run = &outcome.policies[0].rounds[0];
    assert_eq!(run.summary.requests.completed, 30, "{:?}", run.summary.live);
    let got = mock.got.lock().unwrap();
    let connections = got.iter().map(|got| got.connection).max().unwrap() + 1;
    assert!((6..25).contains(&connections), "{connections}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_share_what_the_workloads_prompts_share() {
    let mock = Mock::start(|_, _| streamed(&[1], [10, 1, 0])).await;
    let scenario = scenario(20, "");
    gorgo_live::run(&scenario, &options(&[&mock.url])).await.unwrap();
    let mut wanted = Vec::new();
    let mut source = scenario.requests().unwrap().source().unwrap();
    let block_tokens = source.block_tokens();
    while let gorgo_workload::Due::At(_) = source.next_due().unwrap() {
        wanted.push(source.take().unwrap().1);
    }
    let got = mock.got.lock().unwrap();
    let read = |id: &str| {
        let got = got.iter().find(|got| got.header("x-request-id") == Some(id)).unwrap();
        let asked = Asked::parse(Api::Completions, &got.body).unwrap();
        asked.prompt.chain(&gorgo_text::Tokens::default(), 0, block_tokens).unwrap()
    };
    let read: Vec<_> = wanted.iter().map(|request| read(&request.id.to_string())).collect();
    for (a, one) in read.iter().zip(&wanted) {
        assert_eq!(a.tokens(), one.prompt.tokens());
        for (b, other) in read.iter().zip(&wanted) {
            assert_eq!(a.common_blocks(b), one.prompt.common_blocks(&other.prompt));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_workers_waits_for_answers() {
    let mock = Mock::start(|_, _| streamed(&[80], [10, 1, 0])).await;
    let scenario = scenario(20, "[client]\nworkers = 2\n");
    let outcome = gorgo_live::run(&scenario, &options(&[&mock.url])).await.unwrap();
    let run = &outcome.policies[0].rounds[0];
    assert_eq!(run.summary.requests.completed, 20);
    let records = run.records.as_ref().unwrap();
    for record in records {
        let under_way = records.iter().filter(|other| {
            other.sent <= record.sent && other.finished.is_some_and(|end| end > record.sent)
        });
        assert!(under_way.count() <= 2);
    }
    // Two workers at 80 ms each serve 25 a second at most, and 40 come: the queue grows.
    assert!(run.summary.client.unwrap().queue_ms.max > Some(20.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emulated_way_is_waited_for_and_added() {
    let mock = Mock::start(|_, _| streamed(&[1], [10, 1, 0])).await;
    let mut options = options(&[&mock.url]);
    let scenario = scenario(10, "");
    let real = gorgo_live::run(&scenario, &options).await.unwrap();
    options.client_legs = ClientLegs::Emulated;
    let emulated = gorgo_live::run(&scenario, &options).await.unwrap();
    let [real, emulated] = [&real, &emulated].map(|o| &o.policies[0].rounds[0]);
    let leg = emulated.legs[0].rtt_p50_ms;
    assert!(leg > 5.0 && real.legs.is_empty(), "{leg}");
    for record in emulated.records.as_ref().unwrap() {
        let rtt = record.parts.client_to_router + record.parts.network_back;
        assert!(rtt.as_ms() > 0.5 * leg && rtt.as_ms() < 3.0 * leg + 5.0, "{rtt} {leg}");
        assert!(record.ttft().unwrap() >= rtt);
        record.check().unwrap();
    }
    // The simulator's draws: the same for the same request.
    let again = gorgo_live::run(&scenario, &options).await.unwrap();
    let out = |run: &gorgo_metrics::RunResult| {
        let records = run.records.as_ref().unwrap();
        let mut out: Vec<_> = records.iter().map(|r| (r.id, r.parts.client_to_router)).collect();
        out.sort_unstable();
        out
    };
    assert_eq!(out(emulated), out(&again.policies[0].rounds[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_gives_what_there_is() {
    let mock = Mock::start(|_, _| streamed(&[100], [10, 1, 0])).await;
    let mut options = options(&[&mock.url]);
    options.stop = CancellationToken::new();
    options.rounds = 3;
    let stop = options.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(900)).await;
        stop.cancel();
    });
    let began = Instant::now();
    let outcome = gorgo_live::run(&scenario(4_000, ""), &options).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(outcome.interrupted);
    let requests = outcome.policies[0].pooled.summary.requests;
    assert!(requests.completed > 0 && requests.in_flight > 0, "{requests:?}");
    assert!(requests.injected < 1_000, "{requests:?}");
    let records = outcome.policies[0].rounds[0].records.as_ref().unwrap();
    assert_eq!(records.len() as u64, requests.injected);
    let in_flight = records.iter().filter(|record| record.status == Status::InFlight);
    assert_eq!(in_flight.count() as u64, requests.in_flight);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_urls_are_balanced_inside_the_client() {
    let one = Mock::start(|_, _| streamed(&[5], [10, 1, 0])).await;
    let two = Mock::start(|_, _| streamed(&[5], [10, 1, 0])).await;
    let outcome =
        gorgo_live::run(&scenario(20, ""), &options(&[&one.url, &two.url])).await.unwrap();
    let run = &outcome.policies[0].rounds[0];
    assert_eq!(run.summary.requests.completed, 20);
    let path = "/v1/completions";
    assert_eq!((one.count(path), two.count(path)), (10, 10), "round robin");
    for (at, mock) in [&one, &two].into_iter().enumerate() {
        let ids: Vec<String> = mock
            .got
            .lock()
            .unwrap()
            .iter()
            .filter_map(|got| got.header("x-request-id").map(str::to_owned))
            .collect();
        for record in run.records.as_ref().unwrap() {
            let here = ids.contains(&record.id.to_string());
            assert_eq!(here, record.replica.unwrap().index() == at);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_inside_the_client_holds_back_what_no_replica_has_room_for() {
    let one = Mock::start(|_, _| streamed(&[60], [10, 1, 0])).await;
    let two = Mock::start(|_, _| streamed(&[60], [10, 1, 0])).await;
    let toml = "max_in_flight_per_replica = 1\nqueue_limit = 8\nqueue_timeout = \"300ms\"\n";
    let outcome =
        gorgo_live::run(&scenario(40, toml), &options(&[&one.url, &two.url])).await.unwrap();
    let run = &outcome.policies[0].rounds[0];
    let requests = run.summary.requests;
    assert!(requests.completed > 20, "{requests:?}");
    assert!(requests.rejected + requests.timed_out > 0, "{requests:?}");
    let records = run.records.as_ref().unwrap();
    assert!(records.iter().any(|record| record.parts.router_queue.as_ms() > 30.0));
    let sent = [&one, &two].map(|mock| mock.count("/v1/completions")).iter().sum::<usize>();
    assert_eq!(sent as u64, requests.completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_are_pooled_and_tell_how_they_spread() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let mock = Mock::start(move |_, _| {
        // The second round is slower, on a busy machine too.
        let n = counted.fetch_add(1, Ordering::Relaxed);
        streamed(&[if n < 10 { 5 } else { 500 }], [10, 1, 0])
    })
    .await;
    let mut options = options(&[&mock.url]);
    options.rounds = 2;
    let outcome = gorgo_live::run(&scenario(10, ""), &options).await.unwrap();
    let policy = &outcome.policies[0];
    assert_eq!(policy.rounds.len(), 2);
    let summary = &policy.pooled.summary;
    assert_eq!((summary.requests.completed, summary.window.measured), (20, 20));
    let rounds = &summary.live.as_ref().unwrap().rounds;
    assert!(rounds[0].ttft_ms.p50 < rounds[1].ttft_ms.p50);
    assert!(summary.ttft_ms.max >= rounds[1].ttft_ms.p50);
    assert!(policy.pooled.records.is_none());
}

#[tokio::test]
async fn a_target_that_nobody_listens_at_is_told_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = gorgo_live::run(&scenario(1, ""), &options(&[&url])).await.unwrap_err();
    assert!(matches!(&error, LiveError::Unreachable { .. }), "{error}");
    let unknown = options(&["http://127.0.0.1:1", "nowhere=http://127.0.0.1:2"]);
    let error = gorgo_live::run(&scenario(1, ""), &unknown).await.unwrap_err();
    assert!(error.to_string().contains("wanted REPLICA=URL"), "{error}");
}
