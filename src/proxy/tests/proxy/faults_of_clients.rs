//! Clients that are slow, large or wrong: each is answered or cut off, and costs a bounded amount.

use crate::support::*;
use std::time::{Duration, Instant};

async fn good() -> Mock {
    Mock::fixed(whole("200 OK", "application/json", "{}")).await
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let mock = good().await;
    let proxy = proxy("", &[&mock]).await;
    let mut client = Client::to(&proxy).await;
    for (request, status, word) in [
        (post("/v1/completions", "", "{"), 400, "EOF"),
        (post("/v1/completions", "", "{\"prompt\":{}}"), 400, "field `prompt`"),
        (post("/v1/chat/completions", "", "{}"), 400, "field `messages`"),
        (post("/v1/embeddings", "", "{}"), 404, "/v1/embeddings"),
        ("GET /v1/completions HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 405, "POST"),
        ("GET /proxy/status HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 404, "/proxy/status"),
        ("GET /health HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 200, "replicas"),
    ] {
        client.send(&request).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{head}");
        assert!(body.contains(word), "{request}\n{body}");
    }
    assert!(mock.seen().is_empty());
    proxy.shutdown().await;
}

#[tokio::test]
async fn bodies_and_heads_are_bounded() {
    let mock = good().await;
    let more = "[limits]\nbody_size = \"100 kB\"\nheaders = 20\nheader_size = \"8 KiB\"";
    let proxy = proxy(more, &[&mock]).await;
    let body = format!("{{\"prompt\":\"{}\"}}", "x".repeat(100_000));
    let mut client = Client::to(&proxy).await;
    client.send("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100013\r\n\r\n").await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 413"));
    // Without a length it is found out on the way.
    let mut client = Client::to(&proxy).await;
    let head = "POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(&format!("{head}{}0\r\n\r\n", chunk(&body))).await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 413"));
    for headers in [
        (0..30).map(|n| format!("x-{n}: 1\r\n")).collect::<String>(),
        format!("x-long: {}\r\n", "y".repeat(20_000)),
    ] {
        let mut client = Client::to(&proxy).await;
        client.send(&post("/v1/completions", &headers, "{\"prompt\":\"x\"}")).await;
        let answer = String::from_utf8(client.until_closed().await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer:?}");
    }
    assert!(mock.seen().is_empty());
    proxy.shutdown().await;
}

#[tokio::test]
async fn slow_ones_are_cut_off() {
    let mock = good().await;
    let more = "[timeouts]\nhead = \"300ms\"\nbody = \"300ms\"";
    let proxy = proxy(more, &[&mock]).await;
    // A head that never ends: a byte at a time does not help.
    let began = Instant::now();
    let mut head = Client::to(&proxy).await;
    let dripping = async {
        for byte in "POST /v1/completions HTTP/1.1\r\nx-a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb".chars() {
            use tokio::io::AsyncWriteExt;
            if head.tcp.write_all(&[byte as u8]).await.is_err() {
                return;
            }
            pause(50).await;
        }
    };
    within(10, dripping).await;
    head.until_closed().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // A body that never ends.
    let mut body = Client::to(&proxy).await;
    body.send("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{").await;
    let (head, text) = body.answer().await;
    assert!(head.starts_with("HTTP/1.1 408") && text.contains("body_timeout"), "{head}");
    proxy.shutdown().await;
}

/// A client that asks and does not read holds its replica's stream, and nothing more than a bounded time.
#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    use tokio::io::AsyncWriteExt;
    let mock = Mock::start(|_, tcp| async move {
        let mut tcp = tcp.lock().await;
        let mut piece = STREAM_HEAD.to_owned();
        loop {
            if tcp.write_all(piece.as_bytes()).await.is_err() {
                return false;
            }
            piece = chunk(&event(&"x".repeat(60_000)));
        }
    })
    .await;
    let proxy = proxy("[timeouts]\nwrite = \"300ms\"", &[&mock]).await;
    let mut client = Client::to(&proxy).await;
    client.post(ASK).await;
    eventually(|| proxy.load() == (1, 0)).await;
    // Whatever the buffers on the way hold, the stream ends without a byte being read.
    eventually(|| proxy.load() == (0, 0)).await;
    drop(client);
    proxy.shutdown().await;
}
