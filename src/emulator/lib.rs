//! Replicas that answer over HTTP at the times of the model.
//!
//! [`start`] takes a resolved scenario and serves its fleet on loopback ports: each replica is a `gorgo_model::Engine`
//! made as the simulator makes it, driven by the wall clock ([`station`]), behind the endpoints of SGLang (`routes`).
//! Between the routers' regions and the replicas stand relays that delay bytes as the scenario's network says
//! ([`relay`]), or a device that delays packets (`tun.rs`). So what a simulation computes can be tried on a proxy and a
//! load client without a GPU. The times are those of the model exactly; what the machine adds is measured ([`lateness`]).
//!
//! It models no engine of its own, and knows no policy. Read `options.rs` for what can be set, then `station.rs`.

#[cfg(target_os = "linux")]
mod alarm;
#[cfg(not(target_os = "linux"))]
#[path = "alarm/elsewhere.rs"]
mod alarm;
#[cfg(all(test, target_os = "linux"))]
#[path = "alarm/elsewhere.rs"]
mod alarm_elsewhere;
mod body;
mod clock;
mod control;
mod error;
pub mod fault;
mod generate;
mod host;
pub mod inventory;
pub mod kv_events;
pub mod lateness;
mod line;
mod metrics;
mod options;
pub mod relay;
mod routes;
mod running;
pub mod station;
mod timer;
mod timing;
mod token_text;
#[cfg(target_os = "linux")]
mod tun;
#[cfg(not(target_os = "linux"))]
#[path = "tun/absent.rs"]
mod tun;
mod wire;

pub use error::EmulatorError;
pub use fault::Fault;
pub use inventory::{Inventory, InventoryReplica};
pub use lateness::Lateness;
pub use options::{EngineMetrics, KvEvents, Links, Options, Priority, SetUp, TimeZero};
pub use running::{LinkAddress, ReplicaAddress, Report, Running, start};
pub use timing::{Granted, Timing};
