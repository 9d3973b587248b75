//! One side of a comparison: runs of one or more seeds, by policy and setting. It reads what `gorgo run`, `gorgo sweep`
//! and a kept baseline leave; `judge.rs` next compares.

use crate::exit::Failure;
use gorgo_metrics::{Numbers, SCHEMA, Summary};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of a baseline file.
const BASELINE_SCHEMA: u32 = 1;
/// The file of a sweep's folder that says what it is.
const SWEEP: &str = "sweep.json";
const CELLS: &str = "cells.csv";
const SUMMARY: &str = "summary.json";
/// How far below a folder runs are looked for: a folder of runs, a run, its policies.
const DEPTH: u32 = 3;

/// The runs of one policy under one setting, by seed.
#[derive(Debug)]
pub struct Group {
    /// The policy, and the values that a sweep varied.
    pub label: String,
    /// Numbers by seed.
    pub runs: BTreeMap<u64, Numbers>,
}

/// One side.
#[derive(Debug)]
pub struct SideRuns {
    /// Where it was read.
    pub path: PathBuf,
    /// Its groups by label.
    pub groups: BTreeMap<String, Group>,
}

/// A committed baseline: every seed's summary, in one file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Baseline {
    /// [`BASELINE_SCHEMA`].
    gorgo_baseline: u32,
    /// The scenario's name.
    scenario: String,
    /// TTFT of the measured completed requests of all seeds, by policy: the most of a bucket in ns, and how many.
    ttft_ns: BTreeMap<String, Vec<(u64, u64)>>,
    /// The summaries, without what single replicas did.
    runs: Vec<Value>,
}

/// A baseline file's text, of runs of one scenario with their TTFT histograms. Buckets are at most 1/64 wide, so that
/// the file stays small and those of several files add up.
pub fn baseline(scenario: &str, runs: &[(Summary, Vec<(u64, u64)>)]) -> Result<String, Failure> {
    let mut coarse: BTreeMap<String, BTreeMap<u64, u64>> = BTreeMap::new();
    for (summary, histogram) in runs {
        let own = coarse.entry(summary.policy.clone()).or_default();
        for &(value, count) in histogram {
            let shift = (u64::BITS - value.leading_zeros()).saturating_sub(7);
            let most = value | ((1 << shift) - 1);
            *own.entry(most).or_default() += count;
        }
    }
    let text = |summary: &Summary| {
        let mut summary = summary.clone();
        summary.replicas.clear();
        serde_json::to_value(summary).map_err(Failure::failed)
    };
    let document = Baseline {
        gorgo_baseline: BASELINE_SCHEMA,
        scenario: scenario.to_owned(),
        ttft_ns: coarse
            .into_iter()
            .map(|(name, counts)| (name, counts.into_iter().collect()))
            .collect(),
        runs: runs.iter().map(|(summary, _)| text(summary)).collect::<Result<_, _>>()?,
    };
    // A run a line: a diff shows which seeds changed.
    let head = serde_json::to_string(&document.ttft_ns).map_err(Failure::failed)?;
    let lines: Vec<String> = document.runs.iter().map(Value::to_string).collect();
    Ok(format!(
        "{{\"gorgo_baseline\":{BASELINE_SCHEMA},\"scenario\":{},\n\"ttft_ns\":{head},\n\"runs\":[\n{}\n]}}\n",
        Value::from(scenario),
        lines.join(",\n")
    ))
}

impl SideRuns {
    /// Reads a baseline file, a sweep's folder, a run's, a policy's, or a folder of runs.
    ///
    /// # Errors
    /// When there is nothing of the kind, a file is of another version or broken, or a seed is there twice.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let mut side = Self { path: path.to_owned(), groups: BTreeMap::new() };
        if path.is_file() {
            side.read_baseline()?;
        } else if path.join(SWEEP).is_file() {
            side.read_sweep()?;
        } else {
            side.walk(path, DEPTH)?;
        }
        if side.groups.is_empty() {
            return Err(side.refuse(
                path,
                "holds no run",
                "a baseline file, or a folder that gorgo run or gorgo sweep wrote",
            ));
        }
        Ok(side)
    }

    fn read_baseline(&mut self) -> Result<(), Failure> {
        let path = self.path.clone();
        let text = self.text(&path)?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| self.refuse(&path, &error.to_string(), "a baseline file (JSON)"))?;
        let wanted = || format!("gorgo_baseline {BASELINE_SCHEMA}");
        match value.get("gorgo_baseline") {
            None => return Err(self.refuse(&path, "is no baseline", &wanted())),
            Some(version) if *version != BASELINE_SCHEMA => {
                let got = format!("is of version {version}");
                return Err(self.refuse(&path, &got, &format!("{}: make it again", wanted())));
            }
            Some(_) => {}
        }
        let document: Baseline = serde_json::from_value(value)
            .map_err(|error| self.refuse(&path, &error.to_string(), "a baseline file"))?;
        for (index, run) in document.runs.into_iter().enumerate() {
            let summary = self.summary(&path, &format!("runs[{index}]"), run)?;
            self.add(summary.policy.clone(), &summary)?;
        }
        Ok(())
    }

    /// A sweep's cells: the policy and the values that vary are a group.
    fn read_sweep(&mut self) -> Result<(), Failure> {
        let cells = self.path.join(CELLS);
        if !cells.is_file() {
            let wanted = "a finished sweep: go on with it (--resume), or merge its shards";
            return Err(self.refuse(&self.path, "has no cells.csv", wanted));
        }
        let bad = |error: csv::Error| Failure::input(format!("{}: {error}", cells.display()));
        let mut reader = csv::Reader::from_path(&cells).map_err(bad)?;
        let head = reader.headers().map_err(bad)?.clone();
        let column = |name: &str| head.iter().position(|head| head == name);
        let (Some(policy), Some(run)) = (column("policy"), column("run")) else {
            return Err(self.refuse(&cells, "has no columns policy and run", "a sweep's table"));
        };
        let rows: Vec<csv::StringRecord> =
            reader.into_records().collect::<Result<_, _>>().map_err(bad)?;
        let varies = |axis: &usize| rows.iter().any(|row| row.get(*axis) != rows[0].get(*axis));
        // cell, setting, the axes, policy, seed, run, the metrics.
        let axes: Vec<usize> = (2..policy).filter(varies).collect();
        for row in &rows {
            let field = |index: usize| row.get(index).unwrap_or_default();
            let mut label = field(policy).to_owned();
            for axis in &axes {
                label.push_str(&format!(" {}={}", &head[*axis], field(*axis)));
            }
            let plain = field(run).chars().all(|c| c.is_ascii_hexdigit());
            if !plain || field(run).is_empty() {
                let got = format!("names the run {:?}", field(run));
                return Err(self.refuse(&cells, &got, "a name of hexadecimal digits"));
            }
            let path = self.path.join("runs").join(field(run)).join(SUMMARY);
            let summary = self.summary_file(&path)?;
            self.add(label, &summary)?;
        }
        Ok(())
    }

    fn walk(&mut self, folder: &Path, depth: u32) -> Result<(), Failure> {
        let own = folder.join(SUMMARY);
        if own.is_file() {
            let summary = self.summary_file(&own)?;
            return self.add(summary.policy.clone(), &summary);
        }
        if depth == 0 {
            return Ok(());
        }
        let io = |error| Failure::input(format!("{}: {error}", folder.display()));
        let mut below: Vec<PathBuf> = std::fs::read_dir(folder)
            .map_err(io)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(io)?;
        below.sort();
        below.iter().filter(|path| path.is_dir()).try_for_each(|path| self.walk(path, depth - 1))
    }

    fn text(&self, path: &Path) -> Result<String, Failure> {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::input(format!("{}: {error}", path.display())))
    }

    fn summary_file(&self, path: &Path) -> Result<Summary, Failure> {
        let value = serde_json::from_str(&self.text(path)?)
            .map_err(|error| self.refuse(path, &error.to_string(), "a summary (JSON)"))?;
        self.summary(path, "summary", value)
    }

    fn summary(&self, path: &Path, place: &str, value: Value) -> Result<Summary, Failure> {
        let schema = &value["schema"];
        if *schema != SCHEMA {
            let got = format!("{place}: schema: got {schema}");
            let wanted = format!("{SCHEMA}, which this gorgo writes: run it again");
            return Err(self.refuse(path, &got, &wanted));
        }
        serde_json::from_value(value)
            .map_err(|error| self.refuse(path, &format!("{place}: {error}"), "a run's summary"))
    }

    fn add(&mut self, label: String, summary: &Summary) -> Result<(), Failure> {
        let new = || Group { label: label.clone(), runs: BTreeMap::new() };
        let group = self.groups.entry(label.clone()).or_insert_with(new);
        if group.runs.insert(summary.seed, Numbers::of(summary)).is_some() {
            let got = format!("holds {label} with seed {} twice", summary.seed);
            return Err(self.refuse(&self.path, &got, "each policy and seed once"));
        }
        Ok(())
    }

    fn refuse(&self, path: &Path, got: &str, wanted: &str) -> Failure {
        Failure::input(format!("{}: {got}: wanted {wanted}", path.display()))
    }
}
