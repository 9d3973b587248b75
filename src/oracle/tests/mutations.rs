//! Planted faults: the comparison with the slow engine must notice every one of them.
//!
//! The faults are in the fast engine itself, behind its feature `mutations`:
//! `cargo test -p gorgo-oracle --features mutations --test mutations -- --nocapture`.

use gorgo_model::{Mutation, SglangReplica};
use gorgo_oracle::cases::{Size, case};
use gorgo_oracle::engine::run_slow;
use gorgo_oracle::fast::run_replica;
use gorgo_oracle::script::{Outcome, Script};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A fault must show within so many cases.
const CASES: u64 = 400;

/// What the faulty engine makes of a script; an error where it stops at one of its own assertions, or never stops.
fn outcome(script: &Script, mutation: Option<Mutation>) -> Result<Outcome, String> {
    let mut replica = SglangReplica::new(script.config.clone()).map_err(|e| e.to_string())?;
    if let Some(mutation) = mutation {
        replica.set_mutation(mutation);
    }
    // Its checks on demand are left out: it is the comparison that has to notice.
    catch_unwind(AssertUnwindSafe(|| run_replica(replica, script, false)))
        .unwrap_or_else(|_| Err("an assertion".to_owned()))
}

#[test]
fn every_planted_fault_is_noticed() {
    let expected: Vec<_> = (0..CASES)
        .map(|number| {
            let script = case(number, Size::Small);
            let slow = run_slow(&script).0;
            assert_eq!(
                outcome(&script, None).as_ref(),
                Ok(&slow),
                "without a fault, case {number}"
            );
            (script, slow)
        })
        .collect();
    // The engine's assertions would fill the screen.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let results: Vec<_> =
        Mutation::ALL.iter().map(|&mutation| (mutation, noticed_in(&expected, mutation))).collect();
    std::panic::set_hook(hook);
    for (mutation, (differs, stops)) in &results {
        let first = differs.iter().chain(stops).min();
        println!(
            "mutation {mutation:?}: noticed after {first:?} cases; of {CASES}, {} differ and {} fail an assertion",
            differs.len(),
            stops.len()
        );
    }
    let unnoticed: Vec<_> = results.iter().filter(|(_, (differs, _))| differs.is_empty()).collect();
    assert!(Mutation::ALL.len() >= 10 && unnoticed.is_empty(), "no difference: {unnoticed:?}");
}

/// The cases (from 1) in which a fault makes a difference, and those in which the faulty engine stops.
fn noticed_in(expected: &[(Script, Outcome)], mutation: Mutation) -> (Vec<usize>, Vec<usize>) {
    let (mut differs, mut stops) = (Vec::new(), Vec::new());
    for ((script, slow), nth) in expected.iter().zip(1..) {
        match outcome(script, Some(mutation)) {
            Ok(fast) if fast == *slow => {}
            Ok(_) => differs.push(nth),
            Err(_) => stops.push(nth),
        }
    }
    (differs, stops)
}
