//! `[client]`: what the load generator can hold.

use gorgo_config::{Count, Duration, Located};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The load generator between workload and router. Left out, it sends every request when it is due.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientTable {
    /// Requests that it can have under way at once; the others wait in its queue, first in, first out. GORGO's has 64.
    /// Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Located<Count>>,
    /// Requests that can wait in its queue; while it is full, later ones are not even looked at. 0: none waits there.
    /// GORGO's has 128. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Located<u32>>,
    /// It sends nothing before this; then all that was due goes at once. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_stall: Option<Duration>,
}
