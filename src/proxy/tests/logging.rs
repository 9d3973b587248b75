//! What is logged says nothing of what was asked or answered. A program of its own, because a log is the whole program's.

use std::io::Write;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const SECRET: &str = "attack at dawn";

async fn ask(address: std::net::SocketAddr, body: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {SECRET}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn prompts_keys_and_answers_are_not_logged() {
    let kept = Kept::default();
    let writer = kept.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    // Answers twice and then resets: good, good, and failed.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let replica = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        for turn in 0.. {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = tcp.read(&mut buffer).await;
            if turn < 2 {
                let body = format!("{{\"choices\":[{{\"text\":\"{SECRET}\"}}]}}");
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = tcp.write_all(answer.as_bytes()).await;
            }
        }
    });
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[probe]\noff = true\n[scrape]\noff = true\n[[replica]]\nname = \"a\"\nurl = \"http://{replica}\"\n"
    );
    let config = gorgo_proxy::Config::parse("proxy.toml", &text).unwrap();
    let proxy = gorgo_proxy::start(config).await.unwrap();
    for (body, status) in [
        (format!("{{\"prompt\":\"{SECRET}\"}}"), 200),
        (format!("{{\"prompt\":[\"{SECRET}\"]}}"), 200),
        (format!("{{\"prompt\":\"{SECRET}\"}}"), 502),
        (format!("{{\"prompt\":{{\"a\":\"{SECRET}\"}}}}"), 400),
        (SECRET.to_owned(), 400),
    ] {
        let answer = ask(proxy.address(), &body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{body}: {answer}");
    }
    proxy.shutdown().await;
    serving.abort();
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("an attempt failed"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}
