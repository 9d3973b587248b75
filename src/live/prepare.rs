//! From a request of the workload to bytes: made ahead of its time, since a long prompt takes longer to write than a
//! request may be late.

use crate::LiveError;
use crate::options::{Lengths, Options, Prompts};
use bytes::Bytes;
use gorgo_text::{block_token_ids, chain_text};
use gorgo_types::{BlockChain, Origin, Request};
use gorgo_wire::body::{Ask, Said};
use gorgo_wire::request::Sequence;
use gorgo_wire::{Extension, headers};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::borrow::Cow;

/// Writes requests.
pub(crate) struct Writer {
    options: Options,
    headers: HeaderMap,
}

impl Writer {
    pub fn new(options: &Options) -> Self {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        for (name, value) in &options.headers {
            headers.append(name.clone(), value.clone());
        }
        Self { options: options.clone(), headers }
    }

    /// The headers of a request. Its id is the workload's, so that other people's logs of it pair with the records.
    ///
    /// # Errors
    /// When the zone that it may not leave is no header: it is not sent without.
    pub fn headers(
        &self,
        request: &Request,
        origin: Option<&Origin>,
    ) -> Result<HeaderMap, LiveError> {
        let mut all = self.headers.clone();
        let mut set = |name: &'static str, text: &str| {
            let value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
            all.insert(HeaderName::from_static(name), value);
            Some(())
        };
        set(headers::REQUEST_ID, &request.id.to_string());
        if request.has_session {
            set(headers::SESSION, &request.id.session.to_string());
        }
        if let Some(region) = origin.and_then(|origin| origin.region.as_deref()) {
            // A region's name that no header may hold is no loss: the proxy asks its own tables then.
            set(headers::ORIGIN_REGION, region);
        }
        if let Some(zone) = origin.and_then(|origin| origin.residency.as_deref()) {
            set(headers::RESIDENCY, zone).ok_or_else(|| LiveError::Option {
                option: "residency",
                got: format!("{zone:?} for request {}", request.id),
                wanted: "a name that a header can hold".to_owned(),
            })?;
        }
        Ok(all)
    }

    /// The body of a request.
    ///
    /// # Panics
    /// Where the options were not checked.
    pub fn body(&self, request: &Request) -> Bytes {
        let Options { api, prompts, lengths, emulated, stream, .. } = &self.options;
        let (text, ids);
        let prompt = match *prompts {
            Prompts::Text => {
                text = chain_text(&request.prompt, 0);
                Said::Text(&text)
            }
            Prompts::TokenIds(vocabulary) => {
                ids = token_ids(&request.prompt, vocabulary);
                Said::TokenIds(&ids)
            }
        };
        let extension = emulated.then(|| extension(request));
        let forced = *lengths == Lengths::Forced && !emulated;
        let session = request.has_session.then(|| request.id.session.to_string());
        let tokens = if forced { request.output_tokens } else { request.max_tokens };
        let ask = Ask {
            api: *api,
            model: self.options.model.as_deref(),
            prompt,
            max_tokens: tokens.get(),
            ignore_eos: forced,
            stream: *stream,
            session: session.as_deref(),
            extension: extension.as_ref(),
        };
        ask.to_json().expect("a chat has no token ids: the options were checked").into()
    }
}

/// What an emulated replica is told: how long the answer is, and what the cache holds when it has ended.
fn extension(request: &Request) -> Extension<'static> {
    let sequence = request.sequence.as_ref().map(|sequence| {
        let shared = request.prompt.common_blocks(sequence);
        Sequence {
            prompt_tokens_kept: request.prompt.tokens_in(shared).get(),
            text: Cow::Owned(chain_text(sequence, shared)),
        }
    });
    let output_tokens = Some(request.output_tokens.get());
    Extension { output_tokens, sequence, report_times: true }
}

fn token_ids(chain: &BlockChain, vocabulary: u32) -> Vec<u32> {
    let mut ids = Vec::with_capacity(chain.tokens().get() as usize);
    let mut before = 0;
    for (at, &id) in chain.ids().iter().enumerate() {
        let end = chain.tokens_in(at + 1).get();
        // At most the tokens of a block.
        block_token_ids(id, (end - before) as u32, vocabulary, &mut ids);
        before = end;
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use gorgo_text::Tokens as Rule;
    use gorgo_types::{OriginId, RequestId, Tokens};
    use gorgo_wire::{Api, Asked};

    fn chain(raw: &[u64], tokens: u64) -> BlockChain {
        BlockChain::from_raw_ids(raw.iter().copied(), Tokens(tokens), 16).unwrap()
    }

    fn request(raw: &[u64], tokens: u64) -> Request {
        Request {
            id: RequestId { session: 7, turn: 2 },
            user: None,
            has_session: true,
            prompt: chain(raw, tokens),
            output_tokens: Tokens(5),
            max_tokens: Tokens(9),
            sequence: None,
            origin: OriginId(0),
        }
    }

    fn writer(change: impl FnOnce(&mut Options)) -> Writer {
        let mut options = Options::new(vec![Target::parse("http://h").unwrap()]);
        change(&mut options);
        options.check().unwrap();
        Writer::new(&options)
    }

    #[test]
    fn prompts_share_in_their_text_what_they_share_in_the_workload() {
        let writer = writer(|_| ());
        let (one, two) = (request(&[1, 2, 3], 40), request(&[1, 2, 4], 48));
        let read = |request: &Request| {
            let body = writer.body(request);
            let asked = Asked::parse(Api::Completions, &body).unwrap();
            assert_eq!(asked.max_tokens, Some(5));
            assert!(asked.stream && asked.include_usage && asked.extension.is_none());
            asked.prompt.chain(&Rule::default(), 0, 16).unwrap()
        };
        let (a, b) = (read(&one), read(&two));
        assert_eq!((a.tokens(), b.tokens()), (Tokens(40), Tokens(48)));
        assert_eq!(a.common_blocks(&b), one.prompt.common_blocks(&two.prompt));
        assert_eq!(a.common_blocks(&b), 2);
    }

    #[test]
    fn an_emulated_replica_is_told_what_its_cache_holds_then() {
        let mut request = request(&[1, 2, 3], 40);
        request.sequence = Some(chain(&[1, 2, 8], 45));
        for api in Api::ALL {
            let writer = writer(|options| {
                options.emulated = true;
                options.api = api;
            });
            let body = writer.body(&request);
            let asked = Asked::parse(api, &body).unwrap();
            assert_eq!(asked.max_tokens, Some(9));
            let extension = asked.extension.unwrap();
            assert_eq!(extension.output_tokens, Some(5));
            let sequence = extension.sequence.unwrap();
            assert_eq!((sequence.prompt_tokens_kept, sequence.text.len()), (32, 13 * 4));
        }
    }

    #[test]
    fn token_ids_are_shared_likewise_and_stay_in_the_vocabulary() {
        let writer = writer(|options| options.prompts = Prompts::TokenIds(1_000));
        let ids = |request: &Request| match Asked::parse(Api::Completions, &writer.body(request)) {
            Ok(Asked { prompt: gorgo_wire::Prompt::TokenIds(mut lists), .. }) => lists.remove(0),
            other => panic!("{other:?}"),
        };
        let (a, b) = (ids(&request(&[1, 2, 3], 40)), ids(&request(&[1, 2, 4], 48)));
        assert_eq!((a.len(), b.len()), (40, 48));
        assert_eq!(a[..32], b[..32]);
        assert_ne!(a[32..40], b[32..40]);
        assert!(a.iter().chain(&b).all(|&id| id < 1_000));
    }

    #[test]
    fn the_workloads_names_go_with_the_request() {
        let key = (header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        let writer = writer(|options| options.headers = vec![key]);
        let named = |name: &str| Some(name.to_owned());
        let (region, residency) = (named("azure:eastus"), named("eu"));
        let origin = Origin { region, residency, ..Origin::default() };
        let headers = writer.headers(&request(&[1], 5), Some(&origin)).unwrap();
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(text("x-request-id"), "7.2");
        assert_eq!(text("x-session-id"), "7");
        assert_eq!(text("x-gorgo-origin-region"), "azure:eastus");
        assert_eq!(text("x-gorgo-residency"), "eu");
        assert_eq!(text("authorization"), "Bearer x");
        let origin = Origin { residency: named("e\nu"), ..Origin::default() };
        assert!(
            writer.headers(&request(&[1], 5), Some(&origin)).is_err(),
            "never without its zone"
        );
    }
}
