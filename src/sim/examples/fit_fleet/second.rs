//! A second run of the two policies, by its quantiles: four days before the one whose requests are recorded, the authors
//! replayed the same requests on fleets of the same kind. One run says little of a fleet at its knee (under least-load the
//! two P50s of TTFT differ by 17 %), so what is fitted is the mean of both, in logarithms.
//!
//! Its requests are not part of the recorded data; `data/papers/v2_june10_fit.csv` has what is needed of them, as
//! `--table-of POLICY=FILE` prints it for a file of requests.

use crate::loss::FEATURES;
use crate::measured::Samples;
use crate::{FITTED, features, repeats};
use serde::Deserialize;
use std::fmt::Write as _;

const TABLE: &str = include_str!("../../../../data/papers/v2_june10_fit.csv");

const NAME: &str = "data/papers/v2_june10_fit.csv";

/// A row of it: a figure's quantile over a range of prompt lengths, or a class of repeats with its prompts and hits.
#[derive(Debug, Deserialize)]
struct Row {
    policy: String,
    figure: String,
    /// Of the prompt lengths, or the class.
    from: u32,
    #[serde(rename = "to")]
    _to: Option<u32>,
    /// Or how many prompts.
    quantile: f64,
    /// Or how many hits.
    value: f64,
}

/// What is known of one policy's second run.
pub struct Second {
    /// The logarithms of all features, in the order of [`FEATURES`].
    pub features: Vec<f64>,
    /// Requests and hits by class (`repeats.rs`).
    pub repeats: repeats::Classes,
}

/// The rows of a policy: features in their order, then the classes.
pub fn table(policy: &str, samples: &Samples) -> String {
    let mut text = String::new();
    let logs = features(samples);
    let mut at = 0;
    for group in FEATURES {
        let (from, to) = group.inputs;
        let to = if to == u32::MAX { String::new() } else { to.to_string() };
        for (quantile, _) in group.quantiles {
            let (name, value) = (group.figure.name(), logs[at].exp());
            let _ = writeln!(text, "{policy},{name},{from},{to},{quantile},{value:.2}");
            at += 1;
        }
    }
    for (class, (requests, hits)) in repeats::classes(samples).into_iter().enumerate() {
        let _ = writeln!(text, "{policy},repeats,{class},,{requests},{hits}");
    }
    text
}

/// The second runs of [`FITTED`], in that order.
pub fn runs() -> Result<Vec<Second>, String> {
    FITTED.iter().map(|policy| of(policy)).collect()
}

fn of(policy: &str) -> Result<Second, String> {
    let mut rows = csv::ReaderBuilder::new();
    let mut rows = rows.comment(Some(b'#')).has_headers(false).from_reader(TABLE.as_bytes());
    let (mut logs, mut classes) = (Vec::new(), repeats::Classes::default());
    for row in rows.deserialize() {
        let row: Row = row.map_err(|error| format!("{NAME}: {error}"))?;
        if row.policy != policy {
            continue;
        }
        if row.figure == "repeats" {
            let class = classes.get_mut(row.from as usize);
            let class = class.ok_or_else(|| format!("{NAME}: got {row:?}, wanted a class"))?;
            *class = (row.quantile, row.value);
        } else {
            logs.push(row.value.ln());
        }
    }
    let wanted: usize = FEATURES.iter().map(|group| group.quantiles.len()).sum();
    if logs.len() != wanted {
        let got = logs.len();
        return Err(format!("{NAME}: got {got} figures of {policy}, wanted {wanted}"));
    }
    Ok(Second { features: logs, repeats: classes })
}
