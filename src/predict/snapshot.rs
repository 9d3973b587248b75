//! What the router saw of the chosen replica, and nothing else: one state, one prediction.
//!
//! The replica is set up as its last scrape had it, `running` sequences decoding and `queued_requests` prompts waiting,
//! and the request is put behind them. The path is that of [`round_trips`] (the router's average of probes would be worse).
//! So this is what a router could have foretold without remembering anything; it knows neither which of its own requests
//! are being computed right now nor whether a connection is open. Of prompts that wait, their length is not in a scrape:
//! they are taken to be as long as the mean of what was computed for the log's requests so far.

use crate::replay::prompt;
use crate::{Assumptions, Foretold, Outcome, PredictError, Recorded, RecordedLog, round_trips};
use gorgo_model::{
    CostProfile, EngineRequest, ReplicaConfig, ReplicaEvent, ReplicaOutput, RequestKey,
    SglangReplica,
};
use gorgo_types::{Nanos, Tokens};
use std::sync::Arc;

/// Scrapes that report more than this are cut to it: as many as the largest engines run at once.
const MOST_REQUESTS: u32 = 4_096;
/// Those that run go on for longer than anybody waits for them here.
const LONG_OUTPUT: u64 = 1 << 14;
/// The key of the request that is asked about; the others have lower ones.
const ASKED: RequestKey = RequestKey(2 * MOST_REQUESTS);

/// Foretells every request that was served from what the router saw; `None` for the others. One entry a row.
///
/// # Errors
/// [`PredictError`] where the engine cannot serve a request.
pub fn snapshot(
    log: &RecordedLog,
    assumptions: &Assumptions,
) -> Result<Vec<Option<Foretold>>, PredictError> {
    let trips = round_trips(log)?;
    let profile = Arc::new(assumptions.engine()?);
    let (mut computed_so_far, mut served_so_far) = (0_u64, 0_u64);
    let mut foretold = Vec::with_capacity(log.rows().len());
    for row in log.rows() {
        let Outcome::Served { prompt_tokens, .. } = row.outcome else {
            foretold.push(None);
            continue;
        };
        let new_tokens = row.request_tokens().saturating_sub(row.seen().cached_tokens);
        let computed = assumptions.computed_tokens(prompt_tokens, row.cached_share(), new_tokens);
        let waiting = computed_so_far.checked_div(served_so_far).unwrap_or(u64::from(computed));
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let (queue_ms, prefill_ms) = in_engine(&profile, row, computed, waiting)?;
        computed_so_far += u64::from(computed);
        served_so_far += 1;
        let rtt = trips[row.chosen];
        let rtt_ms = rtt.as_ms();
        let slow = assumptions.connect.slow_start(rtt, assumptions.bytes(prompt_tokens));
        let before_engine_ms = rtt_ms
            + (slow + assumptions.tokenizing(prompt_tokens) + assumptions.overhead()).as_ms();
        let ttft_ms = before_engine_ms + queue_ms + prefill_ms;
        // Nothing is foretold of the answer: its length is not known to a router.
        foretold.push(Some(Foretold {
            ttft_ms,
            e2e_ms: f64::NAN,
            before_engine_ms,
            queue_ms,
            prefill_ms,
        }));
    }
    Ok(foretold)
}

/// Waiting and prefill of a request of `computed` tokens in an engine in the state of the last scrape, ms.
fn in_engine(
    profile: &Arc<CostProfile>,
    row: &Recorded,
    computed: u32,
    waiting_tokens: u32,
) -> Result<(f64, f64), PredictError> {
    let running = row.seen().running_requests.min(MOST_REQUESTS);
    let queued = row.seen().queued_requests.min(MOST_REQUESTS);
    let mut engine = SglangReplica::new(ReplicaConfig {
        kv_pool_tokens: profile.kv_pool_tokens,
        limits: profile.limits.clone(),
        profile: Arc::clone(profile),
        prefix_cache: false,
    })?;
    let mut out = ReplicaOutput::default();
    let mut now = Nanos::ZERO;
    for key in 0..running {
        engine.arrive(now, RequestKey(key), request(1, LONG_OUTPUT))?;
    }
    if running > 0 {
        let mut started = 0;
        while let Some(wake) = engine.next_wake().filter(|_| started < running) {
            now = wake;
            out.clear();
            engine.advance(now, &mut out);
            let first = |event: &&ReplicaEvent| matches!(event, ReplicaEvent::FirstToken { .. });
            started += u32::try_from(out.events.iter().filter(first).count()).unwrap_or(0);
        }
        // A request comes at any moment of a step: in the middle.
        now += Nanos(profile.decode_step(running, u64::from(running)).to_nanos().0 / 2);
    }
    for key in 0..queued {
        engine.arrive(
            now,
            RequestKey(MOST_REQUESTS + key),
            request(waiting_tokens, LONG_OUTPUT),
        )?;
    }
    engine.arrive(now, ASKED, request(computed, 1))?;
    while let Some(wake) = engine.next_wake() {
        out.clear();
        engine.advance(wake, &mut out);
        for event in &out.events {
            if let ReplicaEvent::FirstToken { key: ASKED, at, ready, admitted, .. } = *event {
                let queue = admitted.saturating_sub(ready).as_ms();
                return Ok((queue, at.saturating_sub(admitted).as_ms()));
            }
        }
    }
    unreachable!("the engine serves whoever arrives")
}

/// A request whose overhead has passed.
fn request(tokens: u32, output_tokens: u64) -> EngineRequest {
    EngineRequest {
        prompt: prompt(tokens),
        output_tokens: Tokens(output_tokens),
        max_tokens: Tokens(output_tokens),
        sequence: None,
        overhead: Nanos::ZERO,
    }
}
