//! The preset `workload.wildchat`: chat sessions whose turns, lengths, places and arrivals are the published ones of
//! WildChat. It stands for a chat table, which is what a resolved scenario says.
//!
//! - Turns are the chat generator's default.
//! - Lengths are lognormal with the published means and deviations *after* cutting. The mean alone fixes little of so
//!   heavy a tail: a cut below 9,054 tokens cannot reach the deviation of user texts at all (it asks for a mean square
//!   of 2.68 million), and one at 32,768 would push the median from 44 tokens down to 21. So texts may be as long as a
//!   context of 131,072 holds.
//! - Where users sit comes from a published sample of countries. The samples disagree, so the scenario picks one.
//! - The rate follows users' local time by a curve of ServeGen's, since none is published for WildChat, and drifts as
//!   much as its gaps say.
//!
//! Not modelled: languages, which go with the country and change nothing in tokens; toxic conversations; models.

use crate::data;
use crate::parsed::{ChatTable, CountrySample, DayTable, HourlyCurve, WildchatTable};
use gorgo_config::{Diagnostic, NonNegative};
use gorgo_workload::{LengthSpec, OriginShare};
use serde::Deserialize;

/// Conversations by sample and country; the row without a country is the rest of the sample, other or unknown.
const COUNTRIES: (&str, &str) = (
    "data/workload/wildchat_countries.csv",
    include_str!("../../data/workload/wildchat_countries.csv"),
);

/// English prompts from the United States by state; the row without a state is the rest.
const US_STATES: (&str, &str) = (
    "data/workload/wildchat_us_states.csv",
    include_str!("../../data/workload/wildchat_us_states.csv"),
);

/// Relative rates by curve and hour.
const HOURLY: (&str, &str) =
    ("data/workload/hourly.csv", include_str!("../../data/workload/hourly.csv"));

/// User texts: 295.58 ± 1609.18 tokens (Table 1 of arXiv 2405.01470) once cut at `max`, which is the longest that leaves
/// room in a context of 131,072 for a system prompt and an answer of 4,096 each.
const USER_TOKENS: LengthSpec =
    LengthSpec { mean: 297.896, sd: 2017.73, min: 1, max: 131_072 - 2 * 4_096 };

/// Answers: 441.34 ± 410.91 tokens (the same table) once cut at `max`.
const OUTPUT_TOKENS: LengthSpec = LengthSpec { mean: 442.187, sd: 421.08, min: 1, max: 4_096 };

/// The context that the published lengths need.
const CONTEXT_TOKENS: u32 = 131_072;

/// Spread of the drift. Published gaps between conversations (529,428 of them) have a median of 22.0 s and a P95 of
/// 108 s, 0.641 and 3.15 times the 34.3 s that 105 an hour come to; a lognormal rate with a deviation of 0.35 gives
/// 0.644 and 3.16, and the curve brings some of it. (The mean gap of 35.3 s also counts the 87 of 5,129 hours in which
/// nothing came.) Hourly counts spread more, 105 ± 61: no lognormal drift has both, and gaps are what a router meets.
const DRIFT_CV: f64 = 0.34;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountryRow {
    sample: String,
    country: Option<String>,
    conversations: u32,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateRow {
    #[serde(rename = "sample")]
    _sample: String,
    state: Option<String>,
    prompts: u32,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HourRow {
    curve: String,
    hour: usize,
    relative_rate: f64,
    #[serde(rename = "source")]
    _source: String,
}

/// The chat table that the preset stands for; `has_rate`: sessions arrive at a rate, which can follow the day.
pub(crate) fn chat_table(given: &WildchatTable, has_rate: bool) -> Result<ChatTable, Diagnostic> {
    let sample = given.countries.as_ref().map_or(CountrySample::default(), |sample| sample.value);
    let origins = origins(sample, given.us_states.unwrap_or(true))?;
    let day = if has_rate { Some(day(given)?.into()) } else { None };
    Ok(ChatTable {
        requests: given.requests.clone(),
        duration: given.duration.clone(),
        users: given.users.clone(),
        max_tokens: given.max_tokens.clone(),
        turns: given.turns.clone(),
        think: given.think.clone(),
        system: given.system.clone(),
        user_tokens: Some(USER_TOKENS.into()),
        output_tokens: given.output_tokens.clone().or(Some(OUTPUT_TOKENS.into())),
        context_tokens_max: given
            .context_tokens_max
            .clone()
            .or_else(|| Some(CONTEXT_TOKENS.into())),
        origins: Some(origins.into()),
        day,
        ..ChatTable::default()
    })
}

/// Where the conversations of a sample come from, by their number.
fn origins(sample: CountrySample, us_states: bool) -> Result<Vec<OriginShare>, Diagnostic> {
    let rows: Vec<CountryRow> = data::read_csv(COUNTRIES.0, COUNTRIES.1)?;
    let states: Vec<StateRow> = data::read_csv(US_STATES.0, US_STATES.1)?;
    let of_states: f64 = states.iter().map(|row| f64::from(row.prompts)).sum();
    let mut origins = Vec::new();
    for row in rows.into_iter().filter(|row| row.sample == sample.name()) {
        let share = f64::from(row.conversations);
        let country = row.country;
        if us_states && country.as_deref() == Some("United States") {
            origins.extend(states.iter().map(|state| OriginShare {
                share: share * f64::from(state.prompts) / of_states,
                country: country.clone(),
                state: state.state.clone(),
                ..OriginShare::default()
            }));
        } else {
            origins.push(OriginShare { share, country, ..OriginShare::default() });
        }
    }
    Ok(origins)
}

fn day(given: &WildchatTable) -> Result<DayTable, Diagnostic> {
    let curve = given.curve.as_ref().map_or(HourlyCurve::default(), |curve| curve.value);
    let drift_cv = given.drift_cv.clone().unwrap_or(NonNegative(DRIFT_CV).into());
    Ok(DayTable {
        start: given.start.as_ref().map_or_else(Default::default, |start| start.value),
        hourly: hourly(curve)?.into(),
        drift_cv: Some(drift_cv),
        drift_time: None,
    })
}

/// The 24 rates of a curve.
fn hourly(curve: HourlyCurve) -> Result<Vec<f64>, Diagnostic> {
    let mut rates = vec![1.0; 24];
    let rows: Vec<HourRow> = data::read_csv(HOURLY.0, HOURLY.1)?;
    for row in rows.iter().filter(|row| row.curve == curve.name()) {
        if let Some(rate) = rates.get_mut(row.hour) {
            *rate = row.relative_rate;
        }
    }
    Ok(rates)
}
