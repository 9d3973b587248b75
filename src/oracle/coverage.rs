//! What the drawn cases reached: counted by the slow engine itself, asserted by the tests.

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often each thing happened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Coverage {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Coverage {
            /// The counts by name.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }

            /// Adds the counts of another run.
            pub const fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Requests retracted.
    retractions,
    /// Retractions that took more than one request at once.
    retractions_of_several,
    /// Prefill batches that evicted.
    evictions_in_prefill,
    /// Decode steps that evicted.
    evictions_in_decode,
    /// Times *batch is full* was set by a refusal for memory.
    full_for_memory,
    /// Times *batch is full* was set by a refusal for slots.
    full_for_slots,
    /// Times *batch is full* was cleared while it was set.
    full_cleared,
    /// Chunked requests with a cached prefix.
    chunked_with_prefix,
    /// Retracted requests that were chunked when they came back.
    chunked_after_retraction,
    /// Requests ready exactly at a boundary that was there without them.
    ready_on_boundary,
    /// Requests that came ready in another order than they arrived.
    ready_out_of_order,
    /// Scrapes in the middle of a decode step.
    observed_in_decode,
    /// Scrapes exactly on a step boundary.
    observed_on_boundary,
    /// Cancels of waiting requests.
    cancelled_waiting,
    /// Cancels of running requests.
    cancelled_running,
    /// Cancels of requests between two chunks.
    cancelled_chunked,
    /// Crashes with requests alive.
    crashes,
    /// Insertions that freed duplicates.
    duplicates_freed,
    /// Outputs that continued a partial tail.
    hung_under_tail,
    /// Prompts that hit tokens through another prompt's partial tail.
    hit_through_tail,
    /// Outputs of a prompt with a partial tail that were in the tree elsewhere.
    output_found_elsewhere,
    /// Longest-prefix orders that differed from the order of arrival.
    lpm_reorders,
    /// Batches formed while too many waited for longest-prefix order.
    lpm_given_up,
    /// Lone requests that were admitted although memory would have refused them.
    lone_requests,
    /// Whole prompts found in the cache.
    whole_prompt_hits,
    /// Matches that ended at a kept state.
    matches_to_state,
    /// Matches that were cut to a kept state, or to nothing.
    matches_cut_to_state,
    /// States dropped for want of a slot.
    states_dropped,
    /// Decode steps.
    decode_steps,
    /// Requests that ended.
    finished,
}
