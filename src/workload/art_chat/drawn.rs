//! Lengths that are free to go to anybody: how much of a prompt its user has sent before is a matter of who gets which.
//!
//! Each user has a place among the lengths, each request a place around its user's, and the sorted lengths go to
//! requests by place: near each other, a user's prompts are alike and repeat much; far apart, they are anybody's. How far
//! is searched for until the reuse is what was asked for. In a conversation prompts grow, so its lengths are put in
//! order.

use super::plan::{Planned, Reuse};
use super::spec::ArtChatSpec;
use super::talks::Talks;
use gorgo_random::Key;

/// Gives the lengths of the requests `others` to them anew.
pub(super) fn lengths(
    spec: &ArtChatSpec,
    key: Key,
    others: &[usize],
    talks: &Talks,
    requests: &mut [Planned],
) {
    let mut sorted: Vec<u32> = others.iter().map(|&at| requests[at].input_tokens).collect();
    sorted.sort_unstable();
    let mut reuse = |spread: f64| {
        assign(key, others, &sorted, talks, spread, requests);
        Reuse::of(spec, requests).share()
    };
    // 2^-10: a user's lengths lie side by side; 2^6: anywhere.
    let (mut low, mut high) = (-10.0, 6.0);
    for _ in 0..30 {
        let middle = f64::midpoint(low, high);
        if reuse(libm::exp2(middle)) > spec.reuse_intra_user {
            low = middle;
        } else {
            high = middle;
        }
    }
    let _: f64 = reuse(libm::exp2(f64::midpoint(low, high)));
}

fn assign(
    key: Key,
    others: &[usize],
    sorted: &[u32],
    talks: &Talks,
    spread: f64,
    requests: &mut [Planned],
) {
    let mut places: Vec<(f64, usize)> = (others.iter())
        .map(|&at| {
            let user = key.word(12).word(u64::from(requests[at].user)).draw().unit();
            let own = key.word(13).word(at as u64).draw().unit() - 0.5;
            (user + spread * own, at)
        })
        .collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    for (&(_, at), &tokens) in places.iter().zip(sorted) {
        requests[at].input_tokens = tokens;
    }
    let mut lengths = Vec::new();
    for talk in talks.all() {
        lengths.clear();
        lengths.extend(talk.iter().map(|&at| requests[at].input_tokens));
        lengths.sort_unstable();
        talk.iter().zip(&lengths).for_each(|(&at, &tokens)| requests[at].input_tokens = tokens);
    }
}
