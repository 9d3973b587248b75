//! Changes of a running proxy: replicas that come, go and drain, another policy, another file. What the admin API and
//! SIGHUP have in common.

use crate::build_policy;
use crate::config::{Config, PolicyConfig, ReplicaConfig};
use crate::core::Core;
use crate::error::ProxyError;
use crate::exchange::{get, whole};
use crate::fleet::Replica;
use crate::proxy::{Proxy, Settings};
use gorgo_routing::tuner::TunerConfig;
use gorgo_routing::{MAX_REPLICAS, Reach, registry};
use gorgo_types::ReplicaId;
use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// The configuration as it stands, and the way to change it. One change at a time.
pub(crate) struct Control {
    proxy: Arc<Proxy>,
    config: Mutex<Config>,
}

fn unknown(name: &str) -> ProxyError {
    ProxyError::Refused(format!("there is no replica `{name}`"))
}

fn id_of(core: &Core, name: &str) -> Option<ReplicaId> {
    let member = core.members().find(|member| member.replica.name == name);
    member.map(|member| member.replica.id)
}

impl Control {
    pub(crate) fn new(proxy: &Arc<Proxy>, config: Config) -> Self {
        Self { proxy: Arc::clone(proxy), config: Mutex::new(config) }
    }

    pub(crate) const fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    /// The configuration as it stands.
    pub(crate) fn config(&self) -> Config {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A replica joins; one that drains under the same name and URL is taken back into service.
    pub(crate) fn add(&self, replica: &ReplicaConfig) -> Result<(), ProxyError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        self.enter(&config, replica)?;
        config.replicas.retain(|other| other.name != replica.name);
        config.replicas.push(replica.clone());
        Ok(())
    }

    fn enter(&self, config: &Config, replica: &ReplicaConfig) -> Result<(), ProxyError> {
        let free = self.proxy.with_core(|core, now| {
            let named = core.members.iter_mut().flatten().find(|m| m.replica.name == replica.name);
            if let Some(member) = named {
                if !member.draining || !member.replica.config.is_same(replica) {
                    let problem = format!("there is a replica `{}` already", replica.name);
                    return Err(ProxyError::Refused(problem));
                }
                member.draining = false;
                let (id, region) = (member.replica.id, member.replica.region);
                core.router.replica_added(now, id, region)?;
                core.router.set_replica_weight(now, id, replica.weight)?;
                return Ok(None);
            }
            let free = core.members.iter().position(Option::is_none).unwrap_or(core.members.len());
            u32::try_from(free)
                .ok()
                .filter(|&id| id < MAX_REPLICAS)
                .map(|id| Some(ReplicaId(id)))
                .ok_or_else(|| {
                    ProxyError::Refused(format!("there are {MAX_REPLICAS} replicas already"))
                })
        })?;
        let Some(id) = free else { return Ok(()) };
        // Nobody else takes the number meanwhile: changes come one at a time.
        let new = self.proxy.new_replica(id, replica, config)?;
        self.proxy.with_core(|core, now| {
            core.router.replica_added(now, id, new.region)?;
            core.router.set_zone(now, id, new.zone)?;
            core.router.set_replica_weight(now, id, replica.weight)?;
            core.enter(Arc::clone(&new));
            Ok::<_, ProxyError>(())
        })?;
        self.proxy.listen_to(&new);
        Ok(())
    }

    /// Another weight of a replica, from the next decision on.
    pub(crate) fn set_replica_weight(&self, name: &str, weight: u32) -> Result<(), ProxyError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        self.weigh(name, weight)?;
        for replica in config.replicas.iter_mut().filter(|replica| replica.name == name) {
            replica.weight = weight;
        }
        Ok(())
    }

    fn drains(&self, name: &str) -> bool {
        self.proxy.with_core(|core, _| {
            core.members().any(|member| member.draining && member.replica.name == name)
        })
    }

    fn weigh(&self, name: &str, weight: u32) -> Result<(), ProxyError> {
        self.proxy.with_core(|core, now| {
            let id = id_of(core, name).ok_or_else(|| unknown(name))?;
            Ok(core.router.set_replica_weight(now, id, weight)?)
        })
    }

    /// A replica takes no new requests.
    pub(crate) fn drain(&self, name: &str) -> Result<(), ProxyError> {
        self.proxy.with_core(|core, now| {
            let id = id_of(core, name).ok_or_else(|| unknown(name))?;
            core.router.replica_draining(now, id)?;
            if let Some(member) = &mut core.members[id.index()] {
                member.draining = true;
            }
            Ok(())
        })
    }

    /// A replica leaves at once; the requests that it has go on to their end.
    pub(crate) fn remove(&self, name: &str) -> Result<(), ProxyError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        self.leave(name)?;
        config.replicas.retain(|other| other.name != name);
        Ok(())
    }

    fn leave(&self, name: &str) -> Result<(), ProxyError> {
        self.proxy.with_core(|core, now| {
            let id = id_of(core, name).ok_or_else(|| unknown(name))?;
            core.router.replica_removed(now, id)?;
            if let Some(member) = core.members[id.index()].take() {
                member.replica.retire();
            }
            Ok(())
        })
    }

    /// Another policy decides from now on. Fleet, requests under way and queue stay; a tuner is gone.
    pub(crate) fn set_policy(
        &self,
        name: &str,
        parameters: Map<String, Value>,
    ) -> Result<(), ProxyError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, whole) =
            registry::resolve(name, Value::Object(parameters), serde_json::value::Serializer)
                .map_err(|error| ProxyError::Refused(error.to_string()))?;
        let parameters = match whole {
            Ok(Value::Object(parameters)) => parameters,
            _ => Map::new(),
        };
        let new = PolicyConfig { name: name.to_owned(), parameters };
        self.install(&new)?;
        (config.policy, config.tuner) = (new, None);
        Ok(())
    }

    fn install(&self, new: &PolicyConfig) -> Result<(), ProxyError> {
        let policy = build_policy(new)?;
        let name = policy.name();
        self.proxy.with_core(|core, _| {
            core.router.set_policy(policy);
            let block_tokens = core.router.config().block_tokens;
            core.log.begin(&new.name, &new.parameters, block_tokens);
        });
        self.proxy.change_settings(|settings| settings.policy = name);
        tracing::info!(policy = name, "the policy has changed");
        Ok(())
    }

    /// Other weights of the policy that decides; all of them, or none where one is refused.
    pub(crate) fn set_weights(&self, weights: &BTreeMap<String, f64>) -> Result<(), ProxyError> {
        if weights.is_empty() {
            return Ok(());
        }
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        self.proxy.with_core(|core, _| {
            let mut done: Vec<(&str, f64)> = Vec::new();
            for (name, &value) in weights {
                match core.router.set_weight(name, value) {
                    Ok(before) => done.push((name, before)),
                    Err(error) => {
                        for (name, before) in done {
                            // What was good a moment ago still is.
                            let _ = core.router.set_weight(name, before);
                        }
                        return Err(ProxyError::Refused(error.to_string()));
                    }
                }
            }
            Ok(())
        })?;
        self.note_weights(&mut config.policy);
        Ok(())
    }

    /// Writes down which weights decide from now on.
    fn note_weights(&self, policy: &mut PolicyConfig) {
        self.proxy.with_core(|core, _| {
            let current = core.router.policy();
            for (at, weight) in current.tunable().iter().enumerate() {
                policy.parameters.insert(weight.name.to_owned(), json!(current.weight(at)));
            }
            let block_tokens = core.router.config().block_tokens;
            core.log.begin(&policy.name, &policy.parameters, block_tokens);
        });
    }

    /// Attaches a tuner, or takes it away: then the policy keeps the best weights that it found.
    pub(crate) fn set_tuner(&self, on: bool, new: Option<TunerConfig>) -> Result<(), ProxyError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if !on {
            if self.proxy.with_core(|core, _| core.router.untune()) {
                self.note_weights(&mut config.policy);
            }
            return Ok(());
        }
        let tuner = new.or_else(|| config.tuner.clone()).ok_or_else(|| {
            ProxyError::Refused("no tuner is configured: wanted `config`".to_owned())
        })?;
        let seed = config.seed;
        self.proxy.with_core(|core, _| core.tune(&tuner, seed))?;
        config.tuner = Some(tuner);
        Ok(())
    }

    /// Has every engine drop its cache, and forgets what is believed of them; what became of it, by name.
    pub(crate) async fn flush(&self) -> BTreeMap<String, Value> {
        let replicas: Vec<Arc<Replica>> = self
            .proxy
            .with_core(|core, _| core.members().map(|m| Arc::clone(&m.replica)).collect());
        let mut asking = JoinSet::new();
        for replica in replicas {
            asking.spawn(async move { (replica.name.clone(), flush_one(&replica).await) });
        }
        let told = asking.join_all().await.into_iter().collect();
        self.proxy.with_core(|core, _| core.router.index_clear());
        told
    }

    /// Takes over another configuration: fleet, policy, limits on bodies, attempts, models. What cannot change while it
    /// runs must be the same.
    pub(crate) fn reload(&self, new: Config) -> Result<(), ProxyError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        fixed(&config, &new)?;
        build_policy(&new.policy)?;
        self.proxy.can_reach(&new)?;
        let stays = |replica: &ReplicaConfig, among: &[ReplicaConfig]| {
            among.iter().any(|other| other.is_same(replica))
        };
        for old in config.replicas.iter().filter(|old| !stays(old, &new.replicas)) {
            self.leave(&old.name)?;
        }
        for replica in &new.replicas {
            if stays(replica, &config.replicas) && !self.drains(&replica.name) {
                self.weigh(&replica.name, replica.weight)?;
            } else {
                self.enter(&new, replica)?;
            }
        }
        if config.policy != new.policy || config.tuner != new.tuner {
            self.install(&new.policy)?;
            if let Some(tuner) = &new.tuner {
                self.proxy.with_core(|core, _| core.tune(tuner, new.seed))?;
            }
        }
        self.proxy.change_settings(|settings| *settings = Settings::of(&new, settings.policy));
        *config = new;
        Ok(())
    }
}

/// Paths that make engines drop their caches: SGLang's, then vLLM's.
const FLUSH_PATHS: [&str; 2] = ["/flush_cache", "/reset_prefix_cache"];
/// How long an engine may take for it.
const FLUSH_TIME: Duration = Duration::from_secs(30);

/// Has an engine drop its cache: the path that did it, or what each said.
async fn flush_one(replica: &Replica) -> Value {
    let mut said = Vec::new();
    for path in FLUSH_PATHS {
        let target = PathAndQuery::from_static(path);
        let post = || {
            let mut request = get(&replica.pool, &target);
            *request.method_mut() = Method::POST;
            request
        };
        let asking = async {
            let (response, mut link) = replica.pool.send(post).await.map_err(|e| e.to_string())?;
            let (head, body) = response.into_parts();
            if whole(&mut link, body, 1 << 20).await.is_some() {
                replica.pool.give_back(link);
            }
            Ok::<_, String>(head.status)
        };
        match tokio::time::timeout(FLUSH_TIME, asking).await {
            Ok(Ok(status)) if status.is_success() => return json!({ "ok": true, "path": path }),
            Ok(Ok(status)) => said.push(format!("{path}: status {status}")),
            Ok(Err(error)) => said.push(format!("{path}: {error}")),
            Err(_) => said.push(format!("{path}: no answer")),
        }
    }
    json!({ "ok": false, "error": said.join("; ") })
}

/// Refuses a change of what is fixed at the start.
fn fixed(old: &Config, new: &Config) -> Result<(), ProxyError> {
    let same = [
        ("listen", old.listen == new.listen),
        ("tls", old.tls == new.tls),
        ("upstream_tls", old.upstream_ca == new.upstream_ca),
        ("seed", old.seed == new.seed),
        ("text", old.text == new.text),
        ("router", old.router == new.router),
        ("peer", old.peers == new.peers),
        ("region", old.region == new.region || old.router.reach == Reach::All),
        ("probe", old.probe == new.probe),
        ("scrape", old.scrape == new.scrape),
        ("admin", old.admin == new.admin),
        ("log.decisions", old.log.decisions == new.log.decisions),
        ("log.tuner", old.log.tuner == new.log.tuner),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((key, _)) => Err(ProxyError::Refused(format!("a change of `{key}` needs a restart"))),
        None => Ok(()),
    }
}
