//! A resolved scenario as TOML text that leaves nothing unsaid.

use crate::parsed::{
    ClientTable, FailuresTable, IndexTable, LocalFirstTable, LruTable, MeasureTable,
    PerRegionTable, PolicyTable, RouterTable, ScenarioTable, TunerTable, UnboundedTable,
};
use crate::{FailureSpec, IndexSpec, MeasureParams, Resolved, RouterSpec};
use gorgo_config::{Count, Duration, Located, PositiveDuration, Share};
use gorgo_model::{ProfileRange, ProfileSpec};
use gorgo_types::RegionId;
use gorgo_workload::ClientSpec;
use std::path::{Component, Path, PathBuf};
use toml::{Table, Value};

/// Said once at the top, because such files are found beside results, far from any manual.
const HEAD: &str = "# A resolved scenario: every default is written out. It runs again as it is: gorgo run FILE\n\n";

impl Resolved {
    /// The scenario as a file that leaves nothing unsaid: parsed and resolved again, it gives the same scenario and
    /// the same bytes. A relative path of the workload is written as it was given.
    ///
    /// # Panics
    /// Only where a field was changed, after resolving, to what no file can say: a seed above `i64::MAX`, NaN.
    #[must_use]
    pub fn to_toml(&self) -> String {
        write(&self.table(), &self.explicit.profiles)
    }

    /// As [`Resolved::to_toml`], for a file that will stand in `folder`: a relative path of the workload is written so
    /// that it leads from there to the same file. It depends on where `folder` lies relative to that file, and on
    /// nothing else.
    ///
    /// # Panics
    /// As [`Resolved::to_toml`].
    #[must_use]
    pub fn to_toml_in(&self, folder: &Path) -> String {
        let mut table = self.table();
        let workload = table.workload.as_mut().map(|workload| &mut workload.value);
        let path = workload.and_then(|workload| {
            let trace = workload.trace.as_mut().map(|trace| &mut trace.value.path);
            let table = workload.arrivals_csv.as_mut().map(|table| &mut table.value.path);
            let art_chat = workload.art_chat.as_mut();
            let art_chat = art_chat.and_then(|table| table.value.arrivals.as_mut());
            trace.or(table).or(art_chat).map(|path| &mut path.value)
        });
        if let Some(path) = path
            && Path::new(path.as_str()).is_relative()
            && let Some(moved) = from_folder(folder, &self.base.join(path.as_str()))
        {
            *path = moved;
        }
        for series in &mut table.network.series {
            if let Some(path) = &mut series.value.path
                && Path::new(path.value.as_str()).is_relative()
                && let Some(moved) = from_folder(folder, &self.base.join(path.value.as_str()))
            {
                path.value = moved;
            }
        }
        write(&table, &self.explicit.profiles)
    }

    /// The table of the file. Name, seed, client, router and measure come from the fields, which the caller may have
    /// changed.
    fn table(&self) -> ScenarioTable {
        ScenarioTable {
            name: self.name.clone().into(),
            description: Some(self.description.clone()).filter(|text| !text.is_empty()),
            seed: Some(self.seed.into()),
            client: client_table(&self.client),
            router: self.router_table(&self.router),
            measure: measure_table(&self.measure),
            profiles: Vec::new(),
            ..self.explicit.clone()
        }
    }

    fn router_table(&self, spec: &RouterSpec) -> RouterTable {
        let name = |region: RegionId| Located::nowhere(self.regions[region.index()].name.clone());
        let policies = spec.policies.iter().map(|policy| {
            Located::nowhere(PolicyTable {
                name: policy.name.clone().into(),
                label: Some(policy.label.clone().into()),
                router: policy.router.clone().map(Located::nowhere),
                tuner: policy.tuner.as_ref().map(|tuner| TunerTable::of(tuner).into()),
                parameters: policy.parameters.clone(),
            })
        });
        let index = match spec.index {
            IndexSpec::Unbounded => {
                IndexTable { unbounded: Some(UnboundedTable {}), ..IndexTable::default() }
            }
            IndexSpec::EndTagged => {
                IndexTable { end_tagged: Some(UnboundedTable {}.into()), ..IndexTable::default() }
            }
            IndexSpec::Lru { capacity_tokens_per_replica } => {
                let lru =
                    LruTable { capacity_tokens_per_replica: Count(capacity_tokens_per_replica) };
                IndexTable { lru: Some(lru.into()), ..IndexTable::default() }
            }
        };
        let limit = spec.max_in_flight_per_replica;
        RouterTable {
            region: spec.per_region.is_none().then(|| name(spec.region)),
            per_region: spec.per_region.as_ref().map(|per_region| {
                let regions: Vec<_> = per_region.regions.iter().map(|&id| name(id)).collect();
                let room = per_region.local_first.map(|room| LocalFirstTable {
                    running_requests_below: Some(
                        Count(u64::from(room.running_requests_below)).into(),
                    ),
                    kv_share_below: Some(Share(room.kv_share_below).into()),
                });
                let table = PerRegionTable {
                    regions: Some(regions.into()),
                    reaches_all: Some(per_region.reaches_all),
                    max_hops: Some(per_region.max_hops.into()),
                    local_first: room.map(Located::nowhere),
                    may_wait: Some(per_region.may_wait),
                    geo_proxy: per_region.geo_proxy.map(name),
                };
                table.into()
            }),
            policies: (!spec.policies.is_empty()).then(|| policies.collect::<Vec<_>>().into()),
            variants: (spec.variants.iter())
                .map(|(name, spec)| (name.clone(), self.router_table(spec).into()))
                .collect(),
            probe_interval: Some(PositiveDuration(spec.probe_interval)),
            scrape_interval: Some(PositiveDuration(spec.scrape_interval)),
            rtt_ewma_alpha: Some(Share(spec.rtt_ewma_alpha).into()),
            index: Some(index.into()),
            learn_at: Some(spec.learn_at),
            release_at: Some(spec.release_at),
            decision_time: Some(Duration(spec.decision_time)),
            serial_decisions: Some(spec.serial_decisions),
            relay_time_per_token: Some(Duration(spec.relay_time_per_token)),
            max_in_flight_per_replica: limit.map(|most| Count(u64::from(most)).into()),
            queue_limit: Some(spec.max_queue)
                .filter(|most| *most != u32::MAX)
                .map(Located::nowhere),
            queue_timeout: spec.queue_timeout.map(PositiveDuration),
            serial_queue: Some(spec.serial_queue),
            queue_interval: spec.queue_interval.map(PositiveDuration),
            learn_output: Some(spec.learn_output),
            failures: Some(failures_table(spec.failures).into()),
        }
    }
}

fn client_table(spec: &ClientSpec) -> ClientTable {
    ClientTable {
        workers: spec.workers.map(|workers| Count(u64::from(workers)).into()),
        queue: spec.queue.map(Located::nowhere),
        startup_stall: Some(Duration(spec.startup_stall)),
    }
}

fn failures_table(spec: FailureSpec) -> FailuresTable {
    FailuresTable {
        attempts: Some(spec.attempts.into()),
        connect_timeout: Some(PositiveDuration(spec.connect_timeout)),
        unhealthy_after: Some(spec.unhealthy_after),
        probe_timeout: Some(PositiveDuration(spec.probe_timeout)),
    }
}

fn measure_table(spec: &MeasureParams) -> MeasureTable {
    MeasureTable {
        warm_up: spec.warm_up_requests.is_none().then_some(Duration(spec.warm_up)),
        warm_up_requests: spec.warm_up_requests.map(|requests| Count(requests).into()),
        stop_after_requests: spec.stop_after_requests.map(|requests| Count(requests).into()),
        max_error_share: spec.max_error_share.map(|share| Share(share).into()),
        error_window: spec.max_error_share.map(|_| Count(u64::from(spec.error_window)).into()),
        stop: spec.stop.map(|span| PositiveDuration(span).into()),
        drain: spec.drain.map(Duration),
        slo_ttft: spec.slo_ttft.map(PositiveDuration),
        slo_tpot: spec.slo_tpot.map(PositiveDuration),
        slo_e2e: spec.slo_e2e.map(PositiveDuration),
        records: Some(spec.records),
        timeline_step: spec.timeline_step.map(PositiveDuration),
    }
}

fn write(table: &ScenarioTable, profiles: &[Located<ProfileSpec>]) -> String {
    let main = toml::to_string(table).expect("every value was read from TOML or fits it");
    let profiles = profiles.iter().map(|profile| write_profile(profile.value.clone())).collect();
    let profiles = Table::from_iter([("profiles".to_owned(), Value::Array(profiles))]);
    let profiles = toml::to_string(&profiles).expect("a table of TOML values is TOML");
    format!("{HEAD}{main}\n{profiles}")
}

/// A profile. One without an end of its range leaves the range out: its numbers do not fit TOML's integers, and
/// reading it without gives the same.
fn write_profile(mut profile: ProfileSpec) -> Value {
    let unlimited = profile.range == ProfileRange::UNLIMITED;
    if unlimited {
        profile.range.prefill_tokens = 0;
        profile.range.cached_tokens = 0;
        profile.range.decode_context_tokens = 0;
    }
    let mut table = Table::try_from(&profile).expect("every value was read from TOML or fits it");
    if unlimited {
        table.remove("range");
    }
    Value::Table(table)
}

/// The way from `folder` to `file`, where both can be told.
fn from_folder(folder: &Path, file: &Path) -> Option<String> {
    let (folder, file) = (plain(folder)?, plain(file)?);
    let shared = folder.components().zip(file.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(file.components().skip(shared)).collect();
    way.into_os_string().into_string().ok()
}

/// An absolute path without `.`, `..` and links. What does not exist yet hangs under what does.
fn plain(path: &Path) -> Option<PathBuf> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if let Ok(path) = path.canonicalize() {
        return Some(path);
    }
    let mut plain = PathBuf::new();
    for part in std::path::absolute(path).ok()?.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    let real = plain.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let (above, real) = real?;
    Some(real.join(plain.strip_prefix(above).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_two_folders_goes_up_and_down() {
        let way = |folder: &str, file: &str| from_folder(Path::new(folder), Path::new(file));
        assert_eq!(way("/no/results/a", "/no/data/t.gz").as_deref(), Some("../../data/t.gz"));
        assert_eq!(way("/no/results/a", "/no/s/../data/t.gz").as_deref(), Some("../../data/t.gz"));
        assert_eq!(way("/no/a", "/no/a/t.gz").as_deref(), Some("t.gz"));
        assert_eq!(way("", "tests/new/t.gz").as_deref(), Some("tests/new/t.gz"));
        assert_eq!(way("tests/new", "Cargo.toml").as_deref(), Some("../../Cargo.toml"));
    }
}
