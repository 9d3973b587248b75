//! `gorgo decisions`: recorded routing decisions, put to a policy once more (`verify`, here) or to simulated replicas
//! (`predict`, `decisions/predict.rs`).
//!
//! Reads this project's `decisions.jsonl` and the CSV tables of the GORGO authors, plain or gzipped, told apart by
//! their first bytes. How a case is judged is in the routing crate (`verify`); here are only files, lines and words.

mod predict;
mod predict_words;
#[cfg(test)]
mod tests;

use crate::exit::{Exit, Failure};
use clap::{Args, Subcommand};
use flate2::read::MultiGzDecoder;
use gorgo_routing::log::{LogHead, LogRow, VERSION};
use gorgo_routing::registry;
use gorgo_routing::verify::recorded::RecordedColumns;
use gorgo_routing::verify::{Case, RowError, Verifier, VerifyReport};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// What can be done with recorded decisions.
#[derive(Debug, Subcommand)]
pub enum DecisionsCommand {
    /// Make every decision of a log again; exits with 1 when one comes out otherwise.
    Verify(VerifyArgs),
    /// Force the recorded choices on simulated replicas: predicted against measured TTFT, request by request.
    Predict(predict::PredictArgs),
}

/// What to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The log: decisions.jsonl, or a recorded CSV table; plain or gzipped.
    pub file: PathBuf,
    /// The policy that has to choose what was chosen.
    #[arg(long, value_name = "NAME")]
    pub policy: String,
    /// A parameter of the policy, for example `w_rtt=0.5` or `replicas.2.w_queue=1`; may be repeated.
    #[arg(long, value_name = "PARAMETER=VALUE")]
    pub set: Vec<String>,
}

/// Why a log cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum DecisionsError {
    /// The file cannot be opened, or not be read to its end.
    #[error("{}:{line}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The line that could not be read, from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("{}:{line}: {error}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Column, value and what was wanted.
        error: RowError,
    },
    /// A line does not parse.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// What is wrong, and what was wanted.
        message: String,
    },
    /// There is nothing to verify.
    #[error("{}: got no decisions, wanted at least one", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A `--set` that is no assignment.
    #[error("`--set {0}`: wanted PARAMETER=VALUE, for example w_rtt=0.5")]
    Assignment(String),
    /// There is no such policy, or its parameters make no sense.
    #[error("{0}")]
    Policy(String),
    /// The policy cannot be put to this log.
    #[error("{}: {source}", path.display())]
    Unverifiable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: gorgo_routing::verify::VerifyError,
    },
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Write(#[from] io::Error),
}

/// Runs a command on recorded decisions.
pub fn decisions(command: &DecisionsCommand) -> Result<Exit, Failure> {
    let args = match command {
        DecisionsCommand::Verify(args) => args,
        DecisionsCommand::Predict(args) => return predict::predict(args),
    };
    match verify(args, &mut io::stdout().lock()) {
        Ok(true) => Ok(Exit::Ok),
        Ok(false) => Ok(Exit::Failed),
        Err(error) => Err(Failure::input(error)),
    }
}

/// Verifies a log and writes the report to `out`: what each term decided, the first mismatches, and `matched M of N` as
/// the last line. True when all matched.
///
/// # Errors
/// When the file, the policy or its parameters are not as they should be.
pub fn verify(args: &VerifyArgs, out: &mut dyn Write) -> Result<bool, DecisionsError> {
    let log = Log::open(&args.file)?;
    let parameters = log.parameters(args)?;
    let (policy, complete) =
        registry::resolve(&args.policy, &parameters, serde_json::value::Serializer).map_err(
            |error| {
                let parameters = "of --policy, --set and the log's first line";
                let path = args.file.display();
                DecisionsError::Policy(format!("{path}: {error} (parameters {parameters})"))
            },
        )?;
    writeln!(out, "policy {}{}", args.policy, in_words(&complete.unwrap_or_default()))?;
    if let Some(other) = log.recorded_policy().filter(|name| *name != args.policy) {
        writeln!(out, "note: the log was written by policy {other}")?;
    }
    let mut verifier = Verifier::new(policy);
    log.each(|case| {
        let unverifiable =
            |source| DecisionsError::Unverifiable { path: args.file.clone(), source };
        verifier.check(&case).map(drop).map_err(unverifiable)
    })?;
    let report = verifier.into_report();
    if report.total == 0 {
        return Err(DecisionsError::Empty { path: args.file.clone() });
    }
    write_report(&report, out)?;
    Ok(report.matched == report.total)
}

fn write_report(report: &VerifyReport, out: &mut dyn Write) -> io::Result<()> {
    if !report.effects.is_empty() {
        writeln!(out, "{:>9}  decisions change without", "")?;
        if report.matched_by_tie > 0 {
            let text = "(not counted: a recorded choice that is then among the tied)";
            writeln!(out, "{:>9}  {text}", "")?;
        }
    }
    for effect in &report.effects {
        writeln!(out, "{:>9}  {} {}", effect.changed, effect.kind, effect.name)?;
    }
    writeln!(out, "{:>9}  decisions had several candidates of the best score", report.ties)?;
    if report.matched_by_tie > 0 {
        let text = "match because the recorded choice is among the tied (the log has no draws)";
        writeln!(out, "{:>9}  {text}", report.matched_by_tie)?;
    }
    if report.by_router > 0 {
        let text = "were the router's own, without the policy";
        writeln!(out, "{:>9}  {text}", report.by_router)?;
    }
    if report.scored > 0 {
        let text = "decisions have other scores than the log";
        writeln!(out, "{:>9}  {text}", report.scores_changed)?;
    }
    for mismatch in &report.mismatches {
        writeln!(out, "mismatch {mismatch}")?;
    }
    let more = report.total - report.matched - report.mismatches.len() as u64;
    if more > 0 {
        writeln!(out, "and {more} more mismatches")?;
    }
    writeln!(out, "matched {} of {}", report.matched, report.total)
}

/// The policy's parameters behind its name.
fn in_words(parameters: &Value) -> String {
    let Value::Object(all) = parameters else { return String::new() };
    all.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}

/// A log whose first line is read.
struct Log {
    path: PathBuf,
    rest: Box<dyn BufRead>,
    form: Form,
}

enum Form {
    /// This project's rows, after their head.
    Rows(LogHead<Map<String, Value>>),
    /// A recorded table.
    Table,
}

impl Log {
    fn open(path: &Path) -> Result<Self, DecisionsError> {
        let failed = |source| DecisionsError::Read { path: path.to_owned(), line: 1, source };
        let mut rest = unpacked(path).map_err(failed)?;
        if rest.fill_buf().map_err(failed)?.first() != Some(&b'{') {
            return Ok(Self { path: path.to_owned(), rest, form: Form::Table });
        }
        let mut line = String::new();
        rest.read_line(&mut line).map_err(failed)?;
        let head: LogHead<Map<String, Value>> = parse(path, 1, &line)?;
        if head.gorgo_decisions != VERSION {
            let error = RowError {
                field: "gorgo_decisions".to_owned(),
                got: head.gorgo_decisions.to_string(),
                wanted: format!("{VERSION}, the version of the format that is known here"),
            };
            return Err(DecisionsError::Row { path: path.to_owned(), line: 1, error });
        }
        Ok(Self { path: path.to_owned(), rest, form: Form::Rows(head) })
    }

    fn recorded_policy(&self) -> Option<&str> {
        match &self.form {
            Form::Rows(head) => Some(&head.policy),
            Form::Table => None,
        }
    }

    /// The parameters of the log, where it was written by the same policy, with the assignments laid over them.
    fn parameters(&self, args: &VerifyArgs) -> Result<Value, DecisionsError> {
        let mut parameters = match &self.form {
            Form::Rows(head) if head.policy == args.policy => head.parameters.clone(),
            Form::Rows(_) | Form::Table => Map::new(),
        };
        for assignment in &args.set {
            let wrong = || DecisionsError::Assignment(assignment.clone());
            let (path, value) = assignment.split_once('=').ok_or_else(wrong)?;
            let (tables, name) = path.rsplit_once('.').unwrap_or(("", path));
            let mut table = &mut parameters;
            for part in tables.split('.').filter(|_| !tables.is_empty()) {
                let entry = table.entry(part).or_insert_with(|| Value::Object(Map::new()));
                table = entry.as_object_mut().ok_or_else(wrong)?;
            }
            // A word that is no JSON value, such as `in-flight`, is text.
            let text = || Value::String(value.to_owned());
            table.insert(name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| text()));
        }
        Ok(Value::Object(parameters))
    }

    fn each(
        self,
        check: impl FnMut(Case) -> Result<(), DecisionsError>,
    ) -> Result<(), DecisionsError> {
        match self.form {
            Form::Rows(_) => each_row(&self.path, self.rest, check),
            Form::Table => each_of_table(&self.path, self.rest, check),
        }
    }
}

/// The file's bytes, unzipped if they are zipped.
fn unpacked(path: &Path) -> io::Result<Box<dyn BufRead>> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut start = Vec::new();
    File::open(path)?.take(GZIP.len() as u64).read_to_end(&mut start)?;
    let file = BufReader::new(File::open(path)?);
    Ok(if start == GZIP {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

fn parse<T: serde::de::DeserializeOwned>(
    path: &Path,
    line: u64,
    text: &str,
) -> Result<T, DecisionsError> {
    serde_json::from_str(text).map_err(|error| {
        // The position stands in front of the message; `serde_json` repeats it behind.
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(&*message, |(text, _)| text);
        let column = error.column();
        DecisionsError::Parse { path: path.to_owned(), line, column, message: message.to_owned() }
    })
}

/// Reads the rows after the head.
fn each_row(
    path: &Path,
    rows: Box<dyn BufRead>,
    mut check: impl FnMut(Case) -> Result<(), DecisionsError>,
) -> Result<(), DecisionsError> {
    for (text, line) in rows.lines().zip(2..) {
        let failed = |source| DecisionsError::Read { path: path.to_owned(), line, source };
        let text = text.map_err(failed)?;
        let row: LogRow = parse(path, line, &text)?;
        let wrong = |error| DecisionsError::Row { path: path.to_owned(), line, error };
        check(Case::try_from(row).map_err(wrong)?)?;
    }
    Ok(())
}

/// Reads a recorded table, header included.
fn each_of_table(
    path: &Path,
    table: Box<dyn BufRead>,
    mut check: impl FnMut(Case) -> Result<(), DecisionsError>,
) -> Result<(), DecisionsError> {
    let mut columns: Option<RecordedColumns> = None;
    each_record(path, table, |line, ordinal, fields| {
        let wrong = |error| DecisionsError::Row { path: path.to_owned(), line, error };
        if let Some(columns) = &columns {
            return check(columns.case(ordinal, fields).map_err(wrong)?);
        }
        columns = Some(RecordedColumns::from_header(fields.iter().copied()).map_err(wrong)?);
        Ok(())
    })
}

/// Gives every record of a table with its line; the first, without an ordinal of its own, is the header. Records count
/// from 0 after it.
fn each_record(
    path: &Path,
    table: Box<dyn BufRead>,
    mut read: impl FnMut(u64, u64, &[&str]) -> Result<(), DecisionsError>,
) -> Result<(), DecisionsError> {
    // Rows of the wrong length are reported by `RecordedColumns`, which knows what they should hold.
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(table);
    let mut line = 0;
    for (record, ordinal) in reader.records().zip(0_u64..) {
        let record = record.map_err(|error| unreadable(path, line + 1, error))?;
        line = record.position().map_or(line + 1, csv::Position::line);
        let fields: Vec<&str> = record.iter().collect();
        read(line, ordinal.saturating_sub(1), &fields)?;
    }
    Ok(())
}

fn unreadable(path: &Path, line: u64, error: csv::Error) -> DecisionsError {
    let path = path.to_owned();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => DecisionsError::Read { path, line, source },
        csv::ErrorKind::Utf8 { err, .. } => {
            let message = format!("field {}: wanted UTF-8 text", err.field() + 1);
            DecisionsError::Parse { path, line, column: err.valid_up_to() + 1, message }
        }
        other => DecisionsError::Parse { path, line, column: 1, message: format!("{other:?}") },
    }
}
