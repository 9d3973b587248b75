//! Prints the resolved scenario of a file, or of the built-in one: what `gorgo run --dry-run` shows.

use gorgo_scenario::Resolved;
use std::path::Path;

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next();
    let sets: Vec<String> = args.collect();
    let resolved = match path {
        Some(path) => Resolved::from_file(Path::new(&path), &sets),
        None => Resolved::built_in(&sets),
    };
    match resolved {
        Ok(resolved) => print!("{}", resolved.to_toml()),
        Err(error) => eprintln!("{error}"),
    }
}
