//! `tuner`, of a policy: what changes its weights while it routes. The strategies' parameters are the routing crate's
//! own types, which say what each number means and what it is where nothing is said.

use gorgo_config::Located;
use gorgo_routing::tuner::{
    Objective, OneFifthParameters, PairedParameters, ScheduleParameters, StrategyConfig,
    TunerConfig,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What changes a policy's weights while it routes, starting from the policy's own: exactly one strategy.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TunerTable {
    /// The weights, each with its box: the smallest and the largest value.
    pub weights: Located<BTreeMap<String, Located<[f64; 2]>>>,
    /// What is made small. Default: the 95th percentile of TTFT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "numbers::<Objective>")]
    pub objective: Option<Located<Objective>>,
    /// The published tuner of GORGO v2: one candidate after the other, by windows of completed requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "numbers::<OneFifthParameters>")]
    pub one_fifth: Option<Located<OneFifthParameters>>,
    /// This project's: levels above and below the best known in the same minutes, compared by a rank test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "numbers::<PairedParameters>")]
    pub paired: Option<Located<PairedParameters>>,
    /// Weights as somebody's log has them: each from so many completed requests on. Nothing is searched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schedule")]
    pub schedule: Option<Located<ScheduleParameters>>,
}

impl TunerTable {
    /// The table that says all of this.
    #[must_use]
    pub fn of(config: &TunerConfig) -> Self {
        let boxes = config.weights.iter();
        let boxes = boxes.map(|weight| (weight.name.clone(), [weight.low, weight.high].into()));
        let mut table = Self {
            weights: boxes.collect::<BTreeMap<_, _>>().into(),
            objective: Some(config.objective.into()),
            one_fifth: None,
            paired: None,
            schedule: None,
        };
        match &config.strategy {
            StrategyConfig::OneFifth(parameters) => table.one_fifth = Some((*parameters).into()),
            StrategyConfig::Paired(parameters) => table.paired = Some((*parameters).into()),
            StrategyConfig::Schedule(parameters) => {
                table.schedule = Some(parameters.clone().into());
            }
        }
        table
    }
}

/// The schema of a schedule.
fn schedule(_: &mut SchemaGenerator) -> Schema {
    let weights = json!({ "type": "object", "additionalProperties": { "type": "number" } });
    let completed = json!({ "type": "integer", "minimum": 1 });
    let change = json!({
        "type": "object",
        "properties": { "completed": completed, "weights": weights },
        "required": ["completed", "weights"],
        "additionalProperties": false,
    });
    let changes = json!({ "type": "array", "items": change, "minItems": 1 });
    let table = json!({
        "type": "object",
        "properties": { "changes": changes },
        "required": ["changes"],
        "additionalProperties": false,
    });
    Schema::try_from(table).unwrap_or_default()
}

/// The schema of a table of numbers and switches, all of which may be left out: names and defaults are those of the
/// type itself.
fn numbers<T: Default + Serialize>(_: &mut SchemaGenerator) -> Schema {
    let defaults = serde_json::to_value(T::default()).unwrap_or_default();
    Schema::try_from(described(&defaults)).unwrap_or_default()
}

fn described(default: &Value) -> Value {
    match default {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| (name.clone(), described(field)));
            let fields: Map<String, Value> = fields.collect();
            json!({ "type": "object", "properties": fields, "additionalProperties": false })
        }
        Value::Bool(_) => json!({ "type": "boolean", "default": default }),
        Value::Number(number) if number.is_u64() => {
            json!({ "type": "integer", "default": default })
        }
        _ => json!({ "type": "number", "default": default }),
    }
}
