//! What an experiment is: data, no code of its own. Its parts run as cases; what comes out is `outcome.rs`.

/// A scenario that is built into the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScenarioText {
    /// Its file, from the project's root.
    pub name: &'static str,
    /// What it says.
    pub toml: &'static str,
}

/// A scenario with what is laid over it: one run for each policy and seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The scenario.
    pub scenario: ScenarioText,
    /// Assignments `path=value` laid over it, in this order. The seed comes last.
    pub sets: Vec<String>,
    /// The file of arrivals that `workload.art_chat.arrivals` names, from the folder of recorded data. Where it is absent
    /// the case runs on generated arrivals, and says so. None: nothing of it is recorded.
    pub recorded: Option<&'static str>,
    /// The labels of the policies to run; empty: all of the scenario's.
    pub policies: Vec<&'static str>,
}

impl Case {
    /// A scenario as it is.
    #[must_use]
    pub const fn of(scenario: ScenarioText) -> Self {
        Self { scenario, sets: Vec::new(), recorded: None, policies: Vec::new() }
    }

    /// With one more assignment.
    #[must_use]
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        self.sets.push(assignment.into());
        self
    }

    /// With these policies alone.
    #[must_use]
    pub fn only(mut self, policies: &[&'static str]) -> Self {
        self.policies = policies.to_vec();
        self
    }
}

/// A table of the paper: a case held against published figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Its name in the published figures.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
    /// What is run.
    pub case: Case,
    /// Which of the case's policies stands for which of the paper's: (the paper's name, our label). Published figures of
    /// other policies are not compared, and policies of the case that no pair names stand apart from the comparison.
    pub pairs: Vec<(&'static str, &'static str)>,
    /// Metrics in which the order of the policies is compared seed by seed.
    pub orders: Vec<&'static str>,
    /// What a reader must know of this window before its table (Markdown); may be empty.
    pub text: &'static str,
}

/// Rows of one window that are summed up together, such as those that nothing was calibrated on.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// In words.
    pub title: &'static str,
    /// The windows.
    pub windows: Vec<&'static str>,
    /// The policies by our labels; empty: all.
    pub policies: Vec<&'static str>,
    /// The metrics; empty: all.
    pub metrics: Vec<&'static str>,
}

/// One thing varied: the same policies under several cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// Its name on the command line and of its files: letters, digits, dashes.
    pub id: &'static str,
    /// In words.
    pub title: &'static str,
    /// What is varied: the title of the plot's axis.
    pub varied: &'static str,
    /// What was found (Markdown, about two sentences).
    pub text: &'static str,
    /// What is run.
    pub arms: Vec<Arm>,
    /// What is tabled.
    pub metrics: Vec<&'static str>,
    /// Of these, what is drawn, one panel each.
    pub drawn: Vec<&'static str>,
    /// Most seeds; fewer are run where fewer are asked for.
    pub seeds: u64,
}

/// One value of what a study varies.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// In words, short: a tick of the plot's axis.
    pub label: String,
    /// What is run.
    pub case: Case,
}

/// A paper's experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Its name on the command line.
    pub name: &'static str,
    /// The title of its page.
    pub title: &'static str,
    /// What comes before the tables (Markdown): what is free, what was calibrated on what, what is not known.
    pub head: &'static str,
    /// What comes after them; may be empty.
    pub tail: &'static str,
    /// The published figures: file and text.
    pub published: ScenarioText,
    /// The paper's tables.
    pub windows: Vec<Window>,
    /// Rows that are summed up together.
    pub groups: Vec<Group>,
    /// What is varied.
    pub studies: Vec<Study>,
    /// Seeds of the windows where none are asked for.
    pub seeds: u64,
}
