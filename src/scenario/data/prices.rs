//! The built-in prices of GPUs and of traffic. What a row means is in `data/README.md`.

use super::read_csv;
use gorgo_config::{Diagnostic, Source};
use serde::Deserialize;

const GPUS: (&str, &str) = ("data/prices/gpus.csv", include_str!("../../../data/prices/gpus.csv"));
const EGRESS: (&str, &str) =
    ("data/prices/egress.csv", include_str!("../../../data/prices/egress.csv"));
const ZONES: (&str, &str) =
    ("data/prices/zones.csv", include_str!("../../../data/prices/zones.csv"));

/// How far a price is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// A provider's list, or a catalogue that is read from it.
    List,
    /// Said by others: never a default.
    Secondary,
}

/// The price of a GPU, a row of `data/prices/gpus.csv`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuPrice {
    /// The GPU, as the profiles of `data/gpus` call it.
    pub gpu: String,
    /// Who rents it out.
    pub provider: String,
    /// USD for one GPU and an hour.
    pub usd_per_gpu_hour: f64,
    /// GPUs of the machine that is rented.
    pub gpus_per_machine: u32,
    /// When, as far as it is known; empty where the source's commit says it.
    pub date: String,
    /// How far it is to be trusted.
    pub trust: Trust,
    /// Where it comes from.
    pub source: String,
}

/// A rule of traffic, a row of `data/prices/egress.csv`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressRow {
    provider: String,
    /// A region or a zone.
    from: String,
    /// A region, a zone, `elsewhere` (the provider's other zones) or `internet`.
    to: String,
    usd_per_gb: f64,
    source: String,
}

/// The regions of a zone, a row of `data/prices/zones.csv`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneRow {
    provider: String,
    zone: String,
    regions: String,
}

/// The built-in prices.
#[derive(Clone, Debug)]
pub struct PriceTables {
    gpus: Vec<GpuPrice>,
    egress: Vec<EgressRow>,
    zones: Vec<ZoneRow>,
}

impl PriceTables {
    /// Reads them.
    ///
    /// # Errors
    /// Where a file is malformed, with the line and field.
    pub fn built_in() -> Result<Self, Diagnostic> {
        let tables = Self {
            gpus: read_csv(GPUS.0, GPUS.1)?,
            egress: read_csv(EGRESS.0, EGRESS.1)?,
            zones: read_csv(ZONES.0, ZONES.1)?,
        };
        let gpus = tables.gpus.iter().map(|row| (GPUS, row.usd_per_gpu_hour));
        let egress = tables.egress.iter().map(|row| (EGRESS, row.usd_per_gb));
        match gpus.chain(egress).find(|(_, usd)| !(0.0..1e6).contains(usd)) {
            Some(((file, text), usd)) => {
                let problem = format!("got a price of {usd}, wanted 0 to 1000000 USD");
                Err(Source::new(file, text).error(0..0, "usd", problem))
            }
            None => Ok(tables),
        }
    }

    /// All prices of GPUs, in the file's order.
    #[must_use]
    pub fn gpus(&self) -> &[GpuPrice] {
        &self.gpus
    }

    /// The price of a GPU that is taken where a scenario names none: the first of a list.
    #[must_use]
    pub fn gpu(&self, name: &str) -> Option<&GpuPrice> {
        self.gpus.iter().find(|row| row.gpu == name && row.trust == Trust::List)
    }

    /// USD a GB from one region to another, and where the price comes from. Traffic to another provider leaves by the
    /// internet.
    #[must_use]
    pub fn egress(&self, from: &str, to: &str) -> Option<(f64, String)> {
        let (provider, region) = from.split_once(':')?;
        match to.split_once(':') {
            Some((other, to)) if other == provider => self.within(provider, region, to),
            _ => self.internet(from),
        }
    }

    /// USD a GB from a region to the internet, and where the price comes from.
    #[must_use]
    pub fn internet(&self, from: &str) -> Option<(f64, String)> {
        let (provider, region) = from.split_once(':')?;
        let zone = self.zone(provider, region)?;
        self.rule(provider, [region, zone], |to| to == "internet")
    }

    fn within(&self, provider: &str, from: &str, to: &str) -> Option<(f64, String)> {
        let (zone, other) = (self.zone(provider, from)?, self.zone(provider, to)?);
        let reaches =
            |rule: &str| rule == to || rule == other || (rule == "elsewhere" && zone != other);
        self.rule(provider, [from, zone], reaches)
    }

    /// The first row that a region or its zone sends by.
    fn rule(
        &self,
        provider: &str,
        from: [&str; 2],
        reaches: impl Fn(&str) -> bool,
    ) -> Option<(f64, String)> {
        let fits = |row: &&EgressRow| {
            row.provider == provider && from.contains(&row.from.as_str()) && reaches(&row.to)
        };
        let row = self.egress.iter().find(fits)?;
        let EgressRow { from, to, usd_per_gb, source, .. } = row;
        Some((*usd_per_gb, format!("{}: {provider} {from} to {to}; {source}", EGRESS.0)))
    }

    fn zone(&self, provider: &str, region: &str) -> Option<&str> {
        let mut rows = self.zones.iter().filter(|row| row.provider == provider);
        let row = rows.find(|row| row.regions.split(' ').any(|name| name == region))?;
        Some(&row.zone)
    }
}
