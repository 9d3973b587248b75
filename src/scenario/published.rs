//! The tables of `data/workload` behind `workload.art_chat` and `workload.servegen`, and the specs they stand for.

use crate::data;
use crate::parsed::{ArtWindow, ServegenService};
use gorgo_config::Diagnostic;
use gorgo_workload::art_chat::{ArtInputTokens, ArtTurns};
use gorgo_workload::{ArtChatSpec, ClientCv, LengthSpec, ServegenSpec, SystemPrompts, TokenShares};
use serde::Deserialize;

/// The windows of ART-Chat-2.5M.
const WINDOWS: (&str, &str) = (
    "data/workload/art_chat_windows.csv",
    include_str!("../../data/workload/art_chat_windows.csv"),
);

/// Services: their clients.
const SERVICES: (&str, &str) =
    ("data/workload/servegen_models.csv", include_str!("../../data/workload/servegen_models.csv"));

/// Services: their rates in windows of ten minutes, thousandths of the mean.
const RATES: (&str, &str) =
    ("data/workload/servegen_rates.csv", include_str!("../../data/workload/servegen_rates.csv"));

/// Services: their lengths.
const TOKENS: (&str, &str) =
    ("data/workload/servegen_tokens.csv", include_str!("../../data/workload/servegen_tokens.csv"));

/// Length of a window of `servegen_rates.csv`, in seconds.
const WINDOW_S: f64 = 600.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowRow {
    window: String,
    requests: u32,
    users: u32,
    top_user_share: f64,
    multi_turn_share: f64,
    requests_per_conversation: f64,
    turns_mean: f64,
    turns_median: f64,
    turns_p90: f64,
    turns_max: f64,
    input_median: u32,
    input_mean: f64,
    input_p95: u32,
    reuse_intra_user: f64,
    #[serde(rename = "reuse_global")]
    _reuse_global: f64,
    system_tokens: f64,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceRow {
    model: String,
    clients: u32,
    rate_rps: f64,
    top10_share: f64,
    cv_p10: f64,
    cv_p50: f64,
    cv_p90: f64,
    weibull_share: f64,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateRow {
    #[serde(rename = "window")]
    _window: u32,
    #[serde(rename = "m-large")]
    m_large: Option<u32>,
    #[serde(rename = "m-mid")]
    m_mid: Option<u32>,
    #[serde(rename = "m-small")]
    m_small: Option<u32>,
    #[serde(rename = "deepseek-r1")]
    deepseek_r1: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensRow {
    model: String,
    what: String,
    tokens: u32,
    share_at_most: f64,
}

/// A built-in table that lacks what the program asks it for.
fn lacking(file: &str, name: &str) -> Diagnostic {
    Diagnostic::whole_file(file, format!("got no row of {name}, wanted one"))
}

/// What is published of a window.
pub(crate) fn window(window: ArtWindow) -> Result<ArtChatSpec, Diagnostic> {
    let rows: Vec<WindowRow> = data::read_csv(WINDOWS.0, WINDOWS.1)?;
    let row = rows.into_iter().find(|row| row.window == window.name());
    let row = row.ok_or_else(|| lacking(WINDOWS.0, window.name()))?;
    let default = ArtChatSpec::default();
    let tokens = LengthSpec { mean: row.system_tokens, ..default.system.tokens };
    Ok(ArtChatSpec {
        requests: row.requests,
        users: row.users,
        top_user_share: row.top_user_share,
        multi_turn_share: row.multi_turn_share,
        requests_per_conversation: row.requests_per_conversation,
        turns: ArtTurns {
            mean: row.turns_mean,
            median: row.turns_median,
            p90: row.turns_p90,
            max: row.turns_max,
        },
        input_tokens: ArtInputTokens {
            median: row.input_median,
            mean: row.input_mean,
            p95: row.input_p95,
            ..default.input_tokens
        },
        reuse_intra_user: row.reuse_intra_user,
        system: SystemPrompts { tokens, ..default.system },
        ..default
    })
}

/// What is published of a service, without an end; `steady`: at its mean rate.
pub(crate) fn service(service: ServegenService, steady: bool) -> Result<ServegenSpec, Diagnostic> {
    let name = service.name();
    let rows: Vec<ServiceRow> = data::read_csv(SERVICES.0, SERVICES.1)?;
    let row = rows.into_iter().find(|row| row.model == name);
    let row = row.ok_or_else(|| lacking(SERVICES.0, name))?;
    let tokens: Vec<TokensRow> = data::read_csv(TOKENS.0, TOKENS.1)?;
    let tokens = |what: &str| {
        let rows = tokens.iter().filter(|row| row.model == name && row.what == what);
        TokenShares(rows.map(|row| (row.tokens, row.share_at_most)).collect())
    };
    let rates = if steady { vec![1.0] } else { rates(service)? };
    Ok(ServegenSpec {
        requests: None,
        duration_s: None,
        rate_rps: row.rate_rps,
        rates,
        window_s: WINDOW_S,
        start_s: 0.0,
        clients: row.clients,
        top10_share: row.top10_share,
        cv: ClientCv { p10: row.cv_p10, p50: row.cv_p50, p90: row.cv_p90 },
        weibull_share: row.weibull_share,
        input_tokens: tokens("input"),
        output_tokens: tokens("output"),
        block_tokens: 16,
        origins: Vec::new(),
    })
}

fn rates(service: ServegenService) -> Result<Vec<f64>, Diagnostic> {
    let rows: Vec<RateRow> = data::read_csv(RATES.0, RATES.1)?;
    let of = |row: &RateRow| match service {
        ServegenService::MLarge => row.m_large,
        ServegenService::MMid => row.m_mid,
        ServegenService::MSmall => row.m_small,
        ServegenService::DeepseekR1 => row.deepseek_r1,
    };
    Ok(rows.iter().filter_map(of).map(f64::from).collect())
}
