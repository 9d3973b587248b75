//! An engine's own word on its cache decides where a prompt goes.

use crate::support::*;
use rmpv::Value;
use std::time::Duration;
use zeromq::{PubSocket, Socket, SocketSend, ZmqMessage};

fn stored(hash: u64, tokens: std::ops::Range<u64>) -> Vec<u8> {
    let size = tokens.end - tokens.start;
    let event = Value::Array(vec![
        "BlockStored".into(),
        Value::Array(vec![hash.into()]),
        Value::Nil,
        Value::Array(tokens.map(Value::from).collect()),
        size.into(),
        Value::Nil,
    ]);
    let batch = Value::Array(vec![Value::F64(0.0), Value::Array(vec![event])]);
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &batch).unwrap();
    bytes
}

#[tokio::test]
async fn a_prompt_goes_where_the_engine_says_it_is() {
    let answer = whole("200 OK", "application/json", "{}");
    let (a, b) = (Mock::fixed(answer.clone()).await, Mock::fixed(answer).await);
    let mut publisher = PubSocket::new();
    let endpoint = publisher.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let text = format!(
        "listen = \"127.0.0.1:0\"\npolicy = \"cache-aware\"\n[router]\nlearn_at = \"kv-event\"\n[log]\ndecision_headers = true\n[probe]\noff = true\n[scrape]\noff = true\n[[replica]]\nname = \"a\"\nurl = \"http://{}\"\n[[replica]]\nname = \"b\"\nurl = \"http://{}\"\nkv_events = \"{endpoint}\"\n",
        a.address, b.address
    );
    let proxy = start(&text).await;
    let mut client = Client::to(&proxy).await;
    let ids: Vec<String> = (0..100).map(|id: u32| id.to_string()).collect();
    let body = format!("{{\"prompt\":[{}]}}", ids.join(","));
    let mut number = 0_u64;
    // Until the subscription has reached the publisher, messages go nowhere.
    let head = within(10, async {
        loop {
            let parts = [b"kv".to_vec(), number.to_be_bytes().to_vec(), stored(7, 0..64)];
            let parts = parts.map(bytes::Bytes::from).to_vec();
            publisher.send(ZmqMessage::try_from(parts).unwrap()).await.unwrap();
            number += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            client.post(&body).await;
            let (head, _) = client.answer().await;
            if header(&head, "x-gorgo-predicted-cached-tokens") == Some("64") {
                break head;
            }
        }
    })
    .await;
    assert_eq!(header(&head, "x-gorgo-replica"), Some("b"));
    // An engine that nobody hears is not believed to hold anything.
    proxy.shutdown().await;
}

#[test]
fn events_want_an_index_that_hears_them() {
    for (endpoint, router, word) in [
        ("tcp://127.0.0.1:1", "", "learn_at"),
        ("http://127.0.0.1:1", "[router]\nlearn_at = \"kv-event\"\n", "tcp://HOST:PORT"),
        ("tcp://", "[router]\nlearn_at = \"kv-event\"\n", "tcp://HOST:PORT"),
    ] {
        let text = format!(
            "{router}[[replica]]\nname = \"a\"\nurl = \"http://a\"\nkv_events = \"{endpoint}\"\n"
        );
        let error = gorgo_proxy::Config::parse("proxy.toml", &text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
