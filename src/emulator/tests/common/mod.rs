//! What the tests share: a small fleet, and a client that sees each piece of an answer when it comes.

use gorgo_emulator::{Options, Running, start};
use gorgo_scenario::{Parsed, Resolved};
use gorgo_wire::{Api, EventStream, Piece, ReplicaTimes, Usage, WireError};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Two replicas in one region and one in another, 80 ms away; a request's overhead is 5 ms.
pub const FLEET: &str = r#"
name = "emulated"
seed = 3
[fleet]
[[fleet.replicas]]
region = "azure:eastus"
name = "us"
count = 2
gpu = "h100-sxm"
model = "llama-3.1-8b"
overhead = "5ms"
[[fleet.replicas]]
region = "azure:germanywestcentral"
name = "eu"
gpu = "h100-sxm"
model = "llama-3.1-8b"
overhead = "5ms"
[network]
links = [{ from = "azure:eastus", to = "azure:germanywestcentral", rtt_p50 = "80ms" }]
[workload.prefix_groups]
requests = 10
[load]
turns = "recorded"
[load.poisson]
rate = "1 req/s"
[router]
region = "azure:eastus"
policies = ["round-robin"]
"#;

pub fn scenario_of(text: &str) -> Resolved {
    let parsed = Parsed::new("test.toml", text, &[""; 0]).expect("a scenario");
    parsed.resolve(Path::new("")).expect("a valid one")
}

pub fn scenario() -> Resolved {
    scenario_of(FLEET)
}

pub async fn running(options: Options) -> Running {
    start(&scenario(), options).await.expect("it starts")
}

/// A connection kept alive.
pub struct Client {
    send: SendRequest<Full<Bytes>>,
}

/// An answer as it came.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// From the sending to the first text.
    pub ttft: Duration,
    /// From the sending to the end.
    pub e2e: Duration,
    /// When each event with text came, since the sending.
    pub texts: Vec<Duration>,
    pub usage: Option<Usage>,
    pub usages: usize,
    pub times: Option<ReplicaTimes>,
    pub done: bool,
    pub body: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (send, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        // It ends with its sender.
        tokio::spawn(connection);
        Ok(Self { send })
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, hyper::Error> {
        let body: Bytes = body.into();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "emulated")
            .body(Full::new(body))
            .expect("a request");
        let sent = Instant::now();
        self.send.ready().await?;
        let response = self.send.send_request(request).await?;
        let mut answer = Answer { status: response.status().as_u16(), ..Answer::default() };
        let streams = response.headers()["content-type"].to_str().unwrap().contains("event-stream");
        let (mut events, mut body) = (EventStream::default(), response.into_body());
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame?.into_data() else { continue };
            let came = sent.elapsed();
            answer.body.extend_from_slice(&bytes);
            if streams {
                let api = Api::at(path).expect("only these stream");
                let read: Result<(), WireError> = events.push(&bytes, |data| {
                    answer.take(&Piece::parse(api, data)?, came);
                    Ok(())
                });
                read.expect("a stream of events");
            }
        }
        answer.e2e = sent.elapsed();
        if !streams && let Some(api) = Api::at(path) {
            answer.take(&Piece::parse(api, &answer.body.clone()).expect("JSON"), answer.e2e);
        }
        Ok(answer)
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "").await.expect("an answer")
    }

    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send("POST", path, body).await.expect("an answer")
    }
}

impl Answer {
    fn take(&mut self, piece: &Piece, came: Duration) {
        if piece.has_text {
            if self.texts.is_empty() {
                self.ttft = came;
            }
            self.texts.push(came);
        }
        self.usages += usize::from(piece.usage.is_some());
        self.usage = piece.usage.or(self.usage);
        self.times = piece.times.or(self.times);
        self.done |= piece.done;
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request on a connection of its own.
pub async fn ask(address: SocketAddr, path: &str, body: impl Into<Bytes>) -> Answer {
    Client::connect(address).await.expect("a connection").post(path, body).await
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
