//! A folder of runs. A run is there whole or not at all.
//!
//! ```text
//! DIR/sweep.json            what the sweep is: name, axes, policies, seeds, settings; the same for every shard
//! DIR/runs/ID/              scenario.resolved.toml, summary.json, histograms.json
//! DIR/cells.csv             a row a cell, written when all are there
//! ```
//!
//! A run is written into a folder beside its own, which is then renamed: whoever is killed leaves a `.part` folder at
//! most, and that is removed by the next one.

use crate::error::SweepError;
use crate::plan::{Plan, RunId};
use crate::run::Outcome;
use gorgo_metrics::Summary;
use gorgo_scenario::Resolved;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The version of the files.
const SCHEMA: u32 = 1;

const ABOUT: &str = "sweep.json";
const RUNS: &str = "runs";
const CELLS: &str = "cells.csv";
const SCENARIO: &str = "scenario.resolved.toml";
const SUMMARY: &str = "summary.json";
const HISTOGRAMS: &str = "histograms.json";
const PART: &str = ".part";

/// A share of a sweep: the `index`-th of `of`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// All of it.
    pub const ALL: Self = Self { index: 1, of: 1 };

    /// From `i/n`.
    ///
    /// # Errors
    /// What was wanted, where it is not that.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = || format!("got {text:?}, wanted i/n with i from 1 to n");
        let (index, of) = text.split_once('/').ok_or_else(wanted)?;
        let (index, of) = (index.parse().map_err(|_| wanted())?, of.parse().map_err(|_| wanted())?);
        if (1..=of).contains(&index) { Ok(Self { index, of }) } else { Err(wanted()) }
    }

    /// Whether the run at this place among all runs belongs to it.
    #[must_use]
    pub const fn has(self, place: usize) -> bool {
        place % self.of as usize == self.index as usize - 1
    }
}

/// The folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens a folder for a plan: a new or empty one, or with `resume` one that the same plan has begun.
    ///
    /// # Errors
    /// When the folder holds something else, another plan's runs, or cannot be written.
    pub fn open(folder: &Path, plan: &Plan, resume: bool) -> Result<Self, SweepError> {
        let store = Self { folder: folder.to_owned() };
        let about = about(plan);
        match std::fs::read_to_string(store.path(ABOUT)) {
            Ok(text) if text == about && resume => store.remove_parts()?,
            Ok(text) if text == about => {
                return Err(store.refuse("a sweep that was begun", "--resume, or another folder"));
            }
            Ok(_) => return Err(store.refuse("another sweep", "the same sweep, or another folder")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let is_empty = match std::fs::read_dir(folder) {
                    Ok(mut entries) => entries.next().is_none(),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
                    Err(source) => return Err(store.io(folder, source)),
                };
                if !is_empty {
                    return Err(store.refuse("other files", "an empty folder, or none"));
                }
                let runs = store.path(RUNS);
                std::fs::create_dir_all(&runs).map_err(|source| store.io(&runs, source))?;
                store.write(&store.path(ABOUT), &about)?;
            }
            Err(source) => return Err(store.io(&store.path(ABOUT), source)),
        }
        Ok(store)
    }

    /// The runs that are there.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn done(&self) -> Result<BTreeSet<String>, SweepError> {
        let runs = self.path(RUNS);
        let entries = std::fs::read_dir(&runs).map_err(|source| self.io(&runs, source))?;
        let mut done = BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(|source| self.io(&runs, source))?.file_name();
            let name = name.to_string_lossy().into_owned();
            if !name.ends_with(PART) {
                done.insert(name);
            }
        }
        Ok(done)
    }

    /// Keeps a run, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(
        &self,
        id: RunId,
        scenario: &Resolved,
        outcome: &Outcome,
    ) -> Result<(), SweepError> {
        let own = self.path(RUNS).join(id.to_string());
        let part = self.path(RUNS).join(format!("{id}{PART}"));
        std::fs::create_dir_all(&part).map_err(|source| self.io(&part, source))?;
        self.write(&part.join(SCENARIO), &scenario.to_toml_in(&own))?;
        self.write(&part.join(SUMMARY), &text(&json!(outcome.summary)))?;
        self.write(&part.join(HISTOGRAMS), &format!("{}\n", json!(outcome.histograms)))?;
        std::fs::rename(&part, &own).map_err(|source| self.io(&own, source))
    }

    /// The summary of a run; none where it is not there.
    ///
    /// # Errors
    /// When it cannot be read, or is no summary.
    pub fn summary(&self, id: RunId) -> Result<Option<Summary>, SweepError> {
        let path = self.path(RUNS).join(id.to_string()).join(SUMMARY);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io(&path, source)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| SweepError::Option {
            what: path.display().to_string(),
            got: error.to_string(),
            wanted: "a summary as a sweep writes it".to_owned(),
        })
    }

    /// Writes the table of all cells.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_cells(&self, text: &str) -> Result<(), SweepError> {
        let part = self.path("cells.csv.part");
        self.write(&part, text)?;
        let own = self.path(CELLS);
        std::fs::rename(&part, &own).map_err(|source| self.io(&own, source))
    }

    /// Takes over the runs of a shard of the same sweep that are not here yet. A trace's path is written anew, so that
    /// it leads from here to the same file.
    ///
    /// # Errors
    /// When the shard is of another sweep, two shards disagree about a run, or a file cannot be read or written.
    pub fn take_over(&self, shard: &Path) -> Result<u64, SweepError> {
        let other = Self { folder: shard.to_owned() };
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).map_err(|source| other.io(&path, source))
        };
        if read(other.path(ABOUT))? != read(self.path(ABOUT))? {
            return Err(other.refuse("another sweep", "a shard of the same one"));
        }
        let mut taken = 0;
        for name in other.done()? {
            let (from, own) = (other.path(RUNS).join(&name), self.path(RUNS).join(&name));
            let files = [SUMMARY, HISTOGRAMS].map(|file| read(from.join(file)));
            let [summary, histograms] = files;
            let (summary, histograms) = (summary?, histograms?);
            if own.is_dir() {
                if read(own.join(SUMMARY))? != summary {
                    let got = "a run that another shard tells otherwise";
                    return Err(Self { folder: from }.refuse(got, "the same numbers"));
                }
                continue;
            }
            let scenario = Resolved::from_file(&from.join(SCENARIO), &[] as &[&str])?;
            let part = self.path(RUNS).join(format!("{name}{PART}"));
            std::fs::create_dir_all(&part).map_err(|source| self.io(&part, source))?;
            self.write(&part.join(SCENARIO), &scenario.to_toml_in(&own))?;
            self.write(&part.join(SUMMARY), &summary)?;
            self.write(&part.join(HISTOGRAMS), &histograms)?;
            std::fs::rename(&part, &own).map_err(|source| self.io(&own, source))?;
            taken += 1;
        }
        Ok(taken)
    }

    /// The folder.
    #[must_use]
    pub fn path_of(&self) -> &Path {
        &self.folder
    }

    fn remove_parts(&self) -> Result<(), SweepError> {
        let runs = self.path(RUNS);
        std::fs::create_dir_all(&runs).map_err(|source| self.io(&runs, source))?;
        let entries = std::fs::read_dir(&runs).map_err(|source| self.io(&runs, source))?;
        for entry in entries {
            let path = entry.map_err(|source| self.io(&runs, source))?.path();
            if path.to_string_lossy().ends_with(PART) {
                std::fs::remove_dir_all(&path).map_err(|source| self.io(&path, source))?;
            }
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), SweepError> {
        std::fs::write(path, text).map_err(|source| self.io(path, source))
    }

    fn io(&self, path: &Path, source: std::io::Error) -> SweepError {
        SweepError::Io { path: path.to_owned(), source }
    }

    fn refuse(&self, got: &str, wanted: &str) -> SweepError {
        SweepError::Option {
            what: self.folder.display().to_string(),
            got: got.to_owned(),
            wanted: wanted.to_owned(),
        }
    }
}

/// What tells one sweep from another, in the order of its cells.
fn about(plan: &Plan) -> String {
    let axes: Vec<&str> = plan.file.axes.iter().map(|axis| axis.path.as_str()).collect();
    text(&json!({
        "schema": SCHEMA,
        "name": plan.file.name,
        "description": plan.file.description,
        "set": plan.file.sets,
        "axes": axes,
        "settings": plan.settings,
        "policies": plan.policies,
        "seeds": plan.file.seeds,
        "objective": plan.file.objective,
    }))
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}
