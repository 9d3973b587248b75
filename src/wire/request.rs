//! What a request asks for: read once, without copying text that needs no unescaping.
//!
//! Only what routing and emulation need is looked at; other fields are skipped whatever they hold, since bodies pass on
//! byte for byte and the engine has the last word on them. [`crate::body`] writes such requests.

use crate::WireError;
use crate::prompt::{Message, Prompt};
use gorgo_text::Role;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A dialect: which fields a request has and how its answer streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's completions.
    Completions,
    /// SGLang's own.
    Generate,
}

impl Api {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Completions, Self::Generate];

    /// Where it is served.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Generate => "/generate",
        }
    }

    /// The dialect served at a path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.path() == path)
    }
}

/// What emulated replicas read beyond the engines' own fields, under the key `gorgo`; real engines ignore it.
///
/// A workload knows how long an answer is and, for conversations, what of it the next turn will contain. A real engine
/// finds out by itself; an emulated one is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extension<'a> {
    /// Output tokens, at least 1; else `max_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Prompt and answer, as the cache will hold them when the answer has ended.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence<'a>>,
    /// Whether the answer's last usage comes with [`crate::answer::ReplicaTimes`].
    #[serde(skip_serializing_if = "is_false")]
    pub report_times: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Prompt and answer as text: the prompt's first blocks, then the rest anew, because the block in which the prompt ends goes
/// on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence<'a> {
    /// How many of the prompt's tokens stand unchanged before `text`.
    pub prompt_tokens_kept: u64,
    /// What follows them.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

/// A request as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// How.
    pub api: Api,
    /// The model's name, where one is given.
    pub model: Option<Cow<'a, str>>,
    /// About what.
    pub prompt: Prompt<'a>,
    /// The most output tokens; none: the engine's own limit.
    pub max_tokens: Option<u64>,
    /// Whether the answer comes as a stream.
    pub stream: bool,
    /// Whether the stream ends with the usage.
    pub include_usage: bool,
    /// Whether every event of the stream has the usage so far.
    pub continuous_usage: bool,
    /// Conversation or user, where the body names one: `session_id` before `user`.
    pub session: Option<Cow<'a, str>>,
    /// What an emulated replica is told; none: nothing.
    pub extension: Option<Extension<'a>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    messages: Option<Vec<RawMessage<'a>>>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input_ids: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sampling_params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow, default)]
    session_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
    #[serde(borrow, default)]
    gorgo: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SamplingParams {
    #[serde(default)]
    max_new_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
    #[serde(default)]
    continuous_usage_stats: Option<bool>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

impl<'a> Asked<'a> {
    /// Reads a request body.
    ///
    /// # Errors
    /// When it is no JSON object, has no prompt, or a field that is looked at has a value of another kind.
    pub fn parse(api: Api, body: &'a [u8]) -> Result<Self, WireError> {
        let body: Body<'a> = serde_json::from_slice(body).map_err(|error| WireError::Json {
            what: "the request body",
            problem: error.to_string(),
        })?;
        let prompt = match api {
            Api::Chat => messages(&body)?,
            Api::Completions => text_or_ids("prompt", body.prompt)?,
            Api::Generate if body.text.is_some() => text_or_ids("text", body.text)?,
            Api::Generate => text_or_ids("input_ids", body.input_ids)?,
        };
        let max_tokens = match api {
            Api::Generate => {
                field::<SamplingParams>("sampling_params", "an object", body.sampling_params)?
                    .and_then(|params| params.max_new_tokens)
            }
            Api::Chat | Api::Completions => {
                match field("max_completion_tokens", WHOLE, body.max_completion_tokens)? {
                    Some(tokens) => Some(tokens),
                    None => field("max_tokens", WHOLE, body.max_tokens)?,
                }
            }
        };
        let options: Option<StreamOptions> =
            field("stream_options", "an object", body.stream_options)?;
        let options = options.unwrap_or_default();
        let session = match named(body.session_id) {
            None => named(body.user),
            session => session,
        };
        Ok(Self {
            api,
            prompt,
            max_tokens,
            stream: field("stream", "true or false", body.stream)?.unwrap_or(false),
            include_usage: options.include_usage.unwrap_or(false),
            continuous_usage: options.continuous_usage_stats.unwrap_or(false),
            session,
            extension: field(
                "gorgo",
                "an object of output_tokens, sequence and report_times",
                body.gorgo,
            )?,
            model: body.model,
        })
    }
}

const WHOLE: &str = "a whole number of tokens";

/// How much of a value an error shows.
const SHOWN: usize = 60;

fn shown(raw: &RawValue) -> String {
    let text = raw.get();
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let end = (0..=SHOWN).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}...", &text[..end])
}

/// A field's value; none where it is missing or null.
fn field<'a, T: Deserialize<'a>>(
    name: &'static str,
    wanted: &'static str,
    raw: Option<&'a RawValue>,
) -> Result<Option<T>, WireError> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|_| WireError::Field {
        field: name,
        got: shown(raw),
        wanted,
    })
}

/// A name that may be missing; what is no string is no name.
fn named<'a>(raw: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    field::<Text<'a>>("", "", raw).ok().flatten().map(|text| text.0)
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn messages<'a>(body: &Body<'a>) -> Result<Prompt<'a>, WireError> {
    let Some(raw) = &body.messages else {
        let (got, wanted) = ("nothing".to_owned(), "a list of messages");
        return Err(WireError::Field { field: "messages", got, wanted });
    };
    let mut messages = Vec::with_capacity(raw.len() + 1);
    if let Some(tools) = body.tools.filter(|tools| tools.get() != "null") {
        messages.push(Message { role: Role::System, text: Cow::Borrowed(tools.get()) });
    }
    for message in raw {
        let role = match message.role.as_deref() {
            Some("developer") => Role::System,
            role => role.and_then(Role::of).unwrap_or(Role::User),
        };
        let mut text = content(message.content)?;
        if let Some(calls) = message.tool_calls.filter(|calls| calls.get() != "null") {
            text.to_mut().push_str(calls.get());
        }
        messages.push(Message { role, text });
    }
    Ok(Prompt::Messages(messages))
}

/// A message's text, given as a string or as a list of parts: the same text in both forms.
fn content<'a>(raw: Option<&'a RawValue>) -> Result<Cow<'a, str>, WireError> {
    const WANTED: &str = "a string or a list of parts";
    let Some(raw) = raw else { return Ok(Cow::Borrowed("")) };
    if !raw.get().starts_with('[') {
        let text: Option<Text<'a>> = field("content", WANTED, Some(raw))?;
        return Ok(text.map_or(Cow::Borrowed(""), |text| text.0));
    }
    let parts: Vec<&'a RawValue> = field("content", WANTED, Some(raw))?.unwrap_or_default();
    let mut texts = parts.into_iter().map(|raw| match raw.get().starts_with('"') {
        true => field::<Text<'a>>("content", WANTED, Some(raw))
            .map(|text| text.map_or(Cow::Borrowed(""), |text| text.0)),
        false => {
            let part: Option<Part<'a>> = field("content", "a part of a message", Some(raw))?;
            let part = part.filter(|part| part.kind.as_deref() == Some("text"));
            Ok(part.and_then(|part| part.text).unwrap_or(Cow::Borrowed(raw.get())))
        }
    });
    let Some(first) = texts.next() else { return Ok(Cow::Borrowed("")) };
    let mut joined = first?;
    for text in texts {
        joined.to_mut().push_str(&text?);
    }
    Ok(joined)
}

fn text_or_ids<'a>(name: &'static str, raw: Option<&'a RawValue>) -> Result<Prompt<'a>, WireError> {
    const WANTED: &str = "a text, a list of token ids, or a list of either";
    let wrong = |got| WireError::Field { field: name, got, wanted: WANTED };
    let Some(raw) = raw else { return Err(wrong("nothing".to_owned())) };
    let refused = |_| wrong(shown(raw));
    let mut chars = raw.get().chars().filter(|c| !c.is_ascii_whitespace());
    match (chars.next(), chars.next()) {
        (Some('"'), _) => {
            let text: Text<'a> = serde_json::from_str(raw.get()).map_err(refused)?;
            Ok(Prompt::Texts(vec![text.0]))
        }
        (Some('['), Some('"')) => {
            let texts: Vec<Text<'a>> = serde_json::from_str(raw.get()).map_err(refused)?;
            Ok(Prompt::Texts(texts.into_iter().map(|text| text.0).collect()))
        }
        (Some('['), Some('[')) => {
            Ok(Prompt::TokenIds(serde_json::from_str(raw.get()).map_err(refused)?))
        }
        (Some('['), _) => {
            Ok(Prompt::TokenIds(vec![serde_json::from_str(raw.get()).map_err(refused)?]))
        }
        _ => Err(wrong(shown(raw))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_text::Tokens;

    fn chain(api: Api, body: &str) -> gorgo_types::BlockChain {
        let asked = Asked::parse(api, body.as_bytes()).unwrap();
        asked.prompt.chain(&Tokens::default(), 0, 16).unwrap()
    }

    fn refused(api: Api, body: &str) -> String {
        Asked::parse(api, body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn content_as_a_string_or_as_parts_is_the_same_prompt() {
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(8);
        let string = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#);
        let (a, b) = text.split_at(100);
        let parts = format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"{a}"}}, {{"text":"{b}","type":"text"}}]}}]}}"#
        );
        let plain = format!(r#"{{"prompt":"{text}"}}"#);
        assert_eq!(chain(Api::Chat, &string), chain(Api::Chat, &parts));
        assert_eq!(chain(Api::Chat, &string), chain(Api::Completions, &plain));
        assert_eq!(chain(Api::Chat, &string).tokens().get(), 90);
    }

    #[test]
    fn everything_that_routing_needs_is_read() {
        let body = br#"{"model":"m","messages":[{"role":"system","content":"s\n"},{"role":"tool","content":null}],
            "max_tokens":5,"max_completion_tokens":7,"stream":true,"stream_options":{"include_usage":true},
            "user":"u","session_id":"s1","temperature":"whatever","gorgo":{"output_tokens":3}}"#;
        let asked = Asked::parse(Api::Chat, body).unwrap();
        assert_eq!(asked.max_tokens, Some(7));
        assert!(asked.stream && asked.include_usage);
        assert_eq!(asked.session.as_deref(), Some("s1"));
        assert_eq!(asked.extension.unwrap().output_tokens, Some(3));
        let Prompt::Messages(messages) = asked.prompt else { panic!("a chat") };
        assert_eq!(messages[0].text, "s\n");
        assert_eq!((messages[1].role, messages[1].text.as_ref()), (Role::User, ""));
        let body = br#"{"text":"abcd","sampling_params":{"max_new_tokens":9}}"#;
        assert_eq!(Asked::parse(Api::Generate, body).unwrap().max_tokens, Some(9));
    }

    #[test]
    fn prompts_come_in_many_forms() {
        let ids = chain(Api::Completions, r#"{"prompt":[1,2,3]}"#);
        assert_eq!(ids, chain(Api::Completions, r#"{"prompt":[[1,2],[3]]}"#));
        assert_eq!(ids, chain(Api::Generate, r#"{"input_ids":[1,2,3]}"#));
        assert_eq!(chain(Api::Completions, r#"{"prompt":["abcd","ef"]}"#).tokens().get(), 2);
        for empty in [r#"{"prompt":""}"#, r#"{"prompt":[]}"#, r#"{"prompt":[[]]}"#] {
            assert_eq!(chain(Api::Completions, empty).tokens().get(), 1, "{empty}");
        }
        let image = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
        assert!(chain(Api::Chat, image).tokens().get() > 5);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (api, body, wanted) in [
            (Api::Chat, "", "the request body: EOF"),
            (Api::Chat, "[1]", "the request body: "),
            (Api::Chat, "{}", "field `messages`: got nothing, wanted a list of messages"),
            (Api::Chat, r#"{"messages":7}"#, "the request body: invalid type"),
            (
                Api::Chat,
                r#"{"messages":[{"content":7}]}"#,
                "field `content`: got 7, wanted a string or a list of parts",
            ),
            (
                Api::Chat,
                r#"{"messages":[],"max_tokens":-1}"#,
                "field `max_tokens`: got -1, wanted a whole number",
            ),
            (Api::Chat, r#"{"messages":[],"max_tokens":1e99}"#, "field `max_tokens`: got 1e99"),
            (Api::Chat, r#"{"messages":[],"stream":"yes"}"#, "field `stream`: got \"yes\""),
            (Api::Completions, r#"{"prompt":{}}"#, "field `prompt`: got {}"),
            (Api::Completions, r#"{"prompt":[-1]}"#, "field `prompt`: got [-1]"),
            (Api::Completions, r#"{"prompt":[1,"a"]}"#, "field `prompt`: got [1,\"a\"]"),
            (Api::Generate, "{}", "field `input_ids`: got nothing"),
        ] {
            let got = refused(api, body);
            assert!(got.starts_with(wanted), "{body}: {got}");
        }
        let long = format!(r#"{{"prompt":[{}"é"]}}"#, "1,".repeat(50));
        assert!(refused(Api::Completions, &long).contains("..."));
    }

    #[test]
    fn apis_are_found_by_their_paths() {
        for api in Api::ALL {
            assert_eq!(Api::at(api.path()), Some(api));
        }
        assert_eq!(Api::at("/v1/models"), None);
    }
}
