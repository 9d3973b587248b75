//! Writes `data/gpus/*.toml` from the reference tables in `../shared/data/gpu`:
//! `cargo run --release -p gorgo-model --example gpu_profiles`. The tables and fits are copied, the choice between
//! them and the errors are computed, the KV pool is worked out and its arithmetic shown. What a profile means is
//! `data/README.md`'s; that the files hold what is written here is `tests/data_gpus.rs`'s.

#[path = "../tests/reference/mod.rs"]
mod reference;

use gorgo_model::{CostProfile, ProfileRange, ProfileSpec, TableRow};
use reference::{Fit, Reference, fit_alone, mean_p95, root, sorted};
use std::fmt::Write;
use std::ops::RangeInclusive;

/// A GPU: prefix of the profiles' names, system in the tables, its vendor's name, MiB as its driver says, source.
struct Gpu(&'static str, &'static str, &'static str, u64, &'static str);

const H100: Gpu = Gpu(
    "h100-sxm",
    "h100_sxm",
    "NVIDIA H100 80GB HBM3",
    81_559,
    "nvidia-smi of an H100 80GB (github.com/modal-labs/modal-client/pull/2797)",
);
const A100: Gpu = Gpu(
    "a100-sxm",
    "a100_sxm",
    "NVIDIA A100-SXM4-80GB",
    81_920,
    "nvidia-smi of an A100 80GB (github.com/modal-labs/modal-client/pull/2797)",
);
const H200: Gpu = Gpu("h200-sxm", "h200_sxm", "NVIDIA H200", 143_771, "nvidia-smi of an H200");

/// A model: name in profiles, in words, hub name, parameters, those of embedding and output head, layers.
struct Model(&'static str, &'static str, &'static str, u64, u64, u64);

const LLAMA_8B: Model = Model(
    "llama-3.1-8b",
    "Llama-3.1-8B",
    "meta-llama/Llama-3.1-8B",
    8_030_261_248,
    2 * 128_256 * 4_096,
    32,
);
const MISTRAL_7B: Model = Model(
    "mistral-7b",
    "Mistral-7B",
    "mistralai/Mistral-7B-v0.3",
    7_248_023_552,
    2 * 32_768 * 4_096,
    32,
);
const LLAMA_70B: Model = Model(
    "llama-3.3-70b",
    "Llama-3.3-70B",
    "meta-llama/Llama-3.3-70B-Instruct",
    70_553_706_496,
    2 * 128_256 * 8_192,
    80,
);

/// GPU, model, GPUs of one engine, 8-bit weights, the model's name in the tables.
const PROFILES: [(Gpu, Model, u32, bool, &str); 14] = [
    (A100, LLAMA_8B, 1, false, "llama-3.1-8b-bf16"),
    (A100, MISTRAL_7B, 1, false, "mistral-7b-v0.3-bf16"),
    (A100, LLAMA_70B, 4, false, "llama-3.3-70b-bf16"),
    (A100, LLAMA_70B, 8, false, "llama-3.3-70b-bf16"),
    (H100, LLAMA_8B, 1, false, "llama-3.1-8b-bf16"),
    (H100, LLAMA_8B, 1, true, "llama-3.1-8b-fp8"),
    (H100, MISTRAL_7B, 1, false, "mistral-7b-v0.3-bf16"),
    (H100, MISTRAL_7B, 1, true, "mistral-7b-v0.3-fp8"),
    (H100, LLAMA_70B, 4, false, "llama-3.3-70b-bf16"),
    (H100, LLAMA_70B, 8, false, "llama-3.3-70b-bf16"),
    (H100, LLAMA_70B, 4, true, "llama-3.3-70b-fp8static-kvbf16"),
    (H200, LLAMA_8B, 1, false, "llama-3.1-8b-bf16"),
    (H200, MISTRAL_7B, 1, false, "mistral-7b-v0.3-bf16"),
    (H200, LLAMA_70B, 4, true, "llama-3.3-70b-fp8static-kvbf16"),
];

/// New tokens of a pass, in the ranges in which table and fit compete.
const RANGES: [RangeInclusive<u32>; 3] = [1..=255, 256..=8_192, 8_193..=u32::MAX];

fn main() {
    for (gpu, model, gpus, eight_bit, table_name) in &PROFILES {
        let of = (gpu.1, *table_name, *gpus);
        let Some(reference) = Reference::read(of) else { return };
        let name = name(gpu, model, *gpus, *eight_bit);
        let spec = spec(&name, &reference, of);
        let text = file(&spec, &reference, gpu, model, *gpus, *eight_bit);
        let path = root().join(format!("data/gpus/{name}.toml"));
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        println!("{name}");
    }
}

fn name(gpu: &Gpu, model: &Model, gpus: u32, eight_bit: bool) -> String {
    let tp = if gpus > 1 { format!("-tp{gpus}") } else { String::new() };
    format!("{}{tp}_{}{}", gpu.0, model.0, if eight_bit { "-fp8" } else { "" })
}

/// The fits and tables, each range of prefill by the better of the two.
fn spec(name: &str, reference: &Reference, of: (&str, &str, u32)) -> ProfileSpec {
    let [prefill, decode] = reference::fits(of).expect("the fits stand beside the tables");
    let widest = reference.decode.keys().map(|&(batch, context)| u64::from(batch * context)).max();
    let mut spec = ProfileSpec {
        name: name.to_owned(),
        prefill_base_ms: prefill[0],
        prefill_ms_per_token: prefill[1],
        prefill_ms_per_token_squared: prefill[2],
        decode_base_ms: Some(decode[0]),
        decode_ms_per_sequence: decode[1],
        decode_ms_per_context_token: decode[2],
        decode_table: decode_table(reference),
        range: ProfileRange {
            prefill_tokens: 131_072,
            cached_tokens: 98_304,
            decode_sequences: 512,
            decode_context_tokens: widest.unwrap_or(0),
        },
        ..ProfileSpec::default()
    };
    spec.prefill_table = prefill_table(reference, &prefill, &[]);
    let (cut, fit) = (reference.cut(&spec), fit_alone(&spec));
    let by_fit: Vec<_> = RANGES
        .into_iter()
        .filter(|range| {
            let error =
                |profile: &CostProfile| mean_p95(reference.prefill_errors(profile, range.clone()));
            error(&fit).0 < error(&cut).0
        })
        .collect();
    spec.prefill_table = prefill_table(reference, &prefill, &by_fit);
    spec
}

/// Passes of one request. Where the fit is the better, two points on it stand for the range.
fn prefill_table(
    reference: &Reference,
    fit: &Fit,
    by_fit: &[RangeInclusive<u32>],
) -> Vec<TableRow> {
    let alone = reference.prefill.iter().filter(|(at, _)| at.0 == 1);
    let news = sorted(alone.clone().map(|(at, _)| at.1));
    let prefixes = sorted(alone.map(|(at, _)| at.2));
    let row = |&cached: &u32| {
        let mut points = Vec::new();
        for &new in &news {
            let Some(&ms) = reference.prefill.get(&(1, new, cached)) else { continue };
            let ms = match by_fit.iter().find(|range| range.contains(&new)) {
                None => ms,
                Some(range) => {
                    let inside = |n: &&u32| {
                        range.contains(n) && reference.prefill.contains_key(&(1, **n, cached))
                    };
                    let ends = (news.iter().find(inside), news.iter().rfind(inside));
                    if ends.0 != Some(&new) && ends.1 != Some(&new) {
                        continue;
                    }
                    let (n, p) = (f64::from(new), f64::from(cached));
                    let exact = fit[0] + fit[1] * n + fit[2] * n * (p + n / 2.0);
                    (exact * 1e6).round() / 1e6
                }
            };
            points.push((u64::from(new), ms));
        }
        (u64::from(cached), points)
    };
    prefixes.iter().map(row).collect()
}

/// Steps. A step that is shorter than one of the same batch with less context is raised to it.
fn decode_table(reference: &Reference) -> Vec<TableRow> {
    let mut rows: Vec<TableRow> = Vec::new();
    for (&(batch, context), &ms) in &reference.decode {
        if rows.last().is_none_or(|row| row.0 != u64::from(batch)) {
            rows.push((u64::from(batch), Vec::new()));
        }
        let points = &mut rows.last_mut().expect("just pushed").1;
        let before = points.last().map_or(0.0, |&(_, ms): &(u64, f64)| ms);
        points.push((u64::from(context), ms.max(before)));
    }
    rows
}

/// What is jagged in the reference, in words.
fn notes(spec: &ProfileSpec, reference: &Reference) -> Vec<String> {
    let raised: Vec<f64> = (spec.decode_table.iter())
        .flat_map(|(batch, points)| points.iter().map(move |point| (*batch, point)))
        .map(|(batch, &(context, ms))| ms / reference.decode[&(batch as u32, context as u32)] - 1.0)
        .filter(|&by| by > 0.0)
        .collect();
    let falls = |pairs: Vec<(f64, f64)>| {
        let drops: Vec<f64> =
            pairs.iter().map(|(low, high)| 1.0 - high / low).filter(|&by| by > 0.0).collect();
        let most = drops.iter().copied().fold(0.0, f64::max);
        (drops.len(), pairs.len(), most * 100.0)
    };
    let alone = || reference.prefill.iter().filter(|(at, _)| at.0 == 1);
    let news = sorted(alone().map(|(at, _)| at.1));
    let prefixes = sorted(alone().map(|(at, _)| at.2));
    let batches = sorted(reference.decode.keys().map(|at| at.0));
    let before = |values: &[u32], value| values.iter().rfind(|&&v| v < value).copied();
    let in_new = alone().filter_map(|(at, &ms)| {
        Some((*reference.prefill.get(&(1, before(&news, at.1)?, at.2))?, ms))
    });
    let in_prefix = alone().filter_map(|(at, &ms)| {
        Some((*reference.prefill.get(&(1, at.1, before(&prefixes, at.2)?))?, ms))
    });
    let in_batch = reference.decode.iter().filter_map(|(at, &ms)| {
        Some((*reference.decode.get(&(before(&batches, at.0)?, at.1))?, ms))
    });
    let mut notes = Vec::new();
    for (what, (count, of, most)) in [
        ("prefill falls with more new tokens", falls(in_new.collect())),
        ("prefill falls with more cached tokens", falls(in_prefix.collect())),
        ("decode falls with more sequences", falls(in_batch.collect())),
    ] {
        if count > 0 {
            notes.push(format!(
                "jagged: {what} at {count} of {of} steps of the table, by up to {most:.1} %; kept"
            ));
        }
    }
    if !raised.is_empty() {
        let most = raised.iter().copied().fold(0.0, f64::max) * 100.0;
        let (count, of) = (raised.len(), reference.decode.len());
        notes.push(format!("jagged: decode falls with more context; {count} of {of} points raised to the one before, by up to {most:.1} %"));
    }
    notes
}

fn file(
    spec: &ProfileSpec,
    reference: &Reference,
    gpu: &Gpu,
    model: &Model,
    gpus: u32,
    eight_bit: bool,
) -> String {
    let mut text = String::new();
    let precision = if eight_bit { "8-bit floats" } else { "bf16" };
    let count = match gpus {
        1 => format!("one {}", gpu.2),
        more => format!("{more} {} (tensor parallel)", gpu.2),
    };
    let _ = write!(
        text,
        "# {} in {precision} under SGLang on {count}. The form is explained in data/README.md.\n\
         # Written by src/model/examples/gpu_profiles.rs.\n\
         name = {:?}\n\n\
         # The reference is a sum of measured operator times; real servers took up to 19 % longer than that for long\n\
         # prompts. Fit of prefill: t0 + b n + c n (p + n/2); of decode: t0 + b B + c S.\n\
         prefill_base_ms = {}\nprefill_ms_per_token = {}\nprefill_ms_per_token_squared = {:e}\n\
         decode_base_ms = {}\ndecode_ms_per_sequence = {}\ndecode_ms_per_context_token = {:e}\n\n\
         # Not measured for this pair. Servers measured end to end took 5 to 19 ms a request more than their GPU time\n\
         # until the first token (inference-sim fits 15.6 ms); 10 ms is a round figure inside that range.\n\
         overhead_ms = 10.0\n\n",
        model.1,
        spec.name,
        spec.prefill_base_ms,
        spec.prefill_ms_per_token,
        spec.prefill_ms_per_token_squared,
        spec.decode_base_ms.unwrap_or(0.0),
        spec.decode_ms_per_sequence,
        spec.decode_ms_per_context_token,
    );
    memory(&mut text, gpu, model, gpus, eight_bit);
    tables(&mut text, spec, reference);
    let range = &spec.range;
    let _ = write!(
        text,
        "\n[limits]\nmax_prefill_tokens = 16384\nchunked_prefill_tokens = 8192\nmax_running_requests = 2048\n\n\
         [range]\nprefill_tokens = {}\ncached_tokens = {}\ndecode_sequences = {}\ndecode_context_tokens = {}\n\n",
        range.prefill_tokens,
        range.cached_tokens,
        range.decode_sequences,
        range.decode_context_tokens
    );
    provenance(&mut text, spec, reference, gpu, model, (gpus, eight_bit));
    text
}

/// KV bytes and pool, with the arithmetic: SGLang's default memory fraction, then what the weights leave.
fn memory(text: &mut String, gpu: &Gpu, model: &Model, gpus: u32, eight_bit: bool) {
    let (mib, gpus) = (gpu.3, u64::from(gpus));
    let kv = model.5 * 8 * 128 * 2 * 2;
    let graphs = if gpus < 4 { 256 } else { 512 };
    let reserved = 512 + 8_192 * 3 / 2 + 1_024 * gpus / 8 + 2 * graphs + 58 * 8;
    let exact = (mib - reserved) as f64 / mib as f64;
    let fraction = (exact * 1_000.0).round() / 1_000.0;
    let bytes = if eight_bit { model.3 - model.4 + 2 * model.4 } else { 2 * model.3 };
    let share = bytes as f64 / gpus as f64;
    let pool = ((fraction * mib as f64 * 1_048_576.0 - share) / (kv / gpus) as f64) as u64;
    let weights = if eight_bit {
        format!("{} parameters x 1 byte, {} of embedding and head x 2", model.3 - model.4, model.4)
    } else {
        format!("{} parameters x 2 bytes", model.3)
    };
    let each = if gpus > 1 { format!(" / {gpus} GPUs") } else { String::new() };
    let _ = write!(
        text,
        "# {} layers x 8 KV heads x 128 x 2 (K and V) x 2 bytes.\nkv_bytes_per_token = {kv}\n\
         # SGLang's default memory fraction, then what the weights leave:\n\
         #   reserved  = 512 + 8192 * 1.5 + 1024 * {gpus} / 8 + 2 * {graphs} + 8 * 58 = {reserved} MiB\n\
         #   fraction  = ({mib} - {reserved}) / {mib} = {exact:.4} -> {fraction:.3} (three decimals)\n\
         #   weights   = {weights}{each} = {:.1} MiB\n\
         #   pool      = ({fraction:.3} * {mib} - {:.1}) MiB / {} bytes = {pool} tokens\n\
         # before what the runtime itself takes, so a real engine reports a little less.\n\
         kv_pool_tokens = {pool}\n\n",
        model.5,
        share / 1_048_576.0,
        share / 1_048_576.0,
        kv / gpus,
    );
}

fn tables(text: &mut String, spec: &ProfileSpec, reference: &Reference) {
    let on_fit: Vec<u64> = (spec.prefill_table[0].1.iter())
        .filter(|&&(new, ms)| reference.prefill.get(&(1, new as u32, 0)) != Some(&ms))
        .map(|&(new, _)| new)
        .collect();
    text.push_str("# Passes of one request: [cached tokens, [[new tokens, ms], ...]].");
    if let (Some(from), Some(to)) = (on_fit.first(), on_fit.last()) {
        let _ = write!(
            text,
            " From {from} to {to} new tokens the fit is the\n# better of the two, and points on it stand for it."
        );
    }
    for (name, rows) in [
        ("prefill_table", &spec.prefill_table),
        ("# Steps: [sequences, [[context of each, ms], ...]].\ndecode_table", &spec.decode_table),
    ] {
        let _ = writeln!(text, "\n{name} = [");
        for (at, points) in rows {
            let points: Vec<String> =
                points.iter().map(|(tokens, ms)| format!("[{tokens}, {ms}]")).collect();
            let _ = writeln!(text, "    [{at}, [{}]],", points.join(", "));
        }
        text.push(']');
    }
    text.push('\n');
}

fn provenance(
    text: &mut String,
    spec: &ProfileSpec,
    reference: &Reference,
    gpu: &Gpu,
    model: &Model,
    (gpus, eight_bit): (u32, bool),
) {
    let precision = if eight_bit {
        "fp8 weights, bf16 attention and KV"
    } else {
        "bf16 weights, attention and KV"
    };
    let _ = write!(
        text,
        "[provenance]\ngpu = {:?}\ngpus = {gpus}\nmodel = {:?}\nprecision = {precision:?}\n\
         engine = \"SGLang {}\"\nmethod = \"operator times measured under the engine, summed over the model's layers; \
         no CPU, scheduler, tokenizer or HTTP time\"\n",
        gpu.2, model.2, reference.version,
    );
    for (what, profile) in [("", reference.cut(spec)), ("_fit", fit_alone(spec))] {
        for (side, (mean, p95)) in [
            ("prefill", mean_p95(reference.prefill_errors(&profile, 0..=u32::MAX))),
            ("decode", mean_p95(reference.decode_errors(&profile))),
        ] {
            let _ = writeln!(text, "{side}{what}_error_mean = {mean:.4}");
            let _ = writeln!(text, "{side}{what}_error_p95 = {p95:.4}");
        }
    }
    let (mean, p95) = mean_p95(reference.prefill_between_errors(spec));
    let _ = writeln!(text, "prefill_between_error_mean = {mean:.4}");
    let _ = writeln!(text, "prefill_between_error_p95 = {p95:.4}");
    text.push_str("notes = [\n");
    for note in notes(spec, reference) {
        let _ = writeln!(text, "    {note:?},");
    }
    if model.0 == MISTRAL_7B.0 {
        text.push_str("    \"composed from the shape of a LlamaForCausalLM, Mistral's own but for the name\",\n");
    }
    let _ = write!(
        text,
        "]\nsources = [\n    \"operators, sums: NVIDIA aiconfigurator-core 0.12.0 (Apache-2.0), tables of {} under sglang {}\",\n    \
         \"limits, memory fraction: SGLang 0.5.23, srt/server_args.py and srt/arg_groups/memory_hook.py\",\n    \
         \"{} MiB: {}\",\n    \
         \"overhead: github.com/inference-sim/inference-sim, commit f90a1e3a, defaults.yaml (alpha 15,563 us)\",\n]\n",
        gpu.1, reference.version, gpu.3, gpu.4,
    );
}
