//! Replicas that die, hang, refuse and come back, under load: what clients notice of it, and where requests go meanwhile.

use crate::support::*;
use gorgo_proxy::Running;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How a replica behaves.
const WELL: u8 = 0;
const REFUSES: u8 = 1;
const HANGS: u8 = 2;

/// A replica that streams four events, one every so many milliseconds, and behaves as it is told. One that hangs answers
/// as soon as it does not any more.
async fn replica(address: Option<SocketAddr>, mode: &Arc<AtomicU8>, ms: u64) -> Mock {
    let mode = Arc::clone(mode);
    let address = address.unwrap_or(([127, 0, 0, 1], 0).into());
    Mock::start_at(address, move |seen, tcp| {
        let mode = Arc::clone(&mode);
        async move {
            let mut tcp = tcp.lock().await;
            while mode.load(Ordering::SeqCst) == HANGS {
                pause(2).await;
            }
            if mode.load(Ordering::SeqCst) == REFUSES {
                let answer = whole("503 Service Unavailable", "application/json", "{}");
                return tcp.write_all(answer.as_bytes()).await.is_ok();
            }
            if seen.head.starts_with("GET") {
                let answer = whole("200 OK", "text/plain", "");
                return tcp.write_all(answer.as_bytes()).await.is_ok();
            }
            pause(ms).await;
            let mut bytes = STREAM_HEAD.to_owned();
            for n in 0..4 {
                bytes += &chunk(&event(&format!("w{n} ")));
                if tcp.write_all(bytes.as_bytes()).await.is_err() {
                    return false;
                }
                bytes.clear();
                pause(ms).await;
            }
            tcp.write_all(b"0\r\n\r\n").await.is_ok()
        }
    })
    .await
}

fn well() -> Arc<AtomicU8> {
    Arc::new(AtomicU8::new(WELL))
}

/// A proxy over these replicas: address, region, zone.
async fn over(more: &str, replicas: &[(SocketAddr, &str, Option<&str>)]) -> Running {
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\n{more}\n[scrape]\noff = true\n[log]\ndecision_headers = true\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\n"
    );
    for (index, (address, region, zone)) in replicas.iter().enumerate() {
        text += &format!(
            "[[replica]]\nname = \"r{index}\"\nregion = \"{region}\"\nurl = \"http://{address}\"\n"
        );
        if let Some(zone) = zone {
            text += &format!("residency = \"{zone}\"\n");
        }
    }
    start(&text).await
}

/// What a client had of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// A whole stream.
    Whole,
    /// A stream that broke off.
    Broken,
    /// Another status than 200, and the answer.
    Status(u16, String),
    /// Nothing at all.
    Nothing,
}

/// Asks on a connection of its own.
async fn ask(proxy: SocketAddr, headers: &str) -> (Outcome, String) {
    let mut bytes = Vec::new();
    let asking = async {
        let Ok(mut tcp) = TcpStream::connect(proxy).await else { return };
        let request = post("/v1/completions", headers, ASK);
        if tcp.write_all(request.as_bytes()).await.is_err() {
            return;
        }
        while !(bytes.ends_with(b"0\r\n\r\n") || is_answered(&bytes)) {
            if !tcp.read_buf(&mut bytes).await.is_ok_and(|n| n > 0) {
                return;
            }
        }
    };
    within(30, asking).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let outcome = match status {
        None => Outcome::Nothing,
        Some(200) if text.ends_with("0\r\n\r\n") => Outcome::Whole,
        Some(200) => Outcome::Broken,
        Some(status) => {
            Outcome::Status(status, text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
        }
    };
    (outcome, text)
}

/// Whether an answer with a length is there.
fn is_answered(bytes: &[u8]) -> bool {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| bytes.len() >= end + 4 + length)
}

/// Clients that ask again and again until they are told to stop.
struct Crowd {
    clients: JoinSet<Vec<(Outcome, String)>>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    fn gather(proxy: &Running, clients: usize, headers: &'static [&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut crowd = JoinSet::new();
        for client in 0..clients {
            let (stop, address) = (Arc::clone(&stop), proxy.address());
            crowd.spawn(async move {
                let mut had = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    had.push(ask(address, headers[client % headers.len()]).await);
                }
                had
            });
        }
        Self { clients: crowd, stop }
    }

    async fn go_home(mut self) -> Vec<(Outcome, String)> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        while let Some(had) = self.clients.join_next().await {
            all.extend(had.unwrap());
        }
        all
    }
}

const NO_PROBES: &str = "policy = \"round-robin\"\n[probe]\noff = true";

#[tokio::test]
async fn a_killed_replica_of_three_loses_no_request_whose_response_had_not_begun() {
    let (a, b, c) = (
        replica(None, &well(), 5).await,
        replica(None, &well(), 5).await,
        replica(None, &well(), 5).await,
    );
    let fleet = [(a.address, "x", None), (b.address, "x", None), (c.address, "x", None)];
    // Nobody is shut out: the dead one goes on being asked.
    let proxy = over(&format!("{NO_PROBES}\n[health]\noff = true"), &fleet).await;
    let crowd = Crowd::gather(&proxy, 24, &[""]);
    eventually(|| [&a, &b, &c].iter().all(|mock| mock.seen().len() > 20)).await;
    let under_way = a.seen().len();
    drop(a);
    eventually(|| b.seen().len() > 2 * under_way && c.seen().len() > 2 * under_way).await;
    let all = crowd.go_home().await;
    let broken = all.iter().filter(|(outcome, _)| *outcome == Outcome::Broken).count();
    let retried = all.iter().filter(|(_, text)| text.contains("x-gorgo-attempts: 2")).count();
    println!("{} requests, {broken} broken in their stream, {retried} sent again", all.len());
    for (outcome, text) in &all {
        assert!(matches!(outcome, Outcome::Whole | Outcome::Broken), "{outcome:?}: {text}");
    }
    assert!(broken <= 24, "only what was streaming when it died");
    assert!(retried > 0, "somebody had been sent there");
    eventually(|| proxy.load() == (0, 0)).await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_killed_region_is_left_within_one_probe_interval() {
    const INTERVAL: Duration = Duration::from_millis(600);
    let mut mocks = Vec::new();
    for _ in 0..4 {
        mocks.push(replica(None, &well(), 2).await);
    }
    let fleet: Vec<_> = mocks
        .iter()
        .zip(["near", "near", "far", "far"])
        .map(|(mock, region)| (mock.address, region, None))
        .collect();
    // Only probes may find it out here.
    let more = "policy = \"round-robin\"\n[health]\nunhealthy_after_probes = 1\nopen_after_failures = 0\n[probe]\ninterval = \"600ms\"\ntimeout = \"300ms\"";
    let proxy = over(more, &fleet).await;
    let crowd = Crowd::gather(&proxy, 8, &[""]);
    eventually(|| mocks.iter().all(|mock| mock.seen().len() > 5)).await;
    mocks.drain(..2);
    let killed = Instant::now();
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    loop {
        admin.send("GET /proxy/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer 0123456789abcdef\r\n\r\n").await;
        let status: serde_json::Value = serde_json::from_str(&admin.answer().await.1).unwrap();
        if status["replicas_in_service"] == 2 {
            break;
        }
        assert!(killed.elapsed() < Duration::from_secs(20), "{status}");
        pause(2).await;
    }
    let took = killed.elapsed();
    println!("out of service {} ms after it died", took.as_millis());
    // An interval, and what a loaded machine may take beside.
    assert!(took < INTERVAL + Duration::from_millis(500), "{took:?}");
    for _ in 0..20 {
        let (outcome, text) = ask(proxy.address(), "").await;
        assert_eq!(outcome, Outcome::Whole, "{text}");
        assert!(
            text.contains("x-gorgo-attempts: 1") && text.contains("x-gorgo-region: far"),
            "{text}"
        );
    }
    for (outcome, text) in crowd.go_home().await {
        assert!(matches!(outcome, Outcome::Whole | Outcome::Broken), "{outcome:?}: {text}");
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_restarted_proxy_loses_nothing_but_its_mirror() {
    let (a, b) = (replica(None, &well(), 20).await, replica(None, &well(), 20).await);
    let fleet = [(a.address, "x", None), (b.address, "x", None)];
    let more = "policy = { name = \"prefix-tree\", load = \"in-flight\" }\n[text]\nblock_tokens = 4\n[probe]\noff = true";
    let cached = |text: &str| {
        let head = text.split("\r\n\r\n").next().unwrap();
        header(head, "x-gorgo-predicted-cached-tokens").unwrap().parse::<u64>().unwrap()
    };
    let first = over(more, &fleet).await;
    assert_eq!(cached(&ask(first.address(), "").await.1), 0);
    assert!(cached(&ask(first.address(), "").await.1) > 0);
    // What is under way when it is told to stop ends as if nothing were.
    let address = first.address();
    let mut under_way = JoinSet::new();
    for _ in 0..8 {
        under_way.spawn(async move { ask(address, "").await });
    }
    eventually(|| first.load().0 == 8).await;
    first.shutdown().await;
    while let Some(ended) = under_way.join_next().await {
        let (outcome, text) = ended.unwrap();
        assert_eq!(outcome, Outcome::Whole, "{text}");
    }
    let second = over(more, &fleet).await;
    let (outcome, text) = ask(second.address(), "").await;
    assert_eq!((outcome, cached(&text)), (Outcome::Whole, 0), "{text}");
    assert!(cached(&ask(second.address(), "").await.1) > 0, "and it learns again");
    second.shutdown().await;
}

#[tokio::test]
async fn no_fault_sends_a_request_out_of_its_zone() {
    const TAGS: [&str; 3] = ["x-gorgo-residency: eu\r\n", "x-gorgo-residency: us\r\n", ""];
    let modes: Vec<_> = (0..4).map(|_| well()).collect();
    let mut mocks = Vec::new();
    for mode in &modes {
        mocks.push(replica(None, mode, 2).await);
    }
    let zones = ["eu", "eu", "us", "us"];
    let fleet: Vec<_> =
        mocks.iter().zip(zones).map(|(m, zone)| (m.address, zone, Some(zone))).collect();
    let more = "policy = \"gorgo\"\n[router]\nqueue_limit = 4\nqueue_timeout = \"200ms\"\n[timeouts]\nresponse = \"150ms\"\n[health]\nunhealthy_after_probes = 2\nhealthy_after = 1\nopen_after_failures = 2\n[health.circuit]\nopen_for = \"50ms\"\n[probe]\ninterval = \"30ms\"\ntimeout = \"100ms\"";
    let proxy = over(more, &fleet).await;
    let crowd = Crowd::gather(&proxy, 12, &TAGS);
    let mut seen: Vec<Vec<Seen>> = vec![Vec::new(); 4];
    // Each fault is at the eu replicas, the last ones at both of them.
    for (one, other) in
        [(HANGS, WELL), (WELL, REFUSES), (REFUSES, HANGS), (REFUSES, REFUSES), (WELL, WELL)]
    {
        modes[0].store(one, Ordering::SeqCst);
        modes[1].store(other, Ordering::SeqCst);
        pause(250).await;
    }
    for died in [0, 1] {
        let mock = mocks.remove(0);
        seen[died] = mock.seen();
        pause(200).await;
    }
    for back in [0, 1] {
        let address = fleet[back].0;
        let mock = replica(Some(address), &modes[back], 2).await;
        pause(300).await;
        seen[back].extend(mock.seen());
        mocks.push(mock);
    }
    let (us, all) = (&mocks[..2], crowd.go_home().await);
    seen[2] = us[0].seen();
    seen[3] = us[1].seen();
    for (zone, seen) in zones.iter().zip(&seen) {
        let tagged =
            |tag: &str| seen.iter().filter(|s| s.header("x-gorgo-residency") == Some(tag)).count();
        let (own, other) = if *zone == "eu" { ("eu", "us") } else { ("us", "eu") };
        assert!(tagged(own) > 0, "{zone} served nothing of its own");
        assert_eq!(tagged(other), 0, "{zone} was sent what it must not have");
    }
    // Who is bound to the zone that never failed, and who is bound to none, never noticed.
    let refused = all.iter().filter(|(outcome, _)| matches!(outcome, Outcome::Status(..))).count();
    println!("{} requests, {refused} refused, all of them bound to eu", all.len());
    assert!(refused > 0, "both died: somebody must have noticed");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_zone_without_a_replica_is_a_clear_503() {
    let (a, b) = (replica(None, &well(), 0).await, replica(None, &well(), 0).await);
    let fleet = [(a.address, "x", Some("eu")), (b.address, "x", None)];
    let proxy = over(NO_PROBES, &fleet).await;
    let refused = |outcome: &Outcome| match outcome {
        Outcome::Status(503, body) => body.contains("no_replica_in_zone"),
        _ => false,
    };
    for zone in ["moon", "EU", "eu2"] {
        let headers = format!("x-gorgo-residency: {zone}\r\n");
        let (outcome, text) = ask(proxy.address(), &headers).await;
        assert!(refused(&outcome), "{zone}: {text}");
    }
    const EU: &str = "x-gorgo-residency: eu\r\n";
    assert_eq!(ask(proxy.address(), EU).await.0, Outcome::Whole);
    // Its last replica leaves.
    let mut admin = Client::at(proxy.admin_address().unwrap()).await;
    admin.send("DELETE /servers/r0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer 0123456789abcdef\r\n\r\n").await;
    let (head, body) = admin.answer().await;
    assert!(head.starts_with("HTTP/1.1 20"), "{head}\n{body}");
    let (outcome, text) = ask(proxy.address(), EU).await;
    assert!(refused(&outcome), "{text}");
    assert_eq!(ask(proxy.address(), "").await.0, Outcome::Whole);
    assert_eq!(b.seen().len(), 1);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_replica_that_hangs_is_passed_by_and_alone_it_is_a_504() {
    let mode = Arc::new(AtomicU8::new(HANGS));
    let (a, b) = (replica(None, &mode, 0).await, replica(None, &well(), 0).await);
    let more = format!("{NO_PROBES}\n[timeouts]\nresponse = \"200ms\"");
    let both = over(&more, &[(a.address, "x", None), (b.address, "x", None)]).await;
    let (outcome, text) = ask(both.address(), "").await;
    assert_eq!(outcome, Outcome::Whole, "{text}");
    assert!(text.contains("x-gorgo-attempts: 2"), "{text}");
    both.shutdown().await;
    let alone = over(&more, &[(a.address, "x", None)]).await;
    let began = Instant::now();
    let (outcome, text) = ask(alone.address(), "").await;
    assert!(matches!(outcome, Outcome::Status(504, _)), "{text}");
    assert!(began.elapsed() >= Duration::from_millis(200) && text.contains("200 ms"), "{text}");
    eventually(|| alone.load() == (0, 0)).await;
    alone.shutdown().await;
}

#[tokio::test]
async fn a_replica_that_failed_is_tried_by_one_request_and_then_trusted() {
    let mode = Arc::new(AtomicU8::new(REFUSES));
    let (a, b) = (replica(None, &mode, 30).await, replica(None, &well(), 1).await);
    let more = "policy = \"round-robin\"\n[health]\nopen_after_failures = 3\nunhealthy_after_probes = 0\n[health.circuit]\nopen_for = \"300ms\"\ntrials = 1\npasses = 2\n[probe]\noff = true";
    let proxy = over(more, &[(a.address, "x", None), (b.address, "x", None)]).await;
    let crowd = Crowd::gather(&proxy, 8, &[""]);
    eventually(|| b.seen().len() > 50).await;
    let asked = a.seen().len();
    // Eight may have been under way when the third failed.
    assert!((3..=3 + 8).contains(&asked), "{asked} requests were sent to a replica that refuses");
    // As long as the trial has no answer it is the only one.
    mode.store(HANGS, Ordering::SeqCst);
    eventually(|| a.seen().len() > asked).await;
    let before = b.seen().len();
    eventually(|| b.seen().len() > before + 30).await;
    assert_eq!(a.seen().len(), asked + 1);
    mode.store(WELL, Ordering::SeqCst);
    eventually(|| a.seen().len() > asked + 10).await;
    for (outcome, text) in crowd.go_home().await {
        assert_eq!(outcome, Outcome::Whole, "{text}");
    }
    proxy.shutdown().await;
}
