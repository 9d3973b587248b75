//! A server that answers as a test says, byte for byte: HTTP/1.1 by hand, on a free port of this machine.

use gorgo_scenario::{Parsed, Resolved};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Got {
    /// `/v1/completions`, say.
    pub path: String,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Which connection it came over.
    pub connection: usize,
}

impl Got {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What to do, one after the other.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes bytes.
    Write(Vec<u8>),
    /// Waits.
    Wait(Duration),
    /// Closes the connection.
    Close,
}

/// A server and what it has got.
pub struct Mock {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Its requests, in their order.
    pub got: Arc<Mutex<Vec<Got>>>,
    task: JoinHandle<()>,
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mock {
    /// A server that answers the n-th request (from 0) so.
    pub async fn start(answer: impl Fn(usize, &Got) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_on(answer, |stream| async move { Some(stream) }, "http").await
    }

    /// The same, with something between the socket and HTTP.
    pub async fn start_on<S, F>(
        answer: impl Fn(usize, &Got) -> Vec<Step> + Send + Sync + 'static,
        wrap: impl Fn(tokio::net::TcpStream) -> F + Send + Sync + 'static,
        scheme: &str,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Option<S>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("{scheme}://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let got = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen, wrap) = (Arc::new(answer), Arc::clone(&got), Arc::new(wrap));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                stream.set_nodelay(true).unwrap();
                let (answer, seen, wrap) = (answer.clone(), seen.clone(), wrap.clone());
                connections.spawn(async move {
                    if let Some(stream) = wrap(stream).await {
                        serve(stream, connection, &*answer, &seen).await;
                    }
                });
            }
        });
        Self { url, got, task }
    }

    /// How many requests of this path came.
    pub fn count(&self, path: &str) -> usize {
        self.got.lock().unwrap().iter().filter(|got| got.path == path).count()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    connection: usize,
    answer: &(impl Fn(usize, &Got) -> Vec<Step> + ?Sized),
    seen: &Mutex<Vec<Got>>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(got) = read(&mut stream, connection).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(got.clone());
            seen.len() - 1
        };
        for step in answer(number, &got) {
            match step {
                Step::Write(bytes) => {
                    if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                Step::Wait(span) => tokio::time::sleep(span).await,
                Step::Close => {
                    stream.shutdown().await.ok();
                    return;
                }
            }
        }
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut BufReader<S>, connection: usize) -> Option<Got> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|&n| n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|&n| n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Got { path, headers, body, connection })
}

/// The head of a streamed answer.
pub fn stream_head(more: &str) -> Step {
    Step::Write(
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{more}transfer-encoding: chunked\r\n\r\n")
            .into_bytes(),
    )
}

/// Bytes as a chunk of a body.
pub fn chunk(bytes: &str) -> Step {
    Step::Write(format!("{:x}\r\n{bytes}\r\n", bytes.len()).into_bytes())
}

/// An event with a text.
pub fn event(text: &str) -> Step {
    chunk(&format!(
        "data: {{\"choices\":[{{\"index\":0,\"text\":\"{text}\",\"finish_reason\":null}}]}}\n\n"
    ))
}

/// The last events: why it ends, the usage, and the end.
pub fn last(prompt: u64, completion: u64, cached: u64) -> Vec<Step> {
    vec![
        chunk("data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n"),
        chunk(&format!(
            "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\
             \"prompt_tokens_details\":{{\"cached_tokens\":{cached}}}}}}}\n\n"
        )),
        chunk("data: [DONE]\n\n"),
        Step::Write(b"0\r\n\r\n".to_vec()),
    ]
}

/// A whole answer that is no stream.
pub fn whole(status: &str, body: &str) -> Step {
    Step::Write(
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
    )
}

/// A stream of a text for each wait before it.
pub fn streamed(waits_ms: &[u64], usage: [u64; 3]) -> Vec<Step> {
    let mut steps = vec![stream_head("")];
    for &ms in waits_ms {
        steps.push(Step::Wait(Duration::from_millis(ms)));
        steps.push(event("abc "));
    }
    steps.extend(last(usage[0], usage[1], usage[2]));
    steps
}

/// A scenario of a few seconds: lone requests at 40 a second, and more lines of TOML.
pub fn scenario(requests: u32, more: &str) -> Resolved {
    let text = format!(
        "name = \"live-test\"\nseed = 3\n\
         [fleet]\ngpu = \"h100-sxm\"\nmodel = \"llama-3.1-8b\"\n\
         regions = [\"azure:eastus\", \"azure:westus2\"]\nreplicas_per_region = 1\n\
         [workload.prefix_groups]\nrequests = {requests}\ngroups = 3\n\
         [load.constant]\nrate = \"40 req/s\"\n\
         [router]\npolicies = [\"round-robin\"]\n{more}"
    );
    let parsed = Parsed::new("live.toml", &text, &[""; 0]).unwrap_or_else(|e| panic!("{e}"));
    parsed.resolve(Path::new("")).unwrap_or_else(|e| panic!("{e}"))
}
