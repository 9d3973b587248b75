//! Decisions as they are written down: the routing crate's rows, to a file and to a short memory for the admin API.
//!
//! Rows are made under the router's lock, because they show what it knew; a thread of its own writes them, and where it
//! cannot keep up rows are dropped and counted rather than requests held up. A file belongs to one policy: where the
//! policy changes, the next file begins. No file is ever written over: `decisions.jsonl`, `decisions-1.jsonl`, ...

use gorgo_routing::log::{LogHead, LogLine, VERSION};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Rows that may wait for the disk: some seconds of a busy proxy.
const WAITING_ROWS: usize = 8192;
/// So many files of one name and something is wrong.
const MOST_FILES: u32 = 10_000;

enum Entry {
    /// A new policy: a new file.
    Head(Vec<u8>),
    Row(Vec<u8>),
}

/// See the module.
#[derive(Default)]
pub(crate) struct DecisionLog {
    last: VecDeque<Vec<u8>>,
    kept: usize,
    rows: Option<SyncSender<Entry>>,
    dropped: u64,
}

/// The thread that writes; it ends when its log is gone.
pub(crate) struct Writer(JoinHandle<()>);

impl Writer {
    /// Waits for the last row to be on disk.
    pub(crate) fn join(self) {
        // A panic of the thread was reported by itself.
        let _ = self.0.join();
    }
}

impl DecisionLog {
    /// A log that keeps so many rows in memory and writes them to `path`, if there is one.
    pub(crate) fn open(kept: u32, path: Option<&Path>) -> io::Result<(Self, Option<Writer>)> {
        let mut log = Self { kept: kept as usize, ..Self::default() };
        let Some(path) = path else { return Ok((log, None)) };
        // Now, so that a path that cannot be written is told at the start.
        let first = create(path)?;
        let (rows, receiver) = sync_channel(WAITING_ROWS);
        let path = path.to_owned();
        let thread = std::thread::Builder::new().name("decisions".to_owned());
        let thread = thread.spawn(move || write_all(&path, first, &receiver))?;
        log.rows = Some(rows);
        Ok((log, Some(Writer(thread))))
    }

    pub(crate) const fn is_wanted(&self) -> bool {
        self.kept > 0 || self.rows.is_some()
    }

    /// Rows that came too fast for the disk.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The last rows, the newest first.
    pub(crate) fn last(&self) -> impl Iterator<Item = &[u8]> {
        self.last.iter().rev().map(Vec::as_slice)
    }

    /// The policy that decides from now on.
    pub(crate) fn begin(
        &mut self,
        policy: &str,
        parameters: &Map<String, Value>,
        block_tokens: u32,
    ) {
        let policy = policy.to_owned();
        let head = LogHead { gorgo_decisions: VERSION, policy, parameters, block_tokens };
        if let Ok(head) = serde_json::to_vec(&head) {
            self.send(Entry::Head(head));
        }
    }

    pub(crate) fn write(&mut self, line: &LogLine<'_>) {
        let Ok(row) = serde_json::to_vec(line) else { return };
        if self.kept > 0 {
            while self.last.len() >= self.kept {
                self.last.pop_front();
            }
            self.last.push_back(row.clone());
        }
        self.send(Entry::Row(row));
    }

    fn send(&mut self, entry: Entry) {
        if let Some(rows) = &self.rows
            && rows.try_send(entry).is_err()
        {
            self.dropped += 1;
        }
    }

    /// Ends the file: the writer's thread writes what waits, and ends.
    pub(crate) fn close(&mut self) {
        self.rows = None;
    }
}

/// The file of this name, or the first of its successors that is not there yet.
fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    for number in 0..MOST_FILES {
        match File::create_new(numbered(path, number)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made,
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{MOST_FILES} files of this name")))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy()));
    path.with_file_name(format!("{stem}-{number}{}", extension.unwrap_or_default()))
}

fn write_all(path: &Path, first: File, entries: &Receiver<Entry>) {
    let mut out = BufWriter::new(first);
    let mut begun = false;
    loop {
        // What was written is on its way to the disk as soon as nothing follows at once.
        let entry = match entries.recv_timeout(Duration::from_millis(50)) {
            Ok(entry) => entry,
            Err(RecvTimeoutError::Timeout) => {
                report(out.flush());
                match entries.recv() {
                    Ok(entry) => entry,
                    Err(_) => break,
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let bytes = match entry {
            Entry::Row(row) => row,
            Entry::Head(head) => {
                if begun {
                    report(out.flush());
                    match create(path) {
                        Ok(next) => out = BufWriter::new(next),
                        Err(error) => return report(Err(error)),
                    }
                }
                begun = true;
                head
            }
        };
        report(out.write_all(&bytes).and_then(|()| out.write_all(b"\n")));
    }
    report(out.flush());
}

fn report(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the decision log cannot be written");
    }
}
