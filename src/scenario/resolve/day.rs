//! The time of day of a chat workload, and the preset that has one by default. The day's rates are the workload
//! crate's; here origins get the positions that their local time is read from.

use super::Context;
use super::demand::DemandPart;
use super::load::Kind;
use crate::data;
use crate::parsed::{DayTable, WildchatTable};
use crate::wildchat::chat_table;
use gorgo_config::{Diagnostic, Duration, Located, NonNegative, PositiveDuration};
use gorgo_model::{Network, Place, PlaceKind};
use gorgo_types::Nanos;
use gorgo_workload::{ArrivalSpec, ChatSpec, DaySpec, OriginShare, SessionStart};

/// Time over which the drift of a rate keeps 1/e of its correlation: an assumption; published day shapes do not carry
/// over from one day to the next.
const DRIFT_TIME: Nanos = Nanos::from_secs(6 * 3600);

impl Context<'_> {
    /// The preset: a chat table, with a day where sessions arrive at a rate, and with the chat generator's own rate
    /// where no load is given.
    pub(super) fn wildchat(
        &self,
        given: &Located<WildchatTable>,
        network: &Network,
    ) -> Result<DemandPart, Diagnostic> {
        let kind = match self.load()? {
            None => Kind::Arrivals(default_arrivals()),
            Some(_) => self.generator_load("wildchat")?,
        };
        let has_rate = matches!(kind, Kind::Arrivals(_));
        let table = &given.value;
        if !has_rate {
            let places = [
                table.start.as_ref().and_then(Located::span),
                table.curve.as_ref().and_then(Located::span),
                table.drift_cv.as_ref().and_then(Located::span),
            ];
            if let Some(span) = places.into_iter().flatten().next() {
                let problem = "got a time of day beside a closed loop, which has no rate that could follow it";
                return Err(self.document.error(span, problem));
            }
        }
        let chat = given.with(chat_table(table, has_rate)?);
        self.chat(&chat, kind, &["workload", "wildchat"], network)
    }

    /// Gives origins the positions of their places, from which their local time is read: the positions that their round
    /// trips are counted from anyway.
    pub(super) fn positions(
        &self,
        origins: &mut [OriginShare],
        network: &Network,
    ) -> Result<(), Diagnostic> {
        let places = data::places()?;
        for origin in origins {
            *origin = placed(origin, &places, network);
        }
        Ok(())
    }
}

/// The rate of sessions where a file says none: the chat generator's.
fn default_arrivals() -> ArrivalSpec {
    match ChatSpec::default().start {
        SessionStart::Arrivals(arrivals) => arrivals,
        SessionStart::Users { .. } => ArrivalSpec::Poisson { rate_rps: 2.0 },
    }
}

/// An origin with the position of its region, state or country, where it has none of its own.
fn placed(origin: &OriginShare, places: &[Place], network: &Network) -> OriginShare {
    if origin.lat.is_some() || origin.lon.is_some() {
        return origin.clone();
    }
    let region = origin.region.as_ref().and_then(|name| {
        let place = network.regions().iter().find(|place| place.name == *name)?;
        Some((place.position.lat, place.position.lon))
    });
    let of = |kind: PlaceKind, name: &Option<String>| {
        let name = name.as_ref()?;
        let same = |place: &&Place| place.kind == kind && place.name.eq_ignore_ascii_case(name);
        places.iter().find(same).map(|place| (place.lat, place.lon))
    };
    let position = region
        .or_else(|| of(PlaceKind::State, &origin.state))
        .or_else(|| of(PlaceKind::Country, &origin.country));
    let (lat, lon) = position.unzip();
    OriginShare { lat, lon, ..origin.clone() }
}

/// The day's rates with its defaults.
pub(super) fn day_spec(table: &DayTable) -> DaySpec {
    let drift = table.drift_time.as_ref().map_or(DRIFT_TIME, |span| span.value.0);
    DaySpec {
        start_s: table.start.0.as_s(),
        hourly: table.hourly.value.clone(),
        drift_cv: table.drift_cv.as_ref().map_or(0.0, |cv| cv.value.0),
        drift_s: drift.as_s(),
    }
}

/// The table that makes a day's rates again.
pub(super) fn day_table(spec: &DaySpec) -> DayTable {
    let span = |s: f64| Nanos::from_s(s).unwrap_or(Nanos::ZERO);
    DayTable {
        start: Duration(span(spec.start_s)),
        hourly: spec.hourly.clone().into(),
        drift_cv: Some(NonNegative(spec.drift_cv).into()),
        drift_time: Some(PositiveDuration(span(spec.drift_s)).into()),
    }
}
