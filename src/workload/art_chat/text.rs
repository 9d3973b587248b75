//! A user's running text: what the last prompt held, position by position, and the blocks of the next one.

use crate::WorkloadError;
use crate::prefix_groups::chain_error;
use gorgo_random::Key;
use gorgo_types::{BlockChain, ChainBuilder, Tokens};

/// A stretch of text that is always the same: its key and its length in tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) content: u64,
    pub(super) tokens: u32,
}

/// What a user's last prompt held.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// (first position, content) of the stretches, by position; the last one has no end of its own.
    stretches: Vec<(u32, u64)>,
    /// Tokens that the next prompt takes over: the last prompt's, and never fewer than the shared beginning, which is
    /// not the user's own.
    tokens: u32,
    shared: u32,
    /// Key of the user's own text, and how many new stretches it has had.
    own: u64,
    fresh: u64,
}

impl Text {
    /// A text that begins with `shared`; `own` keys what comes after.
    pub(super) fn new(shared: &[Segment], own: u64) -> Self {
        let (mut stretches, mut tokens) = (Vec::new(), 0_u32);
        for segment in shared {
            stretches.push((tokens, segment.content));
            tokens = tokens.saturating_add(segment.tokens);
        }
        Self { stretches, tokens, shared: tokens, own, fresh: 0 }
    }

    /// The user's next prompt, of `tokens` tokens: the last one's as far as that goes, new text beyond.
    pub(super) fn request(
        &mut self,
        tokens: u32,
        block_tokens: u32,
    ) -> Result<BlockChain, WorkloadError> {
        if tokens > self.tokens {
            self.stretches.retain(|stretch| stretch.0 < self.tokens);
            self.fresh += 1;
            let content = Key::new(self.own).word(self.fresh).draw().bits();
            self.stretches.push((self.tokens, content));
        }
        self.tokens = tokens.max(self.shared);
        self.blocks(tokens, block_tokens)
    }

    fn blocks(&self, tokens: u32, block_tokens: u32) -> Result<BlockChain, WorkloadError> {
        let mut builder = ChainBuilder::new(block_tokens).map_err(|error| chain_error(&error))?;
        let (mut at, mut stretch) = (0_u32, 0_usize);
        while at < tokens {
            let end = at.saturating_add(block_tokens).min(tokens);
            let mut key = Key::new(0);
            while at < end {
                while self.stretches.get(stretch + 1).is_some_and(|next| next.0 <= at) {
                    stretch += 1;
                }
                let (begin, content) = self.stretches.get(stretch).copied().unwrap_or_default();
                let upto = self.stretches.get(stretch + 1).map_or(end, |next| next.0.min(end));
                key = key.word(content).word(u64::from(at - begin)).word(u64::from(upto - at));
                at = upto;
            }
            builder.push_block(key.draw().bits());
        }
        builder.finish(Tokens(u64::from(tokens))).map_err(|error| chain_error(&error))
    }
}
