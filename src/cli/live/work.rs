//! The run itself: signals, progress, what is printed and how it ends.

use super::{FormatArg, LiveArgs, files, options::options};
use crate::exit::{Exit, Failure};
use crate::simulate::{keep_policies, print, terminal_style, warnings};
use gorgo_live::{CancellationToken, LiveError, LiveOutcome, Options, Progress};
use gorgo_scenario::{LoadSpec, Resolved};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;

/// Runs the command.
pub fn live(args: &LiveArgs) -> Result<Exit, Failure> {
    let seed = args.seed.map(|seed| format!("seed={seed}"));
    let assignments: Vec<String> = args.set.iter().cloned().chain(seed).collect();
    let scenario = match &args.scenario {
        Some(path) => Resolved::from_file(path, &assignments),
        None => Resolved::built_in(&assignments),
    };
    let mut scenario = scenario.map_err(Failure::input)?;
    keep_policies(&mut scenario, &args.policy)?;
    let mut options = options(args, &scenario)?;
    let one_place = options.targets.len() == 1 && options.targets[0].replica.is_none();
    if one_place
        && options.admin.as_ref().is_none_or(|admin| admin.proxy.is_none())
        && scenario.router.policies.len() > 1
    {
        return Err(Failure::input(
            "one URL, and several policies: wanted one (--policy NAME), or the admin API at which they are switched \
             (--admin URL)",
        ));
    }
    if matches!(scenario.demand.load, LoadSpec::Sweep(_)) {
        return Err(Failure::input("[load.sweep]: wanted one load for a live run"));
    }
    let out = files::open(&scenario, args)?;
    let bar = progress(args.quiet);
    if let Some(bar) = bar.clone() {
        options.progress = Some(Arc::new(move |progress| bar.set_message(line(progress))));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(Failure::failed)?.block_on(async {
        let interrupts = tokio::spawn(interrupt(options.stop.clone()));
        let outcome = gorgo_live::run(&scenario, &options).await;
        interrupts.abort();
        outcome
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let outcome = outcome.map_err(blame)?;
    show(&scenario, &outcome, args, &options)?;
    if let Some(out) = &out {
        files::write(&scenario, &outcome, &options, out)?;
        if !args.quiet {
            eprintln!("wrote {}", out.path().display());
        }
    }
    Ok(match (outcome.interrupted, outcome.is_valid()) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Ok,
        (false, false) => Exit::Invalid,
    })
}

fn blame(error: LiveError) -> Failure {
    match error {
        LiveError::Scenario(error) => error.into(),
        error if error.is_invalid() => Failure::invalid(error),
        error if error.is_input() => Failure::input(error),
        error => Failure::failed(error),
    }
}

/// The first interruption ends the run in order, the second one at once.
async fn interrupt(stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        eprintln!("interrupted: writing what there is (again: at once)");
        stop.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(i32::from(Exit::Interrupted as u8));
        }
    }
}

/// A line on stderr that is written again and again; none where nobody looks.
fn progress(quiet: bool) -> Option<ProgressBar> {
    if quiet || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    Some(bar)
}

fn line(progress: &Progress) -> String {
    let of = progress.of.map(|of| format!("/{of}")).unwrap_or_default();
    let mut line = format!(
        "{} (round {}) {:.0} s: {}{of} sent, {:.1}/s, {} in flight, {} errors",
        progress.policy,
        progress.round,
        progress.elapsed_s,
        progress.sent,
        progress.rate_rps,
        progress.in_flight,
        progress.errors
    );
    if let (Some(p50), Some(p99)) = (progress.ttft_ms_p50, progress.ttft_ms_p99) {
        let _ = write!(line, ", TTFT P50 {p50:.0} ms, P99 {p99:.0} ms");
    }
    line
}

fn show(
    scenario: &Resolved,
    outcome: &LiveOutcome,
    args: &LiveArgs,
    options: &Options,
) -> Result<(), Failure> {
    let pooled = outcome.pooled();
    if args.format == FormatArg::Json {
        return print(&gorgo_report::json_document(&pooled));
    }
    if !args.quiet {
        let urls = options.targets.len();
        let (name, seed) = (&scenario.name, scenario.seed);
        print(&format!("{name}: live, {urls} URL(s), {} round(s), seed {seed}\n", options.rounds))?;
    }
    print(&gorgo_report::table(&pooled, terminal_style()))?;
    if args.quiet {
        return Ok(());
    }
    for run in &pooled {
        let Some(live) = &run.summary.live else { continue };
        let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"));
        let lag = live.send_lag_ms;
        let label = &run.names.policy;
        let (p50, p90, p99) = (ms(lag.p50), ms(lag.p90), ms(lag.p99));
        eprintln!("{label}: sent late by P50 {p50}, P90 {p90}, P99 {p99} ms");
        for round in &live.rounds {
            let (p50, p99) = (ms(round.ttft_ms.p50), ms(round.ttft_ms.p99));
            eprintln!("{label}: round {}: TTFT P50 {p50}, P99 {p99} ms", round.round);
        }
    }
    for (label, warning) in warnings(&pooled) {
        eprintln!("note: {label}: {warning}");
    }
    Ok(())
}
