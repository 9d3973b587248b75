//! A link in user space: a TCP relay from a router's region to a replica that delays bytes as the scenario's network does.
//!
//! Each exchange has one round trip (`line.rs`). Half of it delays what goes out, the rest what comes back; both directions
//! keep their order. Changes and cuts of the scenario's events apply at their times. The replica's end is connected when
//! the first byte gets there, so a client is accepted at once; what the set-up would have taken on a real link delays its
//! first bytes. Not modelled: slow start, and the client's own waiting for acknowledgements: `tun.rs` has them.

use crate::host::{make_room, reset};
use crate::lateness::Lateness;
use crate::line::{BACK, Exchanges, Line, OUT};
use crate::options::SetUp;
use crate::timer::TimerHandle;
use crate::wire::{Wire, Wires};
use bytes::{Bytes, BytesMut};
use gorgo_types::Nanos;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;
/// Reads under way in each direction of a connection, beyond which its sender has to wait: 4 MiB.
const UNDER_WAY: usize = 256;

/// A relay over a link.
#[derive(Clone)]
pub(crate) struct Relay {
    pub line: Line,
    pub set_up: SetUp,
    /// The replica.
    pub target: SocketAddr,
    pub timer: TimerHandle,
    /// Where the replica is told of connections; none: it is served elsewhere.
    pub wires: Option<Wires>,
    pub lateness: Arc<Lateness>,
}

/// Relays connections until the task is aborted.
pub(crate) async fn relay(relay: Arc<Relay>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let accepted = listener.accept().await;
        make_room(&mut connections).await;
        match accepted {
            Ok((client, _)) => {
                connections.spawn(connection(Arc::clone(&relay), client, number));
                number += 1;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// What travels.
enum Parcel {
    Bytes(Bytes),
    /// The sender has closed its direction.
    End,
    /// The sender's connection is broken.
    Broken,
}

/// A parcel and when it arrives.
struct Travelling {
    at: Nanos,
    what: Parcel,
}

/// A connection that ended by a reset.
struct Broken;

struct Relayed {
    relay: Arc<Relay>,
    exchanges: Mutex<Exchanges>,
    /// Before this nothing can be sent: the connection is being opened.
    open: Nanos,
    /// The connection to the replica, once there is one.
    wire: OnceLock<Known>,
}

/// A connection whose other end is told of it.
struct Known {
    wires: Wires,
    from: SocketAddr,
    wire: Arc<Wire>,
}

impl Drop for Known {
    fn drop(&mut self) {
        self.wires.close(self.from, &self.wire);
    }
}

async fn connection(relay: Arc<Relay>, client: TcpStream, number: u64) {
    drop(client.set_nodelay(true));
    let now = relay.line.clock.now();
    let exchanges = Exchanges::new(&relay.line, number, now);
    let open = now.saturating_add(relay.line.set_up(relay.set_up, exchanges.rtt()));
    let relayed = Relayed { relay, exchanges: Mutex::new(exchanges), open, wire: OnceLock::new() };
    let (client_reads, client_writes) = client.into_split();
    let (out, out_arrives) = mpsc::channel(UNDER_WAY);
    let (back, back_arrives) = mpsc::channel(UNDER_WAY);
    let (connected, server_reads) = oneshot::channel();
    let ended = tokio::try_join!(
        relayed.read(client_reads, OUT, out),
        relayed.to_server(out_arrives, connected, back.clone()),
        relayed.read_server(server_reads, back),
        relayed.to_client(back_arrives, client_writes),
    );
    // Both sockets' last halves are gone by now; those of a broken one were told to reset.
    drop(ended);
}

impl Relayed {
    fn exchanges(&self) -> MutexGuard<'_, Exchanges> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When so many bytes that were just read arrive. They were sent when they were due, where that is known: that the
    /// machine was late with them does not delay them further, unless by more than the link does.
    fn arrival(&self, direction: usize, bytes: usize) -> Nanos {
        let line = &self.relay.line;
        let now = line.clock.now();
        let due = match self.wire.get() {
            Some(known) if direction == BACK => known.wire.read(BACK, bytes),
            _ => None,
        };
        let sent = due.map_or(now, |due| due.min(now));
        let mut exchanges = self.exchanges();
        let rtt = if bytes > 0 { exchanges.says(line, direction, now) } else { exchanges.rtt() };
        let ready = sent.max(self.open);
        let passes = ready.saturating_add(line.held_back(ready, rtt, direction));
        exchanges.arrival(line, direction, bytes, passes)
    }

    /// Reads one side and sends what it says on its way.
    async fn read(
        &self,
        mut from: OwnedReadHalf,
        direction: usize,
        to: mpsc::Sender<Travelling>,
    ) -> Result<(), Broken> {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            let what = match from.read_buf(&mut buffer).await {
                Ok(0) => Parcel::End,
                Ok(_) => Parcel::Bytes(buffer.split().freeze()),
                Err(_) => Parcel::Broken,
            };
            let bytes = if let Parcel::Bytes(bytes) = &what { bytes.len() } else { 0 };
            let over = bytes == 0;
            let at = self.arrival(direction, bytes);
            // Whoever would have received it is gone.
            if to.send(Travelling { at, what }).await.is_err() || over {
                return Ok(());
            }
        }
    }

    /// Waits for a parcel to arrive.
    async fn next(&self, parcels: &mut mpsc::Receiver<Travelling>) -> Option<Travelling> {
        let parcel = parcels.recv().await?;
        self.relay.timer.sleep_until(parcel.at).await;
        Some(parcel)
    }

    async fn to_server(
        &self,
        mut parcels: mpsc::Receiver<Travelling>,
        connected: oneshot::Sender<OwnedReadHalf>,
        back: mpsc::Sender<Travelling>,
    ) -> Result<(), Broken> {
        let Some(first) = self.next(&mut parcels).await else { return Ok(()) };
        if !matches!(first.what, Parcel::Bytes(_)) {
            // The client has gone without a word: the server has never heard of it.
            return Ok(());
        }
        let Ok(server) = TcpStream::connect(self.relay.target).await else {
            let at = self.arrival(BACK, 0);
            drop(back.send(Travelling { at, what: Parcel::Broken }).await);
            return Ok(());
        };
        drop(server.set_nodelay(true));
        if let (Some(wires), Ok(from)) = (self.relay.wires.clone(), server.local_addr()) {
            let wire = wires.open(from);
            self.wire.get_or_init(|| Known { wires, from, wire });
        }
        let (reads, writes) = server.into_split();
        drop(back);
        drop(connected.send(reads));
        self.write(parcels, writes, OUT, Some(first)).await
    }

    async fn read_server(
        &self,
        connected: oneshot::Receiver<OwnedReadHalf>,
        back: mpsc::Sender<Travelling>,
    ) -> Result<(), Broken> {
        match connected.await {
            Ok(reads) => self.read(reads, BACK, back).await,
            Err(_) => Ok(()),
        }
    }

    async fn to_client(
        &self,
        parcels: mpsc::Receiver<Travelling>,
        writes: OwnedWriteHalf,
    ) -> Result<(), Broken> {
        self.write(parcels, writes, BACK, None).await
    }

    /// Writes what arrives to one side, until its end.
    async fn write(
        &self,
        mut parcels: mpsc::Receiver<Travelling>,
        mut to: OwnedWriteHalf,
        direction: usize,
        first: Option<Travelling>,
    ) -> Result<(), Broken> {
        let mut next = first;
        loop {
            let parcel = match next.take() {
                Some(parcel) => Some(parcel),
                None => self.next(&mut parcels).await,
            };
            let written = match parcel {
                Some(Travelling { at, what: Parcel::Bytes(bytes) }) => {
                    if let Some(known) = self.wire.get()
                        && direction == OUT
                    {
                        known.wire.write(OUT, bytes.len(), Some(at));
                    }
                    let written = to.write_all(&bytes).await;
                    self.relay.lateness.record(at, self.relay.line.clock.now());
                    written
                }
                None | Some(Travelling { what: Parcel::End, .. }) => {
                    drop(to.shutdown().await);
                    return Ok(());
                }
                Some(Travelling { what: Parcel::Broken, .. }) => {
                    reset(to.as_ref());
                    return Err(Broken);
                }
            };
            if written.is_err() {
                return Err(Broken);
            }
        }
    }
}
