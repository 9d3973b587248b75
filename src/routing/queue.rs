//! The router's own queue: first in, first out, bounded, with one time-out for all.
//!
//! It holds keys of the caller's, not requests. A head is offered again only after something has changed since it last
//! came back, so polling is cheap and always ends. Deciding is not done here: [`crate::Router`] has the whole story.

use gorgo_types::Nanos;
use std::collections::VecDeque;

/// What the caller is to do for a queued request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It has left the queue: decide on it again, then dispatch, requeue or drop it.
    Retry(u32),
    /// It has left the queue because it waited too long.
    TimedOut(u32),
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    key: u32,
    deadline: Nanos,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    /// The head that was last offered and has not come back.
    offered: Option<Waiting>,
    /// The head came back, or found nothing when it joined, and nothing has changed since.
    blocked: bool,
    capacity: u32,
    timeout: Option<Nanos>,
}

impl Queue {
    pub(crate) const fn new(capacity: u32, timeout: Option<Nanos>) -> Self {
        Self { waiting: VecDeque::new(), offered: None, blocked: false, capacity, timeout }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= self.capacity as usize
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn push(&mut self, now: Nanos, key: u32) -> bool {
        if self.is_full() {
            return false;
        }
        if self.waiting.is_empty() {
            self.blocked = true;
        }
        let deadline = self.timeout.map_or(Nanos::MAX, |timeout| now.saturating_add(timeout));
        self.waiting.push_back(Waiting { key, deadline });
        true
    }

    /// Puts the offered head back with the deadline it had.
    ///
    /// # Panics
    /// When `key` is not the one offered last: a bug of the caller.
    pub(crate) fn push_back_to_head(&mut self, key: u32) {
        let offered = self.offered.take().filter(|offered| offered.key == key);
        let offered = offered.expect("only the request that poll() offered last can be requeued");
        self.waiting.push_front(offered);
        self.blocked = true;
    }

    pub(crate) fn remove(&mut self, key: u32) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.key == key) else {
            return false;
        };
        // A new head has not been decided on yet.
        self.blocked &= at != 0;
        self.waiting.remove(at);
        true
    }

    pub(crate) const fn unblock(&mut self) {
        self.blocked = false;
    }

    pub(crate) fn poll(&mut self, now: Nanos) -> Option<Action> {
        self.offered = None;
        let head = *self.waiting.front()?;
        if head.deadline <= now && self.timeout.is_some() {
            self.waiting.pop_front();
            return Some(Action::TimedOut(head.key));
        }
        if self.blocked {
            return None;
        }
        self.waiting.pop_front();
        self.offered = Some(head);
        Some(Action::Retry(head.key))
    }

    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.timeout.and_then(|_| self.waiting.front()).map(|head| head.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(capacity: u32) -> Queue {
        Queue::new(capacity, Some(Nanos(100)))
    }

    #[test]
    fn a_head_is_offered_once_per_change() {
        let mut queue = queue(8);
        assert!(queue.push(Nanos(0), 1) && queue.push(Nanos(5), 2));
        assert_eq!(queue.poll(Nanos(6)), None, "nothing has changed since it joined");
        queue.unblock();
        assert_eq!(queue.poll(Nanos(7)), Some(Action::Retry(1)));
        queue.push_back_to_head(1);
        assert_eq!(queue.poll(Nanos(8)), None);
        queue.unblock();
        assert_eq!(queue.poll(Nanos(9)), Some(Action::Retry(1)));
        assert_eq!(queue.poll(Nanos(9)), Some(Action::Retry(2)), "the first was dispatched");
        assert_eq!(queue.poll(Nanos(9)), None);
    }

    #[test]
    fn a_requeued_head_keeps_its_deadline() {
        let mut queue = queue(8);
        assert!(queue.push(Nanos(0), 1));
        queue.unblock();
        assert_eq!(queue.poll(Nanos(90)), Some(Action::Retry(1)));
        queue.push_back_to_head(1);
        assert_eq!(queue.next_deadline(), Some(Nanos(100)));
        assert_eq!(queue.poll(Nanos(99)), None);
        assert_eq!(queue.poll(Nanos(100)), Some(Action::TimedOut(1)), "blocked or not");
        assert_eq!(queue.next_deadline(), None);
    }

    #[test]
    fn it_is_bounded_and_lets_go() {
        let mut queue = queue(2);
        assert!(queue.push(Nanos(0), 1) && queue.push(Nanos(0), 2));
        assert!(!queue.push(Nanos(0), 3));
        assert!(queue.remove(1) && !queue.remove(1));
        assert_eq!(queue.poll(Nanos(1)), Some(Action::Retry(2)), "a new head is tried");
        assert!(!Queue::new(0, None).push(Nanos(0), 1));
    }

    #[test]
    fn without_a_time_out_nothing_is_due() {
        let mut queue = Queue::new(1, None);
        assert!(queue.push(Nanos(0), 1));
        assert_eq!(queue.next_deadline(), None);
        assert_eq!(queue.poll(Nanos::MAX), None);
    }
}
