//! The router and its policies. A policy's parameters are read by the policy itself, out of the document, so that its
//! errors stand on the value.

use super::Context;
use crate::parsed::PolicyTable;
use crate::{IndexSpec, PolicySpec, RouterSpec};
use gorgo_config::{Diagnostic, Located, PositiveDuration, Share};
use gorgo_model::Network;
use gorgo_routing::registry::{self, RegistryError};
use gorgo_types::Nanos;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Spacing of probes and scrapes: the pace at which GORGO v1 polls its engines' metrics. GORGO v2's proxy does both
/// every 30 s.
const DEFAULT_INTERVAL: Nanos = Nanos::from_secs(1);

/// Weight of the newest probe: that of both GORGO v1 and v2.
const DEFAULT_EWMA_ALPHA: f64 = 0.3;

impl Context<'_> {
    pub(super) fn router(&self, network: &Network) -> Result<RouterSpec, Diagnostic> {
        let given = &self.table.router;
        let policies = self.policies()?;
        let interval =
            |span: Option<PositiveDuration>| span.map_or(DEFAULT_INTERVAL, |span| span.0);
        let index = self.index()?;
        let alpha = given.rtt_ewma_alpha.clone().unwrap_or(Share(DEFAULT_EWMA_ALPHA).into());
        if alpha.value.0 == 0.0 {
            let problem = "got 0, wanted a number above 0 and at most 1";
            return Err(self.document.blame(&alpha, problem));
        }
        Ok(RouterSpec {
            region: self.region_id(&given.region, network)?,
            policies,
            probe_interval: interval(given.probe_interval),
            scrape_interval: interval(given.scrape_interval),
            rtt_ewma_alpha: alpha.value.0,
            index,
            learn_at: given.learn_at.unwrap_or_default(),
            release_at: given.release_at.unwrap_or_default(),
            decision_time: given.decision_time.map_or(Nanos::ZERO, |span| span.0),
            max_in_flight_per_replica: match &given.max_in_flight_per_replica {
                Some(most) => Some(self.small(Some(most), 0)?),
                None => None,
            },
            max_queue: given.queue_limit.as_ref().map_or(u32::MAX, |most| most.value),
            queue_timeout: given.queue_timeout.map(|span| span.0),
            learn_output: given.learn_output.unwrap_or(false),
            failures: self.failures()?,
        })
    }

    fn index(&self) -> Result<IndexSpec, Diagnostic> {
        let Some(given) = &self.table.router.index else { return Ok(IndexSpec::Unbounded) };
        match (&given.value.unbounded, &given.value.lru) {
            (Some(_), None) => Ok(IndexSpec::Unbounded),
            (None, Some(lru)) => Ok(IndexSpec::Lru {
                capacity_tokens_per_replica: lru.value.capacity_tokens_per_replica.0,
            }),
            (Some(_), Some(lru)) => {
                let problem = "got a second kind of index, wanted one of unbounded and lru";
                Err(self.document.blame(lru, problem))
            }
            (None, None) => {
                let problem =
                    "got no kind of index, wanted [router.index.unbounded] or [router.index.lru]";
                Err(self.document.blame(given, problem))
            }
        }
    }

    fn policies(&self) -> Result<Vec<PolicySpec>, Diagnostic> {
        let given = &self.table.router.policies;
        if given.value.is_empty() {
            let problem = "got no policies, wanted at least one";
            let known = registry::names().join(", ");
            return Err(self
                .document
                .blame(given, problem)
                .help(format!("known policies: {known}")));
        }
        let mut policies: Vec<PolicySpec> = Vec::new();
        for policy in &given.value {
            let spec = self.policy(policy)?;
            if policies.iter().any(|other| other.label == spec.label) {
                let problem = format!(
                    "got {:?} a second time, wanted each policy's label once: add label = \"...\"",
                    spec.label
                );
                let place = policy.value.label.clone().unwrap_or(policy_name(policy));
                return Err(self.document.blame(&place, problem));
            }
            policies.push(spec);
        }
        Ok(policies)
    }

    fn policy(&self, policy: &Located<PolicyTable>) -> Result<PolicySpec, Diagnostic> {
        let name = policy_name(policy);
        let label = match &policy.value.label {
            Some(label) => self.label(label)?,
            None => name.value.clone(),
        };
        let mut written = toml::ser::Buffer::new();
        let (_, result) = registry::resolve(
            &name.value,
            self.parameters(policy),
            toml::Serializer::new(&mut written),
        )
        .map_err(|error| self.policy_error(policy, error))?;
        result.map_err(|error| self.document.blame(&name, error.to_string()))?;
        let parameters = toml::from_str(&written.to_string())
            .map_err(|error| self.document.blame(&name, error.to_string()))?;
        Ok(PolicySpec { name: name.value, label, parameters })
    }

    /// A label becomes a folder's name.
    fn label(&self, label: &Located<String>) -> Result<String, Diagnostic> {
        let text = &label.value;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '=');
        if text.is_empty() || text.len() > 100 || text.starts_with('.') || !text.chars().all(good) {
            let problem = format!(
                "got {text:?}, wanted letters, digits and - _ . + = (it becomes a folder's name), not a dot first"
            );
            return Err(self.document.blame(label, problem));
        }
        Ok(text.clone())
    }

    /// A policy's parameters with their places, or, for one that the program added, without.
    fn parameters(&self, policy: &Located<PolicyTable>) -> ValueDeserializer<'_> {
        let (span, table) = match self.element(policy).map(|place| (place.span(), place.get_ref()))
        {
            Some((span, DeValue::Table(table))) => {
                let own =
                    |key: &Spanned<Cow<'_, str>>| !matches!(&**key.get_ref(), "name" | "label");
                let table: DeTable<'_> = (table.iter())
                    .filter(|(key, _)| own(key))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                (span, table)
            }
            Some((span, _)) => (span, DeTable::new()),
            None => (0..0, DeTable::new()),
        };
        ValueDeserializer::from(Spanned::new(span, DeValue::Table(table)))
    }

    /// Where a policy stands in the document; none for one that the program added. It is found by its place, because
    /// the program may have changed the order.
    fn element(&self, policy: &Located<PolicyTable>) -> Option<&Spanned<DeValue<'_>>> {
        let span = policy.span()?;
        let DeValue::Array(policies) = self.document.at(&["router", "policies"])?.get_ref() else {
            return None;
        };
        policies.iter().find(|element| element.span() == span)
    }

    fn policy_error(
        &self,
        policy: &Located<PolicyTable>,
        error: RegistryError<toml::de::Error>,
    ) -> Diagnostic {
        let name = &policy_name(policy);
        match error {
            RegistryError::UnknownPolicy { name: given } => {
                let problem = format!("got {given:?}, wanted a known policy");
                let known = registry::names().iter().copied();
                self.document.blame(name, problem).known("known policies", &given, known)
            }
            RegistryError::Unreadable(error) => self.document.explain(&error),
            RegistryError::Parameter(error) => {
                let table = self.element(policy).and_then(|place| place.get_ref().as_table());
                match table.and_then(|table| table.get(error.parameter)) {
                    Some(value) => self.document.error(value.span(), error.to_string()),
                    None => self.document.blame(name, error.to_string()),
                }
            }
        }
    }
}

/// A policy's name where it stands: one that is only a name stands where its element does.
fn policy_name(policy: &Located<PolicyTable>) -> Located<String> {
    match policy.value.name.span() {
        Some(_) => policy.value.name.clone(),
        None => policy.with(policy.value.name.value.clone()),
    }
}
