//! Text as tokens, tokens as blocks, and text for blocks that have none.
//!
//! Traces, the proxy, the emulator and the live client must cut one text into the same blocks, or what one of them
//! has learned tells the others nothing. So the rule stands here once. [`TextChain`] goes from text to ids;
//! [`block_text`] the other way, for traces that have ids alone. Files and HTTP are not known here.

mod chain;
mod error;
mod role;
#[cfg(feature = "tokenizer")]
mod tokenizer;
mod written;

pub use chain::{MAX_TEMPLATE_TOKENS, TextChain, Tokens};
pub use error::TextError;
pub use role::Role;
pub use written::{block_text, block_token_ids, chain_text, token_ids};
