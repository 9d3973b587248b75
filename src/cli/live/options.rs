//! From the command line to `gorgo_live::Options`.

use super::{ApiArg, LegsArg, LengthsArg, LiveArgs};
use crate::exit::Failure;
use gorgo_config::Duration;
use gorgo_live::{
    Admin, Api, ClientLegs, HeaderName, HeaderValue, Lengths, Options, Patience, Prompts, Target,
};
use std::time;

/// The options, checked.
pub fn options(args: &LiveArgs) -> Result<Options, Failure> {
    let targets: Result<Vec<_>, _> = args.url.iter().map(|url| Target::parse(url)).collect();
    let span = |name: &str, text: &str| -> Result<time::Duration, Failure> {
        let read: Result<Duration, _> = text.parse();
        let read = read.map_err(|error| Failure::input(format!("--{name}: {error}")))?;
        Ok(time::Duration::from_nanos(read.0.0))
    };
    let first_token = args.first_token_timeout.as_deref();
    let patience = Patience {
        connect: span("connect-timeout", &args.connect_timeout)?,
        first_token: first_token.map(|text| span("first-token-timeout", text)).transpose()?,
        whole: span("timeout", &args.timeout)?,
        retries: args.retries,
        ..Patience::default()
    };
    let options = Options {
        api: match args.api {
            ApiArg::Completions => Api::Completions,
            ApiArg::Chat => Api::Chat,
            ApiArg::Generate => Api::Generate,
        },
        model: args.model.clone(),
        stream: !args.no_stream,
        lengths: match args.lengths {
            LengthsArg::Forced => Lengths::Forced,
            LengthsArg::Natural => Lengths::Natural,
        },
        prompts: args.token_ids.map_or(Prompts::Text, Prompts::TokenIds),
        emulated: args.emulated,
        client_legs: match args.client_legs {
            LegsArg::Real => ClientLegs::Real,
            LegsArg::Emulated => ClientLegs::Emulated,
        },
        headers: headers(args)?,
        ca: args.ca.clone(),
        patience,
        lag_limit: span("max-send-lag", &args.max_send_lag)?,
        rounds: args.rounds,
        admin: admin(args)?,
        ..Options::new(targets.map_err(Failure::input)?)
    };
    options.check().map_err(Failure::input)?;
    Ok(options)
}

/// Headers of every request. No value is ever printed: it may be a secret.
fn headers(args: &LiveArgs) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let mut headers = Vec::new();
    for (number, text) in (1..).zip(&args.header) {
        let wanted = || Failure::input(format!("--header (the {number}. one): wanted NAME:VALUE"));
        let (name, value) = text.split_once(':').ok_or_else(wanted)?;
        let name = name.trim().parse().map_err(|_| wanted())?;
        headers.push((name, HeaderValue::from_str(value.trim()).map_err(|_| wanted())?));
    }
    let token = match (&args.token_env, &args.token_file) {
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

fn admin(args: &LiveArgs) -> Result<Option<Admin>, Failure> {
    if args.admin.is_none() && !args.flush {
        return Ok(None);
    }
    let url = |text: &String| Target::parse(text).map(|target| target.url);
    let token = args.admin_token_env.as_deref();
    Ok(Some(Admin {
        proxy: args.admin.as_ref().map(url).transpose().map_err(Failure::input)?,
        token: token.map(|name| from_environment("admin-token-env", name)).transpose()?,
        flush: args.flush,
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
