//! The directory of a command's results: what is written where, and when a directory may be written into.
//!
//! ```text
//! DIR/            run.json, scenario.resolved.toml, plots/{ttft_cdf,ttft_parts,timeline}.svg
//! DIR/<policy>/   summary.json, requests.csv, timeline.csv, origins.csv, decisions.jsonl, plots/{ttft_histogram,timeline}.svg
//! ```
//!
//! A directory that holds anything is refused unless overwriting was asked for; then exactly the files above are
//! removed first, so that nothing of an earlier run is mixed with this one, and everything else stays as it is.

use crate::json::{pretty, summary_json};
use crate::origins::write_origins;
use crate::requests_reader::read_requests;
use crate::{ReportError, plot, write_requests, write_timeline};
use gorgo_metrics::{FleetNames, RequestRecord, RunResult, Side, Summary, Window};
use gorgo_types::Nanos;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

const RUN: &str = "run.json";
const SCENARIO: &str = "scenario.resolved.toml";
const SUMMARY: &str = "summary.json";
const REQUESTS: &str = "requests.csv";
const TIMELINE: &str = "timeline.csv";
const ORIGINS: &str = "origins.csv";
const DECISIONS: &str = "decisions.jsonl";
const CDF_PLOT: &str = "plots/ttft_cdf.svg";
const PARTS_PLOT: &str = "plots/ttft_parts.svg";
const TIMELINE_PLOT: &str = "plots/timeline.svg";
const HISTOGRAM_PLOT: &str = "plots/ttft_histogram.svg";

/// Files at the top that gorgo writes.
const TOP_FILES: [&str; 5] = [RUN, SCENARIO, CDF_PLOT, PARTS_PLOT, TIMELINE_PLOT];
/// Files of a policy that gorgo writes.
const POLICY_FILES: [&str; 7] =
    [SUMMARY, REQUESTS, TIMELINE, ORIGINS, DECISIONS, HISTOGRAM_PLOT, TIMELINE_PLOT];

/// An open output directory.
#[derive(Clone, Debug)]
pub struct OutputDir {
    path: PathBuf,
}

impl OutputDir {
    /// Opens a directory for writing, making it where it is missing.
    ///
    /// With `overwrite`, known files of an earlier run are removed; a subdirectory counts as a policy's only if it
    /// holds a `summary.json` of gorgo's.
    ///
    /// # Errors
    /// When the path is a file, the directory is not empty and `overwrite` is not set, or the system refuses.
    pub fn open(path: &Path, overwrite: bool) -> Result<Self, ReportError> {
        if path.exists() && !path.is_dir() {
            return Err(ReportError::NotADirectory { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(at(path))?;
        let entries = list(path)?;
        if !entries.is_empty() {
            if !overwrite {
                return Err(ReportError::NotEmpty { path: path.to_owned() });
            }
            remove_known(path, &TOP_FILES)?;
            for entry in entries.iter().filter(|entry| is_policy_directory(entry)) {
                remove_known(entry, &POLICY_FILES)?;
                remove_if_empty(entry)?;
            }
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `scenario.resolved.toml`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_scenario(&self, toml: &str) -> Result<(), ReportError> {
        self.write(Path::new(SCENARIO), toml.as_bytes())
    }

    /// Writes `run.json`, the only file that may differ between two runs of the same scenario.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_about(&self, about: &impl Serialize) -> Result<(), ReportError> {
        self.write(Path::new(RUN), pretty(about).as_bytes())
    }

    /// Writes the files of one policy.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_run(&self, run: &RunResult) -> Result<(), ReportError> {
        let directory = policy_directory(&run.names.policy);
        let file = |name: &str| Path::new(&directory).join(name);
        self.write(&file(SUMMARY), summary_json(&run.summary).as_bytes())?;
        if let Some(records) = &run.records {
            self.stream(&file(REQUESTS), |out| write_requests(out, &run.names, records))?;
        }
        if !run.timeline.is_empty() {
            self.stream(&file(TIMELINE), |out| write_timeline(out, run))?;
            self.write(&file(TIMELINE_PLOT), plot::timeline(&[run]).as_bytes())?;
        }
        if !run.legs.is_empty() {
            self.stream(&file(ORIGINS), |out| write_origins(out, &run.legs))?;
        }
        self.write(&file(HISTOGRAM_PLOT), plot::ttft_histogram(run).as_bytes())
    }

    /// Writes the plots of all policies together.
    ///
    /// # Errors
    /// When two policies share a directory, or the system refuses.
    pub fn write_combined(&self, runs: &[RunResult]) -> Result<(), ReportError> {
        check_directories(runs.iter().map(|run| run.names.policy.as_str()))?;
        let runs: Vec<&RunResult> = runs.iter().collect();
        self.write(Path::new(CDF_PLOT), plot::ttft_cdf(&runs).as_bytes())?;
        self.write(Path::new(PARTS_PLOT), plot::ttft_parts(&runs).as_bytes())?;
        if runs.iter().any(|run| !run.timeline.is_empty()) {
            self.write(Path::new(TIMELINE_PLOT), plot::timeline(&runs).as_bytes())?;
        }
        Ok(())
    }

    /// Opens a policy's `decisions.jsonl`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn decision_log(&self, policy: &str) -> Result<DecisionLog, ReportError> {
        let path = self.path.join(policy_directory(policy)).join(DECISIONS);
        let out = BufWriter::with_capacity(1 << 18, create(&path)?);
        Ok(DecisionLog { path, out })
    }

    fn write(&self, name: &Path, bytes: &[u8]) -> Result<(), ReportError> {
        self.stream(name, |out| out.write_all(bytes))
    }

    fn stream(
        &self,
        name: &Path,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), ReportError> {
        let path = self.path.join(name);
        fill(&mut create(&path)?).map_err(at(&path))
    }
}

/// A `decisions.jsonl` being written: one JSON object a line.
#[derive(Debug)]
pub struct DecisionLog {
    path: PathBuf,
    out: BufWriter<File>,
}

impl DecisionLog {
    /// Adds a row.
    ///
    /// # Errors
    /// When the row is not JSON or the system refuses.
    pub fn write(&mut self, row: &impl Serialize) -> Result<(), ReportError> {
        serde_json::to_writer(&mut self.out, row)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(at(&self.path))
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn finish(mut self) -> Result<(), ReportError> {
        self.out.flush().map_err(at(&self.path))
    }
}

/// One policy's run, read back.
#[derive(Clone, Debug)]
pub struct LoadedRun {
    /// The policy's name.
    pub name: String,
    /// Its summary.
    pub summary: Summary,
    /// Names for the ids in `records`.
    pub names: FleetNames,
    /// Its requests.
    pub records: Vec<RequestRecord>,
    /// Which of them are measured.
    pub window: Window,
}

impl LoadedRun {
    /// The run as one side of a comparison.
    #[must_use]
    pub fn side(&self) -> Side<'_> {
        Side { label: &self.name, records: &self.records, window: self.window }
    }
}

/// Reads a run from a policy's directory, or from a command's directory that holds a single policy.
///
/// # Errors
/// When there is no run, more than one, no `requests.csv`, or a file is not as gorgo writes it.
pub fn load_run(path: &Path) -> Result<LoadedRun, ReportError> {
    let no_run = |problem: String| ReportError::NoRun { path: path.to_owned(), problem };
    let directory = if path.join(SUMMARY).is_file() {
        path.to_owned()
    } else {
        let mut policies = list(path)?;
        policies.retain(|entry| entry.join(SUMMARY).is_file());
        match policies.len() {
            0 => {
                return Err(no_run(format!(
                    "holds no run: wanted {SUMMARY}, or a directory with it"
                )));
            }
            1 => policies.remove(0),
            _ => {
                let names: Vec<_> = policies
                    .iter()
                    .filter_map(|policy| {
                        policy.file_name().map(|name| name.to_string_lossy().into_owned())
                    })
                    .collect();
                let names = names.join(", ");
                return Err(no_run(format!(
                    "holds several policies: wanted the path of one of {names}"
                )));
            }
        }
    };
    let summary_path = directory.join(SUMMARY);
    let text = fs::read(&summary_path).map_err(at(&summary_path))?;
    let summary: Summary = serde_json::from_slice(&text)
        .map_err(|source| ReportError::Summary { path: summary_path.clone(), source })?;
    let requests_path = directory.join(REQUESTS);
    if !requests_path.is_file() {
        return Err(no_run(format!(
            "has no {REQUESTS}: a run too large to keep records cannot be paired; run it with records"
        )));
    }
    let file = File::open(&requests_path).map_err(at(&requests_path))?;
    let requests = read_requests(BufReader::new(file), &requests_path.display().to_string())?;
    let window = measured_window(&summary).map_err(|problem| no_run(problem.to_string()))?;
    Ok(LoadedRun {
        name: summary.policy.clone(),
        summary,
        names: requests.names,
        records: requests.records,
        window,
    })
}

/// The window of a summary. Its end may be the end of the run, at which nothing is scheduled any more.
fn measured_window(summary: &Summary) -> Result<Window, gorgo_types::TimeError> {
    let window = summary.window;
    let to = summary.window.stop_s.map(Nanos::from_s).transpose()?;
    Ok(Window { from: Nanos::from_s(window.from_s)?, to })
}

/// A policy's name as a directory name: whatever is not a letter, digit, dot, dash or underscore becomes a dash.
fn policy_directory(policy: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = policy.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    // A leading dot would hide it or climb out of the directory; `plots` is taken.
    if name.is_empty() || name.starts_with('.') || name == "plots" {
        format!("policy-{name}")
    } else {
        name
    }
}

fn check_directories<'a>(policies: impl Iterator<Item = &'a str>) -> Result<(), ReportError> {
    let mut taken: Vec<(String, &str)> = Vec::new();
    for policy in policies {
        // Some file systems do not tell upper case from lower.
        let directory = policy_directory(policy).to_ascii_lowercase();
        if let Some((_, first)) = taken.iter().find(|(name, _)| *name == directory) {
            let (first, second) = ((*first).to_owned(), policy.to_owned());
            return Err(ReportError::SameDirectory { first, second, directory });
        }
        taken.push((directory, policy));
    }
    Ok(())
}

/// Whether an entry is the directory of a policy of an earlier run.
fn is_policy_directory(path: &Path) -> bool {
    fs::read(path.join(SUMMARY)).is_ok_and(|text| serde_json::from_slice::<Summary>(&text).is_ok())
}

/// The entries of a directory, by name.
fn list(path: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let entries = fs::read_dir(path).map_err(at(path))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(at(path))?;
    paths.sort();
    Ok(paths)
}

fn remove_known(directory: &Path, names: &[&str]) -> Result<(), ReportError> {
    for name in names {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {}
        }
    }
    let plots = directory.join("plots");
    if plots.is_dir() { remove_if_empty(&plots) } else { Ok(()) }
}

fn remove_if_empty(path: &Path) -> Result<(), ReportError> {
    if list(path)?.is_empty() { fs::remove_dir(path).map_err(at(path)) } else { Ok(()) }
}

fn create(path: &Path) -> Result<File, ReportError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    File::create(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ReportError + '_ {
    move |source| ReportError::Io { path: path.to_owned(), source }
}
