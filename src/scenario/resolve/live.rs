//! `[live]`: checked, its defaults filled in. What URLs and headers must be is for `gorgo live` to say.

use super::Context;
use crate::parsed::LiveTable;
use gorgo_config::{Count, Diagnostic, Located, PositiveDuration};
use gorgo_types::Nanos;

/// More tries of one request than anybody wants.
const MOST_RETRIES: u64 = 100;
/// More rounds than anybody has time for.
const MOST_ROUNDS: u64 = 1_000;
/// Fewer ids than this are no vocabulary, and more are no token ids.
const VOCABULARY: std::ops::RangeInclusive<u64> = 256..=u32::MAX as u64;

impl Context<'_> {
    /// The table with every default, where there is one.
    pub(super) fn live(&self) -> Result<Option<LiveTable>, Diagnostic> {
        let Some(table) = &self.table.live else { return Ok(None) };
        let given = &table.value;
        for (count, wanted) in [
            (&given.token_ids, VOCABULARY),
            (&given.retries, 0..=MOST_RETRIES),
            (&given.rounds, 1..=MOST_ROUNDS),
        ] {
            if let Some(count) = count.as_ref().filter(|count| !wanted.contains(&count.value.0)) {
                let (least, most) = (wanted.start(), wanted.end());
                let problem = format!("got {}, wanted {least} to {most}", count.value.0);
                return Err(self.document.blame(count, problem));
            }
        }
        let count = |given: &Option<Located<Count>>, default| {
            Some(Located::nowhere(given.as_ref().map_or(Count(default), |count| count.value)))
        };
        let span = |given: Option<PositiveDuration>, default| {
            Some(given.unwrap_or(PositiveDuration(default)))
        };
        Ok(Some(LiveTable {
            api: Some(given.api.unwrap_or_default()),
            stream: Some(given.stream.unwrap_or(true)),
            lengths: Some(given.lengths.unwrap_or_default()),
            emulated: Some(given.emulated.unwrap_or(false)),
            client_legs: Some(given.client_legs.unwrap_or_default()),
            connect_timeout: span(given.connect_timeout, Nanos::from_secs(5)),
            timeout: span(given.timeout, Nanos::from_secs(600)),
            retries: count(&given.retries, 0),
            max_send_lag: span(given.max_send_lag, Nanos::from_millis(50)),
            rounds: count(&given.rounds, 1),
            flush: Some(given.flush.unwrap_or(false)),
            ..given.clone()
        }))
    }
}
