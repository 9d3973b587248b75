//! One recorded decision, ready to be put to a policy.
//!
//! A log keeps of a prompt its length and its affinity key, not its blocks. The prompt of a case is therefore a stand-in:
//! one block of that many tokens whose id is the key. All policies of the registry see the same in it as in the
//! original. Read [`super::recorded`] next.

use crate::decision::Target;
use crate::log::LogRow;
use crate::policy::Question;
use crate::reach::Home;
use crate::signals::{MAX_WEIGHT, RoutingRequest, Signals};
use gorgo_types::{BlockChain, BlockId, Nanos, RequestId, Tokens, ZoneId};
use std::collections::BTreeMap;

/// A value of a log that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {got}, wanted {wanted}")]
pub struct RowError {
    /// The field or column.
    pub field: String,
    /// What stands there.
    pub got: String,
    /// What may stand there.
    pub wanted: String,
}

/// A recorded decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The request in the log's own words, for messages.
    pub label: String,
    /// The request.
    pub request: RequestId,
    /// When it was decided.
    pub now: Nanos,
    /// The stand-in for the prompt.
    pub prompt: BlockChain,
    /// What the client asked for.
    pub max_tokens: Tokens,
    /// The session that the client named.
    pub session: Option<u64>,
    /// The zone that the request is bound to.
    pub residency: Option<ZoneId>,
    /// The candidates.
    pub candidates: Vec<Signals>,
    /// What the router of one region added.
    pub home: Option<Home>,
    /// The draw; `None` where the log has none.
    pub draw: Option<u64>,
    /// What the policy remembered; `None` where the log does not say.
    pub memory: Option<u64>,
    /// The weights that a tuner had given the policy, by name.
    pub weights: BTreeMap<String, f64>,
    /// What was chosen.
    pub chosen: Target,
    /// The recorded scores, where the log has them.
    pub scores: Option<Vec<f64>>,
}

impl Case {
    /// The question that was put. A draw that the log lacks is 0.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        let request = RoutingRequest {
            id: self.request,
            prompt: &self.prompt,
            max_tokens: self.max_tokens,
            session: self.session,
            hops: 0,
            residency: self.residency,
        };
        Question::new(self.now, request, &self.candidates, self.draw.unwrap_or(0), self.home)
    }
}

/// An error about a field.
pub(super) fn wrong(
    field: impl Into<String>,
    got: impl ToString,
    wanted: impl Into<String>,
) -> RowError {
    RowError { field: field.into(), got: got.to_string(), wanted: wanted.into() }
}

/// A prompt of `tokens` tokens with the affinity key `prefix`.
pub(super) fn stand_in(field: &str, tokens: u64, prefix: u64) -> Result<BlockChain, RowError> {
    let block = u32::try_from(tokens).unwrap_or(u32::MAX);
    BlockChain::from_ids([BlockId(prefix)], Tokens(tokens), block)
        .map_err(|_| wrong(field, tokens, format!("1 to {} tokens", u32::MAX)))
}

impl TryFrom<LogRow> for Case {
    type Error = RowError;

    fn try_from(row: LogRow) -> Result<Self, RowError> {
        let candidates = row.candidates.signals().map_err(|ragged| {
            let field = format!("candidates.{}", ragged.column);
            wrong(
                field,
                format!("{} values", ragged.got),
                format!("{}, one for each replica", ragged.wanted),
            )
        })?;
        check_times(&candidates)?;
        check_weights(&candidates)?;
        check_choice(row.chosen, &candidates)?;
        check_residency(row.residency, &candidates)?;
        if row.scores.len() != candidates.len() {
            let got = format!("{} values", row.scores.len());
            return Err(wrong(
                "scores",
                got,
                format!("{}, one for each replica", candidates.len()),
            ));
        }
        let request = row.request.parse().map_err(|_| {
            wrong("request", format!("`{}`", row.request), "SESSION.TURN, for example 12.0")
        })?;
        Ok(Self {
            label: row.request,
            request,
            now: Nanos(row.now_ns),
            prompt: stand_in("prompt_tokens", row.prompt_tokens, row.prefix.0)?,
            max_tokens: Tokens(row.max_tokens),
            session: row.session.map(|session| session.0),
            residency: row.residency,
            candidates,
            home: row.home,
            draw: Some(row.draw.0),
            memory: row.memory.map(|memory| memory.0),
            weights: row.weights.unwrap_or_default(),
            chosen: row.chosen,
            scores: Some(row.scores.iter().map(|score| score.0).collect()),
        })
    }
}

/// Round trips are finite and not negative.
fn check_times(candidates: &[Signals]) -> Result<(), RowError> {
    for candidate in candidates {
        let times = [
            ("candidates.rtt_ewma_ms", candidate.rtt_ewma_ms),
            ("candidates.scrape_latency_ms", candidate.scrape_latency_ms),
        ];
        for (field, time) in times {
            if let Some(ms) = time.filter(|ms| !(ms.is_finite() && *ms >= 0.0)) {
                return Err(wrong(field, ms, "a finite number of at least 0"));
            }
        }
    }
    Ok(())
}

/// Weights are what a router takes.
fn check_weights(candidates: &[Signals]) -> Result<(), RowError> {
    let odd = candidates.iter().find(|c| !(1..=MAX_WEIGHT).contains(&c.weight));
    odd.map_or(Ok(()), |odd| {
        Err(wrong("candidates.weight", odd.weight, format!("1 to {MAX_WEIGHT}")))
    })
}

/// No candidate outside of the request's zone may be chosen.
fn check_residency(zone: Option<ZoneId>, candidates: &[Signals]) -> Result<(), RowError> {
    let outside = |c: &&Signals| zone.is_some() && c.eligible && c.zone != zone;
    candidates.iter().find(outside).map_or(Ok(()), |stranger| {
        let got = format!("true for replica {}", stranger.replica.0);
        Err(wrong("candidates.eligible", got, "false outside of the request's zone"))
    })
}

/// A chosen replica is one of the candidates, and no replica is there twice.
fn check_choice(chosen: Target, candidates: &[Signals]) -> Result<(), RowError> {
    for (i, candidate) in candidates.iter().enumerate() {
        if candidates[..i].iter().any(|other| other.replica == candidate.replica) {
            let got = format!("{} twice", candidate.replica.0);
            return Err(wrong("candidates.replica", got, "each replica once"));
        }
    }
    match chosen {
        Target::Replica(replica) if candidates.iter().all(|c| c.replica != replica) => {
            Err(wrong("chosen", format!("replica {}", replica.0), "one of `candidates.replica`"))
        }
        Target::Replica(_) | Target::Queue | Target::Reject => Ok(()),
    }
}
