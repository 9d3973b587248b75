//! Units in values, TOML with positions, and the shape of a good error.
//!
//! A [`Source`] is the text of one TOML file and the `--set` assignments laid over it; its [`Document`] is
//! deserialised into plain serde types. Whatever goes wrong becomes a [`Diagnostic`]: file, line, column, the line
//! itself with a caret under the key or value, what was got and what was wanted. Errors found later, when a value
//! turns out to make no sense, get the same shape through [`Located`] values, which remember where they stood.
//!
//! This crate knows nothing of scenarios and opens no files. Read `diagnostic.rs` next, then `document.rs`.

mod diagnostic;
mod document;
mod located;
mod message;
mod numbers;
mod reader;
mod set;
mod units;

pub use diagnostic::{Diagnostic, closest};
pub use document::{Document, Source};
pub use located::Located;
pub use numbers::{Count, NonNegative, Positive, Share};
pub use reader::{ReadError, Reader};
pub use units::{Bandwidth, Bytes, Duration, PositiveDuration, Rate, UsdPerGb, UsdPerHour};

#[cfg(test)]
mod tests;
