//! Replicas made of a closure, and a client that sees bytes. Nothing here goes through the proxy's own HTTP code.

use gorgo_proxy::{Config, Running};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as a replica saw it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Request line and headers, without the empty line.
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// A header's value; names are compared without case.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

type Answering = Pin<Box<dyn Future<Output = bool> + Send>>;
type Answer = dyn Fn(Seen, Arc<tokio::sync::Mutex<TcpStream>>) -> Answering + Send + Sync;

/// A replica.
pub struct Mock {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mock {
    /// A replica that answers each request with `answer`, which writes to the connection and says whether it stays open.
    pub async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Seen, Arc<tokio::sync::Mutex<TcpStream>>) -> A + Send + Sync + 'static,
        A: Future<Output = bool> + Send + 'static,
    {
        Self::start_at(([127, 0, 0, 1], 0).into(), answer).await
    }

    /// The same where a replica stood before, say.
    pub async fn start_at<F, A>(address: SocketAddr, answer: F) -> Self
    where
        F: Fn(Seen, Arc<tokio::sync::Mutex<TcpStream>>) -> A + Send + Sync + 'static,
        A: Future<Output = bool> + Send + 'static,
    {
        let answer: Arc<Answer> = Arc::new(move |seen, tcp| Box::pin(answer(seen, tcp)));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (counted, heard) = (Arc::clone(&connections), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
                open.spawn(async move {
                    let tcp = Arc::new(tokio::sync::Mutex::new(tcp));
                    let mut rest = Vec::new();
                    while let Some(seen) = read_request(&tcp, &mut rest).await {
                        heard.lock().unwrap().push(seen.clone());
                        if !answer(seen, Arc::clone(&tcp)).await {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, connections, seen, task }
    }

    /// A replica that answers each request with these bytes and keeps the connection.
    pub async fn fixed(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes: Arc<Vec<u8>> = Arc::new(bytes.into());
        Self::start(move |_, tcp| {
            let bytes = Arc::clone(&bytes);
            async move { tcp.lock().await.write_all(&bytes).await.is_ok() }
        })
        .await
    }

    /// Requests for completions that it saw.
    pub fn seen(&self) -> Vec<Seen> {
        let all = self.seen.lock().unwrap();
        all.iter().filter(|seen| seen.head.starts_with("POST")).cloned().collect()
    }
}

async fn read_request(tcp: &tokio::sync::Mutex<TcpStream>, rest: &mut Vec<u8>) -> Option<Seen> {
    let mut tcp = tcp.lock().await;
    let end = loop {
        if let Some(end) = find(rest, b"\r\n\r\n") {
            break end;
        }
        if tcp.read_buf(rest).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(rest[..end].to_vec()).unwrap();
    let length: usize = header(&head, "content-length").map_or(0, |n| n.parse().unwrap());
    while rest.len() < end + 4 + length {
        if tcp.read_buf(rest).await.ok()? == 0 {
            return None;
        }
    }
    let body = rest[end + 4..end + 4 + length].to_vec();
    rest.drain(..end + 4 + length);
    Some(Seen { head, body })
}

pub fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// An answer with a length.
pub fn whole(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// The head of an answer that streams in chunks.
pub const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// A chunk of a chunked body; an empty one ends it.
pub fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// An event of a stream of completions.
pub fn event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"text\":\"{text}\"}}]}}\n\n")
}

/// A proxy over these replicas, without probes; `more` is TOML that comes first.
pub async fn proxy(more: &str, replicas: &[&Mock]) -> Running {
    let mut text =
        format!("listen = \"127.0.0.1:0\"\n{more}\n[probe]\noff = true\n[scrape]\noff = true\n");
    for (index, replica) in replicas.iter().enumerate() {
        text += &format!(
            "[[replica]]\nname = \"r{index}\"\nregion = \"here\"\nurl = \"http://{}\"\n",
            replica.address
        );
    }
    start(&text).await
}

pub async fn start(text: &str) -> Running {
    let config = Config::parse("proxy.toml", text).unwrap_or_else(|error| panic!("{error}"));
    gorgo_proxy::start(config).await.unwrap()
}

/// A client's connection.
pub struct Client {
    pub tcp: TcpStream,
    pub rest: Vec<u8>,
}

impl Client {
    pub async fn to(proxy: &Running) -> Self {
        Self::at(proxy.address()).await
    }

    pub async fn at(address: SocketAddr) -> Self {
        Self { tcp: TcpStream::connect(address).await.unwrap(), rest: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &str) {
        self.tcp.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Asks for a completion.
    pub async fn post(&mut self, body: &str) {
        self.send(&post("/v1/completions", "", body)).await;
    }

    /// Reads until what has come satisfies `enough`.
    pub async fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let reading = async {
            while !enough(&self.rest) {
                assert!(self.tcp.read_buf(&mut self.rest).await.unwrap() > 0, "it closed early");
            }
        };
        within(10, reading).await;
        std::mem::take(&mut self.rest)
    }

    /// Reads one answer with a length: its head and its body.
    pub async fn answer(&mut self) -> (String, String) {
        let reading = async {
            loop {
                if let Some(end) = find(&self.rest, b"\r\n\r\n") {
                    let head = String::from_utf8(self.rest[..end].to_vec()).unwrap();
                    let length: usize = header(&head, "content-length").unwrap().parse().unwrap();
                    if self.rest.len() >= end + 4 + length {
                        let body = self.rest[end + 4..end + 4 + length].to_vec();
                        self.rest.drain(..end + 4 + length);
                        return (head, String::from_utf8(body).unwrap());
                    }
                }
                let read = self.tcp.read_buf(&mut self.rest).await.unwrap();
                assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&self.rest));
            }
        };
        within(10, reading).await
    }

    /// Reads one answer in chunks: its head and its body as it was sent, frames and all.
    pub async fn chunked(&mut self) -> (String, Vec<u8>) {
        let all = self.read_until(|bytes| bytes.ends_with(b"0\r\n\r\n")).await;
        let end = find(&all, b"\r\n\r\n").unwrap();
        (String::from_utf8(all[..end].to_vec()).unwrap(), all[end + 4..].to_vec())
    }

    /// Reads until the other side closes.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        let reading =
            async { while self.tcp.read_buf(&mut self.rest).await.is_ok_and(|n| n > 0) {} };
        within(10, reading).await;
        std::mem::take(&mut self.rest)
    }
}

/// The data of chunks without their frames.
pub fn unchunked(mut framed: &[u8]) -> String {
    let mut data = Vec::new();
    loop {
        let end = find(framed, b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&framed[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return String::from_utf8(data).unwrap();
        }
        data.extend_from_slice(&framed[end + 2..end + 2 + size]);
        framed = &framed[end + 2 + size + 2..];
    }
}

/// A request with a body; `headers` end with a line break each.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: proxy\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

pub const ASK: &str =
    r#"{"prompt": "once upon a time there was a fox",  "stream": true, "max_tokens": 4}"#;

/// Waits for something at most so many seconds.
pub async fn within<T>(seconds: u64, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), what).await.expect("it takes too long")
}

/// Waits until something holds.
pub async fn eventually(what: impl Fn() -> bool) {
    within(10, async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
