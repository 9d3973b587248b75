//! Connections of clients: accepted up to a number, with small writes leaving at once, heads bounded in size and time, and
//! closed in good order when the proxy stops.

use crate::answer::Body;
use crate::config::{Config, Timeouts};
use crate::front::answer;
use crate::patience::Patient;
use crate::proxy::Proxy;
use crate::stream::Stream;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// How long to wait where the system has no more sockets for us.
const AFTER_REFUSAL: Duration = Duration::from_millis(20);

/// Who answers.
pub(crate) enum Desk {
    /// Clients are served.
    Clients(Arc<Proxy>),
    /// The admin API.
    Admin(axum::Router),
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match self {
            Self::Clients(proxy) => answer(Arc::clone(proxy), request).await,
            Self::Admin(paths) => match paths.clone().oneshot(request).await {
                Ok(response) => response.map(Body::Admin),
                Err(never) => match never {},
            },
        }
    }
}

/// What connections are served by.
pub(crate) struct Door {
    desk: Desk,
    http: http1::Builder,
    tls: Option<TlsAcceptor>,
    head: Duration,
    write: Duration,
    connections: Arc<Semaphore>,
    drain: Duration,
}

impl Door {
    pub(crate) fn new(desk: Desk, config: &Config, tls: Option<TlsAcceptor>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(config.timeouts.head)
            .max_headers(config.limits.headers as usize)
            .max_buf_size(config.limits.header_bytes as usize);
        let connections = Arc::new(Semaphore::new(config.limits.connections as usize));
        let Timeouts { head, write, drain, .. } = config.timeouts;
        Self { desk, http, tls, head, write, connections, drain }
    }

    /// Serves connections until `stop` says true; then those that are open may go on until their answers have ended, for
    /// a bounded time.
    pub(crate) async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let door = Arc::new(self);
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = door.accept(&listener) => accepted,
                () = stopped(&mut stop) => break,
            };
            while open.try_join_next().is_some() {}
            match accepted {
                Ok((tcp, permit)) => {
                    let (door, stop) = (Arc::clone(&door), stop.clone());
                    open.spawn(async move {
                        door.connection(tcp, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
            }
        }
        drop(listener);
        let rest = async { while open.join_next().await.is_some() {} };
        if tokio::time::timeout(door.drain, rest).await.is_err() {
            tracing::warn!(connections = open.len(), "connections were cut at the end");
            open.shutdown().await;
        }
    }

    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.connections).acquire_owned().await;
        let permit = permit.map_err(std::io::Error::other)?;
        let (tcp, _) = listener.accept().await?;
        Ok((tcp, permit))
    }

    async fn connection(&self, tcp: TcpStream, mut stop: watch::Receiver<bool>) {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some(tls) => match tokio::time::timeout(self.head, tls.accept(tcp)).await {
                Ok(Ok(stream)) => Stream::Tls(Box::new(stream.into())),
                Ok(Err(error)) => return tracing::debug!(%error, "no TLS"),
                Err(_) => return tracing::debug!("no TLS in time"),
            },
        };
        let service =
            service_fn(|request| async { Ok::<_, Infallible>(self.desk.answer(request).await) });
        let mut connection = pin!(
            self.http.serve_connection(TokioIo::new(Patient::new(stream, self.write)), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a client's connection ended early");
        }
    }
}

/// Waits for the word to stop, or for nobody to be left who could give it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
