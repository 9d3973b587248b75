//! What a proxy is told: the checked form of its TOML file, every default filled in.
//!
//! The file's own form is in `config/tables.rs`, and how the one becomes the other in `config/resolve.rs`. Nothing is
//! opened here but the file itself and those that it names (tokens, certificates are read by `tls.rs`).

mod regions;
mod resolve;
mod tables;

pub(crate) use resolve::check_name;

use gorgo_config::Diagnostic;
use gorgo_routing::RouterConfig;
use gorgo_routing::tuner::TunerConfig;
use http::HeaderValue;
use http::uri::{PathAndQuery, Uri};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that a proxy is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where clients are served; port 0: any free one.
    pub listen: SocketAddr,
    /// Certificate chain and key of the proxy, PEM files; none: clients come in the clear.
    pub tls: Option<ServerTls>,
    /// Whom to trust at replicas' `https` URLs: a PEM file; none: the system's roots.
    pub upstream_ca: Option<PathBuf>,
    /// The region that it stands in: a name, for logs.
    pub region: Option<String>,
    /// Keys the draws of decisions.
    pub seed: u64,
    /// What `/v1/models` answers; empty: what a replica says.
    pub models: Vec<String>,
    /// How text is counted and cut.
    pub text: TextConfig,
    /// The policy.
    pub policy: PolicyConfig,
    /// What changes the policy's weights while it routes; none: nothing.
    pub tuner: Option<TunerConfig>,
    /// The router's parameters.
    pub router: RouterConfig,
    /// Whether what engines report as cached corrects the prefix index.
    pub learn_from_usage: bool,
    /// How often a request is sent in all, as long as no byte has reached the client; at least 1.
    pub attempts: u32,
    /// The fleet.
    pub replicas: Vec<ReplicaConfig>,
    /// The proxies of other regions; none: this one reaches every replica itself.
    pub peers: Vec<PeerConfig>,
    /// RTT probes.
    pub probe: ProbeConfig,
    /// Scrapes of the engines' metrics.
    pub scrape: ProbeConfig,
    /// What a client may ask of it.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The admin API; none: off.
    pub admin: Option<AdminConfig>,
    /// What is written down.
    pub log: LogConfig,
}

/// The proxy's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

/// How text becomes tokens and blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextConfig {
    /// A model's `tokenizer.json`; none: four characters are a token.
    pub tokenizer: Option<PathBuf>,
    /// Tokens that the chat template puts before each message.
    pub template_tokens: u32,
}

/// A policy by name.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyConfig {
    /// Its name in the registry.
    pub name: String,
    /// All its parameters.
    pub parameters: Map<String, Value>,
}

/// A replica of the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaConfig {
    /// Its name: at most 100 letters, digits and `-_.:/`.
    pub name: String,
    /// Its region, by name.
    pub region: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// The zone whose requests it may serve beside those that name none; none: only those.
    pub residency: Option<String>,
    /// Where its engine publishes KV events: `tcp://HOST:PORT` or `ipc://PATH`; none: it is not listened to.
    pub kv_events: Option<String>,
    /// How much it is meant to bear against the others, from 1 to [`gorgo_routing::MAX_WEIGHT`].
    pub weight: u32,
}

impl ReplicaConfig {
    /// Whether this is the same replica, of another weight perhaps: weights change while it serves.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let Self { name, region, endpoint, residency, kv_events, weight: _ } = self;
        *name == other.name
            && *region == other.region
            && *endpoint == other.endpoint
            && *residency == other.residency
            && *kv_events == other.kv_events
    }
}

/// The proxy of another region, through which its replicas are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its region, by name.
    pub region: String,
    /// Where it serves clients.
    pub endpoint: Endpoint,
}

/// A replica's address.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL as it was given.
    pub url: String,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it is `https`.
    pub tls: bool,
    /// The `Host` header.
    pub authority: HeaderValue,
    /// What stands before each path, without a slash at its end.
    pub base: String,
    /// The `Authorization` header that replaces the client's; none: the client's passes.
    pub authorization: Option<HeaderValue>,
}

/// A kind of probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// What is asked for.
    pub path: PathAndQuery,
    /// How often each replica is asked; none: never.
    pub interval: Option<Duration>,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Bounds on what clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections of clients; more wait to be accepted.
    pub connections: u32,
    /// Header fields of a request.
    pub headers: u32,
    /// Bytes of a request's head.
    pub header_bytes: u32,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Idle connections kept to each replica.
    pub idle_per_replica: u32,
}

/// Bounds on time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A request's head, from the connection's opening or the answer before; so also how long a connection may idle.
    pub head: Duration,
    /// A request's body, from its head.
    pub body: Duration,
    /// A client that takes none of what waits for it.
    pub write: Duration,
    /// Opening a connection to a replica, TLS included.
    pub connect: Duration,
    /// A replica's response headers, from the attempt's begin. An answer that is no stream takes its whole generation.
    pub response: Duration,
    /// Between two pieces of a response.
    pub pause: Duration,
    /// How long a connection to a replica is kept unused.
    pub idle: Duration,
    /// How old a connection to a replica may be when it is used again.
    pub age: Duration,
    /// How long requests may go on after the proxy was told to stop.
    pub drain: Duration,
}

/// The admin API's listener.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What `Authorization: Bearer` must say.
    pub token: String,
}

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `decisions.jsonl`; none: not written.
    pub decisions: Option<PathBuf>,
    /// `tune.jsonl`, what the tuner tries; none: not written.
    pub tuner: Option<PathBuf>,
    /// How many of the last decisions the admin API shows.
    pub decisions_kept: u32,
    /// Whether responses carry headers that explain the decision.
    pub decision_headers: bool,
}

impl std::fmt::Debug for AdminConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is for nobody's eyes.
        f.debug_struct("AdminConfig").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Endpoint").field(&self.url).finish()
    }
}

impl Config {
    /// Reads a configuration; `name` is what errors call it, and where its relative paths start.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place, its value, and what was wanted.
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostic> {
        resolve::config(name, text)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or as [`Config::parse`].
    pub fn from_file(path: &Path) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Diagnostic::whole_file(&name, format!("cannot be read: {error}")))?;
        Self::parse(&name, &text)
    }
}

impl Endpoint {
    /// Reads a URL: `http` or `https`, a host, perhaps a port and a path; nothing else.
    ///
    /// # Errors
    /// What is wrong with it, and what was wanted.
    pub fn parse(url: &str) -> Result<Self, String> {
        const WANTED: &str = "wanted http:// or https://, a host, perhaps a port and a path";
        let wrong = || format!("got {url:?}, {WANTED}");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
            return Err(format!("got {url:?} with a user, a query or a fragment, {WANTED}"));
        }
        let host = authority.host();
        // Not `authority.port()`, which takes what is no port for none.
        let port = match authority.as_str().strip_prefix(host).map(|rest| rest.strip_prefix(':')) {
            Some(None) => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(Some(port)) => port.parse().ok().filter(|&port| port > 0).ok_or_else(wrong)?,
            None => return Err(wrong()),
        };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            url: url.to_owned(),
            host: host.to_owned(),
            port,
            tls,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            base: uri.path().trim_end_matches('/').to_owned(),
            authorization: None,
        })
    }

    /// The target of a request there.
    pub(crate) fn uri(&self, target: &PathAndQuery) -> Uri {
        if self.base.is_empty() {
            return Uri::from(target.clone());
        }
        // Two valid paths, one after the other, are one.
        format!("{}{target}", self.base).parse().unwrap_or_else(|_| Uri::from(target.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_others_refused() {
        let one = Endpoint::parse("http://10.0.0.1:30000").unwrap();
        assert_eq!((one.host.as_str(), one.port, one.tls), ("10.0.0.1", 30_000, false));
        assert_eq!(one.uri(&PathAndQuery::from_static("/x?y=1")), "/x?y=1");
        let two = Endpoint::parse("https://[::1]/engines/a/").unwrap();
        assert_eq!((two.host.as_str(), two.port, two.tls), ("::1", 443, true));
        assert_eq!(two.uri(&PathAndQuery::from_static("/x")), "/engines/a/x");
        for bad in [
            "",
            "localhost:1",
            "ftp://a",
            "file:///etc/passwd",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://u:p@a",
            "http://a/?q",
            "http://a/#f",
            "http://a:",
            "http:///x",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
