//! What people and programs read of a run: tables, CSV and JSON files, SVG plots.
//!
//! It formats numbers and computes none: every number is `gorgo-metrics`'s. It never prints; it gives strings and
//! writes files into an [`OutputDir`]. The same runs give the same bytes.
//!
//! Read `output.rs` for the files of a run, `requests.rs` for the shape of `requests.csv`, `plot.rs` for pictures.

mod bill;
mod bytes;
mod comparison;
mod error;
mod grid;
mod html;
mod json;
mod origins;
mod output;
mod parity;
pub mod plot;
mod requests;
mod requests_reader;
mod table;
mod timeline;
mod tuning;

pub use bill::bill;
pub use comparison::{comparison_json, comparison_table};
pub use error::ReportError;
pub use grid::{Grid, Style, in_two_lines, short_number};
pub use html::{HtmlCell, HtmlPage, escaped};
pub use json::{json_document, summary_json};
pub use origins::{ORIGIN_COLUMNS, write_origins};
pub use output::{DecisionLog, LoadedRun, OutputDir, load_run};
pub use parity::{parity_json, parity_table};
pub use requests::{REQUEST_COLUMNS, SLIP_COLUMN, write_requests};
pub use requests_reader::{Requests, read_requests};
pub use table::table;
pub use timeline::{TIMELINE_COLUMNS, write_timeline};
pub use tuning::Tuning;
