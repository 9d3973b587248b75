//! `[live]`: how `gorgo live` sends a scenario's requests to real URLs. A simulation passes it over.

use gorgo_config::{Count, Located, PositiveDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Real URLs, and how they are spoken to. The options of `gorgo live` come before it. Tokens never stand here: the names
/// of environment variables that hold them do.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveTable {
    /// Where requests go: `http://HOST:PORT`, or `REPLICA=http://HOST:PORT` with a replica's name. Default: `--url` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
    /// In which dialect: `completions`, `chat` or `generate`. Default: completions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<LiveApi>,
    /// The model's name in requests. Default: none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether answers stream. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// How long answers are: as the workload says (`forced`), or as the model likes (`natural`). Default: forced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<LiveLengths>,
    /// Prompts are ids of tokens below this number, instead of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Located<Count>>,
    /// Whether the replicas are `gorgo emulate`'s. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulated: Option<bool>,
    /// The way between client and router: as it is (`real`), or the scenario's (`emulated`). Default: real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_legs: Option<LiveLegs>,
    /// The environment variable that holds the token of `authorization: Bearer TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// Headers of every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How long to wait for a connection. Default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<PositiveDuration>,
    /// How long to wait for the first token. Default: as for the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_timeout: Option<PositiveDuration>,
    /// How long to wait for the end of an answer. Default: 10min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<PositiveDuration>,
    /// How often a request is sent again that failed before its first token. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Located<Count>>,
    /// How late requests may be sent at the 99th percentile. Default: 50ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_send_lag: Option<PositiveDuration>,
    /// How often each policy runs, in turn with the others. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<Located<Count>>,
    /// The proxy's admin API, at which policies are switched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<String>,
    /// The environment variable that holds the admin API's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_token_env: Option<String>,
    /// Whether caches are emptied before each run. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush: Option<bool>,
}

/// Dialects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LiveApi {
    /// OpenAI's completions.
    #[default]
    Completions,
    /// OpenAI's chat completions.
    Chat,
    /// SGLang's own.
    Generate,
}

/// How long answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LiveLengths {
    /// As the workload says.
    #[default]
    Forced,
    /// As the model likes.
    Natural,
}

/// The way between client and router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LiveLegs {
    /// As it is.
    #[default]
    Real,
    /// The scenario's.
    Emulated,
}
