//! What the proxy asks replicas, and what becomes of the answers.

use crate::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// A replica that can fall ill, takes some time to answer a probe, and has metrics.
async fn patient(delay_ms: u64, running: u32) -> (Mock, Arc<AtomicBool>) {
    let ill = Arc::new(AtomicBool::new(false));
    let inner = Arc::clone(&ill);
    let mock = Mock::start(move |seen, tcp| {
        let ill = inner.load(Ordering::SeqCst);
        async move {
            let page = format!("sglang:num_running_reqs {running}\nsglang:num_queue_reqs 0\nsglang:num_used_tokens 7\nsglang:max_total_num_tokens 1000\n");
            let answer = if ill {
                whole("500 Internal Server Error", "text/plain", "ill")
            } else if seen.head.starts_with("GET /metrics") {
                whole("200 OK", "text/plain", &page)
            } else if seen.head.starts_with("GET /ping?deep=1 ") {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                whole("200 OK", "text/plain", "")
            } else if seen.head.starts_with("GET") {
                whole("404 Not Found", "text/plain", "")
            } else {
                whole("200 OK", "application/json", "{}")
            };
            tcp.lock().await.write_all(answer.as_bytes()).await.is_ok()
        }
    })
    .await;
    (mock, ill)
}

fn text(policy: &str, replicas: [&Mock; 2]) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\npolicy = \"{policy}\"\n[health]\nunhealthy_after_probes = 2\n[probe]\npath = \"/ping?deep=1\"\ninterval = \"20ms\"\n[scrape]\ninterval = \"20ms\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\n[[replica]]\nname = \"a\"\nurl = \"http://{}\"\n[[replica]]\nname = \"b\"\nurl = \"http://{}\"\n",
        replicas[0].address, replicas[1].address
    )
}

async fn servers(admin: &mut Client) -> serde_json::Value {
    admin
        .send("GET /servers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer 0123456789abcdef\r\n\r\n")
        .await;
    let all: serde_json::Value = serde_json::from_str(&admin.answer().await.1).unwrap();
    all["servers"].clone()
}

#[tokio::test]
async fn load_and_distance_are_found_out() {
    let ((a, _), (b, _)) = (patient(40, 1).await, patient(0, 5).await);
    let proxy = start(&text("least-request", [&a, &b])).await;
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    let known = loop {
        let known = servers(&mut admin).await;
        if known[0]["rtt_ewma_ms"].is_number() && known[1]["kv_pool_tokens"] == 1000 {
            break known;
        }
        pause(5).await;
    };
    assert_eq!(
        (&known[0]["running_requests"], &known[1]["running_requests"]),
        (&1.into(), &5.into())
    );
    assert!(known[0]["rtt_ewma_ms"].as_f64().unwrap() >= 40.0, "{known}");
    let mut client = Client::to(&proxy).await;
    for _ in 0..3 {
        client.post("{\"prompt\":\"x\"}").await;
        client.answer().await;
    }
    assert_eq!((a.seen().len(), b.seen().len()), (3, 0), "the engine's own load counts");
    proxy.shutdown().await;
}

#[tokio::test]
async fn who_falls_ill_is_left_alone_until_well_again() {
    let ((a, ill), (b, _)) = (patient(0, 0).await, patient(0, 0).await);
    let proxy = start(&text("round-robin", [&a, &b])).await;
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    let mut client = Client::to(&proxy).await;
    for (is_ill, to_a) in [(false, 2), (true, 2), (false, 4)] {
        ill.store(is_ill, Ordering::SeqCst);
        within(10, async {
            while servers(&mut admin).await[0]["fit"] == is_ill {
                pause(5).await
            }
        })
        .await;
        for _ in 0..4 {
            client.post("{\"prompt\":\"x\"}").await;
            assert!(client.answer().await.0.starts_with("HTTP/1.1 200"));
        }
        assert_eq!(a.seen().len(), to_a, "ill: {is_ill}");
    }
    proxy.shutdown().await;
}
