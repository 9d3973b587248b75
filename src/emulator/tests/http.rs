//! The endpoints: what is answered, what is refused, what a client that goes away leaves behind.

#[expect(dead_code, reason = "each test file uses a part of it")]
mod common;

use common::{Client, ask, running};
use gorgo_emulator::{EngineMetrics, Granted, Links, Options, Priority, Running};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

async fn direct(options: Options) -> (Running, SocketAddr) {
    let running = running(Options { links: Links::None, ..options }).await;
    let address = running.replicas()[0].direct;
    (running, address)
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(bytes)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_with_parts_hits_what_a_string_left() {
    let (running, address) = direct(Options::default()).await;
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(40);
    let chat = |content: Value, more: Value| {
        let mut body =
            json!({"messages": [{"role": "user", "content": content}], "max_completion_tokens": 4});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let first = ask(address, "/v1/chat/completions", chat(json!(text), json!({}))).await;
    assert_eq!((first.status, first.usage.unwrap().cached_tokens), (200, Some(0)));
    let (a, b) = text.split_at(700);
    let parts = json!([{"type": "text", "text": a}, {"type": "text", "text": b}]);
    // As GuideLLM asks.
    let guide = json!({"stream": true, "ignore_eos": true,
        "stream_options": {"include_usage": true, "continuous_usage_stats": true}});
    let second = ask(address, "/v1/chat/completions", chat(parts, guide)).await;
    let usage = second.usage.unwrap();
    // A prompt of 450 tokens, of which one at least is computed anew.
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (450, 4));
    assert_eq!(usage.cached_tokens, Some(449));
    assert_eq!((second.texts.len(), second.usages), (4, 5), "a usage in each event and at the end");
    assert!(second.done && second.times.is_none());
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_what_the_request_says_it_is() {
    let (running, address) = direct(Options::default()).await;
    let prompt: String = (0..24).map(|i| format!("p{i:02} ")).collect();
    let answer: String = (0..40).map(|i| format!("a{i:02} ")).collect();
    // The first of the prompt's two blocks is kept; the rest of the prompt begins the text that follows.
    let rest = &prompt[64..];
    let body = json!({"prompt": prompt, "max_tokens": 60, "gorgo": {"output_tokens": 40,
        "sequence": {"prompt_tokens_kept": 16, "text": format!("{rest}{answer}")}}});
    let got = json(&ask(address, "/v1/completions", body.to_string()).await.body);
    assert_eq!(got["choices"][0]["text"], answer);
    assert_eq!(got["choices"][0]["finish_reason"], "stop");
    // The next turn has all of it in its prompt but the last token, whose KV was never computed.
    let next = json!({"prompt": format!("{prompt}{answer}and more"), "max_tokens": 1});
    let usage = ask(address, "/v1/completions", next.to_string()).await.usage.unwrap();
    assert_eq!(usage.cached_tokens, Some(48), "three whole blocks of 63 tokens");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_is_answered_like_a_short_one() {
    let (running, address) = direct(Options::default()).await;
    // Above and below what is parsed where time is kept, and refused on either way.
    for characters in [80_000, 8_000] {
        let body = json!({"prompt": "x".repeat(characters), "max_tokens": 3, "stream": true,
            "stream_options": {"include_usage": true}, "gorgo": {"report_times": true}});
        let answer = ask(address, "/v1/completions", body.to_string()).await;
        let usage = answer.usage.unwrap();
        assert_eq!(usage.prompt_tokens, characters as u64 / 4);
        assert!(answer.done && answer.times.is_some());
        let wrong = json!({"prompt": ["x".repeat(characters), "y"]});
        assert_eq!(ask(address, "/v1/completions", wrong.to_string()).await.status, 400);
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_whether_time_is_kept_with_priority() {
    for priority in [Priority::Auto, Priority::Normal] {
        let running = running(Options { priority, ..Options::default() }).await;
        let status = json(&ask_control(&running).await);
        let report = running.shutdown().await;
        let timing = &status["timing"];
        assert_eq!(timing["threads"].as_u64(), Some(report.timing.threads as u64));
        assert!(report.timing.threads >= 1);
        match &report.timing.granted {
            Granted::RealTime => {
                assert_eq!(priority, Priority::Auto);
                assert_eq!(timing["priority"], "real-time");
            }
            Granted::Normal { why } => {
                assert_eq!(timing["priority"], "normal");
                assert!(priority == Priority::Auto || why == "that was asked for");
                assert!(report.timing.in_words().ends_with(why));
            }
        }
    }
}

async fn ask_control(running: &Running) -> Vec<u8> {
    let mut control = Client::connect(running.control()).await.unwrap();
    control.get("/emulator/status").await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_is_refused_with_its_reason() {
    let (running, address) = direct(Options::default()).await;
    let mut client = Client::connect(address).await.unwrap();
    let endless = "x".repeat(8 << 20);
    let long = json!({"prompt": endless, "max_tokens": 5}).to_string();
    let sequence = |kept: u64, text: &str| {
        json!({"prompt": "abcd".repeat(40), "max_tokens": 5,
            "gorgo": {"sequence": {"prompt_tokens_kept": kept, "text": text}}})
        .to_string()
    };
    let cases = [
        ("/v1/completions", String::new(), "the request body: EOF"),
        ("/v1/completions", "[1]".to_owned(), "the request body"),
        ("/v1/completions", "{}".to_owned(), "field `prompt`: got nothing"),
        ("/v1/completions", r#"{"prompt":["a","b"]}"#.to_owned(), "got 2 prompts, wanted one"),
        (
            "/v1/completions",
            r#"{"prompt":"a","max_tokens":0}"#.to_owned(),
            "field `max_tokens`: got 0",
        ),
        (
            "/v1/completions",
            r#"{"prompt":"a","max_tokens":-1}"#.to_owned(),
            "field `max_tokens`: got -1",
        ),
        ("/v1/completions", r#"{"prompt":"a","max_tokens":1e30}"#.to_owned(), "field `max_tokens`"),
        (
            "/v1/completions",
            format!(r#"{{"prompt":"a","max_tokens":{}}}"#, u64::MAX),
            "field `max_tokens`: got 18446744073709551615",
        ),
        ("/v1/chat/completions", r#"{"messages":7}"#.to_owned(), "the request body"),
        ("/generate", r#"{"input_ids":[-1]}"#.to_owned(), "field `input_ids`"),
        (
            "/v1/completions",
            long,
            "Requested token count exceeds the model's maximum context length",
        ),
        (
            "/v1/completions",
            sequence(7, "abcd"),
            "field `prompt_tokens_kept`: got 7, wanted whole blocks",
        ),
        ("/v1/completions", sequence(64, "abcd"), "field `prompt_tokens_kept`: got 64"),
        ("/v1/completions", sequence(32, "abcd"), "field `sequence`: got 33 tokens, wanted 45"),
        ("/v1/completions", r#"{"prompt":"a","gorgo":7}"#.to_owned(), "field `gorgo`: got 7"),
    ];
    for (path, body, wanted) in cases {
        let answer = client.post(path, body).await;
        let message = json(&answer.body)["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 400, "{path}: {message}");
        assert!(message.contains(wanted), "{path}: {message}, wanted {wanted}");
    }
    for (method, path, status) in [
        ("GET", "/v1/completions", 405),
        ("DELETE", "/health", 405),
        ("POST", "/metrics", 405),
        ("GET", "/get_model_info", 404),
        ("GET", "/", 404),
    ] {
        assert_eq!(client.send(method, path, "").await.unwrap().status, status, "{method} {path}");
    }
    let huge = vec![b' '; (64 << 20) + 1];
    // The answer may come before all is sent; then the connection is closed on the rest.
    if let Ok(answer) = client.send("POST", "/v1/completions", huge).await {
        assert_eq!(answer.status, 413);
    }
    let after = ask(address, "/v1/completions", r#"{"prompt":"a","max_tokens":1}"#).await;
    assert_eq!(after.status, 200, "none of it did any harm");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_frees_what_he_held() {
    let (running, address) = direct(Options::default()).await;
    let station = running.station("us-0").unwrap().clone();
    let body =
        json!({"prompt": "x".repeat(4_000), "max_tokens": 4_000, "stream": true}).to_string();
    let mut clients = Vec::new();
    for stream in [true, false] {
        let body = if stream { body.clone() } else { body.replace("true", "false") };
        clients.push(tokio::spawn(async move { ask(address, "/v1/completions", body).await }));
    }
    let mut observer = Client::connect(address).await.unwrap();
    let running_requests = |page: &str| metrics(page)["sglang:num_running_reqs"];
    until(async || running_requests(&observer.get("/metrics").await.text()) == 2.0).await;
    let held = metrics(&observer.get("/metrics").await.text())["sglang:num_used_tokens"];
    assert!(held >= 1_000.0, "{held}");
    assert_eq!(observer.get("/flush_cache").await.status, 400, "not while somebody runs");
    for client in clients {
        client.abort();
    }
    until(async || running_requests(&observer.get("/metrics").await.text()) == 0.0).await;
    let page = metrics(&observer.get("/metrics").await.text());
    assert_eq!(page["sglang:num_used_tokens"], 0.0);
    // The prompt stays in the cache, until it is flushed.
    let short = json!({"prompt": "x".repeat(4_000), "max_tokens": 1}).to_string();
    let hit = observer.post("/v1/completions", short.clone()).await.usage.unwrap();
    assert_eq!(hit.cached_tokens, Some(999));
    assert_eq!(observer.post("/flush_cache", "").await.status, 200);
    let miss = observer.post("/v1/completions", short).await.usage.unwrap();
    assert_eq!(miss.cached_tokens, Some(0));
    assert!(station.recorded().is_empty(), "nothing is recorded unasked");
    running.shutdown().await;
}

/// Waits, at most ten seconds, for something to be so.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never became so");
}

/// A page of metrics: value by name, with labels beyond the model's.
fn metrics(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (name, rest) = line.split_once('{').expect("labels");
        let (labels, value) = rest.rsplit_once("} ").expect("a value");
        let label = labels.split_once(',').map(|(_, more)| format!("{{{more}}}"));
        (format!("{name}{}", label.unwrap_or_default()), value.parse().expect("a number"))
    };
    lines.map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_engines_names() {
    for (kind, prefix) in [(EngineMetrics::Sglang, "sglang:"), (EngineMetrics::Vllm, "vllm:")] {
        let (running, address) =
            direct(Options { engine_metrics: kind, ..Options::default() }).await;
        for _ in 0..2 {
            let body = json!({"prompt": "abcd".repeat(64), "max_tokens": 3}).to_string();
            assert_eq!(ask(address, "/v1/completions", body).await.status, 200);
        }
        let mut client = Client::connect(address).await.unwrap();
        let text = client.get("/metrics").await.text();
        let page = metrics(&text);
        let engines = page.keys().filter(|name| name.starts_with(prefix)).count();
        assert!(engines > 60, "{text}");
        let (names, wanted): (&[&str], f64) = match kind {
            EngineMetrics::Sglang => (
                &[
                    "sglang:num_queue_reqs",
                    "sglang:token_usage",
                    "sglang:max_total_num_tokens",
                    "sglang:cache_hit_rate",
                ],
                63.0,
            ),
            EngineMetrics::Vllm => (
                &[
                    "vllm:num_requests_running",
                    "vllm:num_requests_waiting",
                    "vllm:kv_cache_usage_perc",
                ],
                63.0,
            ),
        };
        assert!(names.iter().all(|name| page.contains_key(*name)), "{text}");
        let hits = match kind {
            EngineMetrics::Sglang => "sglang:cached_tokens_total",
            EngineMetrics::Vllm => "vllm:prefix_cache_hits_total",
        };
        assert_eq!(page[hits], wanted, "one token of 64 was computed anew");
        assert_eq!(page[&format!("{prefix}time_to_first_token_seconds_count")], 2.0);
        assert_eq!(page[&format!("{prefix}inter_token_latency_seconds_count")], 4.0);
        assert_eq!(
            page[&format!("{prefix}e2e_request_latency_seconds_bucket{{le=\"+Inf\"}}")],
            2.0
        );
        running.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_find_what_they_look_for() {
    let (running, address) = direct(Options::default()).await;
    let mut client = Client::connect(address).await.unwrap();
    for path in ["/health", "/health_generate"] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    let models = json(&client.get("/v1/models").await.body);
    assert_eq!(models["data"][0]["id"], "emulated");
    for path in ["/get_server_info", "/server_info"] {
        let info = json(&client.get(path).await.body);
        assert_eq!(info["max_prefill_tokens"], 16_384);
        assert!(info["max_total_num_tokens"].as_u64().unwrap() > 100_000);
        assert!(info.get("model_path").is_none());
    }
    running.shutdown().await;
    assert!(Client::connect(address).await.is_err(), "nothing listens afterwards");
}
