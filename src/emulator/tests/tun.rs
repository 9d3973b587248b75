//! Links of a TUN device: a connection's opening takes a round trip, and so does each step of slow start. Where the system
//! does not allow a device, the test says so and tries nothing.

#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "each test file uses a part of it")]
mod common;

use common::{FLEET, ask, ms, scenario_of};
use gorgo_emulator::{EmulatorError, Links, Options, Running, start};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A network for benchmarks (RFC 2544), the half that is not the program's default.
const NETWORK: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 0);
/// The round trip of the link that is measured, in milliseconds.
const RTT_MS: f64 = 40.0;

/// The fleet behind links of this kind; none where the system does not allow it.
async fn fleet(links: Links) -> Option<Running> {
    let text = FLEET.replace("[network]", "[network]\nspread_share = 0.0").replace("80ms", "40ms");
    match start(&scenario_of(&text), Options { links, ..Options::default() }).await {
        Ok(running) => Some(running),
        Err(EmulatorError::Option { option: "links", got, .. }) => {
            println!("skipped: no TUN device may be made here ({got})");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Sends a body and waits for the answer's first byte: milliseconds of the opening, and from there on.
async fn post(address: SocketAddr, bytes: usize) -> (f64, f64) {
    let from = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let opened = from.elapsed();
    // No JSON: it is read whole and refused.
    let head =
        format!("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; bytes]).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 400");
    (ms(opened), ms(from.elapsed().saturating_sub(opened)))
}

/// The least of five: what else the machine does only adds.
async fn least(address: SocketAddr, bytes: usize) -> (f64, f64) {
    let mut least = (f64::INFINITY, f64::INFINITY);
    for _ in 0..5 {
        let (opened, answered) = post(address, bytes).await;
        least = (least.0.min(opened), least.1.min(answered));
    }
    least
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_and_slow_start_take_their_round_trips() {
    let Some(running) = fleet(Links::Tun(NETWORK)).await else { return };
    let eu = running.replicas()[2].clone();
    let link = eu.from_region("azure:eastus");
    assert_ne!(link, eu.direct);
    let (opened, small) = least(link, 100).await;
    let (_, large) = least(link, 1 << 20).await;
    let (near, _) = least(eu.direct, 100).await;
    println!(
        "RTT {RTT_MS} ms: opening {opened:.1} ms, answer to 100 B {small:.1} ms, to 1 MiB {large:.1} ms; opening without a \
         link {near:.2} ms"
    );
    assert!((RTT_MS..2.0 * RTT_MS).contains(&opened), "{opened}");
    assert!((RTT_MS..2.0 * RTT_MS).contains(&small), "{small}");
    // 720 segments, of which ten go in the first round trip and at most twice as many in each that follows.
    assert!(large > 5.0 * RTT_MS, "{large}");
    assert!(near < RTT_MS / 2.0, "{near}");
    // And it serves: 40 ms for the opening and 40 for the exchange, beside the model's time.
    let body = json!({"prompt": "once upon a time", "max_tokens": 2}).to_string();
    let answer = ask(link, "/v1/completions", body).await;
    assert_eq!(answer.status, 200);
    assert!(ms(answer.e2e) > RTT_MS, "{:?}", answer.e2e);
    // One network, one device.
    let scenario = scenario_of(FLEET);
    let again = start(&scenario, Options { links: Links::Tun(NETWORK), ..Options::default() });
    let error = again.await.err().expect("it is in use").to_string();
    assert!(error.contains("is nobody's yet"), "{error}");
    running.shutdown().await;
    // The device went with it.
    let left = tokio::time::timeout(Duration::from_secs(5), async {
        while std::net::TcpListener::bind((Ipv4Addr::new(198, 19, 0, 1), 0)).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(left.await.is_ok(), "the device is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_has_neither() {
    let running = fleet(Options::default().links).await.expect("relays need no rights");
    let link = running.replicas()[2].from_region("azure:eastus");
    let (opened, _) = least(link, 100).await;
    let (_, large) = least(link, 1 << 20).await;
    println!("a relay: opening {opened:.2} ms, answer to 1 MiB {large:.1} ms");
    assert!(opened < RTT_MS / 2.0, "{opened}");
    assert!((2.0 * RTT_MS..4.0 * RTT_MS).contains(&large), "{large}");
    running.shutdown().await;
}

#[tokio::test]
async fn networks_and_hosts_that_cannot_be_are_refused() {
    for (network, host, word) in [
        ([198, 18, 1, 0], "127.0.0.1", "ends in .0.0"),
        ([127, 0, 0, 0], "127.0.0.1", "ends in .0.0"),
        ([0, 0, 0, 0], "127.0.0.1", "ends in .0.0"),
        ([224, 1, 0, 0], "127.0.0.1", "ends in .0.0"),
        ([198, 19, 0, 0], "0.0.0.0", "the device's own address"),
    ] {
        let (links, host) = (Links::Tun(network.into()), host.parse().unwrap());
        let options = Options { links, host, ..Options::default() };
        let error = start(&scenario_of(FLEET), options).await.err().expect("it is refused");
        assert!(error.to_string().contains(word), "{error}");
    }
}
