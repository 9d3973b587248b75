//! The command line of the fit.

use crate::parameters::{FREE, Values};
use std::path::PathBuf;

/// What the command line says.
pub struct Options {
    /// `--scenario FILE`
    pub scenario: PathBuf,
    /// `--data FOLDER`: of the measured files.
    pub data: PathBuf,
    /// `--set PATH=VALUE`, as everywhere.
    pub sets: Vec<String>,
    /// `--seeds N`: runs of each policy that a candidate is judged by.
    pub seeds: u64,
    /// `--generations N` of the search; 0 judges the start alone.
    pub generations: u64,
    /// `--search-seed N`
    pub search_seed: u64,
    /// `--step SHARE`: how far it first goes from its start, as a share of the way between the bounds.
    pub step: f64,
    /// `--threads N`
    pub threads: usize,
    /// `--at NAME=VALUE`: where a parameter starts.
    at: Vec<(String, f64)>,
    /// `--fix NAME`: a parameter that stays where it starts.
    fixed: Vec<String>,
    /// `--other POLICY`: one that was not fitted, to be compared with the paper's table once all is fitted.
    pub others: Vec<String>,
    /// `--profile FILE`: where the profile is written.
    pub profile: Option<PathBuf>,
    /// `--table-of POLICY=FILE`: prints the rows of `data/papers/v2_june10_fit.csv` for a file of requests, and nothing else.
    pub table_of: Option<(String, PathBuf)>,
    /// `--report FILE`: where the residuals are written.
    pub report: Option<PathBuf>,
}

const KNOWN: &str = "--scenario, --data, --set, --seeds, --generations, --search-seed, --step, --threads, --at, --fix, --other, \
                     --profile, --table-of or --report";

impl Options {
    /// Reads the command line.
    pub fn of_command_line() -> Result<Self, String> {
        let mut options = Self {
            scenario: "scenarios/papers/v2_apr5.toml".into(),
            data: "../shared/data/gorgo".into(),
            sets: Vec::new(),
            seeds: 4,
            generations: 60,
            search_seed: 1,
            step: 0.12,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            at: Vec::new(),
            fixed: Vec::new(),
            others: Vec::new(),
            profile: None,
            table_of: None,
            report: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value =
                words.next().ok_or(format!("{word}: got nothing after it, wanted a value"))?;
            let whole = || value.parse::<u64>().map_err(|e| format!("{word} {value}: {e}"));
            match word.as_str() {
                "--scenario" => options.scenario = value.into(),
                "--data" => options.data = value.into(),
                "--set" => options.sets.push(value),
                "--seeds" => options.seeds = whole()?.clamp(1, 1_000),
                "--generations" => options.generations = whole()?,
                "--search-seed" => options.search_seed = whole()?,
                "--step" => {
                    let wanted = || format!("--step {value}: wanted a number above 0, at most 1");
                    options.step = value.parse().map_err(|_| wanted())?;
                    if !(options.step > 0.0 && options.step <= 1.0) {
                        return Err(wanted());
                    }
                }
                "--threads" => options.threads = whole()?.clamp(1, 256) as usize,
                "--at" => {
                    let wanted = || format!("--at {value}: wanted NAME=VALUE, a number above 0");
                    let (name, number) = value.split_once('=').ok_or_else(wanted)?;
                    let number: f64 = number.parse().map_err(|_| wanted())?;
                    if !number.is_finite() || number <= 0.0 {
                        return Err(wanted());
                    }
                    options.at.push((known(name)?, number));
                }
                "--fix" => options.fixed.push(known(&value)?),
                "--other" => options.others.push(value),
                "--profile" => options.profile = Some(value.into()),
                "--table-of" => {
                    let wanted = || format!("--table-of {value}: wanted POLICY=FILE");
                    let (policy, file) = value.split_once('=').ok_or_else(wanted)?;
                    options.table_of = Some((policy.to_owned(), file.into()));
                }
                "--report" => options.report = Some(value.into()),
                _ => return Err(format!("got {word:?}, wanted {KNOWN}")),
            }
        }
        Ok(options)
    }

    /// Where the search starts.
    pub fn start(&self) -> Result<Values, String> {
        let mut values = Values::start();
        for (name, value) in &self.at {
            for (parameter, at) in FREE.iter().zip(&mut values.0) {
                if parameter.name == name {
                    *at = *value;
                }
            }
        }
        Ok(values)
    }

    /// The places in [`FREE`] of what is searched for.
    pub fn free(&self) -> Vec<usize> {
        let stays = |name: &str| self.fixed.iter().any(|fixed| fixed == name);
        (0..FREE.len()).filter(|&place| !stays(FREE[place].name)).collect()
    }
}

/// The name of a free parameter.
fn known(name: &str) -> Result<String, String> {
    let names: Vec<&str> = FREE.iter().map(|parameter| parameter.name).collect();
    if names.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("got no parameter {name:?}, wanted one of {}", names.join(", ")))
}
