//! Arrivals: what is refused, and where a request joins those that are on their way to the scheduler.

use super::request::{Live, Place};
use super::{EngineRequest, Iteration, Mutation, Replica, RequestKey};
use crate::cache::NodeId;
use crate::{Femtos, ModelError};
use gorgo_types::{BlockChain, Nanos};

impl Replica {
    /// A request arrives. It becomes ready after its overhead.
    ///
    /// # Errors
    /// Where it could never be served, contradicts itself, comes out of order or its key is in use. Nothing is
    /// changed then.
    pub fn arrive(
        &mut self,
        now: Nanos,
        key: RequestKey,
        request: EngineRequest,
    ) -> Result<(), ModelError> {
        if now < self.clock {
            return Err(ModelError::TimeWentBack { at: now, simulated: self.clock });
        }
        let (output_tokens, max_tokens) = self.validate(key, &request)?;
        self.clock = now;
        self.block_tokens = Some(request.prompt.block_tokens());
        let ready = now + request.overhead;
        let live = Live {
            key,
            arrival: self.totals.arrived,
            place: Place::Coming,
            cancelled: false,
            prompt: request.prompt,
            sequence: request.sequence,
            output_tokens,
            max_tokens,
            ready,
            admitted: Nanos::ZERO,
            cached_tokens: 0,
            emitted: 0,
            last_token: Femtos::ZERO,
            computed: 0,
            own: 0,
            node: NodeId::ROOT,
            node_blocks: 0,
            joined_at_step: 0,
            joined: 0,
            member: 0,
        };
        self.totals.arrived += 1;
        let slot = self.requests.insert(live);
        self.by_key.insert(key, slot);
        // Overheads differ little, so the place is at or near the end.
        let mut place = self.coming.len();
        while place > 0 && self.coming[place - 1].0 > ready {
            place -= 1;
        }
        self.coming.insert(place, (ready, slot));
        match self.iteration {
            Iteration::Idle => self.reschedule(),
            // While the batch is full nothing is tried at a boundary, whoever waits.
            Iteration::Decode(_) if !self.batch_is_full => {
                let late = self.faulty(Mutation::ReadyOnBoundaryIsLate);
                self.cut_run(Femtos::from_nanos(ready) + Femtos(u128::from(late)));
            }
            Iteration::Decode(_) | Iteration::Prefill { .. } => {}
        }
        Ok(())
    }

    /// Output and `max_tokens` of a request that this replica can serve.
    fn validate(&self, key: RequestKey, request: &EngineRequest) -> Result<(u32, u32), ModelError> {
        let bad = |field, value: u64, wanted: String| {
            Err(ModelError::BadRequest { key, field, value: value.to_string(), wanted })
        };
        if self.by_key.contains_key(&key) {
            return Err(ModelError::DuplicateKey { key });
        }
        let (output, max) = (request.output_tokens.0, request.max_tokens.0);
        if output == 0 {
            return bad("output_tokens", output, "at least 1".to_owned());
        }
        if max < output {
            return bad("max_tokens", max, format!("at least output_tokens = {output}"));
        }
        let Ok(max_tokens) = u32::try_from(max) else {
            return bad("max_tokens", max, format!("at most {}", u32::MAX));
        };
        let block_tokens = request.prompt.block_tokens();
        if let Some(wanted) = self.block_tokens
            && block_tokens != wanted
        {
            return bad("block size", block_tokens.into(), format!("{wanted}, as all before"));
        }
        if let Some(sequence) = &request.sequence {
            validate_sequence(key, &request.prompt, sequence, output)?;
        }
        let reserved = max.min(u64::from(self.config.limits.clip_max_new_tokens));
        let (prompt, pool) = (request.prompt.tokens().0, self.config.kv_pool_tokens);
        if prompt + reserved >= pool || prompt + output > pool || prompt + output > MOST_TOKENS {
            return Err(ModelError::TooLarge {
                key,
                prompt_tokens: prompt,
                output_tokens: output,
                reserved_tokens: reserved,
                kv_pool_tokens: pool,
            });
        }
        // No larger than max_tokens, which fits.
        Ok((u32::try_from(output).unwrap_or(max_tokens), max_tokens))
    }
}

/// Positions in a sequence fit 32 bits.
const MOST_TOKENS: u64 = u32::MAX as u64;

/// The sequence must start with the prompt and have room for the output.
pub(crate) fn validate_sequence(
    key: RequestKey,
    prompt: &BlockChain,
    sequence: &BlockChain,
    output: u64,
) -> Result<(), ModelError> {
    let bad = |value: String, wanted: String| {
        Err(ModelError::BadRequest { key, field: "sequence", value, wanted })
    };
    if sequence.block_tokens() != prompt.block_tokens() {
        let wanted = format!("those of the prompt, of {}", prompt.block_tokens());
        return bad(format!("blocks of {} tokens", sequence.block_tokens()), wanted);
    }
    let (got, wanted) = (sequence.tokens().0, prompt.tokens().0 + output);
    if got < wanted {
        return bad(format!("{got} tokens"), format!("prompt + output = {wanted} tokens"));
    }
    let whole = prompt.whole_blocks();
    if whole > 0 && prompt.ids()[whole - 1] != sequence.ids()[whole - 1] {
        let wanted = format!("one that starts with the prompt's {whole} whole blocks");
        return bad("another chain".to_owned(), wanted);
    }
    Ok(())
}
