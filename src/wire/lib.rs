//! The dialects that engines speak: requests, answers, streams, usage, as bytes. No sockets and no clock.
//!
//! The proxy reads requests with [`request`] and never writes one: bodies pass byte for byte. The live client writes
//! requests with [`body`] and reads answers with [`stream`] and [`answer`]; the emulator writes those with [`reply`].
//! What they agree on beyond the engines' own fields is [`Extension`], and the headers in [`headers`].

pub mod answer;
pub mod body;
pub mod error;
pub mod headers;
pub mod metrics;
pub mod prompt;
pub mod reply;
pub mod request;
pub mod stream;

pub use answer::{Piece, ReplicaTimes, Usage};
pub use error::WireError;
pub use metrics::EngineLoad;
pub use prompt::Prompt;
pub use reply::Reply;
pub use request::{Api, Asked, Extension};
pub use stream::EventStream;
