//! How late the emulator is under load: `cargo run --release -p gorgo-emulator --example lateness -- [REQ_PER_S [SECONDS
//! [normal]]]`.
//!
//! Requests of 20 tokens come evenly spaced over the relays of a fleet of six replicas in three regions, from a client in
//! the same process, whose share of the machine is part of the figures. Printed is how late the kernel had taken tokens
//! from replicas and relays, and how late the client had first tokens: it adds what the replica reports to the link's round
//! trip, which is constant here. With `normal` no priority is asked for.

use gorgo_emulator::{Lateness, Options, Priority, start};
use gorgo_scenario::Resolved;
use gorgo_types::Nanos;
use gorgo_wire::{Api, EventStream, Piece, ReplicaTimes, WireError};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

type Failure = Box<dyn Error + Send + Sync>;
type Connection = SendRequest<Full<Bytes>>;

async fn connect(address: SocketAddr) -> Result<Connection, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(send)
}

/// An answer: its frames, when the first text came after the request was sent, and where the time went.
#[derive(Default)]
struct Answer {
    frames: usize,
    ttft: Option<Duration>,
    times: Option<ReplicaTimes>,
}

/// One request to its end.
async fn ask(connection: &mut Connection, number: u64) -> Result<Answer, Failure> {
    let text = format!("{number:08} is the number of this request. ").repeat(25);
    let told = serde_json::json!({"report_times": true});
    let body = serde_json::json!({"prompt": text, "max_tokens": 20, "stream": true, "gorgo": told});
    let body = body.to_string();
    let request = http::Request::post("/v1/completions").header("host", "emulated");
    connection.ready().await?;
    let sent = Instant::now();
    let response = connection.send_request(request.body(Full::new(body.into()))?).await?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()).into());
    }
    let (mut body, mut answer, mut events) =
        (response.into_body(), Answer::default(), EventStream::default());
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        let came = sent.elapsed();
        answer.frames += 1;
        let read: Result<(), WireError> = events.push(&bytes, |data| {
            let piece = Piece::parse(Api::Completions, data)?;
            if piece.has_text {
                answer.ttft.get_or_insert(came);
            }
            answer.times = piece.times.or(answer.times);
            Ok(())
        });
        read?;
    }
    Ok(answer)
}

impl Answer {
    /// Counts how late the first token was, where the link takes so long.
    fn count(&self, rtt: Nanos, lateness: &Lateness) {
        let (Some(ttft), Some(times)) = (self.ttft, self.times) else { return };
        let due_ms = times.overhead_ms + times.queue_ms + times.prefill_ms + rtt.as_ms();
        // Both are below a minute.
        lateness.record(Nanos((due_ms * 1e6) as u64), Nanos(ttft.as_nanos() as u64));
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rate: f64 = args.first().map_or(Ok(200.0), |rate| rate.parse())?;
    let seconds: f64 = args.get(1).map_or(Ok(20.0), |seconds| seconds.parse())?;
    let priority = match args.get(2).map(String::as_str) {
        None => Priority::Auto,
        Some("normal") => Priority::Normal,
        Some(other) => return Err(format!("got {other}, wanted normal or nothing").into()),
    };
    let scenario = Resolved::built_in(&["network.spread_share=0.0"])?;
    let running = start(&scenario, Options { priority, ..Options::default() }).await?;
    let links: Vec<(SocketAddr, Nanos)> = running
        .replicas()
        .iter()
        .zip(&scenario.replicas)
        .map(|(told, replica)| {
            let rtt = scenario.network.median_rtt(scenario.router.region, replica.region);
            (told.links[0].address, rtt)
        })
        .collect();
    let client = Arc::<Lateness>::default();
    let idle: Arc<Vec<Mutex<Vec<Connection>>>> =
        Arc::new(links.iter().map(|_| Mutex::default()).collect());
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    // Both are small positive numbers.
    for number in 0..(rate * seconds) as u64 {
        tokio::time::sleep_until((begun + Duration::from_secs_f64(number as f64 / rate)).into())
            .await;
        let which = (number % links.len() as u64) as usize;
        let ((address, rtt), idle, client) = (links[which], Arc::clone(&idle), Arc::clone(&client));
        tasks.spawn(async move {
            let kept = idle[which].lock().ok().and_then(|mut kept| kept.pop());
            // Opening a connection takes its time.
            let warm = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => connect(address).await?,
            };
            let answer = ask(&mut connection, number).await?;
            if warm {
                answer.count(rtt, &client);
            }
            if let Ok(mut kept) = idle[which].lock() {
                kept.push(connection);
            }
            Ok::<usize, Failure>(answer.frames)
        });
    }
    let (mut frames, mut ended) = (0, 0_u64);
    while let Some(task) = tasks.join_next().await {
        frames += task??;
        ended += 1;
    }
    let took = begun.elapsed().as_secs_f64();
    let report = running.shutdown().await;
    println!("{ended} requests in {took:.1} s, {frames} pieces at the client");
    println!("tokens: {}", report.tokens.in_words());
    println!("links:  {}", report.links.in_words());
    println!("client: {}", client.in_words());
    println!("{}", report.timing.in_words());
    let p99 = report.tokens.quantile(0.99).unwrap_or(Nanos::MAX);
    println!("p99 under 2 ms: {}", if p99 < Nanos::from_millis(2) { "yes" } else { "NO" });
    Ok(())
}
