//! What the proxy costs: the same load straight at a replica, through `gorgo proxy`, and through sglang-router, in turn.
//!
//! ```text
//! cargo run --release -p gorgo-proxy --example overhead -- [--seconds 2] [--rounds 3] [--concurrency 1,32,256]
//!     [--acks default,quick] [--policies round-robin,cache-aware,power-of-two,gorgo] [--sglang-router PYTHON]
//! ```
//!
//! `overhead --soak 600` sends load through one proxy for so long instead and fails if its memory grows.
//!
//! Replicas are mocks in a process of their own that answer at once with 16 events; every proxy is a process of its own,
//! too, so that its CPU time can be read. Client, mocks and proxy share the machine: added times are upper bounds, and what
//! compares is the ratio of two proxies in the same round. All are up all the time and are measured one after the other,
//! round by round, so that drift hits all alike; each figure is the median over the rounds. `PYTHON` is the interpreter of
//! an environment with sglang-router in it. Page: the crate's README.md.

mod load;
mod mock;
mod page;
mod soak;
mod target;

use load::{Acks, Load};
use page::{Line, Page};
use std::time::Duration;
use target::{Mocks, Target};

/// What is to be measured.
struct Options {
    seconds: f64,
    rounds: usize,
    concurrency: Vec<usize>,
    acks: Vec<Acks>,
    policies: Vec<String>,
    python: Option<String>,
    soak: Option<f64>,
}

impl Options {
    fn read(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            seconds: 2.0,
            rounds: 3,
            concurrency: vec![1, 32, 256],
            acks: vec![Acks::Default, Acks::Quick],
            policies: ["round-robin", "cache-aware", "power-of-two", "gorgo"]
                .map(str::to_owned)
                .to_vec(),
            python: None,
            soak: None,
        };
        let mut args = args;
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name}: a value is missing"))?;
            let wrong = || format!("{name}: got {value:?}");
            match name.as_str() {
                "--seconds" => {
                    let seconds = value.parse().ok().filter(|s| (0.1..=600.0).contains(s));
                    options.seconds = seconds.ok_or_else(|| wrong() + ", wanted 0.1 to 600")?;
                }
                "--rounds" => {
                    let rounds = value.parse().ok().filter(|r| (1..=1000).contains(r));
                    options.rounds = rounds.ok_or_else(|| wrong() + ", wanted 1 to 1000")?;
                }
                "--concurrency" => {
                    let one = |c: &str| c.parse().ok().filter(|c| (1..=10_000).contains(c));
                    let all: Option<Vec<usize>> = value.split(',').map(one).collect();
                    options.concurrency = all.ok_or_else(|| wrong() + ", wanted numbers from 1")?;
                }
                "--acks" => {
                    let one = |acks: &str| match acks {
                        "default" => Some(Acks::Default),
                        "quick" => Some(Acks::Quick),
                        _ => None,
                    };
                    let all: Option<Vec<Acks>> = value.split(',').map(one).collect();
                    options.acks = all.ok_or_else(|| wrong() + ", wanted default or quick")?;
                }
                "--policies" => options.policies = value.split(',').map(str::to_owned).collect(),
                "--sglang-router" => options.python = Some(value),
                "--soak" => {
                    let seconds = value.parse().ok().filter(|s| (10.0..=1e6).contains(s));
                    options.soak = Some(seconds.ok_or_else(|| wrong() + ", wanted 10 or more")?);
                }
                _ => return Err(format!("{name}: there is no such option")),
            }
        }
        Ok(options)
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    let done = match first.as_deref() {
        Some("mocks") => mock::serve(),
        Some("proxy") => target::serve_proxy(&args.next().unwrap_or_default()),
        _ => Options::read(first.into_iter().chain(args)).and_then(|options| match options.soak {
            Some(seconds) => soak::run(seconds, &options.policies),
            None => measure(&options),
        }),
    };
    if let Err(problem) = done {
        eprintln!("{problem}");
        std::process::exit(2);
    }
}

fn measure(options: &Options) -> Result<(), String> {
    let mocks = Mocks::start()?;
    let mut targets = vec![Target::direct(&mocks)];
    for policy in &options.policies {
        targets.push(Target::gorgo(&mocks, policy)?);
    }
    if let Some(python) = &options.python {
        for policy in ["round_robin", "cache_aware", "power_of_two"] {
            targets.push(Target::sglang_router(&mocks, python, policy)?);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    // Connections are opened, caches warmed, lazily loaded code loaded.
    for target in &targets {
        let load = Load { concurrency: 4, acks: Acks::Quick, time: Duration::from_millis(300) };
        runtime.block_on(load.run(target.address))?;
    }
    let mut page = Page::default();
    for &acks in &options.acks {
        for &concurrency in &options.concurrency {
            for round in 0..options.rounds {
                let time = Duration::from_secs_f64(options.seconds);
                let load = Load { concurrency, acks, time };
                for place in 0..targets.len() {
                    // Each round begins with another one.
                    let target = &targets[(place + round) % targets.len()];
                    let before = target.cpu_s();
                    let times = runtime.block_on(load.run(target.address))?;
                    let cpu_s = target.cpu_s() - before;
                    eprintln!("{acks:?} {concurrency} {}: {} requests", target.name, times.count());
                    page.add(Line {
                        acks,
                        concurrency,
                        round,
                        name: target.name.clone(),
                        times,
                        cpu_s,
                    });
                }
            }
        }
    }
    print!("{}", page.text());
    Ok(())
}
