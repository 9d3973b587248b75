//! Words that every part of gorgo shares.
//!
//! Time ([`Nanos`]), tokens ([`Tokens`]), identities ([`ReplicaId`], [`RequestId`], ...), prompts as chains of
//! blocks ([`BlockChain`]) and the request itself ([`Request`]). No I/O, no policy, no clock.
//! Read [`chain`] next: the meaning of a [`BlockId`] is what the prefix index and the KV cache stand on.

pub mod chain;
pub mod id;
pub mod request;
pub mod time;
pub mod tokens;

pub use chain::{BlockChain, BlockId, ChainBuilder, ChainError};
pub use id::{OriginId, RegionId, ReplicaId, RequestId, ZoneId};
pub use request::{LatLon, Origin, Request};
pub use time::{Nanos, TimeError};
pub use tokens::Tokens;
