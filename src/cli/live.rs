//! `gorgo live`: a scenario's requests against real URLs. The work is `gorgo_live`'s; here are its options (this file),
//! and signals, progress and files (`live/work.rs`).

use crate::exit::{Exit, Failure};
use std::path::PathBuf;

#[cfg(feature = "live")]
mod files;
#[cfg(feature = "live")]
mod options;
#[cfg(feature = "live")]
mod work;

/// Arguments of `gorgo live`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One URL is a proxy or an engine. Several are balanced inside the client by the scenario's policy:
  gorgo live SCENARIO --url eastus-0=http://10.0.0.1:30000 --url westus2-0=http://10.0.0.2:30000 --policy gorgo
Policies in turn at a proxy, three times each, caches emptied before each run and seen to be empty:
  gorgo live SCENARIO --url http://proxy:8080 --policy gorgo --policy least-load --rounds 3 \\
      --admin http://proxy:9090 --admin-token-env PROXY_TOKEN --flush
All of it can stand in the scenario's [live] table too; options come before it.
Exit code 3: requests were sent later than --max-send-lag allows, so the numbers are not of this load."
)]
pub struct LiveArgs {
    /// The scenario file; without it the built-in one, `scenarios/01_three_regions.toml`.
    scenario: Option<PathBuf>,
    /// Where requests go (repeatable): [REPLICA=]http://HOST:PORT[/BASE], with a replica's name in the scenario. As many
    /// URLs without names as there are replicas are the fleet in its order [default: [live] urls].
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Run only this policy: one of the scenario's, or any other with its defaults (repeatable).
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,
    /// How often each policy runs, in turn with the others [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Change a value of the scenario: a dotted path that exists there, and a TOML value (repeatable).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// The seed of all draws.
    #[arg(long)]
    seed: Option<u64>,
    /// In which dialect requests are written [default: completions].
    #[arg(long, value_enum)]
    api: Option<ApiArg>,
    /// The model's name in requests [default: none is sent].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Ask for whole answers: the time to the first token is then that to the end.
    #[arg(long)]
    no_stream: bool,
    /// How long answers are: as the workload says (the engine ignores the model's own end), or as the model likes
    /// [default: forced].
    #[arg(long, value_enum)]
    lengths: Option<LengthsArg>,
    /// Write prompts as ids of tokens below this number, instead of text: exact lengths with any tokenizer.
    #[arg(long, value_name = "VOCABULARY", value_parser = clap::value_parser!(u32).range(256..))]
    token_ids: Option<u32>,
    /// The replicas are `gorgo emulate`'s: they are told lengths and cache contents, and tell their own times.
    #[arg(long)]
    emulated: bool,
    /// The way between client and router: as it is, or the scenario's, waited for here with the simulator's draws
    /// [default: real].
    #[arg(long, value_enum)]
    client_legs: Option<LegsArg>,
    /// An environment variable that holds the token of `authorization: Bearer TOKEN`.
    #[arg(long, value_name = "VARIABLE", conflicts_with = "token_file")]
    token_env: Option<String>,
    /// A file that holds it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A header of every request, NAME:VALUE (repeatable).
    #[arg(long, value_name = "NAME:VALUE")]
    header: Vec<String>,
    /// Trust these certificates (PEM) instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long to wait for a connection [default: 5s].
    #[arg(long, value_name = "SPAN")]
    connect_timeout: Option<String>,
    /// How long to wait for the first token [default: as for the end].
    #[arg(long, value_name = "SPAN")]
    first_token_timeout: Option<String>,
    /// How long to wait for the end of an answer [default: 10min].
    #[arg(long, value_name = "SPAN")]
    timeout: Option<String>,
    /// How often a request is sent again that failed before its first token: 429, 5xx, broken connections [default: 0].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    retries: Option<u32>,
    /// How late requests may be sent at the 99th percentile [default: 50ms].
    #[arg(long, value_name = "SPAN")]
    max_send_lag: Option<String>,
    /// The proxy's admin API: policies are switched there.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// An environment variable that holds the admin API's token.
    #[arg(long, value_name = "VARIABLE")]
    admin_token_env: Option<String>,
    /// Empty all caches before each run, and ask whether they are empty.
    #[arg(long)]
    flush: bool,
    /// Where to write [default: results/local/SCENARIO-live, which is replaced].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write into a directory that is not empty; replaces only files that gorgo writes.
    #[arg(long)]
    overwrite: bool,
    /// Write no files.
    #[arg(long, conflicts_with_all = ["out", "overwrite"])]
    no_files: bool,
    /// What to print.
    #[arg(long, value_enum, default_value_t = FormatArg::Table)]
    format: FormatArg,
    /// No progress and no notes.
    #[arg(long, short)]
    quiet: bool,
}

/// Dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ApiArg {
    /// OpenAI's completions.
    Completions,
    /// OpenAI's chat completions: the prompt is one message.
    Chat,
    /// SGLang's own.
    Generate,
}

/// How long answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LengthsArg {
    /// As the workload says.
    Forced,
    /// As the model likes.
    Natural,
}

/// The way between client and router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LegsArg {
    /// As it is.
    Real,
    /// The scenario's.
    Emulated,
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FormatArg {
    /// A table for people.
    Table,
    /// `{"schema":1,"runs":[summary, ...]}`.
    Json,
}

/// What a build without sockets says.
#[cfg(not(feature = "live"))]
pub fn live(_: &LiveArgs) -> Result<Exit, Failure> {
    Err(Failure::lacks_live("live"))
}

/// Runs the command.
#[cfg(feature = "live")]
pub fn live(args: &LiveArgs) -> Result<Exit, Failure> {
    work::live(args)
}
