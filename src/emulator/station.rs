//! One replica on the wall clock: told of arrivals when they come, looked at when something is due, and its tokens passed
//! on.
//!
//! Whoever has something to say takes the lock, moves the replica on to now and says it, so the replica's calls are in
//! order of time as it wants them, and everything that it reports bears the model's own time, however late the machine is.
//! A request's overhead counts from when its last byte was received: what parsing took is not added. How HTTP looks is not
//! known here: `generate.rs` and `body.rs` turn `Emitted` into answers.

use crate::clock::Clock;
use crate::kv_events::{Book, Contents, Form, Publish};
use crate::metrics::Histograms;
use crate::timer::{Due, TimerHandle};
use gorgo_model::{
    Engine as Replica, EngineRequest, Femtos, ModelError, Observation, ReplicaConfig, ReplicaEvent,
    ReplicaOutput, ReplicaTotals, RequestKey,
};
use gorgo_types::{BlockChain, Nanos, Tokens};
use gorgo_wire::ReplicaTimes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// What a replica does for a request, each with the time on the emulator's clock at which it is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Emitted {
    /// The first token; the token itself follows.
    First {
        /// Prompt tokens that the cache had.
        cached_tokens: u64,
        /// Where the time went.
        times: ReplicaTimes,
    },
    /// A token.
    Token {
        /// When.
        due: Nanos,
    },
    /// The last token was the last.
    Finished {
        /// When.
        due: Nanos,
    },
}

/// A request to a replica.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    pub prompt: BlockChain,
    pub output_tokens: u64,
    pub max_tokens: u64,
    pub sequence: Option<BlockChain>,
    /// What the blocks are made of, where KV events are published.
    pub contents: Option<Contents>,
    /// When its last byte was received, on the emulator's clock.
    pub received: Nanos,
}

/// What an engine was told, in its own time: enough to play the same again.
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// A request came.
    Arrived {
        /// When.
        at: Nanos,
        /// Its key.
        key: RequestKey,
        /// The request.
        request: EngineRequest,
    },
    /// A cancel.
    Cancelled {
        /// When.
        at: Nanos,
        /// Whose.
        key: RequestKey,
    },
    /// A crash, or a flush of the cache while nothing was alive.
    Failed {
        /// When.
        at: Nanos,
    },
    /// What the engine reported.
    Reported(ReplicaEvent),
}

/// How the engine's time runs: slower than the clock where the replica is slow.
#[derive(Clone, Copy, Debug)]
struct Pace {
    clock: Nanos,
    model: Nanos,
    /// Nanoseconds of the clock for one of the model.
    factor: f64,
}

impl Pace {
    fn to_model(self, clock: Nanos) -> Nanos {
        let since = clock.saturating_sub(self.clock);
        if self.factor == 1.0 {
            return self.model.saturating_add(since);
        }
        // A float to u64 saturates.
        self.model.saturating_add(Nanos((since.0 as f64 / self.factor) as u64))
    }

    fn to_clock(self, model: Nanos) -> Nanos {
        let since = model.saturating_sub(self.model);
        if self.factor == 1.0 {
            return self.clock.saturating_add(since);
        }
        // Rounded up, so that at this time the model's has come.
        self.clock.saturating_add(Nanos((since.0 as f64 * self.factor).ceil() as u64 + 1))
    }
}

/// A request that is alive.
struct Live {
    serial: u64,
    to: mpsc::UnboundedSender<Emitted>,
    received: Nanos,
    last: Nanos,
    /// What it holds in the book of KV events.
    held: Vec<BlockChain>,
}

struct Engine {
    replica: Replica,
    output: ReplicaOutput,
    live: Vec<Option<Live>>,
    vacant: Vec<u32>,
    serial: u64,
    pace: Pace,
    /// The earliest time at which the timer will look.
    scheduled: Option<Nanos>,
    histograms: Histograms,
    record: Option<Vec<Recorded>>,
    /// Where KV events are published.
    book: Option<Book>,
}

/// A replica with its clock.
pub struct Station {
    name: String,
    overhead: Nanos,
    kv_pool_tokens: u64,
    clock: Clock,
    timer: TimerHandle,
    engine: Mutex<Engine>,
}

/// What a look at the replica shows.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub observation: Observation,
    pub totals: ReplicaTotals,
    pub histograms: Histograms,
}

/// A request under way. Dropped before its end, it cancels it.
pub(crate) struct Answering {
    pub emitted: mpsc::UnboundedReceiver<Emitted>,
    /// How many tokens there will be.
    pub output_tokens: u64,
    station: Arc<Station>,
    key: RequestKey,
    serial: u64,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.station.cancel(self.key, self.serial);
    }
}

impl Station {
    pub(crate) fn new(
        name: &str,
        config: ReplicaConfig,
        overhead: Nanos,
        clock: Clock,
        timer: TimerHandle,
        record: bool,
    ) -> Result<Arc<Self>, ModelError> {
        let kv_pool_tokens = config.kv_pool_tokens;
        let mut replica = Replica::new(config)?;
        replica.record_token_runs(true);
        replica.step_by_step(true);
        let engine = Engine {
            replica,
            output: ReplicaOutput::default(),
            live: Vec::new(),
            vacant: Vec::new(),
            serial: 0,
            pace: Pace { clock: Nanos::ZERO, model: Nanos::ZERO, factor: 1.0 },
            scheduled: None,
            histograms: Histograms::default(),
            record: record.then(Vec::new),
            book: None,
        };
        let name = name.to_owned();
        let engine = Mutex::new(engine);
        Ok(Arc::new(Self { name, overhead, kv_pool_tokens, clock, timer, engine }))
    }

    /// Tells what the cache holds from now on, in the form of its engine.
    pub(crate) fn publish(&self, block_tokens: u32, to: mpsc::UnboundedSender<Publish>) {
        let mut engine = self.lock();
        engine.replica.record_cache_changes();
        let vllm = engine.replica.config().limits.vllm.as_ref();
        let form = vllm.map_or(Form::Sglang { block_tokens }, |limits| Form::Vllm {
            block_tokens: limits.block_tokens,
        });
        engine.book = Some(Book::new(form, to));
    }

    /// Whether it tells what the cache holds.
    pub(crate) fn publishes(&self) -> bool {
        self.lock().book.is_some()
    }

    /// Its name in the fleet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) const fn kv_pool_tokens(&self) -> u64 {
        self.kv_pool_tokens
    }

    /// The model asserts its laws; where one is broken nothing that it says is true any more, and every later call says so.
    fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the replica a request.
    ///
    /// # Errors
    /// Where it could never be served.
    pub(crate) fn submit(self: &Arc<Self>, asked: Submitted) -> Result<Answering, ModelError> {
        let mut engine = self.lock();
        let now = engine.catch_up(self.clock.now());
        let slot = engine.vacant.pop().unwrap_or_else(|| {
            engine.live.push(None);
            // Fewer requests are alive than there are ports and descriptors.
            u32::try_from(engine.live.len() - 1).unwrap_or(u32::MAX)
        });
        let key = RequestKey(slot);
        // What has passed since the last byte came is part of the overhead, not beside it.
        let passed = now.saturating_sub(engine.pace.to_model(asked.received));
        let request = EngineRequest {
            prompt: asked.prompt,
            output_tokens: Tokens(asked.output_tokens),
            max_tokens: Tokens(asked.max_tokens),
            sequence: asked.sequence,
            overhead: self.overhead.saturating_sub(passed),
        };
        let kept = engine.record.is_some().then(|| request.clone());
        let chains: Vec<BlockChain> =
            std::iter::once(request.prompt.clone()).chain(request.sequence.clone()).collect();
        if let Err(refused) = engine.replica.arrive(now, key, request) {
            engine.vacant.push(slot);
            return Err(refused);
        }
        if let (Some(record), Some(request)) = (&mut engine.record, kept) {
            record.push(Recorded::Arrived { at: now, key, request });
        }
        let mut held = Vec::new();
        if let (Some(book), Some(contents)) = (&mut engine.book, &asked.contents) {
            for (chain, tokens) in chains.iter().zip([&contents.prompt, &contents.sequence]) {
                book.hold(chain, tokens);
            }
            held = chains;
        }
        let (to, emitted) = mpsc::unbounded_channel();
        engine.serial += 1;
        let serial = engine.serial;
        engine.live[slot as usize] =
            Some(Live { serial, to, received: asked.received, last: asked.received, held });
        self.plan(&mut engine);
        let output_tokens = asked.output_tokens;
        Ok(Answering { emitted, output_tokens, station: Arc::clone(self), key, serial })
    }

    fn cancel(self: &Arc<Self>, key: RequestKey, serial: u64) {
        let mut engine = self.lock();
        let alive = engine.live.get(key.0 as usize).and_then(Option::as_ref);
        if alive.is_none_or(|live| live.serial != serial) {
            return;
        }
        let now = engine.catch_up(self.clock.now());
        if engine.replica.cancel(now, key)
            && let Some(record) = &mut engine.record
        {
            record.push(Recorded::Cancelled { at: now, key });
        }
        engine.catch_up(self.clock.now());
        self.plan(&mut engine);
    }

    /// Everything alive is lost, the cache too.
    pub(crate) fn crash(self: &Arc<Self>) {
        let mut engine = self.lock();
        let now = engine.catch_up(self.clock.now());
        engine.fail(now);
        let changes = engine.replica.take_cache_changes();
        if let Some(book) = &mut engine.book {
            book.restarted(changes);
        }
        self.plan(&mut engine);
    }

    /// Empties the cache; false, and nothing done, while a request is alive.
    pub(crate) fn flush(self: &Arc<Self>) -> bool {
        let mut engine = self.lock();
        let now = engine.catch_up(self.clock.now());
        let idle = engine.live.iter().all(Option::is_none);
        if idle {
            engine.fail(now);
            engine.tell_changes();
            self.plan(&mut engine);
        }
        idle
    }

    /// From now on everything takes `factor` times as long.
    pub(crate) fn slow(self: &Arc<Self>, factor: f64) {
        let mut engine = self.lock();
        let clock = self.clock.now();
        let model = engine.catch_up(clock);
        engine.pace = Pace { clock, model, factor };
        // What the timer was told was the old pace's.
        engine.scheduled = None;
        self.plan(&mut engine);
    }

    pub(crate) fn look(&self) -> Look {
        let mut engine = self.lock();
        let now = engine.catch_up(self.clock.now());
        Look {
            observation: engine.replica.observe(now),
            totals: engine.replica.totals(),
            histograms: engine.histograms.clone(),
        }
    }

    /// What the engine was told and what it reported, up to now; empty unless [`crate::Options::record`] asked for it.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.lock().record.clone().unwrap_or_default()
    }

    /// What the engine was made from.
    #[must_use]
    pub fn config(&self) -> ReplicaConfig {
        self.lock().replica.config().clone()
    }

    /// Has the timer look when the next thing is due.
    fn plan(self: &Arc<Self>, engine: &mut Engine) {
        let Some(next) = engine.replica.next_wake() else { return };
        let at = engine.pace.to_clock(next);
        if engine.scheduled.is_none_or(|planned| at < planned) {
            engine.scheduled = Some(at);
            self.timer.at(at, Arc::<Self>::clone(self));
        }
    }
}

impl Due for Station {
    fn due(self: Arc<Self>, at: Nanos) {
        let mut engine = self.lock();
        engine.catch_up(self.clock.now());
        // A look that was planned for an earlier plan's time leaves the later one standing.
        if engine.scheduled == Some(at) {
            engine.scheduled = None;
        }
        self.plan(&mut engine);
    }
}

impl Engine {
    /// Moves the replica on to a time of the clock, passes on what it did, and gives that time in the model's.
    fn catch_up(&mut self, clock: Nanos) -> Nanos {
        let now = self.pace.to_model(clock);
        self.advance(now);
        now
    }

    fn advance(&mut self, now: Nanos) {
        if self.replica.next_wake().is_some_and(|wake| wake <= now) {
            let mut output = std::mem::take(&mut self.output);
            self.replica.advance(now, &mut output);
            // Before the requests that brought the blocks are forgotten.
            self.tell_changes();
            self.pass_on(&output);
            output.clear();
            self.output = output;
        }
    }

    /// Publishes how the cache has changed.
    fn tell_changes(&mut self) {
        let changes = self.replica.take_cache_changes();
        if let Some(book) = &mut self.book {
            book.changed(changes);
        }
    }

    /// First tokens before tokens before ends: that is each request's own order.
    fn pass_on(&mut self, output: &ReplicaOutput) {
        if let Some(record) = &mut self.record {
            record.extend(output.events.iter().copied().map(Recorded::Reported));
        }
        for event in &output.events {
            if let ReplicaEvent::FirstToken { key, at, ready, admitted, cached_tokens } = *event {
                self.first_token(key, at, ready, admitted, cached_tokens);
            }
        }
        for run in output.runs.iter().flatten() {
            let (mut at, mut gap) = (run.first_at, run.first);
            for _ in 0..run.steps {
                self.token(run.key, at.to_nanos());
                at += gap;
                gap = Femtos(gap.0 + run.increment.0);
            }
        }
        for event in &output.events {
            match *event {
                ReplicaEvent::Finished { key, at } => self.finished(key, at),
                ReplicaEvent::Cancelled { key, .. } => self.forget(key),
                ReplicaEvent::FirstToken { .. } | ReplicaEvent::Retracted { .. } => {}
            }
        }
    }

    fn first_token(
        &mut self,
        key: RequestKey,
        at: Nanos,
        ready: Nanos,
        admitted: Nanos,
        cached_tokens: Tokens,
    ) {
        let (pace, due) = (self.pace, self.pace.to_clock(at));
        let Some(live) = self.live.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        let [ready, admitted] = [ready, admitted].map(|time| pace.to_clock(time));
        let times = ReplicaTimes {
            overhead_ms: ready.saturating_sub(live.received).as_ms(),
            queue_ms: admitted.saturating_sub(ready).as_ms(),
            prefill_ms: due.saturating_sub(admitted).as_ms(),
        };
        self.histograms.ttft.observe(due.saturating_sub(live.received).as_s());
        // Who has gone away is cancelled already.
        let _ = live.to.send(Emitted::First { cached_tokens: cached_tokens.get(), times });
    }

    fn token(&mut self, key: RequestKey, at: Nanos) {
        let due = self.pace.to_clock(at);
        let Some(live) = self.live.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        if live.last > live.received {
            self.histograms.itl.observe(due.saturating_sub(live.last).as_s());
        }
        live.last = due;
        let _ = live.to.send(Emitted::Token { due });
    }

    fn finished(&mut self, key: RequestKey, at: Nanos) {
        let due = self.pace.to_clock(at);
        if let Some(live) = self.live.get_mut(key.0 as usize).and_then(Option::as_mut) {
            self.histograms.e2e.observe(due.saturating_sub(live.received).as_s());
            let _ = live.to.send(Emitted::Finished { due });
        }
        self.forget(key);
    }

    /// The key is free.
    fn forget(&mut self, key: RequestKey) {
        if let Some(live) = self.live.get_mut(key.0 as usize).and_then(Option::take) {
            self.vacant.push(key.0);
            if let Some(book) = &mut self.book {
                live.held.iter().for_each(|chain| book.let_go(chain));
            }
        }
    }

    fn fail(&mut self, now: Nanos) {
        let lost = self.replica.fail(now);
        // What had ended by now is told before its keys are free.
        self.advance(now);
        for key in lost {
            self.forget(key);
        }
        if let Some(record) = &mut self.record {
            record.push(Recorded::Failed { at: now });
        }
    }
}
