//! The client: so many connections, each of which asks again as soon as it has its answer.

use socket2::SockRef;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How the client's sockets acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// As the system likes: late where nothing is to be sent.
    Default,
    /// At once, so that no delay of the client's own is in what is measured.
    Quick,
}

/// A closed loop.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub concurrency: usize,
    pub acks: Acks,
    pub time: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From the request's first byte to the answer's last, sorted.
    pub whole_ms: Vec<f64>,
    /// To the answer's first byte, sorted.
    pub first_ms: Vec<f64>,
    pub seconds: f64,
}

impl Times {
    pub fn count(&self) -> usize {
        self.whole_ms.len()
    }
}

impl Load {
    pub async fn run(self, address: SocketAddr) -> Result<Times, String> {
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for client in 0..self.concurrency {
            clients.spawn(ask(address, client, self.acks, began + self.time));
        }
        let mut all = Times::default();
        while let Some(ended) = clients.join_next().await {
            let times = ended
                .map_err(|error| error.to_string())?
                .map_err(|error| format!("{address}, {} connections: {error}", self.concurrency))?;
            for (first, whole) in times {
                all.first_ms.push(first);
                all.whole_ms.push(whole);
            }
        }
        all.seconds = began.elapsed().as_secs_f64();
        all.first_ms.sort_by(f64::total_cmp);
        all.whole_ms.sort_by(f64::total_cmp);
        Ok(all)
    }
}

/// A chat of 2 KB: the first three quarters are those of 16 groups, the rest is the client's own.
fn request(client: usize, turn: usize) -> String {
    let (group, own) = (client % 16, format!("{client:06}-{turn:08} "));
    let shared = format!("group {group:02} says it again ").repeat(60);
    let tail = own.repeat(32);
    let body = format!(
        "{{\"model\":\"m\",\"stream\":true,\"max_tokens\":16,\"messages\":[{{\"role\":\"user\",\"content\":\"{shared}{tail}\"}}]}}"
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn ask(
    address: SocketAddr,
    client: usize,
    acks: Acks,
    until: Instant,
) -> std::io::Result<Vec<(f64, f64)>> {
    let broken = |what: &str| std::io::Error::other(what.to_owned());
    let mut tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(16 << 10);
    let mut times = Vec::new();
    for turn in 0.. {
        let request = request(client, turn);
        let began = Instant::now();
        if began >= until {
            break;
        }
        tcp.write_all(request.as_bytes()).await?;
        bytes.clear();
        let mut first = None;
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            if acks == Acks::Quick {
                // The system forgets it at every answer.
                SockRef::from(&tcp).set_tcp_quickack(true)?;
            }
            if tcp.read_buf(&mut bytes).await? == 0 {
                return Err(broken("closed in the middle of an answer"));
            }
            first.get_or_insert_with(|| began.elapsed());
        }
        let whole = began.elapsed();
        let good = bytes.starts_with(b"HTTP/1.1 200");
        if !good || bytes.windows(5).filter(|window| window == b"data:").count() != 16 {
            return Err(broken("an answer that is not the replica's"));
        }
        let ms = |span: Duration| span.as_secs_f64() * 1e3;
        times.push((ms(first.unwrap_or(whole)), ms(whole)));
    }
    Ok(times)
}
