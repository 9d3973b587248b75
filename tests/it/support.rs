//! Running the built binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the measured data beside the project; says so and gives `None` where it is not there.
pub fn shared(path: &str) -> Option<PathBuf> {
    let file = root().join("../shared/data").join(path);
    if file.exists() {
        return Some(file);
    }
    println!("skipped: {} is not here", file.display());
    None
}

/// Runs `gorgo` with these arguments.
pub fn gorgo<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gorgo"))
        .args(arguments)
        .current_dir(root())
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary runs")
}

/// Runs `gorgo` and gives its stdout; panics with its stderr where it does not exit with 0.
pub fn gorgo_ok<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> String {
    let output = gorgo(arguments);
    assert!(
        output.status.success(),
        "exit {:?}: {}",
        output.status.code(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("stdout is UTF-8")
}

/// Every file below a directory with its bytes, in order of paths; `run.json`, which holds wall clock, left out.
pub fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("the directory can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().is_some_and(|name| name != "run.json") {
                let name = path.strip_prefix(directory).expect("it is below").to_owned();
                found.push((name, std::fs::read(&path).expect("the file can be read")));
            }
        }
    }
    found.sort();
    found
}
