//! Where requests come from.
//!
//! Everything is a [`Source`]: a conversation in which the caller asks what is due next, takes it, and tells when a
//! request has ended, so that think time and closed loops live here once, for simulated and live runs alike.
//!
//! | source | what it is |
//! |---|---|
//! | [`open()`] | a file of any kind below, known by what stands in it; plain, gzip or zstd, streamed |
//! | [`TraceSource`] | a recorded trace: gorgo's JSON Lines, Mooncake's or ART-Chat's |
//! | [`ArrivalsCsv`] | arrival times and lengths without prefixes: gorgo's CSV, Azure's or BurstGPT's |
//! | [`PromptsJsonl`] | prompts as text, without times: GuideLLM's JSON Lines |
//! | [`ChatGenerator`] | sessions with turns, shared system prompts, think time |
//! | [`ArtChat`] | long chats with high reuse, as in the windows that the GORGO authors replayed |
//! | [`Servegen`] | lone requests of a mix of clients, bursty and at a service's rate |
//! | [`PrefixGroups`] | lone requests with shared prefixes, for runs of any size |
//! | [`ClosedLoop`], [`Retimed`] | another source's requests, sent by N users or at other times |
//! | [`Client`] | who sends them: unlimited, or workers with a queue before them |
//! | [`Replay`] | a source read once into memory ([`Recorded`]) and shared by several runs |
//!
//! What a request holds is a function of the seed and of its identity, never of the order in which a run asks for it.
//! Nothing here knows of regions, replicas or policies. Read [`source`] next, then [`trace`].

pub mod arrival;
pub mod arrivals_csv;
pub mod art_chat;
pub mod chat;
pub mod client;
pub mod closed_loop;
pub mod day;
pub mod draws;
pub mod error;
pub mod info;
pub mod open;
pub mod prefix_groups;
pub mod prompts_jsonl;
pub mod rate_curve;
pub mod recorded;
pub mod servegen;
pub mod source;
pub mod trace;

mod chat_spec;
mod csv_layout;
mod input;
mod json_cursor;
mod origins;
mod output;
mod trace_curves;
mod trace_line;
mod trace_turns;
mod trace_writer;

pub use arrival::{ArrivalSpec, ArrivalTimes, Retimed};
pub use arrivals_csv::{ArrivalsCsv, ArrivalsOptions};
pub use art_chat::{ArtChat, ArtChatSpec};
pub use chat::{ChatGenerator, ChatSpec, SessionStart, SystemPrompts, TurnCount};
pub use client::{Client, ClientSpec, Outgoing};
pub use closed_loop::{ClosedLoop, ClosedLoopSpec};
pub use day::DaySpec;
pub use draws::{LengthSpec, OriginShare, ThinkSpec};
pub use error::{Place, WorkloadError};
pub use info::TraceInfo;
pub use input::Lines;
pub use open::open;
pub use output::Output;
pub use prefix_groups::{PrefixGroups, PrefixGroupsSpec};
pub use prompts_jsonl::PromptsJsonl;
pub use rate_curve::RateCurve;
pub use recorded::{Recorded, Replay};
pub use servegen::{ClientCv, Servegen, ServegenSpec, TokenShares};
pub use source::{AssumedService, Completed, Due, Source, TurnTiming};
pub use trace::{TraceOptions, TraceSource, TraceWriter};
pub use trace_curves::{CacheReuse, TraceCurves};
