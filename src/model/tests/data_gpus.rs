//! The committed GPU profiles: they load, their arithmetic holds, and their errors are the ones they state.
//!
//! The reference tables are not part of the project; where they are absent the comparison says so and passes.
//! `examples/gpu_profiles.rs` writes the files; what is held back is said in `reference/mod.rs`.

mod reference;

use gorgo_model::{CostProfile, ProfileSpec};
use reference::{Reference, fit_alone, fits, mean_p95, root};

/// File, (system, model, tensor parallel degree) of the reference.
const PROFILES: [(&str, (&str, &str, u32)); 14] = [
    ("a100-sxm_llama-3.1-8b", ("a100_sxm", "llama-3.1-8b-bf16", 1)),
    ("a100-sxm_mistral-7b", ("a100_sxm", "mistral-7b-v0.3-bf16", 1)),
    ("a100-sxm-tp4_llama-3.3-70b", ("a100_sxm", "llama-3.3-70b-bf16", 4)),
    ("a100-sxm-tp8_llama-3.3-70b", ("a100_sxm", "llama-3.3-70b-bf16", 8)),
    ("h100-sxm_llama-3.1-8b", ("h100_sxm", "llama-3.1-8b-bf16", 1)),
    ("h100-sxm_llama-3.1-8b-fp8", ("h100_sxm", "llama-3.1-8b-fp8", 1)),
    ("h100-sxm_mistral-7b", ("h100_sxm", "mistral-7b-v0.3-bf16", 1)),
    ("h100-sxm_mistral-7b-fp8", ("h100_sxm", "mistral-7b-v0.3-fp8", 1)),
    ("h100-sxm-tp4_llama-3.3-70b", ("h100_sxm", "llama-3.3-70b-bf16", 4)),
    ("h100-sxm-tp8_llama-3.3-70b", ("h100_sxm", "llama-3.3-70b-bf16", 8)),
    ("h100-sxm-tp4_llama-3.3-70b-fp8", ("h100_sxm", "llama-3.3-70b-fp8static-kvbf16", 4)),
    ("h200-sxm_llama-3.1-8b", ("h200_sxm", "llama-3.1-8b-bf16", 1)),
    ("h200-sxm_mistral-7b", ("h200_sxm", "mistral-7b-v0.3-bf16", 1)),
    ("h200-sxm-tp4_llama-3.3-70b-fp8", ("h200_sxm", "llama-3.3-70b-fp8static-kvbf16", 4)),
];

/// Those fitted to a running fleet as a whole: there is no table of passes to compare them with
/// (`src/sim/examples/fit_fleet`).
const FITTED_TO_A_FLEET: [&str; 1] = ["2xl40s_qwen3.5-35b-a3b-fp8"];

fn spec(name: &str) -> ProfileSpec {
    let path = root().join(format!("data/gpus/{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn profile(name: &str) -> CostProfile {
    CostProfile::try_from(spec(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_file_is_in_the_list() {
    let mut files: Vec<String> = std::fs::read_dir(root().join("data/gpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed = PROFILES.iter().map(|&(name, _)| name).chain(FITTED_TO_A_FLEET);
    let mut listed: Vec<String> = listed.map(|name| format!("{name}.toml")).collect();
    files.sort();
    listed.sort();
    assert_eq!(files, listed);
}

fn as_stated(what: &str, errors: Vec<f64>, stated: (f64, f64)) {
    let got = mean_p95(errors);
    println!("{what}: mean error {:.5}, p95 {:.5}", got.0, got.1);
    let near = |a: f64, b: f64| (a - b).abs() <= 0.000_05 + 1e-12;
    assert!(near(got.0, stated.0) && near(got.1, stated.1), "{what}: {got:?}, stated {stated:?}");
}

#[test]
fn errors_at_held_back_points_are_the_ones_stated() {
    for (name, of) in PROFILES {
        let Some(reference) = Reference::read(of) else { return };
        let spec = spec(name);
        let (cut, fit, stated) = (reference.cut(&spec), fit_alone(&spec), &spec.provenance);
        let prefill = |profile| reference.prefill_errors(profile, 0..=u32::MAX);
        assert_eq!((prefill(&cut).len(), reference.decode_errors(&cut).len()), (220, 88));
        as_stated(
            &format!("{name} prefill"),
            prefill(&cut),
            (stated.prefill_error_mean, stated.prefill_error_p95),
        );
        as_stated(
            &format!("{name} prefill between"),
            reference.prefill_between_errors(&spec),
            (stated.prefill_between_error_mean, stated.prefill_between_error_p95),
        );
        as_stated(
            &format!("{name} prefill, fit"),
            prefill(&fit),
            (stated.prefill_fit_error_mean, stated.prefill_fit_error_p95),
        );
        as_stated(
            &format!("{name} decode"),
            reference.decode_errors(&cut),
            (stated.decode_error_mean, stated.decode_error_p95),
        );
        as_stated(
            &format!("{name} decode, fit"),
            reference.decode_errors(&fit),
            (stated.decode_fit_error_mean, stated.decode_fit_error_p95),
        );
        assert!(stated.prefill_error_mean < 0.01 && stated.decode_error_mean < 0.02, "{name}");
    }
}

#[test]
fn what_was_measured_is_in_range_and_what_lies_beyond_is_not() {
    for (name, of) in PROFILES {
        let Some(reference) = Reference::read(of) else { return };
        let (spec, profile) = (spec(name), profile(name));
        let pass = |new_tokens, cached_tokens, batch| {
            let item = gorgo_model::PrefillItem { new_tokens, cached_tokens };
            profile.prefill_in_range(&vec![item; batch as usize])
        };
        for &(batch, new, cached) in reference.prefill.keys() {
            assert!(pass(new, cached, batch), "{name}: {batch} x {new} + {cached}");
        }
        for (cached, points) in &spec.prefill_table {
            let last = points[points.len() - 1].0;
            assert!(!pass(last as u32 + 1, *cached as u32, 1), "{name}: {last} + 1 after {cached}");
        }
        for &(batch, context) in reference.decode.keys() {
            let tokens = u64::from(batch) * u64::from(context);
            assert!(profile.decode_in_range(batch, tokens), "{name}: {batch} x {context}");
        }
        for (batch, points) in &spec.decode_table {
            let beyond = batch * (points[points.len() - 1].0 + 1);
            assert!(!profile.decode_in_range(*batch as u32, beyond), "{name}: {batch}, {beyond}");
        }
    }
}

#[test]
fn each_range_of_prefill_has_the_better_of_fit_and_table() {
    for (name, of) in PROFILES {
        let Some(reference) = Reference::read(of) else { return };
        let spec = spec(name);
        let (cut, fit) = (reference.cut(&spec), fit_alone(&spec));
        for range in [1..=255, 256..=8_192, 8_193..=u32::MAX] {
            let error = |profile| mean_p95(reference.prefill_errors(profile, range.clone())).0;
            // Where the fit was chosen the two are the same, to the rounding of two points.
            assert!(error(&cut) <= error(&fit) + 1e-6, "{name}: {range:?}");
        }
        assert!(
            mean_p95(reference.decode_errors(&cut)).0 < mean_p95(reference.decode_errors(&fit)).0
        );
    }
}

#[test]
fn tables_and_fits_are_the_reference_s() {
    for (name, of) in PROFILES {
        let Some(reference) = Reference::read(of) else { return };
        let (spec, [prefill, decode]) = (spec(name), fits(of).unwrap());
        assert_eq!(
            [spec.prefill_base_ms, spec.prefill_ms_per_token, spec.prefill_ms_per_token_squared,],
            prefill
        );
        assert_eq!(
            [
                spec.decode_base_ms.unwrap(),
                spec.decode_ms_per_sequence,
                spec.decode_ms_per_context_token
            ],
            decode
        );
        assert_eq!(spec.provenance.engine, format!("SGLang {}", reference.version));
        let profile = profile(name);
        let mut by_fit = 0;
        for (cached, points) in &spec.prefill_table {
            for &(new, ms) in points {
                let at = (1, new as u32, *cached as u32);
                let item = gorgo_model::PrefillItem { new_tokens: at.1, cached_tokens: at.2 };
                let alone = profile.prefill(&[item]).as_ms();
                assert!((alone - ms).abs() < 1e-9, "{name}: {at:?} takes {alone}, table {ms}");
                by_fit += usize::from(reference.prefill[&at] != ms);
            }
        }
        assert!(by_fit <= 2 * spec.prefill_table.len() * 2, "{name}: {by_fit} points on the fit");
        for (batch, points) in &spec.decode_table {
            for &(context, ms) in points {
                let measured = reference.decode[&(*batch as u32, context as u32)];
                assert!(ms >= measured && ms < measured * 1.01, "{name}: {batch} x {context}");
                let step = profile.decode_step(*batch as u32, batch * context).as_ms();
                assert!((step - ms).abs() < 1e-9, "{name}: {batch} x {context} takes {step}");
            }
        }
    }
}

/// Parameters, those of embedding and head, layers; by the profile's model.
const MODELS: [(&str, f64, f64, u64); 3] = [
    ("llama-3.1-8b", 8_030_261_248.0, 1_050_673_152.0, 32),
    ("mistral-7b", 7_248_023_552.0, 268_435_456.0, 32),
    ("llama-3.3-70b", 70_553_706_496.0, 2_101_346_304.0, 80),
];

#[test]
fn the_kv_pool_is_what_the_memory_formula_leaves() {
    for (name, (system, _, tp)) in PROFILES {
        let spec = spec(name);
        let gpu_mib = match system {
            "a100_sxm" => 81_920.0,
            "h100_sxm" => 81_559.0,
            _ => 143_771.0_f64,
        };
        let (_, parameters, kept, layers) =
            MODELS.into_iter().find(|model| name.contains(model.0)).unwrap();
        let limits = &spec.limits;
        assert_eq!((limits.max_prefill_tokens, limits.chunked_prefill_tokens), (16_384, 8_192));
        let chunk = f64::from(limits.chunked_prefill_tokens);
        let graphs = if tp < 4 { 256.0 } else { 512.0 };
        let reserved =
            512.0 + chunk * 1.5 + f64::from(tp) / 8.0 * 1024.0 + graphs * 2.0 + 58.0 * 8.0;
        let fraction = ((gpu_mib - reserved.max(10_240.0)) / gpu_mib * 1000.0).round() / 1000.0;
        let weights = if name.ends_with("-fp8") { parameters + kept } else { parameters * 2.0 }
            / f64::from(tp);
        let token = spec.kv_bytes_per_token as f64 / f64::from(tp);
        let pool = (fraction * gpu_mib * 1_048_576.0 - weights) / token;
        assert_eq!(spec.kv_pool_tokens, pool as u64, "{name}");
        assert_eq!(spec.kv_bytes_per_token, layers * 8 * 128 * 2 * 2, "{name}");
        assert_eq!(spec.provenance.gpus, tp);
    }
}

/// Passes and steps do not jump, and decode never falls as the context grows.
#[test]
fn times_are_continuous() {
    for (name, _) in PROFILES {
        let profile = profile(name);
        for cached_tokens in [0, 100, 4_096, 98_304] {
            let pass = |new_tokens| {
                let item = gorgo_model::PrefillItem { new_tokens, cached_tokens };
                profile.prefill(&[item]).as_ms()
            };
            for new in 1..10_000 {
                let step = (pass(new + 1) - pass(new)).abs();
                // The steepest piece is 0.44 ms a token: 70B on four A100s, which read 98,304 tokens for the 2nd.
                assert!(step < 0.6, "{name}: a jump of {step} ms at {new} after {cached_tokens}");
            }
        }
        for batch in [1, 3, 20, 100, 400, 600] {
            let mut before = profile.decode_step(batch, 0);
            for context in (0..200_000).step_by(100) {
                let now = profile.decode_step(batch, u64::from(batch) * context);
                assert!(now >= before, "{name}: {batch} x {context}");
                before = now;
            }
        }
    }
}
