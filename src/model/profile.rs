//! Cost profiles.

use crate::Femtos;

/// One request's part of a prefill batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefillItem {
    /// Tokens to compute.
    pub new_tokens: u32,
    /// Tokens before them that are there already.
    pub cached_tokens: u32,
}

/// Decode steps that form an arithmetic series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeSegment {
    /// Duration of the next step.
    pub first: Femtos,
    /// What each further step takes longer.
    pub increment: Femtos,
    /// For how many steps this holds.
    pub steps: u64,
}

/// The time of prefill batches and decode steps.
#[derive(Clone, Debug)]
pub struct CostProfile {
    /// Its name.
    pub name: String,
}

impl CostProfile {
    /// Time of a prefill batch.
    #[must_use]
    pub fn prefill(&self, batch: &[PrefillItem]) -> Femtos {
        Femtos(batch.len() as u128)
    }

    /// Time of a decode step.
    #[must_use]
    pub fn decode_step(&self, sequences: u32, context_tokens: u64) -> Femtos {
        self.decode_segment(sequences, context_tokens).first
    }

    /// The series of decode steps that starts at this context.
    #[must_use]
    pub fn decode_segment(&self, sequences: u32, context_tokens: u64) -> DecodeSegment {
        DecodeSegment {
            first: Femtos(u128::from(context_tokens)),
            increment: Femtos(u128::from(sequences)),
            steps: u64::MAX,
        }
    }
}
