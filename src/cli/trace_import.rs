//! `gorgo trace import`: conversations as text, written as a trace. The work is `gorgo_import`'s.

use crate::exit::{Exit, Failure};
use crate::progress::ImportProgress;
use crate::simulate::print;
use gorgo_import::{
    GorgoPair, ImportError, ImportOptions, Imported, Regions, Tokens, import_gorgo, parse_position,
};
use gorgo_model::network::PlaceTable;
use gorgo_types::Nanos;
use gorgo_workload::AssumedService;
use std::path::PathBuf;

/// The data sets.
#[derive(Debug, clap::Subcommand)]
pub enum ImportCommand {
    /// Parquet shards of allenai/WildChat-1M or allenai/WildChat-4.8M (needs `--features parquet`).
    ///
    /// An answer is a request; its prompt is everything said before it. Times are those in which the answers began
    /// (`created`, 4.8M) or were complete (`timestamp`); the lines are sorted by them.
    #[command(after_help = "From the download to a replay:
  huggingface-cli download allenai/WildChat-1M data/train-00000-of-00014.parquet --repo-type dataset --local-dir wildchat
  cargo run --release --features parquet -- trace import wildchat wildchat/data/train-*.parquet --out wildchat.jsonl.gz
  cargo run --release -- replay wildchat.jsonl.gz --window ..24h --set measure.warm_up=10min --set measure.stop=24h")]
    Wildchat(WildchatArgs),
    /// The pair of files that GORGO's authors make of WildChat: prompts for GuideLLM and places by hash.
    ///
    /// Prompts have no times: all are due at once, unless the scenario's load section sends them at other times.
    Gorgo(GorgoArgs),
}

/// Arguments of `gorgo trace import wildchat`.
#[derive(Debug, clap::Args)]
pub struct WildchatArgs {
    /// The shards, such as train-00000-of-00014.parquet.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
    /// Seconds between two turns of which one has no time of its own, an assumption [default: 60].
    #[arg(long, value_name = "S")]
    turn_gap: Option<f64>,
    /// Where only the end of an answer is known: it began so many milliseconds for each of its tokens earlier
    /// [default: 0, the request then comes late by the time its answer took].
    #[arg(long, value_name = "MS")]
    answer_ms_per_token: Option<f64>,
    /// The same, milliseconds whatever its length [default: 0].
    #[arg(long, value_name = "MS")]
    answer_base_ms: Option<f64>,
}

/// Arguments of `gorgo trace import gorgo`.
#[derive(Debug, clap::Args)]
pub struct GorgoArgs {
    /// Prompts, JSON Lines: `prompt` and perhaps `hash`; plain, gzip or zstd.
    prompts: PathBuf,
    /// Places by the prompt's hash, JSON: {hash: {lat, lon, country, state}}.
    #[arg(long, value_name = "FILE")]
    locations: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

/// What all imports have.
#[derive(Debug, clap::Args)]
struct CommonArgs {
    /// The trace to write; gzip where the name ends in .gz, zstd in .zst. A file that is there is never written over.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Count tokens with this tokenizer.json (needs `--features tokenizer`) [default: four characters a token].
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Tokens that the model's chat template puts before each message, the answer's included.
    #[arg(long, value_name = "N", default_value_t = 0)]
    template_tokens: u32,
    /// Give each request the nearest of these regions by great circle, such as
    /// us-west=37.77,-122.42,frankfurt=50.11,8.68: its client then sits in that region.
    #[arg(long, value_name = "NAME=LAT,LON,...", allow_hyphen_values = true)]
    regions: Option<String>,
    /// Where a client is whose place is in no table [default: 39.8283,-98.5795, the centre of the United States].
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true)]
    unknown_at: Option<String>,
    /// Read at most so many conversations or prompts.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// End with an error at the first thing that would be skipped.
    #[arg(long)]
    strict: bool,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
pub fn import(command: &ImportCommand) -> Result<Exit, Failure> {
    match command {
        ImportCommand::Wildchat(args) => wildchat(args),
        ImportCommand::Gorgo(args) => gorgo(args),
    }
}

fn gorgo(args: &GorgoArgs) -> Result<Exit, Failure> {
    let options = args.common.options()?;
    let pair = GorgoPair { prompts: args.prompts.clone(), locations: args.locations.clone() };
    let progress = ImportProgress::new(args.common.quiet);
    let imported = import_gorgo(&pair, &args.common.out, &options, &mut |at| progress.show(at));
    args.common.report(imported)
}

#[cfg(feature = "parquet")]
fn wildchat(args: &WildchatArgs) -> Result<Exit, Failure> {
    let options = args.options()?;
    let progress = ImportProgress::new(args.common.quiet);
    let imported =
        gorgo_import::import_wildchat(&args.shards, &args.common.out, &options, &mut |at| {
            progress.show(at)
        });
    args.common.report(imported)
}

#[cfg(not(feature = "parquet"))]
fn wildchat(args: &WildchatArgs) -> Result<Exit, Failure> {
    // What is wrong with the options is told by either build.
    args.options()?;
    Err(Failure::input(lacks("parquet shards", "parquet")))
}

/// What a build without a feature says.
#[cfg(not(all(feature = "parquet", feature = "tokenizer")))]
fn lacks(what: &str, feature: &str) -> String {
    format!(
        "this build cannot read {what}: wanted one with `--features {feature}`, as in \
         `cargo run --release --features {feature} -- trace import ...`"
    )
}

impl WildchatArgs {
    fn options(&self) -> Result<ImportOptions, Failure> {
        let mut options = self.common.options()?;
        if let Some(gap_s) = self.turn_gap {
            options.turn_gap = Nanos::from_s(gap_s).map_err(|error| {
                Failure::input(format!(
                    "--turn-gap: got {}, wanted seconds, {}",
                    error.value, error.wanted
                ))
            })?;
        }
        options.service = AssumedService {
            base_ms: self.answer_base_ms.unwrap_or(0.0),
            per_token_ms: self.answer_ms_per_token.unwrap_or(0.0),
        };
        Ok(options)
    }
}

impl CommonArgs {
    fn options(&self) -> Result<ImportOptions, Failure> {
        let places = gorgo_scenario::data::places().map_err(Failure::failed)?;
        let places = PlaceTable::new(&places).map_err(Failure::failed)?;
        let mut options = ImportOptions {
            template_tokens: self.template_tokens,
            places,
            limit: self.limit,
            strict: self.strict,
            ..ImportOptions::default()
        };
        if let Some(regions) = &self.regions {
            options.regions = Some(Regions::parse(regions).map_err(Failure::input)?);
        }
        if let Some(at) = &self.unknown_at {
            options.unknown_at = parse_position("--unknown-at", at).map_err(Failure::input)?;
        }
        if let Some(file) = &self.tokenizer {
            options.tokens = tokenizer(file)?;
        }
        Ok(options)
    }

    /// Prints what came of it.
    fn report(&self, imported: Result<Imported, ImportError>) -> Result<Exit, Failure> {
        let imported = imported.map_err(|error| {
            if error.is_input() { Failure::input(error) } else { Failure::failed(error) }
        })?;
        for note in imported.notes() {
            eprintln!("note: {note}");
        }
        print(&format!(
            "{} requests of {} conversations ({:.1} MB of text, {:.1} days) written to {}\n",
            imported.requests,
            imported.conversations,
            imported.text_bytes as f64 / 1e6,
            imported.span_s / 86_400.0,
            self.out.display()
        ))?;
        Ok(Exit::Ok)
    }
}

#[cfg(feature = "tokenizer")]
fn tokenizer(file: &std::path::Path) -> Result<Tokens, Failure> {
    Tokens::from_file(file).map_err(Failure::input)
}

#[cfg(not(feature = "tokenizer"))]
fn tokenizer(_: &std::path::Path) -> Result<Tokens, Failure> {
    Err(Failure::input(lacks("a tokenizer.json", "tokenizer")))
}
