//! The data that is built into the program: cost profiles, regions, round-trip times, places,
//! prices. The files are those of
//! `data/`, where `README.md` names their sources; here they are read and refused where they are malformed, with
//! file, line and field. The networks are in `data/network.rs`, the prices in `data/prices.rs`.

mod network;
mod prices;

pub use network::{
    LINK_FILES, cities, links, links_among, places, read_cities, read_links, regions,
};

pub use prices::{GpuPrice, PriceTables, Trust};

use gorgo_config::{Diagnostic, Source};
use gorgo_model::ProfileSpec;
use serde::de::DeserializeOwned;

/// A profile's file and its text.
macro_rules! gpu {
    ($name:literal) => {
        (
            concat!("data/gpus/", $name, ".toml"),
            include_str!(concat!("../../data/gpus/", $name, ".toml")),
        )
    };
}

/// The cost profiles of `data/gpus`, as (file, text).
pub const GPU_FILES: &[(&str, &str)] = &[
    gpu!("a100-sxm-tp4_llama-3.3-70b"),
    gpu!("a100-sxm-tp8_llama-3.3-70b"),
    gpu!("a100-sxm_llama-3.1-8b"),
    gpu!("a100-sxm_mistral-7b"),
    gpu!("h100-sxm-tp4_llama-3.3-70b-fp8"),
    gpu!("h100-sxm-tp4_llama-3.3-70b"),
    gpu!("h100-sxm-tp8_llama-3.3-70b"),
    gpu!("h100-sxm_llama-3.1-8b-fp8"),
    gpu!("h100-sxm_llama-3.1-8b"),
    gpu!("h100-sxm_mistral-7b-fp8"),
    gpu!("h100-sxm_mistral-7b"),
    gpu!("h200-sxm-tp4_llama-3.3-70b-fp8"),
    gpu!("h200-sxm_llama-3.1-8b"),
    gpu!("h200-sxm_mistral-7b"),
];

/// All built-in cost profiles, by name.
///
/// # Errors
/// Where a file is malformed, with its place.
pub fn profiles() -> Result<Vec<ProfileSpec>, Diagnostic> {
    GPU_FILES.iter().map(|(file, text)| read_profile(file, text)).collect()
}

/// Reads a cost profile; `file` is what errors call it.
///
/// # Errors
/// Where it is malformed, with its place.
pub fn read_profile(file: &str, text: &str) -> Result<ProfileSpec, Diagnostic> {
    Source::new(file, text).document()?.read()
}

/// The rows of a CSV text with a header; columns that the row type does not know are passed over.
///
/// # Errors
/// Where a row is malformed, with the line and field.
pub fn read_csv<T: DeserializeOwned>(file: &str, text: &str) -> Result<Vec<T>, Diagnostic> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| explain(file, text, None, &error))?.clone();
    (reader.deserialize())
        .map(|row| row.map_err(|error| explain(file, text, Some(&headers), &error)))
        .collect()
}

fn explain(
    file: &str,
    text: &str,
    headers: Option<&csv::StringRecord>,
    error: &csv::Error,
) -> Diagnostic {
    let start = error.position().map_or(0, |at| usize::try_from(at.byte()).unwrap_or(0));
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
