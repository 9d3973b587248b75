//! `[cost]`: what things cost.

use gorgo_config::{Located, NonNegative, UsdPerGb, UsdPerHour};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What things cost. Prices that are left out are those of `data/prices`, as far as it has them; what then has no price
/// is null in the result, and named there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostTable {
    /// Whether a replica costs something while it has nothing to do, as a rented GPU does. False: it costs the share of
    /// the run in which it was busy. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_idle: Option<bool>,
    /// Bytes that travel for a token of a prompt. Default: 4.5, an assumption: 4 characters of English and their JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_prompt_token: Option<Located<NonNegative>>,
    /// Bytes that travel for a token of an answer. Default: 320, a streamed chunk of one token as SGLang writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_output_token: Option<Located<NonNegative>>,
    /// GPUs by name: what a profile is called before its `_`, without `-tpN`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gpus: BTreeMap<String, Located<GpuPriceTable>>,
    /// Traffic by the region that sends, then by the region that receives, or `internet` for clients.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub egress: EgressTable,
}

/// Prices of traffic by the region that sends.
pub type EgressTable = BTreeMap<String, Located<ReceiverTable>>;

/// Prices of what one region sends, by the region that receives, or `internet`.
pub type ReceiverTable = BTreeMap<String, Located<EgressPriceTable>>;

/// The price of a GPU.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuPriceTable {
    /// One GPU for an hour.
    pub price: UsdPerHour,
    /// Where the price comes from, for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The price of traffic.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EgressPriceTable {
    /// A GB, of 10^9 bytes.
    pub price: UsdPerGb,
    /// Where the price comes from, for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}
