//! Opening connections and recorded series: what `[network]` says of links beside their times.

use super::Context;
use crate::parsed::{ConnectTable, SeriesTable};
use crate::series::{BUILT_IN, SeriesSource, SeriesSpec};
use gorgo_config::{Bytes, Diagnostic, Located, PositiveDuration};
use gorgo_model::network::{Connect, Traffic};
use gorgo_workload::OriginShare;
use std::path::PathBuf;

impl Context<'_> {
    /// What opening a connection costs, where the scenario asks for it.
    pub(super) fn connect(
        &self,
    ) -> Result<(Option<Connect>, Option<Located<ConnectTable>>), Diagnostic> {
        let Some(table) = &self.table.network.connect else {
            return Ok((None, None));
        };
        let (given, default) = (&table.value, Connect::default());
        let connect = Connect {
            tcp_round_trips: given.tcp_round_trips.unwrap_or(default.tcp_round_trips),
            tls_round_trips: given.tls_round_trips.unwrap_or(default.tls_round_trips),
            keep_alive: given.keep_alive.map_or(default.keep_alive, |span| span.0),
            pool_size: given.pool_size,
            initial_window_bytes: given.initial_window.map(|bytes| bytes.0),
            slow_start_after_idle: given
                .slow_start_after_idle
                .unwrap_or(default.slow_start_after_idle),
            probes: given.probes.unwrap_or(default.probes),
            clients: given.clients.unwrap_or(default.clients),
        };
        connect.validate().map_err(|error| self.model_error(table, &error))?;
        let full = ConnectTable {
            tcp_round_trips: Some(connect.tcp_round_trips),
            tls_round_trips: Some(connect.tls_round_trips),
            keep_alive: Some(PositiveDuration(connect.keep_alive)),
            pool_size: connect.pool_size,
            initial_window: connect.initial_window_bytes.map(Bytes),
            slow_start_after_idle: Some(connect.slow_start_after_idle),
            probes: Some(connect.probes),
            clients: Some(connect.clients),
        };
        Ok((Some(connect), Some(full.into())))
    }

    /// The recorded series, none of them read yet.
    pub(super) fn series(
        &self,
    ) -> Result<(Vec<SeriesSpec>, Vec<Located<SeriesTable>>), Diagnostic> {
        let given = &self.table.network.series;
        let pairs = given.iter().map(|table| self.one_series(table));
        Ok(pairs.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
    }

    fn one_series(
        &self,
        table: &Located<SeriesTable>,
    ) -> Result<(SeriesSpec, Located<SeriesTable>), Diagnostic> {
        let given = &table.value;
        let source = match (&given.path, &given.built_in) {
            (Some(path), None) => {
                self.text(path, "the path of a file")?;
                SeriesSource::File(PathBuf::from(&path.value))
            }
            (None, Some(name)) => {
                let names: Vec<&str> = BUILT_IN.iter().map(|(name, ..)| *name).collect();
                SeriesSource::BuiltIn(self.known(name, "series of the program", &names)?.to_owned())
            }
            (Some(_), Some(name)) => {
                let problem = "got a built-in series beside a path, wanted one of them";
                return Err(self.document.blame(name, problem));
            }
            (None, None) => {
                let problem = "got neither path nor built_in, wanted one of them";
                return Err(self.document.blame(table, problem));
            }
        };
        let applies_to = match &given.applies_to {
            None => Traffic::ALL.to_vec(),
            Some(kinds) if kinds.value.is_empty() => {
                let problem = "got nothing, wanted requests, rtt-probes, scrapes or several";
                return Err(self.document.blame(kinds, problem));
            }
            Some(kinds) => kinds.value.clone(),
        };
        let interpolation = given.interpolation.unwrap_or_default();
        let full = SeriesTable {
            path: given.path.clone(),
            built_in: given.built_in.clone(),
            applies_to: Some(applies_to.clone().into()),
            interpolation: Some(interpolation),
        };
        Ok((SeriesSpec { source, applies_to, interpolation }, Located::nowhere(full)))
    }

    /// Gives origins that name a city its position.
    pub(super) fn cities(
        &self,
        path: &[&str],
        origins: &mut [OriginShare],
    ) -> Result<(), Diagnostic> {
        if origins.iter().all(|origin| origin.city.is_none()) {
            return Ok(());
        }
        let cities = crate::data::cities()?;
        for (index, origin) in origins.iter_mut().enumerate() {
            let Some(name) = &origin.city else { continue };
            let index = index.to_string();
            let full = [path, &["origins", &index, "city"]].concat();
            let span = || self.document.at(&full).map_or(0..0, toml::Spanned::span);
            if origin.lat.is_some() || origin.lon.is_some() {
                let problem = format!("got {name:?} beside lat and lon, wanted one of them");
                return Err(self.document.error(span(), problem));
            }
            let Some(city) = cities.iter().find(|city| city.name.eq_ignore_ascii_case(name)) else {
                let problem = format!("got {name:?}, wanted one of the known cities");
                let known = cities.iter().map(|city| city.name.as_str());
                return Err(self.document.error(span(), problem).known(
                    "known cities",
                    name,
                    known,
                ));
            };
            (origin.lat, origin.lon) = (Some(city.position.lat), Some(city.position.lon));
        }
        Ok(())
    }
}
