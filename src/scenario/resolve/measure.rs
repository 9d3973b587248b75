//! What is measured.

use super::Context;
use crate::MeasureParams;
use gorgo_config::{Diagnostic, Duration, PositiveDuration};
use gorgo_types::Nanos;

impl Context<'_> {
    pub(super) fn measure(&self) -> Result<MeasureParams, Diagnostic> {
        let given = &self.table.measure;
        let positive = |span: Option<PositiveDuration>| span.map(|span| span.0);
        let measure = MeasureParams {
            warm_up: given.warm_up.map_or(Nanos::ZERO, |span| span.0),
            stop: given.stop.as_ref().map(|span| span.value.0),
            drain: given.drain.map(|span| span.0),
            slo_ttft: positive(given.slo_ttft),
            slo_tpot: positive(given.slo_tpot),
            slo_e2e: positive(given.slo_e2e),
            records: given.records.unwrap_or_default(),
            timeline_step: positive(given.timeline_step),
        };
        if let Some(stop) = &given.stop
            && stop.value.0 <= measure.warm_up
        {
            let warm_up = Duration(measure.warm_up);
            let problem = format!("got {}, wanted more than warm_up = {warm_up}", stop.value);
            return Err(self.document.blame(stop, problem));
        }
        Ok(measure)
    }
}
