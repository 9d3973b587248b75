//! The list of questions, in the order of the page. Adding one: a function that gives it, a line here, and its scenario.

mod additive;
mod age;
mod baselines;
mod counting;
mod network;
mod prompts;
mod scale;
mod topology;
mod weights;

use super::question::{Point, Question, Scenario};

/// Every question.
#[must_use]
pub fn all() -> Vec<Question> {
    vec![
        baselines::baselines(),
        weights::prefill_rate(),
        weights::ablation(),
        age::staleness(),
        additive::additive(),
        additive::kv_pressure(),
        scale::regions(),
        scale::models(),
        prompts::prompt_length(),
        network::network(),
        topology::topology(),
        counting::equal_counts(),
        counting::throughput(),
    ]
}

/// A scenario file of `scenarios/papers/reviewers`, built in.
macro_rules! scenario {
    ($name:literal) => {
        Scenario {
            file: $name,
            text: include_str!(concat!("../../../../../scenarios/papers/reviewers/", $name)),
        }
    };
}
use scenario;

/// Requests/s that three H100s complete of long chats under least-load however many more are offered (17.6 to 18.6 over
/// seeds at 20 to 27 offered).
const LONG_CAPACITY_RPS: f64 = 18.0;
/// Sessions/s of worldwide chat at which their backlog begins to grow within the first 8,000 requests (26 requests/s come
/// there, 24.7 end). Sessions grow longer with time, so it is a capacity of the first minutes.
const CHAT_CAPACITY_RPS: f64 = 11.0;

/// Shares of a capacity, in percent, as points that change the rate.
fn loads(capacity_rps: f64, shares_pct: &[u32], unit: &str) -> Vec<Point> {
    let point = |&share: &u32| {
        let rate = capacity_rps * f64::from(share) / 100.0;
        Point::new(format!("{share} %"), &[&format!("load.poisson.rate=\"{rate:.3} {unit}\"")])
    };
    shares_pct.iter().map(point).collect()
}

fn long_loads(shares_pct: &[u32]) -> Vec<Point> {
    loads(LONG_CAPACITY_RPS, shares_pct, "req/s")
}

fn chat_loads(shares_pct: &[u32]) -> Vec<Point> {
    loads(CHAT_CAPACITY_RPS, shares_pct, "sessions/s")
}

/// Points that set one key to several values.
fn values(path: &str, all: &[&str]) -> Vec<Point> {
    all.iter().map(|value| Point::new(*value, &[&format!("{path}=\"{value}\"")])).collect()
}
