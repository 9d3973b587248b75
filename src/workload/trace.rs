//! Recorded traces, streamed: gorgo's format (JSON Lines, first line `{"gorgo_trace":1,"block_size":16}`, with
//! `"tokens"` where text was counted, such as "4-characters") and, where that line is missing, Mooncake's with 512-token
//! blocks or ART-Chat's with 256, told apart by how many ids the first prompt of over 256 tokens has.
//!
//! Times in the file must not go backwards; the turns of a session must rise. Time zero is the first request that is
//! used (the first one inside the window). Memory does not grow with the trace: it holds what is alive, one small
//! entry per session seen (to refuse a turn that comes twice), and the origins met.
//!
//! Identities: a line with a `session_id` is (session, turn), its turn counted where the line gives none. A lone line
//! is (its ordinal in the file, 0). Where a file has both, those of the kind that its first line is *not* get the top
//! bit set, so that the two cannot meet. Windows and limits change no identity.
//!
//! What a line may hold is in `trace_line`; turns that wait for the one before in `trace_turns`.

pub use crate::trace_writer::TraceWriter;

use crate::error::{Place, WorkloadError, in_range};
use crate::input::{Lines, Peeked};
use crate::json_cursor::Fault;
use crate::origins::OriginTable;
use crate::trace_line::{ART_CHAT_BLOCK_TOKENS, Header, Line, MOONCAKE_BLOCK_TOKENS, parse_header};
use crate::trace_turns::WaitingTurns;
use crate::{AssumedService, Completed, Due, Source, TurnTiming};
use gorgo_types::{BlockChain, Nanos, Origin, Request, RequestId, Tokens};
use rustc_hash::FxHashMap;
use std::path::Path;

/// How to read a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceOptions {
    /// Times between requests are divided by this: 2 sends twice as fast.
    pub speedup: f64,
    /// Only requests whose `timestamp` is at least this many seconds.
    pub window_from_s: Option<f64>,
    /// Only requests whose `timestamp` is below this many seconds. The file is not read beyond.
    pub window_to_s: Option<f64>,
    /// When the later turns of a session are due. With [`TurnTiming::AfterPrevious`], turn n + 1 is due at
    /// `max(recorded time, end of turn n + max(0, recorded gap - assumed service))`: it never comes before its
    /// recorded time, nor before the turn it follows has ended and its client has thought.
    pub turns: TurnTiming,
    /// For `after-previous`: how much of the recorded gap between two turns was service; the rest is think time. Zero
    /// by default: the whole gap is then think time, the longest it can have been.
    pub assumed_service: AssumedService,
    /// At most so many requests.
    pub limit: Option<u64>,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            speedup: 1.0,
            window_from_s: None,
            window_to_s: None,
            turns: TurnTiming::Recorded,
            assumed_service: AssumedService::default(),
            limit: None,
        }
    }
}

/// The requests of a trace file.
pub struct TraceSource {
    reader: TraceReader,
    /// The next request in the file's order, read ahead.
    ahead: Option<(Nanos, Request)>,
    /// Only where turns wait for the one before.
    waiting: Option<WaitingTurns>,
}

impl TraceSource {
    /// Opens `path` and reads its first line.
    ///
    /// # Errors
    /// When the file, its first line or an option cannot be used.
    pub fn open(path: &Path, options: TraceOptions) -> Result<Self, WorkloadError> {
        Self::from_peeked(path, Peeked::open(path)?, options)
    }

    pub(crate) fn from_peeked(
        path: &Path,
        peeked: Peeked,
        options: TraceOptions,
    ) -> Result<Self, WorkloadError> {
        let reader = TraceReader::open(path, peeked, options)?;
        let waiting = match options.turns {
            TurnTiming::Recorded => None,
            TurnTiming::AfterPrevious => Some(WaitingTurns::new(options.assumed_service)?),
        };
        Ok(Self { reader, ahead: None, waiting })
    }
}

impl Source for TraceSource {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        loop {
            if self.ahead.is_none() {
                self.ahead = self.reader.next()?;
            }
            let next_recorded = self.ahead.as_ref().map(|(at, _)| *at);
            let Some(waiting) = &mut self.waiting else {
                return Ok(next_recorded.map_or(Due::End, Due::At));
            };
            // No line still unread is due before the time of the next one.
            match (waiting.first_due(), next_recorded) {
                (Some(due), Some(recorded)) if due <= recorded => return Ok(Due::At(due)),
                (due, None) => {
                    let nothing = if waiting.is_empty() { Due::End } else { Due::Waiting };
                    return Ok(due.map_or(nothing, Due::At));
                }
                _ => {
                    if let Some((recorded, request)) = self.ahead.take() {
                        waiting.read(recorded, request);
                    }
                }
            }
        }
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        let Due::At(_) = self.next_due()? else { return Err(WorkloadError::NothingDue) };
        let item = match &mut self.waiting {
            None => self.ahead.take(),
            Some(waiting) => waiting.take(),
        };
        item.ok_or(WorkloadError::NothingDue)
    }

    fn finished(&mut self, completed: Completed) {
        if let Some(waiting) = &mut self.waiting {
            waiting.finished(completed);
        }
    }

    fn needs_completions(&self) -> bool {
        self.waiting.is_some()
    }

    fn origins(&self) -> &[Origin] {
        self.reader.origins.list()
    }

    fn warnings(&self) -> Vec<String> {
        self.reader.warnings()
    }

    fn block_tokens(&self) -> u32 {
        self.reader.block_tokens
    }

    fn token_rule(&self) -> Option<&str> {
        self.reader.token_rule.as_deref()
    }
}

/// Requests in the file's order, with their times since time zero.
struct TraceReader {
    lines: Lines,
    line: Line,
    block_tokens: u32,
    /// How its text was counted as tokens, where the first line says so.
    token_rule: Option<String>,
    /// No header: extra fields are allowed, and warned of.
    headless: bool,
    /// The first line is a request still to be read.
    first_pending: bool,
    speedup: f64,
    window: (Nanos, Nanos),
    window_given: bool,
    limit: u64,
    /// Lines that are requests, so far; requests used, so far.
    ordinal: u64,
    used: u64,
    /// Time stamp of the last line, and of the first one used.
    last: Nanos,
    zero: Option<Nanos>,
    /// Whether the first request has a session; and each session's last turn.
    sessions_first: bool,
    turns: FxHashMap<u64, u32>,
    origins: OriginTable,
    notes: Notes,
    ended: bool,
}

/// What was met and is worth a warning.
#[derive(Default)]
struct Notes {
    without_max_tokens: u64,
    without_output_ids: u64,
    unused_fields: u64,
    unknown: Vec<String>,
    more_unknown: bool,
}

impl TraceReader {
    fn open(path: &Path, peeked: Peeked, options: TraceOptions) -> Result<Self, WorkloadError> {
        in_range("speedup", options.speedup, 1e-6, 1e6, "recorded time / simulated time")?;
        let headless = headless_block_tokens(&peeked);
        let mut lines = Lines::new(path, Box::new(peeked));
        let header = match lines.advance()? {
            false => {
                let what = "in the file".to_owned();
                return Err(WorkloadError::NoRequests { file: path.to_owned(), what });
            }
            true => parse_header(lines.current()).map_err(|fault| fault_at(&lines, *fault))?,
        };
        let is_headless = header.is_none();
        let (block_tokens, token_rule) = header
            .map_or((headless, None), |Header { block_tokens, tokens }| (block_tokens, tokens));
        let window = window(options.window_from_s, options.window_to_s)?;
        Ok(Self {
            lines,
            line: Line::default(),
            block_tokens,
            token_rule,
            headless: is_headless,
            first_pending: is_headless,
            speedup: options.speedup,
            window,
            window_given: options.window_from_s.is_some() || options.window_to_s.is_some(),
            limit: options.limit.unwrap_or(u64::MAX),
            ordinal: 0,
            used: 0,
            last: Nanos::ZERO,
            zero: None,
            sessions_first: false,
            turns: FxHashMap::default(),
            origins: OriginTable::new(),
            notes: Notes::default(),
            ended: false,
        })
    }

    /// The next request of the window, or nothing at the end.
    fn next(&mut self) -> Result<Option<(Nanos, Request)>, WorkloadError> {
        while !self.ended {
            let more = self.used < self.limit
                && (std::mem::take(&mut self.first_pending) || self.lines.advance()?);
            if !more {
                return self.end();
            }
            let parsed = self.line.parse(self.lines.current(), self.block_tokens, self.headless);
            let id = parsed
                .and_then(|()| self.place_in_time())
                .and_then(|()| self.identify())
                .map_err(|fault| fault_at(&self.lines, *fault))?;
            if self.line.time >= self.window.1 {
                return self.end();
            }
            if self.line.time >= self.window.0 {
                let zero = *self.zero.get_or_insert(self.line.time);
                let request = self.request(id).map_err(|fault| fault_at(&self.lines, *fault))?;
                self.used += 1;
                return Ok(Some((scaled(self.line.time - zero, self.speedup), request)));
            }
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<Option<(Nanos, Request)>, WorkloadError> {
        self.ended = true;
        if self.used > 0 || self.limit == 0 {
            return Ok(None);
        }
        let what = nothing_in(self.window, self.window_given);
        Err(WorkloadError::NoRequests { file: self.lines.file().to_owned(), what })
    }

    fn place_in_time(&mut self) -> Result<(), Box<Fault>> {
        if self.line.time < self.last {
            let got = self.line.time.as_ms().to_string();
            let wanted = format!("at least {}, the line before", self.last.as_ms());
            return Err(Fault::field("timestamp", got, wanted));
        }
        self.last = self.line.time;
        Ok(())
    }

    /// Who the line's request is; counts turns, and refuses one that comes twice or late.
    fn identify(&mut self) -> Result<RequestId, Box<Fault>> {
        const TOP: u64 = 1 << 63;
        let ordinal = self.ordinal;
        self.ordinal += 1;
        if ordinal == 0 {
            self.sessions_first = self.line.session.is_some();
        }
        let Some(session) = self.line.session else {
            let session = if self.sessions_first { TOP | ordinal } else { ordinal };
            return Ok(RequestId { session, turn: 0 });
        };
        let session = if self.sessions_first { session } else { TOP | session };
        let before = self.turns.get(&session).copied();
        let turn = match (self.line.turn, before) {
            (Some(turn), Some(before)) if turn <= before => {
                let wanted = format!("more than {before}, this session's turn before");
                return Err(Fault::field("turn", turn.to_string(), wanted));
            }
            (Some(turn), _) => turn,
            (None, None) => 0,
            (None, Some(before)) => before.checked_add(1).ok_or_else(|| {
                Fault::field("turn", "nothing", format!("a turn before {before} to count on from"))
            })?,
        };
        self.turns.insert(session, turn);
        Ok(RequestId { session, turn })
    }

    fn request(&mut self, id: RequestId) -> Result<Request, Box<Fault>> {
        let line = &mut self.line;
        let chain = |name: &str, ids: &[u64], tokens: u64| {
            BlockChain::from_raw_ids(ids.iter().copied(), Tokens(tokens), self.block_tokens)
                .map_err(|error| Fault::field(name, error.to_string(), "ids that fit the length"))
        };
        let (input, output) = (u64::from(line.input_tokens), u64::from(line.output_tokens));
        let prompt = chain("hash_ids", &line.hash_ids, input)?;
        let sequence = match line.has_output_ids {
            true => Some(chain("output_hash_ids", &line.output_hash_ids, input + output)?),
            false => None,
        };
        self.notes.without_max_tokens += u64::from(line.max_tokens.is_none());
        self.notes.without_output_ids += u64::from(sequence.is_none());
        self.notes.unused_fields += u64::from(line.has_unused);
        self.notes.unknown(&mut line.unknown);
        let origin = self.origins.intern(line)?;
        Ok(Request {
            id,
            user: line.user,
            has_session: line.session.is_some(),
            prompt,
            output_tokens: Tokens(output),
            max_tokens: Tokens(line.max_tokens.map_or(output, u64::from)),
            sequence,
            origin,
        })
    }

    fn warnings(&self) -> Vec<String> {
        let file = self.lines.file().display();
        let (notes, of) = (&self.notes, format!("of {} requests", self.used));
        let mut warnings = Vec::new();
        if self.headless {
            let block_tokens = self.block_tokens;
            let kind =
                if block_tokens == ART_CHAT_BLOCK_TOKENS { "an ART-Chat" } else { "a Mooncake" };
            warnings.push(format!(
                "{file}: no first line {{\"gorgo_trace\":1,...}}: read as {kind} trace, \
                 {block_tokens}-token blocks"
            ));
        }
        if notes.without_max_tokens > 0 {
            let n = notes.without_max_tokens;
            warnings.push(format!("{file}: no max_tokens in {n} {of}: output_length taken"));
        }
        if notes.without_output_ids > 0 {
            let n = notes.without_output_ids;
            warnings.push(format!(
                "{file}: no output_hash_ids in {n} {of}: later turns cannot hit these outputs \
                 (`trace info` says how much reuse that may hide)"
            ));
        }
        if notes.unused_fields > 0 {
            let n = notes.unused_fields;
            warnings.push(format!("{file}: slo_class in {n} {of} is not used"));
        }
        for name in &notes.unknown {
            warnings.push(format!("{file}: field `{name}` is not known and was passed over"));
        }
        if notes.more_unknown {
            warnings.push(format!("{file}: more than {} unknown fields", Notes::MOST_UNKNOWN));
        }
        warnings
    }
}

impl Notes {
    const MOST_UNKNOWN: usize = 16;

    fn unknown(&mut self, names: &mut Vec<String>) {
        for name in names.drain(..) {
            if self.unknown.contains(&name) {
                continue;
            }
            if self.unknown.len() < Self::MOST_UNKNOWN {
                self.unknown.push(name);
            } else {
                self.more_unknown = true;
            }
        }
    }
}

/// The fault as an error of the line that was read last.
pub(crate) fn fault_at(lines: &Lines, fault: Fault) -> WorkloadError {
    let place = Place::new(lines.file(), lines.number());
    match fault {
        Fault::Syntax { column, got, wanted } => {
            WorkloadError::Syntax { place, column, got, wanted }
        }
        Fault::Field { field, got, wanted } => WorkloadError::Field { place, field, got, wanted },
    }
}

/// The block size of a file without a first line that states it: ART-Chat's where the ids of the first prompt that
/// tells the two sizes apart fit that one, else Mooncake's.
fn headless_block_tokens(peeked: &Peeked) -> u32 {
    #[derive(serde::Deserialize)]
    struct Shape {
        input_length: u64,
        hash_ids: Vec<serde::de::IgnoredAny>,
    }
    let mut lines: Vec<&[u8]> = peeked.first().split(|&byte| byte == b'\n').collect();
    if !peeked.is_whole() {
        lines.pop();
    }
    for line in lines {
        let Ok(Shape { input_length, hash_ids }) = serde_json::from_slice(line) else { continue };
        let fits = |block: u32| input_length.div_ceil(u64::from(block)) == hash_ids.len() as u64;
        match (fits(MOONCAKE_BLOCK_TOKENS), fits(ART_CHAT_BLOCK_TOKENS)) {
            (false, true) => return ART_CHAT_BLOCK_TOKENS,
            (true, false) => return MOONCAKE_BLOCK_TOKENS,
            _ => {}
        }
    }
    MOONCAKE_BLOCK_TOKENS
}

/// Where a window has nothing, in words.
pub(crate) fn nothing_in(window: (Nanos, Nanos), given: bool) -> String {
    if !given {
        return "in the file".to_owned();
    }
    let to = if window.1 == Nanos::MAX { String::new() } else { window.1.to_string() };
    format!("in the window {}..{to}", window.0)
}

/// The window between two edges, either of which may be left out.
pub(crate) fn window(
    from_s: Option<f64>,
    to_s: Option<f64>,
) -> Result<(Nanos, Nanos), WorkloadError> {
    let from = window_edge("window from", from_s, Nanos::ZERO)?;
    let to = window_edge("window to", to_s, Nanos::MAX)?;
    if from < to {
        return Ok((from, to));
    }
    Err(WorkloadError::Parameter {
        field: "window",
        got: format!("{from}..{to}"),
        wanted: "a beginning before the end".to_owned(),
    })
}

fn window_edge(
    field: &'static str,
    edge_s: Option<f64>,
    without: Nanos,
) -> Result<Nanos, WorkloadError> {
    let Some(edge_s) = edge_s else { return Ok(without) };
    Nanos::from_s(edge_s).map_err(|error| WorkloadError::Parameter {
        field,
        got: error.value.to_string(),
        wanted: format!("seconds of the trace, {}", error.wanted),
    })
}

/// A time since time zero, sped up; the result rises with the time.
pub(crate) fn scaled(since_zero: Nanos, speedup: f64) -> Nanos {
    if speedup == 1.0 {
        return since_zero;
    }
    Nanos::from_ms(since_zero.as_ms() / speedup).unwrap_or(Nanos::MAX)
}
