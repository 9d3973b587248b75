//! A timer that is exact to some tens of microseconds: one thread that sleeps until the next thing is due.
//!
//! The runtime's own timer has ticks of a millisecond, which is as long as some decode steps. The thread never spins: on
//! Linux a timed wait ends about 60 µs late on an idle machine, and a spinning thread would take time from what it waits
//! for.

use crate::clock::{Clock, between};
use gorgo_types::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

/// Something that happens at a time.
pub(crate) trait Due: Send + Sync {
    /// It is due; `at` is the time that was asked for. Runs on the timer's thread: short.
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
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    clock: Clock,
}

impl Shared {
    /// Whoever panicked while holding the lock left the heap whole: each change is one call.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the timer for things; cheap to clone.
#[derive(Clone)]
pub(crate) struct TimerHandle {
    shared: Arc<Shared>,
}

/// The timer with its thread, which ends when this is dropped.
pub(crate) struct Timer {
    handle: TimerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Timer {
    /// Starts the thread.
    pub fn start(clock: Clock) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), clock });
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("emulator-timer".to_owned())
            .spawn(move || run(&its))?;
        Ok(Self { handle: TimerHandle { shared }, thread: Some(thread) })
    }

    /// What asks it for things.
    pub fn handle(&self) -> TimerHandle {
        self.handle.clone()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        {
            let mut state = self.handle.shared.lock();
            state.stopped = true;
            state.heap.clear();
        }
        self.handle.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to end.
            drop(thread.join());
        }
    }
}

fn run(shared: &Shared) {
    let mut now_due = Vec::new();
    let mut state = shared.lock();
    while !state.stopped {
        let now = shared.clock.now();
        while state.heap.peek().is_some_and(|Reverse(entry)| entry.at <= now) {
            now_due.extend(state.heap.pop());
        }
        if !now_due.is_empty() {
            drop(state);
            for Reverse(entry) in now_due.drain(..) {
                entry.what.due(entry.at);
            }
            state = shared.lock();
            continue;
        }
        let next = state.heap.peek().map(|Reverse(entry)| entry.at);
        state = match next {
            None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let waited = shared.changed.wait_timeout(state, between(now, at));
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
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
        let first = state.heap.peek().is_none_or(|Reverse(entry)| at < entry.at);
        state.heap.push(Reverse(Entry { at, sequence, what }));
        drop(state);
        if first {
            self.shared.changed.notify_one();
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
        let timer = Timer::start(clock.clone()).unwrap();
        let handle = timer.handle();
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
        drop(timer);
        // A stopped timer takes nothing more, and nobody hangs on to it.
        handle.at(Nanos(0), Arc::new(Sleeper { waker: Mutex::new(Waker::noop().clone()) }));
        assert!(handle.shared.lock().heap.is_empty());
    }
}
