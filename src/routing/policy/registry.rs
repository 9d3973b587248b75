//! The list of policies by name: one line each.
//!
//! [`build`] makes a policy from a name and any serde deserializer of a table of parameters; whatever that deserializer
//! has to say about a bad value, with its position, comes back untouched. Read any policy's file next.

use super::parameter::{Configured, Parameter, ParameterError};
use super::{
    Policy, cache_aware, gorgo, gorgo_abg, gorgo_proxy, gorgo_regional, least_load, least_request,
    llm_d, nearest, power_of_two, prefix_cache, prefix_tree, random, round_robin, session_affinity,
};
use serde::{Deserialize, Deserializer, Serializer};

/// Why a policy could not be built. `E` is the deserializer's own error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RegistryError<E: std::error::Error> {
    /// There is no policy of that name.
    #[error("there is no policy `{name}`, wanted one of {}", names().join(", "))]
    UnknownPolicy {
        /// The name.
        name: String,
    },
    /// The parameters could not be read: an unknown name, a wrong type, a number out of bounds.
    #[error("{0}")]
    Unreadable(E),
    /// A parameter was read but makes no sense.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

macro_rules! policies {
    ($($policy:path,)+) => {
        const NAMES: &[&str] = &[$(<$policy as Configured>::NAME),+];

        /// Builds the policy `name` with `parameters`, a table in which what is not named keeps its default.
        ///
        /// # Errors
        /// When there is no such policy, or its parameters are wrong.
        pub fn build<'de, D: Deserializer<'de>>(
            name: &str,
            parameters: D,
        ) -> Result<Box<dyn Policy>, RegistryError<D::Error>> {
            match name {
                $(<$policy as Configured>::NAME => Ok(Box::new(read::<$policy, D>(parameters)?.0)),)+
                _ => Err(RegistryError::UnknownPolicy { name: name.to_owned() }),
            }
        }

        /// As [`build`], and writes all parameters, defaults included, to `out`: for the resolved scenario and the
        /// head of a decision log. Building from what was written gives the same policy.
        ///
        /// # Errors
        /// As [`build`]; what `out` returned is in the pair.
        pub fn resolve<'de, D: Deserializer<'de>, S: Serializer>(
            name: &str,
            parameters: D,
            out: S,
        ) -> Result<(Box<dyn Policy>, Result<S::Ok, S::Error>), RegistryError<D::Error>> {
            match name {
                $(<$policy as Configured>::NAME => {
                    let (policy, parameters) = read::<$policy, D>(parameters)?;
                    Ok((Box::new(policy), serde::Serialize::serialize(&parameters, out)))
                })+
                _ => Err(RegistryError::UnknownPolicy { name: name.to_owned() }),
            }
        }

        /// What a policy does, in one line.
        #[must_use]
        pub fn describe(name: &str) -> Option<&'static str> {
            match name {
                $(<$policy as Configured>::NAME => Some(<$policy as Configured>::SUMMARY),)+
                _ => None,
            }
        }

        /// A policy's parameters: name, default, bounds, meaning.
        #[must_use]
        pub fn parameters(name: &str) -> Option<&'static [Parameter]> {
            match name {
                $(<$policy as Configured>::NAME => Some(<$policy as Configured>::PARAMETERS),)+
                _ => None,
            }
        }
    };
}

policies! {
    round_robin::RoundRobin,
    random::Random,
    power_of_two::PowerOfTwo,
    least_request::LeastRequest,
    least_load::LeastLoad,
    session_affinity::SessionAffinity,
    prefix_cache::PrefixCache,
    prefix_tree::PrefixTree,
    cache_aware::CacheAware,
    llm_d::LlmD,
    gorgo::Gorgo,
    gorgo_proxy::GorgoProxy,
    gorgo_regional::GorgoRegional,
    gorgo_abg::GorgoAbg,
    nearest::Nearest,
}

/// The names of all policies, in the order of the list.
#[must_use]
pub const fn names() -> &'static [&'static str] {
    NAMES
}

/// A policy and its complete parameters.
type Read<P> = (P, <P as Configured>::Parameters);

fn read<'de, P: Configured, D: Deserializer<'de>>(
    parameters: D,
) -> Result<Read<P>, RegistryError<D::Error>> {
    let parameters = P::Parameters::deserialize(parameters).map_err(RegistryError::Unreadable)?;
    Ok((P::new(parameters.clone())?, parameters))
}
