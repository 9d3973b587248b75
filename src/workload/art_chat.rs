//! Long chats with high reuse, matched to what is published of the windows of ART-Chat-2.5M that the GORGO authors
//! replayed: how many users there are, how much the busiest of them asks, how long prompts are, and how much of a
//! prompt its user has sent before.
//!
//! Prompts follow the rule by which those windows were decoded: a request takes over, by position, what its user's
//! previous request had, and is new text beyond it. So consecutive requests of one *user* share as many tokens as the
//! shorter of them has, whatever their conversations. Users share the tokens of the chat template, and those of one
//! system prompt share that. Answers are not taken over into later prompts.
//!
//! Times and lengths are drawn, or given: then users and prompts are added to them ([`ArtChat::over`]). Either way the
//! numbers of users, requests and turns are exact, and who asks what is a matter of the seed. Everything is planned at
//! the start, so that memory grows with the number of requests (about 40 bytes each).
//!
//! Parameters and their sources: `spec`. Who asks what and when: `plan`. Lengths and depths: `shape`. Blocks: `text`.

mod drawn;
mod given;
mod plan;
mod shape;
mod spec;
mod talks;
mod text;

pub use spec::{ArtChatSpec, ArtInputTokens, ArtTurns, Bursts};

use crate::draws::{Length, Origins};
use crate::{Due, Source, WorkloadError};
use gorgo_random::{Key, Purpose};
use gorgo_types::{Nanos, Origin, OriginId, Request, RequestId, Tokens};
use plan::{Plan, Planned};
use rand_distr::{Distribution, Exp1, Zipf};
use text::{Segment, Text};

/// When a request comes, and how long its prompt and its answer are, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Since the first one.
    pub at: Nanos,
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// Tokens of the answer.
    pub output_tokens: u32,
}

/// Long chats with high reuse.
pub struct ArtChat {
    spec: ArtChatSpec,
    plan: Plan,
    next: usize,
    /// What each user has sent last.
    texts: Vec<Text>,
    homes: Vec<OriginId>,
    origins: Origins,
}

impl ArtChat {
    /// The workload `spec` under `seed`, its times and lengths drawn.
    ///
    /// # Errors
    /// As [`ArtChatSpec::validate`].
    pub fn new(spec: ArtChatSpec, seed: u64) -> Result<Self, WorkloadError> {
        spec.validate()?;
        let arrivals = arrivals(&spec, Key::new(seed).with(Purpose::ArtChat))?;
        let top = vec_of_top(&arrivals, spec.input_tokens.top_user, spec.top_user_requests());
        Self::planned(spec, seed, |spec, key| Plan::drawn(spec, key, &arrivals, &top))
    }

    /// The workload `spec` under `seed` with the times and lengths of `arrivals`, which must not go backwards. The
    /// busiest user is who sends the prompts of the most frequent length. What `spec` says of lengths, of the busiest
    /// user's share and of the number of requests is not used.
    ///
    /// # Errors
    /// As [`ArtChatSpec::validate`], and where there are fewer requests than users.
    pub fn over(spec: ArtChatSpec, seed: u64, arrivals: &[Arrival]) -> Result<Self, WorkloadError> {
        let requests = u32::try_from(arrivals.len()).unwrap_or(u32::MAX);
        let mode = most_frequent(arrivals);
        let top = arrivals.iter().map(|arrival| arrival.input_tokens == mode).collect::<Vec<_>>();
        #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
        let share = top.iter().filter(|top| **top).count() as f64 / top.len().max(1) as f64;
        let spec = ArtChatSpec { requests, top_user_share: share, ..spec };
        spec.validate()?;
        Self::planned(spec, seed, |spec, key| Plan::over(spec, key, arrivals, &top))
    }

    fn planned(
        spec: ArtChatSpec,
        seed: u64,
        plan: impl FnOnce(&ArtChatSpec, Key) -> Plan,
    ) -> Result<Self, WorkloadError> {
        let key = Key::new(seed).with(Purpose::ArtChat);
        let plan = plan(&spec, key);
        let origins = Origins::new(&spec.origins)?;
        let users = Key::new(seed).with(Purpose::Session);
        let homes = (0..u64::from(spec.users)).map(|user| origins.pick(users.word(user))).collect();
        let texts = texts(&spec, key)?;
        Ok(Self { spec, plan, next: 0, texts, homes, origins })
    }

    /// Share of all blocks of prompts that an earlier prompt of the same user had, in blocks of
    /// `reuse_block_tokens`: what was reached of [`ArtChatSpec::reuse_intra_user`].
    #[must_use]
    pub const fn reuse_intra_user(&self) -> f64 {
        self.plan.reuse
    }
}

/// The beginnings of all users' prompts: the template, and the system prompt of all but the busiest user.
fn texts(spec: &ArtChatSpec, key: Key) -> Result<Vec<Text>, WorkloadError> {
    // What the busiest user sends begins with the template, so the two are held together.
    let held = spec.top_user_text.map(|text| Key::new(u64::from(text)).with(Purpose::ArtChat));
    let common = held.unwrap_or(key);
    let template = Segment { content: common.word(1).draw().bits(), tokens: spec.template_tokens };
    let length = Length::new("system.tokens", spec.system.tokens)?;
    let zipf = Zipf::new(f64::from(spec.system.count.max(1)), spec.system.zipf_exponent);
    let zipf = zipf.map_err(|error| WorkloadError::Parameter {
        field: "system.zipf_exponent",
        got: spec.system.zipf_exponent.to_string(),
        wanted: format!("a Zipf distribution: {error}"),
    })?;
    let text = |user: u32| {
        let by = if user == 0 { common } else { key };
        let own = by.word(2).word(u64::from(user)).draw().bits();
        if user == 0 || spec.system.count == 0 {
            return Text::new(&[template], own);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank from 1 to the number of system prompts"
        )]
        let rank = zipf.sample(&mut key.word(3).word(u64::from(user)).draw().rng()) as u64;
        let draw = key.word(4).word(rank).draw();
        let tokens = length.sample(&mut draw.next().rng());
        Text::new(&[template, Segment { content: draw.bits(), tokens }], own)
    };
    Ok((0..spec.users).map(text).collect())
}

/// Times of a Poisson process with the given number of arrivals in the span, the first at zero; lengths in a random
/// order.
fn arrivals(spec: &ArtChatSpec, key: Key) -> Result<Vec<Arrival>, WorkloadError> {
    let lengths = shape::input_lengths(spec)?;
    let mut order: Vec<(u64, u32)> = (lengths.iter().enumerate())
        .map(|(index, &tokens)| (key.word(5).word(index as u64).draw().bits(), tokens))
        .collect();
    order.sort_unstable();
    let mut sums = Vec::with_capacity(order.len());
    let mut sum = 0.0_f64;
    for index in 0..order.len() {
        sums.push(sum);
        let gap: f64 = Exp1.sample(&mut key.word(6).word(index as u64).draw().rng());
        sum += gap;
    }
    let outputs = (0..order.len()).map(|index| {
        let draw = key.word(7).word(index as u64).draw();
        let cut = draw.unit() >= spec.output_full_share && spec.output_tokens > 1;
        let cut_tokens = draw.next().below(u64::from(spec.output_tokens.max(2) - 1)) + 1;
        if cut { u32::try_from(cut_tokens).unwrap_or(1) } else { spec.output_tokens }
    });
    let arrivals = sums.into_iter().zip(order).zip(outputs).map(|((at, (_, tokens)), output)| {
        let at = Nanos::from_s(at / sum * spec.span_s).unwrap_or(Nanos::MAX);
        Arrival { at, input_tokens: tokens, output_tokens: output }
    });
    Ok(arrivals.collect())
}

/// The busiest user's requests: `count` of those with `tokens` tokens.
fn vec_of_top(arrivals: &[Arrival], tokens: u32, count: u32) -> Vec<bool> {
    let mut left = count;
    let mut is_top = |arrival: &Arrival| {
        let top = left > 0 && arrival.input_tokens == tokens;
        left -= u32::from(top);
        top
    };
    arrivals.iter().map(&mut is_top).collect()
}

/// The most frequent length; of several the shortest; 0 where there are none.
fn most_frequent(arrivals: &[Arrival]) -> u32 {
    let mut lengths: Vec<u32> = arrivals.iter().map(|arrival| arrival.input_tokens).collect();
    lengths.sort_unstable();
    let longest_run = lengths.chunk_by(|a, b| a == b).rev().max_by_key(|run| run.len());
    longest_run.map_or(0, |run| run[0])
}

impl Source for ArtChat {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(self.plan.requests.get(self.next).map_or(Due::End, |planned| Due::At(planned.at)))
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        let planned: Planned =
            *self.plan.requests.get(self.next).ok_or(WorkloadError::NothingDue)?;
        self.next += 1;
        let user = planned.user as usize;
        let prompt = self.texts[user].request(planned.input_tokens, self.spec.block_tokens)?;
        let output = Tokens(u64::from(planned.output_tokens));
        let request = Request {
            id: RequestId { session: u64::from(planned.session), turn: planned.turn },
            user: Some(u64::from(planned.user)),
            has_session: planned.multi_turn,
            prompt,
            output_tokens: output,
            max_tokens: Tokens(u64::from(planned.output_tokens.max(self.spec.output_tokens))),
            sequence: None,
            origin: self.homes[user],
        };
        Ok((planned.at, request))
    }

    fn origins(&self) -> &[Origin] {
        self.origins.list()
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let (got, wanted) = (self.plan.reuse, self.spec.reuse_intra_user);
        if (got - wanted).abs() > 0.01 {
            warnings.push(format!(
                "art_chat: users' prompts repeat {:.1} % of their blocks, not {:.1} %: no assignment of these lengths \
                 to {} users comes nearer",
                got * 100.0,
                wanted * 100.0,
                self.spec.users
            ));
        }
        warnings
    }

    fn size_hint(&self) -> Option<u64> {
        Some(self.plan.requests.len() as u64)
    }

    fn block_tokens(&self) -> u32 {
        self.spec.block_tokens
    }
}
