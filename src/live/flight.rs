//! One request from its sending to its end: tries, their place, and the record that comes of it.

use crate::attempt::{Ask, End, Heard, attempt};
use crate::balance::{Balancer, Place, Turned};
use crate::clock::Clock;
use crate::connection::Endpoint;
use crate::options::Options;
use crate::way::Way;
use bytes::Bytes;
use gorgo_metrics::{RequestRecord, Status, TtftParts};
use gorgo_routing::Router;
use gorgo_sim::record_of;
use gorgo_types::{Nanos, ReplicaId, Request, ZoneId};
use gorgo_workload::Outgoing;
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What all requests of a run have in common.
pub(crate) struct Field {
    pub clock: Clock,
    pub options: Options,
    /// By replica of the balancer; a single one where there is none.
    pub endpoints: Vec<Arc<Endpoint>>,
    pub balancer: Option<Balancer>,
}

/// A request that is ready to be sent.
pub(crate) struct Job {
    pub outgoing: Outgoing,
    pub body: Bytes,
    pub headers: HeaderMap,
    /// The zone that it may not leave, where the client's own router has zones.
    pub zone: Option<ZoneId>,
    pub way: Way,
    /// When its bytes should go.
    pub due: Nanos,
}

/// Where it went, in names: the records' ids are given when all are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Went {
    pub replica: Option<String>,
    pub region: Option<String>,
    /// One of the client's own targets.
    pub target: Option<ReplicaId>,
}

/// A request that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its replica and regions are still to be filled in.
    pub record: RequestRecord,
    pub went: Went,
    /// When pieces came, and how long after the ones before.
    pub gaps: Vec<(Nanos, Nanos)>,
    pub lag: Nanos,
    pub pieces: u64,
    pub has_usage: bool,
    pub has_timing: bool,
    pub malformed_headers: u32,
    /// Why it came to nothing.
    pub reason: Option<String>,
}

/// Sends a request and waits for its end.
pub(crate) async fn fly(field: &Field, job: Job) -> Ended {
    let clock = field.clock;
    let lag = clock.now().saturating_sub(job.due);
    let request = Arc::new(job.outgoing.request.clone());
    let mut record = record_of(&job.outgoing);
    record.sent += lag;
    record.parts.client_queue = record.sent - record.scheduled;
    record.parts.client_to_router = job.way.out;
    record.parts.connect = job.way.connect;
    let mut flight = Flight {
        field,
        request,
        deadline: Instant::now() + field.options.patience.whole,
        began: clock.now(),
        job: &job,
        record,
        last: Heard::default(),
        place: None,
    };
    let reason = match flight.tries().await {
        Ok(()) => None,
        Err((status, reason)) => {
            flight.record.status = status;
            Some(reason)
        }
    };
    let mut ended = flight.end();
    ended.lag = lag;
    ended.reason = reason;
    ended
}

/// What may still come, and when it must have.
struct Flight<'a> {
    field: &'a Field,
    request: Arc<Request>,
    job: &'a Job,
    deadline: Instant,
    began: Nanos,
    record: RequestRecord,
    last: Heard,
    place: Option<Place>,
}

/// Whether another try may go better.
fn may_help(end: &End) -> bool {
    match end {
        End::Done => false,
        End::Status(status, _) => matches!(status, 429 | 500 | 502 | 503 | 504),
        End::Broken(_) => true,
        End::TimedOut(what) => *what == "a connection",
    }
}

impl Flight<'_> {
    /// Tries until an answer is complete, has begun, or patience ends.
    async fn tries(&mut self) -> Result<(), (Status, String)> {
        let patience = &self.field.options.patience;
        let mut wait = patience.retry_wait;
        for retries_left in (0..=patience.retries).rev() {
            let end = self.once().await?;
            let begun = self.last.first_token.is_some();
            if end == End::Done {
                self.record.status = Status::Completed;
                return Ok(());
            }
            let too_late = Instant::now() + wait >= self.deadline;
            if begun || retries_left == 0 || too_late || !may_help(&end) {
                return Err(fate(&end));
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(Duration::from_secs(3_600));
        }
        Err((Status::Failed, "no try was left".to_owned()))
    }

    /// One try.
    async fn once(&mut self) -> Result<End, (Status, String)> {
        let (field, clock) = (self.field, self.field.clock);
        let start = clock.now();
        self.record.parts.failed_attempts = start.saturating_sub(self.began);
        let (mut at, mut routing) = (0, Nanos::ZERO);
        self.place = None;
        if let Some(balancer) = &field.balancer {
            let placed = balancer.place(&self.request, self.job.zone, self.record.attempts).await;
            let waited = clock.now().saturating_sub(start);
            let place = placed.map_err(|turned| match turned {
                Turned::Away => (Status::Rejected, "no replica may be chosen".to_owned()),
                Turned::TimedOut => (Status::TimedOut, "in the client's router".to_owned()),
            })?;
            at = place.replica.index();
            self.place = Some(place);
            routing = waited;
        }
        self.record.parts.router_queue = routing;
        self.record.attempts = self.record.attempts.saturating_add(1);
        let first_token = field.options.patience.first_token;
        let by_first = first_token.map_or(self.deadline, |span| Instant::now() + span);
        let ask = Ask {
            endpoint: &field.endpoints[at],
            api: field.options.api,
            headers: &self.job.headers,
            body: self.job.body.clone(),
            clock,
            connect_timeout: field.options.patience.connect,
            deadlines: [by_first.min(self.deadline), self.deadline],
            news: &|news| self.tell(news),
        };
        let mut heard = Heard::default();
        let end = attempt(&ask, &mut heard).await;
        self.last = heard;
        match end {
            End::Done => self.tell(News::Finished),
            _ => self.tell(News::Failed),
        }
        Ok(end)
    }

    /// Tells the router inside the client, where there is one.
    fn tell(&self, news: News) {
        let (Some(balancer), Some(place)) = (&self.field.balancer, self.place) else { return };
        let ticket = place.ticket;
        balancer.tell(|router: &mut Router, now| match news {
            News::Headers(ok) => router.response_headers(now, ticket, ok),
            News::FirstToken => router.first_token(now, ticket),
            News::Finished => router.finished(now, ticket, self.request.sequence.as_ref()),
            News::Failed => router.failed(now, ticket),
        });
    }

    /// What is kept of it.
    fn end(self) -> Ended {
        let Self { field, job, mut record, mut last, place, .. } = self;
        let back = job.way.back;
        let decided = &last.decided;
        if let Some(usage) = last.usage {
            let narrow = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
            if usage.prompt_tokens > 0 {
                record.input_tokens = narrow(usage.prompt_tokens);
            }
            if record.status == Status::Completed {
                record.output_tokens = narrow(usage.completion_tokens);
            }
            let cached = usage.cached_tokens.unwrap_or(0).min(u64::from(record.input_tokens));
            record.cached_tokens = narrow(cached);
        }
        let predicted = match place {
            Some(place) => place.predicted_cached_tokens,
            None => decided.predicted_cached_tokens,
        };
        record.score = place.map_or(decided.score, |place| place.score);
        // The proxy counts its own tokens, which need not be the engine's.
        record.predicted_cached_tokens = predicted.min(u64::from(record.input_tokens)) as u32;
        if let Some(attempts) = decided.attempts {
            record.attempts = record.attempts.saturating_add(attempts.saturating_sub(1));
        }
        record.first_token = last.first_token.map(|at| at + back);
        let completed = record.status == Status::Completed;
        let ended = last.last_token.filter(|_| completed);
        let ended = ended.unwrap_or_else(|| field.clock.now()) + back;
        record.finished = Some(ended.max(record.first_token.unwrap_or(record.sent)));
        match record.first_token {
            Some(first) => split(&mut record, &last, back, first),
            None => record.parts = TtftParts::default(),
        }
        let target = place.map(|place| place.replica);
        Ended {
            record,
            went: Went { replica: decided.replica.clone(), region: decided.region.clone(), target },
            gaps: std::mem::take(&mut last.gaps),
            lag: Nanos::ZERO,
            pieces: last.pieces,
            has_usage: last.usage.is_some(),
            has_timing: last.times.is_some(),
            malformed_headers: decided.malformed,
            reason: None,
        }
    }
}

/// News for the router inside the client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    /// Response headers, and whether their status is good.
    Headers(bool),
    /// The first token.
    FirstToken,
    /// The end.
    Finished,
    /// No answer, or a bad one.
    Failed,
}

/// What becomes of a request whose last try ended so.
fn fate(end: &End) -> (Status, String) {
    match end {
        End::Done => (Status::Completed, String::new()),
        End::TimedOut(what) => (Status::TimedOut, format!("waited too long for {what}")),
        End::Broken(words) => (Status::Failed, words.clone()),
        End::Status(status, words) => {
            let fate = match status {
                429 | 503 => Status::Rejected,
                408 | 504 => Status::TimedOut,
                _ => Status::Failed,
            };
            (fate, format!("status {status}: {words}"))
        }
    }
}

/// Where the time to first token went. What the client knows stands first; what the proxy and the replica say is cut to
/// what is left; what is left then is the network's both ways where the replica spoke, and where it did not, all that is
/// behind the client counts as prefill.
fn split(record: &mut RequestRecord, heard: &Heard, back: Nanos, first: Nanos) {
    let parts = &mut record.parts;
    parts.connect += heard.connect;
    parts.network_back = back;
    let mut left = (first - record.scheduled).saturating_sub(parts.total());
    let mut take = |part: &mut Nanos, told: Option<Nanos>| {
        let told = told.unwrap_or(Nanos::ZERO).min(left);
        *part += told;
        left = left - told;
    };
    let decided = &heard.decided;
    take(&mut parts.routing, decided.routing);
    take(&mut parts.router_queue, decided.router_queue);
    take(&mut parts.failed_attempts, decided.failed_attempts);
    match &heard.times {
        Some(times) => {
            // A time that is none counts as not told.
            let told = |ms: f64| Nanos::from_ms(ms).ok();
            take(&mut parts.replica_overhead, told(times.overhead_ms));
            take(&mut parts.replica_queue, told(times.queue_ms));
            take(&mut parts.prefill, told(times.prefill_ms));
            parts.network_back += left;
        }
        None => parts.prefill += left,
    }
}
