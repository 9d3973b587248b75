//! One line of a trace: which fields there are, what each may hold. No file, no state between lines: `trace` has those.

use crate::json_cursor::{Cursor, Fault, shorten};
use gorgo_types::Nanos;
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64;

/// Tokens per block where a file does not say: that of the Mooncake FAST'25 traces.
pub(crate) const MOONCAKE_BLOCK_TOKENS: u32 = 512;
/// Tokens per block of the ART-Chat traces.
pub(crate) const ART_CHAT_BLOCK_TOKENS: u32 = 256;
/// The version of the format that this reader knows.
const VERSION: u64 = 1;

/// The fields of a trace line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Field {
    Timestamp,
    InputLength,
    OutputLength,
    MaxTokens,
    HashIds,
    OutputHashIds,
    SessionId,
    UserId,
    Turn,
    Country,
    State,
    Lat,
    Lon,
    Region,
    SloClass,
    Residency,
    Prompt,
    Messages,
}

/// All of them, in the order of messages.
const FIELDS: [(&str, Field); 18] = [
    ("timestamp", Field::Timestamp),
    ("input_length", Field::InputLength),
    ("output_length", Field::OutputLength),
    ("max_tokens", Field::MaxTokens),
    ("hash_ids", Field::HashIds),
    ("output_hash_ids", Field::OutputHashIds),
    ("session_id", Field::SessionId),
    ("user_id", Field::UserId),
    ("turn", Field::Turn),
    ("country", Field::Country),
    ("state", Field::State),
    ("lat", Field::Lat),
    ("lon", Field::Lon),
    ("region", Field::Region),
    ("slo_class", Field::SloClass),
    ("residency", Field::Residency),
    ("prompt", Field::Prompt),
    ("messages", Field::Messages),
];

const WANT_TIME: &str = "milliseconds from the start of the trace, zero or more (a JSON number)";
const WANT_TOKENS: &str = "a whole number of tokens from 1 to 4294967295";
const WANT_IDS: &str = "an array of whole numbers from 0 to 18446744073709551615";
const WANT_ID: &str = "a whole number from 0 to 18446744073709551615";
const WANT_NAME: &str = "a whole number from 0 to 18446744073709551615 or a string";
const WANT_TURN: &str = "a whole number from 0 to 4294967295";

/// The values of one line; its buffers serve line after line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) time: Nanos,
    pub(crate) input_tokens: u32,
    pub(crate) output_tokens: u32,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) hash_ids: Vec<u64>,
    pub(crate) output_hash_ids: Vec<u64>,
    /// Whether the line has `output_hash_ids`.
    pub(crate) has_output_ids: bool,
    pub(crate) session: Option<u64>,
    pub(crate) user: Option<u64>,
    pub(crate) turn: Option<u32>,
    pub(crate) country: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) residency: Option<String>,
    pub(crate) lat: Option<f64>,
    pub(crate) lon: Option<f64>,
    /// Names of fields that are no trace field, where those are allowed.
    pub(crate) unknown: Vec<String>,
    /// Whether `slo_class` was given.
    pub(crate) has_unused: bool,
    seen: u32,
}

/// What the first line of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) block_tokens: u32,
    /// How text was counted as tokens, in the words of whoever wrote the trace.
    pub(crate) tokens: Option<String>,
}

/// Reads a file's first line as a header; `None` where it is not meant as one.
pub(crate) fn parse_header(bytes: &[u8]) -> Result<Option<Header>, Box<Fault>> {
    const KEY: &[u8] = b"\"gorgo_trace\"";
    if !bytes.windows(KEY.len()).any(|window| window == KEY) {
        return Ok(None);
    }
    let (mut version, mut block_tokens, mut rule) = (None, None, None);
    each_field(bytes, |cursor, key| {
        let twice = match key {
            "gorgo_trace" => {
                let wanted = format!("the version of the format that is known, {VERSION}");
                let mut at = *cursor;
                let known = cursor.whole().filter(|&v| v == VERSION);
                version.replace(known.ok_or_else(|| at.refuse(key, wanted))?)
            }
            "block_size" => {
                let mut at = *cursor;
                let tokens = cursor.whole().filter(|n| (1..=1 << 20).contains(n));
                let wanted = "a whole number of tokens from 1 to 1048576";
                block_tokens.replace(tokens.ok_or_else(|| at.refuse(key, wanted))?)
            }
            "tokens" => rule.replace(name_of(cursor, key)?).map(|_| 0),
            _ => {
                let known = "a field of the first line: gorgo_trace, block_size or tokens";
                return Err(Fault::field(shorten(key), "an unknown field", known));
            }
        };
        match twice {
            None => Ok(()),
            Some(_) => Err(Fault::field(key, "the field twice", "each field once")),
        }
    })?;
    let missing = |name| Fault::field(name, "nothing", "this field in the file's first line");
    version.ok_or_else(|| missing("gorgo_trace"))?;
    let block_tokens = block_tokens.ok_or_else(|| missing("block_size"))?;
    let block_tokens = u32::try_from(block_tokens).unwrap_or(u32::MAX);
    Ok(Some(Header { block_tokens, tokens: rule }))
}

/// Walks over the fields of a flat object that fills the line.
fn each_field<'a>(
    bytes: &'a [u8],
    mut take: impl FnMut(&mut Cursor<'a>, &str) -> Result<(), Box<Fault>>,
) -> Result<(), Box<Fault>> {
    let mut cursor = Cursor::new(bytes);
    if !cursor.eat(b'{') {
        return Err(cursor.syntax("a JSON object: `{`"));
    }
    if !cursor.eat(b'}') {
        loop {
            let key = cursor.key()?;
            take(&mut cursor, &key)?;
            if cursor.eat(b'}') {
                break;
            }
            if !cursor.eat(b',') {
                return Err(cursor.syntax(format!("`,` or `}}` after field `{}`", shorten(&key))));
            }
        }
    }
    cursor.end()
}

impl Line {
    /// Reads a line. `block_tokens` says how many ids there must be; unknown fields are kept in `unknown` where
    /// `lenient`, and refused otherwise.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        block_tokens: u32,
        lenient: bool,
    ) -> Result<(), Box<Fault>> {
        self.clear();
        each_field(bytes, |cursor, key| {
            let Some(&(name, field)) = FIELDS.iter().find(|(name, _)| *name == key) else {
                return self.unknown_field(cursor, key, lenient);
            };
            let bit = 1 << field as u32;
            if self.seen & bit != 0 {
                return Err(Fault::field(name, "the field twice", "each field once"));
            }
            self.seen |= bit;
            self.value(cursor, field, name)
        })?;
        self.check(block_tokens)
    }

    fn clear(&mut self) {
        let hash_ids = std::mem::take(&mut self.hash_ids);
        let output_hash_ids = std::mem::take(&mut self.output_hash_ids);
        *self = Self { hash_ids, output_hash_ids, ..Self::default() };
        self.hash_ids.clear();
        self.output_hash_ids.clear();
    }

    fn unknown_field(
        &mut self,
        cursor: &mut Cursor<'_>,
        key: &str,
        lenient: bool,
    ) -> Result<(), Box<Fault>> {
        if lenient {
            self.unknown.push(shorten(key));
            return cursor.skip(key);
        }
        let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        let wanted = format!("one of {}", known.join(", "));
        Err(Fault::field(shorten(key), "an unknown field", wanted))
    }

    fn value(
        &mut self,
        cursor: &mut Cursor<'_>,
        field: Field,
        name: &str,
    ) -> Result<(), Box<Fault>> {
        let required = matches!(
            field,
            Field::Timestamp | Field::InputLength | Field::OutputLength | Field::HashIds
        );
        if !required && cursor.eat_null() {
            return Ok(());
        }
        match field {
            Field::Timestamp => self.time = time(cursor, name)?,
            Field::InputLength => self.input_tokens = tokens(cursor, name)?,
            Field::OutputLength => self.output_tokens = tokens(cursor, name)?,
            Field::MaxTokens => self.max_tokens = Some(tokens(cursor, name)?),
            Field::HashIds => ids(cursor, name, &mut self.hash_ids)?,
            Field::OutputHashIds => {
                ids(cursor, name, &mut self.output_hash_ids)?;
                self.has_output_ids = true;
            }
            Field::SessionId => self.session = Some(identity(cursor, name)?),
            Field::UserId => self.user = Some(identity(cursor, name)?),
            Field::Turn => {
                let mut at = *cursor;
                let turn = cursor.whole().and_then(|turn| u32::try_from(turn).ok());
                self.turn = Some(turn.ok_or_else(|| at.refuse(name, WANT_TURN))?);
            }
            Field::Country => self.country = Some(name_of(cursor, name)?),
            Field::State => self.state = Some(name_of(cursor, name)?),
            Field::Region => self.region = Some(name_of(cursor, name)?),
            Field::Lat => self.lat = Some(degrees(cursor, name, 90.0)?),
            Field::Lon => self.lon = Some(degrees(cursor, name, 180.0)?),
            Field::Residency => self.residency = Some(zone_of(cursor, name)?),
            Field::SloClass => {
                cursor.string(name, "a string")?;
                self.has_unused = true;
            }
            Field::Prompt => drop(cursor.string(name, "a string")?),
            Field::Messages => match cursor.peek() {
                Some(b'[') => cursor.skip(name)?,
                _ => return Err(cursor.refuse(name, "an array of messages")),
            },
        }
        Ok(())
    }

    /// What fields must be there, and how they must fit together.
    fn check(&self, block_tokens: u32) -> Result<(), Box<Fault>> {
        let required = [Field::Timestamp, Field::InputLength, Field::OutputLength, Field::HashIds];
        for (name, field) in FIELDS {
            if required.contains(&field) && self.seen & (1 << field as u32) == 0 {
                return Err(Fault::field(name, "nothing", "this field in every line"));
            }
        }
        let (input, output) = (u64::from(self.input_tokens), u64::from(self.output_tokens));
        if input + output > u64::from(u32::MAX) {
            let wanted = format!("input_length ({input}) + output_length at most {}", u32::MAX);
            return Err(Fault::field("output_length", output.to_string(), wanted));
        }
        if let Some(max) = self.max_tokens.filter(|&max| max < self.output_tokens) {
            let wanted = format!("at least output_length ({output})");
            return Err(Fault::field("max_tokens", max.to_string(), wanted));
        }
        count("hash_ids", &self.hash_ids, "input_length", input, block_tokens)?;
        if self.has_output_ids {
            let (name, lengths) = ("output_hash_ids", "input_length + output_length");
            count(name, &self.output_hash_ids, lengths, input + output, block_tokens)?;
            let whole = (self.input_tokens / block_tokens) as usize;
            let pairs = self.hash_ids.iter().zip(&self.output_hash_ids).take(whole);
            if let Some((i, (want, got))) = pairs.enumerate().find(|(_, (a, b))| a != b) {
                let wanted =
                    format!("{want}, as in hash_ids: the prompt's whole blocks come first");
                return Err(Fault::field(format!("{name}[{i}]"), got.to_string(), wanted));
            }
        }
        if let (Some(turn), None) = (self.turn, self.session) {
            return Err(Fault::field("turn", turn.to_string(), "a session_id beside it"));
        }
        match (self.lat, self.lon) {
            (Some(lat), None) => Err(Fault::field("lat", lat.to_string(), "a lon beside it")),
            (None, Some(lon)) => Err(Fault::field("lon", lon.to_string(), "a lat beside it")),
            _ => Ok(()),
        }
    }
}

/// The number of ids must be that of the blocks.
fn count(
    name: &str,
    ids: &[u64],
    lengths: &str,
    tokens: u64,
    block_tokens: u32,
) -> Result<(), Box<Fault>> {
    let wanted = tokens.div_ceil(u64::from(block_tokens));
    if ids.len() as u64 == wanted {
        return Ok(());
    }
    let wanted =
        format!("{wanted} ids: {lengths} {tokens} / block size {block_tokens}, rounded up");
    Err(Fault::field(name, format!("{} ids", ids.len()), wanted))
}

/// The name of a zone. An empty one is refused: it would be a duty that nobody can tell from none.
fn zone_of(cursor: &mut Cursor<'_>, name: &str) -> Result<String, Box<Fault>> {
    let mut at = *cursor;
    let zone = name_of(cursor, name)?;
    if zone.trim().is_empty() {
        return Err(at.refuse(name, "the name of a zone"));
    }
    Ok(zone)
}

/// Milliseconds, to the nanosecond: exact where there are at most six decimals and no exponent.
fn time(cursor: &mut Cursor<'_>, name: &str) -> Result<Nanos, Box<Fault>> {
    let mut at = *cursor;
    let (value, spelled) = cursor.float(name, WANT_TIME)?;
    exact_ms(spelled).map_or_else(
        || {
            Nanos::from_ms(value)
                .map_err(|error| at.refuse(name, format!("{WANT_TIME}, {}", error.wanted)))
        },
        Ok,
    )
}

pub(crate) fn exact_ms(text: &str) -> Option<Nanos> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.len() > 12 || fraction.len() > 6 {
        return None;
    }
    let mut ns = 0u64;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        ns = ns * 10 + u64::from(byte - b'0');
    }
    Some(Nanos(ns * 10u64.pow(6 - u32::try_from(fraction.len()).ok()?)))
}

fn tokens(cursor: &mut Cursor<'_>, name: &str) -> Result<u32, Box<Fault>> {
    let mut at = *cursor;
    let tokens = cursor.whole().and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0);
    tokens.ok_or_else(|| at.refuse(name, WANT_TOKENS))
}

fn ids(cursor: &mut Cursor<'_>, name: &str, into: &mut Vec<u64>) -> Result<(), Box<Fault>> {
    if !cursor.eat(b'[') {
        return Err(cursor.refuse(name, WANT_IDS));
    }
    if cursor.eat(b']') {
        return Ok(());
    }
    loop {
        match cursor.whole() {
            Some(id) => into.push(id),
            None => return Err(cursor.refuse(&format!("{name}[{}]", into.len()), WANT_ID)),
        }
        if cursor.eat(b']') {
            return Ok(());
        }
        if !cursor.eat(b',') {
            return Err(cursor.syntax(format!("`,` or `]` in field `{name}`")));
        }
    }
}

/// A session or user: a whole number stands for itself (also as a string), another string for its hash.
fn identity(cursor: &mut Cursor<'_>, name: &str) -> Result<u64, Box<Fault>> {
    if cursor.peek() != Some(b'"') {
        let mut at = *cursor;
        return cursor.whole().ok_or_else(|| at.refuse(name, WANT_NAME));
    }
    let text: Cow<'_, str> = cursor.string(name, WANT_NAME)?;
    let number = text.parse::<u64>().ok().filter(|number| number.to_string() == *text);
    Ok(number.unwrap_or_else(|| xxh3_64(text.as_bytes())))
}

fn name_of(cursor: &mut Cursor<'_>, name: &str) -> Result<String, Box<Fault>> {
    let mut at = *cursor;
    let text = cursor.string(name, "a string that is not empty")?;
    if text.trim().is_empty() {
        return Err(at.refuse(name, "a string that is not empty"));
    }
    Ok(text.into_owned())
}

fn degrees(cursor: &mut Cursor<'_>, name: &str, most: f64) -> Result<f64, Box<Fault>> {
    let mut at = *cursor;
    let wanted = format!("degrees from -{most} to {most}");
    let (value, _) = cursor.float(name, &wanted)?;
    if value.abs() > most {
        return Err(at.refuse(name, wanted));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_times_agree_with_rounded_ones_where_floats_are_exact() {
        for text in ["0", "5", "1000.5", "1500.25", "0.000001", "7.125", "123456789.5"] {
            let rounded = Nanos::from_ms(text.parse().expect("a number")).expect("a time");
            assert_eq!(exact_ms(text), Some(rounded), "{text}");
        }
        assert_eq!(exact_ms("999999999999.999999"), Some(Nanos(999_999_999_999_999_999)));
        for text in ["1e3", "-1", "0.0000001", "1000000000000"] {
            assert_eq!(exact_ms(text), None, "{text}");
        }
    }

    #[test]
    fn a_header_is_known_by_its_field_wherever_it_stands() {
        let header = |text: &str| parse_header(text.as_bytes());
        let sixteen = Ok(Some(Header { block_tokens: 16, tokens: None }));
        assert_eq!(header(r#"{"gorgo_trace":1,"block_size":16}"#), sixteen);
        assert_eq!(header(r#" { "block_size" : 16 , "gorgo_trace" : 1 } "#), sixteen);
        let counted = header(r#"{"gorgo_trace":1,"block_size":16,"tokens":"4-characters"}"#);
        let rule = counted.unwrap().and_then(|header| header.tokens);
        assert_eq!(rule.as_deref(), Some("4-characters"));
        for bad in ["1", "\"\"", "null", "\"a\",\"tokens\":\"a\""] {
            let text = format!(r#"{{"gorgo_trace":1,"block_size":16,"tokens":{bad}}}"#);
            assert!(header(&text).is_err(), "{text}");
        }
        assert_eq!(header(r#"{"timestamp":0}"#), Ok(None));
        assert!(header(r#"{"gorgo_trace":1,"block_size":16,"block_size":16}"#).is_err());
    }

    #[test]
    fn names_hash_and_numbers_stand_for_themselves() {
        let id = |text: &str| identity(&mut Cursor::new(text.as_bytes()), "session_id");
        assert_eq!(id("12"), Ok(12));
        assert_eq!(id("\"12\""), Ok(12));
        assert_ne!(id("\"012\""), Ok(12));
        assert_eq!(id("\"a\""), Ok(xxh3_64(b"a")));
        assert!(id("-1").is_err() && id("1.0").is_err() && id("null").is_err());
    }
}
