//! From the command line to `gorgo_live::Options`.

use super::{ApiArg, LegsArg, LengthsArg, LiveArgs};
use crate::exit::Failure;
use gorgo_config::{Count, Duration, Located, PositiveDuration};
use gorgo_live::{
    Admin, Api, ClientLegs, HeaderName, HeaderValue, Lengths, Options, Patience, Prompts, Target,
};
use gorgo_scenario::Resolved;
use gorgo_scenario::parsed::{LiveApi, LiveLegs, LiveLengths, LiveTable};
use std::time;

/// The options, checked: those of the command line, else those of the scenario's table, else the defaults.
pub fn options(args: &LiveArgs, scenario: &Resolved) -> Result<Options, Failure> {
    let table = scenario.live.clone().unwrap_or_default();
    let urls = if args.url.is_empty() { table.urls.as_deref() } else { Some(&args.url[..]) };
    let urls = urls.filter(|urls| !urls.is_empty()).ok_or_else(|| {
        Failure::input(
            "got no URL, wanted --url http://HOST:PORT, or urls in the scenario's [live]",
        )
    })?;
    let targets: Result<Vec<_>, _> = urls.iter().map(|url| Target::parse(url)).collect();
    let default = Options::new(targets.map_err(Failure::input)?);
    let api = args.api.unwrap_or(match table.api.unwrap_or_default() {
        LiveApi::Completions => ApiArg::Completions,
        LiveApi::Chat => ApiArg::Chat,
        LiveApi::Generate => ApiArg::Generate,
    });
    let lengths = args.lengths.unwrap_or(match table.lengths.unwrap_or_default() {
        LiveLengths::Forced => LengthsArg::Forced,
        LiveLengths::Natural => LengthsArg::Natural,
    });
    let legs = args.client_legs.unwrap_or(match table.client_legs.unwrap_or_default() {
        LiveLegs::Real => LegsArg::Real,
        LiveLegs::Emulated => LegsArg::Emulated,
    });
    let count = |given: &Option<Located<Count>>| {
        given.as_ref().map(|count| u32::try_from(count.value.0).unwrap_or(u32::MAX))
    };
    let options = Options {
        api: match api {
            ApiArg::Completions => Api::Completions,
            ApiArg::Chat => Api::Chat,
            ApiArg::Generate => Api::Generate,
        },
        model: args.model.clone().or_else(|| table.model.clone()),
        stream: !args.no_stream && table.stream.unwrap_or(true),
        lengths: match lengths {
            LengthsArg::Forced => Lengths::Forced,
            LengthsArg::Natural => Lengths::Natural,
        },
        prompts: args
            .token_ids
            .or_else(|| count(&table.token_ids))
            .map_or(Prompts::Text, Prompts::TokenIds),
        emulated: args.emulated || table.emulated.unwrap_or(false),
        client_legs: match legs {
            LegsArg::Real => ClientLegs::Real,
            LegsArg::Emulated => ClientLegs::Emulated,
        },
        headers: headers(args, &table)?,
        ca: args.ca.clone(),
        patience: patience(args, &table, default.patience)?,
        lag_limit: span("max-send-lag", args.max_send_lag.as_deref(), table.max_send_lag)?
            .unwrap_or(default.lag_limit),
        rounds: args.rounds.or_else(|| count(&table.rounds)).unwrap_or(1),
        admin: admin(args, &table)?,
        ..default
    };
    options.check().map_err(Failure::input)?;
    Ok(options)
}

/// A span of the command line, else of the table.
fn span(
    name: &str,
    text: Option<&str>,
    table: Option<PositiveDuration>,
) -> Result<Option<time::Duration>, Failure> {
    let read = text.map(|text| {
        let read: Result<Duration, _> = text.parse();
        read.map(|span| span.0).map_err(|e| Failure::input(format!("--{name}: {e}")))
    });
    let span = read.transpose()?.or(table.map(|span| span.0));
    Ok(span.map(|span| time::Duration::from_nanos(span.0)))
}

fn patience(args: &LiveArgs, table: &LiveTable, default: Patience) -> Result<Patience, Failure> {
    let retries = table.retries.as_ref().map(|count| count.value.0.min(1_000) as u32);
    let connect = args.connect_timeout.as_deref();
    Ok(Patience {
        connect: span("connect-timeout", connect, table.connect_timeout)?
            .unwrap_or(default.connect),
        first_token: span(
            "first-token-timeout",
            args.first_token_timeout.as_deref(),
            table.first_token_timeout,
        )?,
        whole: span("timeout", args.timeout.as_deref(), table.timeout)?.unwrap_or(default.whole),
        retries: args.retries.or(retries).unwrap_or(0),
        ..default
    })
}

/// Headers of every request. No value is ever printed: it may be a secret.
fn headers(args: &LiveArgs, table: &LiveTable) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let mut headers = Vec::new();
    for (name, value) in &table.headers {
        let refuse =
            || Failure::input(format!("[live] headers: `{name}` is no header of one line"));
        let name = name.parse().map_err(|_| refuse())?;
        headers.push((name, HeaderValue::from_str(value).map_err(|_| refuse())?));
    }
    for (number, text) in (1..).zip(&args.header) {
        let wanted = || Failure::input(format!("--header (the {number}. one): wanted NAME:VALUE"));
        let (name, value) = text.split_once(':').ok_or_else(wanted)?;
        let name = name.trim().parse().map_err(|_| wanted())?;
        headers.push((name, HeaderValue::from_str(value.trim()).map_err(|_| wanted())?));
    }
    let from_table = table.token_env.as_ref().filter(|_| args.token_file.is_none());
    let token = match (args.token_env.as_ref().or(from_table), &args.token_file) {
        (Some(variable), _) => Some(from_environment("token-env", variable)?),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|e| Failure::input(format!("{}: {e}", path.display())))?;
            Some(bearer("token-file", text.trim())?)
        }
        (None, None) => None,
    };
    headers.extend(token.map(|token| (HeaderName::from_static("authorization"), token)));
    Ok(headers)
}

fn admin(args: &LiveArgs, table: &LiveTable) -> Result<Option<Admin>, Failure> {
    let proxy = args.admin.as_ref().or(table.admin.as_ref());
    let flush = args.flush || table.flush.unwrap_or(false);
    if proxy.is_none() && !flush {
        return Ok(None);
    }
    let url = |text: &String| Target::parse(text).map(|target| target.url);
    let token = args.admin_token_env.as_deref().or(table.admin_token_env.as_deref());
    Ok(Some(Admin {
        proxy: proxy.map(url).transpose().map_err(Failure::input)?,
        token: token.map(|name| from_environment("admin-token-env", name)).transpose()?,
        flush,
    }))
}

fn from_environment(option: &str, variable: &str) -> Result<HeaderValue, Failure> {
    let value = std::env::var(variable).ok().filter(|value| !value.trim().is_empty());
    let value = value.ok_or_else(|| {
        Failure::input(format!("--{option}: the variable `{variable}` is not set, wanted a token"))
    })?;
    bearer(option, value.trim())
}

fn bearer(option: &str, token: &str) -> Result<HeaderValue, Failure> {
    let refuse = || Failure::input(format!("--{option}: wanted a token that a header can hold"));
    if token.is_empty() {
        return Err(refuse());
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| refuse())?;
    value.set_sensitive(true);
    Ok(value)
}
