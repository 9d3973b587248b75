#![doc = include_str!("README.md")]

#[cfg(feature = "parquet")]
mod columns;
mod conversation;
mod error;
mod gorgo_pair;
mod md5;
mod regions;
mod spill;
mod tally;
#[cfg(feature = "parquet")]
mod wildchat;
mod writer;

pub use conversation::{Conversation, Location, Message};
pub use error::{ImportError, RowPlace};
pub use gorgo_pair::{GorgoPair, import_gorgo};
pub use gorgo_text::{MAX_TEMPLATE_TOKENS, Role, TextError, Tokens};
pub use regions::{Regions, parse_position};
pub use tally::{Event, Imported};
#[cfg(feature = "parquet")]
pub use wildchat::import_wildchat;
pub use writer::{ImportOptions, Importer, Progress};
