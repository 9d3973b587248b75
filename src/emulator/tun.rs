//! Links as a network has them: packets are delayed, not bytes. So the opening of a connection takes a round trip, slow
//! start its own, and acknowledgements travel.
//!
//! One TUN device carries all links. Replicas listen on its own address; each link has an address of the device's network,
//! which nobody has, so what is sent there comes here. A packet waits for half a round trip, its two addresses trade
//! places, and it goes back into the kernel: what was sent to the link's address is now from there, to the replica, and
//! what the replica answers takes the same way back. Packets of a cut link are lost, and TCP sends them again. The round
//! trips are those of relays (`line.rs`). Not modelled: loss, reordering, queues of routers. Read `tun/packet.rs` next.

mod packet;

use crate::clock::Clock;
use crate::error::EmulatorError;
use crate::lateness::Lateness;
use crate::line::{BACK, Exchanges, Line, OUT};
use crate::timer::{Due, TimerHandle};
use gorgo_types::Nanos;
use packet::{Kind, Packet, turn_round};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_tun::{Error, Tun};

/// Bytes of a packet at most.
const MTU: u16 = 1500;
/// Packets under way at most, as many as fill 100 MB; more are lost.
const UNDER_WAY: usize = 1 << 16;
/// Links that a network of 2^16 addresses has room for.
const MOST_LINKS: usize = 254 * 250;

/// The device, and its network.
pub(crate) struct Device {
    tun: Arc<Tun>,
    network: Ipv4Addr,
}

/// A link over the device.
pub(crate) struct Way {
    pub line: Line,
    /// The replica's port.
    pub port: u16,
    /// Connections so far.
    pub connections: u64,
}

impl Device {
    /// Makes a device with the first address of a network of 2^16.
    ///
    /// # Errors
    /// When the network cannot be one, is in use, or the system does not allow it: what is lacking.
    pub fn open(network: Ipv4Addr) -> Result<Self, EmulatorError> {
        let refuse = |got: String, wanted: &str| EmulatorError::Option {
            option: "links",
            got,
            wanted: wanted.to_owned(),
        };
        let [a, b, c, d] = network.octets();
        let told = || format!("tun with the network {network}/16");
        if (c, d) != (0, 0) || matches!(a, 0 | 127 | 224..) {
            return Err(refuse(told(), "one that ends in .0.0, such as 198.18.0.0"));
        }
        let here = Ipv4Addr::new(a, b, 0, 1);
        if TcpListener::bind((here, 0)).is_ok() {
            let wanted = format!("a network in which {here} is nobody's yet (--tun-network)");
            return Err(refuse(told(), &wanted));
        }
        let made = Tun::builder()
            .name("gorgo%d")
            .mtu(i32::from(MTU))
            .address(here)
            .netmask(Ipv4Addr::new(255, 255, 0, 0))
            .up()
            .build();
        let made = made.map_err(|error| refuse(format!("tun, and {}", words(&error)), LACKING))?;
        let tun = made.into_iter().next().ok_or_else(|| refuse(told(), LACKING))?;
        Ok(Self { tun: Arc::new(tun), network })
    }

    /// Where replicas listen.
    pub fn here(&self) -> IpAddr {
        let [a, b, ..] = self.network.octets();
        Ipv4Addr::new(a, b, 0, 1).into()
    }

    /// The address of the `index`-th link.
    ///
    /// # Errors
    /// When there are more links than addresses.
    pub fn far(&self, index: usize) -> Result<IpAddr, EmulatorError> {
        if index >= MOST_LINKS {
            return Err(EmulatorError::Option {
                option: "links",
                got: format!("tun with more than {MOST_LINKS} links"),
                wanted: "fewer replicas or regions with a router".to_owned(),
            });
        }
        let [a, b, ..] = self.network.octets();
        let (c, d) = (1 + index / 250, 1 + index % 250);
        // Both are below 255.
        Ok(Ipv4Addr::new(a, b, c as u8, d as u8).into())
    }
}

const LACKING: &str = "the right to make a TUN device: /dev/net/tun, and CAP_NET_ADMIN as root has it; --links wan needs \
                       neither";

fn words(error: &Error) -> String {
    match error {
        Error::IoError(error) => format!("/dev/net/tun: {error}"),
        Error::NixError(error) => error.to_string(),
    }
}

/// A packet on its way.
struct Travelling {
    tun: Arc<Tun>,
    bytes: Box<[u8]>,
    clock: Clock,
    lateness: Arc<Lateness>,
    under_way: Arc<AtomicUsize>,
}

impl Due for Travelling {
    fn due(self: Arc<Self>, at: Nanos) {
        // A device that takes no more loses it, as a network would.
        if self.tun.try_send(&self.bytes).is_ok() {
            self.lateness.record(at, self.clock.now());
        }
    }
}

impl Drop for Travelling {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All links, and who talks over them.
pub(crate) struct Ways {
    device: Device,
    ways: HashMap<Ipv4Addr, Way>,
    /// By the link's address and the client's port; a ping has port 0.
    flows: HashMap<(Ipv4Addr, u16), Exchanges>,
    clock: Clock,
    timer: TimerHandle,
    lateness: Arc<Lateness>,
    under_way: Arc<AtomicUsize>,
}

impl Ways {
    pub fn new(
        device: Device,
        ways: Vec<(SocketAddr, Line)>,
        clock: Clock,
        timer: TimerHandle,
        lateness: Arc<Lateness>,
    ) -> Self {
        let by_address = ways.into_iter().filter_map(|(address, line)| {
            let IpAddr::V4(far) = address.ip() else { return None };
            Some((far, Way { line, port: address.port(), connections: 0 }))
        });
        let (ways, flows, under_way) = (by_address.collect(), HashMap::new(), Arc::default());
        Self { device, ways, flows, clock, timer, lateness, under_way }
    }

    /// Carries packets until the task is aborted.
    pub async fn carry(mut self) {
        let mut buffer = [0; MTU as usize];
        loop {
            match self.device.tun.recv(&mut buffer).await {
                Ok(length) => self.take(&mut buffer[..length]),
                Err(error) => {
                    tracing::error!(%error, "the TUN device cannot be read");
                    return;
                }
            }
        }
    }

    /// Sends a packet on its way. What is for no link is nobody's.
    fn take(&mut self, bytes: &mut [u8]) {
        let Some(packet) = Packet::read(bytes) else { return };
        let now = self.clock.now();
        let Some(at) = arrival(&mut self.ways, &mut self.flows, packet, bytes.len(), now) else {
            return;
        };
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= UNDER_WAY {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        turn_round(bytes);
        let travelling = Travelling {
            tun: Arc::clone(&self.device.tun),
            bytes: (&*bytes).into(),
            clock: self.clock.clone(),
            lateness: Arc::clone(&self.lateness),
            under_way: Arc::clone(&self.under_way),
        };
        self.timer.at(at, Arc::new(travelling));
    }
}

/// When a packet of so many bytes arrives; none: it is for no link, or lost.
fn arrival(
    ways: &mut HashMap<Ipv4Addr, Way>,
    flows: &mut HashMap<(Ipv4Addr, u16), Exchanges>,
    packet: Packet,
    bytes: usize,
    now: Nanos,
) -> Option<Nanos> {
    let way = ways.get_mut(&packet.to)?;
    let (direction, client, opens, says) = match packet.kind {
        Kind::Tcp { from, to, opens, data } if to == way.port => (OUT, from, opens, data > 0),
        Kind::Tcp { from, to, data, .. } if from == way.port => (BACK, to, false, data > 0),
        Kind::Tcp { .. } => return None,
        Kind::Echo { answers } => (if answers { BACK } else { OUT }, 0, false, true),
    };
    let flow = (packet.to, client);
    // A first segment that is sent again belongs to the same connection.
    let is_new = flows.get(&flow).is_none_or(|flow| opens && flow.has_begun());
    if is_new {
        flows.insert(flow, Exchanges::new(&way.line, way.connections, now));
        way.connections += 1;
    }
    let exchanges = flows.get_mut(&flow)?;
    let rtt = if says { exchanges.says(&way.line, direction, now) } else { exchanges.rtt() };
    if way.line.held_back(now, rtt, direction) > Nanos::ZERO {
        return None;
    }
    Some(exchanges.arrival(&way.line, direction, bytes, now))
}
