//! From the file's tables to a checked [`Config`]: defaults, ranges, names, and errors that stand on the value.

use super::tables::{
    AdminTable, File, HealthTable, IndexTable, PolicyTable, ProbeTable, ReplicaTable, RouterTable,
    TunerTable,
};
use super::{
    AdminConfig, Config, Endpoint, Limits, LogConfig, PolicyConfig, ProbeConfig, ReplicaConfig,
    ServerTls, TextConfig, Timeouts,
};
use gorgo_config::{Count, Diagnostic, Document, Located, PositiveDuration, Reader, Source};
use gorgo_routing::health::{CircuitConfig, HealthConfig, OutlierConfig};
use gorgo_routing::registry::{self, RegistryError};
use gorgo_routing::tuner::{Bounds, StrategyConfig, Tuner, TunerConfig};
use gorgo_routing::{IndexBound, LearnAt, MAX_REPLICAS, MAX_WEIGHT, Policy, RouterConfig};
use gorgo_text::MAX_TEMPLATE_TOKENS;
use http::HeaderValue;
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeTable;

/// Spacing of probes and scrapes, as in scenarios.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a probe's answer may take, as in scenarios (GORGO v2's router).
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// A prompt of a million tokens as JSON, and some room.
const BODY_BYTES: usize = 16 << 20;

pub(super) fn config(name: &str, text: &str) -> Result<Config, Diagnostic> {
    let source = Source::new(name, text);
    let document = source.document()?;
    let folder = Path::new(name).parent().map(Path::to_path_buf).unwrap_or_default();
    let context = Context { document: &document, folder };
    let file: File = document.read()?;
    context.config(&file)
}

pub(super) struct Context<'a> {
    pub(super) document: &'a Document<'a>,
    /// Where relative paths start.
    folder: PathBuf,
}

impl Context<'_> {
    fn config(&self, file: &File) -> Result<Config, Diagnostic> {
        let (policy, built) = self.policy(file.policy.as_ref())?;
        let router = self.router(file)?;
        let replicas = self.replicas(&file.replica, &router)?;
        Ok(Config {
            listen: self.address(file.listen.as_ref(), "127.0.0.1:8080")?,
            tls: file.tls.as_ref().map(|tls| ServerTls {
                certificate: self.path(&tls.certificate),
                key: self.path(&tls.key),
            }),
            upstream_ca: file
                .upstream_tls
                .as_ref()
                .and_then(|tls| Some(self.path(tls.ca.as_ref()?))),
            region: self.optional_name(file.region.as_ref())?,
            seed: file.seed.unwrap_or(0),
            models: file.models.iter().flatten().map(|m| m.value.clone()).collect(),
            text: self.text(file)?,
            tuner: match &file.tuner {
                Some(tuner) => Some(self.tuner(tuner, &*built)?),
                None => None,
            },
            policy,
            learn_from_usage: self.learn_from_usage(&file.router, &router)?,
            peers: self.peers(file, &router.reach, &replicas)?,
            replicas,
            attempts: self.small(file.router.attempts.as_ref(), 3, 100)?,
            router,
            probe: self.probe(&file.probe, "/health")?,
            scrape: self.probe(&file.scrape, "/metrics")?,
            limits: self.limits(file)?,
            timeouts: timeouts(file),
            admin: match &file.admin {
                Some(admin) => Some(self.admin(admin)?),
                None => None,
            },
            log: LogConfig {
                decisions: file.log.decisions.as_ref().map(|path| self.path(path)),
                tuner: file.log.tuner.as_ref().map(|path| self.path(path)),
                decisions_kept: match &file.log.decisions_kept {
                    Some(kept) if kept.value > 10_000 => {
                        return Err(self.wrong(kept, kept.value, "at most 10000"));
                    }
                    Some(kept) => kept.value,
                    None => 100,
                },
                decision_headers: file.log.decision_headers.unwrap_or(false),
            },
        })
    }

    pub(super) fn wrong<T>(
        &self,
        place: &Located<T>,
        got: impl std::fmt::Display,
        wanted: &str,
    ) -> Diagnostic {
        self.document.blame(place, format!("got {got}, wanted {wanted}"))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn address(
        &self,
        given: Option<&Located<String>>,
        default: &str,
    ) -> Result<SocketAddr, Diagnostic> {
        let text = given.map_or(default, |given| given.value.as_str());
        text.parse().map_err(|_| {
            let wanted = "an address and a port, such as \"0.0.0.0:8080\" or \"[::1]:0\"";
            let place = given.cloned().unwrap_or_default();
            self.wrong(&place, format!("{text:?}"), wanted)
        })
    }

    /// Names become headers, labels and parts of paths.
    pub(super) fn name(&self, given: &Located<String>) -> Result<String, Diagnostic> {
        check_name(&given.value).map_err(|problem| self.document.blame(given, problem))?;
        Ok(given.value.clone())
    }

    fn optional_name(&self, given: Option<&Located<String>>) -> Result<Option<String>, Diagnostic> {
        given.map(|given| self.name(given)).transpose()
    }

    /// A whole number from 1 to `most`.
    pub(super) fn small(
        &self,
        given: Option<&Located<Count>>,
        default: u32,
        most: u32,
    ) -> Result<u32, Diagnostic> {
        let Some(given) = given else { return Ok(default) };
        let number = u32::try_from(given.value.0).ok().filter(|&number| number <= most);
        number.ok_or_else(|| {
            self.wrong(given, given.value.0, &format!("a whole number from 1 to {most}"))
        })
    }

    fn text(&self, file: &File) -> Result<TextConfig, Diagnostic> {
        let template_tokens = match &file.text.template_tokens {
            Some(given) if given.value > MAX_TEMPLATE_TOKENS => {
                return Err(self.wrong(
                    given,
                    given.value,
                    &format!("at most {MAX_TEMPLATE_TOKENS}"),
                ));
            }
            Some(given) => given.value,
            None => 0,
        };
        let tokenizer = file.text.tokenizer.as_ref();
        if let Some(given) = tokenizer.filter(|_| !cfg!(feature = "tokenizer")) {
            let problem = "exact tokens need a build with the feature `tokenizer`: cargo build --release --features live,tokenizer";
            return Err(self.document.blame(given, problem));
        }
        Ok(TextConfig { tokenizer: tokenizer.map(|path| self.path(&path.value)), template_tokens })
    }

    fn router(&self, file: &File) -> Result<RouterConfig, Diagnostic> {
        let (given, default) = (&file.router, RouterConfig::default());
        let alpha = given.rtt_ewma_alpha.as_ref();
        if let Some(alpha) = alpha.filter(|alpha| alpha.value.0 == 0.0) {
            return Err(self.wrong(alpha, 0, "a number above 0 and at most 1"));
        }
        let most = u32::MAX;
        let config = RouterConfig {
            rtt_ewma_alpha: alpha.map_or(default.rtt_ewma_alpha, |alpha| alpha.value.0),
            learn_at: given.learn_at.as_ref().map_or(default.learn_at, |at| at.value),
            release_at: given.release_at.unwrap_or(default.release_at),
            index: self.index(given.index.as_ref())?,
            health: self.health(&file.health, file.probe.off == Some(true))?,
            max_in_flight_per_replica: match &given.max_in_flight_per_replica {
                Some(limit) => Some(self.small(Some(limit), 1, most)?),
                None => None,
            },
            max_queue: given.queue_limit.unwrap_or(1024),
            queue_timeout: Some(
                given.queue_timeout.map_or(gorgo_types::Nanos::from_secs(30), |span| span.0),
            ),
            serial_queue: given.serial_queue.unwrap_or(false),
            queue_interval: given.queue_interval.map(|span| span.0),
            block_tokens: self.small(
                file.text.block_tokens.as_ref(),
                default.block_tokens,
                most,
            )?,
            reach: self.reach(file)?,
            ..default
        };
        config.validate().map_err(|error| match &given.index {
            Some(index) => self.document.blame(index, error.to_string()),
            None => Diagnostic::whole_file(self.document.name(), error.to_string()),
        })?;
        Ok(config)
    }

    fn health(
        &self,
        given: &Located<HealthTable>,
        no_probes: bool,
    ) -> Result<Option<HealthConfig>, Diagnostic> {
        let table = &given.value;
        if table.off == Some(true) {
            return Ok(None);
        }
        let default = HealthConfig::default();
        let circuit = default.circuit;
        let nanos = |span: Option<PositiveDuration>, default| span.map_or(default, |span| span.0);
        let probes = if no_probes { 0 } else { default.unhealthy_after_probes };
        let outliers = table.outliers.as_ref().map(|table| {
            let default = OutlierConfig::default();
            OutlierConfig {
                interval: nanos(table.interval, default.interval),
                failed_share: table.failed_share.unwrap_or(default.failed_share),
                min_requests: table.min_requests.unwrap_or(default.min_requests),
                min_replicas: table.min_replicas.unwrap_or(default.min_replicas),
                max_ejected_share: table.max_ejected_share.unwrap_or(default.max_ejected_share),
            }
        });
        let health = HealthConfig {
            unhealthy_after_probes: table.unhealthy_after_probes.unwrap_or(probes),
            unhealthy_after_scrapes: table
                .unhealthy_after_scrapes
                .unwrap_or(default.unhealthy_after_scrapes),
            healthy_after: table.healthy_after.unwrap_or(default.healthy_after),
            open_after_failures: table.open_after_failures.unwrap_or(default.open_after_failures),
            circuit: CircuitConfig {
                open_for: nanos(table.circuit.open_for, circuit.open_for),
                open_at_most: nanos(table.circuit.open_at_most, circuit.open_at_most),
                trials: table.circuit.trials.unwrap_or(circuit.trials),
                passes: table.circuit.passes.unwrap_or(circuit.passes),
            },
            outliers,
            keep_last: table.keep_last.unwrap_or(default.keep_last),
        };
        health.validate().map_err(|error| self.document.blame(given, error.to_string()))?;
        Ok(Some(health))
    }

    fn index(&self, given: Option<&Located<IndexTable>>) -> Result<IndexBound, Diagnostic> {
        let Some(given) = given else { return Ok(IndexBound::Unbounded) };
        match &given.value {
            IndexTable { unbounded: Some(_), end_tagged: None, lru: None } => {
                Ok(IndexBound::Unbounded)
            }
            IndexTable { unbounded: None, end_tagged: Some(_), lru: None } => {
                Ok(IndexBound::EndTagged)
            }
            IndexTable { unbounded: None, end_tagged: None, lru: Some(lru) } => {
                let capacity_tokens_per_replica = lru.capacity_tokens_per_replica.0;
                Ok(IndexBound::Lru { capacity_tokens_per_replica })
            }
            _ => {
                let wanted = "one of the tables unbounded, end_tagged and lru";
                Err(self.document.blame(given, format!("wanted {wanted}")))
            }
        }
    }

    fn learn_from_usage(
        &self,
        given: &RouterTable,
        router: &RouterConfig,
    ) -> Result<bool, Diagnostic> {
        let Some(wanted) = &given.learn_from_usage else { return Ok(false) };
        if wanted.value && router.learn_at != LearnAt::Finished {
            let problem = "got true without learn_at = \"finished\": the usage comes with the end, and a prompt that was \
                           learned before would be taken for one that was there already";
            return Err(self.document.blame(wanted, problem));
        }
        Ok(wanted.value)
    }

    fn policy(
        &self,
        given: Option<&Located<PolicyTable>>,
    ) -> Result<(PolicyConfig, Box<dyn Policy>), Diagnostic> {
        let nothing = Spanned::new(0..0, DeTable::new());
        let name = match given {
            None => Located::nowhere("gorgo".to_owned()),
            Some(given) if given.value.is_table => given.value.name.clone(),
            Some(given) => given.with(given.value.name.value.clone()),
        };
        let reader = match self.document.at(&["policy"]) {
            Some(place) if given.is_some_and(|given| given.value.is_table) => {
                Reader::new(place).only(|key| key != "name")
            }
            _ => Reader::table(&nothing),
        };
        let json = serde_json::value::Serializer;
        let (built, parameters) =
            registry::resolve(&name.value, reader, json).map_err(|error| match error {
                RegistryError::UnknownPolicy { .. } => {
                    let problem = format!("got {:?}, wanted a policy", name.value);
                    let known = registry::names().iter().copied();
                    self.document.blame(&name, problem).known("policies", &name.value, known)
                }
                RegistryError::Unreadable(error) => self.document.explain(&error),
                RegistryError::Parameter(error) => self.document.blame(&name, error.to_string()),
            })?;
        let parameters = match parameters {
            Ok(Value::Object(parameters)) => parameters,
            _ => Map::new(),
        };
        Ok((PolicyConfig { name: name.value, parameters }, built))
    }

    fn tuner(
        &self,
        given: &Located<TunerTable>,
        policy: &dyn Policy,
    ) -> Result<TunerConfig, Diagnostic> {
        let table = &given.value;
        let strategy = match (table.one_fifth, table.paired) {
            (Some(parameters), None) => StrategyConfig::OneFifth(parameters),
            (None, Some(parameters)) => StrategyConfig::Paired(parameters),
            _ => {
                let problem = "wanted exactly one of the tables one_fifth and paired";
                return Err(self.document.blame(given, problem));
            }
        };
        let weights = table.weights.iter();
        let weights = weights.map(|(name, [low, high])| Bounds {
            name: name.clone(),
            low: *low,
            high: *high,
        });
        let objective = table.objective.unwrap_or_default();
        let config = TunerConfig { weights: weights.collect(), objective, strategy };
        Tuner::of(&config, policy, 0)
            .map_err(|error| self.document.blame(given, error.to_string()))?;
        Ok(config)
    }

    fn replicas(
        &self,
        given: &[Located<ReplicaTable>],
        router: &RouterConfig,
    ) -> Result<Vec<ReplicaConfig>, Diagnostic> {
        let mut replicas: Vec<ReplicaConfig> = Vec::new();
        for place in given {
            let ReplicaTable { name, region, url, residency, api_key_env, kv_events, weight } =
                &place.value;
            if replicas.iter().any(|other| other.name == name.value) {
                let got = format!("{:?} a second time", name.value);
                return Err(self.wrong(name, got, "each name once"));
            }
            let mut endpoint =
                Endpoint::parse(&url.value).map_err(|problem| self.document.blame(url, problem))?;
            if let Some(variable) = api_key_env {
                endpoint.authorization = Some(self.api_key(variable)?);
            }
            replicas.push(ReplicaConfig {
                name: self.name(name)?,
                region: self
                    .optional_name(region.as_ref())?
                    .unwrap_or_else(|| "default".to_owned()),
                endpoint,
                residency: self.optional_name(residency.as_ref())?,
                kv_events: match kv_events {
                    Some(endpoint) => Some(self.kv_events(endpoint, router)?),
                    None => None,
                },
                weight: self.small(weight.as_ref(), 1, MAX_WEIGHT)?,
            });
        }
        if replicas.len() > MAX_REPLICAS as usize {
            let problem = format!("got {} replicas, wanted at most {MAX_REPLICAS}", replicas.len());
            return Err(Diagnostic::whole_file(self.document.name(), problem));
        }
        Ok(replicas)
    }

    fn kv_events(
        &self,
        given: &Located<String>,
        router: &RouterConfig,
    ) -> Result<String, Diagnostic> {
        let endpoint = given.value.as_str();
        let rest = endpoint.strip_prefix("tcp://").or_else(|| endpoint.strip_prefix("ipc://"));
        if rest.is_none_or(str::is_empty) {
            let wanted = "\"tcp://HOST:PORT\" or \"ipc://PATH\"";
            return Err(self.wrong(given, format!("{endpoint:?}"), wanted));
        }
        if router.learn_at != LearnAt::KvEvent {
            let problem = "got events to listen to, wanted router.learn_at = \"kv-event\" too: an index holds what \
                           engines say, or what the router guesses";
            return Err(self.document.blame(given, problem));
        }
        Ok(endpoint.to_owned())
    }

    pub(super) fn api_key(&self, variable: &Located<String>) -> Result<HeaderValue, Diagnostic> {
        let key = std::env::var(&variable.value).map_err(|_| {
            let got = format!("{:?}, which is not set", variable.value);
            self.wrong(variable, got, "an environment variable with the replica's key")
        })?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.trim())).map_err(|_| {
            let got = format!("{:?}, whose value cannot be sent", variable.value);
            self.wrong(variable, got, "printable characters")
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn probe(&self, given: &ProbeTable, path: &'static str) -> Result<ProbeConfig, Diagnostic> {
        let path = match &given.path {
            None => http::uri::PathAndQuery::from_static(path),
            Some(given) => {
                let path = given.value.parse().ok().filter(|_| given.value.starts_with('/'));
                path.ok_or_else(|| self.wrong(given, format!("{:?}", given.value), "a path"))?
            }
        };
        let span = |span: Option<PositiveDuration>, default| span.map_or(default, duration);
        let interval = Some(span(given.interval, INTERVAL)).filter(|_| given.off != Some(true));
        Ok(ProbeConfig { path, interval, timeout: span(given.timeout, PROBE_TIMEOUT) })
    }

    fn limits(&self, file: &File) -> Result<Limits, Diagnostic> {
        let given = &file.limits;
        let header_bytes = match &given.header_size {
            Some(size) => u32::try_from(size.value.0)
                .ok()
                .filter(|&bytes| (8 << 10..=1 << 20).contains(&bytes))
                .ok_or_else(|| self.wrong(size, size.value, "from 8 KiB to 1 MiB"))?,
            None => 32 << 10,
        };
        let body_bytes = match &given.body_size {
            Some(size) => usize::try_from(size.value.0)
                .ok()
                .filter(|&bytes| (1..=1 << 30).contains(&bytes))
                .ok_or_else(|| self.wrong(size, size.value, "from 1 B to 1 GiB"))?,
            None => BODY_BYTES,
        };
        Ok(Limits {
            connections: self.small(given.connections.as_ref(), 4096, 1 << 20)?,
            headers: self.small(given.headers.as_ref(), 100, 1000)?,
            header_bytes,
            body_bytes,
            idle_per_replica: self.small(given.idle_per_replica.as_ref(), 256, 1 << 16)?,
        })
    }

    fn admin(&self, given: &Located<AdminTable>) -> Result<AdminConfig, Diagnostic> {
        let AdminTable { listen, token, token_file, token_env } = &given.value;
        let (place, token) = match (token, token_file, token_env) {
            (Some(token), None, None) => (token, token.value.clone()),
            (None, Some(file), None) => {
                let text = std::fs::read_to_string(self.path(&file.value)).map_err(|error| {
                    self.document.blame(file, format!("cannot be read: {error}"))
                })?;
                (file, text.trim().to_owned())
            }
            (None, None, Some(variable)) => {
                let text = std::env::var(&variable.value).map_err(|_| {
                    let got = format!("{:?}, which is not set", variable.value);
                    self.wrong(variable, got, "an environment variable with the token")
                })?;
                (variable, text.trim().to_owned())
            }
            _ => {
                let problem = "wanted exactly one of token, token_file and token_env";
                return Err(self.document.blame(given, problem));
            }
        };
        if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let got = format!("a token of {} characters", token.len());
            return Err(self.wrong(place, got, "at least 16, printable and without blanks"));
        }
        Ok(AdminConfig { listen: self.address(listen.as_ref(), "127.0.0.1:8081")?, token })
    }
}

/// Whether a name can stand in headers, labels and paths.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let good =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '#');
    if name.is_empty() || name.len() > 100 || !name.chars().all(good) {
        return Err(format!("got {name:?}, wanted 1 to 100 letters, digits and - _ . : / #"));
    }
    Ok(())
}

const fn duration(span: PositiveDuration) -> Duration {
    Duration::from_nanos(span.0.0)
}

fn timeouts(file: &File) -> Timeouts {
    let given = &file.timeouts;
    let span = |span: Option<PositiveDuration>, seconds| {
        span.map_or(Duration::from_secs(seconds), duration)
    };
    Timeouts {
        head: span(given.head, 60),
        body: span(given.body, 30),
        write: span(given.write, 60),
        connect: span(given.connect, 5),
        response: span(given.response, 600),
        pause: span(given.pause, 300),
        idle: span(given.idle, 60),
        age: span(given.age, 3600),
        drain: span(given.drain, 30),
    }
}
