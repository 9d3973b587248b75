//! `runs.jsonl`: the numbers of every run of a search, written as they come, so that a search that was stopped goes on.
//!
//! A search proposes the same settings again when it gets the same numbers again, so nothing else has to be kept: with
//! `--resume` it starts from the beginning and finds its runs made. A run is known by the name of its resolved scenario
//! (`gorgo-sweep`), a trace in it by its path alone: who changes the file behind it must not resume. A line that was cut
//! off in writing is dropped; any other that makes no sense is an error.

use crate::exit::Failure;
use gorgo_sweep::RunId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The numbers of a run, as many as the head names.
pub type Row = Vec<Option<f64>>;

const NAME: &str = "runs.jsonl";
const SCHEMA: u32 = 1;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    gorgo_tune_runs: u32,
    version: String,
    metrics: Vec<String>,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    run: String,
    numbers: Row,
}

/// The file, open and locked.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Mutex<File>,
    head: Head,
    /// What was there when it was opened.
    kept: BTreeMap<RunId, Row>,
}

impl Log {
    /// Opens the log of a folder: an empty one, or with `resume` the one that is there.
    pub fn open(folder: &Path, metrics: &[String], resume: bool) -> Result<Self, Failure> {
        let path = folder.join(NAME);
        let head = Head {
            gorgo_tune_runs: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metrics: metrics.to_vec(),
        };
        let io = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            let problem = "got a search at work in this folder, wanted one program at a time";
            return Err(Failure::input(format!("{}: {problem}", path.display())));
        }
        let text = if resume { std::fs::read_to_string(&path).map_err(io)? } else { String::new() };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let kept = read(&path, &text[..whole], &head)?;
        file.set_len(whole as u64).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let log = Self { path: path.clone(), file: Mutex::new(file), head, kept };
        if whole == 0 {
            log.append(&line(&log.head)?)?;
        }
        Ok(log)
    }

    /// The numbers of a run that was made before.
    pub fn kept(&self, run: RunId) -> Option<&Row> {
        self.kept.get(&run)
    }

    /// Keeps the numbers of a run that is new.
    pub fn keep(&self, run: RunId, numbers: &Row) -> Result<(), Failure> {
        self.append(&line(&Line { run: run.to_string(), numbers: numbers.clone() })?)
    }

    /// Writes the file anew, in the order of the runs' names: so it does not depend on the threads.
    pub fn finish(self, made: &BTreeMap<RunId, Row>) -> Result<(), Failure> {
        let mut text = line(&self.head)?;
        let mut all = self.kept.clone();
        all.extend(made.iter().map(|(run, numbers)| (*run, numbers.clone())));
        for (run, numbers) in all {
            text.push_str(&line(&Line { run: run.to_string(), numbers })?);
        }
        let part = self.path.with_extension("jsonl.part");
        std::fs::write(&part, text)
            .and_then(|()| std::fs::rename(&part, &self.path))
            .map_err(|error| self.failed(&error))
    }

    /// One call of the system a line: whoever is killed leaves whole lines, or half of the last one.
    fn append(&self, line: &str) -> Result<(), Failure> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::failed(format!("{}: {error}", self.path.display()))
    }
}

fn line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map(|text| text + "\n").map_err(Failure::failed)
}

fn read(path: &Path, text: &str, wanted: &Head) -> Result<BTreeMap<RunId, Row>, Failure> {
    let bad = |number: usize, problem: &str| {
        Failure::input(format!("{}:{number}: {problem}", path.display()))
    };
    let mut lines = (1..).zip(text.lines());
    let Some((_, first)) = lines.next() else { return Ok(BTreeMap::new()) };
    let head: Head = serde_json::from_str(first).map_err(|error| bad(1, &error.to_string()))?;
    if head != *wanted {
        let problem =
            format!("got runs of {head:?}, wanted {wanted:?}: search anew, without --resume");
        return Err(bad(1, &problem));
    }
    let mut kept = BTreeMap::new();
    for (number, text) in lines {
        let line: Line =
            serde_json::from_str(text).map_err(|error| bad(number, &error.to_string()))?;
        let run = Some(&line.run)
            .filter(|run| run.len() == 32 && run.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|run| u128::from_str_radix(run, 16).ok())
            .ok_or_else(|| {
                bad(number, &format!("run: got {:?}, wanted 32 hexadecimal digits", line.run))
            })?;
        if line.numbers.len() != head.metrics.len() {
            let (got, wanted) = (line.numbers.len(), head.metrics.len());
            return Err(bad(number, &format!("numbers: got {got}, wanted {wanted}")));
        }
        kept.insert(RunId(run), line.numbers);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }

    #[test]
    fn what_was_kept_is_there_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let open = |resume| Log::open(folder.path(), &metrics(), resume).ok().unwrap();
        let (one, two) = (vec![Some(0.1 + 0.2), None], vec![Some(-1.0), Some(1e300)]);
        let log = open(false);
        log.keep(RunId(7), &one).ok().unwrap();
        assert!(Log::open(folder.path(), &metrics(), true).is_err(), "one at a time");
        drop(log);
        let path = folder.path().join(NAME);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"run\":\"00")).unwrap();
        let log = open(true);
        assert_eq!((log.kept(RunId(7)), log.kept(RunId(8))), (Some(&one), None));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole, "the torn line is gone");
        log.keep(RunId(3), &two).ok().unwrap();
        log.finish(&BTreeMap::from([(RunId(3), two.clone())])).ok().unwrap();
        let log = open(true);
        assert_eq!((log.kept(RunId(7)), log.kept(RunId(3))), (Some(&one), Some(&two)));
        drop(log);
        assert_eq!(open(false).kept(RunId(7)), None, "a new search begins anew");
    }

    #[test]
    fn what_is_no_log_of_this_search_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        drop(Log::open(folder.path(), &metrics(), false).ok().unwrap());
        let head = std::fs::read_to_string(&path).unwrap();
        for (text, words) in [
            (head.replace("\"a\"", "\"c\""), ":1: got runs of"),
            (head.replace("runs\":1", "runs\":2"), ":1: got runs of"),
            ("{}\n".to_owned(), ":1: missing field"),
            (format!("{head}{{}}\n"), ":2: missing field"),
            (format!("{head}\n"), ":2: EOF"),
            (format!("{head}{{\"run\":\"x\",\"numbers\":[1,2]}}\n"), ":2: run: got "),
            (format!("{head}{{\"run\":\"{:032x}\",\"numbers\":[1]}}\n", 1), ":2: numbers: got 1"),
            (format!("{head}{{\"run\":\"{:032x}\",\"numbers\":[1,\"2\"]}}\n", 1), ":2: invalid"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = format!("{:?}", Log::open(folder.path(), &metrics(), true).err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
