//! A cursor over one line of JSON, made for flat objects of numbers: no tree, no allocation, every fault with its
//! column and what stood there. Values that nobody wants are checked and skipped by `serde_json`.

use serde::de::IgnoredAny;
use std::borrow::Cow;

/// Longest excerpt of the input in a message, in characters.
const EXCERPT: usize = 40;

/// What is wrong with a line; the caller knows the file and the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is no JSON of the wanted shape.
    Syntax { column: usize, got: String, wanted: String },
    /// A field's value.
    Field { field: String, got: String, wanted: String },
}

impl Fault {
    pub(crate) fn field(
        field: impl Into<String>,
        got: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self::Field { field: field.into(), got: got.into(), wanted: wanted.into() })
    }
}

/// A position in a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte that is no white space, without taking it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `byte` if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `null` if it is next.
    pub(crate) fn eat_null(&mut self) -> bool {
        self.peek();
        let found = self.bytes[self.at..].starts_with(b"null");
        self.at += if found { 4 } else { 0 };
        found
    }

    /// What stands at the cursor, as far as the next separator, shortened.
    pub(crate) fn excerpt(&mut self) -> String {
        let Some(first) = self.peek() else { return "the end of the line".to_owned() };
        let rest = &self.bytes[self.at..];
        let end = match first {
            b'"' => rest.iter().skip(1).position(|&b| b == b'"').map_or(rest.len(), |i| i + 2),
            b'[' | b'{' => rest.len(),
            _ => rest
                .iter()
                .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\t'))
                .map_or(rest.len(), |i| i.max(1)),
        };
        shorten(&String::from_utf8_lossy(&rest[..end.min(EXCERPT * 4 + 4)]))
    }

    /// A syntax fault at the cursor.
    pub(crate) fn syntax(&mut self, wanted: impl Into<String>) -> Box<Fault> {
        let got = self.excerpt();
        Box::new(Fault::Syntax { column: self.at + 1, got, wanted: wanted.into() })
    }

    /// A fault of the value at the cursor.
    pub(crate) fn refuse(&mut self, field: &str, wanted: impl Into<String>) -> Box<Fault> {
        if self.peek().is_none() {
            let wanted = format!("field `{field}`: {}", wanted.into());
            return self.syntax(wanted);
        }
        Fault::field(field, self.excerpt(), wanted)
    }

    /// Takes a key and its colon.
    pub(crate) fn key(&mut self) -> Result<Cow<'a, str>, Box<Fault>> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a field's name in quotes"));
        }
        let mut at = *self;
        let wanted = "a field's name, closed by a quote, in UTF-8 with JSON escapes";
        let key = self.string("", wanted).map_err(|_| at.syntax(wanted))?;
        if !self.eat(b':') {
            return Err(self.syntax(format!("`:` after `{}`", shorten(&key))));
        }
        Ok(key)
    }

    /// Takes a string.
    pub(crate) fn string(&mut self, field: &str, wanted: &str) -> Result<Cow<'a, str>, Box<Fault>> {
        if self.peek() != Some(b'"') {
            return Err(self.refuse(field, wanted));
        }
        let start = self.at + 1;
        let mut end = start;
        let mut escaped = false;
        loop {
            match self.bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    end += 2;
                }
                Some(0..0x20) | None => {
                    return Err(self.refuse(field, format!("{wanted}, closed by a quote")));
                }
                Some(_) => end += 1,
            }
        }
        let text = if escaped {
            serde_json::from_slice::<String>(&self.bytes[self.at..=end]).ok().map(Cow::Owned)
        } else {
            std::str::from_utf8(&self.bytes[start..end]).ok().map(Cow::Borrowed)
        };
        let Some(text) = text else {
            return Err(self.refuse(field, format!("{wanted}, in UTF-8 with JSON escapes")));
        };
        self.at = end + 1;
        Ok(text)
    }

    /// The number at the cursor as it is spelled, where it is spelled as JSON spells numbers; the cursor stays.
    fn number(&mut self) -> Option<&'a str> {
        self.peek();
        let rest = &self.bytes[self.at..];
        let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut end = usize::from(rest.first() == Some(&b'-'));
        let whole = digits(end);
        if whole == 0 || (whole > 1 && rest[end] == b'0') {
            return None;
        }
        end += whole;
        if rest.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            if fraction == 0 {
                return None;
            }
            end += 1 + fraction;
        }
        if let Some(b'e' | b'E') = rest.get(end) {
            let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent == 0 {
                return None;
            }
            end += 1 + sign + exponent;
        }
        if !ends_value(rest.get(end)) {
            return None;
        }
        std::str::from_utf8(&rest[..end]).ok()
    }

    /// Takes a number that may have a fraction; its spelling is returned too.
    pub(crate) fn float(
        &mut self,
        field: &str,
        wanted: &str,
    ) -> Result<(f64, &'a str), Box<Fault>> {
        let found = self.number().and_then(|text| Some((text.parse::<f64>().ok()?, text)));
        match found {
            Some((value, text)) if value.is_finite() => {
                self.at += text.len();
                Ok((value, text))
            }
            _ => Err(self.refuse(field, wanted)),
        }
    }

    /// Takes a whole number from 0 to 2^64 - 1, spelled without fraction or exponent. `None` leaves the cursor.
    pub(crate) fn whole(&mut self) -> Option<u64> {
        self.peek();
        let rest = &self.bytes[self.at..];
        let (mut value, mut count) = (0u64, 0);
        while let Some(digit) = rest.get(count).map(|b| b.wrapping_sub(b'0')).filter(|&d| d < 10) {
            // The first 19 digits fit; only longer numbers need the checks.
            value = if count < 19 {
                value * 10 + u64::from(digit)
            } else {
                value.checked_mul(10)?.checked_add(u64::from(digit))?
            };
            count += 1;
        }
        if count == 0 || (count > 1 && rest[0] == b'0') || !ends_value(rest.get(count)) {
            return None;
        }
        self.at += count;
        Some(value)
    }

    /// Checks and skips a value of any kind.
    pub(crate) fn skip(&mut self, field: &str) -> Result<(), Box<Fault>> {
        self.peek();
        let mut values =
            serde_json::Deserializer::from_slice(&self.bytes[self.at..]).into_iter::<IgnoredAny>();
        if let Some(Ok(IgnoredAny)) = values.next() {
            self.at += values.byte_offset();
            return Ok(());
        }
        Err(self.refuse(field, "a JSON value"))
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Box<Fault>> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end of the line after `}`")),
        }
    }
}

/// True where a number may end before this byte.
const fn ends_value(next: Option<&u8>) -> bool {
    matches!(next, None | Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'))
}

/// The text with at most [`EXCERPT`] characters, its quotes kept.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
