//! Connections to replicas: opened, kept alive, used by one request at a time.
//!
//! A connection is driven by the task of the request that uses it; no task of its own stands between the replica's bytes
//! and the client, and dropping it is all that cancelling takes. Idle ones are looked at before they are used again: one
//! that the replica has closed meanwhile is replaced without a word.
//!
//! Which replica, and what to do when one fails, is decided in `exchange.rs`.

use crate::config::Endpoint;
use crate::stream::Stream;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

type Wire = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

/// Replicas' response headers: as for clients, more is no engine's.
const MAX_HEADERS: usize = 100;

/// A connection to a replica.
pub(crate) struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    /// None: it has ended.
    wire: Option<Box<Wire>>,
    opened: Instant,
    idle_since: Instant,
}

/// Why an attempt brought no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no connection within {} ms", .0.as_millis())]
    ConnectTimeout(Duration),
    #[error("the connection broke: {0}")]
    Broken(hyper::Error),
    #[error("no response headers within {} ms", .0.as_millis())]
    HeadersTimeout(Duration),
}

impl Fault {
    /// Whether time ran out.
    pub(crate) const fn is_timeout(&self) -> bool {
        matches!(self, Self::ConnectTimeout(_) | Self::HeadersTimeout(_))
    }
}

/// How long things may take, and how many connections wait for use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) connect: Duration,
    pub(crate) headers: Duration,
    pub(crate) idle: Duration,
    pub(crate) age: Duration,
    pub(crate) most_idle: usize,
}

/// Where a replica is, and the connections to it that nobody uses.
pub(crate) struct Pool {
    endpoint: Endpoint,
    tls: Option<Arc<tokio_rustls::rustls::ClientConfig>>,
    bounds: Bounds,
    idle: Mutex<VecDeque<Link>>,
}

impl Link {
    /// Lets the connection read and write as far as it can now.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(wire) = &mut self.wire
            && Pin::new(&mut **wire).poll(cx).is_ready()
        {
            self.wire = None;
        }
    }

    /// The next piece of a response body. The connection is driven first, so that what has arrived is handed on at once.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, hyper::Error>>> {
        use http_body::Body as _;
        self.drive(cx);
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        // Asking has told the connection that the body is wanted.
        self.drive(cx);
        Pin::new(body).poll_frame(cx)
    }

    /// Sends a request and waits for the response's headers.
    pub(crate) async fn headers(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let mut response = pin!(self.sender.send_request(request));
        poll_fn(|cx| {
            self.drive(cx);
            response.as_mut().poll(cx)
        })
        .await
    }

    /// Whether a request can be sent on it.
    fn is_fresh(&mut self, bounds: &Bounds, now: Instant) -> bool {
        if now - self.idle_since > bounds.idle || now - self.opened > bounds.age {
            return false;
        }
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.wire.is_some() && self.sender.is_ready()
    }
}

impl Pool {
    pub(crate) fn new(
        endpoint: Endpoint,
        tls: Option<Arc<tokio_rustls::rustls::ClientConfig>>,
        bounds: Bounds,
    ) -> Self {
        Self { endpoint, tls, bounds, idle: Mutex::default() }
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// An idle connection that still works, the last used one first: the others may age and go.
    fn take(&self) -> Option<Link> {
        let now = Instant::now();
        loop {
            let mut link = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_back()?;
            if link.is_fresh(&self.bounds, now) {
                return Some(link);
            }
        }
    }

    /// Keeps a connection whose response has ended for the next request.
    pub(crate) fn give_back(&self, mut link: Link) {
        let now = Instant::now();
        link.idle_since = now;
        if !link.is_fresh(&self.bounds, now) {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push_back(link);
        while idle.len() > self.bounds.most_idle
            || idle.front().is_some_and(|link| now - link.idle_since > self.bounds.idle)
        {
            idle.pop_front();
        }
    }

    /// Closes what nobody uses.
    pub(crate) fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Connections that wait for use.
    pub(crate) fn idle(&self) -> usize {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A connection, kept or new.
    pub(crate) async fn link(&self) -> Result<Link, Fault> {
        match self.take() {
            Some(link) => Ok(link),
            None => self.connect().await,
        }
    }

    /// Opens a connection.
    async fn connect(&self) -> Result<Link, Fault> {
        let Bounds { connect: bound, .. } = self.bounds;
        let opening = async {
            let Endpoint { host, port, .. } = &self.endpoint;
            let tcp = TcpStream::connect((host.as_str(), *port)).await?;
            tcp.set_nodelay(true)?;
            let Some(tls) = &self.tls else { return Ok(Stream::Plain(tcp)) };
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let tls = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await?;
            Ok(Stream::Tls(Box::new(tls.into())))
        };
        let stream = match tokio::time::timeout(bound, opening).await {
            Ok(stream) => stream.map_err(Fault::Connect)?,
            Err(_) => return Err(Fault::ConnectTimeout(bound)),
        };
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_HEADERS);
        let (sender, wire) =
            builder.handshake(TokioIo::new(stream)).await.map_err(Fault::Broken)?;
        let now = Instant::now();
        Ok(Link { sender, wire: Some(Box::new(wire)), opened: now, idle_since: now })
    }

    /// Sends a request and waits for the response's headers. A kept connection that breaks before they come is taken for
    /// one that the replica was closing, and a new one is tried once.
    pub(crate) async fn send(
        &self,
        request: impl Fn() -> Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Link), Fault> {
        let bound = self.bounds.headers;
        let sending = async {
            if let Some(mut link) = self.take()
                && let Ok(response) = link.headers(request()).await
            {
                return Ok((response, link));
            }
            let mut link = self.connect().await?;
            let response = link.headers(request()).await.map_err(Fault::Broken)?;
            Ok((response, link))
        };
        match tokio::time::timeout(bound, sending).await {
            Ok(sent) => sent,
            Err(_) => Err(Fault::HeadersTimeout(bound)),
        }
    }
}
