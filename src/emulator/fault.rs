//! What can be wrong with a replica at run time, and how that is asked for.
//!
//! A crash closes the port, resets every connection and loses the cache; a hang answers nothing, and what was due comes at
//! once when it is over; an error is answered instead of a generation; a slow replica takes longer for everything. Faults
//! of links are the scenario's events.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fault", deny_unknown_fields)]
pub enum Fault {
    /// The process is gone.
    Crash,
    /// It accepts connections and never answers.
    Hang,
    /// It answers requests for text with an error.
    Error {
        /// The status, 400 to 599.
        status: u16,
        /// The share of requests, above 0 and at most 1.
        #[serde(default = "all")]
        share: f64,
    },
    /// Everything takes longer.
    Slow {
        /// So many times as long, 0.01 to 1000.
        factor: f64,
    },
    /// Nothing: whatever was wrong is over.
    None,
}

const fn all() -> f64 {
    1.0
}

impl Fault {
    /// Refuses what no replica could do.
    ///
    /// # Errors
    /// In words: field, value and what was wanted.
    pub fn validate(&self) -> Result<(), String> {
        match *self {
            Self::Error { status, .. } if !(400..=599).contains(&status) => {
                Err(format!("status: got {status}, wanted 400 to 599"))
            }
            Self::Error { share, .. } if !(share > 0.0 && share <= 1.0) => {
                Err(format!("share: got {share}, wanted above 0 and at most 1"))
            }
            Self::Slow { factor } if !(0.01..=1_000.0).contains(&factor) => {
                Err(format!("factor: got {factor}, wanted 0.01 to 1000"))
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with one replica, as its connections see it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    hung: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
    errors: Mutex<Option<Errors>>,
}

#[derive(Clone, Copy, Debug)]
struct Errors {
    status: u16,
    share: f64,
    /// Requests since it began.
    requests: u64,
}

impl Health {
    pub fn hang(&self, hung: bool) {
        self.hung.store(hung, Ordering::SeqCst);
        if !hung {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.drain(..).for_each(Waker::wake);
        }
    }

    /// Ready unless the replica hangs; woken when that is over.
    pub fn poll_answers(&self, waker: &Waker) -> Poll<()> {
        if !self.hung.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        // It may have ended before the waker was on the list.
        if self.hung.load(Ordering::SeqCst) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Waits until the replica answers.
    pub async fn answers(&self) {
        std::future::poll_fn(|context| self.poll_answers(context.waker())).await;
    }

    /// Errors from now on; none: no more.
    pub fn fail(&self, errors: Option<(u16, f64)>) {
        let errors = errors.map(|(status, share)| Errors { status, share, requests: 0 });
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner) = errors;
    }

    /// The status of the error that the next request gets, if it is one of those.
    pub fn next_error(&self) -> Option<u16> {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = errors.as_mut()?;
        // Evenly spread: of any n in a row, share times n, rounded either way.
        let before = (errors.requests as f64 * errors.share).floor();
        errors.requests += 1;
        let after = (errors.requests as f64 * errors.share).floor();
        (after > before).then_some(errors.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_checked() {
        let read = |text| serde_json::from_str::<Fault>(text);
        assert_eq!(read(r#"{"fault":"crash"}"#).unwrap(), Fault::Crash);
        let error = read(r#"{"fault":"error","status":503}"#).unwrap();
        assert_eq!(error, Fault::Error { status: 503, share: 1.0 });
        assert!(error.validate().is_ok());
        for wrong in [
            r#"{"fault":"error","status":200}"#,
            r#"{"fault":"error","status":503,"share":0}"#,
            r#"{"fault":"error","status":503,"share":1.5}"#,
            r#"{"fault":"slow","factor":0}"#,
            r#"{"fault":"slow","factor":-3}"#,
            r#"{"fault":"slow","factor":1e9}"#,
        ] {
            assert!(read(wrong).unwrap().validate().is_err(), "{wrong}");
        }
        for wrong in
            [r#"{"fault":"fire"}"#, "{}", r#"{"fault":"slow"}"#, r#"{"fault":"slow","factor":"x"}"#]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn errors_are_spread_evenly() {
        let health = Health::default();
        assert_eq!(health.next_error(), None);
        health.fail(Some((500, 0.25)));
        let got: Vec<bool> = (0..8).map(|_| health.next_error().is_some()).collect();
        assert_eq!(got, [false, false, false, true, false, false, false, true]);
        health.fail(None);
        assert_eq!(health.next_error(), None);
    }
}
