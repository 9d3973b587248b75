//! Turns serde's messages, which speak of Rust types, into ones that speak of the file.

/// What was wrong with a key or value, and which keys would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// What was got and what was wanted.
    pub(crate) problem: String,
    /// For an unknown key or kind: the one that was given, what sort of word it is, and the known ones.
    pub(crate) unknown: Option<(String, &'static str, Vec<String>)>,
}

/// The words between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Rust's words for what was wanted, in the reader's words.
fn wanted(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => "a whole number from 0 to 4294967295".to_owned(),
        "u64" | "usize" => "a whole number, zero or above".to_owned(),
        "i64" => "a whole number".to_owned(),
        "f64" | "f32" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

/// Serde's words for what was got, in TOML's.
fn got(unexpected: &str) -> String {
    match unexpected {
        "map" => "a table".to_owned(),
        "sequence" => "an array".to_owned(),
        other => {
            let value = ["integer `", "floating point `", "boolean `"]
                .iter()
                .find_map(|kind| other.strip_prefix(kind)?.strip_suffix('`'))
                .or_else(|| other.strip_prefix("string "));
            value.unwrap_or(other).to_owned()
        }
    }
}

/// Reads a message of serde's or of the TOML parser's.
pub(crate) fn read(message: &str) -> Message {
    let plain = |problem: String| Message { problem, unknown: None };
    for (start, problem, sort) in [
        ("unknown field `", "unknown key", "known keys"),
        ("unknown variant `", "unknown kind", "known kinds"),
    ] {
        if message.starts_with(start) {
            let (head, list) = message.split_once("`, ").unwrap_or((message, ""));
            let given = head.strip_prefix(start).unwrap_or(head).trim_end_matches('`').to_owned();
            let unknown = Some((given.clone(), sort, quoted(list)));
            return Message { problem: format!("{problem} `{given}`"), unknown };
        }
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return plain(format!("missing key {key}"));
    }
    if let Some(key) = message.strip_prefix("duplicate field ") {
        return plain(format!("duplicate key {key}"));
    }
    for start in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((unexpected, expected)) =
            message.strip_prefix(start).and_then(|rest| rest.rsplit_once(", expected "))
        {
            return plain(format!("got {}, wanted {}", got(unexpected), wanted(expected)));
        }
    }
    plain(message.to_owned())
}
