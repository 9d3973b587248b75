//! What a fit came to, in words: the residuals as a Markdown page, and the profile's file.

use crate::measured::{Sample, Samples, quantile};
use crate::parameters::{FREE, NAME, STATES_BY_MEMORY, Values};
use serde::Deserialize;
use std::fmt::Write as _;

const PUBLISHED: &str = include_str!("../../../../data/papers/v2.csv");

/// A row of it.
#[derive(Deserialize)]
struct Published {
    window: String,
    policy: String,
    metric: String,
    value: f64,
}

/// How a figure is read off a run.
type Read = fn(&Samples) -> f64;

/// A figure of the paper's table: its name here and in `data/papers/v2.csv`, and how it is read off a run.
type FigureOfTable = (&'static str, &'static str, Read);

/// The figures of the paper's table.
const FIGURES: [FigureOfTable; 8] = [
    ("TTFT P50, ms", "ttft_ms_p50", |run| of(run, 0.5, |sample| Some(sample.ttft_ms))),
    ("TTFT P95, ms", "ttft_ms_p95", |run| of(run, 0.95, |sample| Some(sample.ttft_ms))),
    ("TTFT P99, ms", "ttft_ms_p99", |run| of(run, 0.99, |sample| Some(sample.ttft_ms))),
    ("E2E P50, s", "e2e_s_p50", |run| of(run, 0.5, |sample| Some(sample.e2e_ms)) / 1e3),
    ("E2E P95, s", "e2e_s_p95", |run| of(run, 0.95, |sample| Some(sample.e2e_ms)) / 1e3),
    ("E2E P99, s", "e2e_s_p99", |run| of(run, 0.99, |sample| Some(sample.e2e_ms)) / 1e3),
    ("ITL P50, ms", "itl_ms_p50", |run| of(run, 0.5, Sample::itl_ms)),
    ("mean in flight", "in_flight_mean", |run| run.in_flight),
];

fn of(run: &Samples, q: f64, figure: impl Fn(&Sample) -> Option<f64>) -> f64 {
    quantile(&run.sorted(0..u32::MAX, figure), q)
}

/// The windows of the two measured runs in `data/papers/v2.csv`.
const WINDOWS: [&str; 2] = ["apr5_ts1", "apr5_june10"];

/// The head of the table of residuals.
pub const HEAD: &str = "| policy | figure | measured | again | simulated, median | 10 to 90 % of seeds | error |\n|---|---|---|---|---|---|---|\n";

/// Rows of it for a policy that was fitted, to the mean of both its runs in logarithms, which is what errors are against.
/// The first run is read off its requests; the errors are told too.
pub fn fitted_rows(
    policy: &str,
    measured: &Samples,
    runs: &[Samples],
) -> Result<(String, Vec<f64>), String> {
    let first = FIGURES.map(|(.., read)| read(measured));
    let again = published(WINDOWS[1], policy)?;
    Ok(rows(policy, &first, Some(&again), runs))
}

/// Rows of it for another policy, against the paper's table alone.
pub fn other_rows(policy: &str, runs: &[Samples]) -> Result<String, String> {
    Ok(rows(policy, &published(WINDOWS[0], policy)?, None, runs).0)
}

/// A figure as measured, as simulated (median over seeds, and the band in which 8 of 10 seeds lie), and the error of the
/// median in per cent.
fn rows(
    policy: &str,
    first: &[f64; 8],
    again: Option<&[f64; 8]>,
    runs: &[Samples],
) -> (String, Vec<f64>) {
    let (mut text, mut errors) = (String::new(), Vec::new());
    for (at, (name, _, read)) in FIGURES.iter().enumerate() {
        let mut values: Vec<f64> = runs.iter().map(read).collect();
        values.sort_unstable_by(f64::total_cmp);
        let (low, high) = (quantile(&values, 0.1), values[(values.len() * 9).div_ceil(10) - 1]);
        let middle = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        let digits = if middle < 100.0 {
            1 + usize::from(name.ends_with('s') && !name.ends_with("ms"))
        } else {
            0
        };
        let target = again.map_or(first[at], |again| (first[at] * again[at]).sqrt());
        let error = 100.0 * (middle / target - 1.0);
        let second = again.map_or("-".to_owned(), |again| format!("{:.digits$}", again[at]));
        let _ = writeln!(
            text,
            "| {policy} | {name} | {:.digits$} | {second} | {middle:.digits$} | {low:.digits$} to {high:.digits$} | {error:+.1} % |",
            first[at]
        );
        errors.push(error);
    }
    (text, errors)
}

/// What is published of a policy in a window, in the order of [`FIGURES`].
fn published(window: &str, policy: &str) -> Result<[f64; 8], String> {
    let mut figures = [None; 8];
    for row in csv::Reader::from_reader(PUBLISHED.as_bytes()).deserialize() {
        let row: Published = row.map_err(|error| format!("data/papers/v2.csv: {error}"))?;
        let its_name = row.policy.strip_prefix("simple-").unwrap_or(&row.policy);
        let at = FIGURES.iter().position(|(_, metric, _)| *metric == row.metric);
        if let (true, Some(at)) = (row.window == window && its_name == policy, at) {
            figures[at] = Some(row.value);
        }
    }
    let missing = |at: usize| {
        let metric = FIGURES[at].1;
        format!("data/papers/v2.csv: got no {metric} of {policy} in {window}, wanted one")
    };
    let mut known = [0.0; 8];
    for (at, figure) in figures.into_iter().enumerate() {
        known[at] = figure.ok_or_else(|| missing(at))?;
    }
    Ok(known)
}

/// The free parameters as a table.
pub fn parameters(values: &Values) -> String {
    let mut text = String::from(
        "| parameter | fitted | default start | bounds | where that comes from |\n|---|---|---|---|---|\n",
    );
    for (parameter, value) in FREE.iter().zip(&values.0) {
        let (start, low, high) = (parameter.start, parameter.low, parameter.high);
        let (name, source) = (parameter.name, parameter.source);
        let _ = writeln!(text, "| `{name}` | {value:.4} | {start} | {low} to {high} | {source} |");
    }
    text
}

/// The profile as a file of `data/gpus`. `losses`: (policy, loss) of the fit.
pub fn profile_file(values: &Values, losses: &[(&str, f64)]) -> String {
    let spec = values.spec();
    let mut text = String::new();
    let told: Vec<String> =
        losses.iter().map(|(policy, loss)| format!("{policy} {loss:.1}")).collect();
    let _ = write!(
        text,
        "# Qwen3.5-35B-A3B in fp8 under SGLang on two NVIDIA L40S: the GORGO fleet of Apr 5, fitted to what clients measured.\n\
         # The form is explained in data/README.md. Written by src/sim/examples/fit_fleet.\n\
         name = {NAME:?}\n\n\
         # Fitted, not timed: client-side times of 4 x 7,195 requests, and nothing else. Passes cost t0 + b n,\n\
         # and none is shorter than the floor (data/README.md).\n\
         prefill_base_ms = {:.3}\nprefill_ms_per_token = {:.5}\nprefill_floor = [[1, {:.3}]]\n",
        spec.prefill_base_ms, spec.prefill_ms_per_token, spec.prefill_floor[0].1,
    );
    let _ = write!(
        text,
        "decode_base_ms = {:.4}\ndecode_ms_per_sequence = {:.5}\n\
         # Steps: [sequences, [[context of each, ms]]]. CUDA graphs end at 20 sequences; larger batches are launched kernel by\n\
         # kernel, which takes longer than what is launched ({:.1} ms for 64 sequences by the formula), whatever the batch.\n\
         # No effect of the context was found by those who measured (R^2 0.002).\ndecode_table = [\n",
        spec.decode_base_ms.unwrap_or(0.0),
        spec.decode_ms_per_sequence,
        spec.decode_base_ms.unwrap_or(0.0) + 64.0 * spec.decode_ms_per_sequence,
    );
    for (sequences, points) in &spec.decode_table {
        let _ = writeln!(text, "    [{sequences}, [[{}, {:.4}]]],", points[0].0, points[0].1);
    }
    let _ = write!(
        text,
        "]\noverhead_ms = {:.3}\n\n\
         # 10 layers with full attention x 2 KV heads x 256 x 2 (K and V) x 2 bytes; the pool is what the engine reported.\n\
         kv_bytes_per_token = {}\nkv_pool_tokens = {}\n\n[limits]\nmax_prefill_tokens = {}\n\
         # SGLang's for GPUs of 35 to 60 GB.\nchunked_prefill_tokens = {}\nmax_running_requests = {}\n\
         # The other 30 layers are linear attention. By memory {STATES_BY_MEMORY} of their states fit: 0.9 (mamba_full_memory_ratio) x\n\
         # 983,549 x 20,480 / 64.4 MB, a state being 30 layers x (32 x 128 x 128 x 4 + 8,192 x 3 x 2 bytes); inferred from the\n\
         # model's shape and the engine's defaults. How many can be used is fitted: the same prompt, sent again, hits up to its\n\
         # end, all others hit less often than the states would allow.\n\
         state_slots = {}\nstate_use_ppb = {}\nstate_repeat_ppb = {}\n\n",
        spec.overhead_ms,
        spec.kv_bytes_per_token,
        spec.kv_pool_tokens,
        spec.limits.max_prefill_tokens,
        spec.limits.chunked_prefill_tokens,
        spec.limits.max_running_requests,
        spec.limits.state_slots.unwrap_or(0),
        spec.limits.state_use_ppb,
        spec.limits.state_repeat_ppb,
    );
    let _ = write!(
        text,
        "# Up to where the measured requests went: prompts of 23,872 tokens in chunks, 64 requests at once.\n[range]\n\
         prefill_tokens = 16384\ncached_tokens = 23872\ndecode_sequences = 64\ndecode_context_tokens = 983549\n\n\
         [provenance]\ngpu = \"NVIDIA L40S\"\ngpus = 2\nmodel = \"Qwen/Qwen3.5-35B-A3B-FP8\"\n\
         precision = \"fp8 weights\"\nengine = \"SGLang nightly-dev-cu13-20260411-0011d2ae\"\n\
         method = \"{} parameters fitted to client-side TTFT and E2E of the GORGO fleet under least-load and least-request, Apr 5, \
         in two runs of each, by simulating it; no pass was timed, so there are no errors at held-back points\"\nnotes = [\n",
        // All but the proxy's two.
        FREE.len() - 2,
    );
    let _ = writeln!(
        text,
        "    \"loss of the fit (mean squared log-ratio of quantiles to the mean of both runs, over the run-to-run variance; 0.5 is what two runs leave): {}\",\n\
         \x20   \"residuals: results/papers/v2/calibration.md\",\n]\nsources = [\n\
         \x20   \"times: Arcadia-Research-Team/GORGO, results of the Apr 5 run, apr5_1615_measured_least-load and _least-request; a second run, data/papers/v2_june10_fit.csv\",\n\
         \x20   \"pool, limits, flags: the same run's /get_server_info and launch command\",\n\
         \x20   \"chunk: SGLang srt/server_args.py, by GPU memory\",\n]",
        told.join(", "),
    );
    text
}
