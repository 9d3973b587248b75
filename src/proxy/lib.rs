//! A reverse proxy around the routing crate: sockets and clocks here, decisions there.
//!
//! [`start`] listens and serves until [`Running::shutdown`]. A request is read whole (`front.rs`), its prompt cut into
//! blocks, placed by the router under one lock (`core.rs`), sent (`exchange.rs`, `upstream.rs`), and its answer passed on
//! piece by piece (`relay.rs`). What the router is told besides comes from `signals.rs`. README.md is for those who run it;
//! read `config.rs` next.

mod admin;
mod answer;
pub mod config;
mod control;
mod core;
mod decisions;
mod error;
mod exchange;
mod fleet;
mod flight;
mod front;
mod journal;
mod kv_events;
mod metrics;
mod patience;
mod proxy;
mod relay;
mod server;
mod signals;
mod stream;
mod tls;
mod upstream;

pub use config::Config;
pub use error::ProxyError;

use crate::control::Control;
use crate::core::Core;
use crate::decisions::DecisionLog;
use crate::journal::{Journal, Writer};
use crate::metrics::Metrics;
use crate::proxy::{Parts, Proxy, Text};
use crate::server::{Desk, Door};
use crate::signals::{Watch, keep_asking};
use gorgo_routing::{Policy, Router, registry};
use gorgo_text::Tokens;
use gorgo_types::Nanos;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A proxy that runs. Dropped without [`Running::shutdown`] it goes on as long as its runtime does.
pub struct Running {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    control: Arc<Control>,
    stop: watch::Sender<bool>,
    doors: JoinSet<()>,
    background: JoinSet<()>,
    writers: Vec<Writer>,
}

/// Starts a proxy on the runtime of the caller.
///
/// # Errors
/// When an address cannot be had, a file not be read, or a parameter makes no sense.
pub async fn start(config: Config) -> Result<Running, ProxyError> {
    let mut writers = Vec::new();
    let mut log = open_log(&config, &mut writers)?;
    log.begin(&config.policy.name, &config.policy.parameters, config.router.block_tokens);
    let tuning = open(config.log.tuner.as_deref(), &mut writers)?;
    let policy = build_policy(&config.policy)?;
    let parts = Parts { text: text(&config)?, metrics: Metrics::new() };
    let proxy = Proxy::new(&config, parts, |replicas| {
        let fleet: Vec<_> = replicas.iter().map(|replica| (replica.id, replica.region)).collect();
        let mut router = Router::new(config.router, policy, &fleet)?;
        for replica in replicas {
            router.set_zone(Nanos::ZERO, replica.id, replica.zone)?;
            router.set_replica_weight(Nanos::ZERO, replica.id, replica.config.weight)?;
        }
        let mut core = Core::new(router, replicas, config.seed, log, tuning);
        if let Some(tuner) = &config.tuner {
            core.tune(tuner, config.seed)?;
        }
        Ok(core)
    })?;
    let control = Arc::new(Control::new(&proxy, config.clone()));
    let (stop, stopped) = watch::channel(false);
    let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let clients = listen(config.listen).await?;
    let address = clients.local_addr().unwrap_or(config.listen);
    let mut doors = JoinSet::new();
    let mut admin_address = None;
    if let Some(admin) = &config.admin {
        let listener = listen(admin.listen).await?;
        admin_address = Some(listener.local_addr().unwrap_or(admin.listen));
        let desk = Desk::Admin(admin::paths(&control, admin));
        doors.spawn(Door::new(desk, &config, None).serve(listener, stopped.clone()));
    }
    let desk = Desk::Clients(Arc::clone(&proxy));
    doors.spawn(Door::new(desk, &config, acceptor).serve(clients, stopped));
    let members = proxy.with_core(|core, _| {
        core.members().map(|member| Arc::clone(&member.replica)).collect::<Vec<_>>()
    });
    members.iter().for_each(|replica| proxy.listen_to(replica));
    let mut background = JoinSet::new();
    let timer = Arc::clone(&proxy);
    background.spawn(async move { timer.keep_deadlines().await });
    for (watch, asked) in [(Watch::Rtt, &config.probe), (Watch::Metrics, &config.scrape)] {
        background.spawn(keep_asking(Arc::clone(&proxy), watch, asked.clone()));
    }
    tracing::info!(%address, policy = proxy.policy_name(), replicas = config.replicas.len(), "serving");
    Ok(Running { address, admin_address, control, stop, doors, background, writers })
}

fn open_log(config: &Config, writers: &mut Vec<Writer>) -> Result<DecisionLog, ProxyError> {
    let kept = if config.admin.is_some() { config.log.decisions_kept } else { 0 };
    Ok(DecisionLog::new(kept, open(config.log.decisions.as_deref(), writers)?))
}

fn open(path: Option<&Path>, writers: &mut Vec<Writer>) -> Result<Journal, ProxyError> {
    let opened = Journal::open(path).map_err(|source| ProxyError::File {
        path: path.map(Into::into).unwrap_or_default(),
        source,
    });
    let (journal, writer) = opened?;
    writers.extend(writer);
    Ok(journal)
}

fn build_policy(config: &config::PolicyConfig) -> Result<Box<dyn Policy>, ProxyError> {
    registry::build(&config.name, Value::Object(config.parameters.clone()))
        .map_err(|error| ProxyError::Refused(error.to_string()))
}

fn text(config: &Config) -> Result<Text, ProxyError> {
    #[cfg(feature = "tokenizer")]
    let tokens = match &config.text.tokenizer {
        Some(path) => Tokens::from_file(path)?,
        None => Tokens::default(),
    };
    #[cfg(not(feature = "tokenizer"))]
    let tokens = Tokens::default();
    let block_tokens = config.router.block_tokens;
    Ok(Text { tokens, template_tokens: config.text.template_tokens, block_tokens })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ProxyError> {
    let listening = TcpListener::bind(address).await;
    listening.map_err(|source| ProxyError::Listen { address, source })
}

impl Running {
    /// Where clients are served.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin API is served; none: it is off.
    #[must_use]
    pub const fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Takes over another configuration: fleet, attempts, models, limits of bodies. Nothing changes where it is refused.
    ///
    /// # Errors
    /// When it changes what is fixed at the start.
    pub fn reload(&self, config: Config) -> Result<(), ProxyError> {
        self.control.reload(config)
    }

    /// Requests at replicas, and requests in the queue.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        self.control.proxy().with_core(|core, _| (core.router.in_flight(), core.router.queued()))
    }

    /// Stops: no new connection is taken, answers that have begun go on for at most the time that the configuration gives
    /// them, and then nothing is left.
    pub async fn shutdown(self) {
        let Self { stop, mut doors, mut background, writers, control, .. } = self;
        let _ = stop.send(true);
        while let Some(ended) = doors.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "an accept loop ended badly");
            }
        }
        background.shutdown().await;
        control.proxy().with_core(|core, _| {
            core.log.journal.close();
            core.tuning.close();
            for member in core.members() {
                member.replica.retire();
            }
        });
        let _ = tokio::task::spawn_blocking(|| writers.into_iter().for_each(Writer::join)).await;
    }
}
