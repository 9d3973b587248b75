//! The device of `tun.rs` where there is none: on systems other than Linux.

use crate::clock::Clock;
use crate::error::EmulatorError;
use crate::lateness::Lateness;
use crate::line::Line;
use crate::timer::TimerHandle;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// There is none.
pub(crate) enum Device {}

impl Device {
    pub fn open(network: Ipv4Addr) -> Result<Self, EmulatorError> {
        Err(EmulatorError::Option {
            option: "links",
            got: format!("tun with the network {network}/16"),
            wanted: "wan, scenario or none: TUN devices are Linux's".to_owned(),
        })
    }

    pub fn here(&self) -> IpAddr {
        match *self {}
    }

    pub fn far(&self, _: usize) -> Result<IpAddr, EmulatorError> {
        match *self {}
    }
}

/// There are none.
pub(crate) enum Ways {}

impl Ways {
    pub fn new(
        device: Device,
        _: Vec<(SocketAddr, Line)>,
        _: Clock,
        _: TimerHandle,
        _: Arc<Lateness>,
    ) -> Self {
        match device {}
    }

    pub async fn carry(self) {
        match self {}
    }
}
