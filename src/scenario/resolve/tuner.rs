//! A policy's tuner: the routing crate checks it, and its errors are put where the value stands.

use super::Context;
use super::policies::policy_name;
use crate::parsed::{PolicyTable, TunerTable};
use gorgo_config::{Diagnostic, Located};
use gorgo_routing::Policy;
use gorgo_routing::tuner::{Bounds, StrategyConfig, Tuner, TunerConfig, TunerError};
use toml::Spanned;
use toml::de::DeValue;

impl Context<'_> {
    /// The tuner of a policy, checked against the policy as it starts.
    pub(super) fn tuner(
        &self,
        policy: &Located<PolicyTable>,
        built: &dyn Policy,
    ) -> Result<Option<TunerConfig>, Diagnostic> {
        let Some(given) = &policy.value.tuner else { return Ok(None) };
        let config = TunerConfig {
            weights: boxes(&given.value),
            objective: given.value.objective.as_ref().map_or_else(Default::default, |o| o.value),
            strategy: self.strategy(given)?,
        };
        match Tuner::of(&config, built, 0) {
            Ok(_) => Ok(Some(config)),
            Err(error) => Err(self.tuner_error(policy, given, &error)),
        }
    }

    fn strategy(&self, given: &Located<TunerTable>) -> Result<StrategyConfig, Diagnostic> {
        let TunerTable { one_fifth, paired, schedule, .. } = &given.value;
        match (one_fifth, paired, schedule) {
            (Some(parameters), None, None) => Ok(StrategyConfig::OneFifth(parameters.value)),
            (None, Some(parameters), None) => Ok(StrategyConfig::Paired(parameters.value)),
            (None, None, Some(parameters)) => {
                Ok(StrategyConfig::Schedule(parameters.value.clone()))
            }
            (None, None, None) => {
                let problem =
                    "got no strategy, wanted one of the tables one_fifth, paired and schedule";
                Err(self.document.blame(given, problem))
            }
            (_, _, Some(second)) => Err(self.second_strategy(second)),
            (_, Some(second), None) => Err(self.second_strategy(second)),
        }
    }

    fn second_strategy<T>(&self, second: &Located<T>) -> Diagnostic {
        let problem = "got a second strategy, wanted one of one_fifth, paired and schedule";
        self.document.blame(second, problem)
    }

    fn tuner_error(
        &self,
        policy: &Located<PolicyTable>,
        given: &Located<TunerTable>,
        error: &TunerError,
    ) -> Diagnostic {
        let problem = match error {
            TunerError::Parameter { value, wanted, .. } => format!("got {value}, wanted {wanted}"),
            TunerError::UnknownWeight { .. } => error.to_string(),
        };
        let parameter = match error {
            TunerError::Parameter { parameter, .. } => parameter.clone(),
            TunerError::UnknownWeight { name, .. } => format!("weights.{name}"),
        };
        let table = self.element(policy).and_then(|place| place.get_ref().get("tuner"));
        match table.and_then(|table| deepest(table, &parameter)) {
            Some(place) => self.document.error(place.span(), problem),
            None if given.span().is_some() => self.document.blame(given, error.to_string()),
            None => self.document.blame(&policy_name(policy), error.to_string()),
        }
    }
}

fn boxes(given: &TunerTable) -> Vec<Bounds> {
    let boxes = given.weights.value.iter();
    let boxes = boxes.map(|(name, edges)| {
        let [low, high] = edges.value;
        Bounds { name: name.clone(), low, high }
    });
    boxes.collect()
}

/// Where a parameter stands: in the table itself or in that of the objective, the strategy or its search. A weight's
/// name may have no dots, so `weights.w` leads from the top; `changes[1]` is the second of a list.
fn deepest<'t, 'd>(
    table: &'t Spanned<DeValue<'d>>,
    parameter: &str,
) -> Option<&'t Spanned<DeValue<'d>>> {
    let follow = |path: &[&str]| path.iter().try_fold(table, |place, step| enter(place, step));
    let steps: Vec<&str> = parameter.split('.').collect();
    let folders: [&[&str]; 6] =
        [&[], &["objective"], &["one_fifth"], &["one_fifth", "search"], &["paired"], &["schedule"]];
    folders.iter().find_map(|folder| follow(&[folder, steps.as_slice()].concat()))
}

/// What stands in a table under a name, or at a place of the list there.
fn enter<'t, 'd>(table: &'t Spanned<DeValue<'d>>, step: &str) -> Option<&'t Spanned<DeValue<'d>>> {
    match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
        Some((list, place)) => {
            table.get_ref().get(list)?.get_ref().get(place.parse::<usize>().ok()?)
        }
        None => table.get_ref().get(step),
    }
}
