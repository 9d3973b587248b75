//! Replicas: their profile, their names, their limits.

use super::Context;
use crate::ReplicaSpec;
use crate::data::{self, Profile};
use crate::parsed::{ReplicaTable, VllmTable};
use gorgo_config::{Bytes, Count, Diagnostic, Duration, Located};
use gorgo_model::{
    CostProfile, EngineLimits, ModelError, Network, ProfileSpec, ReplicaConfig, VllmLimits,
};
use gorgo_routing::MAX_WEIGHT;
use std::collections::BTreeMap;
use std::sync::Arc;

/// More replicas than any fleet that is simulated: a slip of the finger, and memory would run out.
const MOST_REPLICAS: u64 = 100_000;

/// The replicas, and the tables that make them again.
pub(super) struct FleetPart {
    pub(super) replicas: Vec<ReplicaSpec>,
    pub(super) groups: Vec<Located<ReplicaTable>>,
    /// The profiles that are used, by name.
    pub(super) profiles: Vec<ProfileSpec>,
}

impl Context<'_> {
    pub(super) fn fleet(&self, network: &Network) -> Result<FleetPart, Diagnostic> {
        let groups = &self.table.fleet.replicas;
        if groups.value.is_empty() {
            return Err(self.document.blame(groups, "got no replicas, wanted at least one"));
        }
        let own = self.profiles()?;
        let mut part = FleetPart { replicas: Vec::new(), groups: Vec::new(), profiles: Vec::new() };
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for group in &groups.value {
            let (spec, profile) = self.profile(group, &own)?;
            if !part.profiles.contains(spec) {
                part.profiles.push(spec.clone());
            }
            let (config, overhead) = self.config(group, Arc::clone(profile))?;
            let count = group.value.count.clone().unwrap_or(Count(1).into());
            let total = part.replicas.len() as u64 + count.value.0.min(MOST_REPLICAS + 1);
            if total > MOST_REPLICAS {
                let problem = format!(
                    "got {} replicas, wanted at most {MOST_REPLICAS} in all",
                    count.value.0
                );
                return Err(self.document.blame(&count, problem));
            }
            let name = self.group_name(&group.value)?;
            let region = self.region_id(&group.value.region, network)?;
            let residency = match &group.value.residency {
                Some(zone) => Some(self.text(zone, "the name of a zone")?),
                None => None,
            };
            let weight = self.weight(group.value.weight.as_ref())?;
            let first = counted.entry(name.clone()).or_default();
            part.replicas.extend((*first..*first + count.value.0).map(|index| ReplicaSpec {
                name: format!("{name}-{index}"),
                region,
                residency: residency.clone(),
                weight,
                config: config.clone(),
                overhead,
            }));
            *first += count.value.0;
            part.groups.push(
                explicit(&group.value, name, count.value, &config, Duration(overhead)).into(),
            );
        }
        Ok(part)
    }

    /// How much each replica of a group is meant to bear against the others.
    fn weight(&self, given: Option<&Located<Count>>) -> Result<u32, Diagnostic> {
        let Some(given) = given else { return Ok(1) };
        let weight = u32::try_from(given.value.0).ok().filter(|&weight| weight <= MAX_WEIGHT);
        weight.ok_or_else(|| {
            let problem = format!("got {}, wanted 1 to {MAX_WEIGHT}", given.value.0);
            self.document.blame(given, problem)
        })
    }

    /// The scenario's own profiles.
    fn profiles(&self) -> Result<Vec<Profile>, Diagnostic> {
        let mut own: Vec<Profile> = Vec::new();
        for profile in &self.table.profiles {
            let spec = &profile.value;
            if own.iter().any(|(known, _)| known.name == spec.name) {
                let problem =
                    format!("got a second profile {:?}, wanted each name once", spec.name);
                return Err(self.document.blame(profile, problem));
            }
            let ready = CostProfile::try_from(spec.clone())
                .map_err(|error| self.profile_error(profile, &error))?;
            own.push((spec.clone(), Arc::new(ready)));
        }
        Ok(own)
    }

    /// An error of a profile, at the field that is to blame where it stands in the file.
    fn profile_error(&self, profile: &Located<ProfileSpec>, error: &ModelError) -> Diagnostic {
        let ModelError::Invalid { field, .. } = error else {
            return self.model_error(profile, error);
        };
        let index = self.table.profiles.iter().position(|other| other.span() == profile.span());
        let index = index.unwrap_or(0).to_string();
        let key = field.split(['[', ' ', '.']).next().unwrap_or(field);
        let Some(place) = self.document.at(&["profiles", &index, key]) else {
            return self.model_error(profile, error);
        };
        let ModelError::Invalid { value, wanted, .. } = error else {
            return self.model_error(profile, error);
        };
        self.document.error(place.span(), format!("{field}: got {value}, wanted {wanted}"))
    }

    /// The profile of a group, by its own name or by GPU and model: one of the scenario's own, or else a built-in one.
    fn profile<'k>(
        &self,
        group: &Located<ReplicaTable>,
        own: &'k [Profile],
    ) -> Result<&'k Profile, Diagnostic> {
        let table = &group.value;
        let mut names: Vec<&str> = own.iter().map(|(spec, _)| spec.name.as_str()).collect();
        let built_in = data::profile_names().filter(|name| !names.contains(name));
        names.extend(built_in.collect::<Vec<_>>());
        let name = match (&table.profile, &table.gpu, &table.model) {
            (Some(profile), None, None) => self.known(profile, "profile", &names)?,
            (None, Some(gpu), Some(model)) => {
                // The files of data/gpus are named GPU_MODEL.
                let pairs = || names.iter().filter_map(|name| name.split_once('_'));
                let gpus: Vec<&str> = sorted(pairs().map(|(gpu, _)| gpu));
                let gpu = self.known(gpu, "gpu", &gpus)?;
                let models = sorted(pairs().filter(|pair| pair.0 == gpu).map(|(_, model)| model));
                let model = self.known(model, &format!("model on {gpu}"), &models)?;
                let wanted = format!("{gpu}_{model}");
                names.iter().copied().find(|name| *name == wanted).unwrap_or_default()
            }
            (Some(profile), _, _) => {
                let problem =
                    "got a profile beside gpu or model, wanted either profile, or gpu and model";
                return Err(self.document.blame(profile, problem));
            }
            (None, Some(one), None) | (None, None, Some(one)) => {
                let problem = "got one of gpu and model, wanted both";
                return Err(self.document.blame(one, problem));
            }
            (None, None, None) => {
                let problem = "got neither gpu and model nor a profile, wanted one of them";
                let diagnostic = self.document.blame(group, problem);
                return Err(diagnostic.help(format!("known profiles: {}", names.join(", "))));
            }
        };
        if let Some(profile) = own.iter().find(|(spec, _)| spec.name == name) {
            return Ok(profile);
        }
        data::profile(name)?
            .ok_or_else(|| self.document.blame(group, format!("got no profile {name:?}")))
    }

    fn group_name(&self, table: &ReplicaTable) -> Result<String, Diagnostic> {
        match &table.name {
            Some(name) => self.text(name, "a name"),
            None => {
                let region = &table.region.value;
                Ok(region.split_once(':').map_or(region.as_str(), |(_, place)| place).to_owned())
            }
        }
    }

    /// The id of a region that must be in the network.
    pub(super) fn region_id(
        &self,
        name: &Located<String>,
        network: &Network,
    ) -> Result<gorgo_types::RegionId, Diagnostic> {
        network.region(&name.value).map_err(|_| {
            let known: Vec<&str> =
                network.regions().iter().map(|region| region.name.as_str()).collect();
            let problem = format!("got {:?}, wanted a region of this network", name.value);
            self.document.blame(name, problem).known("regions of this network", &name.value, known)
        })
    }

    fn config(
        &self,
        group: &Located<ReplicaTable>,
        profile: Arc<CostProfile>,
    ) -> Result<(ReplicaConfig, gorgo_types::Nanos), Diagnostic> {
        let table = &group.value;
        let base = profile.limits.clone();
        let limits = EngineLimits {
            max_prefill_tokens: self
                .small(table.max_prefill_tokens.as_ref(), base.max_prefill_tokens)?,
            chunked_prefill_tokens: self
                .small(table.chunked_prefill_tokens.as_ref(), base.chunked_prefill_tokens)?,
            max_running_requests: self
                .small(table.max_running_requests.as_ref(), base.max_running_requests)?,
            schedule: table.schedule.unwrap_or(base.schedule),
            clip_max_new_tokens: or(table.clip_max_new_tokens.as_ref(), base.clip_max_new_tokens),
            new_token_ratio_init_ppb: or(
                table.new_token_ratio_init_ppb.as_ref(),
                base.new_token_ratio_init_ppb,
            ),
            new_token_ratio_min_ppb: or(
                table.new_token_ratio_min_ppb.as_ref(),
                base.new_token_ratio_min_ppb,
            ),
            new_token_ratio_decay_steps: self.small(
                table.new_token_ratio_decay_steps.as_ref(),
                base.new_token_ratio_decay_steps,
            )?,
            retract_decode_steps: or(
                table.retract_decode_steps.as_ref(),
                base.retract_decode_steps,
            ),
            state_slots: match &table.state_slots {
                Some(_) => Some(self.small(table.state_slots.as_ref(), 0)?),
                None => base.state_slots,
            },
            state_use_ppb: or(table.state_use_ppb.as_ref(), base.state_use_ppb),
            state_repeat_ppb: or(table.state_repeat_ppb.as_ref(), base.state_repeat_ppb),
            vllm: self.vllm(table.vllm.as_ref(), base.vllm)?,
        };
        let overhead = table.overhead.map_or(profile.overhead, |span| span.0);
        let kv_pool_tokens = self.pool(table, &profile)?;
        let prefix_cache = table.prefix_cache.unwrap_or(true);
        let config = ReplicaConfig { profile, kv_pool_tokens, limits, prefix_cache };
        config.validate().map_err(|error| self.config_error(group, &error))?;
        Ok((config, overhead))
    }

    /// vLLM's limits, where the group or its profile names that engine.
    fn vllm(
        &self,
        table: Option<&VllmTable>,
        base: Option<VllmLimits>,
    ) -> Result<Option<VllmLimits>, Diagnostic> {
        let Some(table) = table else { return Ok(base) };
        let base = base.unwrap_or_default();
        Ok(Some(VllmLimits {
            max_num_batched_tokens: self
                .small(table.max_num_batched_tokens.as_ref(), base.max_num_batched_tokens)?,
            max_num_seqs: self.small(table.max_num_seqs.as_ref(), base.max_num_seqs)?,
            block_tokens: self.small(table.block_tokens.as_ref(), base.block_tokens)?,
        }))
    }

    /// A limit that is kept in 32 bits.
    pub(super) fn small(
        &self,
        given: Option<&Located<Count>>,
        default: u32,
    ) -> Result<u32, Diagnostic> {
        let Some(count) = given else { return Ok(default) };
        u32::try_from(count.value.0).map_err(|_| {
            let problem =
                format!("got {}, wanted a whole number from 1 to {}", count.value.0, u32::MAX);
            self.document.blame(count, problem)
        })
    }

    fn pool(&self, table: &ReplicaTable, profile: &CostProfile) -> Result<u64, Diagnostic> {
        match (&table.kv_pool_tokens, &table.kv_pool_memory) {
            (Some(_), Some(memory)) => {
                let problem = "got kv_pool_memory beside kv_pool_tokens, wanted one of them";
                Err(self.document.blame(memory, problem))
            }
            (Some(tokens), None) => Ok(tokens.value.0),
            (None, Some(memory)) => {
                let Bytes(bytes) = memory.value;
                match bytes / profile.kv_bytes_per_token {
                    0 => {
                        let problem = format!(
                            "got {}, wanted room for at least one token of {} bytes",
                            memory.value, profile.kv_bytes_per_token
                        );
                        Err(self.document.blame(memory, problem))
                    }
                    tokens => Ok(tokens),
                }
            }
            (None, None) => Ok(profile.kv_pool_tokens),
        }
    }

    /// An error of a replica, at the key that is to blame where the group has it.
    fn config_error(&self, group: &Located<ReplicaTable>, error: &ModelError) -> Diagnostic {
        let index =
            self.table.fleet.replicas.value.iter().position(|other| other.span() == group.span());
        let index = index.unwrap_or(0).to_string();
        if let ModelError::Invalid { field, value, wanted, .. } = error
            && let Some(place) = self
                .document
                .at(&["fleet", "replicas", &index, field])
                .or_else(|| self.document.at(&["fleet", "replicas", &index, "vllm", field]))
        {
            return self.document.error(place.span(), format!("got {value}, wanted {wanted}"));
        }
        self.model_error(group, error)
    }
}

fn or(given: Option<&Located<u32>>, default: u32) -> u32 {
    given.map_or(default, |given| given.value)
}

fn sorted<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The table that spells a group out.
fn explicit(
    given: &ReplicaTable,
    name: String,
    count: Count,
    config: &ReplicaConfig,
    overhead: Duration,
) -> ReplicaTable {
    let limits = &config.limits;
    let number = |value: u32| Some(Located::nowhere(Count(u64::from(value))));
    ReplicaTable {
        name: Some(name.into()),
        region: given.region.clone(),
        residency: given.residency.clone(),
        weight: given.weight.clone(),
        count: Some(count.into()),
        gpu: None,
        model: None,
        profile: Some(config.profile.name.clone().into()),
        kv_pool_tokens: Some(Count(config.kv_pool_tokens).into()),
        kv_pool_memory: None,
        max_prefill_tokens: number(limits.max_prefill_tokens),
        chunked_prefill_tokens: number(limits.chunked_prefill_tokens),
        max_running_requests: number(limits.max_running_requests),
        clip_max_new_tokens: Some(limits.clip_max_new_tokens.into()),
        new_token_ratio_init_ppb: Some(limits.new_token_ratio_init_ppb.into()),
        new_token_ratio_min_ppb: Some(limits.new_token_ratio_min_ppb.into()),
        new_token_ratio_decay_steps: number(limits.new_token_ratio_decay_steps),
        retract_decode_steps: Some(limits.retract_decode_steps.into()),
        state_slots: limits.state_slots.and_then(number),
        state_use_ppb: limits.state_slots.is_some().then(|| limits.state_use_ppb.into()),
        state_repeat_ppb: limits.state_slots.is_some().then(|| limits.state_repeat_ppb.into()),
        schedule: Some(limits.schedule),
        overhead: Some(overhead),
        prefix_cache: Some(config.prefix_cache),
        vllm: limits.vllm.as_ref().map(|vllm| VllmTable {
            max_num_batched_tokens: number(vllm.max_num_batched_tokens),
            max_num_seqs: number(vllm.max_num_seqs),
            block_tokens: number(vllm.block_tokens),
        }),
    }
}
