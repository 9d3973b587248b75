//! A link in user space: a TCP relay from a router's region to a replica that delays bytes as the scenario's network does.
//!
//! An exchange is what a client sends and what the server answers: the first byte from the client after one from the server
//! begins a new one, and each has one round trip, drawn by its place (link, connection, exchange). Half of it delays what
//! goes out, the rest what comes back; both directions keep their order. Changes and cuts of the scenario's events apply at
//! their times. The replica's end is connected when the first byte gets there, so a client is accepted at once; what the
//! set-up would have taken on a real link delays its first bytes. Not modelled: slow start, and the client's own waiting for
//! acknowledgements.

use crate::clock::Clock;
use crate::host::{make_room, reset};
use crate::lateness::Lateness;
use crate::options::SetUp;
use crate::timer::TimerHandle;
use bytes::{Bytes, BytesMut};
use gorgo_model::network::{Connect, Traffic};
use gorgo_model::{Network, halves};
use gorgo_random::Key;
use gorgo_types::{Nanos, RegionId};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// A link and all that delays it.
#[derive(Clone)]
pub(crate) struct Line {
    pub from: RegionId,
    pub to: RegionId,
    pub network: Arc<Network>,
    pub set_up: SetUp,
    pub connect: Option<Connect>,
    /// The link's key.
    pub key: Key,
    /// The replica.
    pub target: SocketAddr,
    pub clock: Clock,
    pub timer: TimerHandle,
    pub lateness: Arc<Lateness>,
}

impl Line {
    fn rtt(&self, connection: u64, exchange: u64, now: Nanos) -> Nanos {
        let draw = self.key.word(connection).word(exchange).draw();
        let at = self.clock.in_scenario(now);
        self.network.rtt_at(self.from, self.to, at, Traffic::Requests, draw)
    }

    /// How long a message waits because the link is cut.
    fn held_back(&self, sent: Nanos, rtt: Nanos, back: bool) -> Nanos {
        let at = self.clock.in_scenario(sent);
        let (from, to) = if back { (self.to, self.from) } else { (self.from, self.to) };
        self.network.passes(from, to, at, rtt).saturating_sub(at)
    }

    fn set_up(&self, rtt: Nanos) -> Nanos {
        match self.set_up {
            SetUp::Wan => rtt,
            SetUp::Scenario => self.connect.map_or(Nanos::ZERO, |connect| connect.set_up(rtt)),
        }
    }

    /// How long the link takes to send so many bytes.
    fn carry(&self, bytes: usize) -> Nanos {
        self.network.bandwidth(self.from, self.to).map_or(Nanos::ZERO, |bits| {
            // A float to u64 saturates, and bandwidths are positive.
            Nanos((bytes as f64 * 8e9 / bits) as u64)
        })
    }
}

/// Relays connections until the task is aborted.
pub(crate) async fn relay(line: Arc<Line>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let accepted = listener.accept().await;
        make_room(&mut connections).await;
        match accepted {
            Ok((client, _)) => {
                connections.spawn(connection(Arc::clone(&line), client, number));
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

/// The round trip that applies, and when each direction is free again.
struct Exchange {
    number: u64,
    rtt: Nanos,
    /// The client has sent something, and the server has answered since.
    answered: bool,
    begun: bool,
    /// Before this nothing can be sent: the connection is being opened.
    open: Nanos,
    sent: [Nanos; 2],
    arrived: [Nanos; 2],
}

/// A connection that ended by a reset.
struct Broken;

struct Relayed {
    line: Arc<Line>,
    number: u64,
    exchange: Mutex<Exchange>,
}

async fn connection(line: Arc<Line>, client: TcpStream, number: u64) {
    drop(client.set_nodelay(true));
    let now = line.clock.now();
    let rtt = line.rtt(number, 0, now);
    let exchange = Exchange {
        number: 0,
        rtt,
        answered: false,
        begun: false,
        open: now.saturating_add(line.set_up(rtt)),
        sent: [Nanos::ZERO; 2],
        arrived: [Nanos::ZERO; 2],
    };
    let relayed = Relayed { line, number, exchange: Mutex::new(exchange) };
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

/// From the client to the server.
const OUT: usize = 0;
/// From the server to the client.
const BACK: usize = 1;

impl Relayed {
    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When so many bytes that are sent now arrive.
    fn arrival(&self, direction: usize, bytes: usize) -> Nanos {
        let line = &self.line;
        let now = line.clock.now();
        let mut exchange = self.exchange();
        if direction == OUT && bytes > 0 {
            if exchange.begun && exchange.answered {
                exchange.number += 1;
                exchange.rtt = line.rtt(self.number, exchange.number, now);
            }
            exchange.begun = true;
            exchange.answered = false;
        } else if direction == BACK && bytes > 0 {
            exchange.answered = true;
        }
        let rtt = exchange.rtt;
        let (out, back) = halves(rtt);
        let ready = now.max(exchange.open);
        let passes = ready.saturating_add(line.held_back(ready, rtt, direction == BACK));
        let sent = passes.max(exchange.sent[direction]).saturating_add(line.carry(bytes));
        exchange.sent[direction] = sent;
        let delay = if direction == OUT { out } else { back };
        let at = sent.saturating_add(delay).max(exchange.arrived[direction]);
        exchange.arrived[direction] = at;
        at
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
    async fn next(&self, parcels: &mut mpsc::Receiver<Travelling>) -> Option<Parcel> {
        let Travelling { at, what } = parcels.recv().await?;
        self.line.timer.sleep_until(at).await;
        if matches!(what, Parcel::Bytes(_)) {
            self.line.lateness.record(at, self.line.clock.now());
        }
        Some(what)
    }

    async fn to_server(
        &self,
        mut parcels: mpsc::Receiver<Travelling>,
        connected: oneshot::Sender<OwnedReadHalf>,
        back: mpsc::Sender<Travelling>,
    ) -> Result<(), Broken> {
        let Some(first) = self.next(&mut parcels).await else { return Ok(()) };
        let Parcel::Bytes(bytes) = first else {
            // The client has gone without a word: the server has never heard of it.
            return Ok(());
        };
        let Ok(server) = TcpStream::connect(self.line.target).await else {
            let at = self.arrival(BACK, 0);
            drop(back.send(Travelling { at, what: Parcel::Broken }).await);
            return Ok(());
        };
        drop(server.set_nodelay(true));
        let (reads, writes) = server.into_split();
        drop(back);
        drop(connected.send(reads));
        self.write(parcels, writes, Some(bytes)).await
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
        self.write(parcels, writes, None).await
    }

    /// Writes what arrives to one side, until its end.
    async fn write(
        &self,
        mut parcels: mpsc::Receiver<Travelling>,
        mut to: OwnedWriteHalf,
        first: Option<Bytes>,
    ) -> Result<(), Broken> {
        let mut next = first.map(Parcel::Bytes);
        loop {
            let parcel = match next.take() {
                Some(parcel) => parcel,
                None => match self.next(&mut parcels).await {
                    Some(parcel) => parcel,
                    None => Parcel::End,
                },
            };
            let written = match parcel {
                Parcel::Bytes(bytes) => to.write_all(&bytes).await,
                Parcel::End => {
                    drop(to.shutdown().await);
                    return Ok(());
                }
                Parcel::Broken => {
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
