//! From the description of a workload to its requests: the only place of this crate that opens a file.
//!
//! A recorded workload is read once and shared by all policies of a run, as long as it is small and no request waits
//! for another; otherwise each policy reads it anew, in constant memory.

use crate::Resolved;
use gorgo_random::Key;
use gorgo_workload::art_chat::Arrival;
use gorgo_workload::{
    ArrivalSpec, ArrivalsCsv, ArrivalsOptions, ArtChat, ArtChatSpec, ChatGenerator, ChatSpec,
    ClosedLoop, ClosedLoopSpec, Due, PrefixGroups, PrefixGroupsSpec, Recorded, Retimed, Servegen,
    ServegenSpec, Source, TraceOptions, TurnTiming, WorkloadError,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// Up to this size a workload's file is read into memory, where several policies share it. Compressed traces grow
/// about tenfold.
const SHARED_FILE_BYTES: u64 = 64 << 20;

/// The workload and when its requests are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct DemandSpec {
    /// What is asked.
    pub workload: WorkloadSpec,
    /// When it is asked.
    pub load: LoadSpec,
}

/// What is asked of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkloadSpec {
    /// Generated chat sessions; how they begin is part of it.
    Chat(ChatSpec),
    /// A recorded trace, of any kind that [`gorgo_workload::open()`] knows.
    Trace {
        /// The file; a relative path starts at the scenario file's folder.
        path: PathBuf,
        /// How it is read.
        options: TraceOptions,
    },
    /// Arrival times and lengths without prefixes.
    ArrivalsCsv {
        /// The file; a relative path starts at the scenario file's folder.
        path: PathBuf,
        /// How it is read.
        options: ArrivalsOptions,
    },
    /// Generated lone requests that share prefixes; when they arrive is part of it.
    PrefixGroups(PrefixGroupsSpec),
    /// Long chats with high reuse.
    ArtChat {
        /// Users, conversations, lengths and reuse.
        spec: ArtChatSpec,
        /// A table of arrival times and lengths to use instead of drawing them; a relative path starts at the scenario
        /// file's folder.
        arrivals: Option<PathBuf>,
        /// At most so many requests of that table.
        limit: Option<u64>,
    },
    /// Lone requests of a mix of clients; when they arrive is part of it.
    Servegen(ServegenSpec),
}

/// What is laid over the workload's own times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LoadSpec {
    /// Nothing.
    Own,
    /// An arrival process.
    Arrivals(ArrivalSpec),
    /// A fixed number of users.
    ClosedLoop(ClosedLoopSpec),
    /// Several runs, each with a load of its own: [`Requests::under`] gives the requests of one.
    Sweep(SweepSpec),
}

/// A sweep from one request at a time to as many as fit, as GuideLLM's: the rates between depend on what those two
/// measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepSpec {
    /// How many runs in all, 3 or more.
    pub runs: u32,
    /// How requests follow one another in the runs between.
    pub arrivals: SweepArrivals,
    /// Most requests under way in the run for throughput.
    pub max_in_flight: u32,
}

/// How the requests of a sweep's run follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SweepArrivals {
    /// Evenly spaced.
    #[default]
    Constant,
    /// With exponential gaps.
    Poisson,
}

impl SweepSpec {
    /// The first run: one request at a time.
    #[must_use]
    pub fn synchronous() -> LoadSpec {
        LoadSpec::ClosedLoop(ClosedLoopSpec { users: 1, think: Default::default(), ramp_s: 0.0 })
    }

    /// The second run: as many requests as may be under way.
    #[must_use]
    pub fn throughput(&self) -> LoadSpec {
        let users = self.max_in_flight;
        LoadSpec::ClosedLoop(ClosedLoopSpec { users, think: Default::default(), ramp_s: 0.0 })
    }

    /// The rates of the other runs, requests per second: evenly spaced from the first run's rate, not included, to
    /// the second one's, included. None where those two are not two rates.
    #[must_use]
    pub fn rates_rps(&self, synchronous_rps: f64, throughput_rps: f64) -> Vec<f64> {
        let between = self.runs.saturating_sub(2);
        let step = (throughput_rps - synchronous_rps) / f64::from(between.max(1));
        let rates = (1..=between).map(|run| synchronous_rps + step * f64::from(run));
        rates.filter(|rate| (1e-6..=1e9).contains(rate)).collect()
    }

    /// A run at a rate.
    #[must_use]
    pub const fn at(&self, rate_rps: f64) -> LoadSpec {
        LoadSpec::Arrivals(match self.arrivals {
            SweepArrivals::Constant => ArrivalSpec::Constant { rate_rps },
            SweepArrivals::Poisson => ArrivalSpec::Poisson { rate_rps },
        })
    }
}

/// The requests of a scenario, ready to be run through any number of times, on any thread.
#[derive(Clone, Debug)]
pub struct Requests {
    demand: DemandSpec,
    base: PathBuf,
    seed: u64,
    shared: Option<Recorded>,
}

impl DemandSpec {
    /// When later turns of a session are due.
    #[must_use]
    pub const fn turns(&self) -> TurnTiming {
        match &self.workload {
            WorkloadSpec::Chat(spec) => spec.turn_timing,
            WorkloadSpec::Trace { options, .. } => options.turns,
            WorkloadSpec::ArrivalsCsv { .. }
            | WorkloadSpec::PrefixGroups(_)
            | WorkloadSpec::ArtChat { .. }
            | WorkloadSpec::Servegen(_) => TurnTiming::Recorded,
        }
    }

    /// The workload's own file, where it has one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.workload {
            WorkloadSpec::Trace { path, .. } | WorkloadSpec::ArrivalsCsv { path, .. } => Some(path),
            WorkloadSpec::ArtChat { arrivals, .. } => arrivals.as_deref(),
            WorkloadSpec::Chat(_) | WorkloadSpec::PrefixGroups(_) | WorkloadSpec::Servegen(_) => {
                None
            }
        }
    }
}

impl Resolved {
    /// The requests. A small recorded workload is read now, and shared by all policies.
    ///
    /// # Errors
    /// When a file cannot be read or is malformed.
    pub fn requests(&self) -> Result<Requests, WorkloadError> {
        let (demand, base, seed) = (self.demand.clone(), self.base.clone(), self.seed);
        let mut requests = Requests { demand, base, seed, shared: None };
        let small =
            |path| std::fs::metadata(path).is_ok_and(|file| file.len() <= SHARED_FILE_BYTES);
        // Who asks what in art_chat is planned ahead and searched for: once is enough.
        let planned = matches!(self.demand.workload, WorkloadSpec::ArtChat { .. });
        let small_file = self.demand.path().is_some_and(|path| small(self.base.join(path)));
        if planned || self.demand.turns() == TurnTiming::Recorded && small_file {
            requests.shared = Some(Recorded::read(&mut *requests.own_times()?)?);
        }
        Ok(requests)
    }
}

impl Requests {
    /// A source of the requests, from the first one on.
    ///
    /// # Errors
    /// When a file cannot be read or is malformed.
    pub fn source(&self) -> Result<Box<dyn Source>, WorkloadError> {
        let own = self.own_times()?;
        let key = Key::new(self.seed);
        Ok(match &self.demand.load {
            LoadSpec::Own => own,
            LoadSpec::Arrivals(arrivals) => Box::new(Retimed::new(own, *arrivals, key)?),
            LoadSpec::ClosedLoop(users) => Box::new(ClosedLoop::new(own, users, key)?),
            LoadSpec::Sweep(sweep) => {
                return Err(WorkloadError::Parameter {
                    field: "sweep",
                    got: format!("a sweep of {} runs", sweep.runs),
                    wanted: "one run: its load in the place of [load.sweep]".to_owned(),
                });
            }
        })
    }

    /// The same requests under another load.
    #[must_use]
    pub fn under(&self, load: LoadSpec) -> Self {
        let demand = DemandSpec { load, ..self.demand.clone() };
        Self { demand, ..self.clone() }
    }

    /// How many there are, where that is known without reading a file.
    #[must_use]
    pub fn size_hint(&self) -> Option<u64> {
        if let Some(shared) = &self.shared {
            return Some(shared.requests().len() as u64);
        }
        match &self.demand.workload {
            WorkloadSpec::Chat(spec) => spec.requests,
            WorkloadSpec::PrefixGroups(spec) => Some(spec.requests),
            WorkloadSpec::Servegen(spec) if spec.duration_s.is_none() => spec.requests,
            WorkloadSpec::Trace { .. }
            | WorkloadSpec::ArrivalsCsv { .. }
            | WorkloadSpec::ArtChat { .. }
            | WorkloadSpec::Servegen(_) => None,
        }
    }

    fn own_times(&self) -> Result<Box<dyn Source>, WorkloadError> {
        if let Some(shared) = &self.shared {
            return Ok(Box::new(shared.replay()));
        }
        Ok(match &self.demand.workload {
            WorkloadSpec::Chat(spec) => Box::new(ChatGenerator::new(spec.clone(), self.seed)?),
            WorkloadSpec::PrefixGroups(spec) => {
                Box::new(PrefixGroups::new(spec.clone(), self.seed)?)
            }
            WorkloadSpec::Trace { path, options } => {
                gorgo_workload::open(&shortest(&self.base.join(path)), *options)?
            }
            WorkloadSpec::ArrivalsCsv { path, options } => {
                Box::new(ArrivalsCsv::open(&shortest(&self.base.join(path)), *options)?)
            }
            WorkloadSpec::ArtChat { spec, arrivals: None, .. } => {
                Box::new(ArtChat::new(spec.clone(), self.seed)?)
            }
            WorkloadSpec::ArtChat { spec, arrivals: Some(path), limit } => {
                let arrivals = arrivals(&shortest(&self.base.join(path)), *limit)?;
                Box::new(ArtChat::over(spec.clone(), self.seed, &arrivals)?)
            }
            WorkloadSpec::Servegen(spec) => Box::new(Servegen::new(spec.clone(), self.seed)?),
        })
    }
}

/// The times and lengths of a table of arrivals.
fn arrivals(path: &Path, limit: Option<u64>) -> Result<Vec<Arrival>, WorkloadError> {
    let options = ArrivalsOptions { limit, ..ArrivalsOptions::default() };
    let mut table = ArrivalsCsv::open(path, options)?;
    let mut arrivals = Vec::new();
    while let Due::At(_) = table.next_due()? {
        let (at, request) = table.take()?;
        let tokens = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
        arrivals.push(Arrival {
            at,
            input_tokens: tokens(request.prompt.tokens().0),
            output_tokens: tokens(request.output_tokens.0),
        });
    }
    Ok(arrivals)
}

/// The same file without detours: `a/../b` is `b`, unless `a` is a link that leads elsewhere. Warnings name the file,
/// and should not depend on which of two scenario files led to it.
fn shortest(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match (part, plain.components().next_back()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(plain.pop()),
            (part, _) => plain.push(part),
        }
    }
    match (plain.canonicalize(), path.canonicalize()) {
        (Ok(a), Ok(b)) if a == b => plain,
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_loses_its_detours_only_where_it_stays_the_same_file() {
        let here = Path::new("Cargo.toml");
        assert!(here.exists(), "tests run in the crate's folder");
        assert_eq!(shortest(Path::new("./tests/../Cargo.toml")), here);
        assert_eq!(
            shortest(Path::new("tests/../../scenario/Cargo.toml")),
            Path::new("../scenario/Cargo.toml")
        );
        let absent = Path::new("tests/../absent.toml");
        assert_eq!(shortest(absent), absent);
    }
}
