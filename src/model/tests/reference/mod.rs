//! The reference tables of `../shared/data/gpu`, and how far a profile is from them at points that are held back.
//! Shared by the test of `data/gpus` and the example that writes those files.
//!
//! Held back are, of decode steps, those whose index of batch size + index of context is odd; of prefill passes of
//! one request, those whose index of new tokens + index of cached tokens is odd; and all prefill passes of several
//! requests, for the profiles' tables are of one. A table is cut to the other points before it is asked.
//!
//! That leaves each prefill pass a neighbour with the same new tokens, and it is along the new tokens that times jump.
//! So a second, harder question is asked of prefill: every other number of new tokens is cut from the table.

use gorgo_model::{CostProfile, PrefillItem, ProfileSpec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Passes and steps of one GPU, model and degree of tensor parallelism under SGLang, ms.
pub struct Reference {
    /// SGLang's version.
    pub version: String,
    /// (batch, new tokens, cached tokens) of each prefill pass.
    pub prefill: BTreeMap<(u32, u32, u32), f64>,
    /// (batch, context of each) of each decode step.
    pub decode: BTreeMap<(u32, u32), f64>,
}

/// The three numbers of the fits of prefill and decode: base, per token (sequence), quadratic (per context token).
pub type Fit = [f64; 3];

/// A file's rows for a system, model and tensor parallel degree under SGLang, by column name. None where the file is
/// not there; that is said.
fn rows(file: &str, of: (&str, &str, u32)) -> Option<Vec<BTreeMap<String, String>>> {
    let path = root().join("../shared/data/gpu").join(file);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    let mut reader = csv::Reader::from_path(&path).expect("a table opens");
    let tp = of.2.to_string();
    let mine = |row: &BTreeMap<String, String>| {
        [("system", of.0), ("backend", "sglang"), ("model", of.1), ("tp", tp.as_str())]
            .iter()
            .all(|&(column, value)| row[column] == value)
    };
    let all = reader.deserialize::<BTreeMap<String, String>>();
    Some(all.map(|row| row.expect("a row is whole")).filter(mine).collect())
}

fn number<T: std::str::FromStr>(row: &BTreeMap<String, String>, column: &str) -> T {
    row[column].parse().unwrap_or_else(|_| panic!("{column}: {}", row[column]))
}

impl Reference {
    /// Reads it, for (system, model, tensor parallel degree). None, and a line that says so, where it is absent.
    pub fn read(of: (&str, &str, u32)) -> Option<Self> {
        let (prefill, decode) = (rows("aic_prefill.csv", of)?, rows("aic_decode.csv", of)?);
        assert!(prefill.len() > 100 && decode.len() > 100, "{of:?}: too few rows");
        Some(Self {
            version: prefill[0]["backend_version"].clone(),
            prefill: prefill
                .iter()
                .map(|row| {
                    let at = (
                        number(row, "batch"),
                        number(row, "new_tokens"),
                        number(row, "prefix_tokens"),
                    );
                    (at, number(row, "prefill_ms"))
                })
                .collect(),
            decode: decode
                .iter()
                .map(|row| {
                    ((number(row, "batch"), number(row, "context")), number(row, "decode_step_ms"))
                })
                .collect(),
        })
    }

    /// Whether a prefill pass is held back.
    pub fn prefill_held_back(&self, (batch, new, cached): (u32, u32, u32)) -> bool {
        let news = sorted(self.prefill.keys().filter(|key| key.0 == 1).map(|key| key.1));
        let prefixes = sorted(self.prefill.keys().filter(|key| key.0 == 1).map(|key| key.2));
        batch > 1 || odd(index(&news, new) + index(&prefixes, cached))
    }

    /// Whether a decode step is held back.
    pub fn decode_held_back(&self, (batch, context): (u32, u32)) -> bool {
        let batches = sorted(self.decode.keys().map(|key| key.0));
        let contexts = sorted(self.decode.keys().map(|key| key.1));
        odd(index(&batches, batch) + index(&contexts, context))
    }

    /// The profile with its tables cut to what is not held back. Points that are no points of the reference lie on
    /// the fit, and stay.
    pub fn cut(&self, spec: &ProfileSpec) -> CostProfile {
        let mut spec = spec.clone();
        for (cached, points) in &mut spec.prefill_table {
            points.retain(|&(new, ms)| {
                let at = (1, new as u32, *cached as u32);
                self.prefill.get(&at) != Some(&ms) || !self.prefill_held_back(at)
            });
        }
        for (batch, points) in &mut spec.decode_table {
            points.retain(|&(context, _)| !self.decode_held_back((*batch as u32, context as u32)));
        }
        spec.prefill_table.retain(|row| !row.1.is_empty());
        spec.decode_table.retain(|row| !row.1.is_empty());
        CostProfile::try_from(spec).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Relative errors of prefill at the points that are held back and have so many new tokens in all.
    pub fn prefill_errors(
        &self,
        profile: &CostProfile,
        tokens: std::ops::RangeInclusive<u32>,
    ) -> Vec<f64> {
        let held = self
            .prefill
            .iter()
            .filter(|(at, _)| tokens.contains(&(at.0 * at.1)) && self.prefill_held_back(**at));
        held.map(|(&(batch, new_tokens, cached_tokens), ms)| {
            let items = vec![PrefillItem { new_tokens, cached_tokens }; batch as usize];
            profile.prefill(&items).as_ms() / ms - 1.0
        })
        .collect()
    }

    /// Relative errors of prefill of one request at every other number of new tokens, the table being cut to the rest.
    pub fn prefill_between_errors(&self, spec: &ProfileSpec) -> Vec<f64> {
        let news = sorted(self.prefill.keys().filter(|key| key.0 == 1).map(|key| key.1));
        let mut spec = spec.clone();
        for (_, points) in &mut spec.prefill_table {
            points.retain(|&(new, _)| !odd(index(&news, new as u32)));
        }
        let profile = CostProfile::try_from(spec).unwrap_or_else(|e| panic!("{e}"));
        let cut = self.prefill.iter().filter(|(at, _)| at.0 == 1 && odd(index(&news, at.1)));
        cut.map(|(&(_, new_tokens, cached_tokens), ms)| {
            profile.prefill(&[PrefillItem { new_tokens, cached_tokens }]).as_ms() / ms - 1.0
        })
        .collect()
    }

    /// Relative errors of decode at the points that are held back.
    pub fn decode_errors(&self, profile: &CostProfile) -> Vec<f64> {
        let held = self.decode.iter().filter(|(at, _)| self.decode_held_back(**at));
        held.map(|(&(batch, context), ms)| {
            let tokens = u64::from(batch) * u64::from(context);
            profile.decode_step(batch, tokens).as_ms() / ms - 1.0
        })
        .collect()
    }
}

/// The profile's fit without its tables.
pub fn fit_alone(spec: &ProfileSpec) -> CostProfile {
    let spec = ProfileSpec { prefill_table: Vec::new(), decode_table: Vec::new(), ..spec.clone() };
    CostProfile::try_from(spec).unwrap_or_else(|e| panic!("{e}"))
}

/// Mean and 95th percentile (nearest rank) of the absolute relative errors.
pub fn mean_p95(mut errors: Vec<f64>) -> (f64, f64) {
    errors.iter_mut().for_each(|e| *e = e.abs());
    errors.sort_by(f64::total_cmp);
    let rank = (errors.len() * 95).div_ceil(100);
    (errors.iter().sum::<f64>() / errors.len() as f64, errors[rank - 1])
}

/// Values in rising order, each once.
pub fn sorted(values: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut values: Vec<u32> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn index(values: &[u32], value: u32) -> usize {
    values.binary_search(&value).expect("a point of the grid")
}

fn odd(number: usize) -> bool {
    number % 2 == 1
}

/// The published fits of prefill and decode. None where they are absent.
pub fn fits(of: (&str, &str, u32)) -> Option<[Fit; 2]> {
    let (prefill, decode) = (rows("aic_prefill_fit.csv", of)?, rows("aic_decode_fit.csv", of)?);
    Some([
        ["t0_ms_floor", "ms_per_token", "ms_per_token_x_ctx"].map(|c| number(&prefill[0], c)),
        ["t0_ms", "ms_per_seq", "ms_per_kv_token"].map(|c| number(&decode[0], c)),
    ])
}
