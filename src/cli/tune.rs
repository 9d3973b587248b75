//! `gorgo tune`: the setting of a scenario that makes a number small, or the most that it can bear.
//!
//! The search is `gorgo-tune`'s, the runs are `gorgo-sweep`'s; here are options, threads and the flow from one to the
//! other. Read `tune/world.rs` for how trials are run, `tune/outcome.rs` for what is told and written.

mod capacity;
mod log;
mod outcome;
mod world;

use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use gorgo_scenario::Resolved;
use gorgo_sweep::{Axis, Bench, METRICS, SweepFile};
use gorgo_tune::{Bound, Gain, Goal, Method, Objective, Plan, Search, TuneError};
use std::path::{Path, PathBuf};
use std::time::Instant;
use world::Runner;

/// Arguments of `gorgo tune`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gorgo tune --policy gorgo --minimize ttft_ms.p95 \\
    --over 'router.policies.gorgo.w_rtt=log_range(0.1, 100)' --over 'router.policies.gorgo.w_queue=log_range(0.01, 1)'
  ... --minimize cost_usd.per_million_tokens --subject-to 'ttft_ms.p99 <= 800ms'     the cheapest that is fast enough
  ... --minimize ttft_ms.p95 --minimize e2e_ms.p95                                    the front of two numbers
  gorgo tune --capacity most --subject-to 'ttft_ms.p99 <= 800ms' \\
    --over 'load.poisson.rate=range(5 req/s, 60 req/s)'                               the most that each policy bears
Stopped, or to be searched further (more --candidates): the same command with --resume makes no run again.
Windows: --train-set measure.stop=15min --test-set measure.warm_up=15min searches on one and tests on the other.")]
pub struct TuneArgs {
    /// The scenario [default: the built-in one].
    scenario: Option<PathBuf>,
    /// Run this trace in the place of the scenario's workload.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Make this number of the summary small (repeatable: two give a front).
    #[arg(long, value_name = "METRIC")]
    minimize: Vec<String>,
    /// Make this number large.
    #[arg(long, value_name = "METRIC")]
    maximize: Vec<String>,
    /// A bound that must hold for the mean over seeds, with --capacity for the median: 'ttft_ms.p99 <= 800ms' (repeatable).
    #[arg(long, value_name = "BOUND")]
    subject_to: Vec<String>,
    /// What varies: PATH=range(A, B), PATH=log_range(A, B), PATH=choices(A, B, ...), or a sweep file, for its axes.
    #[arg(long, value_name = "AXIS", required = true)]
    over: Vec<String>,
    /// The most (or least) of the one axis under which every bound is kept, by bisection.
    #[arg(long, value_enum, value_name = "WHICH")]
    capacity: Option<Capacity>,
    /// The policy [default: the one that an axis names, or the only one; with --capacity: all].
    #[arg(long, value_name = "LABEL")]
    policy: Vec<String>,
    /// Change a value of the scenario (repeatable).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// The same for the runs that the search is made on alone.
    #[arg(long, value_name = "PATH=VALUE")]
    train_set: Vec<String>,
    /// The same for the runs that it is tested on alone.
    #[arg(long, value_name = "PATH=VALUE")]
    test_set: Vec<String>,
    /// Seeds that candidates meet.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
    /// The first of them; those that are held out follow them.
    #[arg(long, value_name = "SEED", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    first_seed: u64,
    /// Seeds that are held out of the search, and that its gain is told on.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=10_000))]
    held_out: u64,
    /// Candidates that are proposed.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    candidates: u64,
    /// Who proposes them.
    #[arg(long, value_enum, default_value_t = Proposer::CmaEs)]
    method: Proposer,
    /// The seed of the proposals.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    search_seed: u64,
    /// Where to write [default: results/local/tune-SCENARIO].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the search that --out holds: runs of its runs.jsonl are not made again.
    #[arg(long)]
    resume: bool,
    /// Threads; runs are made side by side [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// No progress and no notes.
    #[arg(long, short)]
    quiet: bool,
}

/// Which end of an axis is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Capacity {
    /// The largest value, such as requests a second.
    Most,
    /// The smallest value, such as replicas.
    Fewest,
}

/// Who proposes candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Proposer {
    /// A normal distribution that learns where the good ones are.
    CmaEs,
    /// GORGO v2's (1+1) evolution strategy, one after the other, until its step has become small.
    OnePlusOne,
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// What `summary.json` holds.
    Json,
}

/// Runs the command.
pub fn tune(args: &TuneArgs) -> Result<Exit, Failure> {
    let bench = Bench::new(args.scenario.as_deref(), args.trace.as_deref(), axes(&args.over)?)
        .map_err(Failure::input)?;
    let goal = goal(args)?;
    let mut runner = Runner::new(&bench, goal.metrics(), args.threads)?;
    let sets: Vec<String> = args.set.iter().chain(&args.train_set).cloned().collect();
    let scenario = bench.resolve(None, &sets, args.first_seed)?;
    if let Some(which) = args.capacity {
        return capacity::capacity(args, &bench, &scenario, &goal, runner, which == Capacity::Most);
    }
    let policy = policy(args, &bench, &scenario)?;
    let out = out_folder(args, &scenario)?;
    let clock = Instant::now();
    runner.keep_in(&out, args.resume)?;
    let made = search_and_test(args, &bench, &goal, &mut runner, &policy)?;
    made.write(&out)?;
    runner.close()?;
    match args.format {
        Format::Table => crate::simulate::print(&made.table())?,
        Format::Json => crate::simulate::print(&made.json_text())?,
    }
    if !args.quiet {
        let (seconds, kept) = (clock.elapsed().as_secs_f64(), from_log(&runner));
        eprintln!("searched and tested in {seconds:.1} s{kept}, wrote {}", out.display());
    }
    Ok(Exit::Ok)
}

/// What was not made again, in words.
fn from_log(runner: &Runner<'_>) -> String {
    let words = || format!(" ({} of {} runs were there)", runner.from_log, runner.runs);
    if runner.from_log > 0 { words() } else { String::new() }
}

/// What a search came to, and what it is worth on seeds that it did not see.
pub(crate) struct Made<'a> {
    args: &'a TuneArgs,
    bench: &'a Bench,
    goal: &'a Goal,
    policy: String,
    /// The scenario's name.
    name: String,
    search: Search,
    /// Runs that were made for the search, equal scenarios once.
    runs: u64,
    /// Settings that were tested, the best first (or the front), as places in the search's list.
    tested: Vec<usize>,
    /// For each of them and each of the goal's metrics, the gain over the setting as it stands.
    gains: Vec<Vec<Option<Gain>>>,
    /// For each of them and each bound, the mean on held-out seeds.
    held: Vec<Vec<f64>>,
    best: Box<Resolved>,
}

fn search_and_test<'a>(
    args: &'a TuneArgs,
    bench: &'a Bench,
    goal: &'a Goal,
    runner: &mut Runner<'_>,
    policy: &str,
) -> Result<Made<'a>, Failure> {
    let train: Vec<u64> = (args.first_seed..).take(args.seeds as usize).collect();
    let test: Vec<u64> = (args.first_seed + args.seeds..).take(args.held_out as usize).collect();
    runner.phase(policy, [&args.set, &args.train_set], args.seeds);
    runner.knows(&train[..1])?;
    let plan = Plan {
        goal,
        seeds: &train,
        spans: &bench.spans(),
        method: match args.method {
            Proposer::CmaEs => Method::CmaEs,
            Proposer::OnePlusOne => Method::OnePlusOne,
        },
        candidates: args.candidates,
        seed: args.search_seed,
    };
    runner.show(Progress::of("candidates", Some(args.candidates), args.quiet));
    let search = gorgo_tune::search(&plan, runner)?;
    runner.finish();
    let runs = runner.runs;
    let tested = if goal.objectives.len() > 1 { search.front.clone() } else { vec![search.best] };
    let setting = |place: usize| search.candidates[place].setting.as_slice();
    runner.phase(policy, [&args.set, &args.test_set], args.held_out);
    let before = runner.rows(&[], &test)?;
    let (mut gains, mut held) = (Vec::new(), Vec::new());
    for &place in &tested {
        let after = runner.rows(setting(place), &test)?;
        gains.push(gains_of(goal, &before, &after));
        held.push(held_of(goal, &after));
    }
    runner.phase(policy, [&args.set, &[]], 1);
    let best = runner.scenario(setting(search.best), args.first_seed)?;
    Ok(Made {
        args,
        bench,
        goal,
        policy: policy.to_owned(),
        name: best.name.clone(),
        runs,
        tested,
        gains,
        held,
        best: Box::new(best),
        search,
    })
}

/// The gain in each of the goal's metrics.
fn gains_of(
    goal: &Goal,
    before: &[Vec<Option<f64>>],
    after: &[Vec<Option<f64>>],
) -> Vec<Option<Gain>> {
    let column = |rows: &[Vec<Option<f64>>], column: usize| -> Vec<Option<f64>> {
        rows.iter().map(|row| row[column]).collect()
    };
    let less = goal.objectives.iter().map(|objective| objective.less);
    let less = less.chain(goal.bounds.iter().map(|bound| bound.at_most));
    less.enumerate()
        .map(|(index, less)| Gain::new(&column(before, index), &column(after, index), less))
        .collect()
}

/// The mean of each bound's number; a run without it makes it infinitely bad.
fn held_of(goal: &Goal, rows: &[Vec<Option<f64>>]) -> Vec<f64> {
    let first = goal.objectives.len();
    let mean = |(index, bound): (usize, &Bound)| {
        let worst = if bound.at_most { f64::INFINITY } else { f64::NEG_INFINITY };
        let sum: f64 = rows.iter().map(|row| row[first + index].unwrap_or(worst)).sum();
        sum / rows.len() as f64
    };
    goal.bounds.iter().enumerate().map(mean).collect()
}

/// The axes of all `--over`.
fn axes(over: &[String]) -> Result<Vec<Axis>, Failure> {
    let mut axes = Vec::new();
    for text in over {
        if !text.contains('=') && Path::new(text).extension().is_some_and(|end| end == "toml") {
            axes.extend(SweepFile::read(Path::new(text)).map_err(Failure::input)?.axes);
        } else {
            axes.push(Axis::parse(text)?);
        }
    }
    if axes.is_empty() {
        return Err(Failure::input(
            "--over: got a sweep file without [[over]], wanted one or more axes",
        ));
    }
    Ok(axes)
}

fn goal(args: &TuneArgs) -> Result<Goal, Failure> {
    let objective = |less: bool| move |metric: &String| Objective { metric: metric.clone(), less };
    let objectives: Vec<Objective> = args
        .minimize
        .iter()
        .map(objective(true))
        .chain(args.maximize.iter().map(objective(false)))
        .collect();
    for (index, objective) in objectives.iter().enumerate() {
        if objectives[..index].iter().any(|other| other.metric == objective.metric) {
            let metric = &objective.metric;
            return Err(Failure::input(format!("--minimize: got {metric} twice, wanted it once")));
        }
    }
    let bounds = args.subject_to.iter().map(|text| Bound::parse(text));
    let bounds: Vec<Bound> = bounds.collect::<Result<_, _>>().map_err(Failure::input)?;
    let wanted = match (args.capacity, objectives.len()) {
        (None, 1 | 2) => None,
        (None, _) => Some("--minimize or --maximize once, or twice for a front"),
        (Some(_), 0) if !bounds.is_empty() => None,
        (Some(_), _) => Some("--subject-to beside --capacity, and no --minimize or --maximize"),
    };
    match wanted {
        Some(wanted) => {
            let got = format!("{} objectives and {} bounds", objectives.len(), bounds.len());
            Err(Failure::input(format!("gorgo tune: got {got}, wanted {wanted}")))
        }
        None => Ok(Goal { objectives, bounds }),
    }
}

/// The policy that is tuned.
fn policy(args: &TuneArgs, bench: &Bench, scenario: &Resolved) -> Result<String, Failure> {
    let labels: Vec<&str> =
        scenario.router.policies.iter().map(|policy| policy.label.as_str()).collect();
    let mut named: Vec<&str> = args.policy.iter().map(String::as_str).collect();
    if named.is_empty() {
        for axis in bench.axes() {
            let Some(rest) = axis.path.strip_prefix("router.policies.") else { continue };
            let is_it = |label: &&str| rest.starts_with(&format!("{label}."));
            let by_place = rest.split('.').next().and_then(|place| place.parse::<usize>().ok());
            let by_place = by_place.and_then(|place| labels.get(place)).copied();
            let Some(label) = labels.iter().copied().find(is_it).or(by_place) else {
                let (path, all) = (&axis.path, labels.join(", "));
                let problem = format!("--over: got {path}, wanted one of the policies: {all}");
                return Err(Failure::input(problem));
            };
            if !named.contains(&label) {
                named.push(label);
            }
        }
    }
    match (&named[..], &labels[..]) {
        ([one], all) if all.contains(one) => Ok((*one).to_owned()),
        ([], [one]) => Ok((*one).to_owned()),
        _ => Err(Failure::input(format!(
            "--policy: got {}, wanted one of the scenario's: {}",
            if named.is_empty() { "none".to_owned() } else { named.join(" and ") },
            labels.join(", ")
        ))),
    }
}

fn out_folder(args: &TuneArgs, scenario: &Resolved) -> Result<PathBuf, Failure> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let name: String = scenario.name.chars().map(plain).collect();
    let default = || Path::new("results/local").join(format!("tune-{name}"));
    let out = args.out.clone().unwrap_or_else(default);
    std::fs::create_dir_all(&out)
        .map_err(|error| Failure::failed(format!("{}: {error}", out.display())))?;
    Ok(out)
}

/// Says which metric is not there: it is no number of a summary, or this run does not have it.
fn unknown(metric: &str) -> Failure {
    Failure::input(format!(
        "metric {metric:?}: got nothing, wanted a number of the summary, such as {}",
        METRICS.join(", ")
    ))
}

impl From<TuneError> for Failure {
    fn from(error: TuneError) -> Self {
        Self::input(error)
    }
}
