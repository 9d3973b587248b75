//! What a live run is told beside its scenario: where the requests go, in which words, and how patient the client is.
//!
//! All of it is plain data; [`Options::check`] says what does not fit together before a socket is opened.

use crate::LiveError;
use crate::progress::Progress;
use gorgo_wire::Api;
use http::{HeaderName, HeaderValue, Uri};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// More tries of one request than anybody wants.
const MOST_RETRIES: u32 = 100;
/// The longest time-out: a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A URL that requests are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `http` or `https`, a host, perhaps a port and a path that stands before every API's own.
    pub url: Uri,
    /// The replica of the scenario that answers there; none: a proxy, or an engine that the scenario does not name.
    pub replica: Option<String>,
}

/// How long answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lengths {
    /// As long as the workload says: the engine is told to go on past the model's own end.
    #[default]
    Forced,
    /// As long as the model likes, up to the workload's limit.
    Natural,
}

/// How prompts are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prompts {
    /// As text of four characters a token, which is shared as far as the workload's prompts share their blocks.
    #[default]
    Text,
    /// As ids of tokens below this number, shared likewise: exact lengths whatever the tokenizer.
    TokenIds(u32),
}

/// Whether the way between client and router is the scenario's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientLegs {
    /// It is what it is.
    #[default]
    Real,
    /// The simulator's: each request waits for its way out before it is sent, and its way back is added to what is
    /// measured. The draws are the simulator's too, so that requests pair.
    Emulated,
}

/// How long the client waits, and how often it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the first token, from the sending; none: as long as for the end.
    pub first_token: Option<Duration>,
    /// For the end of an answer, from the first sending.
    pub whole: Duration,
    /// How often a request is sent again, as long as no token of an answer has come.
    pub retries: u32,
    /// How long to wait before the first retry; each later one waits twice as long.
    pub retry_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_token: None,
            whole: Duration::from_secs(600),
            retries: 0,
            retry_wait: Duration::from_millis(100),
        }
    }
}

/// How the proxy or the engines are told to change policy and to forget what they have cached.
#[derive(Clone)]
pub struct Admin {
    /// The proxy's admin listener; none: the targets are engines.
    pub proxy: Option<Uri>,
    /// The bearer token of the admin listener.
    pub token: Option<HeaderValue>,
    /// Whether caches are emptied before every run, and a probe asks whether they are empty.
    pub flush: bool,
}

/// Hears how a run goes.
pub type Hearer = dyn Fn(&Progress) + Send + Sync;

/// What a live run is told.
#[derive(Clone)]
pub struct Options {
    /// One URL: a proxy or an engine. More: the scenario's router picks among them, inside the client.
    pub targets: Vec<Target>,
    /// In which dialect.
    pub api: Api,
    /// The model's name in requests; none: the field is left out.
    pub model: Option<String>,
    /// Whether answers stream. Without, the time to the first token is that to the end.
    pub stream: bool,
    /// How long answers are.
    pub lengths: Lengths,
    /// How prompts are written.
    pub prompts: Prompts,
    /// Whether the replicas are emulated ones, which are told the workload's lengths and what their cache holds then.
    pub emulated: bool,
    /// Whether the way between client and router is the scenario's.
    pub client_legs: ClientLegs,
    /// Headers of every request, such as `authorization`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A file of certificates (PEM) to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// How patient the client is.
    pub patience: Patience,
    /// The run is invalid where the 99th percentile of the send lag is above this.
    pub lag_limit: Duration,
    /// From the start to time zero: the first prompts are written meanwhile.
    pub lead: Duration,
    /// How often each policy runs, interleaved with the others.
    pub rounds: u32,
    /// How policies are switched and caches emptied between runs; none: they are not.
    pub admin: Option<Admin>,
    /// Ends the run early; what there is by then is the result.
    pub stop: CancellationToken,
    /// Hears twice a second how it goes.
    pub progress: Option<Arc<Hearer>>,
}

impl Options {
    /// Everything as it usually is, against these URLs.
    #[must_use]
    pub fn new(targets: Vec<Target>) -> Self {
        Self {
            targets,
            api: Api::Completions,
            model: None,
            stream: true,
            lengths: Lengths::default(),
            prompts: Prompts::default(),
            emulated: false,
            client_legs: ClientLegs::default(),
            headers: Vec::new(),
            ca: None,
            patience: Patience::default(),
            lag_limit: Duration::from_millis(50),
            lead: Duration::from_millis(500),
            rounds: 1,
            admin: None,
            stop: CancellationToken::new(),
            progress: None,
        }
    }

    /// Checks what must fit together.
    ///
    /// # Errors
    /// [`LiveError::Option`], which names the option, its value and what was wanted.
    pub fn check(&self) -> Result<(), LiveError> {
        let refuse = |option: &'static str, got: String, wanted: &str| {
            Err(LiveError::Option { option, got, wanted: wanted.to_owned() })
        };
        if self.targets.is_empty() {
            return refuse("url", "none".to_owned(), "at least one URL");
        }
        if self.api == Api::Chat && matches!(self.prompts, Prompts::TokenIds(_)) {
            return refuse(
                "prompts",
                "token-ids".to_owned(),
                "text: a chat has no prompts of token ids",
            );
        }
        if let Prompts::TokenIds(vocabulary) = self.prompts
            && vocabulary < 256
        {
            return refuse("vocabulary", vocabulary.to_string(), "at least 256 ids of tokens");
        }
        if !(1..=1_000).contains(&self.rounds) {
            return refuse("rounds", self.rounds.to_string(), "from 1 to 1000");
        }
        if self.patience.retries > MOST_RETRIES {
            return refuse("retries", self.patience.retries.to_string(), "at most 100");
        }
        let Patience { connect, first_token, whole, retry_wait, .. } = self.patience;
        for (option, span) in [
            ("connect_timeout", connect),
            ("first_token_timeout", first_token.unwrap_or(whole)),
            ("timeout", whole),
            ("send_lag_limit", self.lag_limit),
        ] {
            if span.is_zero() || span > LONGEST {
                return refuse(option, format!("{span:?}"), "more than nothing and at most a day");
            }
        }
        if retry_wait > LONGEST {
            return refuse("retry_wait", format!("{retry_wait:?}"), "at most a day");
        }
        Ok(())
    }
}

impl Target {
    /// Reads `http://host:port/base`, or `replica=http://host:port/base`.
    ///
    /// # Errors
    /// [`LiveError::Option`] where it is no URL of that form.
    pub fn parse(text: &str) -> Result<Self, LiveError> {
        // An `=` after the scheme belongs to the URL.
        let named = text.split_once('=').filter(|(name, _)| !name.contains("://"));
        let (replica, url) = match named {
            Some((name, url)) => (Some(name.to_owned()), url),
            None => (None, text),
        };
        let refuse = |wanted: &str| LiveError::Option {
            option: "url",
            got: format!("`{text}`"),
            wanted: wanted.to_owned(),
        };
        let url: Uri = url.parse().map_err(|_| refuse("http://HOST:PORT or https://HOST:PORT"))?;
        let scheme = url.scheme_str();
        // A port that is too large is dropped in silence by whoever parses it.
        let has_port =
            |a: &http::uri::Authority| a.as_str().ends_with(a.host()) || a.port_u16().is_some();
        if !matches!(scheme, Some("http" | "https"))
            || url.host().is_none_or(str::is_empty)
            || !url.authority().is_some_and(has_port)
        {
            return Err(refuse("http://HOST:PORT or https://HOST:PORT"));
        }
        if url.query().is_some() || url.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(refuse(
                "a URL without a query and without a user's name (--header has those)",
            ));
        }
        if replica.as_deref() == Some("") {
            return Err(refuse("the name of a replica before the `=`"));
        }
        Ok(Self { url, replica })
    }
}

impl fmt::Display for Target {
    /// As [`Target::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.replica {
            Some(replica) => write!(f, "{replica}={}", self.url),
            None => write!(f, "{}", self.url),
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the token.
        let known = self.token.is_some();
        let Self { proxy, flush, .. } = self;
        f.debug_struct("Admin")
            .field("proxy", proxy)
            .field("has_token", &known)
            .field("flush", flush)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_their_replica() {
        let plain = Target::parse("http://127.0.0.1:9000").unwrap();
        assert_eq!((plain.url.port_u16(), plain.replica), (Some(9000), None));
        let named = Target::parse("us-1=https://host/base=1").unwrap();
        assert_eq!((named.url.path(), named.replica.as_deref()), ("/base=1", Some("us-1")));
        for bad in [
            "",
            "host",
            "ftp://host",
            "http://",
            "=http://host",
            "http://u:p@host",
            "http://host/?a=b",
            "/path",
            "http://host:99999",
        ] {
            let error = Target::parse(bad).expect_err(bad).to_string();
            assert!(error.starts_with("url: got `") && error.contains("wanted"), "{bad}: {error}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let good = Options::new(vec![Target::parse("http://h").unwrap()]);
        good.check().unwrap();
        let ids = |api, vocabulary| Options {
            api,
            prompts: Prompts::TokenIds(vocabulary),
            ..good.clone()
        };
        let patience = |patience| Options { patience, ..good.clone() };
        let cases = [
            (Options { targets: vec![], ..good.clone() }, "url"),
            (Options { rounds: 0, ..good.clone() }, "rounds"),
            (Options { lag_limit: Duration::ZERO, ..good.clone() }, "send_lag_limit"),
            (ids(Api::Chat, 1000), "prompts"),
            (ids(Api::Generate, 5), "vocabulary"),
            (patience(Patience { whole: Duration::ZERO, ..Patience::default() }), "timeout"),
            (
                patience(Patience { connect: Duration::MAX, ..Patience::default() }),
                "connect_timeout",
            ),
            (patience(Patience { retries: 101, ..Patience::default() }), "retries"),
            (
                patience(Patience { first_token: Some(Duration::ZERO), ..Patience::default() }),
                "first_token_timeout",
            ),
            (patience(Patience { retry_wait: Duration::MAX, ..Patience::default() }), "retry_wait"),
        ];
        for (options, part) in cases {
            let error = options.check().expect_err(part).to_string();
            assert!(error.contains(part) && error.contains("wanted"), "{error}");
        }
    }
}
