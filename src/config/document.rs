//! From text to types, and from an error back to its place in the text.
//!
//! The file and the assignments that overlay it stand one after another in one string, so that a single offset says
//! both which text an error is in and where. Read `set.rs` for the assignments, `message.rs` for the wording.

use crate::diagnostic::{Diagnostic, Place};
use crate::located::Located;
use crate::reader::{ReadError, Reader};
use crate::{message, set};
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A TOML text by name, with the assignments that overlay it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    file_end: usize,
    sets: Vec<Range<usize>>,
}

/// The tables of a [`Source`], parsed and overlaid, not yet typed.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    source: &'a Source,
    root: Spanned<DeTable<'a>>,
}

impl Source {
    /// A source from the text of a file; `name` is what errors call it.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { name: name.into(), file_end: text.len(), text, sets: Vec::new() }
    }

    /// Lays an assignment `path=value` over it; later ones win. The value is TOML; a bare word that is not is taken
    /// as a string, so that a shell needs no second pair of quotes.
    pub fn set(&mut self, assignment: &str) {
        self.text.push('\n');
        let start = self.text.len();
        self.text.push_str(assignment);
        self.sets.push(start..self.text.len());
    }

    /// What errors call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of the file, without assignments.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text[..self.file_end]
    }

    /// Parses the file and overlays the assignments.
    ///
    /// # Errors
    /// Where the text is not TOML, or an assignment leads nowhere.
    pub fn document(&self) -> Result<Document<'_>, Diagnostic> {
        let root = DeTable::parse(self.text())
            .map_err(|error| self.error(error.span().unwrap_or(0..0), "", not_toml(&error)))?;
        let mut document = Document { source: self, root };
        for range in &self.sets {
            document.overlay(range.clone())?;
        }
        Ok(document)
    }

    /// An error at `span`; `key` is the dotted key, empty for none.
    #[must_use]
    pub fn error(
        &self,
        span: Range<usize>,
        key: impl Into<String>,
        problem: impl Into<String>,
    ) -> Diagnostic {
        let (key, problem) = (key.into(), problem.into());
        match self.sets.iter().find(|set| set.contains(&span.start) || set.end == span.start) {
            Some(set) => {
                let text = &self.text[set.clone()];
                let place =
                    Place::of(text, span.start - set.start, span.end.max(set.start) - set.start);
                Diagnostic::at("--set".to_owned(), place, key, problem)
            }
            None => {
                let place = Place::of(self.text(), span.start, span.end);
                Diagnostic::at(self.name.clone(), place, key, problem)
            }
        }
    }
}

fn not_toml(error: &toml::de::Error) -> String {
    format!("not TOML: {}", error.message())
}

impl<'a> Document<'a> {
    fn overlay(&mut self, range: Range<usize>) -> Result<(), Diagnostic> {
        let source = self.source;
        let text = &source.text[range.clone()];
        let Some(equals) = text.find('=') else {
            let problem =
                format!("got {text:?}, wanted an assignment such as router.probe_interval=\"5s\"");
            return Err(source.error(range, "", problem));
        };
        let path = set::split_path(&text[..equals], range.start)
            .map_err(|(span, problem)| source.error(span, "", problem))?;
        let key = text[..equals].trim();
        let start = range.start + equals + 1;
        let value = parse_value(&source.text[start..range.end]).map_err(|(span, problem)| {
            source.error(span.start + start..span.end + start, key, problem)
        })?;
        set::assign(self.root.get_mut(), &path, set::shift(value, start))
            .map_err(|(span, problem)| source.error(span, key, problem))
    }

    /// Reads the document into a type.
    ///
    /// # Errors
    /// Unknown, missing and duplicate keys, and values that the type refuses, each with its place.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        T::deserialize(Reader::table(&self.root)).map_err(|error| self.explain(&error))
    }

    /// What errors call its source.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The value at a path of keys and array indices, to be read with a [`Reader`] by someone who knows its type;
    /// [`Document::explain`] makes a diagnostic of his error.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Spanned<DeValue<'a>>> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.root.get_ref().get(*first)?, |value, step| {
            match value.get_ref() {
                DeValue::Table(table) => table.get(*step),
                DeValue::Array(items) => items.get(step.parse::<usize>().ok()?),
                _ => None,
            }
        })
    }

    /// An error of a value that was read from this document, or made by the program.
    #[must_use]
    pub fn blame<T>(&self, value: &Located<T>, problem: impl Into<String>) -> Diagnostic {
        match value.span() {
            Some(span) => self.error(span, problem),
            None => Diagnostic::whole_file(&self.source.name, problem),
        }
    }

    /// An error at `span`, with the key that stands there.
    #[must_use]
    pub fn error(&self, span: Range<usize>, problem: impl Into<String>) -> Diagnostic {
        let key = self.key_at(&span);
        self.source.error(span, key, problem)
    }

    /// A diagnostic from an error met while reading from this document.
    #[must_use]
    pub fn explain(&self, error: &ReadError) -> Diagnostic {
        let span = error.span.clone().unwrap_or(0..0);
        let message = message::read(&error.message);
        let diagnostic = self.error(span, message.problem);
        match message.unknown {
            Some((_, sort, known)) if known.is_empty() => diagnostic.help(format!("{sort}: none")),
            Some((given, sort, known)) => {
                diagnostic.known(sort, &given, known.iter().map(String::as_str))
            }
            None => diagnostic,
        }
    }

    /// The dotted key whose name or value is the smallest stretch that holds `span`.
    fn key_at(&self, span: &Range<usize>) -> String {
        // Where nothing stands, as at the start of a file that lacks a key, no key is to blame.
        if span.is_empty() {
            return String::new();
        }
        let mut best = (usize::MAX, String::new());
        search(self.root.get_ref(), "", span, &mut best);
        best.1
    }
}

fn consider(found: &Range<usize>, path: &str, span: &Range<usize>, best: &mut (usize, String)) {
    let holds = found.start <= span.start && span.end <= found.end;
    // At equal size the deeper one is meant: a table made by an assignment stands where its key does.
    if holds && found.len() <= best.0 {
        *best = (found.len(), path.to_owned());
    }
}

fn search(table: &DeTable<'_>, path: &str, span: &Range<usize>, best: &mut (usize, String)) {
    for (key, value) in table {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{}", key.get_ref());
        consider(&key.span(), &path, span, best);
        search_value(value, &path, span, best);
    }
}

fn search_value(
    value: &Spanned<DeValue<'_>>,
    path: &str,
    span: &Range<usize>,
    best: &mut (usize, String),
) {
    consider(&value.span(), path, span, best);
    match value.get_ref() {
        DeValue::Table(table) => search(table, path, span, best),
        DeValue::Array(items) => {
            let mut element = path.to_owned();
            for (index, item) in items.iter().enumerate() {
                element.truncate(path.len());
                let _ = write!(element, "[{index}]");
                search_value(item, &element, span, best);
            }
        }
        _ => {}
    }
}

/// A TOML value, or a bare word taken as a string.
fn parse_value(text: &str) -> Result<Spanned<DeValue<'_>>, (Range<usize>, String)> {
    let trimmed = text.trim();
    let indent = text.len() - text.trim_start().len();
    if trimmed.is_empty() {
        return Err((
            0..text.len(),
            "got nothing after the equals sign, wanted a value".to_owned(),
        ));
    }
    match DeValue::parse(trimmed) {
        Ok(value) => Ok(set::shift(value, indent)),
        Err(_) if is_word(trimmed) => {
            Ok(Spanned::new(indent..indent + trimmed.len(), DeValue::String(trimmed.into())))
        }
        Err(error) => {
            let span = error.span().unwrap_or(0..trimmed.len());
            Err((span.start + indent..span.end + indent, not_toml(&error)))
        }
    }
}

/// Words, paths, names and quantities such as `75ms`; nothing that looks like a failed attempt at TOML's syntax.
fn is_word(text: &str) -> bool {
    !text.contains(['"', '\'', '[', ']', '{', '}', '=', '\n', '\r', '#'])
}
