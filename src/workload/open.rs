//! What kind of file a trace is, by what stands in it, and the reader for it.

use crate::arrivals_csv::{ArrivalsCsv, ArrivalsOptions};
use crate::csv_layout;
use crate::error::{Place, WorkloadError};
use crate::input::Peeked;
use crate::json_cursor::shorten;
use crate::prompts_jsonl::PromptsJsonl;
use crate::trace::{TraceOptions, TraceSource};
use crate::{Source, TurnTiming};
use std::path::Path;

/// Opens a trace of any kind that is known, plain, gzip or zstd. Its name says nothing: JSON Lines whose first line has
/// a prompt and no block ids are GuideLLM's prompts, other JSON Lines are traces ([`TraceSource`]), and a header with a
/// known column is that of a table of arrivals ([`ArrivalsCsv`]).
///
/// Kinds without block ids get blocks of 16 tokens. Kinds without sessions have no turns, so that `options.turns` means
/// nothing to them.
///
/// # Errors
/// When the file is of no known kind, or its beginning or an option cannot be used.
pub fn open(path: &Path, options: TraceOptions) -> Result<Box<dyn Source>, WorkloadError> {
    let mut peeked = Peeked::open(path)?;
    if let Some(source) = peeked.error_in_first_line() {
        return Err(WorkloadError::Read { place: Place::new(path, 1), source });
    }
    let kind = kind(path, &peeked)?;
    let arrivals = ArrivalsOptions {
        speedup: options.speedup,
        window_from_s: options.window_from_s,
        window_to_s: options.window_to_s,
        limit: options.limit,
        ..ArrivalsOptions::default()
    };
    let options = match kind {
        Kind::Trace => options,
        _ => TraceOptions { turns: TurnTiming::Recorded, ..options },
    };
    Ok(match kind {
        Kind::Trace => Box::new(TraceSource::from_peeked(path, peeked, options)?),
        Kind::Arrivals => Box::new(ArrivalsCsv::from_peeked(path, peeked, arrivals)?),
        Kind::Prompts => Box::new(PromptsJsonl::from_peeked(path, peeked, options)?),
    })
}

#[derive(Clone, Copy)]
enum Kind {
    Trace,
    Arrivals,
    Prompts,
}

fn kind(path: &Path, peeked: &Peeked) -> Result<Kind, WorkloadError> {
    let first = peeked.first();
    let line = first.split(|&byte| byte == b'\n').next().unwrap_or(first).trim_ascii();
    match line.first() {
        // An empty file is told of by the reader.
        None => Ok(Kind::Trace),
        Some(b'{') if is_prompt(line) => Ok(Kind::Prompts),
        Some(b'{') => Ok(Kind::Trace),
        Some(_) => {
            let text = String::from_utf8_lossy(line);
            if csv_layout::is_header(text.split(',').map(str::trim)) {
                return Ok(Kind::Arrivals);
            }
            Err(WorkloadError::Syntax {
                place: Place::new(path, 1),
                column: 1,
                got: shorten(&text),
                wanted: format!(
                    "a JSON object (a line of a gorgo, Mooncake, ART-Chat or GuideLLM trace), or \
                     the columns of a table: {}",
                    csv_layout::known()
                ),
            })
        }
    }
}

/// Whether a line, perhaps cut, is a prompt as text and no request of a trace.
fn is_prompt(line: &[u8]) -> bool {
    let has = |name: &[u8]| line.windows(name.len()).any(|window| window == name);
    has(b"\"prompt\"")
        && !has(b"\"hash_ids\"")
        && !has(b"\"timestamp\"")
        && !has(b"\"gorgo_trace\"")
}
