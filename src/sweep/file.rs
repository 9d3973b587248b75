//! A sweep file: the scenario, what varies, and how the settings are chosen.
//!
//! ```toml
//! name = "weights"
//! scenario = "../01_three_regions.toml"   # relative to this file; without it the built-in one
//! policies = ["gorgo"]                     # of the scenario's; all of them where this is left out
//! seeds = { first = 1, count = 5 }
//! minimize = "ttft_ms.p99"
//!
//! [[over]]
//! path = "router.policies.gorgo.w_rtt"
//! log_range = { from = 0.05, to = 2.0, points = 5 }
//!
//! [[over]]
//! path = "router.policies.gorgo.w_queue"
//! choices = [0.05, 0.1, 0.5]
//! ```
//!
//! A bare list is never a sweep: what varies says `choices`, `range` or `log_range`.

use crate::domain::{Domain, RangeTable, Scalar};
use crate::error::SweepError;
use crate::table::METRICS;
use gorgo_config::{Diagnostic, Document, Located, Source};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Most seeds of a sweep.
const MOST_SEEDS: u64 = 1_000_000;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: Located<String>,
    #[serde(default)]
    description: String,
    scenario: Option<Located<String>>,
    trace: Option<Located<String>>,
    #[serde(default)]
    set: Vec<Located<String>>,
    #[serde(default)]
    policies: Vec<Located<String>>,
    seeds: Option<Located<SeedsTable>>,
    minimize: Option<Located<String>>,
    maximize: Option<Located<String>>,
    search: Option<Located<SearchTable>>,
    #[serde(default)]
    over: Vec<Located<OverTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedsTable {
    #[serde(default = "one")]
    first: u64,
    count: Located<u64>,
}

const fn one() -> u64 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchTable {
    grid: Option<NoKeys>,
    random: Option<DrawnTable>,
    latin_hypercube: Option<DrawnTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrawnTable {
    settings: Located<u64>,
    #[serde(default = "one")]
    seed: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverTable {
    path: Located<String>,
    choices: Option<Located<Vec<Located<Scalar>>>>,
    range: Option<Located<RangeTable>>,
    log_range: Option<Located<RangeTable>>,
    zip: Option<String>,
}

/// A parameter that varies.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Where it stands in the scenario, as `--set` has it.
    pub path: String,
    /// Its values.
    pub domain: Domain,
    /// Axes of the same word go together, value by value; none: it is crossed with all others.
    pub zip: Option<String>,
}

/// The seeds of every setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds {
    /// The first one.
    pub first: u64,
    /// How many, one after the other.
    pub count: u64,
}

/// How settings are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Every combination.
    Grid,
    /// Independent draws.
    Random {
        /// How many.
        settings: u64,
        /// Of the draws.
        seed: u64,
    },
    /// Draws of which each falls into a stratum of its own on every axis.
    LatinHypercube {
        /// How many.
        settings: u64,
        /// Of the draws.
        seed: u64,
    },
}

/// A sweep file, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepFile {
    /// Its name, for tables and files.
    pub name: String,
    /// What it asks, in words; may be empty.
    pub description: String,
    /// The scenario's file; none: the built-in one.
    pub scenario: Option<PathBuf>,
    /// A recorded trace in the place of its workload.
    pub trace: Option<PathBuf>,
    /// Assignments for every cell.
    pub sets: Vec<String>,
    /// Labels of the policies to run; empty: all of the scenario's.
    pub policies: Vec<String>,
    /// The seeds of every setting.
    pub seeds: Seeds,
    /// The metric that settings are ordered by, and whether less is better.
    pub objective: (String, bool),
    /// How settings are chosen.
    pub search: Search,
    /// What varies.
    pub axes: Vec<Axis>,
}

impl SweepFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no sweep.
    pub fn read(path: &Path) -> Result<Self, SweepError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SweepError::Io { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self::parse(&path.display().to_string(), &text, folder)?)
    }

    /// Checks a text; `name` is what errors call it, and relative paths start at `folder`.
    ///
    /// # Errors
    /// Where a key is unknown, a value makes no sense, or two contradict each other.
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Self, Diagnostic> {
        let source = Source::new(name, text);
        let document = source.document()?;
        let table: Table = document.read()?;
        if table.name.value.trim().is_empty() {
            return Err(document.blame(&table.name, "got an empty name, wanted one"));
        }
        let axes: Vec<Axis> =
            table.over.iter().map(|over| axis(over, &document)).collect::<Result<_, _>>()?;
        for (index, over) in table.over.iter().enumerate() {
            if axes[..index].iter().any(|axis| axis.path == axes[index].path) {
                let path = &over.value.path;
                return Err(
                    document.blame(path, format!("got {} twice, wanted it once", path.value))
                );
            }
        }
        let search = search(table.search.as_ref(), &document)?;
        if search == Search::Grid {
            lengths_fit(&table.over, &axes, &document)?;
        }
        let join = |path: &Located<String>| folder.join(&path.value);
        Ok(Self {
            name: table.name.value.clone(),
            description: table.description.clone(),
            scenario: table.scenario.as_ref().map(join),
            trace: table.trace.as_ref().map(join),
            sets: table.set.iter().map(|set| set.value.clone()).collect(),
            policies: table.policies.iter().map(|policy| policy.value.clone()).collect(),
            seeds: seeds(table.seeds.as_ref(), &document)?,
            objective: objective(&table, &document)?,
            search,
            axes,
        })
    }
}

fn axis(over: &Located<OverTable>, document: &Document<'_>) -> Result<Axis, Diagnostic> {
    let OverTable { path, choices, range, log_range, zip } = &over.value;
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '"' | '@');
    if path.value.is_empty() || !path.value.chars().all(plain) {
        let problem = format!("got {:?}, wanted a dotted path of the scenario", path.value);
        return Err(document.blame(path, problem));
    }
    if path.value == "seed" {
        return Err(document.blame(path, "got the seed, wanted it under `seeds`"));
    }
    let domain = match (choices, range, log_range) {
        (Some(list), None, None) => Domain::choices(list, document)?,
        (None, Some(table), None) => Domain::range(&table.value, false, document)?,
        (None, None, Some(table)) => Domain::range(&table.value, true, document)?,
        _ => {
            let problem = "wanted one of choices, range and log_range".to_owned();
            return Err(document.blame(path, problem));
        }
    };
    Ok(Axis { path: path.value.clone(), domain, zip: zip.clone() })
}

/// Axes that go together have as many values each.
fn lengths_fit(
    over: &[Located<OverTable>],
    axes: &[Axis],
    document: &Document<'_>,
) -> Result<(), Diagnostic> {
    for (index, axis) in axes.iter().enumerate().filter(|(_, axis)| axis.zip.is_some()) {
        let first = axes.iter().find(|other| other.zip == axis.zip).unwrap_or(axis);
        let (got, wanted) = (axis.domain.grid().len(), first.domain.grid().len());
        if got != wanted {
            let problem = format!(
                "got {got} values, wanted {wanted} as {} has, which goes together with it",
                first.path
            );
            return Err(document.blame(&over[index].value.path, problem));
        }
    }
    Ok(())
}

fn seeds(
    table: Option<&Located<SeedsTable>>,
    document: &Document<'_>,
) -> Result<Seeds, Diagnostic> {
    let Some(table) = table else { return Ok(Seeds { first: 1, count: 1 }) };
    let SeedsTable { first, count } = &table.value;
    if !(1..=MOST_SEEDS).contains(&count.value) {
        let problem = format!("got {}, wanted 1 to {MOST_SEEDS}", count.value);
        return Err(document.blame(count, problem));
    }
    if i64::try_from(first.saturating_add(count.value)).is_err() {
        return Err(document.blame(table, format!("got seeds above {}", i64::MAX)));
    }
    Ok(Seeds { first: *first, count: count.value })
}

fn search(
    table: Option<&Located<SearchTable>>,
    document: &Document<'_>,
) -> Result<Search, Diagnostic> {
    let Some(table) = table else { return Ok(Search::Grid) };
    let drawn = |drawn: &DrawnTable| {
        let settings = &drawn.settings;
        if !(1..=1_000_000).contains(&settings.value) {
            let problem = format!("got {}, wanted 1 to 1000000", settings.value);
            return Err(document.blame(settings, problem));
        }
        Ok((settings.value, drawn.seed))
    };
    let SearchTable { grid, random, latin_hypercube } = &table.value;
    match (grid, random, latin_hypercube) {
        (Some(NoKeys {}), None, None) => Ok(Search::Grid),
        (None, Some(table), None) => {
            drawn(table).map(|(settings, seed)| Search::Random { settings, seed })
        }
        (None, None, Some(table)) => {
            drawn(table).map(|(settings, seed)| Search::LatinHypercube { settings, seed })
        }
        _ => Err(document.blame(table, "wanted one of grid, random and latin_hypercube")),
    }
}

fn objective(table: &Table, document: &Document<'_>) -> Result<(String, bool), Diagnostic> {
    let (given, less) = match (&table.minimize, &table.maximize) {
        (None, None) => return Ok(("ttft_ms.p99".to_owned(), true)),
        (Some(given), None) => (given, true),
        (None, Some(given)) => (given, false),
        (Some(_), Some(given)) => {
            return Err(document.blame(given, "got maximize beside minimize, wanted one"));
        }
    };
    if !METRICS.contains(&given.value.as_str()) {
        let known = METRICS.iter().copied();
        let problem = format!("got {:?}, wanted a metric of the table", given.value);
        return Err(document.blame(given, problem).known("metrics", &given.value, known));
    }
    Ok((given.value.clone(), less))
}
