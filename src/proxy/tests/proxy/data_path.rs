//! Bytes pass as they are and when they come; what fails before the first one is made up for elsewhere.

use crate::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

#[tokio::test]
async fn bodies_and_streams_pass_byte_for_byte() {
    let events = [
        event("a"),
        event("\\u00e9 b"),
        ": a comment\r\n\r\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ];
    let mut bytes = STREAM_HEAD.to_owned();
    events.iter().for_each(|event| bytes += &chunk(event));
    bytes += "0\r\n\r\n";
    let mock = Mock::fixed(bytes).await;
    let proxy = proxy("", &[&mock]).await;
    let mut client = Client::to(&proxy).await;
    // Odd blanks, an unknown field, escapes: nobody writes this body anew.
    let body = "{\"prompt\" : \"x\\u0041\\/\" ,\n\"stream\":true, \"what\":[1e400,{}]}  ";
    let headers =
        "x-mine: 1\r\nconnection: keep-alive, x-hop\r\nx-hop: 2\r\nauthorization: Bearer k\r\n";
    client.send(&post("/v1/completions?a=b", headers, body)).await;
    let (head, framed) = client.chunked().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(unchunked(&framed), events.concat());
    let seen = &mock.seen()[0];
    assert!(seen.head.starts_with("POST /v1/completions?a=b HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.body, body.as_bytes());
    assert_eq!(seen.header("host"), Some(mock.address.to_string().as_str()));
    assert_eq!(
        (seen.header("x-mine"), seen.header("authorization")),
        (Some("1"), Some("Bearer k"))
    );
    assert_eq!((seen.header("x-hop"), seen.header("connection")), (None, None));
    assert_eq!(seen.header("x-request-id"), header(&head, "x-request-id"));
    proxy.shutdown().await;
}

#[tokio::test]
async fn the_first_byte_passes_before_the_replica_has_ended() {
    let go_on = Arc::new(Notify::new());
    let told = Arc::clone(&go_on);
    let mock = Mock::start(move |_, tcp| {
        let told = Arc::clone(&told);
        async move {
            let mut tcp = tcp.lock().await;
            tcp.write_all(format!("{STREAM_HEAD}{}", chunk(&event("a"))).as_bytes()).await.unwrap();
            told.notified().await;
            let rest = format!("{}0\r\n\r\n", chunk("data: [DONE]\n\n"));
            tcp.write_all(rest.as_bytes()).await.is_ok()
        }
    })
    .await;
    let proxy = proxy("", &[&mock]).await;
    let mut client = Client::to(&proxy).await;
    client.post(ASK).await;
    client.read_until(|bytes| find(bytes, b"\"text\":\"a\"").is_some()).await;
    assert_eq!(proxy.load(), (1, 0));
    go_on.notify_one();
    client.read_until(|bytes| bytes.ends_with(b"0\r\n\r\n")).await;
    eventually(|| proxy.load() == (0, 0)).await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let gone = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&gone);
    let mock = Mock::start(move |seen, tcp| {
        let counted = Arc::clone(&counted);
        async move {
            let mut tcp = tcp.lock().await;
            if find(&seen.body, b"begun").is_some() {
                let begun = format!("{STREAM_HEAD}{}", chunk(&event("a")));
                tcp.write_all(begun.as_bytes()).await.unwrap();
            }
            // Until the proxy closes the connection.
            let mut rest = Vec::new();
            let _ = tcp.read_to_end(&mut rest).await;
            counted.fetch_add(1, Ordering::SeqCst);
            false
        }
    })
    .await;
    let proxy = proxy("", &[&mock]).await;
    for (turn, prompt) in ["begun", "not yet"].iter().enumerate() {
        let mut client = Client::to(&proxy).await;
        client.post(&format!("{{\"prompt\":\"{prompt}\",\"stream\":true}}")).await;
        if turn == 0 {
            client.read_until(|bytes| find(bytes, b"\"text\":\"a\"").is_some()).await;
        } else {
            eventually(|| mock.seen().len() == 2).await;
        }
        assert_eq!(proxy.load().0, 1);
        drop(client);
        eventually(|| gone.load(Ordering::SeqCst) == turn + 1).await;
        eventually(|| proxy.load() == (0, 0)).await;
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_fails_before_the_first_byte_is_made_up_for() {
    // One resets, one is not there, one is busy; the last one answers.
    let resets = Mock::start(|_, _| async { false }).await;
    let busy = Mock::fixed(whole("503 Service Unavailable", "text/plain", "busy")).await;
    let good =
        Mock::fixed(whole("200 OK", "application/json", "{\"choices\":[{\"text\":\"x\"}]}")).await;
    let away = Mock::fixed("").await;
    let address = away.address;
    drop(away);
    let mut text = "listen = \"127.0.0.1:0\"\npolicy = \"round-robin\"\n[router]\nattempts = 4\n[health]\noff = true\n[probe]\noff = true\n[scrape]\noff = true\n[log]\ndecision_headers = true\n".to_owned();
    for (name, address) in
        [("a", resets.address), ("b", address), ("c", busy.address), ("d", good.address)]
    {
        text += &format!("[[replica]]\nname = \"{name}\"\nurl = \"http://{address}\"\n");
    }
    let proxy = start(&text).await;
    let mut client = Client::to(&proxy).await;
    for _ in 0..20 {
        client.post("{\"prompt\":\"x\"}").await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{body}");
        assert_eq!(header(&head, "x-gorgo-replica"), Some("d"));
        let attempts: u32 = header(&head, "x-gorgo-attempts").unwrap().parse().unwrap();
        assert!((1..=4).contains(&attempts));
    }
    assert_eq!(good.seen().len(), 20);
    assert_eq!(proxy.load(), (0, 0));
    proxy.shutdown().await;
}

#[tokio::test]
async fn attempts_are_bounded_and_the_last_failure_is_told() {
    let busy = Mock::fixed(whole("503 Service Unavailable", "text/plain", "very busy")).await;
    let resets = Mock::start(|_, _| async { false }).await;
    let proxy = proxy(
        "policy = \"round-robin\"\n[router]\nattempts = 2\n[health]\noff = true",
        &[&busy, &resets],
    )
    .await;
    let mut client = Client::to(&proxy).await;
    for _ in 0..6 {
        client.post("{\"prompt\":\"x\"}").await;
        let (head, body) = client.answer().await;
        let replica_says = head.starts_with("HTTP/1.1 503") && body == "very busy";
        let proxy_says = head.starts_with("HTTP/1.1 502") && body.contains("upstream_error");
        assert!(replica_says || proxy_says, "{head}\n{body}");
    }
    assert_eq!(busy.seen().len(), 6);
    assert_eq!(proxy.load(), (0, 0));
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_does_not_look_whole() {
    let mock = Mock::start(|_, tcp| async move {
        let begun = format!("{STREAM_HEAD}{}", chunk(&event("a")));
        tcp.lock().await.write_all(begun.as_bytes()).await.unwrap();
        pause(20).await;
        false
    })
    .await;
    let proxy = proxy("", &[&mock]).await;
    let mut client = Client::to(&proxy).await;
    client.post(ASK).await;
    let all = client.until_closed().await;
    assert!(find(&all, b"\"text\":\"a\"").is_some() && !all.ends_with(b"0\r\n\r\n"));
    assert_eq!(proxy.load(), (0, 0));
    proxy.shutdown().await;
}

#[tokio::test]
async fn connections_are_used_again_and_closed_ones_replaced_without_a_word() {
    let answers = Arc::new(AtomicUsize::new(0));
    let mock = Mock::start(move |_, tcp| {
        let keep = answers.fetch_add(1, Ordering::SeqCst) % 5 != 4;
        async move {
            let answer = whole("200 OK", "application/json", "{}");
            tcp.lock().await.write_all(answer.as_bytes()).await.is_ok() && keep
        }
    })
    .await;
    let proxy = proxy("[router]\nattempts = 1", &[&mock]).await;
    let mut client = Client::to(&proxy).await;
    for _ in 0..20 {
        client.post("{\"prompt\":\"x\"}").await;
        assert!(client.answer().await.0.starts_with("HTTP/1.1 200"));
        // The replica's end of the connection may be on its way.
        pause(5).await;
    }
    assert_eq!(mock.connections.load(Ordering::SeqCst), 4, "one for every five answers");
    proxy.shutdown().await;
}

/// With Nagle's algorithm on, each of these would wait 40 ms for an acknowledgement.
#[tokio::test]
async fn kept_alive_streams_do_not_stall() {
    let mock = Mock::start(|_, tcp| async move {
        let mut tcp = tcp.lock().await;
        for piece in
            [STREAM_HEAD.to_owned(), chunk(&event("a")), chunk(&event("b")), "0\r\n\r\n".to_owned()]
        {
            if tcp.write_all(piece.as_bytes()).await.is_err() {
                return false;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        true
    })
    .await;
    let proxy = proxy("", &[&mock]).await;
    // A client's socket as the system makes it.
    let mut client = Client::to(&proxy).await;
    let mut took = Vec::new();
    for _ in 0..40 {
        let began = Instant::now();
        client.post(ASK).await;
        client.chunked().await;
        took.push(began.elapsed());
    }
    took.sort();
    // Half of them, so that a busy machine does not count.
    assert!(took[20] < Duration::from_millis(30), "{took:?}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_string_and_parts_are_one_prefix_and_a_session_is_followed() {
    let answer =
        whole("200 OK", "application/json", "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}");
    let (a, b) = (Mock::fixed(answer.clone()).await, Mock::fixed(answer).await);
    let more = "policy = \"cache-aware\"\n[log]\ndecision_headers = true";
    let proxy = proxy(more, &[&a, &b]).await;
    let mut client = Client::to(&proxy).await;
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(40);
    let string = format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}");
    let parts = format!(
        "{{\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}]}}"
    );
    let mut heads = Vec::new();
    for body in [&string, &parts, &string] {
        client.send(&post("/v1/chat/completions", "", body)).await;
        heads.push(client.answer().await.0);
    }
    let cached = |head: &str| header(head, "x-gorgo-predicted-cached-tokens").unwrap().to_owned();
    assert_eq!(cached(&heads[0]), "0");
    assert_eq!(cached(&heads[1]), "450", "{}", heads[1]);
    assert_eq!(cached(&heads[2]), "450");
    assert!(a.seen().is_empty() || b.seen().is_empty());
    proxy.shutdown().await;
}
