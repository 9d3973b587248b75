//! One error of an input file, ready to be shown. It says where, what was got and what was wanted; it does not know
//! what the file means. How it comes about: `document.rs`.

use std::fmt;

/// An error of an input file: where it is, what was got, what was wanted.
///
/// Displayed as
/// ```text
/// three.toml:4:10: fleet.replicas[0].region: got "azure:eastsu", wanted a known region
///   |
/// 4 | region = "azure:eastsu"
///   |          ^^^^^^^^^^^^^^
///   = did you mean `azure:eastus`?
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    file: String,
    place: Option<Place>,
    key: String,
    problem: String,
    help: Vec<String>,
}

/// A stretch of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// How many characters the carets cover, at least 1.
    pub(crate) width: usize,
    /// The line without its end.
    pub(crate) text: String,
}

impl Place {
    /// The place of the bytes `start..end` in `text`; offsets outside the text or inside a character are moved back.
    pub(crate) fn of(text: &str, start: usize, end: usize) -> Self {
        let mut start = start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[..start].matches('\n').count() + 1;
        let mut end = end.clamp(start, line_end);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            line,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end.max(start)].trim_end().chars().count().max(1),
            text: text[line_start..line_end].trim_end_matches('\r').to_owned(),
        }
    }
}

impl Diagnostic {
    /// An error of `file` as a whole: no line is to blame.
    #[must_use]
    pub fn whole_file(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            file: file.into(),
            place: None,
            key: String::new(),
            problem: problem.into(),
            help: Vec::new(),
        }))
    }

    pub(crate) fn at(file: String, place: Place, key: String, problem: String) -> Self {
        Self(Box::new(Parts { file, place: Some(place), key, problem, help: Vec::new() }))
    }

    /// Adds a line of help below.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.0.help.push(line.into());
        self
    }

    /// Adds what is known in place of `got`: the closest one as a question, then the list.
    #[must_use]
    pub fn known<'a>(
        self,
        what: &str,
        got: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        let list: Vec<&str> = known.clone().into_iter().collect();
        let found = match closest(got, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        };
        found.help(format!("{what}: {}", list.join(", ")))
    }

    /// The file's name, or `--set` for an assignment from the command line.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// The line, from 1, where one is to blame.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.0.place.as_ref().map(|place| place.line)
    }

    /// The column, from 1 and in characters, where one is to blame.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.0.place.as_ref().map(|place| place.column)
    }

    /// The dotted key, such as `fleet.replicas[0].region`; empty where no key is to blame.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// What was got and what was wanted, without the place.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.0.problem
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { file, place, key, problem, help } = &*self.0;
        write!(f, "{file}:")?;
        if let Some(place) = place {
            write!(f, "{}:{}:", place.line, place.column)?;
        }
        if !key.is_empty() {
            write!(f, " {key}:")?;
        }
        write!(f, " {problem}")?;
        let margin = place.as_ref().map_or(0, |place| place.line.to_string().len());
        if let Some(place) = place {
            // Tabs stay tabs in the line of carets, so that both lines are indented alike.
            let indent: String = (place.text.chars().take(place.column - 1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            write!(f, "\n{:margin$} |\n{} | {}", "", place.line, place.text)?;
            write!(f, "\n{:margin$} | {indent}{}", "", "^".repeat(place.width))?;
        }
        for line in help {
            write!(f, "\n{:margin$} = {line}", "")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// The known word closest to `got`, where one is close enough to be what was meant.
#[must_use]
pub fn closest<'a>(got: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Words much longer than any key cannot be a slip of the finger, and would cost quadratic time.
    if got.chars().count() > 64 {
        return None;
    }
    let limit = (got.chars().count() / 3).max(1);
    let near = known.into_iter().map(|word| (edits(got, word), word)).min()?;
    (near.0 <= limit).then_some(near.1)
}

/// Edit distance (insert, delete, replace, swap of neighbours), case ignored.
fn edits(a: &str, b: &str) -> usize {
    let fold = |s: &str| s.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (a, b) = (fold(a), fold(b));
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
