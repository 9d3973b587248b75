//! The threads that keep time: each has a timer, sockets, and the replicas whose sockets those are.
//!
//! A token is due, the model is moved on, the answer's bytes are made and written, a relay reads them and later writes them
//! on: all of that happens in one thread, which sleeps until a time or a socket wakes it, so that it is woken once for each.
//! Nothing else runs there. Long bodies are parsed on the caller's runtime (`generate.rs`).
//!
//! Beside compilers even the best of threads is woken late unless it goes before them, so these ask for real-time priority
//! (`SCHED_FIFO` at its lowest) and say whether they got it. They are at most half of the processors, so that there is
//! always one that is not theirs, and Linux itself leaves the others some time on each (RT throttling).

use crate::clock::Clock;
use crate::options::Priority;
use crate::timer::{Timer, TimerHandle};
use serde::Serialize;
use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Threads that keep time at most.
const MOST: usize = 8;
/// After so many steps of tasks the runtime looks at timer and sockets.
const STEPS: u32 = 16;

/// Descriptors that there is room for from the start, if the limit allows so many: 128 KiB.
#[cfg(target_os = "linux")]
const DESCRIPTORS: i32 = 1 << 14;

/// What the threads that keep time got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "priority")]
pub enum Granted {
    /// They go before everything that has none.
    RealTime,
    /// They wait like all others.
    Normal {
        /// Why.
        why: String,
    },
}

/// The threads that keep time, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// How many they are.
    pub threads: usize,
    /// Before whom they go.
    #[serde(flatten)]
    pub granted: Granted,
}

impl Timing {
    /// In words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let threads = match self.threads {
            1 => "1 thread keeps time".to_owned(),
            n => format!("{n} threads keep time"),
        };
        match &self.granted {
            Granted::RealTime => format!("{threads}, with real-time priority"),
            Granted::Normal { why } => format!("{threads}, without real-time priority: {why}"),
        }
    }
}

/// A thread that keeps time. It ends when this is dropped.
pub(crate) struct Keeper {
    handle: Handle,
    timer: TimerHandle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a thread tells when it has begun.
type Begun = io::Result<(Handle, TimerHandle, Granted)>;

/// Starts the threads for so many replicas.
pub(crate) fn keepers(
    clock: &Clock,
    priority: Priority,
    replicas: usize,
) -> io::Result<(Vec<Keeper>, Timing)> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (processors / 2).clamp(1, MOST).min(replicas.max(1));
    let refusal = match priority {
        Priority::Normal => Some("that was asked for"),
        Priority::Auto if processors < 2 => Some("there is one processor, which others need"),
        Priority::Auto => None,
    };
    #[cfg(target_os = "linux")]
    make_room();
    let mut keepers = Vec::new();
    let mut timing = Timing { threads, granted: Granted::RealTime };
    for _ in 0..threads {
        let (keeper, granted) = Keeper::start(clock.clone(), refusal)?;
        keepers.push(keeper);
        if granted != Granted::RealTime {
            timing.granted = granted;
        }
    }
    Ok((keepers, timing))
}

/// Has the table of descriptors be as large now as it will have to be. The kernel makes it larger for the connection that
/// does not fit, at 64 and after each doubling, and then whoever opens that waits for all processors (`synchronize_rcu`):
/// 8 to 28 ms were measured, in which nothing that was due happened.
#[cfg(target_os = "linux")]
fn make_room() {
    use nix::fcntl::{FcntlArg, fcntl};
    let Ok(any) = std::fs::File::open("/dev/null") else { return };
    let mut descriptors = DESCRIPTORS;
    // The limit may be lower.
    while descriptors > 64 {
        if let Ok(last) = fcntl(&any, FcntlArg::F_DUPFD_CLOEXEC(descriptors - 1)) {
            let _ = nix::unistd::close(last);
            return;
        }
        descriptors /= 2;
    }
}

impl Keeper {
    fn start(clock: Clock, refusal: Option<&'static str>) -> io::Result<(Self, Granted)> {
        let (begun, has_begun) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("emulator-time".to_owned())
            .spawn(move || keep(clock, refusal, &begun, stopped))?;
        let gone = |_| io::Error::other("a thread that keeps time ended at once");
        let (handle, timer, granted) = has_begun.recv().map_err(gone)??;
        Ok((Self { handle, timer, stop: Some(stop), thread: Some(thread) }, granted))
    }

    /// Its timer.
    pub fn timer(&self) -> TimerHandle {
        self.timer.clone()
    }

    /// Its runtime.
    pub const fn runtime(&self) -> &Handle {
        &self.handle
    }

    /// Does what opens sockets, so that they are this thread's.
    pub fn within<T>(&self, open: impl FnOnce() -> T) -> T {
        let _inside = self.handle.enter();
        open()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It may have ended by itself, by a panic.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn keep(
    clock: Clock,
    refusal: Option<&'static str>,
    begun: &mpsc::Sender<Begun>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().event_interval(STEPS).build();
    let made = runtime.and_then(|runtime| {
        let timer = {
            let _inside = runtime.enter();
            Timer::new(clock)?
        };
        Ok((runtime, timer))
    });
    let (runtime, timer) = match made {
        Ok(made) => made,
        Err(error) => {
            drop(begun.send(Err(error)));
            return;
        }
    };
    let granted = match refusal {
        Some(why) => Granted::Normal { why: why.to_owned() },
        None => real_time(),
    };
    if begun.send(Ok((runtime.handle().clone(), timer.handle(), granted))).is_ok() {
        runtime.block_on(until(timer, stopped));
    }
}

async fn until(timer: Timer, stopped: oneshot::Receiver<()>) {
    tokio::select! {
        () = timer.run() => {}
        _ = stopped => {}
    }
}

#[cfg(target_os = "linux")]
const LACKING: &str =
    "wanted root, CAP_SYS_NICE, or a limit of real-time priority above 0 (ulimit -r)";

/// Asks for real-time priority for this thread.
#[cfg(target_os = "linux")]
fn real_time() -> Granted {
    use thread_priority::{
        Error, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let first = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    match set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, first) {
        Ok(()) => Granted::RealTime,
        Err(error) => {
            let said = match error {
                Error::OS(number) => io::Error::from_raw_os_error(number).to_string(),
                other => format!("{other:?}"),
            };
            Granted::Normal { why: format!("{said}; {LACKING}") }
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn real_time() -> Granted {
    Granted::Normal { why: "it is asked for on Linux alone".to_owned() }
}
