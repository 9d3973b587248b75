//! Arrival times and lengths from a CSV file with the columns `request_id, arrival_ms, input_tokens, output_tokens`;
//! plain, gzip or zstd.
//!
//! Such a file says nothing of what prompts share. Every request gets blocks of its own, so no cache can hit anything,
//! and [`Source::warnings`] says so. A request's identity is its row's ordinal. Memory: 8 bytes a row, to refuse an id
//! that comes twice.

use crate::error::{Place, WorkloadError, in_range, whole_in_range};
use crate::input;
use crate::json_cursor::shorten;
use crate::trace::scaled;
use crate::trace_line::exact_ms;
use crate::{Completed, Due, Source};
use csv::{ReaderBuilder, StringRecord, Trim};
use gorgo_random::{Key, Purpose};
use gorgo_types::{BlockChain, Nanos, Origin, OriginId, Request, RequestId, Tokens};
use rustc_hash::FxHashSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// The columns, in the order of messages.
const COLUMNS: [&str; 4] = ["request_id", "arrival_ms", "input_tokens", "output_tokens"];

/// How to read arrivals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArrivalsOptions {
    /// Tokens per block of the made-up blocks.
    pub block_tokens: u32,
    /// Times between requests are divided by this.
    pub speedup: f64,
    /// At most so many requests.
    pub limit: Option<u64>,
}

impl Default for ArrivalsOptions {
    fn default() -> Self {
        Self { block_tokens: 16, speedup: 1.0, limit: None }
    }
}

/// The requests of an arrivals file.
pub struct ArrivalsCsv {
    file: PathBuf,
    options: ArrivalsOptions,
    rows: csv::Reader<Box<dyn BufRead + Send>>,
    record: StringRecord,
    /// Where each of [`COLUMNS`] stands.
    columns: [usize; 4],
    ids: FxHashSet<u64>,
    ordinal: u64,
    zero: Option<Nanos>,
    last: Nanos,
    ahead: Option<(Nanos, Request)>,
    origins: [Origin; 1],
}

impl ArrivalsCsv {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// When the file, its header or an option cannot be used.
    pub fn open(path: &Path, options: ArrivalsOptions) -> Result<Self, WorkloadError> {
        in_range("speedup", options.speedup, 1e-6, 1e6, "recorded time / simulated time")?;
        whole_in_range("block_tokens", u64::from(options.block_tokens), 1, 1 << 20, "tokens")?;
        let mut rows = ReaderBuilder::new().trim(Trim::All).from_reader(input::open(path)?);
        let header = rows.headers().map_err(|error| csv_error(path, 1, error))?;
        let columns = columns(header).map_err(|(column, got, wanted)| WorkloadError::Field {
            place: Place::new(path, 1),
            field: column,
            got: got.to_owned(),
            wanted,
        })?;
        Ok(Self {
            file: path.to_owned(),
            options,
            rows,
            record: StringRecord::new(),
            columns,
            ids: FxHashSet::default(),
            ordinal: 0,
            zero: None,
            last: Nanos::ZERO,
            ahead: None,
            origins: [Origin::default()],
        })
    }

    fn read(&mut self) -> Result<Option<(Nanos, Request)>, WorkloadError> {
        if self.options.limit.is_some_and(|limit| self.ordinal >= limit) {
            return Ok(None);
        }
        let line = self.rows.position().line();
        let more = self.rows.read_record(&mut self.record);
        if more.map_err(|error| csv_error(&self.file, line, error))? {
            let line = self.record.position().map_or(line, csv::Position::line);
            return self.row().map(Some).map_err(|(column, wanted)| WorkloadError::Field {
                place: Place::new(&self.file, line),
                field: COLUMNS[column].to_owned(),
                got: match self.cell(column) {
                    "" => "nothing".to_owned(),
                    text => format!("`{}`", shorten(text)),
                },
                wanted,
            });
        }
        if self.ordinal > 0 {
            return Ok(None);
        }
        let what = "in the file".to_owned();
        Err(WorkloadError::NoRequests { file: self.file.clone(), what })
    }

    fn cell(&self, column: usize) -> &str {
        self.record.get(self.columns[column]).unwrap_or_default()
    }

    /// The request of the record, or the column that is at fault and what it should hold.
    fn row(&mut self) -> Result<(Nanos, Request), (usize, String)> {
        if self.cell(0).is_empty() {
            return Err((0, "an id".to_owned()));
        }
        if !self.ids.insert(xxh3_64(self.cell(0).as_bytes())) {
            return Err((0, "an id that no earlier row has".to_owned()));
        }
        let at = milliseconds(self.cell(1)).ok_or_else(|| {
            (1, "milliseconds from the start, zero or more, below 146 years".to_owned())
        })?;
        if at < self.last {
            return Err((1, format!("at least {}, the row before", self.last.as_ms())));
        }
        let tokens = |column: usize| {
            let tokens = self.cell(column).parse::<u32>().ok().filter(|&tokens| tokens > 0);
            tokens
                .ok_or_else(|| (column, "a whole number of tokens from 1 to 4294967295".to_owned()))
        };
        let (input, output) = (tokens(2)?, tokens(3)?);
        self.last = at;
        let zero = *self.zero.get_or_insert(at);
        let ordinal = self.ordinal;
        self.ordinal += 1;
        // Blocks that no other row has: a stretch of words that begins at a random place of its own.
        let content = Key::new(0).with(Purpose::Turn).word(ordinal).draw().bits();
        let blocks = u64::from(input.div_ceil(self.options.block_tokens));
        let prompt = BlockChain::from_raw_ids(
            (0..blocks).map(|block| content.wrapping_add(block)),
            Tokens(u64::from(input)),
            self.options.block_tokens,
        );
        let request = Request {
            id: RequestId { session: ordinal, turn: 0 },
            user: None,
            has_session: false,
            prompt: prompt.map_err(|error| (2, error.to_string()))?,
            output_tokens: Tokens(u64::from(output)),
            max_tokens: Tokens(u64::from(output)),
            sequence: None,
            origin: OriginId(0),
        };
        Ok((scaled(at - zero, self.options.speedup), request))
    }
}

/// Where the columns stand, or which is at fault, what it is and what was wanted.
fn columns(header: &StringRecord) -> Result<[usize; 4], (String, &'static str, String)> {
    let mut places = [usize::MAX; 4];
    for (i, name) in header.iter().enumerate() {
        let name = name.trim_start_matches('\u{feff}');
        let Some(column) = COLUMNS.iter().position(|&known| known == name) else {
            let wanted = format!("one of {}", COLUMNS.join(", "));
            return Err((shorten(name), "an unknown column", wanted));
        };
        if places[column] != usize::MAX {
            return Err((name.to_owned(), "the column twice", "each column once".to_owned()));
        }
        places[column] = i;
    }
    match places.iter().position(|&place| place == usize::MAX) {
        None => Ok(places),
        Some(missing) => {
            let wanted = format!("the columns {}", COLUMNS.join(", "));
            Err((COLUMNS[missing].to_owned(), "nothing", wanted))
        }
    }
}

fn milliseconds(text: &str) -> Option<Nanos> {
    if text.is_empty() {
        return None;
    }
    exact_ms(text).or_else(|| Nanos::from_ms(text.parse().ok()?).ok())
}

fn csv_error(file: &Path, line: u64, error: csv::Error) -> WorkloadError {
    let line = error.position().map_or(line, csv::Position::line);
    let place = Place::new(file, line);
    match error.into_kind() {
        csv::ErrorKind::Io(source) => WorkloadError::Read { place, source },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => WorkloadError::Syntax {
            place,
            column: 1,
            got: format!("{len} cells"),
            wanted: format!("{expected_len}, as in the header"),
        },
        kind => WorkloadError::Syntax {
            place,
            column: 1,
            got: csv_kind(&kind).to_owned(),
            wanted: "a row of CSV".to_owned(),
        },
    }
}

const fn csv_kind(kind: &csv::ErrorKind) -> &'static str {
    match kind {
        csv::ErrorKind::Utf8 { .. } => "bytes that are not UTF-8",
        _ => "something else",
    }
}

impl Source for ArrivalsCsv {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref().map_or(Due::End, |(at, _)| Due::At(*at)))
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        self.next_due()?;
        self.ahead.take().ok_or(WorkloadError::NothingDue)
    }

    fn finished(&mut self, _: Completed) {}

    fn needs_completions(&self) -> bool {
        false
    }

    fn origins(&self) -> &[Origin] {
        &self.origins
    }

    fn warnings(&self) -> Vec<String> {
        let file = self.file.display();
        vec![
            format!("{file}: it does not say what prompts share: no cache reuse is modelled"),
            format!("{file}: no max_tokens: output_tokens taken"),
        ]
    }

    fn size_hint(&self) -> Option<u64> {
        None
    }

    fn block_tokens(&self) -> u32 {
        self.options.block_tokens
    }
}
