//! Assignments laid over a document: `router.policies.gorgo.w_rtt=0.5`. The path leads through tables by key and
//! through arrays by index or by the `name` of an element. Tables and last keys that are absent are made: whether
//! they mean anything is for the types to say when the document is read, so a misspelt path is an unknown key, with
//! its position in the assignment.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A dotted path with the place of each step in the source.
pub(crate) type Path = Vec<(String, Range<usize>)>;

/// Longer paths than any document needs are refused, so that recursion stays shallow.
const DEEPEST: usize = 24;

/// Splits the text before the equals sign; `base` is its offset in the source.
pub(crate) fn split_path(text: &str, base: usize) -> Result<Path, (Range<usize>, String)> {
    let mut path = Vec::new();
    let mut at = 0;
    for step in text.split('.') {
        let start = base + at + (step.len() - step.trim_start().len());
        let name = step.trim();
        let span = start..start + name.len();
        if name.is_empty() {
            let problem =
                format!("got the path {text:?}, wanted dotted keys such as router.probe_interval");
            return Err((base..base + text.len(), problem));
        }
        at += step.len() + 1;
        path.push((name.to_owned(), span));
    }
    if path.len() > DEEPEST {
        let problem = format!("got a path of {} steps, wanted at most {DEEPEST}", path.len());
        return Err((base..base + text.len(), problem));
    }
    Ok(path)
}

/// Moves every span of `value` by `base` bytes.
pub(crate) fn shift(value: Spanned<DeValue<'_>>, base: usize) -> Spanned<DeValue<'_>> {
    let moved = |span: Range<usize>| span.start + base..span.end + base;
    let span = moved(value.span());
    let inner = match value.into_inner() {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| shift(item, base)).collect::<DeArray<'_>>())
        }
        DeValue::Table(table) => DeValue::Table(
            (table.into_iter())
                .map(|(key, value)| {
                    let key_span = moved(key.span());
                    (Spanned::new(key_span, key.into_inner()), shift(value, base))
                })
                .collect(),
        ),
        plain => plain,
    };
    Spanned::new(span, inner)
}

/// Puts `value` where `path` leads.
pub(crate) fn assign<'a>(
    table: &mut DeTable<'a>,
    path: &[(String, Range<usize>)],
    value: Spanned<DeValue<'a>>,
) -> Result<(), (Range<usize>, String)> {
    let Some(((name, span), rest)) = path.split_first() else {
        return Ok(());
    };
    let key = Spanned::new(span.clone(), name.clone().into());
    if rest.is_empty() {
        // Remove first: inserting would keep the old key, and with it the old position.
        table.remove(&key);
        table.insert(key, value);
        return Ok(());
    }
    let inner = (table.entry(key))
        .or_insert_with(|| Spanned::new(span.clone(), DeValue::Table(DeTable::new())));
    descend(inner, name, rest, value)
}

fn descend<'a>(
    inner: &mut Spanned<DeValue<'a>>,
    parent: &str,
    rest: &[(String, Range<usize>)],
    value: Spanned<DeValue<'a>>,
) -> Result<(), (Range<usize>, String)> {
    let Some(((step, span), after)) = rest.split_first() else {
        return Ok(());
    };
    match inner.get_mut() {
        DeValue::Table(table) => assign(table, rest, value),
        DeValue::Array(items) => {
            let Some(index) = find(items, step) else {
                let names: Vec<&str> =
                    items.iter().filter_map(|item| name_of(item.get_ref())).collect();
                let problem = format!(
                    "got `{step}`, wanted an element of `{parent}`: an index below {}{}{}",
                    items.len(),
                    if names.is_empty() { "" } else { " or one of the names " },
                    names.join(", "),
                );
                return Err((span.clone(), problem));
            };
            let Some(item) = items.get_mut(index) else {
                return Ok(());
            };
            if after.is_empty() {
                *item = value;
                return Ok(());
            }
            name_to_table(item);
            descend(item, step, after, value)
        }
        other => {
            let problem = format!(
                "`{parent}` is {}, which has no `{step}`: wanted a path that exists",
                kind(other)
            );
            Err((span.clone(), problem))
        }
    }
}

/// A type with its article.
fn kind(value: &DeValue<'_>) -> String {
    let word = value.type_str();
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}

/// An element that is only a name becomes a table with that name, so that it can take further keys.
fn name_to_table(item: &mut Spanned<DeValue<'_>>) {
    let span = item.span();
    if let DeValue::String(name) = item.get_mut() {
        let name = std::mem::take(name);
        let mut table = DeTable::new();
        let key = Spanned::new(span.clone(), "name".into());
        table.insert(key, Spanned::new(span, DeValue::String(name)));
        *item.get_mut() = DeValue::Table(table);
    }
}

fn name_of<'v>(item: &'v DeValue<'_>) -> Option<&'v str> {
    match item {
        DeValue::String(name) => Some(name),
        DeValue::Table(table) => table.get("name").and_then(|name| name.get_ref().as_str()),
        _ => None,
    }
}

fn find(items: &DeArray<'_>, step: &str) -> Option<usize> {
    match step.parse::<usize>() {
        Ok(index) => (index < items.len()).then_some(index),
        Err(_) => items.iter().position(|item| name_of(item.get_ref()) == Some(step)),
    }
}
