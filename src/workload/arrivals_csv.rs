//! Arrival times and lengths from a CSV file, plain, gzip or zstd: gorgo's own columns `request_id, arrival_ms,
//! input_tokens, output_tokens`, those of the Azure traces of 2023 and 2024 or those of BurstGPT, recognised by the
//! header.
//!
//! Such a file says nothing of what prompts share. Every request gets blocks of its own, so no cache can hit anything,
//! and [`Source::warnings`] says so. A request's identity is its row's ordinal. Memory: one row, and 8 bytes for each row
//! with an id, to refuse one that comes twice. Which columns there are is in `csv_layout`.

use crate::csv_layout::Layout;
use crate::error::{Place, WorkloadError, in_range, whole_in_range};
use crate::input::{Peeked, Rows};
use crate::json_cursor::shorten;
use crate::trace::{nothing_in, scaled, window};
use crate::{Due, Source};
use csv::{ReaderBuilder, StringRecord, Trim};
use gorgo_random::{Key, Purpose};
use gorgo_types::{BlockChain, Nanos, Origin, OriginId, Request, RequestId, Tokens};
use rustc_hash::FxHashSet;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const WANT_TOKENS: &str = "a whole number of tokens from 1 to 4294967295";

/// How to read arrivals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArrivalsOptions {
    /// Tokens per block of the made-up blocks.
    pub block_tokens: u32,
    /// Times between requests are divided by this.
    pub speedup: f64,
    /// Only requests from this many seconds of the table's time on. That of a table of dates begins at its first row.
    pub window_from_s: Option<f64>,
    /// Only requests before this many seconds of it. The file is not read beyond.
    pub window_to_s: Option<f64>,
    /// At most so many requests.
    pub limit: Option<u64>,
}

impl Default for ArrivalsOptions {
    fn default() -> Self {
        let (window_from_s, window_to_s) = (None, None);
        Self { block_tokens: 16, speedup: 1.0, window_from_s, window_to_s, limit: None }
    }
}

/// The requests of an arrivals file.
pub struct ArrivalsCsv {
    file: PathBuf,
    options: ArrivalsOptions,
    window: (Nanos, Nanos),
    rows: csv::Reader<Rows>,
    record: StringRecord,
    layout: &'static Layout,
    /// Where each of the layout's columns stands.
    columns: Vec<usize>,
    /// By how many lines the reader's count is behind at a row: 1 where lines end in CR LF, of which it counts the LF
    /// with the row after.
    behind: u64,
    ids: FxHashSet<u64>,
    /// Rows, so far; requests used, so far; rows of failed requests.
    ordinal: u64,
    used: u64,
    failed: u64,
    ended: bool,
    /// Where the table's time begins, where it has dates; the first request's time; the last row's.
    epoch: Nanos,
    zero: Option<Nanos>,
    last: Nanos,
    ahead: Option<(Nanos, Request)>,
    origins: [Origin; 1],
}

/// The column that is at fault, by its place in the layout, and what it should hold.
type Fault = (usize, String);

/// What a row says.
struct Row {
    at: Nanos,
    input: u32,
    output: u32,
}

impl ArrivalsCsv {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// When the file, its header or an option cannot be used.
    pub fn open(path: &Path, options: ArrivalsOptions) -> Result<Self, WorkloadError> {
        Self::from_peeked(path, Peeked::open(path)?, options)
    }

    pub(crate) fn from_peeked(
        path: &Path,
        peeked: Peeked,
        options: ArrivalsOptions,
    ) -> Result<Self, WorkloadError> {
        in_range("speedup", options.speedup, 1e-6, 1e6, "recorded time / simulated time")?;
        whole_in_range("block_tokens", u64::from(options.block_tokens), 1, 1 << 20, "tokens")?;
        let window = window(options.window_from_s, options.window_to_s)?;
        let header_end = peeked.first().iter().position(|&byte| byte == b'\n');
        let behind = header_end.is_some_and(|end| peeked.first()[..end].ends_with(b"\r"));
        let mut rows = ReaderBuilder::new().trim(Trim::All).from_reader(Rows::new(peeked));
        let header = rows.headers().map_err(|error| csv_error(path, 1, 0, error))?;
        let (layout, columns) = Layout::of(header).map_err(|(column, got, wanted)| {
            let place = Place::new(path, 1);
            WorkloadError::Field { place, field: column, got: got.to_owned(), wanted }
        })?;
        Ok(Self {
            file: path.to_owned(),
            options,
            window,
            rows,
            record: StringRecord::new(),
            layout,
            columns,
            behind: u64::from(behind),
            ids: FxHashSet::default(),
            ordinal: 0,
            used: 0,
            failed: 0,
            ended: false,
            epoch: Nanos::ZERO,
            zero: None,
            last: Nanos::ZERO,
            ahead: None,
            origins: [Origin::default()],
        })
    }

    /// The next request of the window, or nothing at the end.
    fn read(&mut self) -> Result<Option<(Nanos, Request)>, WorkloadError> {
        while !self.ended && self.options.limit.is_none_or(|limit| self.used < limit) {
            let line = self.rows.position().line();
            self.rows.get_mut().begin();
            let more = self.rows.read_record(&mut self.record);
            if !more.map_err(|error| csv_error(&self.file, line, self.behind, error))? {
                break;
            }
            let line = self.record.position().map_or(line, csv::Position::line) + self.behind;
            let row = self.row().map_err(|fault| self.fault(line, fault))?;
            let ordinal = self.ordinal;
            self.ordinal += 1;
            let Some(row) = row else { continue };
            if row.at >= self.window.1 {
                break;
            }
            if row.at >= self.window.0 {
                self.used += 1;
                let item = self.request(ordinal, &row);
                return item.map(Some).map_err(|fault| self.fault(line, fault));
            }
        }
        self.ended = true;
        if self.used > 0 || self.options.limit == Some(0) {
            return Ok(None);
        }
        let given = self.options.window_from_s.is_some() || self.options.window_to_s.is_some();
        let what = nothing_in(self.window, given);
        Err(WorkloadError::NoRequests { file: self.file.clone(), what })
    }

    fn fault(&self, line: u64, (column, wanted): Fault) -> WorkloadError {
        let got = match self.cell(column) {
            "" => "nothing".to_owned(),
            text => format!("`{}`", shorten(text)),
        };
        let field = self.layout.columns[column].to_owned();
        WorkloadError::Field { place: Place::new(&self.file, line), field, got, wanted }
    }

    fn cell(&self, column: usize) -> &str {
        self.record.get(self.columns[column]).unwrap_or_default()
    }

    /// What the record says; nothing where its request failed.
    fn row(&mut self) -> Result<Option<Row>, Fault> {
        let layout = self.layout;
        if let Some(id) = layout.id {
            if self.cell(id).is_empty() {
                return Err((id, "an id".to_owned()));
            }
            if !self.ids.insert(xxh3_64(self.cell(id).as_bytes())) {
                return Err((id, "an id that no earlier row has".to_owned()));
            }
        }
        let written = (layout.parse_time)(self.cell(layout.time));
        let written = written.ok_or_else(|| (layout.time, layout.time_wanted.to_owned()))?;
        if self.ordinal == 0 && layout.has_dates {
            self.epoch = written;
        }
        let since = written.0.checked_sub(self.epoch.0).map(Nanos);
        let at = since.filter(|&at| at >= self.last);
        let at = at.ok_or_else(|| {
            let before = if layout.has_dates {
                "the time of the row before, or later".to_owned()
            } else {
                format!("at least {} ms, the row before", self.last.as_ms())
            };
            (layout.time, before)
        })?;
        self.last = at;
        let tokens = |column: usize| {
            let tokens = self.cell(column).parse::<u32>().ok();
            let tokens = tokens.filter(|&tokens| tokens > 0 || layout.has_failures);
            tokens.ok_or_else(|| (column, WANT_TOKENS.to_owned()))
        };
        let (input, output) = (tokens(layout.input)?, tokens(layout.output)?);
        let sum = u64::from(input) + u64::from(output);
        if let Some(total) = layout.total
            && self.cell(total).parse::<u64>() != Ok(sum)
        {
            return Err((total, format!("{sum}, the sum of the request's and the response's")));
        }
        if input == 0 || output == 0 {
            self.failed += 1;
            return Ok(None);
        }
        Ok(Some(Row { at, input, output }))
    }

    fn request(&mut self, ordinal: u64, row: &Row) -> Result<(Nanos, Request), Fault> {
        let zero = *self.zero.get_or_insert(row.at);
        // Blocks that no other row has: a stretch of words that begins at a random place of its own.
        let content = Key::new(0).with(Purpose::Turn).word(ordinal).draw().bits();
        let blocks = u64::from(row.input.div_ceil(self.options.block_tokens));
        let prompt = BlockChain::from_raw_ids(
            (0..blocks).map(|block| content.wrapping_add(block)),
            Tokens(u64::from(row.input)),
            self.options.block_tokens,
        );
        let output = Tokens(u64::from(row.output));
        let request = Request {
            id: RequestId { session: ordinal, turn: 0 },
            user: None,
            has_session: false,
            prompt: prompt.map_err(|error| (self.layout.input, error.to_string()))?,
            output_tokens: output,
            max_tokens: output,
            sequence: None,
            origin: OriginId(0),
        };
        Ok((scaled(row.at - zero, self.options.speedup), request))
    }
}

fn csv_error(file: &Path, line: u64, behind: u64, error: csv::Error) -> WorkloadError {
    let line = error.position().map_or(line, csv::Position::line) + behind;
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
            got: csv_kind(&kind),
            wanted: "a row of CSV".to_owned(),
        },
    }
}

fn csv_kind(kind: &csv::ErrorKind) -> String {
    match kind {
        csv::ErrorKind::Utf8 { err, .. } => {
            format!("bytes that are not UTF-8 in cell {}", err.field() + 1)
        }
        _ => "something else".to_owned(),
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

    fn origins(&self) -> &[Origin] {
        &self.origins
    }

    fn warnings(&self) -> Vec<String> {
        let file = self.file.display();
        let output = self.layout.columns[self.layout.output];
        let mut warnings = vec![
            format!("{file}: it does not say what prompts share: no cache reuse is modelled"),
            format!("{file}: no max_tokens: {output} taken"),
        ];
        if self.failed > 0 {
            let (failed, rows) = (self.failed, self.ordinal);
            warnings.push(format!(
                "{file}: {failed} of {rows} rows passed over: no tokens, so their requests failed"
            ));
        }
        warnings
    }

    fn block_tokens(&self) -> u32 {
        self.options.block_tokens
    }
}
