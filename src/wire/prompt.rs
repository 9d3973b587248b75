//! A prompt as a client gives it, and its blocks.

use crate::WireError;
use gorgo_text::{Role, TextChain, Tokens};
use gorgo_types::{BlockChain, Tokens as Count};
use std::borrow::Cow;

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Who speaks. Roles that have no name here (a tool) count as the user.
    pub role: Role,
    /// What is said. Parts of a list are joined; a part that is no text stands there as its JSON.
    pub text: Cow<'a, str>,
}

/// What a request asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt<'a> {
    /// A chat. Definitions of tools stand before the first message, as chat templates put them.
    Messages(Vec<Message<'a>>),
    /// A text, or several that one request asks about together.
    Texts(Vec<Cow<'a, str>>),
    /// Token ids, or several lists of them.
    TokenIds(Vec<Vec<u32>>),
}

impl Prompt<'_> {
    /// The prompt's blocks. An empty prompt counts as one token: an engine answers it, so it must be routed.
    ///
    /// # Errors
    /// When it is longer than a chain can be, `block_tokens` is zero, or a tokenizer refuses it.
    pub fn chain(
        &self,
        tokens: &Tokens,
        template_tokens: u32,
        block_tokens: u32,
    ) -> Result<BlockChain, WireError> {
        let mut chain = TextChain::new(tokens, template_tokens, block_tokens)?;
        match self {
            Self::Messages(messages) => {
                for message in messages {
                    chain.begin(message.role);
                    chain.text(&message.text)?;
                }
                chain.begin(Role::Assistant);
            }
            Self::Texts(texts) => {
                for text in texts {
                    chain.text(text)?;
                }
            }
            Self::TokenIds(lists) => {
                let joined;
                let ids = match lists.as_slice() {
                    [one] => one.as_slice(),
                    many => {
                        joined = many.concat();
                        &joined
                    }
                };
                if !ids.is_empty() {
                    return Ok(BlockChain::from_tokens(ids, block_tokens)?);
                }
            }
        }
        if chain.count() == 0 {
            return Ok(BlockChain::from_raw_ids([0], Count(1), block_tokens)?);
        }
        Ok(chain.snapshot()?)
    }
}
