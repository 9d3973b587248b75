//! The fast engine against the slow one: the same nanosecond (indeed femtosecond) for every token of every request,
//! the same events, scrapes, gaps and totals, on drawn scripts; and a count of what those scripts reached.

use gorgo_oracle::cases::{Size, case};
use gorgo_oracle::coverage::Coverage;
use gorgo_oracle::engine::run_slow;
use gorgo_oracle::fast::run_fast;
use gorgo_oracle::script::Script;
use gorgo_oracle::shrink::shrink;

/// What is wrong with the fast engine on this script, if anything.
fn wrong(script: &Script) -> Option<String> {
    let (slow, _) = run_slow(script);
    match run_fast(script) {
        Ok(fast) => {
            slow.difference(&fast).map(|difference| format!("slow against fast: {difference}"))
        }
        Err(law) => Some(law),
    }
}

/// Runs the cases on both engines; returns what they reached.
fn compare(cases: std::ops::Range<u64>, size: Size) -> Coverage {
    let mut reached = Coverage::default();
    for number in cases {
        let script = case(number, size);
        let (slow, coverage) = run_slow(&script);
        reached.add(&coverage);
        let agree = run_fast(&script).is_ok_and(|fast| slow == fast);
        if !agree {
            let what = wrong(&script);
            let small = shrink(&script, |less| wrong(less).is_some());
            panic!("case {number}: {what:?}\nsmallest: {:?}\n{small}", wrong(&small));
        }
    }
    reached
}

/// Every count must be at least as high as its floor; all are printed.
fn assert_reached(reached: &Coverage, floors: &[(&str, u64)]) {
    let counts = reached.named();
    for (name, count) in &counts {
        println!("coverage {name}: {count}");
    }
    let floors: std::collections::BTreeMap<_, _> = floors.iter().copied().collect();
    assert!(
        floors.keys().all(|name| counts.iter().any(|(other, _)| other == name)),
        "no such count"
    );
    let missed: Vec<_> = counts
        .iter()
        .map(|&(name, count)| (name, count, floors.get(name).copied().unwrap_or(0)))
        .filter(|&(_, count, floor)| count < floor)
        .collect();
    assert!(missed.is_empty(), "not reached often enough (name, count, floor): {missed:?}");
}

/// About half of what 1,000 small cases reach.
const FLOORS: [(&str, u64); 29] = [
    ("retractions", 300),
    ("retractions_of_several", 10),
    ("evictions_in_prefill", 4_000),
    ("evictions_in_decode", 2_000),
    ("full_for_memory", 1_500),
    ("full_for_slots", 1_500),
    ("full_cleared", 3_000),
    ("chunked_with_prefix", 1_500),
    ("chunked_after_retraction", 200),
    ("ready_on_boundary", 100),
    ("ready_out_of_order", 1_000),
    ("observed_in_decode", 700),
    ("observed_on_boundary", 20),
    ("cancelled_waiting", 500),
    ("cancelled_running", 80),
    ("cancelled_chunked", 20),
    ("crashes", 20),
    ("duplicates_freed", 2_000),
    ("hung_under_tail", 1_000),
    ("hit_through_tail", 300),
    ("output_found_elsewhere", 200),
    ("lpm_reorders", 500),
    ("lone_requests", 5),
    ("whole_prompt_hits", 1_500),
    ("matches_to_state", 1_000),
    ("matches_cut_to_state", 1_500),
    ("states_dropped", 10_000),
    ("decode_steps", 100_000),
    ("finished", 6_000),
];

#[test]
fn both_engines_agree_on_small_cases() {
    let reached = compare(0..1_000, Size::Small);
    assert_reached(&reached, &FLOORS);
}

#[test]
#[ignore = "minutes in a release build: .ci/long"]
fn both_engines_agree_on_many_cases() {
    let mut reached = compare(1_000..21_000, Size::Small);
    println!("differential: 20000 small cases agree");
    reached.add(&compare(0..1_000, Size::Large));
    println!("differential: 1000 large cases agree");
    let mut floors = FLOORS.map(|(name, floor)| (name, floor * 20)).to_vec();
    floors.push(("lpm_given_up", 100));
    assert_reached(&reached, &floors);
}
