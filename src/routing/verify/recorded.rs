//! The decision tables that the GORGO authors recorded on a real fleet: one row per decision, as CSV columns.
//!
//! Needed are `request_id`, `decided_s`, `request_tokens`, `metrics_age_s`, `chosen` (a replica's index) and, for every
//! replica `r0`, `r1`, ... : `rN_scrape_latency_ms`, `rN_rtt_ewma_ms` (empty before the first probe: the scrape's
//! latency stands in), `rN_running`, `rN_queued_requests`, `rN_used_tokens`, `rN_queued_tokens` and `rN_cached_tokens`.
//! Other columns are what happened afterwards, and are not read. The tables have no draws, no own request counts (0
//! here), no pool sizes (0: unknown) and no sessions or block ids.
//!
//! Splitting lines into fields is the caller's. Read `log.rs` for this project's own format.

use super::case::{Case, RowError, stand_in, wrong};
use crate::decision::Target;
use crate::signals::Signals;
use gorgo_types::{Nanos, RegionId, ReplicaId, RequestId, Tokens};
use std::collections::BTreeMap;

/// The tables begin when the first decision is made, at which time the scraped metrics are already some seconds old. So
/// their time zero is laid at one hour of the clock, which cannot run below zero.
const TIME_ZERO_S: f64 = 3_600.0;

/// What the columns of one replica are called, after `rN_`.
const OF_REPLICA: [&str; 7] = [
    "scrape_latency_ms",
    "rtt_ewma_ms",
    "running",
    "queued_requests",
    "used_tokens",
    "queued_tokens",
    "cached_tokens",
];

/// Where the needed columns of a table stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedColumns {
    names: Vec<String>,
    request_id: usize,
    decided_s: usize,
    request_tokens: usize,
    metrics_age_s: usize,
    chosen: usize,
    replicas: Vec<[usize; OF_REPLICA.len()]>,
}

impl RecordedColumns {
    /// Finds the columns by the names in the table's first line.
    ///
    /// # Errors
    /// When one is missing or there twice, or there is no replica.
    pub fn from_header<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, RowError> {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(wrong(name, "there twice", "each column once"));
            }
        }
        let place = |wanted: &str| {
            let found = names.iter().position(|name| name == wanted);
            found.ok_or_else(|| wrong(wanted, "missing", "a column of that name"))
        };
        let mut replicas = Vec::new();
        while replicas.is_empty() || names.iter().any(|n| is_of_replica(n, replicas.len())) {
            let mut places = [0; OF_REPLICA.len()];
            for (at, suffix) in places.iter_mut().zip(OF_REPLICA) {
                *at = place(&format!("r{}_{suffix}", replicas.len()))?;
            }
            replicas.push(places);
        }
        Ok(Self {
            request_id: place("request_id")?,
            decided_s: place("decided_s")?,
            request_tokens: place("request_tokens")?,
            metrics_age_s: place("metrics_age_s")?,
            chosen: place("chosen")?,
            replicas,
            names,
        })
    }

    /// The number of replicas.
    #[must_use]
    pub const fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// Reads row `ordinal` (from 0) of the table.
    ///
    /// # Errors
    /// When the row has more or fewer fields than the header, or a field is not what its column holds.
    pub fn case(&self, ordinal: u64, fields: &[&str]) -> Result<Case, RowError> {
        if fields.len() != self.names.len() {
            let wanted = format!("{}, as in the header", self.names.len());
            return Err(wrong("the row", format!("{} fields long", fields.len()), wanted));
        }
        let row = Row { names: &self.names, fields };
        let now_s = row.seconds(self.decided_s)? + TIME_ZERO_S;
        let scraped_s = now_s - row.seconds(self.metrics_age_s)?;
        let tokens: u64 = row.whole(self.request_tokens)?;
        let replicas = self.replicas.iter().enumerate();
        let candidates = replicas
            .map(|(i, at)| signals(&row, i, at, scraped_s))
            .collect::<Result<Vec<_>, _>>()?;
        let chosen: u32 = row.whole(self.chosen)?;
        if chosen as usize >= candidates.len() {
            let wanted = format!("a replica's index from 0 to {}", candidates.len() - 1);
            return Err(row.wrong(self.chosen, wanted));
        }
        Ok(Case {
            label: fields[self.request_id].to_owned(),
            request: RequestId { session: ordinal, turn: 0 },
            now: nanos(now_s),
            prompt: stand_in("request_tokens", tokens, 0)?,
            max_tokens: Tokens(0),
            session: None,
            residency: None,
            candidates,
            home: None,
            draw: None,
            weights: BTreeMap::new(),
            memory: None,
            chosen: Target::Replica(ReplicaId(chosen)),
            scores: None,
        })
    }
}

fn is_of_replica(name: &str, index: usize) -> bool {
    name.strip_prefix('r')
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(number, _)| number == index.to_string())
}

/// Seconds as whole nanoseconds; below zero is zero, beyond the clock's end its end.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn nanos(seconds: f64) -> Nanos {
    Nanos((seconds * 1e9).round() as u64)
}

fn signals(
    row: &Row<'_>,
    index: usize,
    at: &[usize; OF_REPLICA.len()],
    scraped_s: f64,
) -> Result<Signals, RowError> {
    let [scrape, rtt, running, queued_requests, used, queued, cached] = *at;
    let id = u32::try_from(index).map_err(|_| row.wrong(scrape, "fewer replicas"))?;
    let scrape_latency_ms = row.optional_ms(scrape)?;
    let rtt_ewma_ms = row.optional_ms(rtt)?;
    if scrape_latency_ms.is_none() && rtt_ewma_ms.is_none() {
        return Err(row.wrong(scrape, "a number, as there is no RTT either"));
    }
    Ok(Signals {
        rtt_ewma_ms,
        scrape_latency_ms,
        running_requests: row.whole(running)?,
        queued_requests: row.whole(queued_requests)?,
        used_tokens: row.whole(used)?,
        scraped_at: Some(nanos(scraped_s)),
        queued_tokens: row.whole(queued)?,
        cached_tokens: row.whole(cached)?,
        ..Signals::unknown(ReplicaId(id), RegionId(id))
    })
}

/// The fields of a row under their columns' names.
struct Row<'a> {
    names: &'a [String],
    fields: &'a [&'a str],
}

impl Row<'_> {
    fn wrong(&self, place: usize, wanted: impl Into<String>) -> RowError {
        wrong(&self.names[place], format!("`{}`", self.fields[place]), wanted)
    }

    fn whole<T: std::str::FromStr>(&self, place: usize) -> Result<T, RowError> {
        let text = self.fields[place];
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = if plain { text.parse().ok() } else { None };
        number.ok_or_else(|| self.wrong(place, "a whole number of at least 0"))
    }

    fn seconds(&self, place: usize) -> Result<f64, RowError> {
        let number: Option<f64> = self.fields[place].parse().ok();
        number
            .filter(|n| n.is_finite() && *n >= 0.0)
            .ok_or_else(|| self.wrong(place, "a finite number of at least 0"))
    }

    fn optional_ms(&self, place: usize) -> Result<Option<f64>, RowError> {
        if self.fields[place].is_empty() { Ok(None) } else { self.seconds(place).map(Some) }
    }
}
