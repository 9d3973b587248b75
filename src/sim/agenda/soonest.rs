//! Entries by time: the soonest few in a sorted line, the rest in a heap.
//!
//! Of most runs only a few messages are on their way at a time, and an entry is taken soon after it was put in. At the end
//! of a short line the next one lies at hand, and to put one in moves a few others; a heap walks its levels for each, by
//! branches that nobody can foretell. What is too much for the line waits in a heap, so that no number of entries is dear.

use super::{Entry, Event};
use std::collections::BinaryHeap;

/// The most entries in the line.
const LINE: usize = 32;

/// See the [module](self). Where there is any entry, the line has one; nobody in the line comes after anybody in the heap.
#[derive(Debug, Default)]
pub(super) struct Soonest {
    /// The latest first, the next one last.
    line: Vec<Entry>,
    rest: BinaryHeap<Entry>,
}

impl Soonest {
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        if self.line.len() == LINE || !self.rest.is_empty() {
            self.push_among_many(entry);
        } else {
            // The key goes there in registers, the event straight to its place: written elsewhere first, and read back at
            // once, its parts would have to reach the cache before they could be read as one.
            *self.line_up(entry.key) = entry.event;
        }
    }

    /// Makes a place in the line for an entry of this key, where there is room: the event is for the caller to fill in.
    #[inline(never)]
    fn line_up(&mut self, key: u128) -> &mut Event {
        let mut place = self.line.len();
        self.line.push(Entry { key, event: Event::Sample });
        while place > 0 && self.line[place - 1].key < key {
            self.line[place] = self.line[place - 1];
            place -= 1;
        }
        let entry = &mut self.line[place];
        entry.key = key;
        &mut entry.event
    }

    #[inline(never)]
    fn push_among_many(&mut self, entry: Entry) {
        if self.line.len() == LINE {
            self.rest.extend(self.line.drain(..LINE / 2));
        }
        if self.rest.peek().is_some_and(|first| first.key < entry.key) {
            self.rest.push(entry);
        } else {
            *self.line_up(entry.key) = entry.event;
        }
    }

    /// The next entry.
    #[inline]
    pub(super) fn first(&self) -> Option<&Entry> {
        self.line.last()
    }

    /// Takes the next entry.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.line.pop();
        if self.line.is_empty() && !self.rest.is_empty() {
            self.refill();
        }
        entry
    }

    #[inline(never)]
    fn refill(&mut self) {
        let rest = &mut self.rest;
        self.line.extend(std::iter::from_fn(|| rest.pop()).take(LINE / 2));
        self.line.reverse();
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.line.iter().chain(&self.rest)
    }
}
