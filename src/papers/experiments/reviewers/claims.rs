//! What the sentences of a question say beside their figures, in a form that runs can contradict.
//!
//! "Has the lowest P95 at every load", "hardly matters": words do not change when numbers do. So each question lists what
//! its words claim, and the page says below them what these runs do not bear out. A claim is a word and its parts, divided
//! by bars; a point `*` stands for every point of the panel:
//! - `lowest panel | point | policy | metric`, `highest` likewise: the median over seeds, among all policies;
//! - `lower panel | point | policy | other | metric`, `higher`, `about`: the median of the changes under the same seeds
//!   is below zero, above it, within [`ABOUT`] of it;
//! - `falls panel | point | other point | policy | metric`, `rises`, `keeps`: the same for one policy from the first point
//!   to the other;
//! - `parts panel | point | policy | metric | value`: in some seeds below the value, in some above it.

use super::table::Table;
use crate::error::PapersError;

/// A change of so little is called none.
const ABOUT: f64 = 0.05;

/// A point of a panel: their numbers.
type Place = (usize, usize);

/// What the question's words claim and these runs do not show, each with what they show instead.
///
/// # Errors
/// When a claim is none, or about what was not measured.
pub fn unheld(table: &Table<'_>) -> Result<Vec<String>, PapersError> {
    let question = table.question();
    let mut unheld = Vec::new();
    for claim in question.claims {
        let instead = against(table, claim).ok_or_else(|| PapersError::Experiment {
            experiment: format!("reviewers, {}", question.id),
            problem: format!("`{claim}` claims nothing that was measured"),
        })?;
        unheld.extend(instead.into_iter().map(|instead| format!("`{claim}`: {instead}")));
    }
    Ok(unheld)
}

/// Where runs contradict a claim; none for what is no claim.
fn against(table: &Table<'_>, claim: &str) -> Option<Vec<String>> {
    let (word, parts) = claim.split_once(' ')?;
    let parts: Vec<&str> = parts.split('|').map(str::trim).collect();
    match (word, &parts[..]) {
        ("lowest" | "highest", [panel, point, policy, key]) => {
            let places = table.places_of(panel, point)?;
            let each =
                places.into_iter().map(|at| outdone(table, word == "lowest", at, policy, key));
            each.collect::<Option<Vec<_>>>().map(|found| found.into_iter().flatten().collect())
        }
        ("lower" | "higher" | "about", [panel, point, policy, other, key]) => {
            let places = table.places_of(panel, point)?;
            let each =
                places.into_iter().map(|at| moved(table, word, (at, policy), (at, other), key));
            each.collect::<Option<Vec<_>>>().map(|found| found.into_iter().flatten().collect())
        }
        ("falls" | "rises" | "keeps", [panel, from, to, policy, key]) => {
            let &[from] = &table.places_of(panel, from)?[..] else { return None };
            let &[to] = &table.places_of(panel, to)?[..] else { return None };
            moved(table, word, (to, policy), (from, policy), key)
                .map(|found| found.into_iter().collect())
        }
        ("parts", [panel, point, policy, key, value]) => {
            let &[at] = &table.places_of(panel, point)?[..] else { return None };
            let value: f64 = value.parse().ok()?;
            let seeds: Vec<f64> = table.by_seed(at, policy, key).map(|(_, value)| value).collect();
            let (below, above) =
                (seeds.iter().any(|v| *v < value), seeds.iter().any(|v| *v > value));
            let instead = if below { "no seed is above it" } else { "no seed is below it" };
            let held = below && above;
            (!seeds.is_empty()).then(|| if held { vec![] } else { vec![instead.to_owned()] })
        }
        _ => None,
    }
}

/// Who has a lower (or higher) median than the policy at a point, if anybody.
fn outdone(
    table: &Table<'_>,
    lowest: bool,
    at: Place,
    policy: &str,
    key: &str,
) -> Option<Option<String>> {
    let own = table.spread(at, policy, key)?.median;
    let better = |median: f64| if lowest { median < own } else { median > own };
    let others = table.policies(at.0).into_iter().filter(|other| *other != policy);
    let found = others.filter_map(|other| Some((other, table.spread(at, other, key)?.median)));
    let point = &table.question().panels[at.0].points[at.1].label;
    let show =
        |(other, median): (&str, f64)| format!("{other} has {median:.3} at {point}, not {own:.3}");
    Some(found.into_iter().find(|&(_, median)| better(median)).map(show))
}

/// The change, if it is not the one that was claimed.
fn moved(
    table: &Table<'_>,
    word: &str,
    first: (Place, &str),
    second: (Place, &str),
    key: &str,
) -> Option<Option<String>> {
    let change = table.pairs(first, second, key)?.change.median;
    let held = match word {
        "lower" | "falls" => change < 0.0,
        "higher" | "rises" => change > 0.0,
        _ => change.abs() <= ABOUT,
    };
    let point = &table.question().panels[first.0.0].points[first.0.1].label;
    Some((!held).then(|| format!("{:+.1} % at {point}", 100.0 * change)))
}
