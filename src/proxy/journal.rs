//! Files of JSON lines that a thread of their own writes: a head, and rows after it.
//!
//! Where the thread cannot keep up, rows are dropped and counted rather than requests held up. With each head but the first
//! a new file begins. No file is ever written over: `decisions.jsonl`, `decisions-1.jsonl`, ... What stands in them is
//! `decisions.rs`'s (which policy chose what) and `core.rs`'s (what the tuner tried).

use serde::Serialize;
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
    /// Of a new file, where there is one already.
    Head(Vec<u8>),
    Row(Vec<u8>),
}

/// See the module.
#[derive(Default)]
pub(crate) struct Journal {
    entries: Option<SyncSender<Entry>>,
    dropped: u64,
}

/// The thread that writes; it ends when its journal is closed.
pub(crate) struct Writer(JoinHandle<()>);

impl Writer {
    /// Waits for the last row to be on disk.
    pub(crate) fn join(self) {
        // A panic of the thread was reported by itself.
        let _ = self.0.join();
    }
}

impl Journal {
    /// A journal at `path`, and its thread; none: what is written is forgotten.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<(Self, Option<Writer>)> {
        let mut journal = Self::default();
        let Some(path) = path else { return Ok((journal, None)) };
        // Now, so that a path that cannot be written is told at the start.
        let first = create(path)?;
        let (entries, receiver) = sync_channel(WAITING_ROWS);
        let path = path.to_owned();
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || write_all(&path, first, &receiver))?;
        journal.entries = Some(entries);
        Ok((journal, Some(Writer(thread))))
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.entries.is_some()
    }

    /// Rows that came too fast for the disk.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Begins a file.
    pub(crate) fn head(&mut self, head: &impl Serialize) {
        if self.is_open()
            && let Ok(head) = serde_json::to_vec(head)
        {
            self.send(Entry::Head(head));
        }
    }

    /// A line of the file.
    pub(crate) fn row(&mut self, row: Vec<u8>) {
        self.send(Entry::Row(row));
    }

    fn send(&mut self, entry: Entry) {
        let Some(entries) = &self.entries else { return };
        // Rows after a head that was lost would stand in another's file, so a head waits for its place.
        let sent = match entry {
            Entry::Head(_) => entries.send(entry).is_ok(),
            Entry::Row(_) => entries.try_send(entry).is_ok(),
        };
        self.dropped += u64::from(!sent);
    }

    /// Ends the file: the writer's thread writes what waits, and ends.
    pub(crate) fn close(&mut self) {
        self.entries = None;
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
        tracing::error!(%error, "a log cannot be written");
    }
}
