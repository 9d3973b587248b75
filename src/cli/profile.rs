//! `gorgo profile`: how long GPUs take, where the numbers come from, and how far off they are. One of your own from
//! timings: `profile_import.rs`.

use crate::exit::{Exit, Failure};
use crate::profile_import::{ImportArgs, import};
use crate::simulate::print;
use crate::text::read_text;
use gorgo_model::{CostProfile, PrefillItem, ProfileSpec, TableRow};
use gorgo_report::plot::{ProfileCurve, ProfilePanel};
use gorgo_scenario::data;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What can be done with profiles.
#[derive(Debug, clap::Subcommand)]
pub enum ProfileCommand {
    /// All built-in profiles, with their errors.
    List,
    /// One profile: its numbers, their source and error.
    Show(OneArgs),
    /// One profile's curves with the points of its tables, as SVG.
    Plot(PlotArgs),
    /// Make a profile of your own from a CSV of timings; prints TOML for a scenario.
    Import(ImportArgs),
}

/// Arguments of `gorgo profile show`.
#[derive(Debug, clap::Args)]
pub struct OneArgs {
    /// Name of a built-in profile, or a TOML file.
    profile: String,
}

/// Arguments of `gorgo profile plot`.
#[derive(Debug, clap::Args)]
pub struct PlotArgs {
    /// Name of a built-in profile, or a TOML file.
    profile: String,
    /// Where to write; NAME.svg by default.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn profile(command: &ProfileCommand) -> Result<Exit, Failure> {
    match command {
        ProfileCommand::List => print(&list()?)?,
        ProfileCommand::Show(args) => {
            let (spec, profile) = find(&args.profile)?;
            print(&describe(&spec, &profile))?;
        }
        ProfileCommand::Plot(args) => {
            let (spec, profile) = find(&args.profile)?;
            let path = match &args.output {
                Some(path) => path.clone(),
                None => PathBuf::from(format!("{}.svg", spec.name)),
            };
            let from = &spec.provenance;
            let subtitle = format!("{}, {}, {}", from.engine, from.gpu, from.precision);
            let panels = [prefill_panel(&spec, &profile), decode_by_batch(&spec, &profile)];
            let panels = [&panels[..], &[decode_by_context(&spec, &profile)]].concat();
            let svg = gorgo_report::plot::profile(&spec.name, &subtitle, &panels);
            std::fs::write(&path, svg)
                .map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
            print(&format!("{}\n", path.display()))?;
        }
        ProfileCommand::Import(args) => print(&import(args)?)?,
    }
    Ok(Exit::Ok)
}

fn list() -> Result<String, Failure> {
    let mut text = format!(
        "{:<34} {:>11} {:>14} {:>12}   {}\n",
        "profile", "prefill at", "decode 1 / 64", "KV pool", "error mean (p95) of prefill, decode"
    );
    let _ = writeln!(text, "{:<34} {:>11} {:>14} {:>12}", "", "2k, tok/s", "at 1k, ms", "tokens");
    for spec in data::profiles().map_err(Failure::input)? {
        let profile = CostProfile::try_from(spec.clone()).map_err(Failure::input)?;
        let from = &spec.provenance;
        let step = |batch: u32| profile.decode_step(batch, u64::from(batch) * 1_024).as_ms();
        let _ = writeln!(
            text,
            "{:<34} {:>11.0} {:>14} {:>12}   {:.1} % ({:.1} %), {:.1} % ({:.1} %)",
            spec.name,
            2_048.0 / prefill_ms(&profile, 2_048, 0) * 1e3,
            format!("{:.2} / {:.2}", step(1), step(64)),
            spec.kv_pool_tokens,
            from.prefill_error_mean * 100.0,
            from.prefill_error_p95 * 100.0,
            from.decode_error_mean * 100.0,
            from.decode_error_p95 * 100.0,
        );
    }
    Ok(text)
}

/// A built-in profile by name, or one in a TOML file.
pub fn find(name: &str) -> Result<(ProfileSpec, CostProfile), Failure> {
    let spec = match data::profile(name).map_err(Failure::input)? {
        Some((spec, _)) => spec.clone(),
        None if name.ends_with(".toml") => {
            let text = read_text(Path::new(name))?;
            data::read_checked_profile(name, &text).map_err(Failure::input)?
        }
        None => {
            let known: Vec<&str> = data::profile_names().collect();
            return Err(Failure::input(format!(
                "profile: got {name:?}, wanted a TOML file or one of {}",
                known.join(", ")
            )));
        }
    };
    let profile = CostProfile::try_from(spec.clone()).map_err(Failure::input)?;
    Ok((spec, profile))
}

fn prefill_ms(profile: &CostProfile, new_tokens: u32, cached_tokens: u32) -> f64 {
    profile.prefill(&[PrefillItem { new_tokens, cached_tokens }]).as_ms()
}

fn describe(spec: &ProfileSpec, profile: &CostProfile) -> String {
    let mut text = format!("{}\n", spec.name);
    let from = &spec.provenance;
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<22} {value}");
        }
    };
    if !from.gpu.is_empty() {
        line("GPUs", format!("{} x {}", from.gpus, from.gpu));
        line("model", format!("{}, {}", from.model, from.precision));
    }
    line("engine", from.engine.clone());
    line("method", from.method.clone());
    for (name, mean, p95, fit_mean, fit_p95) in [
        (
            "prefill error",
            from.prefill_error_mean,
            from.prefill_error_p95,
            from.prefill_fit_error_mean,
            from.prefill_fit_error_p95,
        ),
        (
            "decode error",
            from.decode_error_mean,
            from.decode_error_p95,
            from.decode_fit_error_mean,
            from.decode_fit_error_p95,
        ),
    ] {
        if mean == 0.0 {
            line(name, "not stated".to_owned());
            continue;
        }
        let percent = |share: f64| share * 100.0;
        line(
            name,
            format!(
                "mean {:.1} %, p95 {:.1} % at held-back points (fit alone: {:.1} %, {:.1} %)",
                percent(mean),
                percent(p95),
                percent(fit_mean),
                percent(fit_p95)
            ),
        );
    }
    if from.prefill_between_error_mean > 0.0 {
        let percent = |share: f64| share * 100.0;
        line(
            "prefill between",
            format!(
                "mean {:.1} %, p95 {:.1} % where every other number of new tokens is cut from the table",
                percent(from.prefill_between_error_mean),
                percent(from.prefill_between_error_p95)
            ),
        );
    }
    for note in &from.notes {
        line("note", note.clone());
    }
    for new in [1_u32, 256, 1_024, 4_096, 8_192] {
        let (cold, warm) = (prefill_ms(profile, new, 0), prefill_ms(profile, new, 8_192));
        let name = format!("prefill {new}");
        line(&name, format!("{cold:.3} ms; {warm:.3} ms after 8192 cached tokens"));
    }
    for batch in [1_u32, 8, 64, 256] {
        let step = |mean| profile.decode_step(batch, u64::from(batch) * mean).as_ms();
        line(
            &format!("decode step of {batch}"),
            format!("{:.3} ms at 1024 tokens each, {:.3} ms at 8192", step(1_024), step(8_192)),
        );
    }
    line("overhead", format!("{} ms a request", spec.overhead_ms));
    line(
        "KV",
        format!(
            "{} bytes a token, pool of {} tokens",
            spec.kv_bytes_per_token, spec.kv_pool_tokens
        ),
    );
    line(
        "limits",
        format!(
            "{} tokens a prefill, chunks of {}, {} running",
            spec.limits.max_prefill_tokens,
            spec.limits.chunked_prefill_tokens,
            spec.limits.max_running_requests
        ),
    );
    for source in &from.sources {
        line("source", source.clone());
    }
    text
}

/// Numbers from `from` to `to`, each a little larger than the one before.
fn grid(from: u32, to: u32) -> Vec<u32> {
    let next = |&at: &u32| Some((at + at / 24 + 1).min(to));
    let mut all: Vec<u32> =
        std::iter::successors(Some(from), next).take_while(|&at| at < to).collect();
    all.push(to);
    all
}

fn points(table: &[TableRow], at: u64) -> Vec<(f64, f64)> {
    let row = table.iter().find(|row| row.0 == at);
    row.map_or_else(Vec::new, |row| row.1.iter().map(|&(x, ms)| (x as f64, ms)).collect())
}

fn prefill_panel(spec: &ProfileSpec, profile: &CostProfile) -> ProfilePanel {
    let curve = |cached: u32| ProfileCurve {
        name: format!("{cached} cached"),
        line: grid(1, 65_536)
            .into_iter()
            .map(|new| (f64::from(new), prefill_ms(profile, new, cached)))
            .collect(),
        points: points(&spec.prefill_table, u64::from(cached))
            .into_iter()
            .filter(|point| point.0 <= 65_536.0)
            .collect(),
    };
    ProfilePanel {
        title: "Prefill of one request".to_owned(),
        x_title: "new tokens".to_owned(),
        curves: [0, 2_048, 8_192, 32_768].map(curve).to_vec(),
    }
}

fn decode_by_batch(spec: &ProfileSpec, profile: &CostProfile) -> ProfilePanel {
    let curve = |context: u64| ProfileCurve {
        name: format!("{context} tokens of context each"),
        line: grid(1, 512)
            .into_iter()
            .map(|b| (f64::from(b), profile.decode_step(b, u64::from(b) * context).as_ms()))
            .collect(),
        points: (spec.decode_table.iter())
            .filter_map(|row| {
                let point = row.1.iter().find(|point| point.0 == context)?;
                Some((row.0 as f64, point.1))
            })
            .collect(),
    };
    ProfilePanel {
        title: "Decode step over the batch".to_owned(),
        x_title: "sequences".to_owned(),
        curves: [128, 1_024, 4_096].map(curve).to_vec(),
    }
}

fn decode_by_context(spec: &ProfileSpec, profile: &CostProfile) -> ProfilePanel {
    let curve = |batch: u32| {
        let measured = points(&spec.decode_table, u64::from(batch));
        let most = measured.last().map_or(32_768, |point| point.0 as u32);
        ProfileCurve {
            name: if batch == 1 { "1 sequence".to_owned() } else { format!("{batch} sequences") },
            line: grid(16, most)
                .into_iter()
                .map(|c| {
                    let tokens = u64::from(batch) * u64::from(c);
                    (f64::from(c), profile.decode_step(batch, tokens).as_ms())
                })
                .collect(),
            points: measured,
        }
    };
    ProfilePanel {
        title: "Decode step over the context".to_owned(),
        x_title: "tokens of context each".to_owned(),
        curves: [1, 16, 64, 256].map(curve).to_vec(),
    }
}
