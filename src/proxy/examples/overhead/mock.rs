//! The replicas: two ports, every request answered at once with 16 events. Hand-written, so that they cost little.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Events of an answer.
const EVENTS: usize = 16;
/// An idle engine's metrics: policies that look at load decide by it.
const METRICS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 110\r\n\r\nsglang:num_running_reqs 0\nsglang:num_queue_reqs 0\nsglang:num_used_tokens 0\nsglang:max_total_num_tokens 400000\n";
/// How many replicas there are.
const REPLICAS: usize = 2;

/// Prints the addresses and serves until its standard input ends.
pub fn serve() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        for _ in 0..REPLICAS {
            let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
            println!("{}", listener.local_addr().map_err(|e| e.to_string())?);
            tokio::spawn(accept(listener));
        }
        println!();
        super::target::until_input_ends().await;
        Ok(())
    })
}

async fn accept(listener: TcpListener) {
    let answer: &'static [u8] = Box::leak(answer().into_boxed_slice());
    while let Ok((tcp, _)) = listener.accept().await {
        tokio::spawn(connection(tcp, answer));
    }
}

fn answer() -> Vec<u8> {
    let mut answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    for n in 0..EVENTS {
        let data = if n + 1 < EVENTS {
            format!(
                "data: {{\"id\":\"cmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"w{n} \"}}}}]}}\n\n"
            )
        } else {
            "data: [DONE]\n\n".to_owned()
        };
        answer.extend_from_slice(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes());
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

async fn connection(mut tcp: TcpStream, answer: &[u8]) {
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let mut bytes = Vec::with_capacity(16 << 10);
    loop {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            if !matches!(tcp.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        while bytes.len() < end + 4 + length {
            if !matches!(tcp.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        }
        bytes.drain(..end + 4 + length);
        let answer = match head.split_whitespace().nth(1) {
            _ if head.starts_with("post") => answer,
            Some("/metrics") => METRICS,
            Some("/health") => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".as_slice(),
            // What tells a router where to fetch a tokenizer, above all.
            _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        };
        if tcp.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// The addresses that [`serve`] prints.
pub fn addresses(lines: impl Iterator<Item = String>) -> Vec<SocketAddr> {
    lines.take_while(|line| !line.is_empty()).filter_map(|line| line.parse().ok()).collect()
}
