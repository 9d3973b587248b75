//! `gorgo explain`: why one request went where it went, and what the other replicas would have meant.
//!
//! It runs the scenario of a run directory again (same scenario, seed and version: the same run), watches the one
//! decision, and then repeats the run with that decision forced to each candidate in turn.

use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::simulate::{print, terminal_style};
use gorgo_metrics::{RequestRecord, RunResult, TtftParts};
use gorgo_report::Grid;
use gorgo_routing::{Router, RoutingRequest, Signals, Target};
use gorgo_scenario::{Requests, Resolved};
use gorgo_sim::{FirstTokens, PolicyRun, Regret, RunOptions, regret, run_policy};
use gorgo_types::{Nanos, ReplicaId, RequestId};
use rayon::prelude::*;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Arguments of `gorgo explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A run's directory (with scenario.resolved.toml), or a scenario file.
    run: PathBuf,
    /// The request: SESSION.TURN, as in requests.csv.
    request: RequestId,
    /// Which policy of the run, by label [default: the first].
    #[arg(long, value_name = "LABEL")]
    policy: Option<String>,
    /// Skip the regret, which repeats the run once for every replica.
    #[arg(long)]
    no_regret: bool,
}

/// What was seen of the decision.
struct Seen {
    at: Nanos,
    target: Target,
    rule: &'static str,
    tied: u32,
    prompt_tokens: u64,
    signals: Vec<Signals>,
    term_names: &'static [&'static str],
    scores: Vec<f64>,
    terms: Vec<Vec<f64>>,
}

impl Seen {
    fn of(at: Nanos, request: &RoutingRequest<'_>, router: &Router, target: Target) -> Self {
        let decision = router.decision();
        Self {
            at,
            target,
            rule: decision.rule,
            tied: decision.tied,
            prompt_tokens: request.prompt.tokens().get(),
            signals: router.signals().to_vec(),
            term_names: decision.term_names,
            scores: decision.scores().to_vec(),
            terms: (0..decision.scores().len()).map(|i| decision.terms(i).to_vec()).collect(),
        }
    }
}

/// Runs the command.
pub fn explain(args: &ExplainArgs) -> Result<Exit, Failure> {
    let file =
        if args.run.is_dir() { args.run.join("scenario.resolved.toml") } else { args.run.clone() };
    let mut scenario = Resolved::from_file(&file, &[""; 0]).map_err(Failure::input)?;
    scenario.measure.records = gorgo_scenario::Records::Always;
    let policy = find_policy(&scenario, args.policy.as_deref())?;
    let requests = scenario.requests().map_err(Failure::input)?;
    let mut seen = Vec::new();
    let run = watch(&scenario, &requests, policy, args.request, &mut seen)?;
    let record = run.records.iter().flatten().find(|record| record.id == args.request);
    let Some(record) = record.filter(|_| !seen.is_empty()) else {
        return Err(Failure::input(format!(
            "request: got {}, wanted a request of this run; the run has {} requests",
            args.request, run.summary.requests.injected
        )));
    };
    let mut text = String::new();
    for decision in &seen {
        describe(&mut text, &scenario, policy, args.request, decision);
    }
    describe_outcome(&mut text, record);
    if !args.no_regret
        && let Some(chosen) = record.replica
    {
        let forced = forced_runs(&scenario, &requests, policy, args.request)?;
        let regret = regret(args.request, chosen, &FirstTokens::of(&run)?, &forced);
        describe_regret(&mut text, &scenario, &regret);
    }
    print(&text)?;
    Ok(Exit::Ok)
}

fn find_policy(scenario: &Resolved, wanted: Option<&str>) -> Result<usize, Failure> {
    let policies = &scenario.router.policies;
    let Some(wanted) = wanted else { return Ok(0) };
    policies.iter().position(|policy| policy.label == wanted).ok_or_else(|| {
        let labels: Vec<_> = policies.iter().map(|policy| policy.label.as_str()).collect();
        Failure::input(format!("--policy: got `{wanted}`, wanted one of {}", labels.join(", ")))
    })
}

fn watch(
    scenario: &Resolved,
    requests: &Requests,
    policy: usize,
    id: RequestId,
    seen: &mut Vec<Seen>,
) -> Result<RunResult, Failure> {
    let mut observer = |now, request: &RoutingRequest<'_>, _, router: &Router, target| {
        if request.id == id {
            seen.push(Seen::of(now, request, router, target));
        }
    };
    let options = RunOptions { observer: Some(&mut observer), ..RunOptions::default() };
    let source = requests.source().map_err(Failure::input)?;
    Ok(run_policy(PolicyRun { scenario, policy, source, options })?)
}

/// The run again for every replica, with the one decision forced to it; side by side.
fn forced_runs(
    scenario: &Resolved,
    requests: &Requests,
    policy: usize,
    id: RequestId,
) -> Result<Vec<FirstTokens>, Failure> {
    let replicas = scenario.replicas.len();
    let progress = Progress::new(requests.size_hint().map(|n| n * replicas as u64), false);
    let runs = (0..replicas)
        .into_par_iter()
        .map(|replica| {
            let told = AtomicU64::new(0);
            let tell = |ended: u64| progress.add(ended - told.swap(ended, Ordering::Relaxed));
            let forced = Some((id, ReplicaId(replica as u32)));
            let options = RunOptions { forced, progress: Some(&tell), ..RunOptions::default() };
            let source = requests.source().map_err(Failure::input)?;
            let run = run_policy(PolicyRun { scenario, policy, source, options })?;
            Ok(FirstTokens::of(&run)?)
        })
        .collect();
    progress.finish();
    runs
}

fn describe(text: &mut String, scenario: &Resolved, policy: usize, id: RequestId, seen: &Seen) {
    let label = &scenario.router.policies[policy].label;
    let goes = match seen.target {
        Target::Replica(replica) => format!("goes to {}", scenario.replicas[replica.index()].name),
        Target::Queue => "waits in the router's queue: no replica may be chosen".to_owned(),
        Target::Reject => "is rejected".to_owned(),
    };
    let tie = if seen.tied > 1 { format!(", {} tied", seen.tied) } else { String::new() };
    let _ = writeln!(
        text,
        "Request {id} ({} prompt tokens) is decided on at {:.3} s by {label} (rule: {}{tie}); it {goes}.\n",
        seen.prompt_tokens,
        seen.at.as_s(),
        seen.rule,
    );
    let mut grid = Grid::new(terminal_style());
    let terms = seen.term_names.iter().map(|name| [*name, "term"]);
    grid.header([["replica", ""], ["score", ""]].into_iter().chain(terms).chain(SIGNAL_HEADERS));
    let rows = seen.signals.iter().enumerate().map(|(i, signals)| {
        let replica = &scenario.replicas[signals.replica.index()].name;
        let chosen = seen.target == Target::Replica(signals.replica);
        let mark = if chosen { "> " } else { "  " };
        let shut = if signals.eligible { "" } else { " (shut)" };
        let mut row = vec![format!("{mark}{replica}{shut}")];
        row.push(seen.scores.get(i).map_or_else(|| "-".to_owned(), |score| number(*score)));
        row.extend(seen.terms.get(i).into_iter().flatten().map(|term| number(*term)));
        row.extend(signal_cells(seen.at, signals));
        row
    });
    rows.for_each(|row| grid.row(row.into_iter().map(|cell| (cell, false))));
    text.push_str(&grid.finish());
    text.push('\n');
    if let Some(words) = why(scenario, seen) {
        let _ = writeln!(text, "{words}\n");
    }
}

/// What made the difference to the next best candidate, in words; nothing where only one could be chosen.
fn why(scenario: &Resolved, seen: &Seen) -> Option<String> {
    let Target::Replica(chosen) = seen.target else { return None };
    let name = |index: usize| &scenario.replicas[seen.signals[index].replica.index()].name;
    let place = seen.signals.iter().position(|signals| signals.replica == chosen)?;
    let eligible =
        |i: &usize| *i != place && seen.signals[*i].eligible && seen.scores[*i].is_finite();
    let next = (0..seen.scores.len())
        .filter(eligible)
        .min_by(|a, b| seen.scores[*a].total_cmp(&seen.scores[*b]))?;
    let mut terms: Vec<(f64, &str)> = seen.terms[next]
        .iter()
        .zip(&seen.terms[place])
        .zip(seen.term_names)
        .map(|((other, own), name)| (other - own, *name))
        .filter(|(difference, _)| *difference != 0.0)
        .collect();
    terms.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    let terms: Vec<String> = terms
        .iter()
        .map(|(difference, name)| {
            let word = if *difference > 0.0 { "for it" } else { "against it" };
            format!("{name} speaks {word} by {}", number(difference.abs()))
        })
        .collect();
    let because = if terms.is_empty() { String::new() } else { format!(": {}", terms.join(", ")) };
    Some(format!(
        "{} scores {} against {} of {}, the next best{because}.",
        name(place),
        number(seen.scores[place]),
        number(seen.scores[next]),
        name(next),
    ))
}

const SIGNAL_HEADERS: [[&str; 2]; 8] = [
    ["rtt", "ms"],
    ["rtt", "age"],
    ["cached", "tokens"],
    ["in", "flight"],
    ["queued", "tokens"],
    ["running", "requests"],
    ["used", "tokens"],
    ["scrape", "age"],
];

fn signal_cells(now: Nanos, signals: &Signals) -> [String; 8] {
    let age = |at: Option<Nanos>| {
        at.map_or_else(
            || "never".to_owned(),
            |at| format!("{:.1} s", now.saturating_sub(at).as_s()),
        )
    };
    [
        format!("{:.1}", signals.rtt_ms()),
        age(signals.rtt_at),
        signals.cached_tokens.to_string(),
        signals.in_flight_requests.to_string(),
        signals.queued_tokens.to_string(),
        signals.running_requests.to_string(),
        signals.used_tokens.to_string(),
        age(signals.scraped_at),
    ]
}

/// A score or a term, short.
fn number(value: f64) -> String {
    if value == 0.0 || value.abs() >= 0.1 { format!("{value:.1}") } else { format!("{value:.3e}") }
}

fn describe_outcome(text: &mut String, record: &RequestRecord) {
    let Some(ttft) = record.ttft() else {
        let _ = writeln!(text, "It never got a first token ({}).", record.status.name());
        return;
    };
    let parts: Vec<String> = TtftParts::names()
        .iter()
        .zip(record.parts.values())
        .filter(|(_, part)| *part > Nanos::ZERO)
        .map(|(name, part)| format!("{name} {:.1}", part.as_ms()))
        .collect();
    let _ = writeln!(
        text,
        "Its first token came after {:.1} ms = {} (ms). The router believed {} of its tokens to be cached there; {} were.",
        ttft.as_ms(),
        parts.join(" + "),
        record.predicted_cached_tokens,
        record.cached_tokens,
    );
}

fn describe_regret(text: &mut String, scenario: &Resolved, regret: &Regret) {
    let _ = writeln!(
        text,
        "\nThe same run with this one decision forced to each replica (same draws for everybody):\n"
    );
    let mut grid = Grid::new(terminal_style());
    grid.header([["replica", ""], ["own TTFT", "ms"], ["others' TTFT,", "summed change, ms"]]);
    let rows = regret.alternatives.iter().map(|alternative| {
        let mark = if alternative.replica == regret.chosen { "> " } else { "  " };
        vec![
            format!("{mark}{}", scenario.replicas[alternative.replica.index()].name),
            alternative.ttft.map_or_else(|| "-".to_owned(), |ttft| format!("{:.1}", ttft.as_ms())),
            format!("{:+.1}", alternative.others_change_ms),
        ]
    });
    rows.for_each(|row| grid.row(row.into_iter().map(|cell| (cell, false))));
    text.push_str(&grid.finish());
    let say = |ms: Option<f64>| ms.map_or_else(|| "unknown".to_owned(), |ms| format!("{ms:.1} ms"));
    let _ = writeln!(
        text,
        "\nRegret: {} for the request itself, {} with the change of all others counted.",
        say(regret.own_ms()),
        say(regret.total_ms()),
    );
}
