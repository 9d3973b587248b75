//! Before a run: the proxy takes another policy, and caches are emptied and seen to be empty.
//!
//! A proxy is told through its admin API: `PUT /policy`, `POST /flush` (the engines behind it), `POST /cache/clear` (what it
//! believes of them). Engines are told themselves: SGLang's `/flush_cache`, else vLLM's `/reset_prefix_cache`. That they
//! are empty is asked with a prompt that had just been sent, of each engine. A proxy takes turns for it (`round-robin`), and
//! its decision log says who was met.

use crate::LiveError;
use crate::attempt::{Answer, Ask, End, Heard, attempt, exchange};
use crate::clock::Clock;
use crate::connection::{Endpoint, tls};
use crate::options::{Admin, Options};
use crate::prepare::Writer;
use gorgo_scenario::PolicySpec;
use gorgo_types::{BlockChain, OriginId, Request, RequestId, Tokens};
use http::{HeaderMap, HeaderValue, Method, header};
use std::collections::BTreeMap;
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
/// What the probe is called.
const PROBE_ID: RequestId = RequestId { session: PROBE, turn: 0 };
/// What is said of an error.
const PROBING: &str = "the probe of the cache";

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
    if admin.flush {
        let probe = Probe::new(options)?;
        match &proxy {
            Some(proxy) => {
                for endpoint in endpoints {
                    empty_behind(admin, proxy, endpoint, &probe, options).await?;
                }
            }
            None => empty(admin, endpoints, &probe, options).await?,
        }
    }
    if let Some(proxy) = &proxy {
        let body = serde_json::json!({ "name": policy.name, "parameters": policy.parameters });
        told(admin, proxy, Method::PUT, "/policy", body.to_string()).await?;
    }
    Ok(())
}

const NOT_FOUND: &str =
    "a prompt sent twice was not found in the cache: emptying it cannot be checked";

fn still_there(left: u64) -> String {
    format!("{left} tokens of a probe are still cached after it was emptied")
}

/// Empties engines that are reached directly, and sees that they are.
async fn empty(
    admin: &Admin,
    endpoints: &[Arc<Endpoint>],
    probe: &Probe,
    options: &Options,
) -> Result<(), LiveError> {
    for endpoint in endpoints {
        probe.cached(endpoint, options).await?;
        if probe.cached(endpoint, options).await? == 0 {
            return Err(refuse(endpoint, PROBING, NOT_FOUND.to_owned()));
        }
    }
    flush(admin, None, endpoints).await?;
    for endpoint in endpoints {
        let left = probe.cached(endpoint, options).await?;
        if left > 0 {
            return Err(refuse(endpoint, PROBING, still_there(left)));
        }
    }
    // The probe itself is not to be found by anybody.
    flush(admin, None, endpoints).await
}

/// Empties all engines behind a proxy, and sees of each that it is.
async fn empty_behind(
    admin: &Admin,
    proxy: &Endpoint,
    endpoint: &Arc<Endpoint>,
    probe: &Probe,
    options: &Options,
) -> Result<(), LiveError> {
    let turns = serde_json::json!({ "name": "round-robin" }).to_string();
    told(admin, proxy, Method::PUT, "/policy", turns).await?;
    let fleet = Fleet::of(admin, proxy).await?;
    let of = |name: &str| format!("{PROBING} of replica `{name}`");
    for (name, seen) in fleet.probed(2, endpoint, probe, options).await? {
        if seen.last() == Some(&0) {
            return Err(refuse(proxy, &of(&name), NOT_FOUND.to_owned()));
        }
    }
    flush(admin, Some(proxy), &[]).await?;
    for (name, seen) in fleet.probed(1, endpoint, probe, options).await? {
        if let Some(&left) = seen.first().filter(|&&left| left > 0) {
            return Err(refuse(proxy, &of(&name), still_there(left)));
        }
    }
    // The probe itself is not to be found by anybody.
    flush(admin, Some(proxy), &[]).await
}

/// The replicas that a proxy has in service.
struct Fleet<'a> {
    admin: &'a Admin,
    proxy: &'a Endpoint,
    /// Names by the proxy's numbers.
    names: BTreeMap<u64, String>,
    /// Turns until each has had one.
    round: u64,
}

impl<'a> Fleet<'a> {
    async fn of(admin: &'a Admin, proxy: &'a Endpoint) -> Result<Self, LiveError> {
        let told = read(admin, proxy, "/servers").await?;
        let mut fleet = Self { admin, proxy, names: BTreeMap::new(), round: 0 };
        for server in told["servers"].as_array().into_iter().flatten() {
            let serves = server["draining"] == false && server["eligible"] != false;
            if let (Some(id), Some(name)) = (server["id"].as_u64(), server["name"].as_str())
                && serves
            {
                fleet.names.insert(id, name.to_owned());
                fleet.round += server["weight"].as_u64().unwrap_or(1);
            }
        }
        if fleet.names.is_empty() {
            let problem = "the proxy has no replica in service".to_owned();
            return Err(refuse(proxy, "GET /servers", problem));
        }
        Ok(fleet)
    }

    /// Sends the probe until each replica has had it so often: what each had of it in its cache, time after time.
    async fn probed(
        &self,
        times: usize,
        endpoint: &Arc<Endpoint>,
        probe: &Probe,
        options: &Options,
    ) -> Result<BTreeMap<String, Vec<u64>>, LiveError> {
        let empty = self.names.values().map(|name| (name.clone(), Vec::new()));
        let mut seen: BTreeMap<String, Vec<u64>> = empty.collect();
        // Other requests take turns away, and a replica may be passed over for a moment.
        let most = (times as u64 + 1) * 4 * self.round + 16;
        for _ in 0..most {
            let cached = probe.cached(endpoint, options).await?;
            let met = self.met().await?.and_then(|id| self.names.get(&id));
            if let Some(seen) = met.and_then(|name| seen.get_mut(name)) {
                seen.push(cached);
            }
            if seen.values().all(|seen| seen.len() >= times) {
                return Ok(seen);
            }
        }
        let missed = seen.iter().filter(|(_, seen)| seen.len() < times).map(|(name, _)| &**name);
        let missed = missed.collect::<Vec<_>>().join(", ");
        let problem = format!("{most} probes in turns did not reach {missed} {times} times");
        Err(refuse(self.proxy, PROBING, problem))
    }

    /// Whom the last probe met, by the proxy's decision log.
    async fn met(&self) -> Result<Option<u64>, LiveError> {
        let rows = read(self.admin, self.proxy, "/decisions").await?;
        let rows = rows.as_array().filter(|rows| !rows.is_empty());
        let Some(rows) = rows else {
            let problem = "the proxy keeps no decisions, wanted log.decisions_kept above 0";
            return Err(refuse(self.proxy, "GET /decisions", problem.to_owned()));
        };
        let id = PROBE_ID.to_string();
        let last = rows.iter().find(|row| row["request"].as_str() == Some(&id));
        Ok(last.and_then(|row| row["chosen"]["replica"].as_u64()))
    }
}

/// What an admin API shows.
async fn read(admin: &Admin, proxy: &Endpoint, path: &str) -> Result<serde_json::Value, LiveError> {
    let text = told(admin, proxy, Method::GET, path, String::new()).await?;
    serde_json::from_str(&text)
        .map_err(|error| refuse(proxy, &format!("GET {path}"), error.to_string()))
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
        told(admin, proxy, Method::POST, "/cache/clear", String::new()).await?;
        return Ok(());
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

/// Asks until it is done, and gives the answer: an engine that is still at work says so.
async fn told(
    admin: &Admin,
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    body: String,
) -> Result<String, LiveError> {
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
            return Ok(text);
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
            id: PROBE_ID,
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
        let what = PROBING;
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
