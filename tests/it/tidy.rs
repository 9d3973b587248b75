//! House rules that a program can check.

use crate::support::root;
use std::path::{Path, PathBuf};

/// Longer files have stopped being one room.
const LONGEST_FILE: usize = 600;

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_files() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    rust_files(&root().join("src"), &mut found);
    rust_files(&root().join("tests"), &mut found);
    found.sort();
    assert!(found.len() > 50, "the sources were found");
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("the file is UTF-8");
            (path, text)
        })
        .collect()
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in all_files() {
        // A crate may take its page as its head.
        let head = text.starts_with("//!") || text.starts_with("#![doc = include_str!(");
        assert!(head, "{} has no head", path.display());
    }
}

#[test]
fn no_file_is_too_long() {
    for (path, text) in all_files() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", path.display());
    }
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    let forbidden = concat!("#[al", "low(");
    for (path, text) in all_files() {
        assert!(!text.contains(forbidden), "{} allows a lint", path.display());
        for (number, line) in text.lines().enumerate() {
            let bare =
                line.trim_start().starts_with("#[expect(") && line.trim_end().ends_with(")]");
            assert!(
                !bare || line.contains("reason = "),
                "{}:{} expects a lint without a reason",
                path.display(),
                number + 1
            );
        }
    }
}

#[test]
fn the_top_level_holds_what_it_should() {
    let known = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "data",
        "notebooks",
        "results",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "scenarios",
        "src",
        "target",
        "tests",
    ];
    for entry in std::fs::read_dir(root()).expect("the root can be read") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        assert!(
            name.starts_with('.') || known.contains(&name.as_str()),
            "`{name}` stands at the top level"
        );
    }
}
