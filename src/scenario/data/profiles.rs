//! The built-in cost profiles, each read when it is first asked for and then kept: the program starts without reading
//! any, and ten thousand scenarios that name one read it once.

use gorgo_config::{Diagnostic, Source};
use gorgo_model::{CostProfile, ModelError, ProfileSpec};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A profile's file and its text.
macro_rules! gpu {
    ($name:literal) => {
        (
            concat!("data/gpus/", $name, ".toml"),
            include_str!(concat!("../../../data/gpus/", $name, ".toml")),
        )
    };
}

/// The cost profiles of `data/gpus`, as (file, text). A file is named after its profile.
pub const GPU_FILES: &[(&str, &str)] = &[
    gpu!("2xl40s_qwen3.5-35b-a3b-fp8"),
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

/// A profile in both forms: as its file has it, and as a replica runs by it.
pub type Profile = (ProfileSpec, Arc<CostProfile>);

static READ: [OnceLock<Profile>; GPU_FILES.len()] = [const { OnceLock::new() }; GPU_FILES.len()];

/// The names of the built-in profiles, in order. Reads none of them.
pub fn profile_names() -> impl Iterator<Item = &'static str> {
    GPU_FILES
        .iter()
        .map(|(file, _)| file.trim_start_matches("data/gpus/").trim_end_matches(".toml"))
}

/// The built-in profile of that name, if there is one.
///
/// # Errors
/// Where its file is malformed, with its place.
pub fn profile(name: &str) -> Result<Option<&'static Profile>, Diagnostic> {
    let Some(index) = profile_names().position(|known| known == name) else { return Ok(None) };
    if let Some(read) = READ[index].get() {
        return Ok(Some(read));
    }
    let (file, text) = GPU_FILES[index];
    let spec = read_profile(file, text)?;
    let broken = |error: ModelError| Diagnostic::whole_file(file, error.to_string());
    let profile = Arc::new(CostProfile::try_from(spec.clone()).map_err(broken)?);
    Ok(Some(READ[index].get_or_init(|| (spec, profile))))
}

/// All built-in cost profiles, by name.
///
/// # Errors
/// Where a file is malformed, with its place.
pub fn profiles() -> Result<Vec<ProfileSpec>, Diagnostic> {
    profile_names()
        .filter_map(|name| Some(profile(name).transpose()?.map(|read| read.0.clone())))
        .collect()
}

/// Reads a cost profile; `file` is what errors call it.
///
/// # Errors
/// Where it is malformed, with its place.
pub fn read_profile(file: &str, text: &str) -> Result<ProfileSpec, Diagnostic> {
    Source::new(file, text).document()?.read()
}

/// Reads a cost profile and checks that it is one; `file` is what errors call it, and without its ending the profile's
/// name where it has none.
///
/// # Errors
/// Where it is malformed or a number makes no sense, with its place.
pub fn read_checked_profile(file: &str, text: &str) -> Result<ProfileSpec, Diagnostic> {
    let source = Source::new(file, text);
    let document = source.document()?;
    let mut spec: ProfileSpec = document.read()?;
    if spec.name.is_empty() {
        let stem = Path::new(file).file_stem().unwrap_or_default();
        spec.name = stem.to_string_lossy().into_owned();
    }
    CostProfile::try_from(spec.clone()).map_err(|error| {
        let ModelError::Invalid { field, value, wanted, .. } = &error else {
            return Diagnostic::whole_file(file, error.to_string());
        };
        // A field may name a point of a table, `prefill_table[3]`: the table is what can be found.
        let keys: Vec<&str> =
            field.split('.').map(|key| key.split(['[', ' ']).next().unwrap_or(key)).collect();
        let problem = format!("{field}: got {value}, wanted {wanted}");
        match document.at(&keys) {
            Some(place) => document.error(place.span(), problem),
            None => Diagnostic::whole_file(file, problem),
        }
    })?;
    Ok(spec)
}
