//! The data that is built into the program: cost profiles, regions, round-trip times, places, prices. The files are
//! those of `data/`, where `README.md` names their sources; here they are read and refused where they are malformed, with
//! file, line and field. The networks are in `data/network.rs`, the prices in `data/prices.rs`, the profiles in
//! `data/profiles.rs`.

mod network;
mod prices;
mod profiles;

pub use network::{
    LINK_FILES, cities, links, links_among, places, read_cities, read_links, regions,
};
pub use prices::{GpuPrice, PriceTables, Trust};
pub use profiles::{
    GPU_FILES, Profile, profile, profile_names, profiles, read_checked_profile, read_profile,
};

use gorgo_config::{Diagnostic, Source};
use serde::de::DeserializeOwned;

/// The rows of a CSV text with a header; columns that the row type does not know are passed over, where it does not
/// deny them.
///
/// # Errors
/// Where a row is malformed, with the line and field.
pub fn read_csv<T: DeserializeOwned>(file: &str, text: &str) -> Result<Vec<T>, Diagnostic> {
    Ok(read_csv_lines(file, text)?.into_iter().map(|(_, row)| row).collect())
}

/// As [`read_csv`], each row with the line that it begins in.
///
/// # Errors
/// As [`read_csv`].
pub fn read_csv_lines<T: DeserializeOwned>(
    file: &str,
    text: &str,
) -> Result<Vec<(u64, T)>, Diagnostic> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| explain(file, text, None, &error))?.clone();
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    let wrong = |error: csv::Error| explain(file, text, Some(&headers), &error);
    let (mut counted, mut line) = (0, 1);
    while reader.read_record(&mut record).map_err(wrong)? {
        let start = start_of(text, record.position());
        line += text.get(counted..start).unwrap_or_default().matches('\n').count() as u64;
        counted = start.max(counted);
        rows.push((line, record.deserialize(Some(&headers)).map_err(wrong)?));
    }
    Ok(rows)
}

/// Where a row begins. The reader's own position is that of the line feed before it, where lines end in CR LF, and of
/// the blank lines before it, which it passes over.
fn start_of(text: &str, position: Option<&csv::Position>) -> usize {
    let byte = position.map_or(0, |at| usize::try_from(at.byte()).unwrap_or(0));
    let rest = text.get(byte..).unwrap_or_default();
    byte + rest.len() - rest.trim_start_matches(['\r', '\n']).len()
}

fn explain(
    file: &str,
    text: &str,
    headers: Option<&csv::StringRecord>,
    error: &csv::Error,
) -> Diagnostic {
    let start = start_of(text, error.position());
    let end =
        text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| start + at);
    let (field, problem) = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => {
            let column = err.field().and_then(|index| usize::try_from(index).ok());
            let name = column.and_then(|index| headers?.get(index)).unwrap_or("row");
            (name, format!("{}, wanted a value that this column can hold", err.kind()))
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            ("row", format!("got {len} fields, wanted {expected_len}"))
        }
        _ => ("row", error.to_string()),
    };
    Source::new(file, text).error(start..end, field, problem)
}
