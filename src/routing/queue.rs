//! The router's own queue: first in, first out, bounded, with one time-out for all.
//!
//! It holds keys of the caller's, not requests. A head is offered again only after something has changed since it last
//! came back, so polling is cheap and always ends. Deciding is not done here: [`crate::Router`] has the whole story.

use crate::config::RouterConfig;
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
    prompt_tokens: u64,
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
    /// The head is offered only at multiples of this.
    interval: Option<Nanos>,
    /// One at a time: the next is offered when the one before has ended.
    serial: bool,
    /// Somebody from the queue is being served, and it is served one at a time.
    serving: bool,
    waiting_tokens: u64,
    /// When it was last looked at.
    polled: Nanos,
}

impl Queue {
    pub(crate) const fn new(config: &RouterConfig) -> Self {
        Self {
            waiting: VecDeque::new(),
            offered: None,
            blocked: false,
            capacity: config.max_queue,
            timeout: config.queue_timeout,
            interval: config.queue_interval,
            serial: config.serial_queue,
            serving: false,
            waiting_tokens: 0,
            polled: Nanos::ZERO,
        }
    }

    /// Prompt tokens of all that wait.
    pub(crate) const fn waiting_tokens(&self) -> u64 {
        self.waiting_tokens
    }

    /// A request is dispatched. True: it is the one just offered, and holds the queue until it ends.
    pub(crate) const fn take_turn(&mut self) -> bool {
        let holds = self.offered.take().is_some() && self.serial;
        self.serving |= holds;
        holds
    }

    /// The request that held the queue has ended.
    pub(crate) const fn end_turn(&mut self) {
        self.serving = false;
        self.blocked = false;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= self.capacity as usize
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn push(&mut self, now: Nanos, key: u32, prompt_tokens: u64) -> bool {
        if self.is_full() {
            return false;
        }
        if self.waiting.is_empty() {
            self.blocked = true;
        }
        let deadline = self.timeout.map_or(Nanos::MAX, |timeout| now.saturating_add(timeout));
        self.waiting.push_back(Waiting { key, prompt_tokens, deadline });
        self.waiting_tokens += prompt_tokens;
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
        self.waiting_tokens += offered.prompt_tokens;
        self.blocked = true;
    }

    pub(crate) fn remove(&mut self, key: u32) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.key == key) else {
            return false;
        };
        // A new head has not been decided on yet.
        self.blocked &= at != 0;
        if let Some(gone) = self.waiting.remove(at) {
            self.waiting_tokens -= gone.prompt_tokens;
        }
        true
    }

    pub(crate) const fn unblock(&mut self) {
        self.blocked = false;
    }

    pub(crate) fn poll(&mut self, now: Nanos) -> Option<Action> {
        self.offered = None;
        self.polled = now;
        let head = *self.waiting.front()?;
        if head.deadline <= now && self.timeout.is_some() {
            self.pop();
            return Some(Action::TimedOut(head.key));
        }
        let off_beat = self.interval.is_some_and(|interval| !now.0.is_multiple_of(interval.0));
        if self.blocked || self.serving || off_beat {
            return None;
        }
        self.pop();
        self.offered = Some(head);
        Some(Action::Retry(head.key))
    }

    fn pop(&mut self) {
        if let Some(gone) = self.waiting.pop_front() {
            self.waiting_tokens -= gone.prompt_tokens;
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        let head = self.waiting.front()?;
        let timeout = self.timeout.map(|_| head.deadline);
        let beat = self.interval.filter(|_| !self.blocked && !self.serving);
        let beat =
            beat.map(|interval| Nanos((self.polled.0 / interval.0 + 1).saturating_mul(interval.0)));
        match (timeout, beat) {
            (Some(timeout), Some(beat)) => Some(timeout.min(beat)),
            (timeout, beat) => timeout.or(beat),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(max_queue: u32, queue_timeout: Option<Nanos>) -> RouterConfig {
        RouterConfig { max_queue, queue_timeout, ..RouterConfig::default() }
    }

    fn queue(capacity: u32) -> Queue {
        Queue::new(&config(capacity, Some(Nanos(100))))
    }

    #[test]
    fn a_head_is_offered_once_per_change() {
        let mut queue = queue(8);
        assert!(queue.push(Nanos(0), 1, 7) && queue.push(Nanos(5), 2, 8));
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
        assert!(queue.push(Nanos(0), 1, 7));
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
        assert!(queue.push(Nanos(0), 1, 7) && queue.push(Nanos(0), 2, 8));
        assert!(!queue.push(Nanos(0), 3, 9));
        assert!(queue.remove(1) && !queue.remove(1));
        assert_eq!(queue.poll(Nanos(1)), Some(Action::Retry(2)), "a new head is tried");
        assert!(!Queue::new(&config(0, None)).push(Nanos(0), 1, 7));
    }

    #[test]
    fn served_one_at_a_time_the_next_waits_for_the_end() {
        let mut queue = Queue::new(&RouterConfig { serial_queue: true, ..config(8, None) });
        assert!(queue.push(Nanos(0), 1, 7) && queue.push(Nanos(0), 2, 8));
        assert_eq!(queue.waiting_tokens(), 15);
        assert!(!queue.take_turn(), "a request that did not come out of the queue");
        queue.unblock();
        assert_eq!(queue.poll(Nanos(1)), Some(Action::Retry(1)));
        assert!(queue.take_turn());
        assert!(!queue.take_turn(), "nobody else holds it");
        assert_eq!(queue.waiting_tokens(), 8);
        queue.unblock();
        assert_eq!(queue.poll(Nanos(2)), None);
        queue.end_turn();
        assert_eq!(queue.poll(Nanos(3)), Some(Action::Retry(2)));
    }

    #[test]
    fn with_an_interval_it_is_looked_at_on_the_beat() {
        let interval = Some(Nanos(20));
        let mut queue = Queue::new(&RouterConfig { queue_interval: interval, ..config(8, None) });
        assert!(queue.push(Nanos(3), 1, 7));
        assert_eq!(queue.poll(Nanos(3)), None);
        assert_eq!(queue.next_deadline(), None, "nothing has changed");
        queue.unblock();
        assert_eq!(queue.poll(Nanos(5)), None, "off the beat");
        assert_eq!(queue.next_deadline(), Some(Nanos(20)));
        assert_eq!(queue.poll(Nanos(20)), Some(Action::Retry(1)));
    }

    #[test]
    fn without_a_time_out_nothing_is_due() {
        let mut queue = Queue::new(&config(1, None));
        assert!(queue.push(Nanos(0), 1, 7));
        assert_eq!(queue.next_deadline(), None);
        assert_eq!(queue.poll(Nanos::MAX), None);
    }
}
