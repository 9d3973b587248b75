//! Writes request bodies, the reverse of [`crate::request`].

use crate::Api;
use crate::request::Extension;
use serde::Serialize;

/// A prompt to be written.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// A text; in a chat, one message of the user's.
    Text(&'a str),
    /// Messages: role and text. Only in a chat.
    Messages(&'a [(&'a str, &'a str)]),
    /// Token ids. Not in a chat.
    TokenIds(&'a [u32]),
}

/// What a body says.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// In which dialect.
    pub api: Api,
    /// The model's name; none: the field is left out.
    pub model: Option<&'a str>,
    /// About what.
    pub prompt: Said<'a>,
    /// The most output tokens.
    pub max_tokens: u64,
    /// Whether the engine goes on past the model's own end until `max_tokens`, so that lengths are the workload's.
    pub ignore_eos: bool,
    /// Whether the answer comes as a stream, with the usage at its end.
    pub stream: bool,
    /// Conversation or user; none: the field is left out.
    pub session: Option<&'a str>,
    /// What an emulated replica is told; none: the field is left out.
    pub extension: Option<&'a Extension<'a>>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct SamplingParams {
    max_new_tokens: u64,
    ignore_eos: bool,
    temperature: f64,
}

#[derive(Serialize, Default)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<TextOrIds<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_ids: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_eos: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling_params: Option<SamplingParams>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gorgo: Option<&'a Extension<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TextOrIds<'a> {
    Text(&'a str),
    Ids(&'a [u32]),
}

impl Ask<'_> {
    /// The body as JSON; none: the dialect has no such prompt (token ids in a chat, messages elsewhere).
    ///
    /// # Panics
    /// Never: nothing in it can fail to be written.
    #[must_use]
    pub fn to_json(&self) -> Option<Vec<u8>> {
        let mut body = Body {
            model: self.model,
            stream: self.stream,
            user: self.session,
            gorgo: self.extension,
            ..Body::default()
        };
        match (self.api, self.prompt) {
            (Api::Chat, Said::Text(text)) => {
                body.messages = Some(vec![Message { role: "user", content: text }]);
            }
            (Api::Chat, Said::Messages(messages)) => {
                let said = messages.iter().map(|&(role, content)| Message { role, content });
                body.messages = Some(said.collect());
            }
            (Api::Completions, Said::Text(text)) => body.prompt = Some(TextOrIds::Text(text)),
            (Api::Completions, Said::TokenIds(ids)) => body.prompt = Some(TextOrIds::Ids(ids)),
            (Api::Generate, Said::Text(text)) => body.text = Some(text),
            (Api::Generate, Said::TokenIds(ids)) => body.input_ids = Some(ids),
            _ => return None,
        }
        if self.api == Api::Generate {
            body.sampling_params = Some(SamplingParams {
                max_new_tokens: self.max_tokens,
                ignore_eos: self.ignore_eos,
                temperature: 0.0,
            });
        } else {
            body.max_tokens = Some(self.max_tokens);
            body.ignore_eos = self.ignore_eos.then_some(true);
            body.temperature = Some(0.0);
            body.stream_options = self.stream.then_some(StreamOptions { include_usage: true });
        }
        Some(serde_json::to_vec(&body).expect("texts and numbers can be written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Asked, Sequence};
    use crate::{Prompt, request};
    use std::borrow::Cow;

    #[test]
    fn what_is_written_is_read_back() {
        let extension = Extension {
            output_tokens: Some(3),
            sequence: Some(Sequence { prompt_tokens_kept: 16, text: Cow::Borrowed("x\"y") }),
            report_times: true,
        };
        for api in Api::ALL {
            let ask = Ask {
                api,
                model: Some("m"),
                prompt: Said::Text("say \"é\"\n"),
                max_tokens: 12,
                ignore_eos: true,
                stream: true,
                session: Some("s"),
                extension: Some(&extension),
            };
            let body = ask.to_json().unwrap();
            let asked = Asked::parse(api, &body).unwrap();
            assert_eq!(asked.max_tokens, Some(12));
            assert!(asked.stream);
            assert_eq!(asked.include_usage, api != Api::Generate);
            assert_eq!(asked.session.as_deref(), Some("s"));
            assert_eq!(asked.extension, Some(extension.clone()));
            match asked.prompt {
                Prompt::Texts(texts) => assert_eq!(texts, ["say \"é\"\n"]),
                Prompt::Messages(said) => assert_eq!(said[0].text, "say \"é\"\n"),
                Prompt::TokenIds(_) => panic!("text"),
            }
        }
    }

    #[test]
    fn prompts_that_a_dialect_lacks_are_none() {
        let ask = Ask {
            api: Api::Chat,
            model: None,
            prompt: Said::TokenIds(&[1, 2]),
            max_tokens: 1,
            ignore_eos: false,
            stream: false,
            session: None,
            extension: None,
        };
        assert_eq!(ask.to_json(), None);
        let ids = Ask { api: Api::Completions, ..ask }.to_json().unwrap();
        let asked = request::Asked::parse(Api::Completions, &ids).unwrap();
        assert_eq!(asked.prompt, Prompt::TokenIds(vec![vec![1, 2]]));
        let talk = [("system", "a"), ("user", "b")];
        let messages = Ask { prompt: Said::Messages(&talk), ..ask }.to_json().unwrap();
        let Prompt::Messages(said) = request::Asked::parse(Api::Chat, &messages).unwrap().prompt
        else {
            panic!("a chat")
        };
        assert_eq!(said.len(), 2);
        assert_eq!(
            Ask { api: Api::Generate, prompt: Said::Messages(&talk), ..ask }.to_json(),
            None
        );
    }
}
