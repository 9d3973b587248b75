//! The reviewers' questions: every point of every panel is a scenario, and rows mean what they say.

use gorgo_papers::experiments::reviewers::{
    self, How, Job, Look, METRICS, Panel, Point, Question, Scenario, Table, Task,
};
use gorgo_papers::{About, PapersError};
use std::collections::BTreeSet;

/// Two engines, a few short requests.
const SMALL: &str = r#"
name = "small"
[[fleet.replicas]]
region = "azure:eastus"
gpu = "h100-sxm"
model = "llama-3.1-8b"
count = 2
[workload.prefix_groups]
requests = 60
[load.poisson]
rate = "20/s"
[router]
region = "azure:eastus"
scrape_interval = "1s"
policies = ["round-robin", "least-load", { name = "gorgo", label = "mine" }]
"#;

fn small(found: &'static str) -> Question {
    let rate =
        |label: &str, rate: &str| Point::new(label, &[&format!("load.poisson.rate=\"{rate}\"")]);
    Question {
        id: "small",
        title: "Small",
        asked: "Is it small?",
        panels: vec![Panel {
            axis: "rate",
            points: vec![rate("slow", "10/s"), rate("slow again", "10/s"), rate("fast", "40/s")],
            policies: &["mine", "round-robin"],
            look: Look::Dots,
            ..Panel::of("load", "Load", Scenario { file: "small.toml", text: SMALL })
        }],
        found,
        claims: &[],
    }
}

fn rows(question: &Question, seeds: u64) -> Vec<reviewers::Row> {
    let run = |job| reviewers::run(question, job).unwrap_or_else(|error| panic!("{error}"));
    reviewers::jobs(question, seeds).into_iter().flat_map(run).collect()
}

#[test]
fn every_point_is_a_scenario_and_every_key_a_metric() {
    let mut ids = BTreeSet::new();
    for question in reviewers::all() {
        assert!(ids.insert(question.id), "{} twice", question.id);
        let mut keys = BTreeSet::new();
        for panel in &question.panels {
            assert!(keys.insert(panel.key), "{}: {} twice", question.id, panel.key);
            for key in panel.drawn.iter().chain(panel.tabled) {
                assert!(METRICS.iter().any(|metric| metric.key == *key), "{key}");
            }
            let mut labels = BTreeSet::new();
            for point in &panel.points {
                assert!(labels.insert(&point.label), "{}: {} twice", panel.key, point.label);
                let scenario = Task { panel, point, seed: 1 }.scenario();
                let scenario = scenario.unwrap_or_else(|error| panic!("{}: {error}", question.id));
                assert!(!scenario.router.policies.is_empty());
                // Self-contained: nothing outside the program is read.
                assert_eq!(scenario.demand.path(), None, "{}", panel.scenario.file);
            }
        }
    }
}

#[test]
fn rows_are_the_same_whatever_was_run_before() {
    let question = small("");
    let together = rows(&question, 2);
    assert_eq!(together.len(), 3 * 2 * 2, "three points, two policies, two seeds");
    let backward: Vec<_> = reviewers::jobs(&question, 2)
        .into_iter()
        .rev()
        .flat_map(|job| reviewers::run(&question, job).expect("it ran"))
        .collect();
    let text = |rows| Table::new(&question, rows).csv();
    assert_eq!(text(together.clone()), text(backward));
    // The second point changes nothing, so its rows are the first one's, and the third differs.
    let of = |point: usize| -> Vec<_> {
        let here = together.iter().filter(|row| row.point == point);
        here.map(|row| (row.seed, row.policy.clone(), row.values.clone())).collect()
    };
    assert_eq!(of(0), of(1));
    assert_ne!(of(0), of(2));
    // A point alone gives what it gave after others, which left their requests to it.
    let mut alone = small("");
    alone.panels[0].points.drain(..2);
    let alone = reviewers::run(&alone, Job { panel: 0, seed: 2 }).expect("it ran");
    let after = of(2).into_iter().filter(|(seed, ..)| *seed == 2);
    let alone = alone.into_iter().map(|row| (row.seed, row.policy, row.values));
    assert!(after.eq(alone));
}

#[test]
fn findings_are_filled_from_the_runs() {
    let question = small(
        "{= load | slow | mine | completed} of 60, {vs load | fast | mine | round-robin | completed}, \
         {step load | slow | fast | mine | ttft_p50_ms}.",
    );
    let table = Table::new(&question, rows(&question, 3));
    let about = About {
        command: "gorgo reproduce reviewers".into(),
        seconds: 1.0,
        cpu_seconds: None,
        threads: 1,
    };
    let page = reviewers::page(&[table], 3, &about).unwrap_or_else(|error| panic!("{error}"));
    let median = |point| {
        let table = Table::new(&question, rows(&question, 3));
        table.spread((0, point), "mine", "completed").expect("it was measured").median
    };
    assert!(page.contains(&format!("{} of 60, +0.0 %", median(0))), "{page}");
    assert!(page.contains("seeds)"), "{page}");
    for wrong in [
        "{= load | slow | nobody | completed}",
        "{= load | slow | mine | spearman}",
        "{= load",
        "{is it}",
    ] {
        let question = small(wrong);
        let table = Table::new(&question, rows(&question, 1));
        let refused = reviewers::page(&[table], 1, &about).expect_err(wrong).to_string();
        assert!(refused.contains("reviewers, small"), "{refused}");
    }
}

#[test]
fn a_policy_that_is_not_there_is_named() {
    let mut question = small("");
    question.panels[0].policies = &["gorgo"];
    let refused = reviewers::run(&question, Job { panel: 0, seed: 1 });
    let Err(PapersError::Experiment { problem, .. }) = refused else { panic!("{refused:?}") };
    assert!(problem.contains("`gorgo`"), "{problem}");
}

#[test]
fn the_break_even_prompt_grows_with_the_distance() {
    let question = reviewers::all().into_iter().find(|question| question.id == "prompt-length");
    let question = question.expect("it is asked");
    let panel = question.panels.iter().position(|panel| panel.key == "alone").expect("a panel");
    assert!(matches!(question.panels[panel].how, How::Own(_)));
    let rows = reviewers::run(&question, Job { panel, seed: 1 }).expect("it ran");
    for point in 0..question.panels[panel].points.len() {
        let here = rows.iter().filter(|row| row.point == point && row.policy.starts_with("pays"));
        let tokens: Vec<f64> = here
            .map(|row| row.values.get("break_even_tokens").expect("one below 120,000"))
            .collect();
        assert_eq!(tokens.len(), 4);
        assert!(tokens.is_sorted() && tokens[0] > 64.0 && tokens[0] < tokens[3], "{tokens:?}");
    }
    let at = |policy: &str| {
        let row = rows.iter().find(|row| row.point == 1 && row.policy == policy).expect("a row");
        row.values.get("break_even_tokens").expect("a number")
    };
    assert!((at("gorgo crosses 75 ms") - (0.276 * 75.0 + 64.0)).abs() < 1e-9);
    assert!((at("gorgo-priced crosses 75 ms") - (44.0 * 75.0 + 64.0)).abs() < 1e-9);
}

/// The committed page: its figures and words against the committed runs.
#[test]
fn the_page_says_what_its_runs_show() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/papers/reviewers");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is committed");
    let page = read("README.md");
    let mut problems = Vec::new();
    for question in reviewers::all() {
        assert!(!question.claims.is_empty(), "{}: its words claim nothing", question.id);
        let table = Table::from_csv(&question, &read(&format!("{}.csv", question.id)));
        let table = table.unwrap_or_else(|error| panic!("{error}"));
        let unheld = reviewers::unheld(&table).unwrap_or_else(|error| panic!("{error}"));
        problems.extend(unheld);
        let found = reviewers::findings(&table).unwrap_or_else(|error| panic!("{error}"));
        if !page.contains(found.trim()) {
            problems.push(format!("{}: the page says otherwise than: {found}", question.id));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_claim_that_does_not_hold_is_told() {
    let mut question = small("");
    let measured = rows(&question, 3);
    for (claim, held) in [
        ("rises load | slow | fast | mine | in_flight", true),
        ("falls load | slow | fast | mine | in_flight", false),
        ("keeps load | slow | slow again | mine | in_flight", true),
        ("about load | * | mine | round-robin | completed", true),
        ("lower load | fast | mine | mine | in_flight", false),
        ("higher load | fast | mine | mine | in_flight", false),
        ("lowest load | * | mine | completed", true),
        ("parts load | slow | mine | completed | 1000", false),
        ("parts load | slow | mine | completed | 1", false),
    ] {
        question.claims = Vec::leak(vec![claim]);
        let table = Table::new(&question, measured.clone());
        let unheld = reviewers::unheld(&table).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(unheld.is_empty(), held, "{unheld:?}");
    }
    for wrong in [
        "is load | slow | mine | completed",
        "lowest load | slower | mine | completed",
        "lowest load | slow | nobody | completed",
        "falls load | * | slow | mine | completed",
        "lower load | slow | mine | nobody | completed",
        "parts load | slow | mine | completed | much",
        "lowest",
    ] {
        question.claims = Vec::leak(vec![wrong]);
        let table = Table::new(&question, measured.clone());
        let refused = reviewers::unheld(&table).expect_err(wrong).to_string();
        assert!(refused.contains(wrong), "{refused}");
    }
}

#[test]
fn rows_come_back_from_their_csv() {
    let question = small("");
    let table = Table::new(&question, rows(&question, 2));
    let text = table.csv();
    let again = Table::from_csv(&question, &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.csv(), text);
    for (from, to) in [("load,", "lead,"), ("slow again", "slower"), (",1,", ",one,")] {
        let wrong = text.replacen(from, to, 1);
        let refused = Table::from_csv(&question, &wrong).expect_err(to).to_string();
        assert!(refused.contains("reviewers, small: line "), "{refused}");
    }
}
