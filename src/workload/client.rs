//! The client that stands between a workload and the router: when a request that is due is really sent.
//!
//! Unlimited (the default) it sends every request when it is due: an open loop. With `workers` it is a load generator as
//! many are built, GORGO's among them: a producer takes the requests in their order, stamps each when it comes to it and
//! puts it in a queue; workers take from the queue, first in, first out, and each holds one request until its response
//! has ended. While the queue is full the producer stands still, and the requests behind slip. So there are three times:
//!
//! - *scheduled*: when the workload wanted it sent;
//! - *offered*: when the producer came to it. From scheduled to offered is the *slip*: all that such a client sees of
//!   its own delay, since it stamps before it waits for room in the queue;
//! - *sent*: when a worker took it.
//!
//! The queue is not kept here: requests leave in the order in which the source gives them, so the times of the last
//! ones sent say when there was room. Retries are not modelled.

use crate::error::whole_in_range;
use crate::{Completed, Due, Source, WorkloadError};
use gorgo_types::{Nanos, Request};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// How many workers or places a client may have.
const MOST: u64 = 10_000_000;

/// What a client can hold. The default is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientSpec {
    /// Requests that may be under way at once; none: any number.
    pub workers: Option<u32>,
    /// Requests that may wait for a worker before the producer stands still; none: any number. 0: the producer itself
    /// waits for a worker.
    pub queue: Option<u32>,
    /// Nothing is sent before this: a stall at the start, after which all that was due goes at once.
    pub startup_stall: Nanos,
}

impl ClientSpec {
    /// Checks the parameters.
    ///
    /// # Errors
    /// When there are no workers or too many, or a queue without workers, which could never fill.
    pub fn validate(&self) -> Result<(), WorkloadError> {
        if let Some(workers) = self.workers {
            whole_in_range("workers", u64::from(workers), 1, MOST, "workers")?;
        }
        let Some(queue) = self.queue else { return Ok(()) };
        if self.workers.is_none() {
            return Err(WorkloadError::Parameter {
                field: "queue",
                got: queue.to_string(),
                wanted: "workers as well: without a limit to them nothing ever waits".to_owned(),
            });
        }
        whole_in_range("queue", u64::from(queue), 0, MOST, "requests")
    }

    /// Whether every request is sent when it is due.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.workers.is_none() && self.startup_stall == Nanos::ZERO
    }
}

/// A request on its way out of the client.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// When the workload wanted it sent.
    pub scheduled: Nanos,
    /// When the client came to it.
    pub offered: Nanos,
    /// When it is sent.
    pub sent: Nanos,
    /// What is sent.
    pub request: Request,
}

/// A source and the client that sends its requests.
pub struct Client {
    source: Box<dyn Source>,
    /// How many more requests it sends.
    left: u64,
    pool: Option<Pool>,
    /// What [`Client::next_send`] said, as long as it holds: the event loop asks before every event.
    ahead: Option<Due>,
}

/// The times that decide when the next request goes.
struct Pool {
    stall: Nanos,
    /// When each free worker became free; none: there are always more.
    free: Option<BinaryHeap<Reverse<Nanos>>>,
    /// When the last requests were sent, as many as the queue has places; none: the queue never fills.
    sent: Option<VecDeque<Nanos>>,
    places: usize,
    /// When the producer was done with the request before.
    producer_free: Nanos,
}

impl Pool {
    fn new(spec: &ClientSpec) -> Self {
        let free = |workers: u32| (0..workers).map(|_| Reverse(Nanos::ZERO)).collect();
        Self {
            stall: spec.startup_stall,
            free: spec.workers.map(free),
            sent: spec.queue.map(|_| VecDeque::new()),
            places: spec.queue.map_or(0, |places| places as usize),
            producer_free: Nanos::ZERO,
        }
    }

    /// When the producer comes to a request that is due then.
    fn offered(&self, due: Nanos) -> Nanos {
        due.max(self.stall).max(self.producer_free)
    }

    /// When a request offered then finds room in the queue. Without places there is none but a worker's hands.
    fn room(&self, offered: Nanos) -> Nanos {
        match &self.sent {
            Some(sent) if self.places > 0 && sent.len() == self.places => offered.max(sent[0]),
            _ => offered,
        }
    }

    /// When a request offered then is sent; none before a worker is free.
    fn sending(&self, offered: Nanos) -> Option<Nanos> {
        let room = self.room(offered);
        match &self.free {
            None => Some(room),
            Some(free) => free.peek().map(|Reverse(at)| room.max(*at)),
        }
    }

    /// A request offered then goes; gives when.
    fn send(&mut self, offered: Nanos) -> Option<Nanos> {
        let at = self.sending(offered)?;
        let room = self.room(offered);
        if let Some(free) = &mut self.free {
            free.pop();
        }
        self.producer_free = room;
        if let Some(sent) = &mut self.sent {
            if self.places == 0 {
                self.producer_free = at;
            } else {
                if sent.len() == self.places {
                    sent.pop_front();
                }
                sent.push_back(at);
            }
        }
        Some(at)
    }
}

impl Client {
    /// A client for the requests of `source`.
    ///
    /// # Errors
    /// As [`ClientSpec::validate`].
    pub fn new(source: Box<dyn Source>, spec: &ClientSpec) -> Result<Self, WorkloadError> {
        spec.validate()?;
        let pool = (!spec.is_unlimited()).then(|| Pool::new(spec));
        Ok(Self { source, left: u64::MAX, pool, ahead: None })
    }

    /// Sends no more than so many requests in all; what the source has beyond them is as if it were not there.
    pub const fn stop_after(&mut self, requests: u64) {
        self.left = requests;
        self.ahead = None;
    }

    /// When the next request is sent, without sending it. Cheap when repeated. After [`Client::finished`] the answer
    /// may be earlier than before, but never earlier than that end.
    ///
    /// # Errors
    /// As [`Source::next_due`].
    #[inline]
    pub fn next_send(&mut self) -> Result<Due, WorkloadError> {
        match self.ahead {
            Some(due) => Ok(due),
            None => self.look_ahead(),
        }
    }

    fn look_ahead(&mut self) -> Result<Due, WorkloadError> {
        let mut due = self.next_due()?;
        if let (Some(pool), Due::At(at)) = (&self.pool, due) {
            due = pool.sending(pool.offered(at)).map_or(Due::Waiting, Due::At);
        }
        self.ahead = Some(due);
        Ok(due)
    }

    /// When the next request is due, whether or not a worker is free for it.
    ///
    /// # Errors
    /// As [`Source::next_due`].
    pub fn next_due(&mut self) -> Result<Due, WorkloadError> {
        if self.left == 0 { Ok(Due::End) } else { self.source.next_due() }
    }

    /// Sends the request that [`Client::next_send`] announced.
    ///
    /// # Errors
    /// [`WorkloadError::NothingDue`] where nothing is due or no worker is free, and whatever the source can return.
    #[inline]
    pub fn send(&mut self) -> Result<Outgoing, WorkloadError> {
        self.ahead = None;
        if self.left == 0 {
            return Err(WorkloadError::NothingDue);
        }
        let Some(pool) = &mut self.pool else {
            let (scheduled, request) = self.source.take()?;
            self.left -= 1;
            return Ok(Outgoing { scheduled, offered: scheduled, sent: scheduled, request });
        };
        let Due::At(due) = self.source.next_due()? else { return Err(WorkloadError::NothingDue) };
        let offered = pool.offered(due);
        let sent = pool.send(offered).ok_or(WorkloadError::NothingDue)?;
        let (scheduled, request) = self.source.take()?;
        self.left -= 1;
        Ok(Outgoing { scheduled, offered, sent, request })
    }

    /// Takes a request that was due before `before` and that the client did not come to send: for the books at the end
    /// of a run. None where there is no such request.
    ///
    /// # Errors
    /// As [`Source::take`].
    pub fn never_sent(&mut self, before: Nanos) -> Result<Option<(Nanos, Request)>, WorkloadError> {
        self.ahead = None;
        match self.next_due()? {
            Due::At(at) if at < before => {
                self.left -= 1;
                self.source.take().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Tells of the end of a request that was sent, once.
    pub fn finished(&mut self, completed: Completed) {
        self.ahead = None;
        if let Some(Pool { free: Some(free), .. }) = &mut self.pool {
            free.push(Reverse(completed.at));
        }
        self.source.finished(completed);
    }

    /// False where [`Client::finished`] changes nothing and need not be called.
    #[must_use]
    pub fn needs_completions(&self) -> bool {
        self.pool.as_ref().is_some_and(|pool| pool.free.is_some())
            || self.source.needs_completions()
    }

    /// Whether a request may be sent later than it was due.
    #[must_use]
    pub const fn holds_back(&self) -> bool {
        self.pool.is_some()
    }

    /// The workload behind it.
    #[must_use]
    pub fn source(&self) -> &dyn Source {
        &*self.source
    }
}
