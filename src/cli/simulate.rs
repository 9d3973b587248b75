//! Runs every policy of a scenario side by side and shows what came out: the table or JSON on stdout, files below a
//! directory. Shared by `run` and `replay`.

use crate::exit::{Exit, Failure};
use crate::load_sweep::run_sweep;
use crate::progress::Progress;
use gorgo_metrics::RunResult;
use gorgo_report::{DecisionLog, OutputDir, Style, Tuning};
use gorgo_routing::log::{LogHead, LogLine, VERSION};
use gorgo_routing::tuner::TuneStep;
use gorgo_routing::{Question, Router, RoutingRequest, registry};
use gorgo_scenario::{LoadSpec, PolicySpec, Requests, Resolved};
use gorgo_sim::{PolicyRun, RunOptions, run_policy};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// What `run` and `replay` have in common on the command line.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// Run only this policy: one of the scenario's, or any other with its defaults (repeatable).
    #[arg(long, value_name = "NAME")]
    pub policy: Vec<String>,
    /// Change a value of the scenario: a dotted path that exists there, and a TOML value (repeatable).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// The seed of all draws.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where to write [default: results/local/SCENARIO, which is replaced].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write into a directory that is not empty; replaces only files that gorgo writes.
    #[arg(long)]
    pub overwrite: bool,
    /// Write no files.
    #[arg(long, conflicts_with_all = ["out", "overwrite", "decisions"])]
    no_files: bool,
    /// Also write decisions.jsonl: every decision with what it was based on.
    #[arg(long)]
    decisions: bool,
    /// Print the resolved scenario and stop.
    #[arg(long)]
    dry_run: bool,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Verify every replica's books after each of its steps (slow).
    #[arg(long)]
    check: bool,
    /// Threads; policies run side by side [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// No progress, no timing, no notes.
    #[arg(long, short)]
    pub quiet: bool,
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// `{"schema":1,"runs":[summary, ...]}`.
    Json,
}

impl SimulateArgs {
    /// The assignments of `--set` and `--seed`, in the order in which they apply.
    pub fn assignments(&self) -> Vec<String> {
        let seed = self.seed.map(|seed| format!("seed={seed}"));
        self.set.iter().cloned().chain(seed).collect()
    }
}

/// Simulates the scenario and reports.
pub fn simulate(mut scenario: Resolved, args: &SimulateArgs) -> Result<Exit, Failure> {
    keep_policies(&mut scenario, &args.policy)?;
    if args.dry_run {
        print(&scenario.to_toml_in(Path::new("")))?;
        return Ok(Exit::Ok);
    }
    let out = open_output(&scenario, args)?;
    let clock = Instant::now();
    let requests = scenario.requests().map_err(Failure::input)?;
    let read = clock.elapsed();
    let runs = run_all(&scenario, &requests, args, out.as_ref())?;
    let simulated = clock.elapsed() - read;
    show(&scenario, &runs, args)?;
    if let Some(out) = &out {
        write_files(&scenario, &runs, out, [read, simulated])?;
    }
    if !args.quiet {
        tell_times(&runs, [read, simulated, clock.elapsed()], out.as_ref());
    }
    Ok(Exit::Ok)
}

/// Keeps the policies that were asked for, in that order: by label, else by name; a name that the scenario does not
/// have is taken with its default parameters.
pub fn keep_policies(scenario: &mut Resolved, wanted: &[String]) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let listed = std::mem::take(&mut scenario.router.policies);
    for name in wanted {
        let by_label = listed.iter().filter(|policy| policy.label == *name);
        let by_name = listed.iter().filter(|policy| policy.name == *name);
        let mut found: Vec<PolicySpec> = by_label.cloned().collect();
        if found.is_empty() {
            found = by_name.cloned().collect();
        }
        if found.is_empty() && registry::names().contains(&name.as_str()) {
            let (name, label) = (name.clone(), name.clone());
            let (router, tuner) = (None, None);
            found.push(PolicySpec { name, label, router, parameters: Default::default(), tuner });
        }
        if found.is_empty() {
            let labels: Vec<_> = listed.iter().map(|policy| policy.label.as_str()).collect();
            return Err(Failure::input(format!(
                "--policy: got `{name}`, wanted one of the scenario's ({}) or of all ({})",
                labels.join(", "),
                registry::names().join(", ")
            )));
        }
        scenario.router.policies.append(&mut found);
    }
    Ok(())
}

/// Where the time went, and where the files are.
fn tell_times(runs: &[RunResult], [read, simulated, all]: [Duration; 3], out: Option<&OutputDir>) {
    let ended: u64 = runs.iter().map(|run| run.summary.requests.completed).sum();
    eprintln!(
        "read {:.2} s, simulated {:.2} s ({:.0} requests/s), reported {:.2} s",
        read.as_secs_f64(),
        simulated.as_secs_f64(),
        ended as f64 / simulated.as_secs_f64().max(1e-9),
        all.saturating_sub(read + simulated).as_secs_f64(),
    );
    if let Some(out) = out {
        eprintln!("wrote {}", out.path().display());
    }
}

fn open_output(scenario: &Resolved, args: &SimulateArgs) -> Result<Option<OutputDir>, Failure> {
    if args.no_files {
        return Ok(None);
    }
    let default = || Path::new("results/local").join(file_name(&scenario.name));
    let path = args.out.clone().unwrap_or_else(default);
    let overwrite = args.overwrite || args.out.is_none();
    OutputDir::open(&path, overwrite).map(Some).map_err(Failure::input)
}

/// A name as a file name: whatever is not a letter, digit, dot, dash or underscore becomes a dash.
pub fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let text: String = name.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    if text.starts_with('.') || text.is_empty() { format!("scenario{text}") } else { text }
}

fn run_all(
    scenario: &Resolved,
    requests: &Requests,
    args: &SimulateArgs,
    out: Option<&OutputDir>,
) -> Result<Vec<RunResult>, Failure> {
    let policies = scenario.router.policies.len();
    let sweep = match &scenario.demand.load {
        LoadSpec::Sweep(sweep) => Some(sweep),
        _ => None,
    };
    let times = policies as u64 * sweep.map_or(1, |sweep| u64::from(sweep.runs));
    let total = requests.size_hint().map(|n| n.saturating_mul(times));
    let progress = Progress::new(total, args.quiet);
    let pool = crate::threads::threads(args.threads)?;
    let runs = pool.install(|| match sweep {
        Some(sweep) => run_sweep(scenario, requests, sweep, |scenario, requests, policy| {
            run_one(scenario, requests, policy, args, out, &progress)
        }),
        None => (0..policies)
            .into_par_iter()
            .map(|policy| run_one(scenario, requests, policy, args, out, &progress))
            .collect(),
    });
    progress.finish();
    runs
}

fn run_one(
    scenario: &Resolved,
    requests: &Requests,
    policy: usize,
    args: &SimulateArgs,
    out: Option<&OutputDir>,
    progress: &Progress,
) -> Result<RunResult, Failure> {
    let told = AtomicU64::new(0);
    let tell = |ended: u64| progress.add(ended - told.swap(ended, Ordering::Relaxed));
    let source = requests.source().map_err(Failure::input)?;
    let spec = &scenario.router.policies[policy];
    let mut log = match out.filter(|_| args.decisions) {
        Some(out) => Some(open_log(out, spec, source.block_tokens())?),
        None => None,
    };
    let is_logged = log.is_some();
    let mut broken = None;
    let mut observer = |now, request: &RoutingRequest<'_>, draw, router: &Router, _| {
        let Some(log) = &mut log else { return };
        let question = Question::new(now, *request, router.signals(), draw, router.home());
        let line = LogLine::new(&question, router.decision(), router.policy());
        if let Err(error) = log.write(&line.tuned(router.tuned_weights()))
            && broken.is_none()
        {
            broken = Some(error);
        }
    };
    let mut steps = Vec::new();
    let mut keep_step = |step: &TuneStep| steps.push(step.clone());
    let mut options =
        RunOptions { progress: Some(&tell), check: args.check, ..RunOptions::default() };
    if is_logged {
        options.observer = Some(&mut observer);
    }
    if out.is_some() {
        options.tuning = Some(&mut keep_step);
    }
    let result = run_policy(PolicyRun { scenario, policy, source, options })?;
    if let Some(log) = log {
        log.finish().map_err(Failure::failed)?;
    }
    if let (Some(out), Some(summary)) = (out, &result.summary.tuner) {
        let (policy, seed) = (spec.label.as_str(), scenario.seed);
        let tuning = Tuning { scenario: &scenario.name, policy, seed, summary, steps: &steps };
        out.write_tuning(&tuning).map_err(Failure::failed)?;
    }
    match broken {
        Some(error) => Err(Failure::failed(error)),
        None => Ok(result),
    }
}

/// Opens a policy's decision log and writes its head.
fn open_log(out: &OutputDir, spec: &PolicySpec, block_tokens: u32) -> Result<DecisionLog, Failure> {
    let mut log = out.decision_log(&spec.label).map_err(Failure::failed)?;
    log.write(&log_head(spec, block_tokens)?).map_err(Failure::failed)?;
    Ok(log)
}

/// The first line of a decision log: which policy decided, with all its parameters.
fn log_head(spec: &PolicySpec, block_tokens: u32) -> Result<LogHead<Value>, Failure> {
    let json = serde_json::value::Serializer;
    let (_, parameters) = registry::resolve(&spec.name, spec.parameters.clone(), json)
        .map_err(|refused| Failure::input(refused.to_string()))?;
    Ok(LogHead {
        gorgo_decisions: VERSION,
        policy: spec.name.clone(),
        parameters: parameters.map_err(Failure::failed)?,
        block_tokens,
    })
}

fn show(scenario: &Resolved, runs: &[RunResult], args: &SimulateArgs) -> Result<(), Failure> {
    match args.format {
        Format::Json => print(&gorgo_report::json_document(runs)),
        Format::Table => {
            if !args.quiet {
                print(&headline(scenario))?;
            }
            print(&gorgo_report::table(runs, terminal_style()))?;
            let bill = gorgo_report::bill(runs, terminal_style());
            if !bill.is_empty() {
                print(&format!("\n{bill}"))?;
            }
            if !args.quiet {
                runs.iter().for_each(tell_tuner);
                for (label, warning) in warnings(runs) {
                    eprintln!("note: {label}: {warning}");
                }
            }
            Ok(())
        }
    }
}

/// One line of what a policy's tuner came to.
fn tell_tuner(run: &RunResult) {
    let Some(tuner) = &run.summary.tuner else { return };
    let weight = |(name, value): (&String, &f64)| {
        let start = tuner.start.get(name).copied().unwrap_or(f64::NAN);
        format!("{name} {start:.3} to {value:.3}")
    };
    let weights: Vec<_> = tuner.weights.iter().map(weight).collect();
    let (steps, accepted) = (tuner.steps, tuner.accepted);
    let (policy, weights) = (&run.names.policy, weights.join(", "));
    eprintln!("note: {policy}: tuned in {steps} steps, {accepted} accepted: {weights}");
}

/// Bold and colour where a person looks and has not asked for none.
pub fn terminal_style() -> Style {
    let fancy = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if fancy { Style::Terminal } else { Style::Plain }
}

/// One line of what was simulated.
fn headline(scenario: &Resolved) -> String {
    format!(
        "{}: {} replicas in {} regions, router in {}, seed {}\n",
        scenario.name,
        scenario.replicas.len(),
        scenario.regions.len(),
        scenario.regions[scenario.router.region.index()].name,
        scenario.seed
    )
}

/// Every warning once, with the policies it concerns.
pub fn warnings(runs: &[RunResult]) -> Vec<(String, &str)> {
    let mut all: Vec<(Vec<&str>, &str)> = Vec::new();
    for run in runs {
        for warning in &run.summary.warnings {
            match all.iter_mut().find(|(_, text)| text == warning) {
                Some((labels, _)) => labels.push(&run.names.policy),
                None => all.push((vec![&run.names.policy], warning)),
            }
        }
    }
    let name = |labels: &[&str]| {
        if labels.len() == runs.len() { "all policies".to_owned() } else { labels.join(", ") }
    };
    all.iter().map(|(labels, text)| (name(labels), *text)).collect()
}

fn write_files(
    scenario: &Resolved,
    runs: &[RunResult],
    out: &OutputDir,
    [read, simulated]: [Duration; 2],
) -> Result<(), Failure> {
    out.write_scenario(&scenario.to_toml_in(out.path())).map_err(Failure::failed)?;
    runs.par_iter().try_for_each(|run| out.write_run(run)).map_err(Failure::failed)?;
    out.write_combined(runs).map_err(Failure::failed)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let about = json!({
        "schema": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "command": std::env::args().collect::<Vec<_>>(),
        "finished_unix_s": now.as_secs(),
        "read_s": read.as_secs_f64(),
        "simulated_s": simulated.as_secs_f64(),
        "peak_memory_mib": peak_memory_mib(),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
    });
    out.write_about(&about).map_err(Failure::failed)
}

/// The most memory this process has held so far, where the system tells (Linux).
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// Prints to stdout; a reader that closed the pipe early is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}
