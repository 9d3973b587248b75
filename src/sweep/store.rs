//! A folder of runs. A run is there whole or not at all.
//!
//! ```text
//! DIR/sweep.json            what the sweep is: name, axes, policies, seeds, settings; the same for every shard
//! DIR/runs/ID/              scenario.resolved.toml, summary.json, histograms.json; asked for: requests.csv
//! DIR/cells.csv             a row a cell, written when all are there; so are report.html and plots/*.svg
//! ```
//!
//! A run is written into a folder beside its own, which is then renamed: whoever is killed leaves a `.part` folder at
//! most, and that is removed by the next one. Two programs at work in one folder would take each other's, so the folder
//! is locked while it is open, where the file system knows locks; a lock goes with the program that held it.

use crate::error::SweepError;
use crate::plan::{Plan, RunId};
use crate::run::{Histograms, Outcome};
use gorgo_metrics::Summary;
use gorgo_report::write_requests;
use gorgo_scenario::Resolved;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The version of the files.
const SCHEMA: u32 = 1;

const ABOUT: &str = "sweep.json";
const RUNS: &str = "runs";
const CELLS: &str = "cells.csv";
const SCENARIO: &str = "scenario.resolved.toml";
const SUMMARY: &str = "summary.json";
const HISTOGRAMS: &str = "histograms.json";
const REQUESTS: &str = "requests.csv";
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
    /// Whether runs keep their requests.
    records: bool,
    /// Held open for its lock.
    _lock: Option<File>,
}

impl Store {
    /// Opens a folder for a plan: a new or empty one, or with `resume` one that the same plan has begun.
    ///
    /// # Errors
    /// When the folder holds something else, another plan's runs, or cannot be written.
    pub fn open(folder: &Path, plan: &Plan, resume: bool) -> Result<Self, SweepError> {
        let mut store = Self::at(folder, plan.records);
        let about = about(plan);
        std::fs::create_dir_all(folder).map_err(|source| store.io(folder, source))?;
        store.lock()?;
        match std::fs::read_to_string(store.path(ABOUT)) {
            Ok(text) if text == about && resume => {}
            Ok(text) if text == about => {
                return Err(store.refuse("a sweep that was begun", "--resume, or another folder"));
            }
            Ok(text) if same_but_for_records(&text, &about) => {
                let got = "the same sweep, but one with --records and one without";
                return Err(store.refuse(got, "the same for all of it, or another folder"));
            }
            Ok(_) => return Err(store.refuse("another sweep", "the same sweep, or another folder")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !store.is_unused()? {
                    return Err(store.refuse("other files", "an empty folder, or none"));
                }
                store.replace(ABOUT, &about)?;
            }
            Err(source) => return Err(store.io(&store.path(ABOUT), source)),
        }
        store.remove_parts()?;
        Ok(store)
    }

    fn at(folder: &Path, records: bool) -> Self {
        Self { folder: folder.to_owned(), records, _lock: None }
    }

    /// Whether the runs of a folder keep their requests.
    ///
    /// # Errors
    /// When the folder holds no sweep.
    pub fn keeps_records(folder: &Path) -> Result<bool, SweepError> {
        let store = Self::at(folder, false);
        let path = store.path(ABOUT);
        let text = std::fs::read_to_string(&path).map_err(|source| store.io(&path, source))?;
        let about: Value = serde_json::from_str(&text).map_err(|error| SweepError::Option {
            what: path.display().to_string(),
            got: error.to_string(),
            wanted: "the head of a sweep".to_owned(),
        })?;
        Ok(about.get("records").and_then(Value::as_bool).unwrap_or(false))
    }

    /// Whether the folder is empty, but for what one leaves who is killed while opening it.
    fn is_unused(&self) -> Result<bool, SweepError> {
        let entries =
            std::fs::read_dir(&self.folder).map_err(|source| self.io(&self.folder, source))?;
        for entry in entries {
            let name = entry.map_err(|source| self.io(&self.folder, source))?.file_name();
            if name != format!("{ABOUT}{PART}").as_str() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Keeps others out as long as this is there. A system that does not lock folders keeps nobody out.
    fn lock(&mut self) -> Result<(), SweepError> {
        let Ok(folder) = File::open(&self.folder) else { return Ok(()) };
        if matches!(folder.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(self.refuse("a sweep at work", "one program at a time"));
        }
        self._lock = Some(folder);
        Ok(())
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
        if self.records {
            self.write_records(&part.join(REQUESTS), outcome)?;
        }
        std::fs::rename(&part, &own).map_err(|source| self.io(&own, source))
    }

    /// The requests of a run, as `gorgo run` writes them.
    fn write_records(&self, path: &Path, outcome: &Outcome) -> Result<(), SweepError> {
        let Some(records) = &outcome.records else {
            return Err(SweepError::Option {
                what: "--records".to_owned(),
                got: format!("a run of {} requests", outcome.summary.window.measured),
                wanted: "runs small enough to hold their requests in memory".to_owned(),
            });
        };
        let file = File::create(path).map_err(|source| self.io(path, source))?;
        let mut out = BufWriter::new(file);
        write_requests(&mut out, &outcome.names, records)
            .and_then(|()| out.flush())
            .map_err(|source| self.io(path, source))
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

    /// The histograms of a run that is there.
    ///
    /// # Errors
    /// When they cannot be read, or are none.
    pub fn histograms(&self, id: &str) -> Result<Histograms, SweepError> {
        let path = self.path(RUNS).join(id).join(HISTOGRAMS);
        let text = std::fs::read_to_string(&path).map_err(|source| self.io(&path, source))?;
        serde_json::from_str(&text).map_err(|error| SweepError::Option {
            what: path.display().to_string(),
            got: error.to_string(),
            wanted: "histograms as a sweep writes them".to_owned(),
        })
    }

    /// Writes the table of all cells.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_cells(&self, text: &str) -> Result<(), SweepError> {
        self.replace(CELLS, text)
    }

    /// Writes a file of the folder, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn replace(&self, name: &str, text: &str) -> Result<(), SweepError> {
        let part = self.path(&format!("{name}{PART}"));
        if let Some(folder) = part.parent() {
            std::fs::create_dir_all(folder).map_err(|source| self.io(folder, source))?;
        }
        self.write(&part, text)?;
        let own = self.path(name);
        std::fs::rename(&part, &own).map_err(|source| self.io(&own, source))
    }

    /// Takes over the runs of a shard of the same sweep that are not here yet. A trace's path is written anew, so that
    /// it leads from here to the same file.
    ///
    /// # Errors
    /// When the shard is of another sweep, two shards disagree about a run, or a file cannot be read or written.
    pub fn take_over(&self, shard: &Path) -> Result<u64, SweepError> {
        let other = Self::at(shard, self.records);
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
                    return Err(Self::at(&from, false).refuse(got, "the same numbers"));
                }
                continue;
            }
            let scenario = Resolved::from_file(&from.join(SCENARIO), &[] as &[&str])?;
            let part = self.path(RUNS).join(format!("{name}{PART}"));
            std::fs::create_dir_all(&part).map_err(|source| self.io(&part, source))?;
            self.write(&part.join(SCENARIO), &scenario.to_toml_in(&own))?;
            self.write(&part.join(SUMMARY), &summary)?;
            self.write(&part.join(HISTOGRAMS), &histograms)?;
            if self.records {
                let (from, to) = (from.join(REQUESTS), part.join(REQUESTS));
                std::fs::copy(&from, &to).map_err(|source| self.io(&from, source))?;
            }
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
    let mut about = json!({
        "schema": SCHEMA,
        "name": plan.file.name,
        "description": plan.file.description,
        "set": plan.file.sets,
        "axes": axes,
        "settings": plan.settings,
        "policies": plan.policies,
        "seeds": plan.file.seeds,
        "objective": plan.file.objective,
    });
    if plan.records {
        about["records"] = json!(true);
    }
    text(&about)
}

/// Whether two heads tell the same sweep, of which one keeps its requests.
fn same_but_for_records(one: &str, other: &str) -> bool {
    let without = |text: &str| {
        let mut about = serde_json::from_str::<Value>(text).ok()?;
        about.as_object_mut()?.remove("records");
        Some(about)
    };
    without(one).is_some_and(|one| without(other) == Some(one))
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}
