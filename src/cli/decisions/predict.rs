//! `gorgo decisions predict`: recorded choices forced on simulated replicas; predicted against measured TTFT.
//!
//! The models are in the crate `gorgo-predict`; here are files and the order of things. What is printed and written is
//! put into words by `predict_words.rs`.

use super::predict_words as words;
use super::{DecisionsError, each_record, unpacked};
use crate::exit::{Exit, Failure};
use crate::profile;
use crate::simulate::print;
use clap::{Args, ValueEnum};
use gorgo_predict::assumptions::FREE_NUMBERS;
use gorgo_predict::regression::Regression;
use gorgo_predict::replay::Answers;
use gorgo_predict::score::{CalibrationBin, Score, calibration, score};
use gorgo_predict::{
    Assumptions, Fit, Foretold, Outcome, Part, Recorded, RecordedLog, RecordedLogColumns, fit,
    replay, round_trips, snapshot,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bins of a calibration.
pub const BINS: usize = 10;

/// The replays: as things were, and without what a router could not know.
const REPLAYS: [(&str, Answers); 2] =
    [("replay", Answers::Recorded), ("replay-causal", Answers::MeanSoFar)];

/// What to predict, and with what.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Recorded CSV tables, plain or gzipped.
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// A recorded table on which what is free is fitted first; score it only as what it is, in-sample.
    #[arg(long, value_name = "LOG")]
    pub fit: Option<PathBuf>,
    /// The engine of every replica: a built-in profile, or a TOML file.
    #[arg(long, value_name = "PROFILE", default_value = "2xl40s_qwen3.5-35b-a3b-fp8")]
    pub profile: String,
    /// Leave a part of the replays and snapshots out, before any fit, to see what it is worth; may be repeated.
    #[arg(long, value_enum, value_name = "PART")]
    pub without: Vec<Without>,
    /// What stdout gets.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Also write every prediction (NAME.csv) and its calibration (NAME.svg) here.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Forms of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Table,
    /// JSON.
    Json,
}

/// Parts of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Without {
    /// Opening a connection takes no time.
    Connections,
    /// A prompt of any length travels at once.
    SlowStart,
    /// Prompts are tokenized in no time, so none waits for another's.
    FrontEnd,
    /// No prefix is ever reused.
    Reuse,
}

impl From<Without> for Part {
    fn from(without: Without) -> Self {
        match without {
            Without::Connections => Self::Connections,
            Without::SlowStart => Self::SlowStart,
            Without::FrontEnd => Self::FrontEnd,
            Without::Reuse => Self::Reuse,
        }
    }
}

/// One log, and how well each model foretold it.
#[derive(Debug, Serialize)]
pub struct LogReport {
    /// The file's name without its endings.
    pub log: String,
    /// Decisions in it.
    pub decisions: usize,
    /// Of these, requests that were served; the others have no TTFT.
    pub served: usize,
    /// The path to each replica as the probes show it, ms.
    pub round_trips_ms: Vec<f64>,
    /// The models, best known first.
    pub models: Vec<ModelReport>,
}

/// How well one model foretold a log.
#[derive(Debug, Serialize)]
pub struct ModelReport {
    /// `replay`, `replay-causal` (answers as long as the mean before them), `snapshot` or `regression`.
    pub model: &'static str,
    /// The log that its numbers were fitted on; none: the profile as it is.
    pub fitted_on: Option<String>,
    /// That log is this one.
    pub in_sample: bool,
    /// Every request.
    pub all: Option<Score>,
    /// By replica, in the log's order.
    pub replicas: Vec<Option<Score>>,
    /// All requests in tenths, by prediction.
    pub calibration: Vec<CalibrationBin>,
    /// How well it foretold the end of every answer; only of a replay with the recorded lengths of answers.
    pub e2e: Option<Score>,
    /// Foretold TTFT of every row, ms.
    #[serde(skip)]
    pub foretold_ms: Vec<Option<f64>>,
}

/// What was fitted.
#[derive(Debug, Serialize)]
pub struct FitReport {
    /// The log.
    pub log: String,
    /// Mean absolute log-ratio of foretold to measured TTFT before.
    pub loss_before: f64,
    /// The same after.
    pub loss: f64,
    /// How often the log was replayed.
    pub replays: u32,
    /// The free numbers: before, after.
    pub numbers: BTreeMap<&'static str, (f64, f64)>,
}

/// The document of `--format json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of this form.
    pub schema: u32,
    /// The engine.
    pub profile: String,
    /// What was left out of the replays and snapshots.
    pub without: Vec<Without>,
    /// Where `--fit` asked for it.
    pub fit: Option<FitReport>,
    /// The logs.
    pub logs: Vec<LogReport>,
}

/// A log that is read, with its name.
struct Named {
    name: String,
    log: RecordedLog,
}

/// Runs the command.
pub fn predict(args: &PredictArgs) -> Result<Exit, Failure> {
    let (spec, _) = profile::find(&args.profile)?;
    let start = (args.without.iter())
        .fold(Assumptions::of_profile(spec), |model, part| model.without((*part).into()));
    let read = |path: &PathBuf| {
        let log = read_log(path).map_err(Failure::input)?;
        if log.served() == 0 {
            let wanted = "wanted at least one request that was served (status 200)";
            return Err(Failure::input(format!("{}: got none, {wanted}", path.display())));
        }
        Ok(Named { name: name_of(path), log })
    };
    let logs = args.logs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let fitted = match &args.fit {
        None => None,
        Some(path) => {
            let log = read(path)?;
            let fitted = fit(&log.log, &start).map_err(|error| in_log(&log, error))?;
            Some((log, fitted))
        }
    };
    let report = Report {
        schema: 1,
        profile: start.profile.name.clone(),
        without: args.without.clone(),
        fit: fitted.as_ref().map(|(log, fitted)| fit_report(log, &start, fitted)),
        logs: logs
            .iter()
            .map(|log| log_report(log, &start, fitted.as_ref()))
            .collect::<Result<_, _>>()?,
    };
    if let Some(folder) = &args.out {
        for (log, report) in logs.iter().zip(&report.logs) {
            write_files(folder, &log.log, report)?;
        }
    }
    match args.format {
        Format::Table => print(&words::table(&report))?,
        Format::Json => {
            let text = serde_json::to_string_pretty(&report)
                .map_err(|error| Failure::failed(format!("cannot write the report: {error}")))?;
            print(&(text + "\n"))?;
        }
    }
    Ok(Exit::Ok)
}

/// The file's name without `.gz` and `.csv`.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.strip_suffix(".csv").unwrap_or(name).to_owned()
}

fn in_log(log: &Named, error: gorgo_predict::PredictError) -> Failure {
    Failure::input(format!("{}: {error}", log.name))
}

/// Reads a recorded table with its outcomes.
pub(super) fn read_log(path: &Path) -> Result<RecordedLog, DecisionsError> {
    let failed = |source| DecisionsError::Read { path: path.to_owned(), line: 1, source };
    let table = unpacked(path).map_err(failed)?;
    let mut columns: Option<RecordedLogColumns> = None;
    let mut log = RecordedLog::default();
    each_record(path, table, |line, ordinal, fields| {
        let wrong = |error| DecisionsError::Row { path: path.to_owned(), line, error };
        if let Some(columns) = &columns {
            return log.push(columns.row(ordinal, fields).map_err(wrong)?).map_err(wrong);
        }
        columns = Some(RecordedLogColumns::from_header(fields.iter().copied()).map_err(wrong)?);
        Ok(())
    })?;
    if log.rows().is_empty() {
        return Err(DecisionsError::Empty { path: path.to_owned() });
    }
    Ok(log)
}

fn fit_report(log: &Named, start: &Assumptions, fitted: &Fit) -> FitReport {
    let values = start.values().iter().zip(fitted.assumptions.values());
    let numbers = FREE_NUMBERS.iter().zip(values);
    FitReport {
        log: log.name.clone(),
        loss_before: fitted.loss_before,
        loss: fitted.loss,
        replays: fitted.replays,
        numbers: numbers.map(|(free, (before, after))| (free.name, (*before, *after))).collect(),
    }
}

/// Puts every model to a log.
fn log_report(
    log: &Named,
    start: &Assumptions,
    fitted: Option<&(Named, Fit)>,
) -> Result<LogReport, Failure> {
    let wrong = |error| in_log(log, error);
    let own = Some(log.name.as_str());
    let mut models = Vec::new();
    if let Some((on, fitted)) = fitted {
        let name = Some(on.name.as_str());
        models.extend(replays(log, name, &fitted.assumptions)?);
        if name != own {
            let regression = Regression::fit(&on.log).map_err(|error| in_log(on, error))?;
            models.push(regress(log, name, &regression)?);
        }
    }
    models.push(regress(log, own, &Regression::fit(&log.log).map_err(wrong)?)?);
    models.extend(replays(log, None, start)?);
    Ok(LogReport {
        log: log.name.clone(),
        decisions: log.log.rows().len(),
        served: log.log.served(),
        round_trips_ms: round_trips(&log.log).map_err(wrong)?.iter().map(|t| t.as_ms()).collect(),
        models,
    })
}

/// What follows from an engine, with numbers fitted `on` a log or before any fit.
fn replays(
    log: &Named,
    on: Option<&str>,
    numbers: &Assumptions,
) -> Result<Vec<ModelReport>, Failure> {
    let wrong = |error| in_log(log, error);
    let mut reports = Vec::new();
    for (model, answers) in REPLAYS {
        let foretold = replay(&log.log, numbers, answers).map_err(wrong)?;
        let e2e = e2e_score(&log.log, &foretold).filter(|_| answers == Answers::Recorded);
        reports.push(ModelReport { e2e, ..model_report(log, model, on, ttfts(foretold)) });
    }
    let seen = ttfts(snapshot(&log.log, numbers).map_err(wrong)?);
    reports.push(model_report(log, "snapshot", on, seen));
    Ok(reports)
}

fn regress(log: &Named, on: Option<&str>, regression: &Regression) -> Result<ModelReport, Failure> {
    let foretold = regression.foretell(&log.log).map_err(|error| in_log(log, error))?;
    Ok(model_report(log, "regression", on, foretold))
}

fn ttfts(foretold: Vec<Option<Foretold>>) -> Vec<Option<f64>> {
    foretold.into_iter().map(|foretold| foretold.map(|foretold| foretold.ttft_ms)).collect()
}

fn model_report(
    log: &Named,
    model: &'static str,
    fitted_on: Option<&str>,
    foretold_ms: Vec<Option<f64>>,
) -> ModelReport {
    ModelReport {
        model,
        fitted_on: fitted_on.map(str::to_owned),
        in_sample: fitted_on == Some(log.name.as_str()),
        all: score(&pairs(&log.log, &foretold_ms, None)),
        replicas: (0..log.log.replicas())
            .map(|replica| score(&pairs(&log.log, &foretold_ms, Some(replica))))
            .collect(),
        calibration: calibration(&pairs(&log.log, &foretold_ms, None), BINS),
        e2e: None,
        foretold_ms,
    }
}

/// (foretold, measured) TTFT of all served requests, or of those of one replica.
pub fn pairs(
    log: &RecordedLog,
    foretold_ms: &[Option<f64>],
    replica: Option<usize>,
) -> Vec<(f64, f64)> {
    let rows = log.rows().iter().zip(foretold_ms);
    rows.filter(|(row, _)| replica.is_none_or(|replica| row.chosen == replica))
        .filter_map(|(row, foretold)| Some(((*foretold)?, row.ttft_ms()?)))
        .collect()
}

/// How well a replay foretold when the last token came.
fn e2e_score(log: &RecordedLog, foretold: &[Option<Foretold>]) -> Option<Score> {
    let pair = |(row, foretold): (&Recorded, &Option<Foretold>)| match row.outcome {
        Outcome::Served { e2e_ms, .. } => foretold.map(|foretold| (foretold.e2e_ms, e2e_ms)),
        Outcome::Refused { .. } => None,
    };
    score(&log.rows().iter().zip(foretold).filter_map(pair).collect::<Vec<_>>())
}

fn write_files(folder: &Path, log: &RecordedLog, report: &LogReport) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::failed(format!("{}: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let path = folder.join(format!("{}.csv", report.log));
    std::fs::write(&path, words::csv(log, report)).map_err(|error| failed(&path, error))?;
    let path = folder.join(format!("{}.svg", report.log));
    std::fs::write(&path, words::plot(log, report)).map_err(|error| failed(&path, error))
}
