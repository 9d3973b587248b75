//! The alarm where there is no `timerfd`: a thread that sleeps and then wakes the runtime, one hop more.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// An alarm; whoever has it may set it, and one waits for it.
pub(crate) struct Alarm {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    rang: Notify,
}

#[derive(Default)]
struct State {
    at: Option<Instant>,
    stopped: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alarm {
    /// One that is not set.
    pub fn new() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let its = Arc::clone(&shared);
        std::thread::Builder::new().name("emulator-alarm".to_owned()).spawn(move || run(&its))?;
        Ok(Self { shared })
    }

    /// Rings after a time, and not when it was to ring before.
    pub fn set(&self, after: Duration) {
        self.shared.lock().at = Instant::now().checked_add(after);
        self.shared.changed.notify_one();
    }

    /// Waits until it rings.
    ///
    /// # Errors
    /// Never; where the system has a timer it may be broken.
    pub async fn rings(&self) -> io::Result<()> {
        self.shared.rang.notified().await;
        Ok(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_one();
    }
}

fn run(shared: &Shared) {
    let mut state = shared.lock();
    while !state.stopped {
        let now = Instant::now();
        state = match state.at {
            Some(at) if at <= now => {
                state.at = None;
                shared.rang.notify_one();
                state
            }
            Some(at) => {
                let waited = shared.changed.wait_timeout(state, at - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_when_it_was_last_told_to() {
        let alarm = Alarm::new().unwrap();
        let begun = Instant::now();
        alarm.set(Duration::from_secs(600));
        alarm.set(Duration::from_millis(20));
        alarm.rings().await.unwrap();
        let rang = begun.elapsed();
        assert!(rang >= Duration::from_millis(20) && rang < Duration::from_secs(60), "{rang:?}");
    }
}
