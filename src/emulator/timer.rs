//! A timer that is exact to some tens of microseconds: things that are due at a time, and an alarm set for the first.
//!
//! The runtime's own timer has ticks of a millisecond, which is as long as some decode steps. What is due happens in a task
//! of the runtime that the alarm wakes (`alarm.rs`), in the thread that has the sockets. Nothing spins: a spinning thread
//! would take time from what it waits for.

use crate::alarm::Alarm;
use crate::clock::{Clock, between};
use gorgo_types::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Something that happens at a time.
pub(crate) trait Due: Send + Sync {
    /// It is due; `at` is the time that was asked for. Runs in the timer's task: short.
    fn due(self: Arc<Self>, at: Nanos);
}

struct Entry {
    at: Nanos,
    sequence: u64,
    what: Arc<dyn Due>,
}

impl Entry {
    const fn rank(&self) -> (Nanos, u64) {
        (self.at, self.sequence)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[derive(Default)]
struct State {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    /// When the alarm is to ring.
    armed: Option<Nanos>,
    /// The task waits for the alarm; else it looks for itself before it does.
    waits: bool,
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    alarm: Alarm,
    clock: Clock,
}

impl Shared {
    /// Whoever panicked while holding the lock left the heap whole: each change is one call.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the alarm for what comes first, unless it is.
    fn arm(&self, state: &mut State) {
        let first = state.heap.peek().map(|Reverse(entry)| entry.at);
        if let Some(at) = first
            && state.armed.is_none_or(|armed| at < armed)
        {
            state.armed = Some(at);
            self.alarm.set(between(self.clock.now(), at));
        }
    }
}

/// Asks the timer for things; cheap to clone.
#[derive(Clone)]
pub(crate) struct TimerHandle {
    shared: Arc<Shared>,
}

/// The timer, which takes nothing more when this is dropped.
pub(crate) struct Timer {
    handle: TimerHandle,
}

impl Timer {
    /// A timer of the runtime that this is called in; [`Self::run`] has things happen.
    pub fn new(clock: Clock) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), alarm: Alarm::new()?, clock });
        Ok(Self { handle: TimerHandle { shared } })
    }

    /// What asks it for things.
    pub fn handle(&self) -> TimerHandle {
        self.handle.clone()
    }

    /// Has things happen when they are due, as long as the system's timer works.
    pub async fn run(&self) {
        let shared = &self.handle.shared;
        let mut now_due = Vec::new();
        loop {
            {
                let mut state = shared.lock();
                let now = shared.clock.now();
                while state.heap.peek().is_some_and(|Reverse(entry)| entry.at <= now) {
                    now_due.extend(state.heap.pop());
                }
                state.waits = now_due.is_empty();
                if state.waits {
                    shared.arm(&mut state);
                }
            }
            if now_due.is_empty() {
                if let Err(error) = shared.alarm.rings().await {
                    tracing::error!(%error, "the timer cannot be waited for");
                    return;
                }
                shared.lock().armed = None;
                continue;
            }
            for Reverse(entry) in now_due.drain(..) {
                entry.what.due(entry.at);
            }
            // Whoever was woken goes on before more is looked for.
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut state = self.handle.shared.lock();
        state.stopped = true;
        let heap = std::mem::take(&mut state.heap);
        drop(state);
        // What was asked for may hold the timer's handle.
        drop(heap);
    }
}

impl TimerHandle {
    /// Has `what` happen at a time; at once where that has passed.
    pub fn at(&self, at: Nanos, what: Arc<dyn Due>) {
        let mut state = self.shared.lock();
        if state.stopped {
            return;
        }
        let sequence = state.sequence;
        state.sequence += 1;
        state.heap.push(Reverse(Entry { at, sequence, what }));
        if state.waits {
            self.shared.arm(&mut state);
        }
    }

    /// Waits until a time.
    pub fn sleep_until(&self, at: Nanos) -> Sleep {
        Sleep { at, timer: self.clone(), asked: None }
    }
}

/// A wait for a time.
pub(crate) struct Sleep {
    at: Nanos,
    timer: TimerHandle,
    asked: Option<Arc<Sleeper>>,
}

struct Sleeper {
    waker: Mutex<Waker>,
}

impl Due for Sleeper {
    fn due(self: Arc<Self>, _at: Nanos) {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timer.shared.clock.now() >= self.at {
            return Poll::Ready(());
        }
        if let Some(sleeper) = &self.asked {
            let mut waker = sleeper.waker.lock().unwrap_or_else(PoisonError::into_inner);
            if !waker.will_wake(context.waker()) {
                waker.clone_from(context.waker());
            }
            return Poll::Pending;
        }
        let sleeper = Arc::new(Sleeper { waker: Mutex::new(context.waker().clone()) });
        self.asked = Some(Arc::clone(&sleeper));
        self.timer.at(self.at, sleeper);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_end_in_their_order_and_never_early() {
        let clock = Clock::start();
        let timer = Arc::new(Timer::new(clock.clone()).unwrap());
        let handle = timer.handle();
        let its = Arc::clone(&timer);
        let runs = tokio::spawn(async move { its.run().await });
        let ended = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for ms in [30_u64, 10, 20, 0] {
            let (handle, ended, clock) = (handle.clone(), Arc::clone(&ended), clock.clone());
            tasks.spawn(async move {
                handle.sleep_until(Nanos::from_millis(ms)).await;
                assert!(clock.now() >= Nanos::from_millis(ms));
                ended.lock().unwrap().push(ms);
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        assert_eq!(*ended.lock().unwrap(), [0, 10, 20, 30]);
        runs.abort();
        assert!(runs.await.unwrap_err().is_cancelled());
        drop(timer);
        // A stopped timer takes nothing more, and nobody hangs on to it.
        handle.at(Nanos(0), Arc::new(Sleeper { waker: Mutex::new(Waker::noop().clone()) }));
        assert!(handle.shared.lock().heap.is_empty());
    }
}
