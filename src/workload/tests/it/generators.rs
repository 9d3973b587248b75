//! Generators: the same key gives the same content, distributions are those asked for, times are in order, feedback
//! follows completions.

use crate::common::drain;
use gorgo_random::{Key, Purpose};
use gorgo_types::{Nanos, Request, RequestId};
use gorgo_workload::{
    ArrivalSpec, ArrivalTimes, ChatGenerator, ChatSpec, ClosedLoop, ClosedLoopSpec, Completed, Due,
    OriginShare, PrefixGroups, PrefixGroupsSpec, Recorded, Retimed, SessionStart, Source,
    ThinkSpec, TraceInfo, TurnCount, TurnTiming, WorkloadError,
};
use std::collections::{BTreeMap, BTreeSet};

/// Runs a source whose requests each last `service`, and gives all of them in the order taken.
fn run(source: &mut dyn Source, service: impl Fn(&Request) -> Nanos) -> Vec<(Nanos, Request)> {
    let mut under_way: BTreeSet<(Nanos, RequestId)> = BTreeSet::new();
    let mut taken: Vec<(Nanos, Request)> = Vec::new();
    loop {
        let due = source.next_due().expect("a generator");
        let ends = under_way.first().copied();
        match (due, ends) {
            (Due::At(at), ends) if ends.is_none_or(|(end, _)| at <= end) => {
                assert!(taken.last().is_none_or(|(last, _)| *last <= at), "time went backwards");
                let (at, request) = source.take().expect("due");
                under_way.insert((at + service(&request), request.id));
                taken.push((at, request));
            }
            (_, Some((at, id))) => {
                under_way.remove(&(at, id));
                source.finished(Completed { id, at, ok: true });
            }
            (Due::End, None) => return taken,
            (due, None) => panic!("{due:?} with nothing under way"),
        }
    }
}

fn chat(requests: u64) -> ChatSpec {
    ChatSpec { requests: Some(requests), ..ChatSpec::default() }
}

#[test]
fn the_same_requests_come_whatever_the_service() {
    let contents = |service_ms: u64, seed: u64| {
        let mut source = ChatGenerator::new(chat(2_000), seed).expect("valid");
        assert_eq!(source.size_hint(), Some(2_000));
        let taken = run(&mut source, |r| Nanos::from_millis(service_ms + r.output_tokens.0));
        let by_id: BTreeMap<RequestId, Request> =
            taken.into_iter().map(|(_, request)| (request.id, request)).collect();
        assert_eq!(by_id.len(), 2_000);
        by_id
    };
    let slow = contents(60_000, 1);
    assert_eq!(contents(1, 1), slow);
    assert_ne!(contents(1, 2), slow);
}

#[test]
fn a_turn_goes_on_from_the_answer_before_and_after_think_time() {
    let spec = ChatSpec { think: ThinkSpec { mean_s: 7.0, sd_s: 0.0 }, ..chat(3_000) };
    let mut source = ChatGenerator::new(spec, 5).expect("valid");
    let service = Nanos::from_millis(900);
    let taken = run(&mut source, |_| service);
    let mut last: BTreeMap<u64, (Nanos, Request)> = BTreeMap::new();
    let mut later = 0;
    for (at, request) in taken {
        assert!(request.max_tokens >= request.output_tokens);
        let sequence = request.sequence.as_ref().expect("chats know their outputs");
        assert_eq!(sequence.common_blocks(&request.prompt), request.prompt.whole_blocks());
        assert_eq!(sequence.tokens(), request.prompt.tokens() + request.output_tokens);
        assert!(sequence.tokens().0 <= 32_768);
        if let Some((before_at, before)) = last.get(&request.id.session) {
            let whole = before.sequence.as_ref().expect("known");
            assert_eq!(request.id.turn, before.id.turn + 1);
            assert_eq!(request.prompt.common_blocks(whole), whole.whole_blocks());
            assert_eq!(at, *before_at + service + Nanos::from_secs(7));
            assert_eq!((request.user, request.origin), (before.user, before.origin));
            later += 1;
        } else {
            assert_eq!(request.id.turn, 0);
        }
        last.insert(request.id.session, (at, request));
    }
    assert!(later > 1_000, "{later} later turns");
}

#[test]
fn turns_are_near_the_published_distribution() {
    let key = Key::new(11).with(Purpose::Session);
    let n = 200_000;
    let mut turns: Vec<u32> =
        (0..n).map(|i| TurnCount::Wildchat.sample(key.word(i).draw())).collect();
    turns.sort_unstable();
    let mean = turns.iter().map(|&t| f64::from(t)).sum::<f64>() / n as f64;
    assert!((mean - 2.35).abs() < 0.03, "mean {mean}");
    let at = |percent: usize| turns[(turns.len() * percent).div_ceil(100) - 1];
    assert_eq!((at(50), at(90), at(95)), (1, 5, 7));
    assert!((12..=14).contains(&at(99)), "P99 {}", at(99));
    for (k, share) in [(2, 0.4211), (3, 0.2619), (5, 0.1243), (10, 0.0273)] {
        let got = turns.iter().filter(|&&t| t >= k).count() as f64 / n as f64;
        assert!((got - share).abs() < 0.004, "at least {k}: {got}, published {share}");
    }
    let geometric = TurnCount::Geometric { mean: 3.0 };
    let sum: u32 = (0..n).map(|i| geometric.sample(key.word(i).draw())).sum();
    assert!((f64::from(sum) / n as f64 - 3.0).abs() < 0.03);
}

#[test]
fn arrivals_have_the_rate_and_the_variation_asked_for() {
    for (spec, cv) in [
        (ArrivalSpec::Constant { rate_rps: 50.0 }, 0.0),
        (ArrivalSpec::Poisson { rate_rps: 50.0 }, 1.0),
        (ArrivalSpec::Gamma { rate_rps: 50.0, cv: 0.5 }, 0.5),
        (ArrivalSpec::Gamma { rate_rps: 50.0, cv: 3.0 }, 3.0),
    ] {
        let mut times = ArrivalTimes::new(spec, Key::new(3)).expect("valid");
        assert_eq!(times.peek(), Nanos::ZERO);
        let n = 200_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let before = times.peek();
            times.advance();
            let gap = (times.peek() - before).as_s();
            sum += gap;
            squares += gap * gap;
        }
        let mean = sum / f64::from(n);
        let got = (squares / f64::from(n) - mean * mean).max(0.0).sqrt() / mean;
        assert!((mean * 50.0 - 1.0).abs() < 0.02, "{spec:?}: mean gap {mean}");
        assert!((got - cv).abs() <= 0.03 * cv.max(0.01), "{spec:?}: CV {got}");
    }
}

#[test]
fn origins_come_in_their_shares() {
    let share = |share, country: &str| OriginShare {
        share,
        country: Some(country.to_owned()),
        ..OriginShare::default()
    };
    let spec = ChatSpec {
        turn_timing: TurnTiming::Recorded,
        origins: vec![share(3.0, "Japan"), share(1.0, "Chile")],
        ..chat(20_000)
    };
    let mut source = ChatGenerator::new(spec, 1).expect("valid");
    let info = TraceInfo::of(&mut source).expect("an open loop");
    assert_eq!((info.origins[0].origin.as_str(), info.distinct_origins), ("Japan", 2));
    let japan = info.origins[0].requests as f64 / 20_000.0;
    assert!((japan - 0.75).abs() < 0.02, "{japan}");
    assert!(info.prefix_token_hit_rate_infinite > 0.3);
    assert_eq!(info.hidden_output_reuse_rate_max, 0.0);
}

#[test]
fn a_duration_ends_the_chats_and_counts_what_it_cut() {
    let spec = ChatSpec { requests: None, duration_s: Some(200.0), ..ChatSpec::default() };
    let mut source = ChatGenerator::new(spec, 1).expect("valid");
    let taken = run(&mut source, |_| Nanos::from_secs(3));
    assert!(taken.len() > 300);
    assert!(taken.iter().all(|(at, _)| *at < Nanos::from_secs(200)));
    assert!(source.warnings()[0].contains("turns were dropped"), "{:?}", source.warnings());
}

#[test]
fn users_hold_their_sessions_one_after_the_other() {
    let spec = ChatSpec { start: SessionStart::Users { users: 5, ramp_s: 1.0 }, ..chat(400) };
    let mut source = ChatGenerator::new(spec, 1).expect("valid");
    let service = Nanos::from_secs(2);
    let taken = run(&mut source, |_| service);
    assert_eq!(taken.len(), 400);
    let mut free: BTreeMap<u64, Nanos> = BTreeMap::new();
    for (at, request) in &taken {
        let user = request.user.expect("users have names");
        assert!(user < 5 && request.id.session % 5 == user);
        assert!(free.get(&user).is_none_or(|end| end <= at), "user {user} has two under way");
        free.insert(user, *at + service);
    }
}

#[test]
fn a_closed_loop_keeps_its_users_busy_and_no_more() {
    let groups = PrefixGroupsSpec { requests: 500, ..PrefixGroupsSpec::default() };
    let spec = ClosedLoopSpec { users: 4, think: ThinkSpec::default(), ramp_s: 0.0 };
    let inner = PrefixGroups::new(groups.clone(), 1).expect("valid");
    let mut source = ClosedLoop::new(inner, &spec, Key::new(1)).expect("valid");
    let taken = run(&mut source, |_| Nanos::from_millis(10));
    assert_eq!(taken.len(), 500);
    for (i, (at, request)) in taken.iter().enumerate() {
        assert_eq!(*at, Nanos::from_millis(i as u64 / 4 * 10));
        assert_eq!(request.id.session, i as u64);
    }
    let open = drain(&mut PrefixGroups::new(groups, 1).expect("valid")).expect("open");
    assert!(open.iter().zip(&taken).all(|(a, b)| a.1 == b.1));
    let feedback = ChatGenerator::new(chat(9), 1).expect("valid");
    let refused = ClosedLoop::new(feedback, &spec, Key::new(1)).err();
    assert!(matches!(refused, Some(WorkloadError::NeedsCompletions { .. })));
}

#[test]
fn a_recording_replays_the_same_and_can_be_timed_anew() {
    let spec = PrefixGroupsSpec { requests: 1_000, ..PrefixGroupsSpec::default() };
    let recorded = Recorded::read(&mut PrefixGroups::new(spec.clone(), 4).expect("valid"))
        .expect("needs no completions");
    let direct = drain(&mut PrefixGroups::new(spec, 4).expect("valid")).expect("open");
    assert_eq!(drain(&mut recorded.replay()).expect("memory"), direct);
    assert_eq!(recorded.replay().size_hint(), Some(1_000));
    let constant = ArrivalSpec::Constant { rate_rps: 10.0 };
    let mut retimed = Retimed::new(recorded.replay(), constant, Key::new(1)).expect("valid");
    let slow = drain(&mut retimed).expect("memory");
    assert_eq!(slow[999].0, Nanos::from_millis(99_900));
    assert!(slow.iter().zip(&direct).all(|(a, b)| a.1 == b.1));
    let mut feedback = ChatGenerator::new(chat(9), 1).expect("valid");
    let refused = Recorded::read(&mut feedback);
    assert!(matches!(refused, Err(WorkloadError::NeedsCompletions { .. })));
}

#[test]
fn prefix_groups_share_what_they_say() {
    let spec = PrefixGroupsSpec {
        requests: 20_000,
        groups: 50,
        prefix_tokens: vec![520, 1024],
        ..PrefixGroupsSpec::default()
    };
    let taken = drain(&mut PrefixGroups::new(spec, 9).expect("valid")).expect("open");
    let mut by_first: BTreeMap<_, Vec<&Request>> = BTreeMap::new();
    for (_, request) in &taken {
        by_first.entry(request.prompt.ids()[0]).or_default().push(request);
    }
    assert_eq!(by_first.len(), 50);
    let mut sizes: Vec<usize> = by_first.values().map(Vec::len).collect();
    sizes.sort_unstable();
    // Zipf with exponent 1 over 50 prefixes gives the first 1 / H(50) = 22.2 %.
    let first = sizes[49] as f64 / 20_000.0;
    assert!((first - 0.222).abs() < 0.015, "{first}");
    for group in by_first.values() {
        let common = group[0].prompt.common_blocks(&group[1].prompt);
        assert!([520 / 16, 1024 / 16].contains(&common), "{common} blocks in common");
    }
}

#[test]
fn parameters_out_of_range_are_refused_by_name() {
    let cases: Vec<(ChatSpec, &str)> = vec![
        (ChatSpec { requests: None, ..chat(1) }, "`requests`: got neither"),
        (chat(0), "`requests`: got 0"),
        (ChatSpec { block_tokens: 0, ..chat(1) }, "`block_tokens`: got 0"),
        (ChatSpec { context_tokens_max: 100, ..chat(1) }, "`context_tokens_max`: got 100"),
        (ChatSpec { max_tokens: Some(0), ..chat(1) }, "`max_tokens`: got 0"),
        (ChatSpec { turns: TurnCount::Fixed { turns: 0 }, ..chat(1) }, "`turns.fixed`: got 0"),
        (
            ChatSpec { think: ThinkSpec { mean_s: f64::NAN, sd_s: 0.0 }, ..chat(1) },
            "`think.mean_s`: got NaN",
        ),
        (ChatSpec { origins: vec![OriginShare::default()], ..chat(1) }, "`origins.share`: got 0"),
        (
            ChatSpec {
                start: SessionStart::Arrivals(ArrivalSpec::Poisson { rate_rps: -1.0 }),
                ..chat(1)
            },
            "`rate_rps`: got -1",
        ),
        (
            ChatSpec {
                start: SessionStart::Arrivals(ArrivalSpec::Gamma { rate_rps: 1.0, cv: 0.0 }),
                ..chat(1)
            },
            "`cv`: got 0",
        ),
        (ChatSpec { start: SessionStart::Users { users: 0, ramp_s: 0.0 }, ..chat(1) }, "got 0"),
    ];
    for (spec, part) in cases {
        let error = ChatGenerator::new(spec, 1).err().expect(part).to_string();
        assert!(error.contains(part) && error.contains("wanted"), "{error} without {part}");
    }
    let groups =
        PrefixGroupsSpec { unique_tokens_min: 9, unique_tokens_max: 8, ..Default::default() };
    let error = PrefixGroups::new(groups, 1).err().expect("min above max").to_string();
    assert!(error.contains("`unique_tokens_min`: got 9"), "{error}");
}

#[test]
fn specs_survive_serde_and_refuse_unknown_keys() {
    let spec = ChatSpec { turns: TurnCount::Geometric { mean: 2.0 }, ..chat(7) };
    let text = serde_json::to_string(&spec).expect("plain data");
    assert_eq!(serde_json::from_str::<ChatSpec>(&text).expect("its own text"), spec);
    let typo = serde_json::from_str::<ChatSpec>("{\"requets\":7}").expect_err("a typo");
    assert!(typo.to_string().contains("unknown field `requets`"), "{typo}");
}
