//! Who finds no replica waits in line, for a bounded time.

use crate::support::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

const ONE: &str = "policy = \"round-robin\"\n[router]\nmax_in_flight_per_replica = 1\nqueue_limit = 2\nqueue_timeout = \"400ms\"\n[log]\ndecision_headers = true";

/// A replica that answers as often as it is let.
async fn held() -> (Mock, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let inner = Arc::clone(&gate);
    let mock = Mock::start(move |_, tcp| {
        let gate = Arc::clone(&inner);
        async move {
            gate.acquire().await.unwrap().forget();
            let answer = whole("200 OK", "application/json", "{}");
            tcp.lock().await.write_all(answer.as_bytes()).await.is_ok()
        }
    })
    .await;
    (mock, gate)
}

#[tokio::test]
async fn the_queue_is_first_in_first_out_bounded_and_timed() {
    let (mock, gate) = held().await;
    let proxy = proxy(ONE, &[&mock]).await;
    let mut clients = Vec::new();
    for load in [(1, 0), (1, 1), (1, 2)] {
        let mut client = Client::to(&proxy).await;
        client.post(&format!("{{\"prompt\":\"{}\"}}", clients.len())).await;
        eventually(|| proxy.load() == load).await;
        clients.push(client);
    }
    let mut late = Client::to(&proxy).await;
    late.post("{\"prompt\":\"x\"}").await;
    let (head, body) = late.answer().await;
    assert!(head.starts_with("HTTP/1.1 429") && body.contains("queue_full"), "{head}\n{body}");
    assert_eq!(header(&head, "retry-after"), Some("1"));
    // The second gets the place of the first; the third waits too long.
    gate.add_permits(1);
    assert!(clients[0].answer().await.0.starts_with("HTTP/1.1 200"));
    eventually(|| mock.seen().len() == 2).await;
    assert_eq!(mock.seen()[1].body, b"{\"prompt\":\"1\"}");
    let (head, body) = clients[2].answer().await;
    assert!(head.starts_with("HTTP/1.1 503") && body.contains("queue_timeout"), "{head}\n{body}");
    gate.add_permits(1);
    let (head, _) = clients[1].answer().await;
    let waited: f64 = header(&head, "x-gorgo-router-queue-ms").unwrap().parse().unwrap();
    assert!(waited > 0.0 && waited < 400.0, "{waited}");
    assert_eq!(proxy.load(), (0, 0));
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_client_that_leaves_the_line_leaves_no_trace() {
    let (mock, gate) = held().await;
    let proxy = proxy(ONE, &[&mock]).await;
    let mut first = Client::to(&proxy).await;
    first.post("{\"prompt\":\"0\"}").await;
    eventually(|| proxy.load() == (1, 0)).await;
    let mut second = Client::to(&proxy).await;
    second.post("{\"prompt\":\"1\"}").await;
    eventually(|| proxy.load() == (1, 1)).await;
    drop(second);
    eventually(|| proxy.load() == (1, 0)).await;
    gate.add_permits(1);
    first.answer().await;
    eventually(|| proxy.load() == (0, 0)).await;
    assert_eq!(mock.seen().len(), 1);
    proxy.shutdown().await;
}

#[tokio::test]
async fn stopping_lets_answers_end() {
    let (mock, gate) = held().await;
    let proxy = proxy("", &[&mock]).await;
    let address = proxy.address();
    let (mut idle, mut busy) = (Client::to(&proxy).await, Client::to(&proxy).await);
    busy.post("{\"prompt\":\"0\"}").await;
    eventually(|| proxy.load() == (1, 0)).await;
    let stopping = tokio::spawn(proxy.shutdown());
    assert!(idle.until_closed().await.is_empty());
    within(5, async { while tokio::net::TcpStream::connect(address).await.is_ok() {} }).await;
    gate.add_permits(1);
    assert!(busy.answer().await.0.starts_with("HTTP/1.1 200"));
    within(5, stopping).await.unwrap();
}

#[tokio::test]
async fn stopping_takes_no_longer_than_it_may() {
    let (mock, _gate) = held().await;
    let proxy = proxy("[timeouts]\ndrain = \"200ms\"", &[&mock]).await;
    let mut busy = Client::to(&proxy).await;
    busy.post("{\"prompt\":\"0\"}").await;
    eventually(|| proxy.load() == (1, 0)).await;
    let began = Instant::now();
    within(5, proxy.shutdown()).await;
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(busy.until_closed().await.is_empty());
}
