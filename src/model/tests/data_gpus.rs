//! The committed GPU profiles: they load, their arithmetic holds, and their errors are the ones they state.
//!
//! The reference tables are not part of the project; where they are absent the comparison says so and passes.

use gorgo_model::{CostProfile, PrefillItem, ProfileSpec};
use std::path::{Path, PathBuf};

const PROFILES: [(&str, &str); 2] =
    [("h100-sxm_llama-3.1-8b", "h100_sxm"), ("a100-sxm_llama-3.1-8b", "a100_sxm")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn spec(name: &str) -> ProfileSpec {
    let path = root().join(format!("data/gpus/{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn profile(name: &str) -> CostProfile {
    CostProfile::try_from(spec(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The rows of a reference table for Llama-3.1-8B in bf16 on one GPU of `system` under SGLang.
fn reference(file: &str, system: &str) -> Option<Vec<csv::StringRecord>> {
    let path = root().join("../shared/data/gpu").join(file);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let column = |reader: &mut csv::Reader<_>, name: &str| {
        reader.headers().unwrap().iter().position(|h| h == name).unwrap()
    };
    let wanted = [
        (column(&mut reader, "system"), system),
        (column(&mut reader, "backend"), "sglang"),
        (column(&mut reader, "model"), "llama-3.1-8b-bf16"),
        (column(&mut reader, "tp"), "1"),
    ];
    let rows: Vec<_> = reader
        .records()
        .map(Result::unwrap)
        .filter(|row| wanted.iter().all(|&(at, value)| &row[at] == value))
        .collect();
    assert!(rows.len() > 100, "{file}: {} rows for {system}", rows.len());
    Some(rows)
}

/// Mean and 95th percentile (nearest rank) of the absolute relative errors.
fn mean_p95(mut errors: Vec<f64>) -> (f64, f64) {
    errors.iter_mut().for_each(|e| *e = e.abs());
    errors.sort_by(f64::total_cmp);
    let rank = (errors.len() * 95).div_ceil(100);
    (errors.iter().sum::<f64>() / errors.len() as f64, errors[rank - 1])
}

fn as_stated(what: &str, got: (f64, f64), stated: (f64, f64)) {
    println!("{what}: mean error {:.5}, p95 {:.5}", got.0, got.1);
    let near = |a: f64, b: f64| (a - b).abs() <= 0.000_05 + 1e-12;
    assert!(near(got.0, stated.0) && near(got.1, stated.1), "{what}: {got:?}, stated {stated:?}");
}

#[test]
fn prefill_errors_are_the_ones_stated() {
    for (name, system) in PROFILES {
        let profile = profile(name);
        let Some(rows) = reference("aic_prefill.csv", system) else { return };
        let mut errors = Vec::new();
        for row in &rows {
            let number = |at: usize| row[at].parse::<u32>().unwrap();
            let (batch, new_tokens, cached_tokens) = (number(8), number(9), number(10));
            let items = vec![PrefillItem { new_tokens, cached_tokens }; batch as usize];
            assert!(profile.prefill_in_range(&items), "{row:?}");
            let measured: f64 = row[12].parse().unwrap();
            errors.push(profile.prefill(&items).as_ms() / measured - 1.0);
        }
        assert_eq!(errors.len(), 351);
        let stated = &profile.provenance;
        let stated = (stated.prefill_error_mean, stated.prefill_error_p95);
        as_stated(&format!("{name} prefill"), mean_p95(errors), stated);
    }
}

#[test]
fn decode_errors_are_the_ones_stated() {
    for (name, system) in PROFILES {
        let profile = profile(name);
        let Some(rows) = reference("aic_decode.csv", system) else { return };
        let mut errors = Vec::new();
        for row in &rows {
            let number = |at: usize| row[at].parse::<u32>().unwrap();
            let (batch, context) = (number(8), u64::from(number(9)));
            let context_tokens = u64::from(batch) * context;
            if profile.decode_in_range(batch, context_tokens) {
                let measured: f64 = row[10].parse().unwrap();
                errors.push(profile.decode_step(batch, context_tokens).as_ms() / measured - 1.0);
            }
        }
        assert_eq!(errors.len(), 133);
        let stated = &profile.provenance;
        let stated = (stated.decode_error_mean, stated.decode_error_p95);
        as_stated(&format!("{name} decode"), mean_p95(errors), stated);
    }
}

#[test]
fn the_floor_is_what_was_measured_for_small_prompts() {
    for (name, system) in PROFILES {
        let (spec, Some(rows)) = (spec(name), reference("aic_prefill.csv", system)) else { return };
        for (tokens, ms) in spec.prefill_floor {
            let tokens = tokens.to_string();
            let row = rows.iter().find(|r| &r[8] == "1" && r[9] == tokens && &r[10] == "0");
            assert_eq!(row.map(|r| r[12].parse()), Some(Ok(ms)), "{name}: {tokens} tokens");
        }
    }
}

#[test]
fn the_kv_pool_is_what_the_memory_formula_leaves() {
    for (name, gpu_mib) in [(PROFILES[0].0, 81_559.0_f64), (PROFILES[1].0, 81_920.0)] {
        let spec = spec(name);
        let limits = &spec.limits;
        let chunk = f64::from(limits.chunked_prefill_tokens);
        let reserved = 512.0 + chunk * 1.5 + 1024.0 / 8.0 + 256.0 * 2.0 + 58.0 * 8.0;
        let fraction = ((gpu_mib - reserved.max(10_240.0)) / gpu_mib * 1000.0).round() / 1000.0;
        let weights = 8_030_261_248.0 * 2.0;
        let pool = (fraction * gpu_mib * 1_048_576.0 - weights) / spec.kv_bytes_per_token as f64;
        assert_eq!(spec.kv_pool_tokens, pool as u64, "{name}");
        assert_eq!(spec.kv_bytes_per_token, 32 * 8 * 128 * 2 * 2);
        assert_eq!((limits.max_prefill_tokens, limits.chunked_prefill_tokens), (16_384, 8_192));
    }
}

#[test]
fn more_work_never_takes_less_time() {
    for (name, _) in PROFILES {
        let profile = profile(name);
        for cached_tokens in [0, 100, 4_096, 98_304] {
            let mut before = profile.prefill(&[PrefillItem { new_tokens: 1, cached_tokens }]);
            for new_tokens in 2..2_000 {
                let now = profile.prefill(&[PrefillItem { new_tokens, cached_tokens }]);
                assert!(now >= before, "{name}: {new_tokens} after {cached_tokens}");
                // The steepest measured piece (A100, 128 to 192 tokens) is 0.1 ms a token.
                assert!(now.as_ms() - before.as_ms() < 0.5, "{name}: a jump at {new_tokens}");
                before = now;
            }
        }
    }
}
