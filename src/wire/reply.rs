//! Writes answers, the reverse of [`crate::answer`]: whole, or event by event.
//!
//! The forms are those of SGLang 0.5: a chat's first event has the role and no text, the event of the last token says why
//! the answer ended, and the usage comes in an event of its own. SGLang's own dialect repeats the text so far in every
//! event. When an event is due is the caller's.

use crate::answer::ReplicaTimes;
use crate::{Api, Usage};
use serde::Serialize;
use serde_json::json;

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It had the most tokens that were asked for.
    Length,
    /// The model ended it.
    Stop,
}

impl Finish {
    /// The engine's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Stop => "stop",
        }
    }
}

/// One answer: what all its events share.
#[derive(Clone, Debug)]
pub struct Reply {
    api: Api,
    id: String,
    model: String,
    /// Seconds since 1970.
    created: u64,
    /// How each event of a stream begins.
    head: String,
}

/// OpenAI's usage with the cached tokens where SGLang and vLLM put them.
#[derive(Serialize)]
struct WrittenUsage {
    prompt_tokens: u64,
    total_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<WrittenDetails>,
}

#[derive(Serialize)]
struct WrittenDetails {
    cached_tokens: u64,
}

impl From<&Usage> for WrittenUsage {
    fn from(usage: &Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            total_tokens: usage.prompt_tokens.saturating_add(usage.completion_tokens),
            completion_tokens: usage.completion_tokens,
            prompt_tokens_details: usage
                .cached_tokens
                .map(|cached_tokens| WrittenDetails { cached_tokens }),
        }
    }
}

/// The end of every stream.
const DONE: &[u8] = b"data: [DONE]\n\n";

impl Reply {
    /// An answer with this id, of this model, made so many seconds after the beginning of 1970.
    #[must_use]
    pub fn new(api: Api, id: &str, model: &str, created: u64) -> Self {
        let object = match api {
            Api::Chat => "chat.completion.chunk",
            Api::Completions | Api::Generate => "text_completion",
        };
        let head = format!(
            r#"data: {{"id":{},"object":"{object}","created":{created},"model":{},"choices":["#,
            quoted(id),
            quoted(model)
        );
        Self { api, id: id.to_owned(), model: model.to_owned(), created, head }
    }

    /// What a stream has before its first text: a chat's event with the role, else nothing.
    pub fn begin(&self, out: &mut Vec<u8>) {
        if self.api == Api::Chat {
            out.extend_from_slice(self.head.as_bytes());
            out.extend_from_slice(
                br#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]"#,
            );
            out.extend_from_slice(b",\"usage\":null}\n\n");
        }
    }

    /// Some tokens of a stream. `text` is theirs; in SGLang's own dialect all the text so far. `usage` counts up to here:
    /// that dialect always says it, the others where `show_usage` asks for it.
    pub fn text(
        &self,
        text: &str,
        finish: Option<Finish>,
        usage: &Usage,
        show_usage: bool,
        out: &mut Vec<u8>,
    ) {
        if self.api == Api::Generate {
            let event = json!({"text": text, "meta_info": self.meta_info(finish, usage)});
            write_event(&event, out);
            return;
        }
        out.extend_from_slice(self.head.as_bytes());
        let reason = finish.map_or("null".to_owned(), |finish| quoted(finish.word()));
        let text = quoted(text);
        let choice = match self.api {
            Api::Chat => format!(
                r#"{{"index":0,"delta":{{"content":{text}}},"logprobs":null,"finish_reason":{reason}}}]"#
            ),
            _ => {
                format!(r#"{{"index":0,"text":{text},"logprobs":null,"finish_reason":{reason}}}]"#)
            }
        };
        out.extend_from_slice(choice.as_bytes());
        if show_usage {
            out.extend_from_slice(b",\"usage\":");
            write_json(&WrittenUsage::from(usage), out);
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// The end of a stream: the usage where it is asked for, and the mark that nothing follows.
    pub fn end(&self, usage: Option<&Usage>, times: Option<&ReplicaTimes>, out: &mut Vec<u8>) {
        let usage = usage.filter(|_| self.api != Api::Generate);
        if usage.is_some() || times.is_some() {
            let mut event = match self.api {
                Api::Generate => json!({}),
                _ => self.envelope("chat.completion.chunk", json!([])),
            };
            if let Some(usage) = usage {
                event["usage"] = json!(WrittenUsage::from(usage));
            }
            if let Some(times) = times {
                event["gorgo"] = json!(times);
            }
            write_event(&event, out);
        }
        out.extend_from_slice(DONE);
    }

    /// The whole answer as the body of a response.
    #[must_use]
    pub fn whole(
        &self,
        text: &str,
        finish: Finish,
        usage: &Usage,
        times: Option<&ReplicaTimes>,
    ) -> Vec<u8> {
        let reason = finish.word();
        let mut body = match self.api {
            Api::Generate => json!({"text": text, "meta_info": self.meta_info(Some(finish), usage)}),
            Api::Chat => self.envelope(
                "chat.completion",
                json!([{"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": null,
                    "finish_reason": reason}]),
            ),
            Api::Completions => self.envelope(
                "text_completion",
                json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": reason}]),
            ),
        };
        if self.api != Api::Generate {
            body["usage"] = json!(WrittenUsage::from(usage));
        }
        if let Some(times) = times {
            body["gorgo"] = json!(times);
        }
        body.to_string().into_bytes()
    }

    fn envelope(&self, chat_object: &str, choices: serde_json::Value) -> serde_json::Value {
        let object = if self.api == Api::Chat { chat_object } else { "text_completion" };
        json!({"id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices})
    }

    fn meta_info(&self, finish: Option<Finish>, usage: &Usage) -> serde_json::Value {
        let reason = finish.map(|finish| match finish {
            Finish::Length => json!({"type": "length", "length": usage.completion_tokens}),
            Finish::Stop => json!({"type": "stop"}),
        });
        json!({"id": self.id, "finish_reason": reason, "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens, "cached_tokens": usage.cached_tokens})
    }
}

/// An error as SGLang words it in OpenAI's dialects: the message, its kind and the status once more.
#[must_use]
pub fn error_body(api: Api, message: &str, kind: &str, status: u16) -> Vec<u8> {
    let body = match api {
        Api::Generate => json!({"error": {"message": message}}),
        Api::Chat | Api::Completions => {
            json!({"object": "error", "message": message, "type": kind, "param": null, "code": status,
                "error": {"message": message, "type": kind, "code": status}})
        }
    };
    body.to_string().into_bytes()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("numbers can be written to memory");
}

fn write_event(event: &serde_json::Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    write_json(event, out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventStream, Piece, WireError};

    const USAGE: Usage = Usage { prompt_tokens: 9, completion_tokens: 2, cached_tokens: Some(4) };

    fn pieces(api: Api, bytes: &[u8]) -> Vec<Piece> {
        let (mut stream, mut got) = (EventStream::default(), Vec::new());
        let read: Result<(), WireError> = stream.push(bytes, |data| {
            got.push(Piece::parse(api, data)?);
            Ok(())
        });
        read.unwrap();
        got
    }

    #[test]
    fn what_is_written_is_read_back() {
        let times = ReplicaTimes { overhead_ms: 5.0, queue_ms: 0.25, prefill_ms: 30.5 };
        for api in Api::ALL {
            let reply = Reply::new(api, "i\"d", "m", 7);
            let mut out = Vec::new();
            reply.begin(&mut out);
            let first = Usage { completion_tokens: 1, ..USAGE };
            reply.text("a\"b ", None, &first, true, &mut out);
            let text = if api == Api::Generate { "a\"b c\n " } else { "c\n " };
            reply.text(text, Some(Finish::Length), &USAGE, false, &mut out);
            reply.end(Some(&USAGE), Some(&times), &mut out);
            let got = pieces(api, &out);
            let texts = got.iter().filter(|piece| piece.has_text).count();
            assert_eq!(texts, 2, "{api:?}: {got:?}");
            assert_eq!(got[0].has_text, api != Api::Chat, "a chat begins with the role");
            let usages: Vec<Usage> = got.iter().filter_map(|piece| piece.usage).collect();
            assert_eq!(usages, [first, USAGE]);
            let reasons: Vec<&str> =
                got.iter().filter_map(|p| p.finish_reason.as_deref()).collect();
            assert_eq!(reasons, ["length"]);
            assert!(got.last().unwrap().done);
            assert_eq!(got.iter().find_map(|piece| piece.times), Some(times));
            let whole = reply.whole("text", Finish::Stop, &USAGE, Some(&times));
            let whole = Piece::parse(api, &whole).unwrap();
            assert!(whole.has_text && whole.usage == Some(USAGE) && whole.times == Some(times));
            assert_eq!(whole.finish_reason.as_deref(), Some("stop"));
        }
    }

    #[test]
    fn errors_are_read_as_errors() {
        for api in Api::ALL {
            let body = error_body(api, "too long", "BadRequestError", 400);
            assert_eq!(Piece::parse(api, &body).unwrap().error.as_deref(), Some("too long"));
        }
    }
}
