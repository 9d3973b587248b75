//! What the client makes of answers: times, tokens, fates.

use crate::support::{Mock, Step, chunk, event, last, scenario, stream_head, streamed, whole};
use gorgo_live::{LiveOutcome, Options, Target};
use gorgo_metrics::{RunResult, Status};
use std::time::Duration;

fn options(url: &str) -> Options {
    Options { lead: Duration::from_millis(100), ..Options::new(vec![Target::parse(url).unwrap()]) }
}

fn only(outcome: &LiveOutcome) -> &RunResult {
    assert_eq!(outcome.policies.len(), 1);
    &outcome.policies[0].rounds[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_and_tokens_come_from_the_stream_and_its_usage() {
    // Eight tokens in four pieces: pieces are no tokens.
    let mock = Mock::start(|_, _| streamed(&[30, 10, 10, 10], [100, 8, 64])).await;
    let outcome = gorgo_live::run(&scenario(12, ""), &options(&mock.url)).await.unwrap();
    let run = only(&outcome);
    assert_eq!((run.summary.requests.injected, run.summary.requests.completed), (12, 12));
    for record in run.records.as_ref().unwrap() {
        record.check().unwrap();
        assert_eq!((record.output_tokens, record.input_tokens, record.cached_tokens), (8, 100, 64));
        let ttft_ms = record.ttft_from_send().unwrap().as_ms();
        assert!((30.0..300.0).contains(&ttft_ms), "{ttft_ms}");
        let e2e_ms = record.e2e().unwrap().as_ms();
        assert!(e2e_ms >= ttft_ms + 29.0, "{e2e_ms} {ttft_ms}");
        assert_eq!(record.attempts, 1);
    }
    let live = run.summary.live.as_ref().unwrap();
    assert_eq!((live.pieces, live.answers_without_usage), (48, 0));
    assert!(run.summary.itl_ms.p50.is_some_and(|gap| (9.0..60.0).contains(&gap)));
    assert!(run.summary.warnings.iter().any(|w| w.contains("96 tokens came in 48 pieces")));
    assert_eq!(mock.count("/v1/completions"), 12);
}

/// The fate of a single request that is answered so, with its reason.
async fn fate(
    answer: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static,
    change: impl FnOnce(&mut Options),
) -> (RunResult, usize) {
    let mock = Mock::start(move |number, _| answer(number)).await;
    let mut options = options(&mock.url);
    change(&mut options);
    let outcome = gorgo_live::run(&scenario(1, ""), &options).await.unwrap();
    (only(&outcome).clone(), mock.count("/v1/completions"))
}

fn status(run: &RunResult) -> Status {
    run.records.as_ref().unwrap()[0].status
}

fn reason(run: &RunResult) -> String {
    let live = run.summary.live.as_ref().unwrap();
    live.failures.keys().cloned().collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_answers_have_their_fates() {
    let error = r#"{"error":{"message":"queue is full"}}"#;
    type Answer = Box<dyn Fn(usize) -> Vec<Step> + Send + Sync>;
    let cases: Vec<(&str, Status, &str, Answer)> = vec![
        (
            "429",
            Status::Rejected,
            "status 429: queue is full",
            Box::new(move |_| vec![whole("429 Too Many", error)]),
        ),
        ("503", Status::Rejected, "status 503: no", Box::new(|_| vec![whole("503 Bad", "no")])),
        ("504", Status::TimedOut, "status 504", Box::new(|_| vec![whole("504 Late", "")])),
        ("500", Status::Failed, "status 500: oops", Box::new(|_| vec![whole("500 Err", "oops")])),
        ("closed", Status::Failed, "the connection broke", Box::new(|_| vec![Step::Close])),
        (
            "cut within a chunk",
            Status::Failed,
            "the connection broke",
            Box::new(|_| {
                vec![
                    stream_head(""),
                    event("abc "),
                    Step::Write(b"ff\r\ndata".to_vec()),
                    Step::Close,
                ]
            }),
        ),
        (
            "ends without saying so",
            Status::Failed,
            "ended without saying so",
            Box::new(|_| vec![stream_head(""), event("abc "), Step::Write(b"0\r\n\r\n".to_vec())]),
        ),
        (
            "no JSON",
            Status::Failed,
            "a malformed answer",
            Box::new(|_| {
                vec![
                    stream_head(""),
                    chunk("data: {\"choices\":[\n\n"),
                    Step::Write(b"0\r\n\r\n".to_vec()),
                ]
            }),
        ),
        (
            "HTML for JSON",
            Status::Failed,
            "a malformed answer",
            Box::new(|_| vec![whole("200 OK", "<html>")]),
        ),
        (
            "no token",
            Status::Failed,
            "without a token",
            Box::new(|_| {
                let mut steps = vec![stream_head("")];
                steps.extend(last(5, 0, 0));
                steps
            }),
        ),
        (
            "an error in the stream",
            Status::Failed,
            "an error in the answer: out of memory",
            Box::new(|_| {
                let mut steps = vec![stream_head(""), event("abc ")];
                steps.push(chunk("data: {\"error\":{\"message\":\"out of memory\"}}\n\n"));
                steps.extend(last(5, 1, 0));
                steps
            }),
        ),
        (
            "silence",
            Status::TimedOut,
            "waited too long for the first token",
            Box::new(|_| vec![Step::Wait(Duration::from_secs(20))]),
        ),
        (
            "an endless answer",
            Status::TimedOut,
            "waited too long for the answer",
            Box::new(|_| vec![stream_head(""), event("abc "), Step::Wait(Duration::from_secs(20))]),
        ),
    ];
    for (name, wanted, words, answer) in cases {
        let (run, _) =
            fate(answer, |options| options.patience.whole = Duration::from_secs(2)).await;
        assert_eq!(status(&run), wanted, "{name}: {}", reason(&run));
        assert!(reason(&run).contains(words), "{name}: {}", reason(&run));
        run.records.as_ref().unwrap()[0].check().unwrap();
        assert_eq!(run.summary.requests.injected, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_tried_again_as_long_as_no_token_has_come() {
    let answer = |number: usize| match number {
        0 => vec![whole("503 Busy", "")],
        1 => vec![Step::Close],
        _ => streamed(&[5], [10, 1, 0]),
    };
    let (run, sent) = fate(answer, |options| options.patience.retries = 2).await;
    let record = run.records.as_ref().unwrap()[0];
    assert_eq!((record.status, record.attempts, sent), (Status::Completed, 3, 3));
    // The first wait of 100 ms, and the second of 200.
    assert!(record.parts.failed_attempts.as_ms() >= 300.0, "{:?}", record.parts);
    assert_eq!(run.summary.live.as_ref().unwrap().retries, 2);
    let broken = |_| vec![stream_head(""), event("abc "), Step::Close];
    let (run, sent) = fate(broken, |options| options.patience.retries = 2).await;
    assert_eq!((status(&run), sent), (Status::Failed, 1));
    let (run, sent) =
        fate(|_| vec![whole("400 Bad", "")], |options| options.patience.retries = 2).await;
    assert_eq!((status(&run), sent), (Status::Failed, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_stream_has_its_first_token_at_its_end() {
    let body = r#"{"choices":[{"text":"abc abc ","finish_reason":"length"}],
        "usage":{"prompt_tokens":40,"completion_tokens":2}}"#;
    let answer = |_| vec![Step::Wait(Duration::from_millis(20)), whole("200 OK", body)];
    let (run, _) = fate(answer, |options| options.stream = false).await;
    let record = run.records.as_ref().unwrap()[0];
    assert_eq!((record.status, record.output_tokens), (Status::Completed, 2));
    assert_eq!(record.first_token, record.finished);
    assert!(record.ttft_from_send().unwrap().as_ms() >= 20.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_usage_the_workloads_tokens_stand_and_the_result_says_so() {
    let answer = |_| {
        vec![
            stream_head(""),
            event("a"),
            event("b"),
            chunk("data: [DONE]\n\n"),
            Step::Write(b"0\r\n\r\n".to_vec()),
        ]
    };
    let (run, _) = fate(answer, |_| ()).await;
    let record = run.records.as_ref().unwrap()[0];
    assert_eq!(record.status, Status::Completed);
    assert!(record.input_tokens > 100 && record.output_tokens >= 100, "{record:?}");
    assert!(run.summary.warnings.iter().any(|w| w.contains("1 of 1 answers came without usage")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxys_headers_are_the_records_parts() {
    let headers = "x-gorgo-replica: azure:westus2-1\r\nx-gorgo-region: azure:westus2\r\nx-gorgo-score: 12.5\r\n\
        x-gorgo-router-queue-ms: 4.25\r\nx-gorgo-routing-ms: 0.125\r\nx-gorgo-predicted-cached-tokens: 48\r\n\
        x-gorgo-attempts: 2\r\nx-gorgo-failed-attempts-ms: nonsense\r\n";
    let answer = move |_| {
        let mut steps =
            vec![Step::Wait(Duration::from_millis(20)), stream_head(headers), event("abc ")];
        steps.extend(last(64, 1, 32));
        steps
    };
    let (run, _) = fate(answer, |_| ()).await;
    let record = run.records.as_ref().unwrap()[0];
    let name = |id: gorgo_types::ReplicaId| run.names.replicas[id.index()].0.as_str();
    assert_eq!(record.replica.map(name), Some("azure:westus2-1"));
    assert_eq!(record.parts.router_queue, gorgo_types::Nanos(4_250_000));
    assert_eq!(record.parts.routing, gorgo_types::Nanos(125_000));
    assert_eq!((record.score, record.predicted_cached_tokens, record.attempts), (12.5, 48, 2));
    record.check().unwrap();
    assert!(
        run.summary.warnings.iter().any(|w| w.contains("1 decision headers could not be read"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emulated_replicas_times_are_the_records_parts() {
    let answer = |_| {
        let mut steps = vec![Step::Wait(Duration::from_millis(40)), stream_head(""), event("abc ")];
        steps.push(chunk(
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1},\
             \"gorgo\":{\"overhead_ms\":1.5,\"queue_ms\":2.25,\"prefill_ms\":30.0}}\n\n",
        ));
        steps.push(chunk("data: [DONE]\n\n"));
        steps.push(Step::Write(b"0\r\n\r\n".to_vec()));
        steps
    };
    let (run, _) = fate(answer, |options| options.emulated = true).await;
    let record = run.records.as_ref().unwrap()[0];
    record.check().unwrap();
    let parts = record.parts;
    let told = [parts.replica_overhead, parts.replica_queue, parts.prefill].map(|part| part.0);
    assert_eq!(told, [1_500_000, 2_250_000, 30_000_000]);
    assert!(parts.network_back.as_ms() > 5.0, "what nobody told is the network's: {parts:?}");
}
