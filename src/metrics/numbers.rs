//! The numbers of a summary by their names: the dotted paths of `summary.json`.

use crate::Summary;
use serde_json::Value;

/// What a run's summary says, to be asked by dotted paths such as `ttft_ms.p99` or `replicas.0.requests`.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers(Value);

impl Numbers {
    /// The numbers of a summary.
    ///
    /// # Panics
    /// Never: a summary is JSON.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        Self(serde_json::to_value(summary).expect("a summary is JSON"))
    }

    /// The number at a path; none where there is none: no such path, or null, because the run does not have it.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<f64> {
        let found = path.split('.').try_fold(&self.0, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            value => value.get(key),
        });
        found?.as_f64()
    }
}
