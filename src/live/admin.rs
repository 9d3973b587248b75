//! Before a run: the proxy takes another policy, and caches are emptied and seen to be empty.
//!
//! A proxy is told through its admin API: `PUT /policy`, `POST /flush` (the engines behind it), `POST /cache/clear` (what it
//! believes of them). Engines are told themselves: SGLang's `/flush_cache`, else vLLM's `/reset_prefix_cache`. That they
//! are empty is asked with a prompt that had just been sent: of a proxy, whichever replica answers.

use crate::LiveError;
use crate::attempt::{Answer, Ask, End, Heard, attempt, exchange};
use crate::clock::Clock;
use crate::connection::{Endpoint, tls};
use crate::options::{Admin, Options};
use crate::prepare::Writer;
use gorgo_scenario::PolicySpec;
use gorgo_types::{BlockChain, OriginId, Request, RequestId, Tokens};
use http::{HeaderMap, HeaderValue, Method, header};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An engine empties its cache only while it has nothing to do: how long to ask again.
const UNTIL_IDLE: Duration = Duration::from_secs(30);
/// Between two askings.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the admin API may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The probe's prompt: whole blocks in any engine's size.
const PROBE_TOKENS: u64 = 2_048;
/// What the probe's blocks are made from; no workload has a session of this number.
const PROBE: u64 = u64::MAX;

/// What must be so before a run of this policy.
///
/// # Errors
/// [`LiveError::Admin`]: what was asked of whom, and what came of it.
pub(crate) async fn before_run(
    admin: &Admin,
    options: &Options,
    endpoints: &[Arc<Endpoint>],
    policy: &PolicySpec,
) -> Result<(), LiveError> {
    let proxy = match &admin.proxy {
        None => None,
        Some(url) => {
            let secure = url.scheme_str() == Some("https");
            let tls = if secure { Some(tls(options.ca.as_deref())?) } else { None };
            Some(Endpoint::new(url, tls.as_ref())?)
        }
    };
    if let Some(proxy) = &proxy {
        let body = serde_json::json!({ "name": policy.name, "parameters": policy.parameters });
        told(admin, proxy, Method::PUT, "/policy", body.to_string()).await?;
    }
    if !admin.flush {
        return Ok(());
    }
    let probe = Probe::new(options)?;
    for endpoint in endpoints {
        probe.cached(endpoint, options).await?;
        // Behind a proxy the second one may meet another replica.
        let warm = probe.cached(endpoint, options).await?;
        if warm == 0 && proxy.is_none() {
            let problem =
                "a prompt sent twice was not found in the cache: emptying it cannot be checked";
            return Err(refuse(endpoint, "the probe of the cache", problem.to_owned()));
        }
    }
    flush(admin, proxy.as_ref(), endpoints).await?;
    for endpoint in endpoints {
        let left = probe.cached(endpoint, options).await?;
        if left > 0 {
            let problem = format!("{left} tokens of a probe are still cached after it was emptied");
            return Err(refuse(endpoint, "the probe of the cache", problem));
        }
    }
    // The probe itself is not to be found by anybody.
    flush(admin, proxy.as_ref(), endpoints).await
}

fn refuse(endpoint: &Endpoint, what: &str, problem: String) -> LiveError {
    LiveError::Admin { what: format!("{} {what}", endpoint.name), problem }
}

async fn flush(
    admin: &Admin,
    proxy: Option<&Endpoint>,
    endpoints: &[Arc<Endpoint>],
) -> Result<(), LiveError> {
    if let Some(proxy) = proxy {
        told(admin, proxy, Method::POST, "/flush", String::new()).await?;
        return told(admin, proxy, Method::POST, "/cache/clear", String::new()).await;
    }
    for endpoint in endpoints {
        let sglang = told(admin, endpoint, Method::POST, "/flush_cache", String::new()).await;
        if matches!(&sglang, Err(LiveError::Admin { problem, .. }) if problem.contains("404")) {
            told(admin, endpoint, Method::POST, "/reset_prefix_cache", String::new()).await?;
        } else {
            sglang?;
        }
    }
    Ok(())
}

/// Asks until it is done: an engine that is still at work says so.
async fn told(
    admin: &Admin,
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    body: String,
) -> Result<(), LiveError> {
    let what = format!("{method} {path}");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(token) = &admin.token {
        headers.insert(header::AUTHORIZATION, token.clone());
    }
    let until = Instant::now() + UNTIL_IDLE;
    loop {
        let asked = exchange(endpoint, method.clone(), path, headers.clone(), body.clone().into());
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        let Answer { status, text, .. } =
            answer.map_err(|problem| refuse(endpoint, &what, problem))?;
        if (200..300).contains(&status) {
            return Ok(());
        }
        // A proxy says 502 where one of its engines is at work.
        let busy = matches!(status, 400 | 409 | 502 | 503) && path != "/policy";
        if !busy || Instant::now() >= until {
            let words: String = text.chars().take(200).collect();
            return Err(refuse(endpoint, &what, format!("status {status}: {}", words.trim())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A prompt that nobody else sends.
struct Probe {
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl Probe {
    fn new(options: &Options) -> Result<Self, LiveError> {
        let ids = (0..PROBE_TOKENS / 16).map(|block| PROBE - block);
        let prompt = BlockChain::from_raw_ids(ids, Tokens(PROBE_TOKENS), 16);
        let request = Request {
            id: RequestId { session: PROBE, turn: 0 },
            user: None,
            has_session: false,
            prompt: prompt.expect("as many blocks as the tokens fill"),
            output_tokens: Tokens(1),
            max_tokens: Tokens(1),
            sequence: None,
            origin: OriginId(0),
        };
        let writer = Writer::new(options);
        Ok(Self { headers: writer.headers(&request, None)?, body: writer.body(&request) })
    }

    /// How many of its tokens were cached.
    async fn cached(&self, endpoint: &Arc<Endpoint>, options: &Options) -> Result<u64, LiveError> {
        let deadline = Instant::now() + options.patience.whole;
        let ask = Ask {
            endpoint,
            api: options.api,
            headers: &self.headers,
            body: self.body.clone(),
            clock: Clock::starting_in(Duration::ZERO),
            connect_timeout: options.patience.connect,
            deadlines: [deadline; 2],
            news: &|_| (),
        };
        let mut heard = Heard::default();
        let what = "the probe of the cache";
        match attempt(&ask, &mut heard).await {
            End::Done => {}
            end => return Err(refuse(endpoint, what, format!("{end:?}"))),
        }
        heard.usage.and_then(|usage| usage.cached_tokens).ok_or_else(|| {
            let problem =
                "the usage does not tell cached tokens (vLLM: --enable-prompt-tokens-details)";
            refuse(endpoint, what, problem.to_owned())
        })
    }
}
