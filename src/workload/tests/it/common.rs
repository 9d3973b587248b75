//! What the tests of readers share: files written to a temporary folder, and sources read to their end.

use gorgo_types::{Nanos, Request};
use gorgo_workload::{Due, Source, TraceOptions, TraceSource, WorkloadError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder that is removed at the end of the test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    }
}

/// All requests of a source that needs no completions.
pub fn drain(source: &mut dyn Source) -> Result<Vec<(Nanos, Request)>, WorkloadError> {
    let mut requests = Vec::new();
    while let Due::At(at) = source.next_due()? {
        assert_eq!(source.next_due()?, Due::At(at), "peeking twice changed the answer");
        let item = source.take()?;
        assert_eq!(item.0, at, "a request came at another time than announced");
        requests.push(item);
    }
    Ok(requests)
}

/// All requests of a trace file.
pub fn read(path: &Path, options: TraceOptions) -> Result<Vec<(Nanos, Request)>, WorkloadError> {
    drain(&mut TraceSource::open(path, options)?)
}

/// A file of the measured data beside the project; says so and gives `None` where it is not there.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}
