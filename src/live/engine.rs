//! The loop of a live run: one thread takes requests from the workload, has them written ahead, sends each at its time,
//! and keeps the books. Sockets are tasks of the caller's runtime, so that no answer delays a sending.
//!
//! The rules of when a run is over are the simulator's (`gorgo-sim`, `world.rs`).

use crate::LiveError;
use crate::book::Book;
use crate::clock::Clock;
use crate::flight::{Ended, Field, Job, fly};
use crate::prepare::Writer;
use crate::progress::{Progress, Recent};
use crate::way::{Way, Ways};
use gorgo_metrics::{RequestRecord, RunResult, Status};
use gorgo_sim::{SimError, Stops, record_of};
use gorgo_types::{Nanos, ZoneId};
use gorgo_workload::{Client, Completed, Due, Outgoing};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// How far ahead requests are written.
const AHEAD: Nanos = Nanos::from_secs(2);
/// How many of them, and how many bytes, wait at most.
const MOST_AHEAD: usize = 4_096;
const MOST_AHEAD_BYTES: usize = 256 << 20;
/// A request that long before its time is reason not to write another one now.
const BUSY_BEFORE: Nanos = Nanos(3_000_000);
/// The last moment before a sending is waited for awake: a sleeping thread wakes some fifty microseconds late.
const AWAKE: Duration = Duration::from_micros(80);
/// The longest sleep: the interruption is looked for in between.
const NAP: Duration = Duration::from_millis(100);
/// Between two reports of progress.
const REPORT: Duration = Duration::from_millis(500);

/// What tasks leave for the loop.
#[derive(Default)]
pub(crate) struct Inbox {
    ended: Mutex<Vec<(u64, Option<Box<Ended>>)>>,
    bell: Condvar,
}

impl Inbox {
    fn put(&self, number: u64, ended: Option<Box<Ended>>) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push((number, ended));
        self.bell.notify_one();
    }

    /// What has ended, waiting for it until then.
    fn take(&self, until: Instant) -> Vec<(u64, Option<Box<Ended>>)> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_empty() {
            let span = until.saturating_duration_since(Instant::now()).min(NAP);
            if span > AWAKE {
                let waited = self.bell.wait_timeout(ended, span - AWAKE);
                ended = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        std::mem::take(&mut *ended)
    }
}

/// Tells of a request's end, even where its task comes to an unexpected one.
struct Report {
    inbox: Arc<Inbox>,
    number: u64,
    ended: Option<Box<Ended>>,
}

impl Report {
    async fn of(mut self, flight: impl Future<Output = Ended>) {
        self.ended = Some(Box::new(flight.await));
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.inbox.put(self.number, self.ended.take());
    }
}

/// A request that was sent.
struct UnderWay {
    record: RequestRecord,
    measured: bool,
    task: AbortHandle,
}

/// A request that is written and waits for its time; earlier ones first, then in the workload's order.
struct Waiting {
    number: u64,
    measured: bool,
    job: Job,
}

/// One run.
pub(crate) struct Engine {
    pub client: Client,
    pub writer: Writer,
    pub ways: Option<Ways>,
    pub book: Book,
    pub field: Arc<Field>,
    pub handle: Handle,
    pub inbox: Arc<Inbox>,
    pub stops: Stops,
    /// The names of the fleet's zones.
    pub zones: Vec<String>,
    pub policy: String,
    pub round: u32,
    pub state: State,
}

/// What changes while it runs.
#[derive(Default)]
pub(crate) struct State {
    /// By time and number.
    waiting: BinaryHeap<Reverse<(Nanos, u64)>>,
    jobs: BTreeMap<u64, Waiting>,
    bytes: usize,
    under_way: BTreeMap<u64, UnderWay>,
    measured_open: u64,
    warm_up: Nanos,
    taken: u64,
    sent: u64,
    last_sent: Nanos,
    last_finished: Nanos,
    errors: u64,
    recent: Recent,
    reported: Option<(Instant, u64)>,
}

/// Why the loop has ended.
enum Over {
    /// Nothing is left that the result depends on.
    Done,
    /// The time to drain has passed.
    Cut(Nanos),
    /// Somebody wants to have what there is.
    Stopped,
}

impl Engine {
    /// Runs to the end; gives the result, and whether it was interrupted.
    pub fn run(mut self) -> Result<(RunResult, bool), LiveError> {
        self.state.warm_up = self.book.spec.window().from;
        let over = self.run_loop();
        for under_way in self.state.under_way.values() {
            under_way.task.abort();
        }
        let over = over?;
        let stopped = matches!(over, Over::Stopped);
        Ok((self.finish(&over)?, stopped))
    }

    fn clock(&self) -> Clock {
        self.field.clock
    }

    fn run_loop(&mut self) -> Result<Over, LiveError> {
        let feedback = self.client.needs_completions();
        let mut wake = Instant::now();
        loop {
            let ended = self.inbox.take(wake);
            for (number, ended) in ended {
                self.settle(number, ended)?;
            }
            self.report();
            if self.field.options.stop.is_cancelled() {
                return Ok(Over::Stopped);
            }
            self.send_due();
            let due = self.client.next_send().map_err(SimError::from)?;
            let now = self.clock().now();
            if self.stops.gives_up() || self.is_over(&due, now)? {
                return Ok(Over::Done);
            }
            if let Some(limit) = self.limit(&due)
                && now > limit
            {
                return Ok(Over::Cut(limit));
            }
            if let Due::At(at) = due
                && self.may_take(at, now, feedback)
            {
                self.take()?;
                // Once more, before anything is waited for.
                wake = Instant::now();
                continue;
            }
            wake = self.next_wake(&due, feedback);
        }
    }

    /// Whether the next request of the workload may be taken and written now. Where ends decide what comes next, not
    /// before its time.
    fn may_take(&self, at: Nanos, now: Nanos, feedback: bool) -> bool {
        let State { jobs, bytes, waiting, .. } = &self.state;
        if feedback || at <= now {
            return at <= now;
        }
        let room = jobs.len() < MOST_AHEAD && *bytes < MOST_AHEAD_BYTES;
        let busy = waiting.peek().is_some_and(|Reverse((due, _))| *due < now + BUSY_BEFORE);
        room && !busy && at <= now + AHEAD
    }

    fn next_wake(&self, due: &Due, feedback: bool) -> Instant {
        let nap = Instant::now() + NAP;
        let sending = self.state.waiting.peek().map(|Reverse((at, _))| self.clock().instant(*at));
        let taking = match due {
            Due::At(at) if feedback => Some(self.clock().instant(*at)),
            Due::At(at) => Some(self.clock().instant(at.saturating_sub(AHEAD))),
            _ => None,
        };
        // A request that is held back only because another one is about to go is taken after that one.
        let taking = taking.filter(|at| feedback || *at > Instant::now());
        [sending, taking].into_iter().flatten().fold(nap, Instant::min)
    }

    /// Takes the next request and writes it.
    fn take(&mut self) -> Result<(), LiveError> {
        let outgoing = self.client.send().map_err(SimError::from)?;
        let State { taken, warm_up, measured_open, .. } = &mut self.state;
        *taken += 1;
        if self.stops.is_warm(*taken) {
            *warm_up = outgoing.scheduled + Nanos(1);
            self.book.measure_from(*warm_up);
        }
        let stop = self.book.spec.stop;
        let scheduled = outgoing.scheduled;
        let measured = scheduled >= *warm_up && stop.is_none_or(|stop| scheduled < stop);
        *measured_open += u64::from(measured);
        let number = *taken;
        let origins = self.client.source().origins();
        let way = match &mut self.ways {
            Some(ways) => ways.of(&outgoing.request, outgoing.sent, origins)?,
            None => Way::default(),
        };
        let origin = origins.get(outgoing.request.origin.index());
        let headers = self.writer.headers(&outgoing.request, origin)?;
        let body = self.writer.body(&outgoing.request);
        let due = outgoing.sent.saturating_add(way.connect).saturating_add(way.out);
        self.state.bytes += body.len();
        self.state.waiting.push(Reverse((due, number)));
        let residency = origin.and_then(|origin| origin.residency.as_deref());
        let zone = residency.and_then(|name| self.zone(name));
        let job = Job { outgoing, body, headers, zone, way, due };
        self.state.jobs.insert(number, Waiting { number, measured, job });
        Ok(())
    }

    /// The zone of this name, by the simulator's rule: one that no replica stands in is the one after the last, so that
    /// nobody may serve its requests; where there are no zones at all, none.
    fn zone(&self, name: &str) -> Option<ZoneId> {
        let place = self.zones.iter().position(|zone| zone == name).unwrap_or(self.zones.len());
        ZoneId::from_index(place).filter(|_| !self.zones.is_empty())
    }

    /// Sends everything whose time has come; waits awake where it comes at once.
    fn send_due(&mut self) {
        while let Some(Reverse((due, number))) = self.state.waiting.peek().copied() {
            let at = self.clock().instant(due);
            let early = at.saturating_duration_since(Instant::now());
            if early > AWAKE {
                return;
            }
            while Instant::now() < at {
                std::hint::spin_loop();
            }
            self.state.waiting.pop();
            let Some(Waiting { number, measured, job }) = self.state.jobs.remove(&number) else {
                continue;
            };
            self.state.bytes -= job.body.len();
            self.state.sent += 1;
            self.state.last_sent = self.state.last_sent.max(job.outgoing.sent);
            let record = record_of(&job.outgoing);
            let report = Report { inbox: Arc::clone(&self.inbox), number, ended: None };
            let field = Arc::clone(&self.field);
            let task = self.handle.spawn(async move {
                report.of(fly(&field, job)).await;
            });
            let under_way = UnderWay { record, measured, task: task.abort_handle() };
            self.state.under_way.insert(number, under_way);
        }
    }

    /// A request has ended: the books, and the workload that may wait for it.
    fn settle(&mut self, number: u64, ended: Option<Box<Ended>>) -> Result<(), LiveError> {
        let Some(UnderWay { record, measured, .. }) = self.state.under_way.remove(&number) else {
            return Ok(());
        };
        let Some(ended) = ended else {
            return Err(LiveError::System(format!("the task of request {} broke off", record.id)));
        };
        let (id, status) = (ended.record.id, ended.record.status);
        let at = ended.record.finished.unwrap_or_else(|| self.clock().now());
        self.stops.ended(status, at);
        let state = &mut self.state;
        state.measured_open -= u64::from(measured);
        state.last_finished = state.last_finished.max(at);
        let ok = status == Status::Completed;
        state.errors += u64::from(!ok);
        if let Some(ttft) = ended.record.ttft() {
            state.recent.add(ttft);
        }
        let asked = [record.input_tokens, record.output_tokens].map(u64::from);
        self.book.ended(*ended, asked);
        self.client.finished(Completed { id, at, ok });
        Ok(())
    }

    /// Is there nothing left that the result depends on?
    fn is_over(&mut self, due: &Due, now: Nanos) -> Result<bool, LiveError> {
        let stop = self.book.spec.stop.unwrap_or(Nanos::MAX);
        if self.state.measured_open > 0 {
            return Ok(false);
        }
        let idle = self.state.under_way.is_empty() && self.state.jobs.is_empty();
        if self.client.holds_back()
            && let Due::At(at) = self.client.next_due().map_err(SimError::from)?
        {
            return Ok(at >= stop);
        }
        match due {
            Due::End => Ok(self.book.spec.stop.is_some() || idle),
            Due::At(at) => Ok(*at >= stop),
            Due::Waiting if now >= stop => Ok(true),
            Due::Waiting if idle => Err(SimError::Stuck { at: now }.into()),
            Due::Waiting => Ok(false),
        }
    }

    /// The time after which nothing counts any more.
    fn limit(&self, due: &Due) -> Option<Nanos> {
        let drain = self.book.spec.drain?;
        match (self.book.spec.stop, due) {
            (Some(stop), _) => Some(stop.saturating_add(drain)),
            (None, Due::End) if self.state.jobs.is_empty() => {
                Some(self.state.last_sent.saturating_add(drain))
            }
            (None, _) => None,
        }
    }

    fn report(&mut self) {
        let Some(tell) = &self.field.options.progress else { return };
        let now = Instant::now();
        let (since, before) = *self.state.reported.get_or_insert((now, 0));
        let span = now - since;
        if span < REPORT {
            return;
        }
        let state = &mut self.state;
        let [ttft_ms_p50, ttft_ms_p99] = state.recent.percentiles();
        tell(&Progress {
            policy: self.policy.clone(),
            round: self.round,
            elapsed_s: self.field.clock.now().as_s(),
            sent: state.sent,
            of: self.client.source().size_hint(),
            in_flight: state.under_way.len() as u64,
            errors: state.errors,
            rate_rps: (state.sent - before) as f64 / span.as_secs_f64(),
            ttft_ms_p50,
            ttft_ms_p99,
        });
        state.reported = Some((now, state.sent));
    }

    /// Writes down what is still under way, and sums up.
    fn finish(mut self, over: &Over) -> Result<RunResult, LiveError> {
        let now = self.clock().now();
        let end = match over {
            Over::Cut(limit) => *limit,
            _ => now,
        };
        // An answer that came back over an emulated way has ended in the future.
        let mut end = end.max(self.state.last_finished);
        let mut injected = self.state.sent;
        for (_, under_way) in std::mem::take(&mut self.state.under_way) {
            end = end.max(under_way.record.sent);
            self.book.in_flight(under_way.record);
        }
        injected += self.record_unsent(over, end)?;
        if let Some(warning) = self.stops.warning() {
            self.book.warn(warning);
        }
        if matches!(over, Over::Stopped) {
            self.book.warn(format!(
                "interrupted at {:.3} s: what is measured is the time until then",
                now.as_s()
            ));
        }
        for warning in self.client.source().warnings() {
            self.book.warn(warning);
        }
        let origins = self.client.source().origins();
        self.book.origins = origins.iter().map(gorgo_workload::info::origin_name).collect();
        if let Some(ways) = &self.ways {
            self.book.legs = ways.legs(origins);
        }
        let connections = self.field.endpoints.iter().map(|endpoint| endpoint.opened()).sum();
        self.book.result(end, injected, connections)
    }

    /// Requests that were due by the end and that the client still held count as under way.
    fn record_unsent(&mut self, over: &Over, end: Nanos) -> Result<u64, LiveError> {
        if !self.client.holds_back() || matches!(over, Over::Stopped) {
            return Ok(0);
        }
        let before = self.book.spec.stop.unwrap_or(Nanos::MAX).min(end);
        let mut unsent = 0;
        while let Some((scheduled, request)) =
            self.client.never_sent(before).map_err(SimError::from)?
        {
            let outgoing = Outgoing { scheduled, offered: scheduled, sent: end, request };
            self.book.never_sent();
            self.book.in_flight(record_of(&outgoing));
            unsent += 1;
        }
        Ok(unsent)
    }
}
