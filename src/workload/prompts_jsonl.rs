//! Prompts as text, one JSON object a line, as GuideLLM's data sets have them: `prompt`, and perhaps how many tokens to
//! answer with.
//!
//! Prompts become blocks of 16 tokens of four characters each, an estimate that needs no tokenizer; a block's content
//! is the hash of its characters' UTF-8 bytes (xxh3-64), so that prompts which begin alike share blocks. Such a file
//! has no times: every request is due at once, unless a load sends them at other times. No window, therefore.

use crate::error::{Place, WorkloadError, in_range};
use crate::input::{Lines, Peeked};
use crate::json_cursor::{Fault, shorten};
use crate::trace::{TraceOptions, fault_at};
use crate::{Due, Source};
use gorgo_types::{BlockChain, Nanos, Origin, OriginId, Request, RequestId, Tokens};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Tokens per block.
const BLOCK_TOKENS: u32 = 16;
/// Characters taken for a token.
const TOKEN_CHARS: usize = 4;
/// Tokens of an answer whose length the line does not give: what GORGO's own replays cut answers to.
const ASSUMED_OUTPUT_TOKENS: u32 = 128;
/// The names under which GuideLLM's data sets give the length of an answer; the first one that is there and not null
/// counts.
const OUTPUT_FIELDS: [&str; 3] = ["output_tokens_count", "output_tokens", "max_tokens"];

/// The requests of a file of prompts.
pub struct PromptsJsonl {
    lines: Lines,
    limit: u64,
    ordinal: u64,
    ended: bool,
    without_output: u64,
    ahead: Option<Request>,
    origins: [Origin; 1],
}

impl PromptsJsonl {
    /// Opens `path`.
    ///
    /// # Errors
    /// When it cannot be opened, or the options have a window.
    pub fn open(path: &Path, options: TraceOptions) -> Result<Self, WorkloadError> {
        Self::from_peeked(path, Peeked::open(path)?, options)
    }

    pub(crate) fn from_peeked(
        path: &Path,
        peeked: Peeked,
        options: TraceOptions,
    ) -> Result<Self, WorkloadError> {
        in_range("speedup", options.speedup, 1e-6, 1e6, "recorded time / simulated time")?;
        if let Some(edge_s) = options.window_from_s.or(options.window_to_s) {
            return Err(WorkloadError::Parameter {
                field: "window",
                got: format!("{edge_s} s"),
                wanted: "none: a file of prompts has no times".to_owned(),
            });
        }
        Ok(Self {
            lines: Lines::new(path, Box::new(peeked)),
            limit: options.limit.unwrap_or(u64::MAX),
            ordinal: 0,
            ended: false,
            without_output: 0,
            ahead: None,
            origins: [Origin::default()],
        })
    }

    fn read(&mut self) -> Result<Option<Request>, WorkloadError> {
        if self.ended || self.ordinal >= self.limit || !self.lines.advance()? {
            self.ended = true;
            if self.ordinal > 0 || self.limit == 0 {
                return Ok(None);
            }
            let (file, what) = (self.lines.file().to_owned(), "in the file".to_owned());
            return Err(WorkloadError::NoRequests { file, what });
        }
        let Fields { fields, twice } =
            serde_json::from_slice(self.lines.current()).map_err(|error| {
                let got = at_fault(self.lines.current(), &error);
                WorkloadError::Syntax {
                    place: Place::new(self.lines.file(), self.lines.number()),
                    column: error.column().max(1),
                    got,
                    wanted: "a JSON object with a `prompt`".to_owned(),
                }
            })?;
        if let Some(name) = twice {
            let fault = Fault::field(shorten(&name), "the field twice", "each field once");
            return Err(fault_at(&self.lines, *fault));
        }
        self.request(&fields).map(Some).map_err(|fault| fault_at(&self.lines, *fault))
    }

    fn request(&mut self, fields: &Map<String, Value>) -> Result<Request, Box<Fault>> {
        const WANT_PROMPT: &str = "a string that is not empty";
        let text = match fields.get("prompt") {
            Some(Value::String(text)) if !text.is_empty() => text,
            Some(other) => {
                return Err(Fault::field("prompt", shorten(&other.to_string()), WANT_PROMPT));
            }
            None => return Err(Fault::field("prompt", "nothing", WANT_PROMPT)),
        };
        let given = |name: &&'static str| {
            fields.get(*name).filter(|value| !value.is_null()).map(|value| (*name, value))
        };
        let output = match OUTPUT_FIELDS.iter().find_map(given) {
            None => {
                self.without_output += 1;
                ASSUMED_OUTPUT_TOKENS
            }
            Some((name, value)) => {
                let tokens = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0);
                tokens.ok_or_else(|| {
                    let wanted = "a whole number of tokens from 1 to 4294967295";
                    Fault::field(name, shorten(&value.to_string()), wanted)
                })?
            }
        };
        let prompt = chain(text)
            .map_err(|error| Fault::field("prompt", error.to_string(), "a shorter text"))?;
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let output_tokens = Tokens(u64::from(output));
        Ok(Request {
            id: RequestId { session: ordinal, turn: 0 },
            user: None,
            has_session: false,
            prompt,
            output_tokens,
            max_tokens: output_tokens,
            sequence: None,
            origin: OriginId(0),
        })
    }
}

/// What stands where a line stops being JSON: the value at that column, or all of a line that ends too early.
fn at_fault(line: &[u8], error: &serde_json::Error) -> String {
    let before = &line[..error.column().saturating_sub(1).min(line.len())];
    let starts = before.iter().rposition(|byte| matches!(byte, b':' | b',' | b'{' | b'['));
    let start = if error.is_eof() { 0 } else { starts.map_or(0, |at| at + 1) };
    format!("`{}`", shorten(&String::from_utf8_lossy(&line[start..])))
}

/// The fields of a line, and one that it has twice.
struct Fields {
    fields: Map<String, Value>,
    twice: Option<String>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let (mut fields, mut twice) = (Map::new(), None);
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.insert(name.clone(), value).is_some() {
                twice.get_or_insert(name);
            }
        }
        Ok(Fields { fields, twice })
    }
}

/// The blocks of a text.
fn chain(text: &str) -> Result<BlockChain, gorgo_types::ChainError> {
    let block_chars = BLOCK_TOKENS as usize * TOKEN_CHARS;
    let (mut contents, mut rest, mut chars) = (Vec::new(), text, 0);
    while !rest.is_empty() {
        let end = rest.char_indices().nth(block_chars).map_or(rest.len(), |(end, _)| end);
        let (block, after) = rest.split_at(end);
        chars += if after.is_empty() { block.chars().count() } else { block_chars };
        contents.push(xxh3_64(block.as_bytes()));
        rest = after;
    }
    BlockChain::from_raw_ids(contents, Tokens(chars.div_ceil(TOKEN_CHARS) as u64), BLOCK_TOKENS)
}

impl Source for PromptsJsonl {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref().map_or(Due::End, |_| Due::At(Nanos::ZERO)))
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        self.next_due()?;
        let request = self.ahead.take().ok_or(WorkloadError::NothingDue)?;
        Ok((Nanos::ZERO, request))
    }

    fn origins(&self) -> &[Origin] {
        &self.origins
    }

    fn warnings(&self) -> Vec<String> {
        let (file, of) = (self.lines.file().display(), format!("of {} prompts", self.ordinal));
        let mut warnings = vec![
            format!("{file}: prompts as text: a token is taken to be {TOKEN_CHARS} characters"),
            format!("{file}: no times: all requests are due at once, unless [load] says otherwise"),
        ];
        if self.without_output > 0 {
            let n = self.without_output;
            warnings.push(format!(
                "{file}: no {} in {n} {of}: {ASSUMED_OUTPUT_TOKENS} taken",
                OUTPUT_FIELDS[0]
            ));
        }
        warnings
    }

    fn block_tokens(&self) -> u32 {
        BLOCK_TOKENS
    }

    fn token_rule(&self) -> Option<&str> {
        Some("4-characters")
    }
}
