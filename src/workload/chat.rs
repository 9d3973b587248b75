//! Chat sessions: the embedded default workload.
//!
//! A session draws a system prompt that it shares with others, then takes turns: the prompt of turn n + 1 is the prompt
//! of turn n, its answer, and a new user text. The next turn is due when the answer has ended and the user has thought
//! (feedback), or at planned times (an open loop).
//!
//! Everything about a session and a turn is a function of (seed, session, turn): under feedback only *when* a turn
//! comes depends on the run. A turn whose predecessor failed comes all the same, as if the answer had been read: so
//! two policies are compared on the same requests. Memory: the sessions under way.
//!
//! Parameters and the sources of their defaults are in `chat_spec`.

pub use crate::chat_spec::{ChatSpec, SessionStart, SystemPrompts, TurnCount};

use crate::day::Day;
use crate::draws::{Length, Origins, ThinkTime};
use crate::prefix_groups::chain_error;
use crate::{ArrivalTimes, Completed, Due, Source, TurnTiming, WorkloadError};
use gorgo_random::{Key, Purpose};
use gorgo_types::{BlockChain, ChainBuilder, Nanos, Origin, OriginId, Request, RequestId, Tokens};
use rand_distr::{Distribution, Zipf};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Chat sessions.
pub struct ChatGenerator {
    spec: ChatSpec,
    draws: Draws,
    starts: Starts,
    /// Sessions with a turn to come, by the time it is due: all of them are in `sessions`.
    due: BinaryHeap<Reverse<(Nanos, u64)>>,
    /// Sessions of which something is still to come. For lookups only.
    sessions: FxHashMap<u64, Session>,
    /// Turns of the sessions begun, at most the number of requests wanted.
    planned: u64,
    /// Turns that fell beyond the duration.
    cut: u64,
    end: Nanos,
}

/// When the next session begins.
#[expect(clippy::large_enum_variant, reason = "one per run; a table of 24 hours is large")]
enum Starts {
    Arrivals {
        times: ArrivalTimes,
        at: Nanos,
        day: Option<Box<Clock>>,
    },
    /// (time, user, how many sessions this user has begun before)
    Users {
        next: BinaryHeap<Reverse<(Nanos, u32, u64)>>,
        users: u32,
    },
}

impl Starts {
    /// Sets the time of the next arrival.
    fn plan(&mut self) {
        if let Self::Arrivals { times, at, day } = self {
            *at = match day {
                Some(clock) => clock.day.stretch(times.peek()),
                None => times.peek(),
            };
        }
    }
}

/// The time of day, and which users sit at each origin: of those with user number `users[i]` to below `users[i + 1]`
/// at origin i one is drawn; where each session has its own user, the list is empty.
struct Clock {
    day: Day,
    users: Vec<u64>,
}

impl Clock {
    fn new(spec: &ChatSpec, key: Key) -> Option<Box<Self>> {
        let day = spec.day.clone()?;
        let mut shares: Vec<(f64, Option<f64>)> =
            spec.origins.iter().map(|origin| (origin.share, origin.lon)).collect();
        if shares.is_empty() {
            shares.push((1.0, None));
        }
        let (all, mut sum, mut users) = (shares.iter().map(|s| s.0).sum::<f64>(), 0.0, Vec::new());
        if spec.users > 0 {
            users.push(0);
            for share in &mut shares {
                sum += share.0;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "at most the number of users, rounded"
                )]
                let upto = (sum / all * spec.users as f64).round() as u64;
                let before = users.last().copied().unwrap_or(0);
                let upto = upto.clamp(before, spec.users);
                #[expect(clippy::cast_precision_loss, reason = "a number of users")]
                let here = (upto - before) as f64;
                // An origin is as busy as its users; one with too small a share to have any sends nothing.
                share.0 = here;
                users.push(upto);
            }
        }
        Some(Box::new(Self { day: Day::new(day, key, &shares), users }))
    }

    /// Origin and user of the session that was last asked for.
    fn who(&self, session: u64, key: Key) -> (usize, u64) {
        let origin = self.day.pick(key.word(3).draw());
        match (self.users.get(origin), self.users.get(origin + 1)) {
            (Some(&first), Some(&end)) => {
                (origin, first + key.word(0).draw().below(end.saturating_sub(first)))
            }
            _ => (origin, session),
        }
    }
}

/// The distributions, and the key of all draws.
struct Draws {
    key: Key,
    system: Option<(Zipf<f64>, Length)>,
    user_tokens: Length,
    output_tokens: Length,
    output_most: u32,
    think: ThinkTime,
    origins: Origins,
}

struct Session {
    user: u64,
    origin: OriginId,
    system: Option<Segment>,
    turns: u32,
    /// The turn that is due or under way.
    turn: u32,
    under_way: bool,
    /// In a closed loop: which user's session this is, and its number.
    slot: Option<(u32, u64)>,
    text: Text,
}

/// A stretch of text that is always the same: its key and its length in tokens.
#[derive(Clone, Copy)]
struct Segment {
    content: u64,
    tokens: u32,
}

/// What a session has said so far.
#[derive(Default)]
struct Text {
    chain: Option<BlockChain>,
    /// The pieces in the last, partial block.
    open: u64,
}

impl Text {
    /// The chain of the text with `segments` appended.
    fn append(
        &mut self,
        segments: &[Segment],
        block_tokens: u32,
    ) -> Result<BlockChain, WorkloadError> {
        let mut builder = match &self.chain {
            Some(chain) => ChainBuilder::continuing(chain),
            None => ChainBuilder::new(block_tokens).map_err(|error| chain_error(&error))?,
        };
        let mut tokens = self.chain.as_ref().map_or(0, |chain| chain.tokens().0);
        let block = u64::from(block_tokens);
        for segment in segments {
            let mut offset = 0;
            while offset < u64::from(segment.tokens) {
                let piece = (block - tokens % block).min(u64::from(segment.tokens) - offset);
                let key = Key::new(self.open).word(segment.content).word(offset).word(piece);
                self.open = key.draw().bits();
                offset += piece;
                tokens += piece;
                if tokens.is_multiple_of(block) {
                    builder.push_block(self.open);
                    self.open = 0;
                }
            }
        }
        if !tokens.is_multiple_of(block) {
            builder.push_block(self.open);
        }
        let chain = builder.finish(Tokens(tokens)).map_err(|error| chain_error(&error))?;
        self.chain = Some(chain.clone());
        Ok(chain)
    }
}

impl Draws {
    fn new(spec: &ChatSpec, seed: u64) -> Result<Self, WorkloadError> {
        let key = Key::new(seed);
        let system = match spec.system.count {
            0 => None,
            count => {
                let zipf = Zipf::new(f64::from(count), spec.system.zipf_exponent);
                let zipf = zipf.map_err(|error| WorkloadError::Parameter {
                    field: "system.zipf_exponent",
                    got: spec.system.zipf_exponent.to_string(),
                    wanted: format!("a Zipf distribution: {error}"),
                })?;
                Some((zipf, Length::new("system.tokens", spec.system.tokens)?))
            }
        };
        Ok(Self {
            key,
            system,
            user_tokens: Length::new("user_tokens", spec.user_tokens)?,
            output_tokens: Length::new("output_tokens", spec.output_tokens)?,
            output_most: spec.max_tokens.unwrap_or(u32::MAX),
            think: ThinkTime::new(spec.think, key)?,
            origins: Origins::new(&spec.origins)?,
        })
    }

    fn system(&self, session: u64) -> Option<Segment> {
        let (zipf, length) = self.system.as_ref()?;
        let key = self.key.with(Purpose::SharedPrefix);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank from 1 to the number of system prompts"
        )]
        let rank = zipf.sample(&mut key.word(session).word(0).draw().rng()) as u64;
        let draw = key.word(rank).word(1).draw();
        Some(Segment { content: draw.bits(), tokens: length.sample(&mut draw.next().rng()) })
    }

    /// The user's text and the answer of a turn.
    fn turn(&self, session: u64, turn: u32) -> (Segment, Segment) {
        let key = self.key.with(Purpose::Turn).word(session).word(u64::from(turn));
        let mut rng = key.word(0).draw().rng();
        let user = self.user_tokens.sample(&mut rng);
        let output = self.output_tokens.sample(&mut rng).min(self.output_most);
        (
            Segment { content: key.word(1).draw().bits(), tokens: user },
            Segment { content: key.word(2).draw().bits(), tokens: output },
        )
    }
}

impl ChatGenerator {
    /// The workload `spec` under `seed`.
    ///
    /// # Errors
    /// As [`ChatSpec::validate`].
    pub fn new(spec: ChatSpec, seed: u64) -> Result<Self, WorkloadError> {
        spec.validate()?;
        let draws = Draws::new(&spec, seed)?;
        let starts = match spec.start {
            SessionStart::Arrivals(arrival) => {
                let (times, day) =
                    (ArrivalTimes::new(arrival, draws.key)?, Clock::new(&spec, draws.key));
                let mut starts = Starts::Arrivals { times, at: Nanos::ZERO, day };
                starts.plan();
                starts
            }
            SessionStart::Users { users, ramp_s } => {
                let at = |user| ramp_s * f64::from(user) / f64::from(users);
                let start = |user| (Nanos::from_s(at(user)).unwrap_or(Nanos::MAX), user, 0);
                Starts::Users { next: (0..users).map(|user| Reverse(start(user))).collect(), users }
            }
        };
        let end = spec.duration_s.map_or(Nanos::MAX, |s| Nanos::from_s(s).unwrap_or(Nanos::MAX));
        Ok(Self {
            spec,
            draws,
            starts,
            due: BinaryHeap::new(),
            sessions: FxHashMap::default(),
            planned: 0,
            cut: 0,
            end,
        })
    }

    /// When the next session begins, if one does.
    fn next_start(&self) -> Option<Nanos> {
        if self.spec.requests.is_some_and(|requests| self.planned >= requests) {
            return None;
        }
        let at = match &self.starts {
            Starts::Arrivals { at, .. } => *at,
            Starts::Users { next, .. } => next.peek()?.0.0,
        };
        (at < self.end).then_some(at)
    }

    /// Begins the next session.
    fn begin(&mut self) {
        let sessions = self.draws.key.with(Purpose::Session);
        let (at, id, slot, who) = match &mut self.starts {
            Starts::Arrivals { times, at, day } => {
                let (at, id) = (*at, times.ordinal());
                let who = day.as_ref().map(|clock| clock.who(id, sessions.word(id)));
                times.advance();
                self.starts.plan();
                (at, id, None, who)
            }
            Starts::Users { next, users } => {
                let Some(Reverse((at, user, number))) = next.pop() else { return };
                (at, number * u64::from(*users) + u64::from(user), Some((user, number)), None)
            }
        };
        let key = sessions.word(id);
        let user = match (slot, who, self.spec.users) {
            (Some((user, _)), ..) => u64::from(user),
            (_, Some((_, user)), _) => user,
            (None, None, 0) => id,
            (None, None, users) => key.word(0).draw().below(users),
        };
        let system = self.draws.system(id);
        let left = self.spec.requests.map_or(u64::MAX, |requests| requests - self.planned);
        let wanted = self.spec.turns.sample(key.word(2).draw());
        let turns =
            self.turns_that_fit(id, system, wanted).min(u32::try_from(left).unwrap_or(u32::MAX));
        self.planned += u64::from(turns);
        let origin = match who {
            Some((index, _)) => self.draws.origins.at(index),
            None => self.draws.origins.pick(sessions.word(user).word(1)),
        };
        let text = Text::default();
        let session =
            Session { user, origin, system, turns, turn: 0, under_way: false, slot, text };
        self.sessions.insert(id, session);
        self.due.push(Reverse((at, id)));
    }

    /// How many of a session's turns fit the context; the first always does, since its user text is cut.
    fn turns_that_fit(&self, session: u64, system: Option<Segment>, wanted: u32) -> u32 {
        let mut tokens = system.map_or(0, |system| u64::from(system.tokens));
        for turn in 0..wanted {
            let (user, output) = self.draws.turn(session, turn);
            tokens += u64::from(user.tokens) + u64::from(output.tokens);
            if tokens > u64::from(self.spec.context_tokens_max) {
                return turn.max(1);
            }
        }
        wanted
    }

    /// The request of a session's turn, which is appended to what the session has said.
    fn request(&mut self, id: u64) -> Result<Request, WorkloadError> {
        let Some(session) = self.sessions.get_mut(&id) else {
            return Err(WorkloadError::NothingDue);
        };
        let (mut user, output) = self.draws.turn(id, session.turn);
        let block_tokens = self.spec.block_tokens;
        let system = if session.turn == 0 { session.system } else { None };
        if session.turn == 0 {
            let others = output.tokens + system.map_or(0, |system| system.tokens);
            user.tokens = user.tokens.min(self.spec.context_tokens_max - others);
        }
        let segments: Vec<Segment> = system.into_iter().chain([user]).collect();
        let prompt = session.text.append(&segments, block_tokens)?;
        let sequence = session.text.append(&[output], block_tokens)?;
        session.under_way = true;
        Ok(Request {
            id: RequestId { session: id, turn: session.turn },
            user: Some(session.user),
            has_session: true,
            prompt,
            output_tokens: Tokens(u64::from(output.tokens)),
            max_tokens: Tokens(u64::from(self.spec.max_tokens.unwrap_or(output.tokens))),
            sequence: Some(sequence),
            origin: session.origin,
        })
    }

    /// A session's turn has ended: plans the next one, or the user's next session.
    fn turn_ended(&mut self, id: u64, at: Nanos) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let done = RequestId { session: id, turn: session.turn };
        let next = at.saturating_add(self.draws.think.after(done));
        session.turn += 1;
        session.under_way = false;
        if session.turn < session.turns && next < self.end {
            self.due.push(Reverse((next, id)));
            return;
        }
        self.cut += u64::from(session.turns - session.turn);
        let slot = session.slot;
        self.sessions.remove(&id);
        if let (Some((user, number)), Starts::Users { next: starts, .. }) = (slot, &mut self.starts)
        {
            starts.push(Reverse((next, user, number + 1)));
        }
    }
}

impl Source for ChatGenerator {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        while let Some(start) = self.next_start() {
            if self.due.peek().is_some_and(|Reverse((at, _))| *at < start) {
                break;
            }
            self.begin();
        }
        Ok(match self.due.peek() {
            Some(Reverse((at, _))) => Due::At(*at),
            None if self.sessions.is_empty() => Due::End,
            None => Due::Waiting,
        })
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        self.next_due()?;
        let Some(Reverse((at, id))) = self.due.pop() else { return Err(WorkloadError::NothingDue) };
        let request = self.request(id)?;
        if self.spec.turn_timing == TurnTiming::Recorded {
            let service = self.spec.assumed_service.of(request.output_tokens);
            self.turn_ended(id, at.saturating_add(service));
        } else if self.sessions.get(&id).is_some_and(|s| s.turn + 1 == s.turns && s.slot.is_none())
        {
            // Nothing follows, so nobody need wait for its end.
            self.sessions.remove(&id);
        }
        Ok((at, request))
    }

    fn finished(&mut self, completed: Completed) {
        let RequestId { session: id, turn } = completed.id;
        if self.sessions.get(&id).is_some_and(|s| s.under_way && s.turn == turn) {
            self.turn_ended(id, completed.at);
        }
    }

    fn needs_completions(&self) -> bool {
        self.spec.turn_timing == TurnTiming::AfterPrevious
    }

    fn origins(&self) -> &[Origin] {
        self.draws.origins.list()
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.cut > 0 {
            warnings.push(format!(
                "chat: {} turns were dropped, since they would have come after duration_s",
                self.cut
            ));
        }
        if self.draws.origins.list().len() == 1 {
            warnings.push("chat: no origins given: every request is from nowhere".to_owned());
        }
        warnings
    }

    fn size_hint(&self) -> Option<u64> {
        if self.spec.duration_s.is_some() { None } else { self.spec.requests }
    }

    fn block_tokens(&self) -> u32 {
        self.spec.block_tokens
    }
}
