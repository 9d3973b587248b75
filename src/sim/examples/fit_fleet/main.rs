//! Fits the profile of the GORGO fleet (2 x L40S, Qwen3.5-35B-A3B-FP8) to what that fleet measured under two policies.
//!
//! `cargo run --release -p gorgo-sim --example fit_fleet` simulates the Apr 5 requests under least-load and least-request
//! as `scenarios/papers/v2_apr5.toml` describes them, compares quantiles (`loss.rs`) with those of two measured runs of each
//! (one by its requests, `measured.rs`; one by its quantiles, `second.rs`) and how often prompts hit (`pairs.rs`,
//! `repeats.rs`), and searches (`search.rs`) for the free parameters (`parameters.rs`) that bring them closest. No other
//! measurement is looked at, unless `--other` asks for it once all is fitted.
//! Same options, same result, on any number of threads. `options.rs` has the options.

mod bursts;
mod loss;
mod measured;
mod options;
mod pairs;
mod parameters;
mod repeats;
mod report;
mod search;
mod second;
mod simulate;

use loss::{FEATURES, features, loss, mean};
use measured::Samples;
use options::Options;
use parameters::{FREE, Fleet, Values};
use search::Search;
use simulate::Stage;
use std::fmt::Write as _;
use std::path::Path;

/// The policies whose measurements are fitted.
const FITTED: [&str; 2] = ["least-load", "least-request"];

/// What is compared with what.
struct Task {
    stage: Stage,
    measured: Vec<Samples>,
    /// The means of both runs of each policy, in logarithms.
    targets: Vec<Vec<f64>>,
    /// How often long prompts hit in one, the other and both of the fitted runs.
    pairs: [f64; 3],
    /// How often prompts hit that were sent again, and others, in both runs of each policy.
    repeats: Vec<repeats::Classes>,
}

impl Task {
    fn new(options: &Options) -> Result<Self, String> {
        let stage = Stage::new(&options.scenario, &options.sets, options.seeds, options.threads)?;
        let file = |policy| options.data.join(format!("apr5_1615_measured_{policy}.csv.gz"));
        let measured: Result<Vec<Samples>, String> =
            FITTED.iter().map(|policy| measured::read(&file(policy))).collect();
        let measured = measured?;
        let pairs = pairs::shares(&measured[0], &measured[1]);
        let (mut targets, mut repeats) = (Vec::new(), Vec::new());
        for (first, second) in measured.iter().zip(second::runs()?) {
            targets.push(mean(&[features(first), second.features]));
            repeats.push(repeats::both(repeats::classes(first), second.repeats));
        }
        Ok(Self { stage, measured, targets, pairs, repeats })
    }

    /// Each fleet's runs, by policy and seed.
    fn run(&self, fleets: &[Fleet]) -> Result<Vec<Vec<Vec<Samples>>>, String> {
        self.stage.runs(fleets, &FITTED)
    }

    /// The losses of a fleet's runs, by policy.
    fn losses(&self, runs: &[Vec<Samples>]) -> Vec<f64> {
        let of_seeds = |seeds: &Vec<Samples>| {
            let all: Vec<Vec<f64>> = seeds.iter().map(features).collect();
            mean(&all)
        };
        self.targets
            .iter()
            .zip(runs)
            .map(|(target, seeds)| loss(target, &of_seeds(seeds)))
            .collect()
    }

    /// How often long prompts hit in the runs of both policies, by seed.
    fn pairs_of(&self, runs: &[Vec<Samples>]) -> Vec<[f64; 3]> {
        runs[0].iter().zip(&runs[1]).map(|(one, other)| pairs::shares(one, other)).collect()
    }

    /// How far the hits of prompts that are sent again, and of the others, are from what was measured.
    fn repeats(&self, runs: &[Vec<Samples>]) -> f64 {
        let both = self.repeats.iter().zip(runs);
        both.map(|(&measured, runs)| repeats::loss(measured, runs)).sum::<f64>()
            / FITTED.len() as f64
    }

    fn judge(&self, fleets: &[Fleet]) -> Result<Vec<f64>, String> {
        let runs = self.run(fleets)?;
        let sum = |runs: &Vec<Vec<Samples>>| {
            self.losses(runs).iter().sum::<f64>()
                + pairs::loss(self.pairs, &self.pairs_of(runs))
                + self.repeats(runs)
        };
        Ok(runs.iter().map(|runs| sum(runs) / (FITTED.len() + 2) as f64).collect())
    }
}

fn main() -> Result<(), String> {
    let options = Options::of_command_line()?;
    if let Some((policy, file)) = &options.table_of {
        print!("{}", second::table(policy, &measured::read(file)?));
        return Ok(());
    }
    let task = Task::new(&options)?;
    let mut values = options.start()?;
    if options.generations > 0 {
        values = fit(&task, &options, values)?;
    }
    for (parameter, value) in FREE.iter().zip(&values.0) {
        println!("{} = {value:.5}", parameter.name);
    }
    let runs = task.run(&[values.fleet()?])?.remove(0);
    let losses = task.losses(&runs);
    for (place, policy) in FITTED.iter().enumerate() {
        println!("{policy}: loss {:.3}", losses[place]);
        println!("  {}", measured::hits(&runs[place]));
        print_features(&task.targets[place], &runs[place]);
        print!("{}", bursts::told(&task.measured[place], &runs[place]));
        print!("{}", repeats::told(task.repeats[place], &runs[place]));
    }
    let shares = task.pairs_of(&runs);
    let middle =
        |at: usize| shares.iter().map(|shares| shares[at]).sum::<f64>() / shares.len() as f64;
    println!(
        "long prompts that hit, in one run, the other, both over the product: measured {:.3?}, simulated {:.3?}, loss {:.3}",
        task.pairs,
        [middle(0), middle(1), middle(2)],
        pairs::loss(task.pairs, &shares),
    );
    let mut page = report::parameters(&values) + "\n" + report::HEAD;
    let mut errors = Vec::new();
    for ((policy, measured), runs) in FITTED.iter().zip(&task.measured).zip(&runs) {
        let (rows, of_policy) = report::fitted_rows(policy, measured, runs)?;
        page += &rows;
        errors.extend(of_policy);
    }
    for policy in &options.others {
        let runs = task.stage.runs(&[values.fleet()?], &[policy])?.remove(0).remove(0);
        println!("{policy}: {}", measured::hits(&runs));
        page += &report::other_rows(policy, &runs)?;
    }
    let mean_error = errors.iter().map(|error| error.abs()).sum::<f64>() / errors.len() as f64;
    let _ = writeln!(page, "\nMean |error| of the fitted: {mean_error:.1} %");
    println!("{page}");
    let told: Vec<(&str, f64)> = FITTED.iter().copied().zip(losses).collect();
    write(options.report.as_deref(), &page)?;
    write(options.profile.as_deref(), &report::profile_file(&values, &told))
}

fn write(file: Option<&Path>, text: &str) -> Result<(), String> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Searches from `start`; the result is the centre of the last generation, or the best candidate if that is better.
fn fit(task: &Task, options: &Options, start: Values) -> Result<Values, String> {
    let free = options.free();
    let mut search = Search::new(start.places(&free), options.step, options.search_seed);
    let mut best = (f64::INFINITY, start.clone());
    for generation in 0..options.generations {
        let candidates = search.ask();
        let values: Vec<Values> =
            candidates.iter().map(|candidate| start.moved(&free, &candidate.inside)).collect();
        let fleets: Result<Vec<Fleet>, String> = values.iter().map(Values::fleet).collect();
        let losses = task.judge(&fleets?)?;
        for (&loss, values) in losses.iter().zip(&values) {
            if loss < best.0 {
                best = (loss, values.clone());
            }
        }
        let judged = losses.iter().zip(candidates);
        search.tell(judged.map(|(loss, c)| (loss + c.penalty(), c)).collect());
        eprintln!("{generation:3} step {:.4} best {:.3} {:.4?}", search.sigma(), best.0, best.1.0);
    }
    let centre = start.moved(&free, &search.mean());
    let loss = task.judge(&[centre.fleet()?])?[0];
    eprintln!("centre {loss:.3}, best candidate {:.3}", best.0);
    Ok(if loss <= best.0 { centre } else { best.1 })
}

/// Every feature: measured / simulated and the ratio.
fn print_features(target: &[f64], runs: &[Samples]) {
    let all: Vec<Vec<f64>> = runs.iter().map(features).collect();
    let simulated = mean(&all);
    let deviation = |at: usize| {
        let spread = all.iter().map(|run| (run[at] - simulated[at]).powi(2)).sum::<f64>();
        100.0 * (spread / (all.len() as f64 - 1.0).max(1.0)).sqrt()
    };
    let mut at = 0;
    for group in FEATURES {
        let (from, to) = group.inputs;
        print!("  {:4} {from:>6}..{:<6}", group.figure.name(), to.min(99_999));
        for (q, _) in group.quantiles {
            let (want, got) = (target[at].exp(), simulated[at].exp());
            let error = 100.0 * (got / want - 1.0);
            print!("  p{:.0} {want:.0}/{got:.0} {error:+.0}±{:.0}%", q * 100.0, deviation(at));
            at += 1;
        }
        println!();
    }
}
