//! A second run of the two policies, by its quantiles: four days before the one whose requests are recorded, the authors
//! replayed the same requests on fleets of the same kind. One run says little of a fleet at its knee (under least-load the
//! two P50s of TTFT differ by 17 %), so what is fitted is the mean of both, in logarithms.
//!
//! Its requests are not part of the recorded data; `data/papers/v2_june10_fit.csv` has what is needed of them, as
//! `--table-of FILE` prints it for a file of requests.

use crate::loss::FEATURES;
use crate::measured::Samples;
use crate::{FITTED, features, repeats};
use std::fmt::Write as _;

const TABLE: &str = include_str!("../../../../data/papers/v2_june10_fit.csv");

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
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let rows = rows.filter_map(|line| line.strip_prefix(policy)?.strip_prefix(','));
    let (mut logs, mut classes) = (Vec::new(), repeats::Classes::default());
    for row in rows {
        let wrong = || format!("data/papers/v2_june10_fit.csv: got the row {row:?} of {policy}");
        let fields: Vec<&str> = row.split(',').collect();
        let [figure, from, _, quantile, value] = fields[..] else { return Err(wrong()) };
        let number = |text: &str| text.parse::<f64>().map_err(|_| wrong());
        if figure == "repeats" {
            let class: usize = from.parse().map_err(|_| wrong())?;
            *classes.get_mut(class).ok_or_else(wrong)? = (number(quantile)?, number(value)?);
        } else {
            logs.push(number(value)?.ln());
        }
    }
    let wanted: usize = FEATURES.iter().map(|group| group.quantiles.len()).sum();
    if logs.len() != wanted {
        let got = logs.len();
        return Err(format!(
            "data/papers/v2_june10_fit.csv: got {got} figures of {policy}, wanted {wanted}"
        ));
    }
    Ok(Second { features: logs, repeats: classes })
}
