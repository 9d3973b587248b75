//! What an answer says: text as it comes, why it ended, and the usage, which alone counts tokens.

use crate::{Api, WireError};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Tokens as the engine counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt length.
    pub prompt_tokens: u64,
    /// Output length.
    pub completion_tokens: u64,
    /// Prompt tokens that the cache had; none where the engine does not say.
    pub cached_tokens: Option<u64>,
}

/// Where the time to the first token went inside the replica, as a simulation splits it. Only emulated replicas know, and
/// say it under the key `gorgo` beside the last usage where [`crate::Extension::report_times`] asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplicaTimes {
    /// From the request's arrival until the scheduler saw it, milliseconds.
    pub overhead_ms: f64,
    /// From there to the start of its first prefill batch, milliseconds.
    pub queue_ms: f64,
    /// From there to the first token, milliseconds.
    pub prefill_ms: f64,
}

/// One event of a stream, or a whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// Whether it has text: of a stream of SGLang's own, which repeats the text so far, whether there is any yet.
    pub has_text: bool,
    /// Why the answer ended, where it does.
    pub finish_reason: Option<String>,
    /// The usage, where it stands here.
    pub usage: Option<Usage>,
    /// Where the replica's time went, where an emulated one tells.
    pub times: Option<ReplicaTimes>,
    /// The engine's own words where the event is an error.
    pub error: Option<String>,
    /// The end of the stream (`[DONE]`): nothing follows.
    pub done: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(default)]
    output_ids: Option<Vec<u64>>,
    #[serde(default)]
    meta_info: Option<MetaInfo>,
    #[serde(default)]
    usage: Option<RawUsage>,
    #[serde(default)]
    gorgo: Option<serde_json::Value>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    delta: Option<Spoken<'a>>,
    #[serde(borrow, default)]
    message: Option<Spoken<'a>>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Spoken<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(default)]
    tool_calls: Option<serde_json::Value>,
}

impl Spoken<'_> {
    fn has_text(&self) -> bool {
        let said = |text: &Option<Cow<'_, str>>| text.as_deref().is_some_and(|t| !t.is_empty());
        said(&self.content)
            || said(&self.reasoning_content)
            || self.tool_calls.as_ref().is_some_and(|calls| !calls.is_null())
    }
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct MetaInfo {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    finish_reason: Option<serde_json::Value>,
}

impl Piece {
    /// Reads the data of one event of a stream, or the body of an answer that is none.
    ///
    /// # Errors
    /// When it is no JSON object of the dialect's form.
    pub fn parse(api: Api, data: &[u8]) -> Result<Self, WireError> {
        if data == b"[DONE]" {
            return Ok(Self { done: true, ..Self::default() });
        }
        let event: Event<'_> = serde_json::from_slice(data).map_err(|error| WireError::Json {
            what: "an event of the answer",
            problem: error.to_string(),
        })?;
        // A field that others may use otherwise is no reason to refuse an answer.
        let times = event.gorgo.and_then(|times| serde_json::from_value(times).ok());
        let mut piece = Self { times, ..Self::default() };
        if let Some(error) = event.error.filter(|error| !error.is_null()) {
            let words = error.get("message").and_then(|m| m.as_str()).map(str::to_owned);
            piece.error = Some(words.unwrap_or_else(|| error.to_string()));
        }
        if api == Api::Generate {
            piece.has_text = event.text.is_some_and(|text| !text.is_empty())
                || event.output_ids.is_some_and(|ids| !ids.is_empty());
            if let Some(meta) = event.meta_info {
                piece.finish_reason = meta.finish_reason.filter(|r| !r.is_null()).map(|reason| {
                    let kind = reason.get("type").and_then(|kind| kind.as_str());
                    kind.map_or_else(|| reason.to_string(), str::to_owned)
                });
                piece.usage = meta.completion_tokens.map(|completion_tokens| Usage {
                    prompt_tokens: meta.prompt_tokens,
                    completion_tokens,
                    cached_tokens: meta.cached_tokens,
                });
            }
            return Ok(piece);
        }
        for choice in event.choices {
            piece.has_text |= choice.text.is_some_and(|text| !text.is_empty())
                || choice.delta.is_some_and(|delta| delta.has_text())
                || choice.message.is_some_and(|message| message.has_text());
            piece.finish_reason = piece.finish_reason.or(choice.finish_reason);
        }
        piece.usage = event.usage.map(|usage| Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens.unwrap_or(0),
            cached_tokens: usage.prompt_tokens_details.and_then(|d| d.cached_tokens),
        });
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(api: Api, data: &str) -> Piece {
        Piece::parse(api, data.as_bytes()).unwrap()
    }

    #[test]
    fn the_first_text_is_not_the_first_event() {
        let role = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
        let text = r#"{"choices":[{"index":0,"delta":{"content":"a\n"},"finish_reason":null}],"usage":null}"#;
        let thought = r#"{"choices":[{"delta":{"content":null,"reasoning_content":"hm"}}]}"#;
        assert!(!piece(Api::Chat, role).has_text);
        assert!(piece(Api::Chat, text).has_text && piece(Api::Chat, text).usage.is_none());
        assert!(piece(Api::Chat, thought).has_text);
        assert!(!piece(Api::Generate, r#"{"text":"","meta_info":{"prompt_tokens":3}}"#).has_text);
        assert!(piece(Api::Completions, r#"{"choices":[{"text":"x"}]}"#).has_text);
    }

    #[test]
    fn usage_is_read_where_it_stands() {
        let last = r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,
            "prompt_tokens_details":{"cached_tokens":8}}}"#;
        let wanted = Usage { prompt_tokens: 10, completion_tokens: 4, cached_tokens: Some(8) };
        assert_eq!(piece(Api::Chat, last).usage, Some(wanted));
        let own = r#"{"text":"ab","meta_info":{"id":"1","finish_reason":{"type":"length","length":4},
            "prompt_tokens":10,"completion_tokens":4,"cached_tokens":8}}"#;
        let got = piece(Api::Generate, own);
        assert_eq!((got.usage, got.finish_reason.as_deref()), (Some(wanted), Some("length")));
        assert!(piece(Api::Chat, "[DONE]").done);
    }

    #[test]
    fn errors_and_rubbish_are_told() {
        let error = r#"{"error":{"message":"too long","code":400}}"#;
        assert_eq!(piece(Api::Chat, error).error.as_deref(), Some("too long"));
        let rubbish = Piece::parse(Api::Chat, b"<html>").unwrap_err().to_string();
        assert!(rubbish.starts_with("an event of the answer: "), "{rubbish}");
    }
}
