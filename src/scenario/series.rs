//! Recorded series of round trips: read when a scenario is run, as a workload's file is.

use crate::data::read_csv;
use crate::{Resolved, ScenarioError};
use gorgo_config::{Diagnostic, Source};
use gorgo_model::Network;
use gorgo_model::network::{Interpolation, Sample, Traffic, check_samples};
use std::borrow::Cow;
use std::path::PathBuf;

/// The series of `data/network`, as (name, file, text).
pub const BUILT_IN: &[(&str, &str, &str)] = &[(
    "gorgo-v2-probes",
    "data/network/gorgo_v2_probes.csv",
    include_str!("../../data/network/gorgo_v2_probes.csv"),
)];

/// A series that takes the place of links' distributions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSpec {
    /// Where it is.
    pub source: SeriesSource,
    /// What takes its round trips.
    pub applies_to: Vec<Traffic>,
    /// What it says between two rows.
    pub interpolation: Interpolation,
}

/// Where a series is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeriesSource {
    /// In a CSV file; a relative path starts at the scenario file's folder.
    File(PathBuf),
    /// In the program: a name of [`BUILT_IN`].
    BuiltIn(String),
}

impl Resolved {
    /// The network with its recorded series, whose files are read now.
    ///
    /// # Errors
    /// When a file cannot be read or is malformed, names a region that the network does not have, or records a link for
    /// traffic that another series has recorded already.
    pub fn network_with_series(&self) -> Result<Network, ScenarioError> {
        let mut network = self.network.clone();
        let mut taken: Vec<(String, String, Traffic)> = Vec::new();
        for spec in &self.series {
            let (file, text, own): (Cow<'_, str>, Cow<'_, str>, bool) = match &spec.source {
                SeriesSource::File(path) => {
                    let path = self.base.join(path);
                    let text = std::fs::read_to_string(&path).map_err(|source| {
                        ScenarioError::UnreadableSeries { path: path.clone(), source }
                    })?;
                    (path.display().to_string().into(), text.into(), true)
                }
                SeriesSource::BuiltIn(wanted) => {
                    let found = BUILT_IN.iter().find(|(name, ..)| name == wanted);
                    let (_, file, text) = found.unwrap_or(&BUILT_IN[0]);
                    ((*file).into(), (*text).into(), false)
                }
            };
            let samples = read_series(&file, &text, &network, own)?;
            for kind in &spec.applies_to {
                let mut links: Vec<(String, String, Traffic)> = (samples.iter())
                    .map(|sample| (sample.from.clone(), sample.to.clone(), *kind))
                    .collect();
                links.sort_unstable();
                links.dedup();
                if let Some((from, to, _)) = links.iter().find(|link| taken.contains(link)) {
                    let problem = format!(
                        "got the link {from:?} to {to:?}, which another series has for the same traffic, \
                         wanted each once"
                    );
                    return Err(Diagnostic::whole_file(&*file, problem).into());
                }
                taken.extend(links);
            }
            network = network
                .with_series(&samples, spec.interpolation, &spec.applies_to)
                .map_err(|error| at_row(&file, &text, error.row, error.field, error.to_string()))?;
        }
        Ok(network)
    }
}

/// The samples of a CSV text; `own`: every region must be one of the network (of a built-in series some may not be).
///
/// # Errors
/// Where a row is malformed, with line and field.
pub fn read_series(
    file: &str,
    text: &str,
    network: &Network,
    own: bool,
) -> Result<Vec<Sample>, Diagnostic> {
    let samples: Vec<Sample> = read_csv(file, text)?;
    check_samples(&samples).map_err(|error| Diagnostic::whole_file(file, error.to_string()))?;
    for (row, sample) in samples.iter().enumerate().filter(|_| own) {
        for (field, name) in [("from", &sample.from), ("to", &sample.to)] {
            network
                .region(name)
                .map_err(|error| at_row(file, text, row, field, error.to_string()))?;
        }
    }
    Ok(samples)
}

/// An error at a row of a CSV text with a header and no quoted line breaks.
fn at_row(file: &str, text: &str, row: usize, field: &str, problem: String) -> Diagnostic {
    let mut lines = text.lines().filter(|line| !line.is_empty()).skip(row + 1);
    let Some(line) = lines.next() else {
        return Diagnostic::whole_file(file, problem);
    };
    let start = line.as_ptr().addr() - text.as_ptr().addr();
    Source::new(file, text).error(start..start + line.len(), field, problem)
}
