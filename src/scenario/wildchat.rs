//! The preset `workload.wildchat`: chat sessions whose turns and lengths are the chat generator's defaults, which are
//! the published ones of WildChat, and whose users sit where a published sample of it says. The samples disagree, so
//! the scenario picks one. Languages and the drift of the rate over the day are not modelled.

use crate::data;
use crate::parsed::{ChatTable, CountrySample, WildchatTable};
use gorgo_config::Diagnostic;
use gorgo_workload::OriginShare;
use serde::Deserialize;

/// Conversations by sample and country; the row without a country is the rest of the sample, other or unknown.
const COUNTRIES: (&str, &str) = (
    "data/workload/wildchat_countries.csv",
    include_str!("../../data/workload/wildchat_countries.csv"),
);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    sample: String,
    country: Option<String>,
    conversations: u32,
    #[serde(rename = "source")]
    _source: String,
}

/// The chat table that the preset stands for.
pub(crate) fn chat_table(given: &WildchatTable) -> Result<ChatTable, Diagnostic> {
    let sample = given.countries.as_ref().map_or(CountrySample::default(), |sample| sample.value);
    Ok(ChatTable {
        requests: given.requests.clone(),
        duration: given.duration.clone(),
        users: given.users.clone(),
        max_tokens: given.max_tokens.clone(),
        origins: Some(origins(sample)?.into()),
        ..ChatTable::default()
    })
}

/// Where the conversations of a sample come from, by their number.
fn origins(sample: CountrySample) -> Result<Vec<OriginShare>, Diagnostic> {
    let rows: Vec<Row> = data::read_csv(COUNTRIES.0, COUNTRIES.1)?;
    let rows = rows.into_iter().filter(|row| row.sample == sample.name());
    let share = |row: Row| OriginShare {
        share: f64::from(row.conversations),
        country: row.country,
        ..OriginShare::default()
    };
    Ok(rows.map(share).collect())
}
