//! Between runs: policies switched, caches emptied, and seen to be.

use crate::support::{Got, Mock, Step, scenario, streamed, whole};
use gorgo_live::{Admin, LiveError, Options, Target};
use http::HeaderValue;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An engine with a cache of prompts, which `flushes` says whether it can empty; SGLang's or vLLM's.
async fn engine(flushes: bool, path: &'static str) -> Mock {
    let cache: Mutex<Vec<Vec<u8>>> = Mutex::default();
    let busy = AtomicBool::new(true);
    Mock::start(move |_, got: &Got| {
        let mut cache = cache.lock().unwrap();
        if got.path == "/v1/completions" {
            let known = cache.contains(&got.body);
            cache.push(got.body.clone());
            return streamed(&[1], [2_048, 1, if known { 2_048 } else { 0 }]);
        }
        if got.path != path {
            return vec![whole("404 Not Found", "")];
        }
        if busy.swap(false, Ordering::Relaxed) {
            return vec![whole("400 Bad Request", "busy")];
        }
        if flushes {
            cache.clear();
        }
        vec![whole("200 OK", "")]
    })
    .await
}

fn options(url: &str, proxy: Option<&str>) -> Options {
    let admin = Admin {
        proxy: proxy.map(|url| url.parse().unwrap()),
        token: Some(HeaderValue::from_static("Bearer secret")),
        flush: true,
    };
    let lead = Duration::from_millis(100);
    let targets = vec![Target::parse(url).unwrap()];
    Options { lead, admin: Some(admin), rounds: 2, ..Options::new(targets) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_are_emptied_before_every_run_and_asked_whether_they_are() {
    for path in ["/flush_cache", "/reset_prefix_cache"] {
        let engine = engine(true, path).await;
        let options = options(&engine.url, None);
        let outcome = gorgo_live::run(&scenario(3, ""), &options).await.unwrap();
        assert_eq!(outcome.policies[0].pooled.summary.requests.completed, 6);
        for round in &outcome.policies[0].rounds {
            assert_eq!(round.summary.cache.real_token_hit_rate, Some(0.0), "nothing is left");
        }
        // Twice a run, and once while it was busy.
        assert_eq!(engine.count(path), 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_is_not_empty_ends_the_run() {
    let engine = engine(false, "/flush_cache").await;
    let error = gorgo_live::run(&scenario(3, ""), &options(&engine.url, None)).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LiveError::Admin { .. }), "{text}");
    assert!(text.contains("2048 tokens of a probe are still cached"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_told_the_policy_of_each_run_in_turn() {
    let engine = engine(true, "/flush_cache").await;
    let flushed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&flushed);
    let admin = Mock::start(move |_, got| {
        count.fetch_add(u64::from(got.path == "/flush"), Ordering::Relaxed);
        vec![whole("200 OK", "{}")]
    })
    .await;
    let mut options = options(&engine.url, Some(&admin.url));
    // The probe finds what this engine keeps, since the mock of a proxy flushes nothing.
    options.admin.as_mut().unwrap().flush = false;
    let two = scenario(2, "").router.policies[0].clone();
    let mut scenario = scenario(2, "");
    let gorgo = gorgo_scenario::PolicySpec { name: "gorgo".into(), label: "g".into(), ..two };
    scenario.router.policies.push(gorgo);
    let outcome = gorgo_live::run(&scenario, &options).await.unwrap();
    let labels: Vec<_> = outcome.policies.iter().map(|policy| policy.label.as_str()).collect();
    assert_eq!(labels, ["round-robin", "g"]);
    let got = admin.got.lock().unwrap();
    let told: Vec<String> = got
        .iter()
        .filter(|got| got.path == "/policy")
        .map(|got| {
            assert_eq!(got.header("authorization"), Some("Bearer secret"));
            let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
            body["name"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(told, ["round-robin", "gorgo", "round-robin", "gorgo"]);
}

/// A proxy that takes turns between two engines, `a` and `b`, and what its admin API says of them; `flushes`: which of the
/// engines empty their caches when they are told.
async fn proxy_of_two(flushes: [bool; 2]) -> Mock {
    let caches: Mutex<[Vec<Vec<u8>>; 2]> = Mutex::default();
    let rows: Mutex<Vec<serde_json::Value>> = Mutex::default();
    Mock::start(move |_, got: &Got| {
        let (mut caches, mut rows) = (caches.lock().unwrap(), rows.lock().unwrap());
        let answer = match got.path.as_str() {
            "/v1/completions" => {
                let at = rows.len() % 2;
                let id = got.header("x-request-id").unwrap();
                let row = serde_json::json!({ "request": id, "chosen": { "replica": at + 4 } });
                rows.insert(0, row);
                let known = caches[at].contains(&got.body);
                caches[at].push(got.body.clone());
                return streamed(&[1], [2_048, 1, if known { 2_048 } else { 0 }]);
            }
            "/servers" => serde_json::json!({ "servers": [
                { "name": "a", "id": 4, "draining": false, "eligible": true, "weight": 1 },
                { "name": "gone", "id": 9, "draining": true, "eligible": false, "weight": 1 },
                { "name": "b", "id": 5, "draining": false, "eligible": true, "weight": 1 },
            ] }),
            "/decisions" => rows.clone().into(),
            "/flush" => {
                for (cache, _) in caches.iter_mut().zip(flushes).filter(|(_, flushes)| *flushes) {
                    cache.clear();
                }
                serde_json::json!({ "ok": true })
            }
            _ => serde_json::json!({}),
        };
        vec![whole("200 OK", &answer.to_string())]
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_engine_behind_a_proxy_is_asked_whether_it_is_empty() {
    let proxy = proxy_of_two([true, true]).await;
    let options = options(&proxy.url, Some(&proxy.url));
    let outcome = gorgo_live::run(&scenario(4, ""), &options).await.unwrap();
    assert_eq!(outcome.policies[0].pooled.summary.requests.completed, 8);
    assert_eq!(proxy.count("/flush"), 4, "before the second look and after it, in two rounds");
    for (flushes, left) in [([true, false], "b"), ([false, true], "a")] {
        let proxy = proxy_of_two(flushes).await;
        let options = self::options(&proxy.url, Some(&proxy.url));
        let error = gorgo_live::run(&scenario(4, ""), &options).await.unwrap_err().to_string();
        assert!(error.contains(&format!("of replica `{left}`")), "{error}");
        assert!(error.contains("2048 tokens of a probe are still cached"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_api_that_refuses_ends_the_run() {
    let engine = engine(true, "/flush_cache").await;
    let admin = Mock::start(|_, _| vec![whole("401 No", "wanted a token"), Step::Close]).await;
    let error = gorgo_live::run(&scenario(2, ""), &options(&engine.url, Some(&admin.url)))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("PUT /policy: status 401: wanted a token"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
