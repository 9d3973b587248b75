//! What a scenario may say in short, spelt out before anything is resolved: a fleet that is the same in each of some
//! regions, a router in its first region, and the policies that everybody compares with.

use crate::parsed::{FleetTable, PolicyTable, ReplicaTable, RouterTable, ScenarioTable};
use gorgo_config::{Diagnostic, Document, Located};

/// The policies where a scenario names none: the simple ones and those that follow the cache, as they are published.
const POLICIES: [&str; 8] = [
    "round-robin",
    "random",
    "least-request",
    "least-load",
    "session-affinity",
    "prefix-cache",
    "prefix-tree",
    "gorgo",
];

/// The same scenario without short forms.
pub(super) fn spelt_out(
    table: &ScenarioTable,
    document: &Document<'_>,
) -> Result<ScenarioTable, Diagnostic> {
    let fleet = fleet(&table.fleet, document)?;
    let mut router: RouterTable = table.router.clone();
    if router.region.is_none() && router.per_region.is_none() {
        router.region = fleet.replicas.value.first().map(|first| first.value.region.clone());
    }
    if router.policies.is_none() {
        let policy = |name: &str| {
            let name = Located::nowhere(name.to_owned());
            let (label, router, tuner) = (None, None, None);
            let parameters = toml::Table::new();
            Located::nowhere(PolicyTable { name, label, router, tuner, parameters })
        };
        router.policies = Some(Located::nowhere(POLICIES.map(policy).to_vec()));
    }
    Ok(ScenarioTable { fleet, router, ..table.clone() })
}

/// Whether a value was left out, rather than given empty.
fn absent<T>(value: &Located<T>, empty: bool) -> bool {
    empty && value.span().is_none()
}

/// The fleet in groups.
fn fleet(table: &FleetTable, document: &Document<'_>) -> Result<FleetTable, Diagnostic> {
    let Some(regions) = &table.regions else {
        let parts = [
            table.gpu.as_ref().map(|value| ("gpu", value)),
            table.model.as_ref().map(|value| ("model", value)),
            table.profile.as_ref().map(|value| ("profile", value)),
        ];
        if let Some((key, value)) = parts.into_iter().flatten().next() {
            let problem =
                format!("got {key} of a fleet without regions, wanted regions = [...] beside it");
            return Err(document.blame(value, problem));
        }
        if let Some(count) = &table.replicas_per_region {
            let problem =
                "got replicas_per_region without regions, wanted regions = [...] beside it";
            return Err(document.blame(count, problem));
        }
        if absent(&table.replicas, table.replicas.value.is_empty()) {
            let span = document.at(&["fleet"]).map_or(0..0, toml::Spanned::span);
            let problem = "got no replicas, wanted [[fleet.replicas]], or gpu, model and regions";
            return Err(document.error(span, problem));
        }
        return Ok(table.clone());
    };
    if !table.replicas.value.is_empty() {
        let problem = "got regions beside [[fleet.replicas]], wanted one of the two forms";
        return Err(document.blame(regions, problem));
    }
    if regions.value.is_empty() {
        return Err(document.blame(regions, "got no regions, wanted at least one"));
    }
    let mut groups: Vec<Located<ReplicaTable>> = Vec::new();
    for region in &regions.value {
        if groups.iter().any(|group| group.value.region.value == region.value) {
            let problem = format!("got {:?} a second time, wanted each region once", region.value);
            return Err(document.blame(region, problem));
        }
        groups.push(region.with(ReplicaTable {
            region: region.clone(),
            count: table.replicas_per_region.clone(),
            gpu: table.gpu.clone(),
            model: table.model.clone(),
            profile: table.profile.clone(),
            vllm: table.vllm.clone(),
            ..ReplicaTable::default()
        }));
    }
    Ok(FleetTable { replicas: groups.into(), ..FleetTable::default() })
}
