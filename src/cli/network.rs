//! `gorgo network`: round trips between regions and from clients, how each is known, and how they scatter.

use crate::exit::{Exit, Failure};
use crate::simulate::print;
use gorgo_model::network::{CITY_WITHIN_KM, CityTable};
use gorgo_model::{ClientModel, Jitter, Network, PlaceTable, RegionPlace, great_circle_km};
use gorgo_random::{Key, Purpose};
use gorgo_report::plot::{HeatCell, heat_map};
use gorgo_scenario::{Resolved, data};
use gorgo_types::{LatLon, Nanos, Origin, RegionId};
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;

/// What can be seen of networks.
#[derive(Debug, clap::Subcommand)]
pub enum NetworkCommand {
    /// One round trip: median, P95, source, what the distance would say, and how draws scatter.
    Show(ShowArgs),
    /// All round trips between the regions of a scenario.
    Matrix(MatrixArgs),
}

/// Arguments of `gorgo network show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// A region such as azure:eastus; or a client: a state, a country, a city, or LAT,LON.
    #[arg(allow_hyphen_values = true)]
    from: String,
    /// A region.
    to: String,
    /// Take the regions, links and settings of this scenario.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Change a value of the scenario (repeatable).
    #[arg(long = "set", value_name = "PATH=VALUE", requires = "scenario")]
    set: Vec<String>,
}

/// Arguments of `gorgo network matrix`.
#[derive(Debug, clap::Args)]
pub struct MatrixArgs {
    /// The scenario file; without it the built-in one.
    scenario: Option<PathBuf>,
    /// Change a value of the scenario (repeatable).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Also write network.svg, a heat map, into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people: medians in ms.
    Table,
    /// `{"schema":1,"regions":[...],"links":[...]}`.
    Json,
}

/// Runs the command.
pub fn network(command: &NetworkCommand) -> Result<Exit, Failure> {
    match command {
        NetworkCommand::Show(args) => print(&show(args)?)?,
        NetworkCommand::Matrix(args) => matrix(args)?,
    }
    Ok(Exit::Ok)
}

fn resolved(path: Option<&PathBuf>, sets: &[String]) -> Result<Resolved, Failure> {
    let scenario = match path {
        Some(path) => Resolved::from_file(path, sets),
        None => Resolved::built_in(sets),
    };
    scenario.map_err(Failure::input)
}

// -------------------------------------------------------------------------------------------------------- show

/// Draws behind a histogram.
const DRAWS: u64 = 100_000;

/// Where a round trip starts.
enum From {
    Region(RegionId),
    Client(Origin),
}

fn show(args: &ShowArgs) -> Result<String, Failure> {
    let (network, from) = match &args.scenario {
        Some(path) => {
            let network = resolved(Some(path), &args.set)?.network;
            let from = match network.region(&args.from) {
                Ok(id) => From::Region(id),
                Err(error) => From::Client(client(&args.from).ok_or(Failure::input(error))?),
            };
            (network, from)
        }
        None => built_in(&args.from, &args.to)?,
    };
    let to = network.region(&args.to).map_err(Failure::input)?;
    match from {
        From::Region(from) => Ok(show_link(&network, from, to)),
        From::Client(origin) => show_client(&network, &args.from, &origin, to),
    }
}

/// The built-in network of two regions, or of one and a client.
fn built_in(from: &str, to: &str) -> Result<(Network, From), Failure> {
    let all = data::regions().map_err(Failure::input)?;
    let find = |name: &str| all.iter().find(|region| region.name == name).cloned();
    let place = find(to).ok_or_else(|| unknown(to, &all))?;
    let mut regions = vec![place];
    let client = match find(from) {
        Some(region) => {
            if from != to {
                regions.push(region);
            }
            None
        }
        None => Some(client(from).ok_or_else(|| unknown(from, &all))?),
    };
    let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
    let links = data::links_among(&names).map_err(Failure::input)?;
    let places = data::places().and_then(|places| {
        PlaceTable::new(&places).map_err(|error| {
            gorgo_scenario::Diagnostic::whole_file("data/network/places.csv", error.to_string())
        })
    });
    let cities = data::cities().map_err(Failure::input)?;
    let cities = CityTable::new(cities, CITY_WITHIN_KM).map_err(Failure::input)?;
    let network = Network::new(regions, &links, Jitter::default())
        .map_err(Failure::input)?
        .with_places(places.map_err(Failure::input)?)
        .with_cities(cities);
    let from = match client {
        Some(origin) => From::Client(origin),
        None => From::Region(network.region(from).map_err(Failure::input)?),
    };
    Ok((network, from))
}

fn unknown(name: &str, regions: &[RegionPlace]) -> Failure {
    let near: Vec<&str> = (regions.iter())
        .map(|region| region.name.as_str())
        .filter(|known| {
            let (a, b) = (name.to_lowercase(), known.to_lowercase());
            let tail = b.split_once(':').map_or(b.as_str(), |(_, tail)| tail);
            !a.is_empty() && (b.contains(&a) || a.contains(tail))
        })
        .collect();
    let hint = if near.is_empty() {
        "data/network/regions.csv lists them".to_owned()
    } else {
        near.join(", ")
    };
    Failure::input(format!(
        "got {name:?}, wanted a region, state, country, city or LAT,LON: {hint}"
    ))
}

/// A client by its position, state, country or city, the first that there is.
fn client(text: &str) -> Option<Origin> {
    let parsed = text.split_once(',').and_then(|(lat, lon)| {
        Some(LatLon { lat: lat.trim().parse().ok()?, lon: lon.trim().parse().ok()? })
    });
    if let Some(position) = parsed {
        return Some(Origin { position: Some(position), ..Origin::default() });
    }
    let places = PlaceTable::new(&data::places().ok()?).ok()?;
    let name = Some(text.to_owned());
    match (places.state(text), places.country(text)) {
        (Some(_), _) => Some(Origin { state: name, ..Origin::default() }),
        (None, Some(_)) => Some(Origin { country: name, ..Origin::default() }),
        (None, None) => {
            let cities = data::cities().ok()?;
            let city = cities.iter().find(|city| city.name.eq_ignore_ascii_case(text))?;
            Some(Origin { position: Some(city.position), ..Origin::default() })
        }
    }
}

fn show_link(network: &Network, from: RegionId, to: RegionId) -> String {
    let place = |id: RegionId| &network.regions()[id.index()];
    let (a, b) = (place(from), place(to));
    let link = network.link(from, to);
    let mut text = format!("{} to {}\n", a.name, b.name);
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:<12} {value}");
    };
    line(
        "median",
        format!("{} ms ({} ms the other way)", link.rtt_p50_ms, network.link(to, from).rtt_p50_ms),
    );
    let p95 =
        if link.p95_measured { "measured" } else { "not measured: the median by Azure's ratio" };
    line("P95", format!("{:.2} ms, {p95}", link.rtt_p95_ms));
    let source = if network.is_filled(from, to) {
        "estimated from the distance: nothing is measured".to_owned()
    } else {
        source(&a.name, &b.name)
    };
    line("source", source);
    let km = great_circle_km(a.position, b.position);
    // Light in fibre: the speed of light over a refractive index of 1.468.
    let light_ms = 2.0 * km / (299.792_458 / 1.468);
    line(
        "distance",
        format!("{km:.0} km of great circle, {light_ms:.0} ms for light in fibre there and back"),
    );
    line("by distance", by_distance(km, link.rtt_p50_ms));
    line("spread", split(network.jitter()));
    let key = Key::new(1).with(Purpose::NetworkRtt);
    let draws = (0..DRAWS).map(|i| network.rtt(from, to, key.word(i).draw())).collect();
    text + &histogram(draws)
}

fn show_client(
    network: &Network,
    name: &str,
    origin: &Origin,
    to: RegionId,
) -> Result<String, Failure> {
    let leg = network.client_leg(origin, to).map_err(Failure::input)?;
    let region = &network.regions()[to.index()];
    let mut text = format!("clients in {name} to {}\n", region.name);
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:<12} {value}");
    };
    line("median", format!("{:.1} ms", leg.median.as_ms()));
    line("had by", leg.how.to_owned());
    let (place, ..) = network.place_of(origin);
    line("place", format!("{}, {}", place.lat, place.lon));
    if let Some((near, far)) = network.cities_between(place, region.position) {
        line("cities", format!("{near} and {far}: data/network/cities.csv"));
    }
    let km = great_circle_km(place, region.position);
    line("distance", format!("{km:.0} km of great circle"));
    line("by distance", by_distance(km, leg.median.as_ms()));
    line("spread", split(network.jitter()));
    let key = Key::new(1).with(Purpose::NetworkRtt);
    let draws = (0..DRAWS).map(|i| network.client_rtt(&leg, key.word(i).draw())).collect();
    Ok(text + &histogram(draws))
}

/// The file that has a link.
fn source(a: &str, b: &str) -> String {
    let has = |text: &str| {
        let links = data::read_links("", text, |name| name == a || name == b).unwrap_or_default();
        links
            .iter()
            .any(|link| (link.from == a && link.to == b) || (link.from == b && link.to == a))
    };
    let found = data::LINK_FILES.iter().find(|(_, text)| has(text));
    match found {
        Some((file, _)) => format!("{file}, described in data/README.md"),
        None if a == b => "assumed for every region in which nothing is measured".to_owned(),
        None => "the scenario".to_owned(),
    }
}

fn by_distance(km: f64, median_ms: f64) -> String {
    let fit = ClientModel::default();
    let ms = fit.base_ms + fit.ms_per_km * km;
    let off = 100.0 * (ms / median_ms - 1.0);
    format!("{ms:.1} ms = {} + {} x km, {off:+.0} % of the median", fit.base_ms, fit.ms_per_km)
}

fn split(jitter: Jitter) -> String {
    let drift = 100.0 * jitter.drift_share;
    let period = format!("{} h", jitter.drift_period.as_s() / 3600.0);
    let slow =
        if drift > 0.0 { format!("{drift:.0} % drift over {period}, ") } else { String::new() };
    let jitter_share = 100.0 - drift;
    format!(
        "{slow}{jitter_share:.0} % jitter of each request (of the variance); {:.0} % of it simulated, \
         never below {:.0} % of the median",
        100.0 * jitter.spread_share,
        100.0 * jitter.floor_fraction
    )
}

/// Twenty bars over the middle 99 % of draws.
fn histogram(mut draws: Vec<Nanos>) -> String {
    const BARS: usize = 20;
    const WIDTH: usize = 48;
    draws.sort_unstable();
    let rank =
        |share: f64| draws[((share * draws.len() as f64) as usize).min(draws.len() - 1)].as_ms();
    let mut text = format!(
        "  {:<12} median {:.1} ms, P95 {:.1} ms, P99 {:.1} ms\n",
        "100,000 draws",
        rank(0.5),
        rank(0.95),
        rank(0.99)
    );
    let (from, to) = (rank(0.0), rank(0.995));
    if to <= from {
        return text;
    }
    let mut counts = [0_usize; BARS];
    for draw in &draws {
        let bar = ((draw.as_ms() - from) / (to - from) * BARS as f64) as usize;
        if let Some(count) = counts.get_mut(bar) {
            *count += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    for (index, count) in counts.iter().enumerate() {
        let at = from + (to - from) * index as f64 / BARS as f64;
        let bar = "#".repeat((count * WIDTH).div_ceil(most));
        let _ = writeln!(text, "  {at:>9.1} ms  {bar}");
    }
    text
}

// ------------------------------------------------------------------------------------------------------ matrix

fn matrix(args: &MatrixArgs) -> Result<(), Failure> {
    let scenario = resolved(args.scenario.as_ref(), &args.set)?;
    let network = &scenario.network;
    match args.format {
        Format::Table => print(&table(network))?,
        Format::Json => print(&format!("{:#}\n", links_json(network)))?,
    }
    if let Some(folder) = &args.out {
        let failed =
            |error: std::io::Error| Failure::failed(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let path = folder.join("network.svg");
        std::fs::write(&path, picture(&scenario.name, network)).map_err(failed)?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// All ids of a network.
fn ids(network: &Network) -> impl Iterator<Item = RegionId> + Clone + use<> {
    (0..network.regions().len() as u32).map(RegionId)
}

fn ms_text(ms: f64) -> String {
    if ms < 9.95 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}

/// Medians in ms: a row starts, a column answers. Columns are numbered, since names are long.
fn table(network: &Network) -> String {
    let names: Vec<&str> = network.regions().iter().map(|region| region.name.as_str()).collect();
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = format!(
        "median round trips, ms; a row starts, a column answers; ~: by distance\n{:>2} {:<width$}",
        "", ""
    );
    for column in 1..=names.len() {
        let _ = write!(text, " {column:>5}");
    }
    text.push('\n');
    for (from, name) in ids(network).zip(&names) {
        let _ = write!(text, "{:>2} {name:<width$}", from.0 + 1);
        for to in ids(network) {
            let mark = if network.is_filled(from, to) { "~" } else { "" };
            let cell = format!("{mark}{}", ms_text(network.link(from, to).rtt_p50_ms));
            let _ = write!(text, " {cell:>5}");
        }
        text.push('\n');
    }
    text
}

fn links_json(network: &Network) -> serde_json::Value {
    let name = |id: RegionId| &network.regions()[id.index()].name;
    let regions: Vec<_> = (network.regions().iter())
        .map(|region| json!({ "name": region.name, "lat": region.position.lat, "lon": region.position.lon }))
        .collect();
    let pairs = ids(network).flat_map(|from| ids(network).map(move |to| (from, to)));
    let links: Vec<_> = pairs
        .map(|(from, to)| {
            let link = network.link(from, to);
            json!({
                "from": name(from), "to": name(to),
                "rtt_p50_ms": link.rtt_p50_ms, "rtt_p95_ms": link.rtt_p95_ms,
                "p95_measured": link.p95_measured, "estimated": network.is_filled(from, to),
            })
        })
        .collect();
    json!({ "schema": 1, "regions": regions, "links": links })
}

fn picture(scenario: &str, network: &Network) -> String {
    let labels: Vec<String> = network.regions().iter().map(|region| region.name.clone()).collect();
    let cell = |from, to| HeatCell {
        ms: network.link(from, to).rtt_p50_ms,
        estimated: network.is_filled(from, to),
    };
    let cells: Vec<Vec<HeatCell>> =
        ids(network).map(|from| ids(network).map(|to| cell(from, to)).collect()).collect();
    let estimated = cells.iter().flatten().any(|cell| cell.estimated);
    let note = if estimated { "; in brackets: by distance" } else { "" };
    let subtitle = format!("{scenario}: medians in ms; a row starts, a column answers{note}");
    heat_map("Round trips between regions", &subtitle, &labels, &cells)
}
