//! What GORGO's reviewers asked for: one question each, answered by runs of scenarios under `scenarios/papers/reviewers`.
//!
//! Nothing here was published, so nothing is compared with a paper; policies are compared with each other, in pairs of
//! the same seed, which met the same requests and the same network. A [`Question`] has panels, a panel points; a
//! [`Job`] is a panel under one seed, run on whatever thread the caller likes; a [`Table`] gathers the rows, and
//! `page.rs` writes them down. Read `question.rs` next, then `questions.rs`.

mod claims;
mod measure;
mod page;
mod question;
mod questions;
mod run;
mod table;
mod text;

pub use claims::unheld;
pub use measure::{METRICS, Metric, Values};
pub use page::{page, to_json, write_page};
pub use question::{How, Look, Measured, Panel, Point, Question, Scenario, Task};
pub use questions::all;
pub use run::{Job, Row, jobs, run};
pub use table::{Pairs, Spread, Table};
pub use text::findings;

/// What the command calls it.
pub const NAME: &str = "reviewers";
/// Seeds where nobody says how many.
pub const SEEDS: u64 = 10;
