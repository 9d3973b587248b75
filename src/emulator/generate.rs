//! From the body of a request to what the replica is asked for, and what is refused.

use crate::body::{Answer, Body, Form, TokenStream, whole};
use crate::host::Served;
use crate::kv_events::Contents;
use crate::station::{Station, Submitted};
use crate::token_text::TokenText;
use crate::wire::Desk;
use bytes::Bytes;
use gorgo_model::ModelError;
use gorgo_text::{TextChain, Tokens, token_ids};
use gorgo_types::{BlockChain, BlockId, Nanos};
use gorgo_wire::reply::{Finish, Reply, error_body};
use gorgo_wire::request::Sequence;
use gorgo_wire::{Api, Asked, Prompt, Usage, WireError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Output tokens where the request names no limit. SGLang's own defaults: OpenAI's 16 for completions, 128 for its own
/// dialect; a chat goes on up to the context there, which a made-up answer would always do, so it gets 128 as well.
const DEFAULT_TOKENS: [(Api, u64); 3] =
    [(Api::Chat, 128), (Api::Completions, 16), (Api::Generate, 128)];

/// More output than any model gives: the answer's text is held in memory.
const MOST_TOKENS: u64 = 1 << 20;

/// Why a request was refused, always with 400.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("field `{field}`: got {got}, wanted {wanted}")]
    Field { field: &'static str, got: String, wanted: String },
    #[error(
        "Requested token count exceeds the model's maximum context length of {most} tokens. You requested a total of \
         {} tokens: {prompt} tokens from the input messages and {output} tokens for the completion.",
        prompt.saturating_add(*output)
    )]
    TooLong { prompt: u64, output: u64, most: u64 },
    #[error("{0}")]
    Model(ModelError),
}

/// What has become of a request.
pub(crate) enum Outcome {
    /// An answer, or the beginning of one, with its content type.
    Answer(Body, &'static str),
    /// A refusal: the body of a 400.
    Refused(Vec<u8>),
    /// The replica has crashed under it.
    Lost,
}

/// A request that the replica can be given.
struct Wanted {
    submitted: Submitted,
    form: Form,
    stream: bool,
    text: TokenText,
    /// What the request calls the model.
    model: Option<String>,
}

/// Longer bodies are parsed elsewhere: a thread that keeps time has about a quarter of a millisecond for this much.
const PARSED_HERE: usize = 64 << 10;

/// Reads a request and gives it to the replica. Its last byte was received at `received`.
pub(crate) async fn generate(
    served: &Arc<Served>,
    desk: &Arc<Desk>,
    api: Api,
    body: Vec<Bytes>,
    received: Nanos,
) -> Outcome {
    let read = if body.iter().map(Bytes::len).sum::<usize>() <= PARSED_HERE {
        read(served, api, &body, received)
    } else {
        let its = Arc::clone(served);
        let read = async move { read(&its, api, &body, received) };
        // Whoever has stopped parsing is about to end.
        let Ok(read) = served.elsewhere.spawn(read).await else { return Outcome::Lost };
        read
    };
    let answer = read.and_then(|wanted| begin(served, desk, wanted));
    match answer {
        Ok((answer, true)) => {
            let stream = Box::new(TokenStream::new(answer));
            Outcome::Answer(Body::Tokens(stream), "text/event-stream; charset=utf-8")
        }
        Ok((answer, false)) => match whole(answer).await {
            Some(body) => Outcome::Answer(body.into(), "application/json"),
            None => Outcome::Lost,
        },
        Err(refused) => {
            Outcome::Refused(error_body(api, &refused.to_string(), "BadRequestError", 400))
        }
    }
}

/// What a body asks for.
fn read(served: &Served, api: Api, body: &[Bytes], received: Nanos) -> Result<Wanted, Refused> {
    let joined: Vec<u8>;
    let body = match body {
        [body] => body,
        parts => {
            joined = parts.concat();
            &joined[..]
        }
    };
    let asked = Asked::parse(api, body)?;
    let mut wanted = wanted(&asked, served.block_tokens, served.tokens_per_chunk, received)?;
    wanted.model = asked.model.as_deref().map(ToOwned::to_owned);
    wanted.submitted.contents = served.station.publishes().then(|| contents(&asked));
    Ok(wanted)
}

fn begin(
    served: &Arc<Served>,
    desk: &Arc<Desk>,
    wanted: Wanted,
) -> Result<(Answer, bool), Refused> {
    let station = &served.station;
    let Wanted { submitted, form, stream, text, model } = wanted;
    let api = form.api;
    let prompt_tokens = submitted.prompt.tokens().get();
    let output = submitted.max_tokens;
    let answering = station
        .submit(submitted)
        .map_err(|error| refusal(error, station, prompt_tokens, output))?;
    let number = served.requests.fetch_add(1, Ordering::Relaxed);
    let prefix = match api {
        Api::Chat => "chatcmpl",
        Api::Completions => "cmpl",
        Api::Generate => "gen",
    };
    let id = format!("{prefix}-{}-{number}", station.name());
    let model = model.as_deref().unwrap_or(&served.model);
    let usage = Usage { prompt_tokens, completion_tokens: 0, cached_tokens: Some(0) };
    let answer = Answer {
        answering,
        reply: Reply::new(api, &id, model, crate::body::unix_seconds()),
        text,
        form,
        usage,
        desk: Arc::clone(desk),
        health: Arc::clone(&served.health),
    };
    Ok((answer, stream))
}

fn refusal(error: ModelError, station: &Station, prompt: u64, output: u64) -> Refused {
    match error {
        ModelError::TooLarge { .. } => {
            Refused::TooLong { prompt, output, most: station.kv_pool_tokens() }
        }
        other => Refused::Model(other),
    }
}

fn wanted(
    asked: &Asked<'_>,
    block_tokens: u32,
    tokens_per_chunk: u32,
    received: Nanos,
) -> Result<Wanted, Refused> {
    let several = match &asked.prompt {
        Prompt::Messages(_) => 1,
        Prompt::Texts(texts) => texts.len(),
        Prompt::TokenIds(lists) => lists.len(),
    };
    if several > 1 {
        let (got, wanted) = (format!("{several} prompts"), "one in each request".to_owned());
        return Err(Refused::Field { field: "prompt", got, wanted });
    }
    let tokens = Tokens::FourCharacters;
    let prompt = asked.prompt.chain(&tokens, 0, block_tokens)?;
    let default = DEFAULT_TOKENS.iter().find(|(api, _)| *api == asked.api).map_or(16, |d| d.1);
    let max_tokens = within("max_tokens", asked.max_tokens.unwrap_or(default))?;
    let extension = asked.extension.as_ref();
    let output_tokens = match extension.and_then(|extension| extension.output_tokens) {
        Some(output) => within("output_tokens", output)?.min(max_tokens),
        None => max_tokens,
    };
    let (sequence, known) = match extension.and_then(|extension| extension.sequence.as_ref()) {
        Some(sequence) => continued(sequence, &prompt, output_tokens, &tokens)?,
        None => (None, String::new()),
    };
    let seed = prompt.ids().last().copied().unwrap_or(BlockId(0));
    let finish = if output_tokens < max_tokens { Finish::Stop } else { Finish::Length };
    Ok(Wanted {
        submitted: Submitted {
            prompt,
            output_tokens,
            max_tokens,
            sequence,
            contents: None,
            received,
        },
        form: Form {
            api: asked.api,
            include_usage: asked.include_usage || asked.continuous_usage,
            continuous_usage: asked.continuous_usage,
            report_times: extension.is_some_and(|extension| extension.report_times),
            tokens_per_chunk,
            finish,
        },
        stream: asked.stream,
        text: TokenText::new(known, seed),
        model: None,
    })
}

/// The token ids of a request's prompt, and of prompt and answer where that is known.
fn contents(asked: &Asked<'_>) -> Contents {
    let prompt: Vec<u32> = match &asked.prompt {
        Prompt::Messages(messages) => {
            messages.iter().flat_map(|message| token_ids(&message.text)).collect()
        }
        Prompt::Texts(texts) => texts.iter().flat_map(|text| token_ids(text)).collect(),
        Prompt::TokenIds(lists) => lists.concat(),
    };
    let sequence = asked.extension.as_ref().and_then(|extension| extension.sequence.as_ref());
    let sequence = sequence.map_or_else(Vec::new, |sequence| {
        let kept = usize::try_from(sequence.prompt_tokens_kept).unwrap_or(usize::MAX);
        let mut ids: Vec<u32> = prompt.iter().take(kept).copied().collect();
        ids.extend(token_ids(&sequence.text));
        ids
    });
    Contents { prompt, sequence }
}

fn within(field: &'static str, tokens: u64) -> Result<u64, Refused> {
    if (1..=MOST_TOKENS).contains(&tokens) {
        return Ok(tokens);
    }
    Err(Refused::Field { field, got: tokens.to_string(), wanted: format!("1 to {MOST_TOKENS}") })
}

/// The chain of prompt and answer, and the answer's text.
fn continued(
    sequence: &Sequence<'_>,
    prompt: &BlockChain,
    output_tokens: u64,
    tokens: &Tokens,
) -> Result<(Option<BlockChain>, String), Refused> {
    let (kept, block) = (sequence.prompt_tokens_kept, u64::from(prompt.block_tokens()));
    let whole = prompt.whole_blocks() as u64 * block;
    if kept % block != 0 || kept > whole {
        let wanted = format!("whole blocks of {block} tokens, at most {whole}");
        return Err(Refused::Field { field: "prompt_tokens_kept", got: kept.to_string(), wanted });
    }
    // At most the prompt's blocks.
    let blocks = usize::try_from(kept / block).unwrap_or(usize::MAX);
    let mut chain = TextChain::continuing(tokens, prompt, blocks)
        .map_err(|error| Refused::Wire(error.into()))?;
    chain.text(&sequence.text).map_err(|error| Refused::Wire(error.into()))?;
    let wanted = prompt.tokens().get().saturating_add(output_tokens);
    if chain.count() < wanted {
        let (got, wanted) = (format!("{} tokens", chain.count()), format!("{wanted} tokens"));
        return Err(Refused::Field { field: "sequence", got, wanted });
    }
    let chain = chain.snapshot().map_err(|error| Refused::Wire(error.into()))?;
    // What stands before the answer is the rest of the prompt, four characters a token.
    let before = usize::try_from(4 * (prompt.tokens().get() - kept)).unwrap_or(usize::MAX);
    Ok((Some(chain), sequence.text.chars().skip(before).collect()))
}
