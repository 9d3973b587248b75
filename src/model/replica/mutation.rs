//! Planted faults, for the test that the comparison with the slow engine notices them (`src/oracle/tests/mutations.rs`).
//!
//! Without the feature `mutations`, which no default build has, no replica can be made faulty: [`Replica::faulty`] is
//! the constant `false` and the branches that ask it are gone.

use super::Replica;
use super::scheduler::Scheduler;

macro_rules! mutations {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// One fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[doc = $doc])* $name,)*
        }

        #[cfg(feature = "mutations")]
        impl Mutation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

mutations! {
    /// Eviction takes the most recently used leaf.
    EvictMostRecent,
    /// A retracted request leaves its lock behind.
    RetractionKeepsLock,
    /// Admission does not reckon that the matched prefix stops being evictable.
    LockedStaysInBudget,
    /// `new_token_ratio` does not fall with decode steps.
    RatioNeverDecays,
    /// A ratio that a retraction set below the minimum is raised to it by the next step.
    RatioRaisedByDecay,
    /// The end of a request does not clear *batch is full*.
    FullNeverCleared,
    /// A refusal does not set *batch is full*.
    FullNeverSet,
    /// A chunk that leaves some of its prompt enters nothing into the cache.
    ChunkInsertsNothing,
    /// Retraction takes the request with the most tokens emitted.
    RetractionReversed,
    /// After a retraction the next boundary does not try to admit anybody.
    RunsOnAfterRetraction,
    /// A request that ends is taken to hold one token less than it does.
    ReleaseOneTokenShort,
    /// A request that becomes ready exactly when a decode step ends joins one step later.
    ReadyOnBoundaryIsLate,
    /// A run of steps that is cut short counts one step less than its time.
    CutLosesStep,
    /// Tokens that the cache had already stay with their request until it ends.
    DuplicatesKept,
    /// A match whose request is refused does not touch its path.
    RefusedMatchUntouched,
    /// A run of steps goes on past the knot of the profile.
    KnotIgnored,
    /// A prompt goes on from the state at its own end, although one token has to be computed.
    StateAtPromptEndUsed,
    /// A request that ends leaves no state.
    EndLeavesNoState,
}

impl<S: Scheduler> Replica<S> {
    /// Plants a fault.
    #[cfg(feature = "mutations")]
    pub const fn set_mutation(&mut self, mutation: Mutation) {
        self.mutation = Some(mutation);
    }

    /// Whether this fault has been planted.
    #[cfg(feature = "mutations")]
    pub(crate) fn faulty(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Whether this fault has been planted: never.
    #[cfg(not(feature = "mutations"))]
    #[expect(clippy::unused_self, reason = "a build with planted faults looks at it")]
    pub(crate) const fn faulty(&self, _: Mutation) -> bool {
        false
    }
}
