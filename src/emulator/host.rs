//! A replica's port: accepts connections while the replica is up, resets them and closes the port when it crashes.
//!
//! While the replica is down the port stays bound but nobody listens, so that connecting is refused and nobody else can
//! take it.

use crate::error::EmulatorError;
use crate::fault::{Fault, Health};
use crate::lateness::Lateness;
use crate::options::{EngineMetrics, TimeZero};
use crate::routes::answer;
use crate::station::Station;
use crate::wire::{Desk, Wires};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// A replica and what its answers need.
pub(crate) struct Served {
    pub station: Arc<Station>,
    pub health: Arc<Health>,
    pub lateness: Arc<Lateness>,
    /// What relays tell of their connections.
    pub wires: Wires,
    /// The caller's runtime, for what takes long.
    pub elsewhere: Handle,
    pub model: String,
    pub engine_metrics: EngineMetrics,
    pub block_tokens: u32,
    pub tokens_per_chunk: u32,
    pub time_zero: TimeZero,
    /// Told when the scenario's time zero has been set.
    pub zero_set: Arc<Notify>,
    /// Seconds since 1970.
    pub started: u64,
    /// Requests answered, for their ids.
    pub requests: AtomicU64,
    /// Faults asked for at run time so far.
    pub faults: AtomicU64,
    /// Whether the process is there.
    pub up: watch::Sender<bool>,
}

impl Served {
    /// A request for text has come: with the first one the scenario's events begin to count.
    pub fn first_request(&self) {
        if self.time_zero == TimeZero::FirstRequest && self.station.clock().set_zero() {
            self.zero_set.notify_waiters();
        }
    }

    /// Breaks the replica, or mends it: one fault at a time, which the next one ends.
    pub fn set_fault(&self, fault: Fault) {
        if fault != Fault::Crash {
            self.up.send_if_modified(|up| !std::mem::replace(up, true));
        }
        self.health.hang(fault == Fault::Hang);
        self.health.fail(match fault {
            Fault::Error { status, share } => Some((status, share)),
            _ => None,
        });
        self.station.slow(match fault {
            Fault::Slow { factor } => factor,
            _ => 1.0,
        });
        if fault == Fault::Crash {
            // The port first: nothing comes in between.
            self.up.send_if_modified(|up| std::mem::replace(up, false));
            self.station.crash();
        }
    }
}

/// Connections of one port at a time, below the usual limit of descriptors; more wait to be accepted.
const MOST_CONNECTIONS: usize = 4_096;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// A bound port that nobody listens on yet.
pub(crate) fn bind(what: &str, address: SocketAddr) -> Result<TcpSocket, EmulatorError> {
    let failed = |source| EmulatorError::Listen { what: what.to_owned(), address, source };
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(failed)?;
    // Connections of a former process in TIME_WAIT do not matter.
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    Ok(socket)
}

/// A port that is listened on, and where it is.
pub(crate) fn listen(
    what: &str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), EmulatorError> {
    let failed = |source| EmulatorError::Listen { what: what.to_owned(), address, source };
    let listener = bind(what, address)?.listen(BACKLOG).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Serves a replica until the task is aborted.
pub(crate) async fn host(served: Arc<Served>, listener: TcpListener, address: SocketAddr) {
    let mut up = served.up.subscribe();
    let mut listener = Some(listener);
    loop {
        if let Some(listener) = listener.take() {
            let broken = Arc::new(AtomicBool::new(false));
            let mut connections = JoinSet::new();
            tokio::select! {
                () = accept(&served, &listener, &broken, &mut connections) => {}
                _ = up.wait_for(|up| !up) => {}
            }
            drop(listener);
            broken.store(true, Ordering::SeqCst);
            connections.shutdown().await;
        }
        // Another process may hold the port for a moment: it is asked for until it is free.
        let Ok(socket) = bind(served.station.name(), address) else {
            tracing::warn!(replica = served.station.name(), %address, "the port is taken");
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if up.wait_for(|up| *up).await.is_err() {
            return;
        }
        match socket.listen(BACKLOG) {
            Ok(again) => listener = Some(again),
            Err(error) => {
                tracing::warn!(replica = served.station.name(), %address, %error, "cannot listen");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn accept(
    served: &Arc<Served>,
    listener: &TcpListener,
    broken: &Arc<AtomicBool>,
    connections: &mut JoinSet<()>,
) {
    loop {
        let accepted = listener.accept().await;
        make_room(connections).await;
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection(Arc::clone(served), stream, peer, Arc::clone(broken)));
            }
            Err(error) => {
                // Out of descriptors, say: those that are open go on, and the next try may do better.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Forgets connections that have ended, and waits while there are too many.
pub(crate) async fn make_room(connections: &mut JoinSet<()>) {
    while connections.try_join_next().is_some() {}
    while connections.len() >= MOST_CONNECTIONS {
        connections.join_next().await;
    }
}

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the replica has crashed")]
struct Crashed;

async fn connection(
    served: Arc<Served>,
    stream: TcpStream,
    peer: SocketAddr,
    broken: Arc<AtomicBool>,
) {
    // Without it a stream's events wait for the reader's acknowledgements.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let clock = served.station.clock().clone();
    let desk = Desk::new(clock, Arc::clone(&served.lateness), served.wires.clone(), peer);
    let desk = Arc::new(desk);
    let io = TokioIo::new(Breakable { stream, broken, desk: Arc::clone(&desk) });
    let service = service_fn(move |request| {
        let (served, desk) = (Arc::clone(&served), Arc::clone(&desk));
        async move { answer(served, desk, request).await.ok_or(Crashed) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(300))
        .serve_connection(io, service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

/// A connection that is reset, not closed, when its replica has crashed, and that tells what was read and written.
struct Breakable {
    stream: TcpStream,
    broken: Arc<AtomicBool>,
    desk: Arc<Desk>,
}

impl Drop for Breakable {
    fn drop(&mut self) {
        if self.broken.load(Ordering::SeqCst) {
            reset(&self.stream);
        }
    }
}

/// Has a connection end with a reset when it is dropped.
pub(crate) fn reset(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection is closed, not reset");
    }
}

impl AsyncRead for Breakable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.desk.read(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(taken)) = &written {
            self.desk.wrote(bytes.len(), *taken);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        if let Poll::Ready(Ok(taken)) = &written {
            self.desk.wrote(parts.iter().map(|part| part.len()).sum(), *taken);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
