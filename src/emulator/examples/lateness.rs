//! How late the emulator is under load: `cargo run --release -p gorgo-emulator --example lateness [REQ_PER_S [SECONDS]]`.
//!
//! Requests of 20 tokens come evenly spaced over the relays of a fleet of six replicas in three regions, from a client in
//! the same process, whose share of the machine is part of the figures. Printed is how late tokens were handed to their
//! sockets and how late relays wrote.

use gorgo_emulator::{Options, start};
use gorgo_scenario::Resolved;
use gorgo_types::Nanos;
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

/// One request to its end; gives the number of frames of the answer.
async fn ask(connection: &mut Connection, number: u64) -> Result<usize, Failure> {
    let text = format!("{number:08} is the number of this request. ").repeat(25);
    let body = serde_json::json!({"prompt": text, "max_tokens": 20, "stream": true}).to_string();
    let request = http::Request::post("/v1/completions").header("host", "emulated");
    connection.ready().await?;
    let response = connection.send_request(request.body(Full::new(body.into()))?).await?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()).into());
    }
    let (mut body, mut frames) = (response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        frame?;
        frames += 1;
    }
    Ok(frames)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let rate: f64 = args.next().map_or(Ok(200.0), |rate| rate.parse())?;
    let seconds: f64 = args.next().map_or(Ok(20.0), |seconds| seconds.parse())?;
    let scenario = Resolved::built_in(&[] as &[&str])?;
    let running = start(&scenario, Options::default()).await?;
    let addresses: Vec<SocketAddr> =
        running.replicas().iter().map(|replica| replica.links[0].address).collect();
    let idle: Arc<Vec<Mutex<Vec<Connection>>>> =
        Arc::new(addresses.iter().map(|_| Mutex::default()).collect());
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    // Both are small positive numbers.
    for number in 0..(rate * seconds) as u64 {
        tokio::time::sleep_until((begun + Duration::from_secs_f64(number as f64 / rate)).into())
            .await;
        let which = (number % addresses.len() as u64) as usize;
        let (address, idle) = (addresses[which], Arc::clone(&idle));
        tasks.spawn(async move {
            let kept = idle[which].lock().ok().and_then(|mut kept| kept.pop());
            let mut connection = match kept {
                Some(connection) => connection,
                None => connect(address).await?,
            };
            let frames = ask(&mut connection, number).await?;
            if let Ok(mut kept) = idle[which].lock() {
                kept.push(connection);
            }
            Ok::<usize, Failure>(frames)
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
    let p99 = report.tokens.quantile(0.99).unwrap_or(Nanos::MAX);
    println!("p99 under 2 ms: {}", if p99 < Nanos::from_millis(2) { "yes" } else { "NO" });
    Ok(())
}
