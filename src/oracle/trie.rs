//! The prefix cache, token by token.
//!
//! Every cached token is a node of its own with its own stamp and lock count; nothing is compressed. What eviction
//! removes at a time, a *unit*, ends where a token says so (`ends_unit`): splitting a unit is setting that mark. It
//! scans everything, everywhere, and keeps no counts but the number of tokens. The rules stand in
//! `src/model/README.md`; the engine that uses this is in `engine.rs`.

use gorgo_types::{BlockChain, BlockId};

/// What a token is: its block (which stands for everything before it too) and its place in that block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenName {
    /// The block.
    pub block: BlockId,
    /// Place in the block, from 0.
    pub offset: u32,
}

/// The names of the first `tokens` tokens of a chain.
#[must_use]
pub fn names(chain: &BlockChain, tokens: u64) -> Vec<TokenName> {
    let block_tokens = u64::from(chain.block_tokens());
    (0..tokens)
        .map(|position| TokenName {
            block: chain.ids()[(position / block_tokens) as usize],
            offset: (position % block_tokens) as u32,
        })
        .collect()
}

/// A token in the tree, by its place in the trie's list. Place 0 is the root, which is no token.
pub type Place = usize;

const ROOT: Place = 0;

#[derive(Clone, Debug)]
struct Token {
    name: TokenName,
    parent: Place,
    children: Vec<Place>,
    locks: u32,
    stamp: u64,
    /// A unit of eviction ends with this token.
    ends_unit: bool,
    /// The state of recurrent layers is kept here, and stands for so many tokens.
    state: Option<usize>,
}

/// The tree of cached tokens.
#[derive(Clone, Debug)]
pub struct TokenTrie {
    tokens: Vec<Option<Token>>,
    unused: Vec<Place>,
    touches: u64,
    count: u64,
    /// When states were left that no prompt can be matched to.
    lost_states: Vec<u64>,
}

impl Default for TokenTrie {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenTrie {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        let root = Token {
            name: TokenName { block: BlockId(0), offset: 0 },
            parent: ROOT,
            children: Vec::new(),
            locks: 0,
            stamp: 0,
            ends_unit: true,
            state: None,
        };
        Self {
            tokens: vec![Some(root)],
            unused: Vec::new(),
            touches: 0,
            count: 0,
            lost_states: Vec::new(),
        }
    }

    /// Number of cached tokens.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Number of cached tokens that nobody has locked.
    #[must_use]
    pub fn evictable(&self) -> u64 {
        self.tokens.iter().skip(1).flatten().filter(|token| token.locks == 0).count() as u64
    }

    fn token(&self, place: Place) -> &Token {
        self.tokens[place].as_ref().expect("a place that is used")
    }

    fn token_mut(&mut self, place: Place) -> &mut Token {
        self.tokens[place].as_mut().expect("a place that is used")
    }

    /// What the token at a place is.
    #[must_use]
    pub fn name(&self, place: Place) -> TokenName {
        self.token(place).name
    }

    fn child(&self, of: Place, name: TokenName) -> Option<Place> {
        let children = &self.token(of).children;
        children.iter().copied().find(|&child| self.token(child).name == name)
    }

    /// The tokens of another block right below `at` that stand for the first tokens of `block`: a prompt ended
    /// there inside the block, and an output went on from its end.
    fn tail_before(&self, at: Place, block: BlockId) -> Option<Vec<Place>> {
        for &first in &self.token(at).children {
            let tail_block = self.token(first).name.block;
            if self.token(first).name.offset != 0 {
                continue;
            }
            let mut tail = vec![first];
            let mut last = first;
            loop {
                let offset = self.token(last).name.offset + 1;
                if self.child(last, TokenName { block, offset }).is_some() {
                    return Some(tail);
                }
                let Some(next) = self.child(last, TokenName { block: tail_block, offset }) else {
                    break;
                };
                tail.push(next);
                last = next;
            }
        }
        None
    }

    /// The places of the leading tokens of `names` that are cached. Changes nothing.
    #[must_use]
    pub fn walk(&self, names: &[TokenName]) -> Vec<Place> {
        let mut path = Vec::new();
        let mut at = ROOT;
        while path.len() < names.len() {
            let wanted = names[path.len()];
            if let Some(child) = self.child(at, wanted) {
                path.push(child);
            } else if wanted.offset == 0
                && let Some(tail) = self.tail_before(at, wanted.block)
            {
                path.extend(tail);
            } else {
                break;
            }
            at = path[path.len() - 1];
        }
        path
    }

    /// All places from the first token down to `end`.
    #[must_use]
    pub fn path_to(&self, end: Place) -> Vec<Place> {
        let mut path = Vec::new();
        let mut at = end;
        while at != ROOT {
            path.push(at);
            at = self.token(at).parent;
        }
        path.reverse();
        path
    }

    /// Gives the whole path one new stamp; the unit in which it ends is split there.
    pub fn touch(&mut self, path: &[Place]) {
        if let Some(&last) = path.last() {
            self.token_mut(last).ends_unit = true;
        }
        self.touches += 1;
        for &place in path {
            self.token_mut(place).stamp = self.touches;
        }
    }

    /// Finds a prompt: the path is split off and touched.
    pub fn find(&mut self, names: &[TokenName]) -> Vec<Place> {
        let path = self.walk(names);
        self.touch(&path);
        path
    }

    /// The longest cached beginning after which a state is kept that stands for at most `most` tokens.
    #[must_use]
    pub fn walk_to_state(&self, names: &[TokenName], most: usize) -> Vec<Place> {
        let mut path = self.walk(names);
        while let Some(&end) = path.last() {
            // Not at the end of another prompt's partial block.
            let own = self.token(end).name.block == names[path.len() - 1].block;
            if own && self.token(end).state.is_some_and(|tokens| tokens <= most) {
                break;
            }
            path.pop();
        }
        path
    }

    /// A state is left after the token at `end` (and stands for so many tokens), or (none) where no prompt can be matched
    /// to; of more than `slots` the one least recently touched goes, on a path the one nearest to the root. Returns
    /// whether one went.
    pub fn leave_state(&mut self, end: Option<(Place, usize)>, slots: usize) -> bool {
        match end {
            Some((end, tokens)) => {
                let kept = &mut self.token_mut(end).state;
                *kept = Some(kept.map_or(tokens, |before| before.min(tokens)));
            }
            None => {
                self.touches += 1;
                self.lost_states.push(self.touches);
            }
        }
        let used = self.tokens.iter().enumerate();
        let used = used.filter_map(|(place, token)| token.as_ref().map(|token| (place, token)));
        let kept = used.filter(|(_, token)| token.state.is_some());
        let mut all: Vec<(u64, usize, Option<Place>)> = kept
            .map(|(place, token)| (token.stamp, self.path_to(place).len(), Some(place)))
            .chain(self.lost_states.iter().map(|&stamp| (stamp, 0, None)))
            .collect();
        all.sort_unstable();
        if all.len() <= slots {
            return false;
        }
        match all[0] {
            (_, _, Some(place)) => self.token_mut(place).state = None,
            (stamp, _, None) => self.lost_states.retain(|&other| other != stamp),
        }
        true
    }

    /// Puts a sequence in; returns the place of its last token. `prompt_end` is where its own prompt ended, if that
    /// was inside a block: what comes after the prompt hangs there, unless it is in the tree already.
    ///
    /// # Panics
    /// When there are no tokens, or the prompt is no part of the sequence.
    pub fn insert(&mut self, names: &[TokenName], prompt_end: Option<Place>) -> Place {
        let mut path = self.walk(names);
        if let Some(prompt_end) = prompt_end {
            let prompt = self.path_to(prompt_end);
            if path.len() < prompt.len() && prompt.len() < names.len() {
                assert!(prompt.starts_with(&path), "a sequence starts with its prompt");
                path = prompt;
            }
        }
        self.touch(&path);
        let mut at = path.last().copied().unwrap_or(ROOT);
        for &name in &names[path.len()..] {
            at = self.append(at, name);
        }
        assert!(at != ROOT, "a sequence has tokens");
        self.token_mut(at).ends_unit = true;
        at
    }

    /// A new token below `parent`, with the stamp of the latest touch.
    fn append(&mut self, parent: Place, name: TokenName) -> Place {
        let stamp = self.touches;
        let (children, locks, ends_unit, state) = (Vec::new(), 0, false, None);
        let token = Token { name, parent, children, locks, stamp, ends_unit, state };
        let place = match self.unused.pop() {
            Some(place) => {
                self.tokens[place] = Some(token);
                place
            }
            None => {
                self.tokens.push(Some(token));
                self.tokens.len() - 1
            }
        };
        self.token_mut(parent).children.push(place);
        self.count += 1;
        place
    }

    /// Locks the path to `end`; returns how many of its tokens were not locked before.
    pub fn lock(&mut self, end: Place) -> u64 {
        let mut newly = 0;
        for place in self.path_to(end) {
            let token = self.token_mut(place);
            newly += u64::from(token.locks == 0);
            token.locks += 1;
        }
        newly
    }

    /// How many tokens of the path to `end` nobody has locked.
    #[must_use]
    pub fn unlocked_on(&self, end: Place) -> u64 {
        self.path_to(end).into_iter().filter(|&place| self.token(place).locks == 0).count() as u64
    }

    /// Takes one lock off the path to `end`.
    pub fn unlock(&mut self, end: Place) {
        for place in self.path_to(end) {
            let token = self.token_mut(place);
            token.locks = token.locks.checked_sub(1).expect("a lock to take off");
        }
    }

    /// Removes least recently touched unlocked leaf units until `wanted` tokens are gone or no such unit is left;
    /// returns how many tokens went.
    pub fn evict(&mut self, wanted: u64) -> u64 {
        let mut gone = 0;
        while gone < wanted {
            let leaves = self.tokens.iter().enumerate().skip(1);
            let oldest = leaves
                .filter_map(|(place, token)| token.as_ref().map(|token| (place, token)))
                .filter(|(_, token)| token.children.is_empty() && token.locks == 0)
                .min_by_key(|(_, token)| token.stamp);
            let Some((leaf, _)) = oldest else { break };
            gone += self.remove_unit(leaf);
        }
        gone
    }

    /// Removes the unit that ends with the leaf token `leaf`.
    fn remove_unit(&mut self, leaf: Place) -> u64 {
        assert!(self.token(leaf).ends_unit, "a leaf token ends a unit");
        let mut removed = 0;
        let mut at = leaf;
        loop {
            let token = self.tokens[at].take().expect("a place that is used");
            assert!(token.children.is_empty() && token.locks == 0, "only unlocked leaves go");
            self.unused.push(at);
            self.count -= 1;
            removed += 1;
            let parent = token.parent;
            self.token_mut(parent).children.retain(|&child| child != at);
            if self.token(parent).ends_unit {
                return removed;
            }
            at = parent;
        }
    }

    /// Verifies what must hold of every tree.
    ///
    /// # Panics
    /// Where it does not.
    pub fn check(&self) {
        let used = self.tokens.iter().skip(1).flatten().count() as u64;
        assert_eq!(used, self.count, "the count of tokens");
        for (place, token) in self.tokens.iter().enumerate() {
            let Some(token) = token else { continue };
            let branches = token.children.len() > 1;
            assert!(
                token.ends_unit || token.state.is_none(),
                "a state is kept at the end of a unit"
            );
            assert!(
                token.ends_unit || (!branches && !token.children.is_empty()),
                "units do not branch"
            );
            for &child in &token.children {
                let child = self.token(child);
                assert_eq!(child.parent, place, "parent and child know each other");
                assert!(place == ROOT || child.locks <= token.locks, "locks reach up to the root");
                assert!(
                    place == ROOT || child.stamp <= token.stamp,
                    "touches reach up to the root"
                );
                assert!(
                    token.ends_unit || (child.stamp == token.stamp && child.locks == token.locks),
                    "a unit has one stamp and one lock count"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
