//! Reading a scenario's text, and what the command line may change of it before it is resolved.

use crate::parsed::{RecordedTable, ScenarioTable, TraceTable, WorkloadTable};
use crate::{DEFAULT, DEFAULT_NAME, Resolved, ScenarioError, resolve};
use gorgo_config::{Diagnostic, Duration, Located, Positive, Source};
use std::path::{Path, PathBuf};

/// A scenario as its file says it, with the assignments of `--set` laid over it.
#[derive(Clone, Debug)]
pub struct Parsed {
    source: Source,
    table: ScenarioTable,
}

/// A recorded trace in the place of a scenario's workload, as the command line gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayTrace {
    /// The file, of any kind that [`gorgo_workload::open()`] knows. A relative path starts at the current folder.
    pub path: PathBuf,
    /// Times are divided by this.
    pub speedup: Option<f64>,
    /// Only requests recorded in `A..B` of the trace's own time, such as `10min..40min`; either may be left out.
    pub window: Option<String>,
}

impl ReplayTrace {
    /// The option that says something of recorded times, with its value.
    fn times_option(&self) -> Option<(&'static str, String)> {
        let speedup = self.speedup.map(|speedup| ("--speedup", speedup.to_string()));
        speedup.or_else(|| Some(("--window", self.window.clone()?)))
    }
}

impl Parsed {
    /// Parses the text of a scenario; `name` is what errors call it, and `sets` are assignments `path=value`. A kind of
    /// load or workload that they name takes the place of the file's.
    ///
    /// # Errors
    /// Where the text is not TOML, a key is unknown or missing, or a value is not one that the key can have.
    pub fn new<S: AsRef<str>>(name: &str, text: &str, sets: &[S]) -> Result<Self, Diagnostic> {
        Self::parse(name, text, &texts(sets))
    }

    /// [`Parsed::new`] for one type of assignments, so that what reads a scenario is compiled here and once, not in every
    /// crate that asks for it: it is a good part of the program.
    fn parse(name: &str, text: &str, sets: &[&str]) -> Result<Self, Diagnostic> {
        let mut source = Source::new(name, text);
        sets.iter().for_each(|set| source.set(set));
        let mut table: ScenarioTable = source.document()?.read()?;
        let loads = Named::by(sets, "load");
        if loads.kinds().next().is_some() {
            table.load.value.retain(|key| key == "turns" || loads.has(key));
        }
        // The file's time of day is about the rate that it had.
        let closed = ["synchronous", "concurrent", "closed_loop", "throughput", "sweep"];
        let start_by_set =
            paths(sets).any(|path| path.split('.').nth(2).map(bare) == Some("start"));
        if let Some(workload) = &mut table.workload
            && let Some(wildchat) = &mut workload.value.wildchat
            && closed.iter().any(|kind| loads.keys.contains(kind))
            && !start_by_set
        {
            wildchat.value.start = None;
        }
        let workloads = Named::by(sets, "workload");
        if let Some(workload) = &mut table.workload
            && workloads.kinds().next().is_some()
        {
            workload.value.retain(|kind| workloads.has(kind));
        }
        Ok(Self { source, table })
    }

    /// Reads and parses a file.
    ///
    /// # Errors
    /// When it cannot be read, and as [`Parsed::new`].
    pub fn from_file<S: AsRef<str>>(path: &Path, sets: &[S]) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self::new(&path.display().to_string(), &text, sets)?)
    }

    /// What the file says.
    #[must_use]
    pub const fn table(&self) -> &ScenarioTable {
        &self.table
    }

    /// Puts a recorded trace in the place of the workload, at its own times, or at those of the `[load]` that the
    /// assignments `sets` ask for: the file's own is about its own workload, and so are its workload's keys.
    ///
    /// # Errors
    /// When the path, the speed-up or the window is not one, or an assignment contradicts the trace.
    pub fn replay<S: AsRef<str>>(
        &mut self,
        trace: &ReplayTrace,
        sets: &[S],
    ) -> Result<(), ScenarioError> {
        self.replace_workload(trace, &texts(sets))
    }

    fn replace_workload(
        &mut self,
        trace: &ReplayTrace,
        sets: &[&str],
    ) -> Result<(), ScenarioError> {
        if let Some(key) = paths(sets).find(|path| first_key(path) == "workload") {
            let wanted = "no key of the workload: the trace takes its place";
            let got = key.trim().to_owned();
            return Err(ScenarioError::Option { option: "--set", got, wanted });
        }
        let asked = Named::by(sets, "load");
        let mut load = self.table.load.value.clone();
        load.retain(|key| asked.has(key));
        if load.redraws()
            && let Some(option) = trace.times_option()
        {
            let wanted = "it without a [load] by --set, which sends requests at times of its own";
            let got = option.1.to_owned();
            return Err(ScenarioError::Option { option: option.0, got, wanted });
        }
        let Some(path) = trace.path.to_str() else {
            let got = trace.path.display().to_string();
            return Err(ScenarioError::Option { option: "TRACE", got, wanted: "a path in UTF-8" });
        };
        let (from, to) = trace.window.as_deref().map_or(Ok((None, None)), window)?;
        let speedup = match trace.speedup {
            Some(speedup) if !(1e-6..=1e6).contains(&speedup) => {
                let wanted = "a number from 0.000001 to 1000000";
                return Err(ScenarioError::Option {
                    option: "--speedup",
                    got: speedup.to_string(),
                    wanted,
                });
            }
            speedup => speedup.map(|speedup| Located::nowhere(Positive(speedup))),
        };
        let path = Located::nowhere(path.to_owned());
        let trace = TraceTable { path, requests: None, assumed_service: None };
        let workload = WorkloadTable { trace: Some(trace.into()), ..WorkloadTable::default() };
        self.table.workload = Some(workload.into());
        let (from, to) = (from.map(Located::nowhere), to.map(Located::nowhere));
        if !load.redraws() {
            let set = load.recorded.take().map(|set| set.value).unwrap_or_default();
            let recorded = RecordedTable {
                speedup: speedup.or(set.speedup),
                from: from.or(set.from),
                to: to.or(set.to),
            };
            load.recorded = Some(recorded.into());
        }
        self.table.load = load.into();
        Ok(())
    }

    /// Takes the table of arrivals out of `workload.art_chat`, so that times and lengths are drawn: for where that file
    /// is not at hand. What was known of its busiest user goes with it. False where there is none.
    pub fn draw_arrivals(&mut self) -> bool {
        let workload = self.table.workload.as_mut();
        let art_chat = workload.and_then(|workload| workload.value.art_chat.as_mut());
        art_chat.is_some_and(|art_chat| {
            let had_arrivals = art_chat.value.arrivals.take().is_some();
            if had_arrivals {
                art_chat.value.top_user_text = None;
            }
            had_arrivals
        })
    }

    /// Fills in every default and looks every name up. `base` is the folder at which a relative path of the workload
    /// starts: the scenario file's.
    ///
    /// # Errors
    /// Where a name is unknown, a number makes no sense, or two parts contradict each other; each with its place.
    pub fn resolve(&self, base: &Path) -> Result<Resolved, Diagnostic> {
        resolve::resolve(&self.table, self.source.document()?, base)
    }
}

impl Resolved {
    /// The names of the fleet's zones, each once, in the order of the fleet.
    #[must_use]
    pub fn zones(&self) -> Vec<String> {
        let mut zones: Vec<String> = Vec::new();
        for zone in self.replicas.iter().filter_map(|replica| replica.residency.as_ref()) {
            if !zones.contains(zone) {
                zones.push(zone.clone());
            }
        }
        zones
    }

    /// The scenario of a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no scenario.
    pub fn from_file<S: AsRef<str>>(path: &Path, sets: &[S]) -> Result<Self, ScenarioError> {
        Ok(Parsed::from_file(path, sets)?.resolve(folder_of(path))?)
    }

    /// The built-in scenario, [`DEFAULT`].
    ///
    /// # Errors
    /// When an assignment is wrong.
    pub fn built_in<S: AsRef<str>>(sets: &[S]) -> Result<Self, ScenarioError> {
        Ok(Parsed::new(DEFAULT_NAME, DEFAULT, sets)?.resolve(Path::new(""))?)
    }

    /// The scenario of a file, or the built-in one, with a recorded trace in the place of its workload.
    ///
    /// # Errors
    /// As [`Resolved::from_file`], and when an option of the replay is wrong.
    pub fn for_replay<S: AsRef<str>>(
        path: Option<&Path>,
        trace: &ReplayTrace,
        sets: &[S],
    ) -> Result<Self, ScenarioError> {
        let mut parsed = match path {
            Some(path) => Parsed::from_file(path, sets)?,
            None => Parsed::new(DEFAULT_NAME, DEFAULT, sets)?,
        };
        parsed.replay(trace, sets)?;
        Ok(parsed.resolve(Path::new(""))?)
    }
}

/// The keys of one of a scenario's tables that assignments name.
struct Named<'a> {
    /// `table = { ... }` says it all at once.
    whole: bool,
    keys: Vec<&'a str>,
}

impl<'a> Named<'a> {
    fn by(sets: &[&'a str], table: &str) -> Self {
        let paths: Vec<&str> = paths(sets).filter(|path| first_key(path) == table).collect();
        let whole = paths.iter().any(|path| !path.contains('.'));
        Self {
            whole,
            keys: paths.iter().filter_map(|path| path.split('.').nth(1)).map(bare).collect(),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.whole || self.keys.contains(&key)
    }

    /// Those that are kinds, not a key beside them.
    fn kinds(&self) -> impl Iterator<Item = &&'a str> {
        self.keys.iter().filter(|key| **key != "turns")
    }
}

/// What stands left of the equals signs.
fn paths<'a>(sets: &[&'a str]) -> impl Iterator<Item = &'a str> {
    sets.iter().map(|set| set.split('=').next().unwrap_or_default())
}

fn texts<S: AsRef<str>>(sets: &[S]) -> Vec<&str> {
    sets.iter().map(AsRef::as_ref).collect()
}

/// A TOML key without its quotes.
fn bare(key: &str) -> &str {
    key.trim().trim_matches(['"', '\''])
}

/// The first part of a dotted key.
fn first_key(key: &str) -> &str {
    bare(key.split('.').next().unwrap_or_default())
}

/// The folder that a file stands in.
fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// `A..B`, either of which may be left out.
fn window(text: &str) -> Result<(Option<Duration>, Option<Duration>), ScenarioError> {
    let wanted =
        "two durations such as 10min..40min, the second one longer; either may be left out";
    let refuse = || ScenarioError::Option { option: "--window", got: format!("{text:?}"), wanted };
    let (from, to) = text.split_once("..").ok_or_else(refuse)?;
    let bound = |text: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| refuse()),
    };
    let (from, to): (Option<Duration>, Option<Duration>) = (bound(from)?, bound(to)?);
    if to.is_some_and(|to| to <= from.unwrap_or_default()) {
        return Err(refuse());
    }
    Ok((from, to))
}
