//! Forced replay: every recorded choice is made again, on simulated replicas.
//!
//! As the choices are given, replicas do not meet: each is simulated alone, with the requests that were sent to it, at
//! the times at which they were sent. What a replica does at any moment follows from what it got before; nothing
//! measured is used but decision times, choices, lengths of prompts and answers, and statuses. (A router that wanted to
//! foretell so would not know lengths of answers; they decide when a sequence leaves the batch, not when it starts.)
//!
//! The way of a request: a connection from the pool or a new one, slow start for a long prompt, half a round trip, the
//! engine, half a round trip back. A refused request takes a connection and no GPU. A scrape and a probe each hold one
//! connection. Not modelled: jitter of the path, the router's own processor, losses.
//!
//! A prompt's cached part is left out of what the engine gets, for which tokens are in the cache is not in the log: so
//! attention to it costs nothing (in the profile of the fleet it does not) and it takes no memory (the pool is far from
//! full).

use crate::recorded::MOST_TOKENS;
use crate::{Assumptions, Outcome, PredictError, Recorded, RecordedLog, round_trips};
use gorgo_model::network::Pool;
use gorgo_model::{
    EngineRequest, ReplicaConfig, ReplicaEvent, ReplicaOutput, RequestKey, SglangReplica,
};
use gorgo_types::{BlockChain, BlockId, Nanos, Tokens};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// What was foretold of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foretold {
    /// From the decision to the first token at the router, ms.
    pub ttft_ms: f64,
    /// From the decision to the last token at the router, ms.
    pub e2e_ms: f64,
    /// Of the TTFT: path, connection, slow start and time before the scheduler, ms.
    pub before_engine_ms: f64,
    /// Of the TTFT: waiting for the GPU, ms.
    pub queue_ms: f64,
    /// Of the TTFT: from the start of the first pass to the first token, ms.
    pub prefill_ms: f64,
}

/// How long answers are, which a router learns only when they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// As they were.
    Recorded,
    /// As the mean of those that were sent before, to any replica. So a router could reckon.
    MeanSoFar,
}

/// Foretells every request of a log that was served; `None` for the others. One entry a row.
///
/// # Errors
/// [`PredictError`] where the log has no probes or the engine cannot serve a request.
pub fn replay(
    log: &RecordedLog,
    assumptions: &Assumptions,
    answers: Answers,
) -> Result<Vec<Option<Foretold>>, PredictError> {
    let trips = round_trips(log)?;
    let outputs = output_tokens(log, answers);
    let mut foretold = vec![None; log.rows().len()];
    for (replica, rtt) in trips.into_iter().enumerate() {
        Line::new(log, &outputs, replica, rtt, assumptions)?.run(&mut foretold)?;
    }
    Ok(foretold)
}

/// The answer's length that each row is replayed with.
fn output_tokens(log: &RecordedLog, answers: Answers) -> Vec<u32> {
    let (mut sum, mut count) = (0_u64, 0_u64);
    let of = |row: &Recorded| {
        let Outcome::Served { output_tokens, .. } = row.outcome else { return 1 };
        let mean = sum.checked_div(count).unwrap_or(1);
        sum += u64::from(output_tokens);
        count += 1;
        match answers {
            Answers::Recorded => output_tokens,
            Answers::MeanSoFar => u32::try_from(mean).unwrap_or(u32::MAX).max(1),
        }
    };
    log.rows().iter().map(of).collect()
}

/// What happens on the router's side of one replica. Of events at one time the scrape is first (its connections are back
/// before a request wants one), then responses that end, then decisions, then arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Scraped,
    GiveBack,
    Decided(usize),
    Arrives(usize),
}

/// One replica with the router's connections to it.
struct Line<'a> {
    rows: &'a [Recorded],
    /// Tokens of each row's answer.
    outputs: &'a [u32],
    assumptions: &'a Assumptions,
    engine: SglangReplica,
    rtt: Nanos,
    pool: Pool,
    /// When the engine's front end has tokenized everything that it has.
    front_free: Nanos,
    agenda: BinaryHeap<Reverse<(Nanos, Event)>>,
}

/// A block that is longer than any prompt: what the prompts consist of does not matter here.
const BLOCK_TOKENS: u32 = 1 << 25;

impl<'a> Line<'a> {
    fn new(
        log: &'a RecordedLog,
        outputs: &'a [u32],
        replica: usize,
        rtt: Nanos,
        assumptions: &'a Assumptions,
    ) -> Result<Self, PredictError> {
        let profile = assumptions.engine()?;
        let engine = SglangReplica::new(ReplicaConfig {
            kv_pool_tokens: profile.kv_pool_tokens,
            limits: profile.limits.clone(),
            profile: Arc::new(profile),
            prefix_cache: false,
        })?;
        let mut agenda = BinaryHeap::new();
        let mut scraped = None;
        for (index, row) in log.rows().iter().enumerate() {
            let at = row.case.candidates[replica].scraped_at;
            // The same scrape is behind many rows; its time is an age in milliseconds, so it trembles.
            if at.is_some_and(|at| scraped.is_none_or(|last| at > last + SAME_SCRAPE)) {
                agenda.extend(at.map(|at| Reverse((at, Event::Scraped))));
                scraped = at;
            }
            if row.chosen == replica {
                agenda.push(Reverse((row.case.now, Event::Decided(index))));
            }
        }
        let rows = log.rows();
        Ok(Self {
            rows,
            outputs,
            assumptions,
            engine,
            rtt,
            pool: Pool::default(),
            front_free: Nanos::ZERO,
            agenda,
        })
    }

    fn run(mut self, foretold: &mut [Option<Foretold>]) -> Result<(), PredictError> {
        let mut out = ReplicaOutput::default();
        loop {
            let due = self.agenda.peek().map(|Reverse((at, _))| *at);
            // What arrives at a time is told before the engine is advanced to it.
            match (due, self.engine.next_wake()) {
                (None, None) => return Ok(()),
                (Some(at), wake) if wake.is_none_or(|wake| at <= wake) => self.next()?,
                (_, Some(wake)) => {
                    out.clear();
                    self.engine.advance(wake, &mut out);
                    for event in &out.events {
                        self.tell(*event, foretold);
                    }
                }
                (Some(_), None) => unreachable!("an agenda without a wake is taken above"),
            }
        }
    }

    /// The next event of the agenda.
    fn next(&mut self) -> Result<(), PredictError> {
        let Some(Reverse((now, event))) = self.agenda.pop() else { return Ok(()) };
        let connect = &self.assumptions.connect;
        match event {
            // A new connection takes longer to come back; the next request is seldom so near.
            Event::Scraped => {
                for _ in 0..PROBE_CONNECTIONS {
                    self.pool.take(now, connect);
                }
                for _ in 0..PROBE_CONNECTIONS {
                    self.pool.give_back(now, connect);
                }
            }
            Event::GiveBack => self.pool.give_back(now, connect),
            Event::Decided(index) => self.send(now, index),
            Event::Arrives(index) => self.arrive(now, index)?,
        }
        Ok(())
    }

    /// The router sends a request.
    fn send(&mut self, now: Nanos, index: usize) {
        let connect = &self.assumptions.connect;
        let open = self.pool.take(now, connect);
        let set_up = if open { Nanos::ZERO } else { connect.set_up(self.rtt) };
        let bytes = self.assumptions.bytes(engine_tokens(&self.rows[index]));
        let sent = now + set_up + connect.slow_start(self.rtt, bytes);
        self.agenda.push(Reverse((sent + self.there(), Event::Arrives(index))));
    }

    /// A request reaches the engine's front end, which tokenizes one prompt after the other.
    fn arrive(&mut self, now: Nanos, index: usize) -> Result<(), PredictError> {
        let row = &self.rows[index];
        let tokenizing = self.assumptions.tokenizing(engine_tokens(row));
        let prompt_tokens = match row.outcome {
            Outcome::Served { prompt_tokens, .. } => prompt_tokens,
            Outcome::Refused { status, .. } => {
                // What the engine refuses it has looked at; what a gateway refuses it has not seen.
                if status < FIRST_OF_GATEWAYS {
                    self.front_free = self.front_free.max(now) + tokenizing;
                }
                let back = self.front_free.max(now) + self.back();
                self.agenda.push(Reverse((back, Event::GiveBack)));
                return Ok(());
            }
        };
        let new_tokens = row.request_tokens().saturating_sub(row.seen().cached_tokens);
        let computed =
            self.assumptions.computed_tokens(prompt_tokens, row.cached_share(), new_tokens);
        self.front_free = self.front_free.max(now) + tokenizing;
        let request = EngineRequest {
            prompt: prompt(computed),
            output_tokens: Tokens(u64::from(self.outputs[index])),
            max_tokens: Tokens(u64::from(self.outputs[index])),
            sequence: None,
            overhead: (self.front_free - now) + self.assumptions.overhead(),
        };
        self.engine.arrive(now, key(index), request)?;
        Ok(())
    }

    /// The engine has something to say of a request.
    fn tell(&mut self, event: ReplicaEvent, foretold: &mut [Option<Foretold>]) {
        let index = event.key().0 as usize;
        let decided = self.rows[index].case.now;
        let at_router = event.at() + self.back();
        let since = |at: Nanos| at.saturating_sub(decided).as_ms();
        match event {
            ReplicaEvent::FirstToken { at, ready, admitted, .. } => {
                foretold[index] = Some(Foretold {
                    ttft_ms: since(at_router),
                    e2e_ms: since(at_router),
                    before_engine_ms: since(ready) + self.back().as_ms(),
                    queue_ms: admitted.saturating_sub(ready).as_ms(),
                    prefill_ms: at.saturating_sub(admitted).as_ms(),
                });
            }
            ReplicaEvent::Finished { .. } => {
                if let Some(foretold) = &mut foretold[index] {
                    foretold.e2e_ms = since(at_router);
                }
                self.agenda.push(Reverse((at_router, Event::GiveBack)));
            }
            // Nobody cancels here, and a retracted request is heard of again.
            ReplicaEvent::Cancelled { .. } | ReplicaEvent::Retracted { .. } => {}
        }
    }

    const fn there(&self) -> Nanos {
        Nanos(self.rtt.0 / 2)
    }

    const fn back(&self) -> Nanos {
        Nanos(self.rtt.0 - self.rtt.0 / 2)
    }
}

/// Statuses from here on come from something before the engine.
const FIRST_OF_GATEWAYS: u16 = 500;

/// A prompt's tokens as the engine counts them; of a refused one only the router's count is known.
fn engine_tokens(row: &Recorded) -> u32 {
    match row.outcome {
        Outcome::Served { prompt_tokens, .. } => prompt_tokens,
        Outcome::Refused { .. } => {
            u32::try_from(row.request_tokens()).unwrap_or(u32::MAX).min(MOST_TOKENS)
        }
    }
}

/// A scrape of the metrics and a probe of the path, at one time.
const PROBE_CONNECTIONS: usize = 2;

/// Two rows whose scraped values are this near in age have them from one scrape; scrapes are 30 s apart.
const SAME_SCRAPE: Nanos = Nanos(1_000_000_000);

/// Rows are far fewer than 2^32: a table of that many would not fit in memory.
fn key(index: usize) -> RequestKey {
    RequestKey(u32::try_from(index).unwrap_or(u32::MAX))
}

/// A prompt of so many tokens.
pub(crate) fn prompt(tokens: u32) -> BlockChain {
    let ids: &[BlockId] = &[BlockId(1)];
    BlockChain::from_ids(ids, Tokens(u64::from(tokens.max(1))), BLOCK_TOKENS)
        .expect("one block holds any prompt that is read")
}
