//! From what the file says to what is run: defaults, names, ranges, the built-in data.
//!
//! Each part fills in its table of the file and makes the plain data of it at the same time, so that what is written
//! out again ([`crate::Resolved::to_toml`]) and what is run cannot differ. Nothing outside the program is touched: the
//! workload's own file is opened later. The parts are in the files beside this one.

mod client;
mod cost;
mod day;
mod demand;
mod event;
mod fleet;
mod generators;
mod link;
mod live;
mod load;
mod measure;
mod network;
mod policies;
mod router;
mod short;
mod tuner;

use crate::Resolved;
use crate::parsed::{FleetTable, ScenarioTable};
use gorgo_config::{Diagnostic, Document, Located};
use gorgo_model::ModelError;
use gorgo_workload::WorkloadError;
use std::path::Path;

/// What a file leaves unsaid.
pub(crate) const DEFAULT_SEED: u64 = 1;

/// The table of the file and the document it was read from, for the places of its values.
pub(crate) struct Context<'a> {
    table: &'a ScenarioTable,
    document: Document<'a>,
}

/// Resolves `table`, which was read from `document`; `base` is where a relative path of the workload starts.
pub(crate) fn resolve(
    table: &ScenarioTable,
    document: Document<'_>,
    base: &Path,
) -> Result<Resolved, Diagnostic> {
    let table = &short::spelt_out(table, &document)?;
    let context = Context { table, document };
    let name = context.text(&table.name, "a name")?;
    let seed = table.seed.clone().unwrap_or(Located::nowhere(DEFAULT_SEED));
    // TOML has no integers above i64::MAX, so a larger seed could not be written out again.
    if i64::try_from(seed.value).is_err() {
        let problem = format!("got {}, wanted at most {}", seed.value, i64::MAX);
        return Err(context.document.blame(&seed, problem));
    }
    let network = context.network()?;
    let fleet = context.fleet(&network.network)?;
    let places: Vec<_> = fleet.replicas.iter().map(|replica| replica.region).collect();
    let router = context.router(&network.network, &places)?;
    let demand = context.demand(&network.network)?;
    let client = context.client()?;
    let measure = context.measure()?;
    let (moved, outages) = context.events(network.network.clone(), &fleet.replicas)?;
    let live = context.live()?;
    let cost = context.cost(&network.network, &fleet.replicas, &fleet.profiles, &router)?;
    let explicit = ScenarioTable {
        fleet: FleetTable { replicas: fleet.groups.into(), ..FleetTable::default() },
        network: network.table,
        workload: Some(demand.workload_table.into()),
        load: demand.load_table.into(),
        cost: cost.table,
        live: live.clone().map(Located::nowhere),
        profiles: fleet.profiles.into_iter().map(Located::nowhere).collect(),
        ..table.clone()
    };
    Ok(Resolved {
        name,
        description: table.description.clone().unwrap_or_default(),
        seed: seed.value,
        regions: network.network.regions().to_vec(),
        network: moved,
        outages,
        connect: network.connect,
        series: network.series,
        replicas: fleet.replicas,
        demand: demand.spec,
        client,
        router,
        measure,
        cost: cost.params,
        live,
        base: base.to_owned(),
        explicit,
    })
}

impl Context<'_> {
    /// A text that is not empty and stays on one line.
    fn text(&self, text: &Located<String>, wanted: &str) -> Result<String, Diagnostic> {
        let value = text.value.trim();
        if value.is_empty() || value != text.value || value.chars().any(char::is_control) {
            let problem = format!(
                "got {:?}, wanted {wanted} on one line, without blanks around it",
                text.value
            );
            return Err(self.document.blame(text, problem));
        }
        Ok(value.to_owned())
    }

    /// An error of the model crate, put where the value stands.
    fn model_error<T>(&self, at: &Located<T>, error: &ModelError) -> Diagnostic {
        match error {
            ModelError::Invalid { part, field, value, wanted } => {
                let problem = format!("{part}: {field}: got {value}, wanted {wanted}");
                self.document.blame(at, problem)
            }
            other => self.document.blame(at, other.to_string()),
        }
    }

    /// An error of the workload crate about a parameter of the table at `path`, put where the value stands, or at the
    /// table where a default is to blame.
    fn workload_error(&self, path: &[&str], error: &WorkloadError) -> Diagnostic {
        let WorkloadError::Parameter { field, got, wanted } = error else {
            let span = self.document.at(path).map_or(0..0, toml::Spanned::span);
            return self.document.error(span, error.to_string());
        };
        let mut place = self.document.at(path);
        let mut steps = path.to_vec();
        let field_name = field.split(' ').next().unwrap_or(field);
        for step in field_name.split('.') {
            // Here durations carry their unit in the value, there in the name.
            let bare = ["_rps", "_ms", "_s"].iter().find_map(|unit| step.strip_suffix(unit));
            let found = [Some(step), bare].into_iter().flatten().find_map(|step| {
                let deeper = [steps.as_slice(), &[step]].concat();
                Some((self.document.at(&deeper)?, deeper))
            });
            let Some((value, deeper)) = found else { break };
            (place, steps) = (Some(value), deeper);
        }
        let span = place.map_or(0..0, toml::Spanned::span);
        self.document.error(span, format!("{field}: got {got}, wanted {wanted}"))
    }

    /// The name of something known, by its own spelling or with other capitals.
    fn known<'k>(
        &self,
        name: &Located<String>,
        what: &str,
        known: &[&'k str],
    ) -> Result<&'k str, Diagnostic> {
        let found = known.iter().find(|word| word.eq_ignore_ascii_case(&name.value));
        found.copied().ok_or_else(|| {
            let problem = format!("got {:?}, wanted a known {what}", name.value);
            let diagnostic = self.document.blame(name, problem);
            diagnostic.known(&format!("known {what}s"), &name.value, known.iter().copied())
        })
    }
}
