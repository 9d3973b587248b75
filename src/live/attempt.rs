//! One request sent once: the bytes go out, the answer comes in, and when is written down. What it means for the
//! request, and whether it is tried again, is for `flight.rs`.

use crate::clock::{Clock, nanos};
use crate::connection::{Connection, Endpoint};
use crate::flight::News;
use bytes::Bytes;
use gorgo_types::Nanos;
use gorgo_wire::{Api, EventStream, Piece, ReplicaTimes, Usage, WireError, headers};
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The longest answer that is read where it does not stream, and the longest text of an error.
const MOST_BYTES: usize = 64 << 20;
/// How much of an error's text is kept.
const SHOWN_CHARS: usize = 120;

/// What is sent.
pub(crate) struct Ask<'a> {
    pub endpoint: &'a Arc<Endpoint>,
    pub api: Api,
    pub headers: &'a HeaderMap,
    pub body: Bytes,
    pub clock: Clock,
    pub connect_timeout: Duration,
    /// When the first token, and when the end must have come.
    pub deadlines: [Instant; 2],
    /// Hears of headers and first token as they come.
    pub news: &'a (dyn Fn(News) + Sync),
}

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The answer is complete.
    Done,
    /// An answer with this status; and its words.
    Status(u16, String),
    /// No answer, a broken or a malformed one.
    Broken(String),
    /// A time-out.
    TimedOut(&'static str),
}

/// What the proxy says of its decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Decided {
    pub replica: Option<String>,
    pub region: Option<String>,
    pub score: f64,
    pub predicted_cached_tokens: u64,
    pub router_queue: Option<Nanos>,
    pub routing: Option<Nanos>,
    pub failed_attempts: Option<Nanos>,
    pub attempts: Option<u16>,
    /// Headers that are there and cannot be read.
    pub malformed: u32,
}

/// What has been heard so far: it stands even where the attempt breaks off.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Opening a connection, where none was idle.
    pub connect: Nanos,
    /// Whether a byte of the request may have reached anybody.
    pub sent: bool,
    pub first_token: Option<Nanos>,
    pub last_token: Option<Nanos>,
    /// When a piece came, and how long after the one before.
    pub gaps: Vec<(Nanos, Nanos)>,
    pub pieces: u64,
    pub usage: Option<Usage>,
    pub times: Option<ReplicaTimes>,
    pub decided: Decided,
    tokens: u64,
    finished: bool,
    done: bool,
    error: Option<String>,
}

/// Sends it and reads the answer.
pub(crate) async fn attempt(ask: &Ask<'_>, heard: &mut Heard) -> End {
    match converse(ask, heard).await {
        Ok(()) => End::Done,
        Err(end) => end,
    }
}

async fn converse(ask: &Ask<'_>, heard: &mut Heard) -> Result<(), End> {
    let [by_first, by_end] = ask.deadlines;
    let (mut connection, response) = answered(ask, heard, by_first).await?;
    heard.decided = decided(response.headers());
    let status = response.status();
    (ask.news)(News::Headers(status.is_success()));
    if !status.is_success() {
        let words = timeout_at(by_end, whole(response)).await;
        let words = words.map_err(|_| End::TimedOut("the answer"))?.unwrap_or_default();
        ask.endpoint.give_back(connection);
        return Err(End::Status(status.as_u16(), error_words(ask.api, &words)));
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let streams = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if streams {
        stream(ask, response, heard).await?;
    } else {
        let body = timeout_at(by_first.min(by_end), whole(response)).await;
        let body = body.map_err(|_| End::TimedOut("the answer"))?.map_err(End::Broken)?;
        let at = ask.clock.now();
        let piece = Piece::parse(ask.api, &body).map_err(malformed)?;
        heard.take(ask.api, piece, at);
        heard.finished = true;
        (ask.news)(News::FirstToken);
    }
    heard.check()?;
    // Not ready yet where the end of the body has been read but not the connection's own.
    if connection.ready().await.is_ok() {
        ask.endpoint.give_back(connection);
    }
    Ok(())
}

/// The response's head. A kept connection may have been closed by its server just now: then the request has not been
/// read, and goes over a new one.
async fn answered(
    ask: &Ask<'_>,
    heard: &mut Heard,
    by: Instant,
) -> Result<(Connection, Response<Incoming>), End> {
    let mut request = request(ask)?;
    if let Some(mut connection) = ask.endpoint.idle() {
        heard.sent = true;
        let answer = timeout_at(by, connection.try_send_request(request)).await;
        match answer.map_err(|_| End::TimedOut("the first token"))? {
            Ok(response) => return Ok((connection, response)),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(End::Broken(words(&error.into_error()))),
            },
        }
        heard.sent = false;
    }
    let from = ask.clock.now();
    let until = by.min(Instant::now() + ask.connect_timeout);
    let opened = timeout_at(until, ask.endpoint.open()).await;
    heard.connect = ask.clock.now().saturating_sub(from);
    let mut connection = opened.map_err(|_| End::TimedOut("a connection"))?.map_err(End::Broken)?;
    heard.sent = true;
    let answer = timeout_at(by, connection.send_request(request)).await;
    let response = answer.map_err(|_| End::TimedOut("the first token"))?;
    Ok((connection, response.map_err(|error| End::Broken(words(&error)))?))
}

fn request(ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, End> {
    let mut request = Request::post(ask.endpoint.path(ask.api.path()))
        .body(Full::new(ask.body.clone()))
        .map_err(|error| End::Broken(error.to_string()))?;
    *request.headers_mut() = ask.headers.clone();
    request.headers_mut().insert(header::HOST, ask.endpoint.authority.clone());
    Ok(request)
}

/// Reads a stream of events to its end.
async fn stream(ask: &Ask<'_>, response: Response<Incoming>, heard: &mut Heard) -> Result<(), End> {
    let [by_first, by_end] = ask.deadlines;
    let (mut body, mut events) = (response.into_body(), EventStream::default());
    loop {
        let (by, what) = match heard.first_token {
            Some(_) => (by_end, "the answer"),
            None => (by_first, "the first token"),
        };
        let frame = timeout_at(by, body.frame()).await.map_err(|_| End::TimedOut(what))?;
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame.map_err(|error| End::Broken(words(&error)))?;
        let at = ask.clock.now();
        let Some(bytes) = frame.data_ref() else { continue };
        let had_token = heard.first_token.is_some();
        events
            .push(bytes, |data| {
                heard.take(ask.api, Piece::parse(ask.api, data)?, at);
                Ok::<(), WireError>(())
            })
            .map_err(malformed)?;
        if !had_token && heard.first_token.is_some() {
            (ask.news)(News::FirstToken);
        }
    }
}

/// A whole body, as far as it is read.
async fn whole(response: Response<Incoming>) -> Result<Bytes, String> {
    let limited = http_body_util::Limited::new(response.into_body(), MOST_BYTES);
    limited
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| format!("the answer broke off: {error}"))
}

impl Heard {
    /// Takes in a piece that came at this moment.
    fn take(&mut self, api: Api, piece: Piece, at: Nanos) {
        let ends = piece.finish_reason.is_some();
        // SGLang's own stream repeats the text so far, but counts.
        let grown = match piece.usage.filter(|_| api == Api::Generate) {
            Some(usage) => usage.completion_tokens > self.tokens,
            None => true,
        };
        if piece.has_text && grown {
            self.pieces += 1;
            match self.last_token {
                Some(last) => self.gaps.push((at, at.saturating_sub(last))),
                None => self.first_token = Some(at),
            }
            self.last_token = Some(at);
        }
        if let Some(usage) = piece.usage {
            self.tokens = usage.completion_tokens;
            self.usage = Some(usage);
        }
        if ends && self.last_token.is_none() && self.tokens > 0 {
            // Tokens without text of their own.
            self.first_token = Some(at);
        }
        if ends {
            self.last_token = Some(at);
        }
        self.times = piece.times.or(self.times);
        self.finished |= ends;
        self.done |= piece.done;
        self.error = self.error.take().or(piece.error);
    }

    /// What an answer that has ended must have.
    fn check(&self) -> Result<(), End> {
        if let Some(error) = &self.error {
            return Err(End::Broken(format!("an error in the answer: {}", shown(error))));
        }
        if !self.finished && !self.done {
            return Err(End::Broken("the stream ended without saying so".to_owned()));
        }
        if self.first_token.is_none() {
            return Err(End::Broken("an answer without a token".to_owned()));
        }
        Ok(())
    }
}

fn malformed(error: WireError) -> End {
    End::Broken(format!("a malformed answer: {}", shown(&error.to_string())))
}

/// An error with its causes.
fn words(error: &hyper::Error) -> String {
    use std::error::Error;
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("the connection broke: {error}{cause}")
}

/// What a body with an error says.
fn error_words(api: Api, body: &[u8]) -> String {
    let said = Piece::parse(api, body).ok().and_then(|piece| piece.error);
    shown(&said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()))
}

/// The beginning of a text, on one line.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(SHOWN_CHARS).map(plain).collect::<String>().trim().to_owned()
}

/// The proxy's headers about its decision.
fn decided(from: &HeaderMap) -> Decided {
    let mut malformed = 0;
    let mut text = |name: &str| {
        let value = from.get(name)?;
        let text = value.to_str().ok().filter(|text| !text.is_empty());
        malformed += u32::from(text.is_none());
        text
    };
    let (replica, region) = (text(headers::REPLICA), text(headers::REGION));
    let texts = [
        headers::SCORE,
        headers::PREDICTED_CACHED_TOKENS,
        headers::ATTEMPTS,
        headers::ROUTER_QUEUE_MS,
        headers::ROUTING_MS,
        headers::FAILED_ATTEMPTS_MS,
    ]
    .map(&mut text);
    let [score, cached, attempts, queue, routing, failed] = texts;
    let mut read = |text: Option<&str>| {
        let value: Option<f64> = text.and_then(|text| text.parse().ok());
        let value = value.filter(|value| value.is_finite());
        malformed += u32::from(text.is_some() && value.is_none());
        value
    };
    let [score, cached, attempts] = [score, cached, attempts].map(&mut read);
    let times = [queue, routing, failed].map(&mut read);
    let [router_queue, routing, failed_attempts] =
        times.map(|ms| ms.and_then(|ms| Nanos::from_ms(ms).ok()));
    Decided {
        replica: replica.map(str::to_owned),
        region: region.map(str::to_owned),
        score: score.unwrap_or(0.0),
        predicted_cached_tokens: cached.map_or(0, |tokens| tokens.max(0.0) as u64),
        router_queue,
        routing,
        failed_attempts,
        attempts: attempts.map(|n| n.clamp(0.0, f64::from(u16::MAX)) as u16),
        malformed,
    }
}

/// An answer of another kind: of the admin API, of a probe.
pub(crate) struct Answer {
    pub status: u16,
    pub text: String,
    /// Until the response's head.
    pub rtt: Nanos,
}

/// Asks something else than a completion, over an idle connection where there is one.
pub(crate) async fn exchange(
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, String> {
    let mut connection = match endpoint.idle() {
        Some(connection) => connection,
        None => endpoint.open().await?,
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = endpoint.path(path).parse().map_err(|error| format!("{error}"))?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::HOST, endpoint.authority.clone());
    let from = std::time::Instant::now();
    let response = connection.send_request(request).await.map_err(|error| words(&error))?;
    let rtt = nanos(from.elapsed());
    let status = response.status().as_u16();
    let body = whole(response).await?;
    if connection.ready().await.is_ok() {
        endpoint.give_back(connection);
    }
    Ok(Answer { status, text: String::from_utf8_lossy(&body).into_owned(), rtt })
}
