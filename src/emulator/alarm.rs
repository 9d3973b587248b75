//! A clock that rings once: a descriptor of Linux (`timerfd`), for which a runtime waits as it waits for its sockets.
//!
//! So whoever is woken by it writes to sockets in the same thread, and no other thread has to be woken in between. It rings
//! some tens of microseconds late on an idle machine; timer slack does not apply to it. Other systems have
//! `alarm/elsewhere.rs`.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// An alarm; whoever has it may set it, and one waits for it.
pub(crate) struct Alarm {
    timer: TimerFd,
    /// The same timer. Like a pipe it is read when there is something: here how often it rang.
    rings: Receiver,
}

impl Alarm {
    /// One that is not set, on the runtime that this is called in.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let rings = Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, rings })
    }

    /// Rings after a time, and not when it was to ring before.
    pub fn set(&self, after: Duration) {
        // Nothing at all would switch it off.
        let after = TimeSpec::from(after.max(Duration::from_nanos(1)));
        if let Err(error) = self.timer.set(Expiration::OneShot(after), TimerSetTimeFlags::empty()) {
            tracing::error!(%error, "the timer cannot be set");
        }
    }

    /// Waits until it rings.
    ///
    /// # Errors
    /// When the system's timer is broken.
    pub async fn rings(&self) -> io::Result<()> {
        loop {
            self.rings.readable().await?;
            match self.rings.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                rang => return rang.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn it_rings_when_it_was_last_told_to() {
        let alarm = Alarm::new().unwrap();
        for ms in [20, 0, 3] {
            let begun = Instant::now();
            alarm.set(Duration::from_secs(600));
            alarm.set(Duration::from_millis(ms));
            alarm.rings().await.unwrap();
            let rang = begun.elapsed();
            assert!(rang >= Duration::from_millis(ms) && rang.as_secs() < 60, "{rang:?}");
        }
        alarm.set(Duration::from_secs(600));
        let again = tokio::time::timeout(Duration::from_millis(20), alarm.rings()).await;
        assert!(again.is_err(), "it rang twice");
    }
}
