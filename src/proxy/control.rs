//! Changes of a running proxy: replicas that come, go and drain, another policy, another file. What the admin API and
//! SIGHUP have in common.

use crate::config::{Config, ReplicaConfig};
use crate::core::Core;
use crate::error::ProxyError;
use crate::proxy::{Proxy, Settings};
use gorgo_routing::MAX_REPLICAS;
use gorgo_types::ReplicaId;
use std::sync::{Arc, Mutex, PoisonError};

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
                if !member.draining || member.replica.config != *replica {
                    let problem = format!("there is a replica `{}` already", replica.name);
                    return Err(ProxyError::Refused(problem));
                }
                member.draining = false;
                let (id, region) = (member.replica.id, member.replica.region);
                core.router.replica_added(now, id, region)?;
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
            core.enter(Arc::clone(&new));
            Ok(())
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
                member.replica.pool.close_idle();
            }
            Ok(())
        })
    }

    /// Takes over another configuration: fleet, policy, limits on bodies, attempts, models. What cannot change while it
    /// runs must be the same.
    pub(crate) fn reload(&self, new: Config) -> Result<(), ProxyError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        fixed(&config, &new)?;
        let gone: Vec<String> = config
            .replicas
            .iter()
            .filter(|old| !new.replicas.contains(old))
            .map(|old| old.name.clone())
            .collect();
        for name in gone {
            self.leave(&name)?;
        }
        for replica in &new.replicas {
            if !config.replicas.contains(replica) {
                self.enter(&new, replica)?;
            }
        }
        self.proxy.change_settings(|settings| *settings = Settings::of(&new, settings.policy));
        *config = new;
        Ok(())
    }
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
        ("policy", old.policy == new.policy),
        ("tuner", old.tuner == new.tuner),
        ("probe", old.probe == new.probe),
        ("scrape", old.scrape == new.scrape),
        ("admin", old.admin == new.admin),
        ("log.decisions", old.log.decisions == new.log.decisions),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((key, _)) => Err(ProxyError::Refused(format!("a change of `{key}` needs a restart"))),
        None => Ok(()),
    }
}
