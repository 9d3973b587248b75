//! Who asks what and when: users, conversations and lengths.
//!
//! 1. Every user gets a number of requests (a Zipf law, at least one each), and a time for each of them, in bursts. Put
//!    in order, that is a list of whose turn it is.
//! 2. Lengths go to users so that they have sent as much of their prompts before as was asked for. Drawn lengths are
//!    free to go to anybody (`drawn`); those that came with their times stay where they are, and users are matched to
//!    them (`given`).
//! 3. A user's requests are cut into conversations, and these get depths (`talks`).

use super::spec::ArtChatSpec;
use super::talks::Talks;
use super::{Arrival, drawn, given};
use crate::trace::scaled;
use gorgo_random::Key;
use gorgo_types::Nanos;
use rand_distr::{Distribution, Exp1};

/// A request with everything but its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) at: Nanos,
    pub(super) user: u32,
    pub(super) session: u32,
    pub(super) turn: u32,
    /// False: a lone request, its session is only a number.
    pub(super) multi_turn: bool,
    pub(super) input_tokens: u32,
    pub(super) output_tokens: u32,
}

/// All requests, in order of time.
pub(super) struct Plan {
    pub(super) requests: Vec<Planned>,
    /// Share of blocks that the same user's earlier prompts had.
    pub(super) reuse: f64,
}

impl Plan {
    /// Users for requests of which times and lengths are given. `top` marks the busiest user's.
    pub(super) fn over(spec: &ArtChatSpec, key: Key, arrivals: &[Arrival], top: &[bool]) -> Self {
        let mut requests = planned(spec, arrivals);
        let others: Vec<usize> = (0..requests.len()).filter(|&index| !top[index]).collect();
        let lengths: Vec<u32> = others.iter().map(|&at| requests[at].input_tokens).collect();
        let times: Vec<Nanos> = others.iter().map(|&at| arrivals[at].at).collect();
        let repeats = given::repeats(spec, &times, &lengths);
        let begun = repeats.iter().filter(|earlier| earlier.is_none()).count();
        let turns = whose_turn(spec, key, begun, span_s(arrivals));
        let fixed = Reuse::of_top(spec, arrivals, top);
        let users = given::users(spec, key, &lengths, &repeats, &turns, fixed);
        others.iter().zip(users).for_each(|(&at, user)| requests[at].user = user);
        let talks = Talks::new(spec, key, &requests);
        talks.by_falls(&requests).set(spec, key, &mut requests);
        let reuse = Reuse::of(spec, &requests).share();
        Self { requests, reuse }
    }

    /// Users and lengths for requests of which only the times are drawn yet: `arrivals` have the lengths in any order.
    pub(super) fn drawn(spec: &ArtChatSpec, key: Key, arrivals: &[Arrival], top: &[bool]) -> Self {
        let mut requests = planned(spec, arrivals);
        let others: Vec<usize> = (0..requests.len()).filter(|&index| !top[index]).collect();
        let turns = whose_turn(spec, key, others.len(), span_s(arrivals));
        others.iter().zip(&turns).for_each(|(&at, &user)| requests[at].user = user);
        let talks = Talks::new(spec, key, &requests).by_sizes();
        drawn::lengths(spec, key, &others, &talks, &mut requests);
        talks.set(spec, key, &mut requests);
        let reuse = Reuse::of(spec, &requests).share();
        Self { requests, reuse }
    }
}

fn planned(spec: &ArtChatSpec, arrivals: &[Arrival]) -> Vec<Planned> {
    let plan = |arrival: &Arrival| Planned {
        at: scaled(arrival.at, spec.speedup),
        user: 0,
        session: 0,
        turn: 0,
        multi_turn: false,
        input_tokens: arrival.input_tokens,
        output_tokens: arrival.output_tokens,
    };
    arrivals.iter().map(plan).collect()
}

fn span_s(arrivals: &[Arrival]) -> f64 {
    arrivals.last().map_or(0.0, |last| last.at.as_s())
}

/// How many requests each user but the busiest sends: at least one each, the rest by the Zipf law, exact in sum.
fn quotas(spec: &ArtChatSpec, requests: usize, users: usize) -> Vec<usize> {
    let weight = |user: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a number of users")]
        let rank = (user + 1) as f64;
        libm::pow(rank, -spec.user_zipf_exponent)
    };
    let all: f64 = (0..users).map(weight).sum();
    #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
    let rest = requests.saturating_sub(users) as f64;
    let (mut sum, mut given) = (0.0, 0);
    let mut quotas = Vec::with_capacity(users);
    for user in 0..users {
        sum += weight(user);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the number of requests, rounded"
        )]
        let upto = (rest * sum / all).round() as usize;
        quotas.push(1 + upto - given);
        given = upto;
    }
    quotas
}

/// The users other than the busiest (which is 0, where there is one), once for each of their requests, in planned
/// order of time.
fn whose_turn(spec: &ArtChatSpec, key: Key, requests: usize, span_s: f64) -> Vec<u32> {
    let first = u32::from(spec.top_user_requests() > 0);
    let users = spec.users.saturating_sub(first);
    let mut planned: Vec<(f64, u32, usize)> = Vec::with_capacity(requests);
    for (user, quota) in (first..).zip(quotas(spec, requests, users as usize)) {
        let key = key.word(8).word(u64::from(user));
        let mut at_s = 0.0;
        for ordinal in 0..quota {
            let draw = key.word(ordinal as u64).draw();
            if ordinal.is_multiple_of(spec.bursts.requests as usize) {
                at_s = draw.unit() * span_s;
            } else {
                let gap: f64 = Exp1.sample(&mut draw.rng());
                at_s += gap * spec.bursts.gap_s;
            }
            // A burst that would outlast the span goes on at its beginning.
            let inside_s = if span_s > 0.0 { at_s % span_s } else { 0.0 };
            planned.push((inside_s, user, ordinal));
        }
    }
    planned.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    planned.into_iter().map(|(_, user, _)| user).collect()
}

/// Blocks that an earlier prompt of the same user had, and all of them.
#[derive(Clone, Copy)]
pub(super) struct Reuse {
    had: u64,
    all: u64,
}

impl Reuse {
    /// Adds a prompt that follows one of `before` tokens; 0: the user's first.
    pub(super) fn add(&mut self, before: u32, tokens: u32, block: u32) {
        self.all += u64::from(tokens.div_ceil(block));
        let shared = before.min(tokens);
        self.had +=
            u64::from(if before == tokens { tokens.div_ceil(block) } else { shared / block });
    }

    /// Those of all requests.
    pub(super) fn of(spec: &ArtChatSpec, requests: &[Planned]) -> Self {
        let (mut reuse, mut last) = (Self { had: 0, all: 0 }, vec![0; spec.users as usize]);
        for request in requests {
            let before = &mut last[request.user as usize];
            reuse.add(*before, request.input_tokens, spec.reuse_block_tokens);
            *before = request.input_tokens;
        }
        reuse
    }

    /// Those of the busiest user.
    fn of_top(spec: &ArtChatSpec, arrivals: &[Arrival], top: &[bool]) -> Self {
        let (mut reuse, mut before) = (Self { had: 0, all: 0 }, 0);
        for (arrival, _) in arrivals.iter().zip(top).filter(|(_, top)| **top) {
            reuse.add(before, arrival.input_tokens, spec.reuse_block_tokens);
            before = arrival.input_tokens;
        }
        reuse
    }

    #[expect(clippy::cast_precision_loss, reason = "blocks stay far below 2^53")]
    pub(super) fn share(self) -> f64 {
        self.had as f64 / self.all.max(1) as f64
    }
}
