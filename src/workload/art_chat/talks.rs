//! Conversations: which requests are of one, and how many turns it has had.
//!
//! Lone requests are the busiest user's first. The others of a user are cut into conversations whose sizes fall off by
//! a power law (most are short, some are long), scaled so that there are as many conversations as were asked for, or
//! more where the published depths leave no room for so few. How many turns a conversation has had when the span ends is
//! drawn from the published depths without putting any back, so that they are all there; it is more than the requests it
//! has in the span, so that each has an earlier turn.

use super::plan::Planned;
use super::shape::Depths;
use super::spec::ArtChatSpec;
use gorgo_random::Key;
use std::cmp::Reverse;

/// How fast sizes fall off: the share of conversations with more than n requests goes as `n^(-1 / TAIL)`.
const TAIL: f64 = 0.6;

/// A conversation: the indices of its requests, in order.
type Talk = Vec<usize>;

/// The conversations of all users.
pub(super) struct Talks {
    lone: Vec<usize>,
    /// Each user's other requests, and the sizes of its conversations.
    users: Vec<(Vec<usize>, Vec<usize>)>,
    talks: Vec<Talk>,
}

impl Talks {
    /// How many conversations each user has and of what size; of the requests only the users are looked at.
    pub(super) fn new(spec: &ArtChatSpec, key: Key, requests: &[Planned]) -> Self {
        let is_lone = lone(spec, key, requests);
        let mut by_user: Vec<Vec<usize>> = vec![Vec::new(); spec.users as usize];
        for (at, request) in requests.iter().enumerate().filter(|(at, _)| !is_lone[*at]) {
            by_user[request.user as usize].push(at);
        }
        let multi: usize = by_user.iter().map(Vec::len).sum();
        #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
        let wanted = multi as f64 / spec.requests_per_conversation;
        let room = room(spec, key, wanted);
        let sizes = |scale: f64| -> Vec<Vec<usize>> {
            let mut room = room.iter().copied().cycle();
            let own =
                |(own, user): (&Vec<usize>, u32)| sizes(key, user, own.len(), scale, &mut room);
            by_user.iter().zip(0..).map(own).collect()
        };
        #[expect(clippy::cast_precision_loss, reason = "a number of conversations")]
        let count = |scale: f64| sizes(scale).iter().map(Vec::len).sum::<usize>() as f64;
        let (mut low, mut high) = (-12.0, 24.0);
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if count(libm::exp2(middle)) > wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        let sizes = sizes(libm::exp2(f64::midpoint(low, high)));
        let lone = (0..requests.len()).filter(|&at| is_lone[at]).collect();
        Self { lone, users: by_user.into_iter().zip(sizes).collect(), talks: Vec::new() }
    }

    /// Conversations of the planned sizes, one after the other.
    pub(super) fn by_sizes(mut self) -> Self {
        for (own, sizes) in &self.users {
            let mut from = 0;
            for &size in sizes {
                self.talks.push(own[from..from + size].to_vec());
                from += size;
            }
        }
        self
    }

    /// As many conversations as planned, which end where prompts get shorter the most; where they are all alike, of the
    /// planned sizes.
    pub(super) fn by_falls(self, requests: &[Planned]) -> Self {
        let tokens = |at: usize| f64::from(requests[at].input_tokens);
        let mut users = self.users;
        for (own, sizes) in &mut users {
            let fall = |at: usize| tokens(own[at]) / tokens(own[at - 1]);
            if (1..own.len()).all(|at| (fall(at) - 1.0).abs() < f64::EPSILON) {
                continue;
            }
            let mut ends: Vec<usize> = (1..own.len()).collect();
            ends.sort_by(|&a, &b| fall(a).total_cmp(&fall(b)).then(a.cmp(&b)));
            ends.truncate(sizes.len() - 1);
            ends.push(own.len());
            ends.sort_unstable();
            let begins = [0].into_iter().chain(ends.iter().copied());
            *sizes = ends.iter().zip(begins).map(|(end, begin)| end - begin).collect();
        }
        Self { users, ..self }.by_sizes()
    }

    /// All conversations.
    pub(super) fn all(&self) -> &[Talk] {
        &self.talks
    }

    /// Sets sessions and turns.
    pub(super) fn set(mut self, spec: &ArtChatSpec, key: Key, requests: &mut [Planned]) {
        let mut session = 0;
        for &at in &self.lone {
            requests[at].session = session;
            session += 1;
        }
        let count = u32::try_from(self.talks.len()).unwrap_or(u32::MAX);
        let mut left = depths(spec, count);
        // The largest first: any depth will do that leaves room for its requests.
        self.talks.sort_by_key(|talk| (Reverse(talk.len()), talk.first().copied()));
        for (ordinal, talk) in (0..).zip(&self.talks) {
            let size = u32::try_from(talk.len()).unwrap_or(u32::MAX);
            let from = left.partition_point(|&depth| depth <= size).min(left.len() - 1);
            let at = key.word(11).word(ordinal).draw().below((left.len() - from) as u64);
            let turns = left.remove(from + usize::try_from(at).unwrap_or(0)).max(size + 1);
            for (turn, &at) in (turns - size..).zip(talk) {
                let request = &mut requests[at];
                (request.session, request.turn, request.multi_turn) = (session, turn, true);
            }
            session += 1;
        }
    }
}

/// Which requests are lone: any of the busiest user's first, then any of the others'.
fn lone(spec: &ArtChatSpec, key: Key, requests: &[Planned]) -> Vec<bool> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "at most the number of requests, rounded"
    )]
    let count = ((1.0 - spec.multi_turn_share) * requests.len() as f64).round() as usize;
    let top = spec.top_user_requests() > 0;
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_cached_key(|&at| {
        (!(top && requests[at].user == 0), key.word(10).word(at as u64).draw().bits())
    });
    let mut lone = vec![false; requests.len()];
    order.into_iter().take(count).for_each(|at| lone[at] = true);
    lone
}

/// How many requests each of `count` conversations can have at most, in an order that the key draws: one less than its
/// turns.
fn room(spec: &ArtChatSpec, key: Key, count: f64) -> Vec<usize> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the number of requests, rounded"
    )]
    let count = (count.round() as u32).max(1);
    let mut room: Vec<(u64, usize)> = (depths(spec, count).into_iter().zip(0..))
        .map(|(depth, rank)| (key.word(15).word(rank).draw().bits(), depth as usize - 1))
        .collect();
    room.sort_unstable();
    room.into_iter().map(|(_, room)| room).collect()
}

/// The turns of `count` conversations, at least 2 each, the shallowest first.
fn depths(spec: &ArtChatSpec, count: u32) -> Vec<u32> {
    let Ok(depths) = Depths::new(&spec.turns) else { return vec![2; count as usize] };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of turns from 2 to a million"
    )]
    let turns = |rank: u32| depths.at(rank, count).round() as u32;
    (0..count).map(turns).collect()
}

/// Sizes of a user's conversations, which add up to `requests`: 1 and more, larger with the scale, and no larger than
/// there is `room` for.
fn sizes(
    key: Key,
    user: u32,
    requests: usize,
    scale: f64,
    room: &mut impl Iterator<Item = usize>,
) -> Vec<usize> {
    let (mut sizes, mut left, mut ordinal) = (Vec::new(), requests, 0);
    while left > 0 {
        let unit = key.word(14).word(u64::from(user)).word(ordinal).draw().unit();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float that is too large saturates, and is cut just after"
        )]
        let size = (1.0 + scale * (libm::pow(unit, -TAIL) - 1.0)) as usize;
        let size = size.min(room.next().unwrap_or(1)).clamp(1, left);
        sizes.push(size);
        left -= size;
        ordinal += 1;
    }
    sizes
}
