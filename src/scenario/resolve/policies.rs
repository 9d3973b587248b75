//! The policies to compare. A policy's parameters are read by the policy itself, out of the document, so that its errors
//! stand on the value.

use super::Context;
use crate::PolicySpec;
use crate::parsed::PolicyTable;
use gorgo_config::{Diagnostic, Located, ReadError, Reader};
use gorgo_routing::registry::{self, RegistryError};
use std::sync::LazyLock;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

impl Context<'_> {
    /// The policies; `variants` are the routers that they may ask for.
    pub(super) fn policies(&self) -> Result<Vec<PolicySpec>, Diagnostic> {
        let Some(given) = &self.table.router.policies else {
            let span = self.document.at(&["router"]).map_or(0..0, Spanned::span);
            let problem = "got no policies, wanted `policies = [...]` with at least one";
            return Err(self.document.error(span, problem.to_owned()));
        };
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
        let (built, result) = registry::resolve(
            &name.value,
            self.parameters(policy),
            toml::Serializer::new(&mut written),
        )
        .map_err(|error| self.policy_error(policy, error))?;
        result.map_err(|error| self.document.blame(&name, error.to_string()))?;
        let parameters = toml::from_str(&written.to_string())
            .map_err(|error| self.document.blame(&name, error.to_string()))?;
        let variants: Vec<&str> = self.table.router.variants.keys().map(String::as_str).collect();
        let router = match &policy.value.router {
            Some(router) => {
                Some(self.known(router, "variant of the router", &variants)?.to_owned())
            }
            None => None,
        };
        let tuner = self.tuner(policy, &*built)?;
        Ok(PolicySpec { name: name.value, label, router, parameters, tuner })
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
    fn parameters(&self, policy: &Located<PolicyTable>) -> Reader<'_> {
        static NONE: LazyLock<Spanned<DeTable<'static>>> =
            LazyLock::new(|| Spanned::new(0..0, DeTable::new()));
        match self.element(policy) {
            Some(place) if place.get_ref().is_table() => {
                Reader::new(place).only(|key| !matches!(key, "name" | "label" | "router" | "tuner"))
            }
            _ => Reader::table(&NONE),
        }
    }

    /// Where a policy stands in the document; none for one that the program added. It is found by its place, because
    /// the program may have changed the order.
    pub(super) fn element(&self, policy: &Located<PolicyTable>) -> Option<&Spanned<DeValue<'_>>> {
        let span = policy.span()?;
        let DeValue::Array(policies) = self.document.at(&["router", "policies"])?.get_ref() else {
            return None;
        };
        policies.iter().find(|element| element.span() == span)
    }

    fn policy_error(
        &self,
        policy: &Located<PolicyTable>,
        error: RegistryError<ReadError>,
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
pub(super) fn policy_name(policy: &Located<PolicyTable>) -> Located<String> {
    match policy.value.name.span() {
        Some(_) => policy.value.name.clone(),
        None => policy.with(policy.value.name.value.clone()),
    }
}
