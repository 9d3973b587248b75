//! Arrivals: what is refused, and where a request joins those that are on their way to the scheduler.

use super::request::{Live, Place};
use super::scheduler::{Iteration, Scheduler};
use super::{EngineRequest, Mutation, Replica, RequestKey};
use crate::{Femtos, ModelError};
use gorgo_types::{BlockChain, Nanos};

impl<S: Scheduler> Replica<S> {
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
        self.validate(key, &request)?;
        let (output_tokens, held) = S::accept(self, key, &request)?;
        self.clock = now;
        self.block_tokens = Some(request.prompt.block_tokens());
        let ready = now + request.overhead;
        let slot = self.requests.insert(Live {
            key,
            arrival: self.totals.arrived,
            place: Place::Coming,
            cancelled: false,
            prompt: request.prompt,
            sequence: request.sequence,
            output_tokens,
            ready,
            admitted: Nanos::ZERO,
            cached_tokens: 0,
            emitted: 0,
            last_token: Femtos::ZERO,
            computed: 0,
            held,
        });
        self.totals.arrived += 1;
        if self.coming.back().is_none_or(|&(last, _)| last <= ready) {
            self.coming.push_back((ready, slot));
        } else {
            // Overheads differ little, so the place is near the end.
            let later = self.coming.iter().rev().take_while(|&&(other, _)| other > ready).count();
            self.coming.insert(self.coming.len() - later, (ready, slot));
        }
        match self.iteration {
            Iteration::Idle => self.reschedule(),
            Iteration::Decode(_) if S::welcomes(self) => {
                let late = self.faulty(Mutation::ReadyOnBoundaryIsLate);
                self.cut_run(Femtos::from_nanos(ready) + Femtos(u128::from(late)));
            }
            Iteration::Decode(_) | Iteration::Batch { .. } => {}
        }
        Ok(())
    }

    /// What any engine refuses.
    fn validate(&self, key: RequestKey, request: &EngineRequest) -> Result<(), ModelError> {
        let bad = |field, value: u64, wanted: String| {
            Err(ModelError::BadRequest { key, field, value: value.to_string(), wanted })
        };
        if key.0 >= MOST_KEYS {
            return bad("key", key.0.into(), format!("below {MOST_KEYS}: keys are reused"));
        }
        if self.requests.slot(key).is_some() {
            return Err(ModelError::DuplicateKey { key });
        }
        let (output, max) = (request.output_tokens.0, request.max_tokens.0);
        if output == 0 {
            return bad("output_tokens", output, "at least 1".to_owned());
        }
        if max < output {
            return bad("max_tokens", max, format!("at least output_tokens = {output}"));
        }
        let block_tokens = request.prompt.block_tokens();
        if let Some(wanted) = self.block_tokens
            && block_tokens != wanted
        {
            return bad("block size", block_tokens.into(), format!("{wanted}, as all before"));
        }
        match &request.sequence {
            Some(sequence) => validate_sequence(key, &request.prompt, sequence, output),
            None => Ok(()),
        }
    }
}

/// Keys index a vector: 64 MiB of them.
const MOST_KEYS: u32 = 1 << 24;

/// The sequence must start with the prompt and have room for the output.
fn validate_sequence(
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
