//! `gorgo tune --capacity`: the most, or the least, of one axis that keeps all bounds, for each policy.

use super::outcome::{table_of, words};
use super::world::Runner;
use super::{Format, TuneArgs, from_log, out_folder};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::simulate::print;
use gorgo_report::short_number;
use gorgo_scenario::Resolved;
use gorgo_sweep::{Bench, Domain, STEPS};
use gorgo_tune::{Capacity, CapacityRange, FEWEST_SEEDS, Goal, Tested, Verdict};
use serde_json::{Value, json};

/// What a policy bears.
struct Found {
    policy: String,
    capacity: Capacity,
    runs: u64,
}

pub(super) fn capacity(
    args: &TuneArgs,
    bench: &Bench,
    scenario: &Resolved,
    goal: &Goal,
    mut runner: Runner<'_>,
    is_most: bool,
) -> Result<Exit, Failure> {
    let settings = settings(bench, is_most)?;
    if args.seeds < FEWEST_SEEDS as u64 {
        let seeds = args.seeds;
        return Err(Failure::input(format!(
            "--seeds: got {seeds}, wanted {FEWEST_SEEDS} or more with --capacity"
        )));
    }
    let seeds: Vec<u64> = (args.first_seed..).take(args.seeds as usize).collect();
    let policies = policies(args, scenario);
    let out = out_folder(args, scenario)?;
    runner.keep_in(&out, args.resume)?;
    let mut found = Vec::new();
    for policy in &policies {
        runner.phase(policy, [&args.set, &args.train_set], args.seeds);
        runner.has_metrics(&settings[0], seeds[0])?;
        // A bisection takes about as many values as the range has binary digits.
        let values = u64::from(usize::BITS - settings.len().leading_zeros()) + 2;
        runner.show(Progress::of("values", Some(values), args.quiet));
        let range = CapacityRange { goal, seeds: &seeds, settings: settings.clone() };
        let before = runner.runs;
        let capacity = gorgo_tune::capacity(&range, &mut runner)?;
        runner.finish();
        found.push(Found { policy: policy.clone(), capacity, runs: runner.runs - before });
    }
    let json = format!("{:#}\n", to_json(args, goal, &settings, &found));
    let path = out.join("capacity.json");
    std::fs::write(&path, &json)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    runner.close()?;
    match args.format {
        Format::Table => print(&table(goal, &settings, &found, is_most))?,
        Format::Json => print(&json)?,
    }
    if !args.quiet {
        eprintln!("wrote {}{}", path.display(), from_log(&runner));
    }
    Ok(Exit::Ok)
}

/// The values of the one axis, the easiest first, each once.
fn settings(bench: &Bench, is_most: bool) -> Result<Vec<Vec<String>>, Failure> {
    let is_range = bench.axes().iter().all(|axis| matches!(axis.domain, Domain::Range { .. }));
    if bench.spans().len() != 1 || !is_range {
        let axes: Vec<&str> = bench.axes().iter().map(|axis| axis.path.as_str()).collect();
        return Err(Failure::input(format!(
            "--over: got {}, wanted one range or log_range with --capacity",
            axes.join(" and ")
        )));
    }
    let points = (0..=STEPS).map(|step| f64::from(step) / f64::from(STEPS));
    let mut settings: Vec<Vec<String>> = points.map(|x| bench.setting(&[x])).collect();
    settings.dedup();
    if !is_most {
        settings.reverse();
    }
    Ok(settings)
}

fn policies(args: &TuneArgs, scenario: &Resolved) -> Vec<String> {
    if !args.policy.is_empty() {
        return args.policy.clone();
    }
    scenario.router.policies.iter().map(|policy| policy.label.clone()).collect()
}

/// The value of a setting of one axis (or of axes that go together).
fn value(setting: &[String]) -> String {
    let value = |set: &String| {
        let value = set.split_once('=').map_or("", |(_, value)| value);
        value.trim_matches('"').to_owned()
    };
    setting.iter().map(value).collect::<Vec<_>>().join(", ")
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Meets => "meets",
        Verdict::Fails => "fails",
        Verdict::Doubtful => "doubtful",
    }
}

fn table(goal: &Goal, settings: &[Vec<String>], found: &[Found], is_most: bool) -> String {
    let bounds: Vec<String> = goal.bounds.iter().map(|bound| bound.words()).collect();
    let which = if is_most { "the most" } else { "the fewest" };
    let path = words(&settings[0]);
    let path = path.split_once('=').map_or("", |(path, _)| path);
    let mut head = vec!["policy".to_owned(), "keeps them".to_owned(), "does not".to_owned()];
    head.extend(goal.bounds.iter().map(|bound| format!("{} there", bound.metric)));
    head.extend(["values".to_owned(), "doubtful".to_owned(), "runs".to_owned()]);
    let mut lines = vec![head];
    for Found { policy, capacity, runs } in found {
        let at =
            |place: Option<usize>| place.map_or("-".to_owned(), |place| value(&settings[place]));
        let mut line = vec![policy.clone(), at(capacity.met), at(capacity.not_met)];
        let there = capacity.tested.iter().find(|test| Some(test.setting) == capacity.met);
        for (index, _) in goal.bounds.iter().enumerate() {
            line.push(there.map_or("-".to_owned(), |test| short_number(test.medians[index].0)));
        }
        let doubtful = capacity.tested.iter().filter(|test| test.verdict == Verdict::Doubtful);
        line.extend([
            capacity.tested.len().to_string(),
            doubtful.count().to_string(),
            runs.to_string(),
        ]);
        lines.push(line);
    }
    format!(
        "{which} {path} with {}\n\n{}\na value keeps them when the 95 % interval of each median over seeds does, whatever was looked at; \
         doubtful: the seeds do not say, and it counts as not kept; -: none in the range\n",
        bounds.join(" and "),
        table_of(&lines)
    )
}

fn to_json(args: &TuneArgs, goal: &Goal, settings: &[Vec<String>], found: &[Found]) -> Value {
    let finite = |value: f64| value.is_finite().then_some(value);
    let test = |test: &Tested| {
        let medians: Vec<Value> = test
            .medians
            .iter()
            .map(|(median, interval)| json!({"median": finite(*median), "interval": interval}))
            .collect();
        json!({
            "value": value(&settings[test.setting]),
            "seeds": test.seeds,
            "bounds": medians,
            "verdict": verdict(test.verdict),
        })
    };
    let policies: Vec<Value> = found
        .iter()
        .map(|found| {
            json!({
                "policy": found.policy,
                "met": found.capacity.met.map(|place| value(&settings[place])),
                "not_met": found.capacity.not_met.map(|place| value(&settings[place])),
                "tested": found.capacity.tested.iter().map(test).collect::<Vec<_>>(),
                "runs": found.runs,
            })
        })
        .collect();
    json!({
        "schema": 1,
        "over": args.over,
        "bounds": goal.bounds.iter().map(|bound| bound.words()).collect::<Vec<_>>(),
        "seeds": {"first": args.first_seed, "count": args.seeds},
        "policies": policies,
    })
}
