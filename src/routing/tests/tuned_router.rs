//! A router with a tuner: which weights decide, which samples count for whom, and that its log can be verified.

use gorgo_random::{Key, Purpose};
use gorgo_routing::log::{LogLine, LogRow};
use gorgo_routing::tuner::{
    Bounds, Objective, OneFifthParameters, PairedParameters, StrategyConfig, TuneStep, TunerConfig,
    TunerError,
};
use gorgo_routing::verify::{Case, Verifier, VerifyError};
use gorgo_routing::{
    Question, Router, RouterConfig, RoutingRequest, Scrape, Target, Ticket, registry,
};
use gorgo_types::{BlockChain, Nanos, RegionId, ReplicaId, RequestId, Tokens};

fn config(strategy: StrategyConfig) -> TunerConfig {
    let weight = |name: &str, low, high| Bounds { name: name.into(), low, high };
    TunerConfig {
        weights: vec![weight("w_queue", 0.05, 0.5), weight("w_rtt", 0.05, 20.0)],
        objective: Objective::default(),
        strategy,
    }
}

fn paired() -> StrategyConfig {
    StrategyConfig::Paired(PairedParameters::default())
}

fn policy(name: &str) -> Box<dyn gorgo_routing::Policy> {
    registry::build(name, serde_json::json!({})).expect("defaults are good")
}

fn gorgo() -> Box<dyn gorgo_routing::Policy> {
    registry::build("gorgo", serde_json::json!({ "w_rtt": 0.5, "w_queue": 0.1 })).expect("good")
}

fn router(policy: Box<dyn gorgo_routing::Policy>) -> Router {
    let fleet = [(ReplicaId(0), RegionId(0)), (ReplicaId(1), RegionId(1))];
    let mut router = Router::new(RouterConfig::default(), policy, &fleet).expect("good");
    for (replica, rtt_ms) in [(ReplicaId(0), 20), (ReplicaId(1), 90)] {
        let latency = Nanos::from_millis(rtt_ms);
        let (taken_at, kv_pool_tokens) = (Nanos::ZERO, 400_000);
        router.probe_result(Nanos::ZERO, replica, Some(latency));
        let (running_requests, queued_requests, used_tokens) = (0, 0, 0);
        router.scraped(
            Nanos::ZERO,
            replica,
            Scrape {
                running_requests,
                queued_requests,
                used_tokens,
                kv_pool_tokens,
                taken_at,
                latency,
            },
        );
    }
    router
}

/// Sends requests one after the other through the router; a request takes as long as its price of round trips makes
/// it: `ms(w_rtt)`. Gives the steps, and the rows of a decision log.
fn drive(
    router: &mut Router,
    requests: u64,
    ms: impl Fn(f64) -> f64,
) -> (Vec<TuneStep>, Vec<LogRow>) {
    let (mut steps, mut rows) = (Vec::new(), Vec::new());
    let mut now = Nanos::from_secs(1);
    for session in 0..requests {
        let draw = Key::new(5).with(Purpose::Decision).word(session).draw();
        let prompt = BlockChain::from_tokens(&[session as u32; 64], 16).expect("a prompt");
        let id = RequestId { session, turn: 0 };
        let max_tokens = Tokens(16);
        let request = RoutingRequest {
            id,
            prompt: &prompt,
            max_tokens,
            session: None,
            hops: 0,
            residency: None,
        };
        let Target::Replica(replica) = router.decide(now, &request, draw.bits()).target else {
            panic!("nobody to send it to")
        };
        let weights = router.tuned_weights().expect("a tuner");
        let w_rtt = weights.iter().find(|(name, _)| *name == "w_rtt").expect("it is tuned").1;
        let candidates = router.signals();
        let question = Question::new(now, request, candidates, draw.bits(), None);
        let line = LogLine::new(&question, router.decision(), router.policy()).tuned(Some(weights));
        // Written and read, the row is the same.
        let text = serde_json::to_string(&line).expect("a row");
        let row: LogRow = serde_json::from_str(&text).expect("it can be read");
        assert_eq!(row, line.to_row());
        rows.push(row);
        let ticket = router.dispatched(now, &request, replica);
        let unit = Key::new(6).word(session).draw().unit();
        let span = Nanos::from_ms(ms(w_rtt) * (0.5 + unit)).expect("a time");
        router.first_token(now + span, ticket);
        steps.extend(router.take_tune_step());
        router.finished(now + span + Nanos::from_millis(100), ticket, None);
        steps.extend(router.take_tune_step());
        now += Nanos::from_millis(50);
    }
    (steps, rows)
}

#[test]
fn the_paired_tuner_finds_the_faster_weight_and_stays_there() {
    let mut tuned = router(gorgo());
    tuned.tune(&config(paired()), 3).expect("it fits");
    // The higher the price of a round trip, the faster, up to 8.
    let (steps, _) = drive(&mut tuned, 8_000, |w_rtt| 100.0 + 400.0 * (w_rtt / 8.0).ln().abs());
    let best = tuned.tuner().expect("a tuner").best();
    assert!((4.0..16.0).contains(&best[1]), "w_rtt is {}, after {} steps", best[1], steps.len());
    assert!(steps.iter().any(|step| step.accepted) && steps.iter().any(|step| !step.accepted));
    assert!(steps.iter().all(|step| (0.1..=2.0).contains(&step.sigma)), "sigma is bounded");
    let (judged, accepted) = tuned.tuner().expect("a tuner").steps();
    assert_eq!(judged, steps.len() as u64);
    assert_eq!(accepted, steps.iter().filter(|step| step.accepted).count() as u64);
}

/// Both levels are as good as each other, so only chance can tell them apart: one standard deviation at the end of a
/// trial, which it reaches in a third of them, or two at an earlier look.
#[test]
fn where_weights_make_no_difference_most_trials_find_nothing() {
    let (mut judged, mut accepted) = (0, 0);
    for seed in 0..10 {
        let mut tuned = router(gorgo());
        tuned.tune(&config(paired()), seed).expect("it fits");
        let (steps, _) = drive(&mut tuned, 4_000, |_| 200.0);
        judged += steps.len();
        accepted += steps.iter().filter(|step| step.accepted).count();
    }
    assert!(judged > 50 && accepted * 2 < judged, "{accepted} of {judged}");
}

#[test]
fn the_same_requests_give_the_same_steps_and_every_decision_comes_out_again() {
    for strategy in [paired(), StrategyConfig::OneFifth(OneFifthParameters::default())] {
        let run = |seed| {
            let mut tuned = router(gorgo());
            tuned.tune(&config(strategy.clone()), seed).expect("it fits");
            drive(&mut tuned, 1_500, |w_rtt| 300.0 / (1.0 + w_rtt))
        };
        let (steps, rows) = run(1);
        assert_eq!((steps.clone(), rows.clone()), run(1));
        assert!(steps.len() > 3, "{} steps", steps.len());
        assert_ne!(steps, run(2).0);
        let used: Vec<f64> =
            rows.iter().map(|row| row.weights.as_ref().expect("weights")["w_rtt"]).collect();
        assert!(used.iter().any(|&weight| weight != used[0]), "the weights change");
        // A verifier whose policy starts from other weights takes them from the rows.
        let mut verifier = Verifier::new(policy("gorgo"));
        for row in rows {
            assert!(verifier.check(&Case::try_from(row).expect("a case")).expect("verifiable"));
        }
        assert_eq!(verifier.report().scores_changed, 0);
    }
}

#[test]
fn a_log_with_a_weight_that_cannot_be_is_refused() {
    let mut tuned = router(gorgo());
    tuned.tune(&config(paired()), 1).expect("it fits");
    let (_, rows) = drive(&mut tuned, 1, |_| 100.0);
    let check = |policy_name: &str, name: &str, value: f64| {
        let mut row = rows[0].clone();
        row.weights = Some([(name.to_owned(), value)].into());
        let case = Case::try_from(row).expect("a case");
        Verifier::new(policy(policy_name)).check(&case).map_err(|error| error.to_string())
    };
    assert!(check("gorgo", "w_used", 0.1).is_ok());
    let says = |result: Result<bool, String>, wanted: &str| {
        let error = result.expect_err(wanted);
        assert!(error.contains(wanted), "{error}");
    };
    says(check("gorgo", "w_rtd", 0.1), "`weights.w_rtd` is 0.1, wanted a weight of `gorgo` (w_rtt");
    says(check("gorgo", "w_rtt", -1.0), "`weights.w_rtt` is -1, wanted a number from 0 to 1e9");
    says(check("gorgo", "w_rtt", f64::NAN), "is NaN");
    says(check("least-load", "w_rtt", 1.0), "wanted a weight of `least-load` ()");
    let wrong = VerifyError::NeedsDraw { policy: "random" };
    assert!(wrong.to_string().contains("random"));
}

#[test]
fn a_tuner_that_does_not_fit_the_policy_is_refused() {
    let refuse =
        |policy, config: &TunerConfig| router(policy).tune(config, 1).expect_err("refused");
    let error = refuse(policy("least-load"), &config(paired()));
    assert!(matches!(error, TunerError::UnknownWeight { policy: "least-load", .. }), "{error}");
    let mut outside = config(paired());
    outside.weights[0].high = 0.09;
    let error = refuse(gorgo(), &outside).to_string();
    assert!(error.contains("`weights.w_queue`: got 0.1, wanted its start inside"), "{error}");
    let mut beyond = config(paired());
    beyond.weights[1].high = 1e10;
    assert!(refuse(gorgo(), &beyond).to_string().contains("`weights.w_rtt`: got 10000000000"));
    let StrategyConfig::Paired(good) = paired() else { panic!("it is paired") };
    for (bad, wanted) in [
        (PairedParameters { block: 0, ..good }, "`block`: got 0"),
        (PairedParameters { burn_in: 1, ..good }, "`burn_in`: got 1"),
        (PairedParameters { share: 1, ..good }, "`share`: got 1"),
        (PairedParameters { share_max: 1, ..good }, "`share_max`: got 1"),
        (PairedParameters { share: 20, ..good }, "`share_max`: got 16, wanted from `share`"),
        (PairedParameters { look: 1, ..good }, "`look`: got 1"),
        (PairedParameters { samples: 16, ..good }, "`samples`: got 16"),
        (
            PairedParameters { block: 10_000, burn_in: 9_999, samples: 2_000, ..good },
            "`samples`: got",
        ),
        (PairedParameters { accept: f64::NAN, ..good }, "`accept`: got NaN"),
        (PairedParameters { accept_last: -1.0, ..good }, "`accept_last`: got -1"),
        (PairedParameters { reject: 0.0, ..good }, "`reject`: got 0"),
        (PairedParameters { sigma_min: 0.0, ..good }, "`sigma_min`: got 0"),
        (PairedParameters { sigma_max: f64::INFINITY, ..good }, "`sigma_max`: got inf"),
        (PairedParameters { sigma: 5.0, ..good }, "`sigma`: got 5"),
        (PairedParameters { grow: 0.5, ..good }, "`grow`: got 0.5"),
        (PairedParameters { shrink: 0.0, ..good }, "`shrink`: got 0"),
    ] {
        let error = refuse(gorgo(), &config(StrategyConfig::Paired(bad))).to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

/// Sends requests with the same prompt through the router, one in each millisecond. `end` does with each what it wants,
/// given the time, the ticket, and whether its `w_rtt` lies above 0.5, where it starts.
fn send(tuned: &mut Router, requests: u64, mut end: impl FnMut(&mut Router, Nanos, Ticket, bool)) {
    let prompt = BlockChain::from_tokens(&[7; 64], 16).expect("a prompt");
    for session in 0..requests {
        let now = Nanos::from_millis(1_000 + session);
        let request = RoutingRequest {
            id: RequestId { session, turn: 0 },
            prompt: &prompt,
            max_tokens: Tokens(16),
            session: None,
            hops: 0,
            residency: None,
        };
        let Target::Replica(replica) = tuned.decide(now, &request, session).target else {
            panic!("nobody to send it to")
        };
        let weights = tuned.tuned_weights().expect("a tuner");
        let above = weights.iter().any(|(name, weight)| name == "w_rtt" && weight > 0.5);
        let ticket = tuned.dispatched(now, &request, replica);
        end(tuned, now, ticket, above);
    }
}

/// Requests that are still out when all of a trial have been dealt count for the weights that routed them.
#[test]
fn a_slow_request_counts_for_the_weights_that_routed_it() {
    let mut tuned = router(gorgo());
    tuned.tune(&config(paired()), 1).expect("it fits");
    let mut out = Vec::new();
    send(&mut tuned, 600, |tuned, now, ticket, above| {
        if above {
            out.push(ticket);
        } else {
            tuned.first_token(now + Nanos::from_millis(10), ticket);
            tuned.finished(now + Nanos::from_millis(20), ticket, None);
        }
        assert_eq!(tuned.take_tune_step(), None, "half of the trial is still out");
    });
    // The trial deals out 384 places, half of them above; after that the best known weights route alone.
    assert_eq!(out.len(), 192);
    let mut steps = Vec::new();
    for ticket in out {
        tuned.first_token(Nanos::from_secs(10), ticket);
        steps.extend(tuned.take_tune_step());
    }
    steps.retain(|step| step.weight.as_deref() == Some("w_rtt"));
    // The first look suffices: those above are far slower. What comes later belongs to a trial that is over.
    assert_eq!(steps.len(), 1);
    assert!(steps[0].accepted && steps[0].score > 2.0, "{:?}", steps[0]);
    assert!(steps[0].best[1] < 0.5 && steps[0].best == steps[0].candidate, "{:?}", steps[0]);
}

#[test]
fn failed_requests_are_the_slowest_and_cancelled_ones_say_nothing() {
    let outcome = |failed: bool| {
        let mut tuned = router(gorgo());
        tuned.tune(&config(paired()), 1).expect("it fits");
        let mut steps = Vec::new();
        send(&mut tuned, 1_000, |tuned, now, ticket, above| {
            match (above, failed) {
                (false, _) => tuned.finished(now + Nanos::from_millis(10), ticket, None),
                (true, true) => tuned.failed(now + Nanos::from_millis(1), ticket),
                (true, false) => tuned.cancelled(now + Nanos::from_millis(1), ticket),
            }
            steps.extend(tuned.take_tune_step());
        });
        steps.retain(|step| step.weight.as_deref() == Some("w_rtt"));
        let of_w_rtt = steps.iter().map(|step| (step.accepted, step.candidate[1]));
        of_w_rtt.collect::<Vec<(bool, f64)>>()
    };
    let failed = outcome(true);
    assert!(failed.iter().all(|&(accepted, w_rtt)| !accepted || w_rtt <= 0.5), "{failed:?}");
    assert!(failed[0].0, "where one level fails, the other is accepted at the first look");
    // Nothing to compare: each trial runs its full length, the second with one block in four at each level.
    let cancelled = outcome(false);
    assert_eq!(cancelled.iter().filter(|step| step.0).count(), 0, "{cancelled:?}");
    assert_eq!(cancelled.len(), 1, "the next trial needs 768 requests more");
}

/// A tuner of one weight, which starts at the lower edge of its box.
fn at_the_edge() -> Router {
    let mut tuned = router(gorgo());
    let weights = vec![Bounds { name: "w_rtt".into(), low: 0.5, high: 20.0 }];
    let config = TunerConfig { weights, ..config(paired()) };
    tuned.tune(&config, 1).expect("it fits");
    tuned
}

#[test]
fn where_nothing_better_is_found_hardly_a_request_pays_for_looking() {
    let mut tuned = at_the_edge();
    let (steps, rows) = drive(&mut tuned, 4_000, |w_rtt| 100.0 * w_rtt);
    assert!(!steps.is_empty() && steps.iter().all(|step| !step.accepted), "{steps:?}");
    assert!(steps.windows(2).all(|pair| pair[1].sigma <= pair[0].sigma));
    let exposed = |row: &&LogRow| row.weights.as_ref().expect("weights")["w_rtt"] > 0.5;
    let (first, last) = (rows[..32].iter().filter(exposed).count(), &rows[2_000..]);
    assert_eq!(first, 16, "at first every other request");
    let last = last.iter().filter(exposed).count();
    assert!((100..=130).contains(&last), "in the end one in 16: {last} of 2,000");
}

#[test]
fn what_becomes_better_later_is_found_later() {
    let mut tuned = at_the_edge();
    drive(&mut tuned, 2_000, |w_rtt| 100.0 * w_rtt);
    assert_eq!(tuned.tuner().expect("a tuner").best(), [0.5]);
    let (_, rows) = drive(&mut tuned, 10_000, |w_rtt| 100.0 / w_rtt);
    let best = tuned.tuner().expect("a tuner").best()[0];
    assert!(best > 5.0, "w_rtt is {best}");
    assert!(rows.iter().any(|row| row.weights.as_ref().expect("weights")["w_rtt"] > 10.0));
}

#[test]
fn the_lots_of_two_weights_have_nothing_to_do_with_each_other() {
    let mut tuned = router(gorgo());
    tuned.tune(&config(paired()), 1).expect("it fits");
    // Of nearly constant costs the first trial runs its full length, or ends by chance at a look.
    let (_, rows) = drive(&mut tuned, 64, |_| 200.0);
    let mut met = [0; 4];
    for row in &rows {
        let weights = row.weights.as_ref().expect("weights");
        met[usize::from(weights["w_rtt"] > 0.5) * 2 + usize::from(weights["w_queue"] > 0.1)] += 1;
    }
    assert_eq!([met[0] + met[1], met[0] + met[2]], [32, 32], "half of each weight's are below");
    assert!(met.iter().all(|&count| (8..=24).contains(&count)), "{met:?}");
}
