//! What the load generator can hold.

use super::Context;
use gorgo_config::Diagnostic;
use gorgo_workload::ClientSpec;

impl Context<'_> {
    pub(super) fn client(&self) -> Result<ClientSpec, Diagnostic> {
        let given = &self.table.client;
        let workers = given.workers.as_ref().map(|workers| {
            u32::try_from(workers.value.0).map_err(|_| {
                let problem = format!("got {}, wanted at most 10000000 workers", workers.value.0);
                self.document.blame(workers, problem)
            })
        });
        let spec = ClientSpec {
            workers: workers.transpose()?,
            queue: given.queue.as_ref().map(|queue| queue.value),
            startup_stall: given.startup_stall.unwrap_or_default().0,
        };
        spec.validate().map_err(|error| self.workload_error(&["client"], &error))?;
        Ok(spec)
    }
}
