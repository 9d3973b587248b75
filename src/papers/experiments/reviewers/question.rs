//! The shape of a question: which scenario, what is changed step by step, and what is asked of the runs.
//!
//! A panel is one scenario whose keys are changed from point to point; each point is run for every seed and policy. The
//! requests of one point and seed are the same for all policies. Read `run.rs` next.

use super::measure::Values;
use crate::error::PapersError;

/// One question of the reviewers.
#[derive(Debug)]
pub struct Question {
    /// What it is called on the command line and in file names.
    pub id: &'static str,
    /// Heading on the page.
    pub title: &'static str,
    /// What was asked, and how it is answered here.
    pub asked: &'static str,
    /// What is run.
    pub panels: Vec<Panel>,
    /// What was found, with figures filled in from the runs: `text.rs` says how.
    pub found: &'static str,
    /// What these words claim: `claims.rs` says how. The page tells what its runs do not bear out.
    pub claims: &'static [&'static str],
}

/// One scenario, changed step by step.
#[derive(Debug)]
pub struct Panel {
    /// What findings call it.
    pub key: &'static str,
    /// Above its tables and pictures.
    pub title: &'static str,
    /// The scenario.
    pub scenario: Scenario,
    /// What is changed from point to point.
    pub axis: &'static str,
    /// The points.
    pub points: Vec<Point>,
    /// The policies that are run, by label; empty: all of the scenario.
    pub policies: &'static [&'static str],
    /// Keys of the numbers that are drawn.
    pub drawn: &'static [&'static str],
    /// Policies that are left out of the pictures, whose axes they would spoil; tables have them.
    pub undrawn: &'static [&'static str],
    /// Keys of the numbers that get a table.
    pub tabled: &'static [&'static str],
    /// Lines, or rows of dots for many policies and few points.
    pub look: Look,
    /// How a point is run.
    pub how: How,
    /// Nothing is drawn in it: one seed says all.
    pub one_seed: bool,
}

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A line for each policy.
    Lines,
    /// A row for each policy, a dot for each point.
    Dots,
}

/// What came of a point under one seed: each policy's label, and its numbers.
pub type Measured = Vec<(String, Values)>;

/// How a point is run.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// Every policy is simulated and its summary read.
    Simulate,
    /// By a function of this question's own: from the point's scenario text and settings, rows of (policy, numbers).
    Own(fn(&Task<'_>) -> Result<Measured, PapersError>),
}

/// A scenario of `scenarios/papers/reviewers`, built into the program.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The file's name.
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Point {
    /// On the axis and in tables; findings call it by this too.
    pub label: String,
    /// What is changed in the scenario, as on the command line after `--set`.
    pub sets: Vec<String>,
}

impl Panel {
    /// A panel of simulated policies with nothing but a scenario; its other fields are filled in where it is made.
    pub fn of(key: &'static str, title: &'static str, scenario: Scenario) -> Self {
        Self {
            key,
            title,
            scenario,
            axis: "",
            points: Vec::new(),
            policies: &[],
            drawn: &["ttft_p50_ms", "ttft_p95_ms"],
            undrawn: &[],
            tabled: &["ttft_p50_ms", "ttft_p95_ms"],
            look: Look::Lines,
            how: How::Simulate,
            one_seed: false,
        }
    }
}

impl Point {
    /// A point that changes these keys.
    pub fn new(label: impl Into<String>, sets: &[&str]) -> Self {
        Self { label: label.into(), sets: sets.iter().map(|&set| set.to_owned()).collect() }
    }
}

/// A point of a panel under one seed.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The panel.
    pub panel: &'a Panel,
    /// The point.
    pub point: &'a Point,
    /// The seed.
    pub seed: u64,
}
