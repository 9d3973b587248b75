//! `[[event]]` and `[router.failures]`: names to ids, times and factors checked.

use super::Context;
use crate::parsed::{EventTable, FailuresTable};
use crate::{FailureSpec, Outage, ReplicaSpec};
use gorgo_config::{Diagnostic, Located};
use gorgo_model::network::{Cut, Effect, Links, RttChange};
use gorgo_model::{ModelError, Network};
use gorgo_types::{Nanos, ReplicaId};

impl Context<'_> {
    /// The network with its changes, and the outages.
    pub(super) fn events(
        &self,
        mut network: Network,
        replicas: &[ReplicaSpec],
    ) -> Result<(Network, Vec<Outage>), Diagnostic> {
        let mut outages = Vec::new();
        for event in &self.table.event {
            let (rtts, cuts) = self.changes(event, &network)?;
            network = network
                .with_changes(&rtts, &cuts)
                .map_err(|error| self.event_error(event, &error))?;
            if let Some(outage) = &event.value.outage {
                outages.extend(self.outages(event, outage, replicas, &network)?);
            }
        }
        Ok((network, outages))
    }

    /// What an event changes of links; an event must be of one kind.
    fn changes(
        &self,
        event: &Located<EventTable>,
        network: &Network,
    ) -> Result<(Vec<RttChange>, Vec<Cut>), Diagnostic> {
        let EventTable { from, to, rtt, partition, outage } = &event.value;
        let from = from.value.0;
        let kinds = [rtt.is_some(), partition.is_some(), outage.is_some()];
        match kinds.iter().filter(|given| **given).count() {
            1 => {}
            count => {
                let problem =
                    format!("got {count} kinds of event, wanted one of rtt, partition, outage");
                return Err(self.document.blame(event, problem));
            }
        }
        if to.is_none() && rtt.is_none() {
            let problem = "got no `to`, wanted the time at which it is over";
            return Err(self.document.blame(event, problem));
        }
        let to = to.as_ref().map_or(Nanos::MAX, |to| to.value.0);
        if let Some(table) = rtt {
            let links = self.event_links(table, &table.value.link, &table.value.region, network)?;
            let effect = match (&table.value.factor, &table.value.rtt) {
                (Some(factor), None) => Effect::Factor(factor.value.0),
                (None, Some(median)) => Effect::Median(median.value.0),
                _ => {
                    let problem = "got both or none of factor and rtt, wanted one of them";
                    return Err(self.document.blame(table, problem));
                }
            };
            return Ok((vec![RttChange { links, from, to, effect }], Vec::new()));
        }
        if let Some(table) = partition {
            let links = self.event_links(table, &table.value.link, &table.value.region, network)?;
            return Ok((Vec::new(), vec![Cut { links, from, to }]));
        }
        Ok((Vec::new(), Vec::new()))
    }

    fn event_links<T>(
        &self,
        table: &Located<T>,
        link: &Option<Located<[String; 2]>>,
        region: &Option<Located<String>>,
        network: &Network,
    ) -> Result<Links, Diagnostic> {
        match (link, region) {
            (Some(link), None) => {
                let [from, to] = &link.value;
                let id = |name: &String| {
                    network
                        .region(name)
                        .map_err(|error| self.document.blame(link, error.to_string()))
                };
                Ok(Links::Between(id(from)?, id(to)?))
            }
            (None, Some(region)) => {
                let names: Vec<&str> = network.regions().iter().map(|r| r.name.as_str()).collect();
                let name = self.known(region, "region of this network", &names)?;
                let id = network.region(name);
                id.map(Links::Of).map_err(|error| self.document.blame(region, error.to_string()))
            }
            _ => {
                let problem = "got both or none of link and region, wanted one of them";
                Err(self.document.blame(table, problem))
            }
        }
    }

    fn outages(
        &self,
        event: &Located<EventTable>,
        table: &Located<crate::parsed::OutageTable>,
        replicas: &[ReplicaSpec],
        network: &Network,
    ) -> Result<Vec<Outage>, Diagnostic> {
        let from = event.value.from.value.0;
        let to = event.value.to.as_ref().map_or(Nanos::MAX, |to| to.value.0);
        if to <= from {
            let place = event.value.to.as_ref().map_or_else(
                || self.document.blame(event, "got no end"),
                |to| self.document.blame(to, "got a time before `from`, wanted a later one"),
            );
            return Err(place);
        }
        let ids = || (0_u32..).map(ReplicaId).zip(replicas);
        let hit: Vec<ReplicaId> = match (&table.value.replica, &table.value.region) {
            (Some(name), None) => {
                let names: Vec<&str> = replicas.iter().map(|r| r.name.as_str()).collect();
                let known = self.known(name, "replica", &names)?;
                ids().filter(|(_, replica)| replica.name == known).map(|(id, _)| id).collect()
            }
            (None, Some(region)) => {
                let names: Vec<&str> = network.regions().iter().map(|r| r.name.as_str()).collect();
                let known = self.known(region, "region of this network", &names)?;
                let inside =
                    |replica: &ReplicaSpec| network.regions()[replica.region.index()].name == known;
                let hit: Vec<_> =
                    ids().filter(|(_, replica)| inside(replica)).map(|(id, _)| id).collect();
                if hit.is_empty() {
                    let problem = format!("got {known:?}, wanted a region with replicas");
                    return Err(self.document.blame(region, problem));
                }
                hit
            }
            _ => {
                let problem = "got both or none of replica and region, wanted one of them";
                return Err(self.document.blame(table, problem));
            }
        };
        Ok(hit.into_iter().map(|replica| Outage { replica, from, to }).collect())
    }

    fn event_error(&self, event: &Located<EventTable>, error: &ModelError) -> Diagnostic {
        self.model_error(event, error)
    }

    /// What the router does when an attempt fails.
    pub(super) fn failures(
        &self,
        given: Option<&Located<FailuresTable>>,
    ) -> Result<FailureSpec, Diagnostic> {
        let default = FailureSpec::default();
        let Some(table) = given else {
            return Ok(default);
        };
        let FailuresTable { attempts, connect_timeout, unhealthy_after, probe_timeout } =
            &table.value;
        if let Some(attempts) = attempts.as_ref().filter(|attempts| attempts.value == 0) {
            return Err(self.document.blame(attempts, "got 0, wanted at least 1"));
        }
        Ok(FailureSpec {
            attempts: attempts.as_ref().map_or(default.attempts, |attempts| attempts.value),
            connect_timeout: connect_timeout.map_or(default.connect_timeout, |span| span.0),
            unhealthy_after: unhealthy_after.unwrap_or(default.unhealthy_after),
            probe_timeout: probe_timeout.map_or(default.probe_timeout, |span| span.0),
        })
    }
}
