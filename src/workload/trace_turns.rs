//! Turns of a trace that wait for the turn before: the feedback half of `trace`.
//!
//! Lines come in the order of their recorded times. A turn whose predecessor has not ended is parked with its session;
//! everything else waits in a heap for its time. A due time is never before the recorded one, so a line further down
//! in the file cannot be due before the next line's recorded time, and one line is all that must be read ahead.
//!
//! A predecessor that failed releases its successor like one that succeeded: the trace says that the client went on.

use crate::error::in_range;
use crate::{AssumedService, Completed, WorkloadError};
use gorgo_types::{Nanos, Request};
use rustc_hash::FxHashMap;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

/// The turns read and not yet sent, and what is known of each session.
pub(crate) struct WaitingTurns {
    service: AssumedService,
    due: BinaryHeap<Reverse<DueTurn>>,
    sessions: FxHashMap<u64, Session>,
    parked: FxHashMap<u64, VecDeque<(Nanos, Request)>>,
    /// Turns read so far: ties at one time go by it.
    ordinal: u64,
}

struct DueTurn {
    at: Nanos,
    ordinal: u64,
    request: Request,
}

/// The last turn of a session that was let go.
struct Session {
    turn: u32,
    recorded: Nanos,
    /// The part of the gap to the next turn that was service.
    service: Nanos,
    ended: Option<Nanos>,
}

impl WaitingTurns {
    pub(crate) fn new(service: AssumedService) -> Result<Self, WorkloadError> {
        service.validate()?;
        Ok(Self {
            service,
            due: BinaryHeap::new(),
            sessions: FxHashMap::default(),
            parked: FxHashMap::default(),
            ordinal: 0,
        })
    }

    /// Nothing was read that has not been sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.parked.is_empty()
    }

    pub(crate) fn first_due(&self) -> Option<Nanos> {
        self.due.peek().map(|Reverse(turn)| turn.at)
    }

    pub(crate) fn take(&mut self) -> Option<(Nanos, Request)> {
        self.due.pop().map(|Reverse(turn)| (turn.at, turn.request))
    }

    /// Takes in the next line.
    pub(crate) fn read(&mut self, recorded: Nanos, request: Request) {
        if !request.has_session {
            return self.let_go(recorded, request);
        }
        match self.sessions.get(&request.id.session) {
            None => self.let_go_turn(recorded, recorded, request),
            Some(Session { ended: None, .. }) => {
                self.parked.entry(request.id.session).or_default().push_back((recorded, request));
            }
            Some(before) => {
                let at = due_after(before, recorded);
                self.let_go_turn(at, recorded, request);
            }
        }
    }

    /// A request has ended: its session's next turn, if it was read already, gets its time.
    pub(crate) fn finished(&mut self, completed: Completed) {
        let session = completed.id.session;
        let Some(before) = self.sessions.get_mut(&session) else { return };
        if before.turn != completed.id.turn || before.ended.is_some() {
            return;
        }
        before.ended = Some(completed.at);
        let Some(parked) = self.parked.get_mut(&session) else { return };
        let next = parked.pop_front();
        if parked.is_empty() {
            self.parked.remove(&session);
        }
        if let (Some((recorded, request)), Some(before)) = (next, self.sessions.get(&session)) {
            let at = due_after(before, recorded);
            self.let_go_turn(at, recorded, request);
        }
    }

    fn let_go_turn(&mut self, at: Nanos, recorded: Nanos, request: Request) {
        let service = self.service.of(request.output_tokens);
        let session = Session { turn: request.id.turn, recorded, service, ended: None };
        self.sessions.insert(request.id.session, session);
        self.let_go(at, request);
    }

    fn let_go(&mut self, at: Nanos, request: Request) {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        self.due.push(Reverse(DueTurn { at, ordinal, request }));
    }
}

/// When the turn recorded at `recorded` is due, given the turn before, which has ended.
fn due_after(before: &Session, recorded: Nanos) -> Nanos {
    let gap = recorded.saturating_sub(before.recorded);
    let think = gap.saturating_sub(before.service);
    let ended = before.ended.unwrap_or(before.recorded);
    recorded.max(ended.saturating_add(think))
}

impl AssumedService {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When one is negative or no number.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        in_range("assumed_service.base_ms", self.base_ms, 0.0, 1e9, "milliseconds")?;
        in_range("assumed_service.per_token_ms", self.per_token_ms, 0.0, 1e6, "milliseconds")
    }

    /// How long a request with so many output tokens is taken to last.
    #[must_use]
    pub fn of(&self, output_tokens: gorgo_types::Tokens) -> Nanos {
        Nanos::from_ms(self.base_ms + self.per_token_ms * output_tokens.as_f64())
            .unwrap_or(Nanos::MAX)
    }
}

impl Ord for DueTurn {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.ordinal).cmp(&(other.at, other.ordinal))
    }
}

impl PartialOrd for DueTurn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DueTurn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for DueTurn {}
