//! The JSON schema of scenario files, for editors: generated from the types of `parsed.rs`, checked in as
//! `scenarios/scenario.schema.json`.

use crate::parsed::ScenarioTable;

/// The schema as JSON text, with a final line break.
///
/// # Panics
/// Never: a schema is JSON.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(ScenarioTable);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}
