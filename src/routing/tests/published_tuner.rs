//! The step log of the published tuner's run, fed to the search: every verdict and every step size comes out again.
//!
//! Source of the rows: GORGO v2, `results/2d_v9_tune/proxy_trace_gorgo/tune.jsonl` (the run of arXiv 2602.11688v2,
//! figure 3), rounded to three digits behind the point. The last two rows share a step number because the search ended
//! with the second of them: no further candidate was proposed.

use gorgo_random::Key;
use gorgo_routing::tuner::{
    Bounds, Evolution, EvolutionParameters, Objective, OneFifth, OneFifthParameters, Sample,
};
use gorgo_types::Nanos;

/// (step, samples so far, candidate's `w_rtt`, `w_queue`, score, accepted, sigma after the step)
type Row = (u64, u64, f64, f64, f64, bool, f64);

#[rustfmt::skip]
const LOG: [Row; 52] = [
    (1, 128, 0.500, 0.100, -5.720, true, 0.500),
    (2, 160, 0.416, 0.131, -5.921, false, 0.500),
    (3, 192, 0.345, 0.058, -4.928, true, 0.500),
    (4, 224, 0.270, 0.050, -4.805, true, 0.500),
    (5, 256, 0.311, 0.082, -4.490, true, 0.500),
    (6, 288, 0.235, 0.085, -4.205, true, 0.500),
    (7, 320, 0.209, 0.071, -5.086, false, 0.500),
    (8, 352, 0.101, 0.080, -5.086, false, 0.500),
    (9, 384, 0.204, 0.053, -5.054, false, 0.612),
    (10, 416, 0.167, 0.058, -4.764, false, 0.749),
    (11, 448, 0.270, 0.050, -3.421, true, 0.917),
    (12, 480, 0.334, 0.050, -2.335, true, 1.122),
    (13, 512, 0.381, 0.050, -1.547, true, 1.374),
    (14, 544, 2.000, 0.051, -1.697, false, 1.681),
    (15, 576, 0.208, 0.118, -1.697, false, 2.058),
    (16, 608, 0.529, 0.383, -1.548, true, 2.519),
    (17, 640, 1.900, 0.050, -1.319, true, 3.083),
    (18, 672, 0.276, 0.500, -1.276, true, 3.774),
    (19, 704, 0.050, 0.050, -1.481, false, 4.619),
    (20, 736, 2.000, 0.050, -1.791, false, 5.653),
    (21, 768, 0.050, 0.050, -2.830, false, 6.920),
    (22, 800, 0.430, 0.500, -2.830, false, 8.470),
    (23, 832, 2.000, 0.500, -2.830, false, 10.367),
    (24, 864, 2.000, 0.500, -2.790, false, 12.689),
    (25, 896, 2.000, 0.050, -1.850, false, 10.367),
    (26, 928, 0.050, 0.500, -2.014, false, 8.470),
    (27, 960, 2.000, 0.500, -2.014, false, 6.920),
    (28, 992, 0.050, 0.500, -1.883, false, 5.653),
    (29, 1024, 2.000, 0.500, -1.883, false, 4.619),
    (30, 1056, 1.721, 0.050, -1.421, false, 3.774),
    (31, 1088, 2.000, 0.500, -1.397, false, 3.083),
    (32, 1120, 0.442, 0.361, -1.422, false, 2.519),
    (33, 1152, 0.451, 0.124, -1.422, false, 2.058),
    (34, 1184, 0.208, 0.500, -1.422, false, 1.681),
    (35, 1216, 0.121, 0.480, -1.482, false, 1.374),
    (36, 1248, 0.097, 0.500, -1.975, false, 1.122),
    (37, 1280, 0.730, 0.449, -2.015, false, 0.917),
    (38, 1312, 0.457, 0.500, -2.003, false, 0.749),
    (39, 1344, 0.169, 0.447, -2.003, false, 0.612),
    (40, 1376, 0.189, 0.464, -1.660, false, 0.500),
    (41, 1408, 0.157, 0.500, -1.890, false, 0.408),
    (42, 1440, 0.311, 0.438, -2.977, false, 0.334),
    (43, 1472, 0.459, 0.500, -2.977, false, 0.273),
    (44, 1504, 0.297, 0.365, -2.977, false, 0.223),
    (45, 1536, 0.261, 0.212, -2.396, false, 0.182),
    (46, 1568, 0.224, 0.500, -1.962, false, 0.149),
    (47, 1600, 0.258, 0.477, -1.962, false, 0.121),
    (48, 1632, 0.268, 0.441, -1.718, false, 0.099),
    (49, 1664, 0.286, 0.500, -1.718, false, 0.081),
    (50, 1696, 0.257, 0.466, -1.796, false, 0.066),
    (51, 1728, 0.320, 0.500, -3.051, false, 0.054),
    (51, 1760, 0.277, 0.500, -3.482, false, 0.044),
];

fn boxes() -> [Bounds; 2] {
    [
        Bounds { name: "w_rtt".into(), low: 0.05, high: 2.0 },
        Bounds { name: "w_queue".into(), low: 0.05, high: 0.5 },
    ]
}

fn search(parameters: EvolutionParameters) -> Evolution {
    Evolution::new(parameters, &boxes(), &[0.5, 0.1]).expect("the published parameters are good")
}

/// The number that leads from `best` to `candidate`; none where the candidate is at the edge of its box.
fn drawn(best: f64, candidate: f64, sigma: f64, low: f64, high: f64) -> Option<f64> {
    (candidate > low && candidate < high).then(|| (candidate / best).ln() / sigma)
}

#[test]
fn the_published_log_comes_out_again() {
    let mut search = search(EvolutionParameters::default());
    let mut inferred = Vec::new();
    for (row, &(step, samples, w_rtt, w_queue, score, accepted, sigma)) in LOG.iter().enumerate() {
        assert_eq!(samples, 128 + 32 * row as u64);
        let candidate = [w_rtt, w_queue];
        if row > 0 {
            // The draws that the log implies: from what this search holds to be the best, by its own sigma.
            let z = [
                drawn(search.best()[0], w_rtt, search.sigma(), 0.05, 2.0),
                drawn(search.best()[1], w_queue, search.sigma(), 0.05, 0.5),
            ];
            let far = |at_low: bool| if at_low { -1e3 } else { 1e3 };
            let z = [
                z[0].unwrap_or_else(|| far(w_rtt < 0.1)),
                z[1].unwrap_or_else(|| far(w_queue < 0.1)),
            ];
            let proposed = search.propose(&z).expect("the search goes on");
            for (ours, theirs) in proposed.iter().zip(candidate) {
                assert!((ours - theirs).abs() < 1e-9, "row {row}: {proposed:?}, log {candidate:?}");
            }
            inferred.extend(z.into_iter().filter(|z| z.abs() < 100.0));
        }
        assert_eq!(search.report(&candidate, score), accepted, "row {row}");
        let off = (search.sigma() / sigma - 1.0).abs();
        assert!(off < 0.01, "row {row}: sigma {} against {sigma}", search.sigma());
        assert_eq!(step, (row as u64 + 1).min(51));
    }
    assert_eq!(search.propose(&[0.0, 0.0]), None, "sigma is below 0.05");
    assert_eq!((search.steps(), search.best()), (51, &[0.276, 0.5][..]));
    assert_eq!(search.best_score(), Some(-1.276));
    // Were another point the best or sigma another, late steps would imply draws that no normal distribution has. (One
    // of the run's own is rare: -3.85, the weight 0.212 of step 45.)
    assert!(inferred.len() > 50 && inferred.iter().all(|z| z.abs() < 4.0), "{inferred:?}");
}

#[test]
fn without_the_quirk_the_slightly_worse_candidate_of_step_16_is_refused() {
    let mut search = search(EvolutionParameters { quirk: false, ..EvolutionParameters::default() });
    let verdicts: Vec<bool> = LOG.iter().map(|row| search.report(&[row.2, row.3], row.4)).collect();
    let otherwise: Vec<u64> = LOG
        .iter()
        .zip(verdicts)
        .filter(|(row, verdict)| row.5 != *verdict)
        .map(|(row, _)| row.0)
        .collect();
    assert_eq!(otherwise, [16]);
}

#[test]
fn windows_are_scored_every_32_completions_from_the_128th_on() {
    let parameters = OneFifthParameters {
        search: EvolutionParameters { sigma_min: 0.0, ..EvolutionParameters::default() },
        ..OneFifthParameters::default()
    };
    let mut tuner = OneFifth::new(parameters, Objective::default(), &boxes(), &[0.5, 0.1], 1)
        .expect("good parameters");
    let mut steps = Vec::new();
    for sample in 1..=1_000_u64 {
        // Each completion is slower than the one before: 1 ms, 2 ms, ...
        let ttft = Nanos::from_millis(sample);
        if let Some(step) = tuner.observe(Sample { ttft, e2e: ttft }, Nanos::from_secs(sample)) {
            assert_eq!((step.samples, step.at_ns), (sample, Nanos::from_secs(sample)));
            // Of the last 128, the one at index 121.
            let expected = -((sample - 128 + 1 + 121) as f64) / 1e3;
            assert!((step.score - expected).abs() < 1e-12, "{} {expected}", step.score);
            assert_eq!(step.next.as_deref(), Some(tuner.weights()));
            steps.push(step);
        }
    }
    assert_eq!(steps.len(), (1_000 - 128) / 32 + 1);
    assert_eq!(steps[0].candidate, [0.5, 0.1]);
    for pair in steps.windows(2) {
        assert_eq!(pair[0].next.as_deref(), Some(&pair[1].candidate[..]));
    }
    // Ever slower: nothing but the start is ever accepted, and sigma shrinks with every step from the 8th outcome on.
    assert_eq!(steps.iter().filter(|step| step.accepted).count(), 1);
    let shrunk = i32::try_from(steps.len()).expect("few") - 8;
    assert!((steps.last().expect("some").sigma - 0.5 * 0.817_f64.powi(shrunk)).abs() < 1e-9);
}

#[test]
fn the_search_ends_and_the_best_stay() {
    let parameters = OneFifthParameters {
        window: 1,
        hop: 1,
        search: EvolutionParameters { max_steps: 5, ..EvolutionParameters::default() },
    };
    let mut tuner = OneFifth::new(parameters, Objective::default(), &boxes(), &[0.5, 0.1], 7)
        .expect("good parameters");
    let sample = |ms| Sample { ttft: Nanos::from_millis(ms), e2e: Nanos::from_millis(ms) };
    let mut steps = Vec::new();
    for ms in [90, 80, 95, 70, 99, 99, 10, 10] {
        steps.extend(tuner.observe(sample(ms), Nanos::ZERO));
    }
    assert_eq!(steps.len(), 6, "the start and five candidates");
    assert_eq!(steps[5].next, None);
    assert_eq!(tuner.weights(), steps[3].candidate, "the fourth was the fastest before the end");
}

#[test]
fn the_same_seed_and_scores_give_the_same_weights_inside_the_boxes() {
    let run = |seed: u64| {
        let mut tuner = OneFifth::new(
            OneFifthParameters::default(),
            Objective::default(),
            &boxes(),
            &[0.5, 0.1],
            seed,
        )
        .expect("good parameters");
        let key = Key::new(99);
        let steps: Vec<_> = (0..20_000_u64)
            .filter_map(|i| {
                let ttft = Nanos(key.word(i).draw().below(5_000_000_000));
                tuner.observe(Sample { ttft, e2e: ttft }, Nanos(i))
            })
            .collect();
        (tuner.weights().to_vec(), steps)
    };
    let (weights, steps) = run(1);
    assert_eq!((weights.clone(), steps.clone()), run(1));
    assert_ne!(steps, run(2).1);
    for step in &steps {
        let next = step.next.as_ref().unwrap_or(&weights);
        assert!((0.05..=2.0).contains(&next[0]) && (0.05..=0.5).contains(&next[1]), "{next:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let new = |parameters: EvolutionParameters, bounds: &[Bounds], start: &[f64]| {
        Evolution::new(parameters, bounds, start).map(drop).map_err(|error| error.to_string())
    };
    let good = EvolutionParameters::default();
    let says = |result: Result<(), String>, wanted: &str| {
        let error = result.expect_err(wanted);
        assert!(error.contains(wanted), "{error}");
    };
    let at = |low, high| [Bounds { name: "w".into(), low, high }];
    says(new(good, &[], &[]), "`weights`: got 0 weights");
    says(new(good, &at(0.0, 1.0), &[0.5]), "`weights.w`: got [0, 1]");
    says(new(good, &at(f64::NAN, 1.0), &[0.5]), "got [NaN, 1]");
    says(new(good, &at(0.1, f64::INFINITY), &[0.5]), "got [0.1, inf]");
    says(new(good, &at(2.0, 1.0), &[1.5]), "got [2, 1]");
    says(
        new(good, &at(0.1, 1.0), &[1.5]),
        "got 1.5, wanted its start inside the box, from 0.1 to 1",
    );
    says(new(good, &at(0.1, 1.0), &[f64::NAN]), "got NaN");
    says(new(good, &at(0.1, 1.0), &[]), "`start`: got 0 values, wanted 1");
    says(new(good, &[at(0.1, 1.0), at(0.1, 1.0)].concat(), &[0.5, 0.5]), "a second time");
    for (bad, wanted) in [
        (EvolutionParameters { sigma: 0.0, ..good }, "`sigma`: got 0"),
        (EvolutionParameters { sigma: f64::NAN, ..good }, "`sigma`: got NaN"),
        (EvolutionParameters { factor: 1.0, ..good }, "`factor`: got 1"),
        (EvolutionParameters { factor: -0.5, ..good }, "`factor`: got -0.5"),
        (EvolutionParameters { sigma_min: -1.0, ..good }, "`sigma_min`: got -1"),
        (EvolutionParameters { success_window: 0, ..good }, "`success_window`: got 0"),
        (EvolutionParameters { target: f64::INFINITY, ..good }, "`target`: got inf"),
        (EvolutionParameters { tolerance: 1.5, ..good }, "`tolerance`: got 1.5"),
        (EvolutionParameters { max_steps: 0, ..good }, "`max_steps`: got 0"),
    ] {
        says(new(bad, &at(0.1, 1.0), &[0.5]), wanted);
    }
    let tuner = |parameters| {
        OneFifth::new(parameters, Objective::default(), &at(0.1, 1.0), &[0.5], 1)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let defaults = OneFifthParameters::default();
    says(tuner(OneFifthParameters { window: 0, ..defaults }), "`window`: got 0");
    says(tuner(OneFifthParameters { hop: 2_000_000, ..defaults }), "`hop`: got 2000000");
}

#[test]
fn a_score_that_is_no_number_or_an_endless_row_of_successes_breaks_nothing() {
    let mut search = search(EvolutionParameters::default());
    assert!(search.report(&[0.5, 0.1], f64::NAN));
    assert!(!search.report(&[0.4, 0.1], f64::NAN));
    for step in 0..6_000 {
        assert!(search.report(&[0.3, 0.1], -1.0 / f64::from(step + 1)));
    }
    assert!(search.sigma().is_finite());
    let candidate = search.propose(&[0.0, -1e-3]).expect("it goes on");
    assert!((candidate[0] - 0.3).abs() < 1e-12 && candidate[1] == 0.05, "{candidate:?}");
}

#[test]
fn the_scenario_that_plays_the_run_again_has_the_log() {
    let scenario = include_str!("../../../scenarios/papers/v2_apr5.toml");
    let installed = LOG.windows(2).map(|rows| (rows[0].1, rows[1].2, rows[1].3));
    // When the search had ended, the best stayed: the candidate of step 18.
    let wanted: Vec<String> = installed
        .chain([(1760, LOG[17].2, LOG[17].3)])
        .map(|(completed, w_rtt, w_queue)| {
            format!(
                "{{ completed = {completed}, weights = {{ w_rtt = {w_rtt}, w_queue = {w_queue} }} }},"
            )
        })
        .collect();
    let lines = scenario.lines().map(str::trim).filter(|line| line.starts_with("{ completed"));
    let found: Vec<&str> = lines.collect();
    assert_eq!(found, wanted);
}
