//! The pair of files that GORGO's authors make of WildChat: prompts (JSON Lines for GuideLLM) and a look-up from a
//! prompt's hash to a place (JSON).
//!
//! A line has `prompt`, perhaps `hash`, and perhaps the length of the answer. A prompt is a text, or, in the form with
//! several turns, the messages so far as JSON in a string. The key of the look-up is the first 16 characters of the
//! MD5 of `text[:100]:len(text)`, or of `last[:100]:messages:len(last)` with the last message's text, lengths in
//! characters. What has no entry comes from the unknown place, as in GORGO's geographic proxy.
//!
//! Prompts have no times and no sessions: each is a lone request at time zero, in the order of the file.

use crate::error::ImportError;
use crate::md5::md5_hex;
use crate::tally::{Event, Imported};
use crate::writer::{BLOCK_TOKENS, ImportOptions, Importer, Progress, refused, untokenized};
use gorgo_text::{Role, TextChain};
use gorgo_types::{LatLon, Origin, OriginId, Request, RequestId, Tokens as Count};
use gorgo_workload::{Lines, Place, WorkloadError};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Tokens of an answer whose length the line does not give: what GORGO's own replays cut answers to.
const ASSUMED_OUTPUT_TOKENS: u32 = 128;
/// The names under which GuideLLM's data sets give the length of an answer; the first one present counts.
const OUTPUT_FIELDS: [&str; 3] = ["output_tokens_count", "output_tokens", "max_tokens"];
/// Characters of a hash that are its key.
const KEY_CHARS: usize = 16;
/// Characters of a text that its key is made of.
const HASHED_CHARS: usize = 100;

/// The two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GorgoPair {
    /// Prompts, JSON Lines; plain, gzip or zstd.
    pub prompts: PathBuf,
    /// Places by hash, JSON.
    pub locations: PathBuf,
}

/// An entry of the look-up.
#[derive(Clone, Debug, Deserialize)]
struct Entry {
    lat: f64,
    lon: f64,
    #[serde(default)]
    country: Option<String>,
    #[serde(default)]
    state: Option<String>,
}

/// A message inside a prompt of several turns.
#[derive(Deserialize)]
struct Said {
    role: String,
    content: String,
}

/// Imports the pair into a trace at `out`.
///
/// # Errors
/// Where a file or an option cannot be used, there is no prompt, or the trace cannot be written.
pub fn import_gorgo(
    pair: &GorgoPair,
    out: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, ImportError> {
    let mut importer = Importer::new(options, out)?;
    let places = read_lookup(&pair.locations)?;
    let mut lines = Lines::open(&pair.prompts)?;
    let mut origins: BTreeMap<Option<String>, OriginId> = BTreeMap::new();
    while !importer.is_full() && lines.advance()? {
        let place = Place::new(lines.file(), lines.number());
        let prompt = Prompt::read(lines.current(), &place)?;
        let key = match prompt.keys.iter().find(|key| places.contains_key(*key)) {
            Some(key) => Some(key.clone()),
            None => {
                importer.note(Event::HashMissing, 1, &place)?;
                None
            }
        };
        if prompt.keys.len() > 1 {
            importer.note(Event::HashDiffers, 1, &place)?;
        }
        let origin = match origins.get(&key) {
            Some(&origin) => origin,
            None => {
                let entry = key.as_ref().and_then(|key| places.get(key));
                let origin = origin(&importer, entry);
                let id = importer.add_origin(origin);
                origins.insert(key, id);
                id
            }
        };
        take(&mut importer, &prompt, origin, &place)?;
        let so_far = importer.so_far();
        if so_far.conversations.is_multiple_of(1_024) {
            let (done, text_bytes) = (so_far.conversations, so_far.text_bytes);
            progress(Progress::Reading { done, of: None, text_bytes });
        }
    }
    importer.finish(&[&pair.prompts], progress)
}

/// Where a prompt with this entry comes from.
fn origin(importer: &Importer<'_>, entry: Option<&Entry>) -> Origin {
    let unknown_at = importer.options.unknown_at;
    let at = entry.map_or(unknown_at, |entry| LatLon { lat: entry.lat, lon: entry.lon });
    let named = |name: Option<&String>| name.filter(|name| !name.trim().is_empty()).cloned();
    Origin {
        country: named(entry.and_then(|entry| entry.country.as_ref())),
        state: named(entry.and_then(|entry| entry.state.as_ref())),
        position: Some(at),
        region: importer.region(Some(at)),
        residency: None,
    }
}

fn take(
    importer: &mut Importer<'_>,
    prompt: &Prompt,
    origin: OriginId,
    place: &Place,
) -> Result<(), ImportError> {
    let options = importer.options;
    let number = importer.imported.conversations;
    importer.imported.conversations += 1;
    let refuse = |error| refused(place, "prompt", &error);
    let mut chain =
        TextChain::new(&options.tokens, options.template_tokens, BLOCK_TOKENS).map_err(refuse)?;
    for (role, text) in &prompt.messages {
        chain.begin(*role);
        chain.text(text).map_err(|source| untokenized(place, source))?;
        importer.imported.text_bytes += text.len() as u64;
    }
    chain.begin(Role::Assistant);
    if chain.count() == 0 {
        return importer.note(Event::EmptyPrompt, 1, place);
    }
    let output = match prompt.output {
        Some(tokens) => tokens,
        None => {
            importer.note(Event::LengthAssumed, 1, place)?;
            ASSUMED_OUTPUT_TOKENS
        }
    };
    let output = Count(u64::from(output));
    let request = Request {
        id: RequestId { session: number, turn: 0 },
        user: None,
        has_session: false,
        prompt: chain.snapshot().map_err(refuse)?,
        output_tokens: output,
        max_tokens: output,
        sequence: None,
        origin,
    };
    importer.push(0, &request)
}

/// A line of the file of prompts.
struct Prompt {
    messages: Messages,
    output: Option<u32>,
    /// Keys to look up: that of the text, then that of the line where it is another.
    keys: Vec<String>,
}

impl Prompt {
    fn read(line: &[u8], place: &Place) -> Result<Self, ImportError> {
        let fields: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
            let got = String::from_utf8_lossy(line).chars().take(40).collect::<String>();
            WorkloadError::Syntax {
                place: place.clone(),
                column: error.column().max(1),
                got: format!("`{}`", got.escape_debug()),
                wanted: "a JSON object with a `prompt`".to_owned(),
            }
        })?;
        let refuse = |field: &str, got: Option<&Value>, wanted: &str| {
            let got = got.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let (field, wanted) = (field.to_owned(), wanted.to_owned());
            let got = got.chars().take(60).collect();
            WorkloadError::Field { place: place.clone(), field, got, wanted }
        };
        let Some(Value::String(text)) = fields.get("prompt") else {
            let wanted = "a text, or messages as JSON in a string";
            return Err(refuse("prompt", fields.get("prompt"), wanted).into());
        };
        let (messages, key) = messages(text).map_err(|(got, wanted)| {
            let (place, field) = (place.clone(), "prompt".to_owned());
            WorkloadError::Field { place, field, got, wanted: wanted.to_owned() }
        })?;
        let mut keys = vec![key];
        match fields.get("hash") {
            None | Some(Value::Null) => {}
            Some(Value::String(hash)) if *hash == keys[0] => {}
            Some(Value::String(hash)) => keys.push(hash.clone()),
            other => return Err(refuse("hash", other, "a string").into()),
        }
        let given = OUTPUT_FIELDS.iter().find_map(|&name| Some((name, fields.get(name)?)));
        let output = match given.filter(|(_, value)| !value.is_null()) {
            None => None,
            Some((name, value)) => {
                let tokens = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0);
                let wanted = "a whole number of tokens from 1 to 4294967295";
                Some(tokens.ok_or_else(|| refuse(name, Some(value), wanted))?)
            }
        };
        Ok(Self { messages, output, keys })
    }
}

/// Who says what.
type Messages = Vec<(Role, String)>;

/// The messages of a prompt and its key. A text that is a JSON list of messages is those, any other is one message.
fn messages(text: &str) -> Result<(Messages, String), (String, &'static str)> {
    let said: Vec<Said> = match serde_json::from_str::<Vec<Said>>(text) {
        Ok(said) if !said.is_empty() => said,
        _ => return Ok((vec![(Role::User, text.to_owned())], key(text, None))),
    };
    let count = said.len();
    let mut messages = Vec::with_capacity(count);
    for Said { role, content } in said {
        let wanted = "messages of `user`, `assistant` or `system`";
        let known = Role::of(&role).ok_or_else(|| (format!("a message of `{role}`"), wanted))?;
        messages.push((known, content));
    }
    match messages.last() {
        Some((Role::User, last)) => {
            let key = key(last, Some(count));
            Ok((messages, key))
        }
        _ => Err(("a last message that is not the user's".to_owned(), "one of `user`")),
    }
}

/// The look-up's key of a text, as the preprocessing made it.
fn key(text: &str, messages: Option<usize>) -> String {
    let first: String = text.chars().take(HASHED_CHARS).collect();
    let length = text.chars().count();
    let hashed = match messages {
        None => format!("{first}:{length}"),
        Some(messages) => format!("{first}:{messages}:{length}"),
    };
    let mut digest = md5_hex(hashed.as_bytes());
    digest.truncate(KEY_CHARS);
    digest
}

fn read_lookup(path: &Path) -> Result<BTreeMap<String, Entry>, ImportError> {
    let text = std::fs::read(path)
        .map_err(|source| ImportError::Open { file: path.to_owned(), source })?;
    let wrong = |field: String, got: String, wanted: &str| ImportError::Lookup {
        file: path.to_owned(),
        field,
        got,
        wanted: wanted.to_owned(),
    };
    let places: BTreeMap<String, Entry> = serde_json::from_slice(&text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        wrong(place, error.to_string(), "a JSON object of hash to {lat, lon, country, state}")
    })?;
    for (hash, entry) in &places {
        for (name, value, most) in [("lat", entry.lat, 90.0), ("lon", entry.lon, 180.0)] {
            if !(-most..=most).contains(&value) {
                let wanted = format!("degrees from -{most} to {most}");
                return Err(wrong(format!("`{hash}`, field `{name}`"), value.to_string(), &wanted));
            }
        }
    }
    Ok(places)
}
