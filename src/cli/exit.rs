//! Exit codes, and the failures that lead to them.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// The codes, as `gorgo --help` prints them.
pub const CODES: &str = "Exit codes: 0 ok; 1 the run failed, or a check did not hold; 2 usage, scenario or input error; \
3 the run is invalid (a law of conservation was broken, or a live run sent too late); 130 interrupted";

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// The run failed, or a check that was asked for did not hold.
    Failed = 1,
    /// Usage, scenario or input error.
    Input = 2,
    /// The run broke a law of conservation: its result would be wrong.
    Invalid = 3,
    /// Somebody interrupted it; what there was has been written.
    Interrupted = 130,
}

impl Exit {
    /// How a run ends that failed: it broke a law, its input was wrong, or neither.
    const fn of(is_invalid: bool, is_input: bool) -> Self {
        match (is_invalid, is_input) {
            (true, _) => Self::Invalid,
            (false, true) => Self::Input,
            (false, false) => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// The input is to blame.
    pub fn input(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Input, message: message.to_string() }
    }

    /// A command that this build does not have.
    #[cfg(not(feature = "live"))]
    pub fn lacks_live(command: &str) -> Self {
        Self::input(format!(
            "this build has no `gorgo {command}`: wanted one with `--features live`, as in \
             `cargo run --release --features live -- {command} ...`"
        ))
    }

    /// The run is to blame.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }

    /// The result would be wrong.
    #[cfg(feature = "live")]
    pub fn invalid(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Invalid, message: message.to_string() }
    }

    /// The same failure, told where it happened.
    pub fn within(self, place: &str) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }

    /// Prints the message to stderr and gives the code.
    pub fn report(self) -> Exit {
        eprintln!("error: {}", self.message);
        self.exit
    }
}

impl From<gorgo_sim::SimError> for Failure {
    fn from(error: gorgo_sim::SimError) -> Self {
        Self { exit: Exit::of(error.is_invalid(), error.is_input()), message: chain(&error) }
    }
}

impl From<gorgo_sweep::SweepError> for Failure {
    fn from(error: gorgo_sweep::SweepError) -> Self {
        let exit = Exit::of(error.is_invalid(), error.is_input());
        Self { exit, message: error.to_string() }
    }
}

/// An error with its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
