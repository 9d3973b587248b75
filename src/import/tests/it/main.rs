//! Importing: shards that the tests write in the real schemas, whole and broken, and GORGO's pair of files.

mod gorgo;
mod places;
mod support;

#[cfg(feature = "parquet")]
mod broken;
#[cfg(feature = "parquet")]
mod shard;
#[cfg(feature = "tokenizer")]
mod tokens;
#[cfg(feature = "parquet")]
mod wildchat;
