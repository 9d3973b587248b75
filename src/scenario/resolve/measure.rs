//! What is measured.

use super::Context;
use crate::MeasureParams;
use gorgo_config::{Count, Diagnostic, Duration, Located, PositiveDuration};
use gorgo_types::Nanos;

/// GuideLLM's `constraint_error_window_size`.
const ERROR_WINDOW: u32 = 30;

impl Context<'_> {
    pub(super) fn measure(&self) -> Result<MeasureParams, Diagnostic> {
        let given = &self.table.measure;
        let positive = |span: Option<PositiveDuration>| span.map(|span| span.0);
        let count = |given: &Option<Located<Count>>| given.as_ref().map(|count| count.value.0);
        let measure = MeasureParams {
            warm_up_requests: count(&given.warm_up_requests),
            stop_after_requests: count(&given.stop_after_requests),
            max_error_share: self.max_error_share()?,
            error_window: self.error_window()?,
            warm_up: given.warm_up.map_or(Nanos::ZERO, |span| span.0),
            stop: given.stop.as_ref().map(|span| span.value.0),
            drain: given.drain.map(|span| span.0),
            slo_ttft: positive(given.slo_ttft),
            slo_tpot: positive(given.slo_tpot),
            slo_e2e: positive(given.slo_e2e),
            records: given.records.unwrap_or_default(),
            timeline_step: positive(given.timeline_step),
        };
        if let (Some(requests), Some(warm_up)) = (&given.warm_up_requests, given.warm_up) {
            let problem = format!("got a second warm-up beside warm_up = {warm_up}, wanted one");
            return Err(self.document.blame(requests, problem));
        }
        if let (Some(stop), Some(warm_up)) = (&given.stop_after_requests, measure.warm_up_requests)
            && stop.value.0 <= warm_up
        {
            let problem =
                format!("got {}, wanted more than warm_up_requests = {warm_up}", stop.value.0);
            return Err(self.document.blame(stop, problem));
        }
        if let Some(stop) = &given.stop
            && stop.value.0 <= measure.warm_up
        {
            let warm_up = Duration(measure.warm_up);
            let problem = format!("got {}, wanted more than warm_up = {warm_up}", stop.value);
            return Err(self.document.blame(stop, problem));
        }
        Ok(measure)
    }

    fn max_error_share(&self) -> Result<Option<f64>, Diagnostic> {
        let Some(share) = &self.table.measure.max_error_share else { return Ok(None) };
        if share.value.0 > 0.0 {
            return Ok(Some(share.value.0));
        }
        let problem = "got 0, wanted more: a run without a single error would end at once";
        Err(self.document.blame(share, problem))
    }

    fn error_window(&self) -> Result<u32, Diagnostic> {
        let Some(window) = &self.table.measure.error_window else { return Ok(ERROR_WINDOW) };
        if self.table.measure.max_error_share.is_none() {
            let problem = "got a window of errors, wanted max_error_share as well";
            return Err(self.document.blame(window, problem));
        }
        u32::try_from(window.value.0).ok().filter(|window| *window <= 1_000_000).ok_or_else(|| {
            let problem = format!("got {}, wanted at most 1000000 requests", window.value.0);
            self.document.blame(window, problem)
        })
    }
}
