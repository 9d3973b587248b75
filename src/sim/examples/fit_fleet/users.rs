//! Users and prefixes for recorded arrivals that have none: an assumption, matched to what was published of them.
//!
//! Known of the window (GORGO v2's appendix): 579 users, block reuse 78.8 % (78.5 % within users). Known of its prompts:
//! a user's next prompt repeats the one before by position, as far as both go, and is new text beyond. Of the arrivals:
//! a third have 17 tokens, which looks like one user. Not known: who sent which. Here a request that is no 17-token one is a
//! new user's with a fixed probability until there are 578, and else that of one of the users whose last prompt is near
//! in length (rather shorter than longer) and in time. [`LENGTH_SCALE`] was chosen so that reuse comes out as published;
//! how near in time is a guess. It and the number of states that an engine keeps say together how often it still has a
//! prefix, and only that is seen in the measurements: the number of states is fitted, and is no measure of the real one.

use gorgo_random::{Key, Purpose};
use gorgo_types::{BlockChain, Nanos, Origin, Request, Tokens};
use gorgo_workload::{Completed, Due, Recorded, Source, WorkloadError};

const USERS: usize = 579;
/// Prompts up to this length are the one user's.
const SHORT_TOKENS: u64 = 17;
/// A prompt that differs by this factor (as a logarithm) costs as much as one [`TIME_SCALE_S`] older.
const LENGTH_SCALE: f64 = 0.35;
const TIME_SCALE_S: f64 = 120.0;
/// What a prompt longer than the new one costs besides.
const SHRINKING: f64 = 0.7;
/// Cost by which one candidate is e times less likely than another, among the nearest of them.
const TEMPERATURE: f64 = 2.0;
const NEAREST: usize = 12;

/// What a user last sent: when, how many tokens, and what its blocks held.
struct User {
    at: Nanos,
    tokens: u64,
    contents: Vec<u64>,
}

/// The same arrivals and lengths, with prompts that share what those of one user share.
pub fn with_users(arrivals: &Recorded, seed: u64) -> Result<Recorded, String> {
    let key = Key::new(seed).with(Purpose::Session);
    let requests = arrivals.requests();
    let long = requests.iter().filter(|(_, request)| request.prompt.tokens().0 > SHORT_TOKENS);
    let newcomers = 1.05 * USERS as f64 / long.count().max(1) as f64;
    let mut users: Vec<User> = vec![User { at: Nanos::ZERO, tokens: 0, contents: Vec::new() }];
    let mut fresh = 0_u64;
    let mut made = Vec::with_capacity(requests.len());
    for (ordinal, (at, request)) in requests.iter().enumerate() {
        let draw = key.word(ordinal as u64).draw();
        let tokens = request.prompt.tokens().0;
        let user = if tokens <= SHORT_TOKENS {
            0
        } else if users.len() < USERS && (users.len() < 3 || draw.unit() < newcomers) {
            users.push(User { at: *at, tokens: 0, contents: Vec::new() });
            users.len() - 1
        } else {
            1 + nearest(&users[1..], *at, tokens, draw.next().unit())
        };
        let block_tokens = u64::from(request.prompt.block_tokens());
        let whole = (tokens / block_tokens) as usize;
        let last = &mut users[user];
        let kept = (last.tokens.min(tokens) / block_tokens) as usize;
        last.contents.truncate(kept);
        while last.contents.len() < whole {
            fresh += 1;
            last.contents.push(fresh);
        }
        (last.at, last.tokens) = (*at, tokens);
        // The end of a prompt, inside a block, is the chat template's and stands in no other prompt's middle.
        let tail = (!tokens.is_multiple_of(block_tokens)).then_some(u64::MAX - user as u64);
        let contents = last.contents.iter().copied().chain(tail);
        let prompt =
            BlockChain::from_raw_ids(contents, Tokens(tokens), request.prompt.block_tokens())
                .map_err(|error| error.to_string())?;
        made.push((*at, Request { prompt, user: Some(user as u64), ..request.clone() }));
    }
    let mut source = Made { requests: made.into_iter().peekable(), of: arrivals.clone() };
    Recorded::read(&mut source).map_err(|error| error.to_string())
}

/// The user (but the first) to whom a request of so many tokens goes.
fn nearest(users: &[User], at: Nanos, tokens: u64, unit: f64) -> usize {
    let cost = |user: &User| {
        let length = (tokens as f64 / user.tokens.max(1) as f64).ln().abs() / LENGTH_SCALE;
        let age = (at - user.at).as_ms() / 1e3 / TIME_SCALE_S;
        length + age + if user.tokens > tokens { SHRINKING } else { 0.0 }
    };
    let mut costs: Vec<(f64, usize)> = users.iter().map(cost).zip(0..).collect();
    costs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    costs.truncate(NEAREST);
    let weight = |cost: f64| ((costs[0].0 - cost) / TEMPERATURE).exp();
    let mut left = unit * costs.iter().map(|&(cost, _)| weight(cost)).sum::<f64>();
    for &(cost, user) in &costs {
        left -= weight(cost);
        if left <= 0.0 {
            return user;
        }
    }
    costs[0].1
}

/// Requests that are there already.
struct Made {
    requests: std::iter::Peekable<std::vec::IntoIter<(Nanos, Request)>>,
    of: Recorded,
}

impl Source for Made {
    fn next_due(&mut self) -> Result<Due, WorkloadError> {
        Ok(self.requests.peek().map_or(Due::End, |(at, _)| Due::At(*at)))
    }

    fn take(&mut self) -> Result<(Nanos, Request), WorkloadError> {
        self.requests.next().ok_or(WorkloadError::NothingDue)
    }

    fn finished(&mut self, _: Completed) {}

    fn needs_completions(&self) -> bool {
        false
    }

    fn origins(&self) -> &[Origin] {
        self.of.origins()
    }

    fn warnings(&self) -> Vec<String> {
        vec!["users and prefixes are made up to published figures".to_owned()]
    }

    fn size_hint(&self) -> Option<u64> {
        None
    }

    fn block_tokens(&self) -> u32 {
        self.of.requests().first().map_or(16, |(_, request)| request.prompt.block_tokens())
    }
}
