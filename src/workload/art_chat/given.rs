//! Users for lengths that came with their times.
//!
//! Prompts of a conversation grow step by step, so a length goes to the user, among the next [`AHEAD`] whose turn it is,
//! whose last prompt was nearest to it. How often there is such a choice decides how much of a prompt its user has sent
//! before, and is searched for until that is the reuse that was asked for. Who was passed over so often is next, so
//! that bursts stay bursts.
//!
//! Where it is asked for, a length that was there shortly before is a prompt that is sent again, and its user's. In the
//! window of 5 April 43 % of all but the busiest user's requests have the length of an earlier one, in the median 31 s
//! before; lengths moved by up to 40 tokens at random leave 14 %. Such requests take no turn: turns are for the others.

use super::plan::Reuse;
use super::spec::ArtChatSpec;
use gorgo_random::Key;
use gorgo_types::Nanos;
use std::collections::BTreeMap;

/// Among so many planned requests one is chosen.
const AHEAD: usize = 64;

/// For each request the latest earlier one that is as long, where that is recent enough to be the same prompt.
pub(super) fn repeats(spec: &ArtChatSpec, times: &[Nanos], lengths: &[u32]) -> Vec<Option<usize>> {
    let window = Nanos::from_s(spec.repeat_window_s).unwrap_or(Nanos::MAX);
    let mut last: BTreeMap<u32, usize> = BTreeMap::new();
    let mut earlier = |(at, tokens): (usize, &u32)| {
        last.insert(*tokens, at).filter(|&before| {
            window > Nanos::ZERO && times[at].saturating_sub(times[before]) <= window
        })
    };
    lengths.iter().enumerate().map(&mut earlier).collect()
}

/// The users of requests with these `lengths`, in about the order of `turns`, with the reuse that was asked for or the
/// nearest to it; `fixed` is that of the requests that are not among them. A request that `repeats` an earlier one has
/// its user.
pub(super) fn users(
    spec: &ArtChatSpec,
    key: Key,
    lengths: &[u32],
    repeats: &[Option<usize>],
    turns: &[u32],
    fixed: Reuse,
) -> Vec<u32> {
    let reuse = |users: &[u32]| {
        let (mut reuse, mut last) = (fixed, vec![0; spec.users as usize]);
        for (&user, &tokens) in users.iter().zip(lengths) {
            reuse.add(last[user as usize], tokens, spec.reuse_block_tokens);
            last[user as usize] = tokens;
        }
        reuse.share()
    };
    let (mut low, mut high) = (0.0, 1.0);
    let mut best = assigned(spec, key, lengths, repeats, turns, high);
    let mut nearest = (reuse(&best) - spec.reuse_intra_user).abs();
    for _ in 0..20 {
        let choosy = f64::midpoint(low, high);
        let users = assigned(spec, key, lengths, repeats, turns, choosy);
        let got = reuse(&users);
        let off = (got - spec.reuse_intra_user).abs();
        if off < nearest {
            (best, nearest) = (users, off);
        }
        if got < spec.reuse_intra_user {
            low = choosy;
        } else {
            high = choosy;
        }
    }
    best
}

/// One pass down the list: a share `choosy` of the requests goes to whom its length suits.
fn assigned(
    spec: &ArtChatSpec,
    key: Key,
    lengths: &[u32],
    repeats: &[Option<usize>],
    turns: &[u32],
    choosy: f64,
) -> Vec<u32> {
    let (mut ahead, mut last) = (Ahead::new(turns), vec![0; spec.users as usize]);
    let mut users: Vec<u32> = Vec::with_capacity(lengths.len());
    for (index, (&tokens, earlier)) in lengths.iter().zip(repeats).enumerate() {
        let user = if let Some(earlier) = *earlier {
            users[earlier]
        } else {
            let choose = key.word(9).word(index as u64).draw().unit() < choosy;
            ahead.take(choose, |user| distance(last[user as usize], tokens))
        };
        last[user as usize] = tokens;
        users.push(user);
    }
    users
}

/// The next items of a list, of which any may be taken.
struct Ahead<'a> {
    list: std::iter::Enumerate<std::slice::Iter<'a, u32>>,
    items: Vec<(usize, u32)>,
    taken: usize,
}

impl<'a> Ahead<'a> {
    fn new(list: &'a [u32]) -> Self {
        Self { list: list.iter().enumerate(), items: Vec::with_capacity(AHEAD), taken: 0 }
    }

    /// Takes the item that is the least `far`, or, without a choice or when it is overdue, the first one; 0 at the end.
    fn take(&mut self, choose: bool, far: impl Fn(u32) -> f64) -> u32 {
        while self.items.len() < AHEAD
            && let Some((index, &item)) = self.list.next()
        {
            self.items.push((index, item));
        }
        let overdue = self.items.first().is_some_and(|first| first.0 + AHEAD <= self.taken);
        self.taken += 1;
        let mut best = (f64::INFINITY, 0);
        if choose && !overdue {
            for (index, &(_, item)) in self.items.iter().enumerate() {
                let far = far(item);
                if far < best.0 {
                    best = (far, index);
                }
            }
        }
        if self.items.is_empty() { 0 } else { self.items.remove(best.1).1 }
    }
}

/// How far a length is from a user's last one, as a ratio. Whoever has not begun yet, begins with a short prompt rather
/// than a long one.
fn distance(last: u32, tokens: u32) -> f64 {
    const BEGIN_TOKENS: f64 = 2_000.0;
    match last {
        0 => f64::from(tokens) / BEGIN_TOKENS,
        last => f64::from(last.max(tokens)) / f64::from(last.min(tokens)) - 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::{repeats, users};
    use crate::art_chat::ArtChatSpec;
    use crate::art_chat::plan::Reuse;
    use gorgo_random::Key;
    use gorgo_types::Nanos;

    fn spec(window_s: f64) -> ArtChatSpec {
        ArtChatSpec { users: 8, repeat_window_s: window_s, ..ArtChatSpec::default() }
    }

    #[test]
    fn a_length_that_was_there_shortly_before_is_a_repeat() {
        let times: Vec<Nanos> = [0, 5, 10, 15, 200].map(Nanos::from_secs).to_vec();
        let lengths = [700, 900, 700, 700, 900];
        let found = repeats(&spec(10.0), &times, &lengths);
        assert_eq!(
            found,
            [None, None, Some(0), Some(2), None],
            "the latest, and 195 s are too long"
        );
        assert_eq!(repeats(&spec(1_000.0), &times, &lengths)[4], Some(1));
        assert_eq!(repeats(&spec(0.0), &times, &lengths), [None; 5], "off");
        assert_eq!(repeats(&spec(0.0), &[Nanos::ZERO; 2], &[7, 7]), [None; 2], "off at once, too");
    }

    #[test]
    fn a_repeat_has_the_user_of_what_it_repeats_and_takes_no_turn() {
        let lengths = [700, 900, 700, 800, 900, 700];
        let repeats = [None, None, Some(0), None, Some(1), Some(2)];
        let turns = [3, 5, 1];
        let spec = spec(60.0);
        let nobody = Reuse::of(&spec, &[]);
        let users = users(&spec, Key::new(1), &lengths, &repeats, &turns, nobody);
        assert_eq!((users[2], users[5], users[4]), (users[0], users[0], users[1]));
        let mut begun = [users[0], users[1], users[3]];
        begun.sort_unstable();
        assert_eq!(begun, [1, 3, 5], "every turn is taken once");
    }
}
