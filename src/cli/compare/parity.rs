//! A simulation and a live run side by side: how far the simulator is off.

use super::Format;
use crate::exit::Failure;
use crate::simulate::terminal_style;
use gorgo_metrics::{Parity, Summary};
use std::path::{Path, PathBuf};

/// The summaries right below a run's directory, or a policy's own; none where there is none, or one cannot be read.
fn summaries(path: &Path) -> Option<Vec<Summary>> {
    let read = |path: &Path| -> Option<Summary> {
        serde_json::from_slice(&std::fs::read(path.join("summary.json")).ok()?).ok()
    };
    if let Some(own) = read(path) {
        return Some(vec![own]);
    }
    let entries = std::fs::read_dir(path).ok()?;
    let mut below: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    below.sort();
    let found: Vec<Summary> = below.iter().filter_map(|path| read(path)).collect();
    (!found.is_empty()).then_some(found)
}

/// The text of the comparison; none where it is not exactly one side that is live.
pub fn parity(
    base: &Path,
    new: &Path,
    format: Format,
    quiet: bool,
) -> Result<Option<String>, Failure> {
    let (Some(base), Some(new)) = (summaries(base), summaries(new)) else { return Ok(None) };
    let is_live = |side: &[Summary]| side.iter().all(|summary| summary.live.is_some());
    let (simulated, live) = match (is_live(&base), is_live(&new)) {
        (false, true) => (base, new),
        (true, false) => (new, base),
        _ => return Ok(None),
    };
    let parity = Parity::new(&simulated, &live);
    if parity.policies.is_empty() {
        let wanted = "wanted a policy that both sides have";
        let only = parity.only_one_side.join(", ");
        return Err(Failure::input(format!("got {only}, each on one side: {wanted}")));
    }
    if !quiet {
        parity.warnings.iter().for_each(|warning| eprintln!("note: {warning}"));
    }
    Ok(Some(match format {
        Format::Json => gorgo_report::parity_json(&parity),
        _ => gorgo_report::parity_table(&parity, terminal_style()),
    }))
}
