//! Makes a failing script small: leaves out what it fails without. For a person who has to read it.

use crate::script::{Action, Script};

/// A script that still fails and from which nothing single can be left out.
#[must_use]
pub fn shrink(script: &Script, fails: impl Fn(&Script) -> bool) -> Script {
    let mut smallest = script.clone();
    let mut span = smallest.actions.len();
    while span > 0 {
        let mut from = 0;
        let mut shrunk = false;
        while from < smallest.actions.len() {
            let less = without(&smallest, from, span);
            if fails(&less) {
                smallest = less;
                shrunk = true;
            } else {
                from += span;
            }
        }
        if !shrunk || span > 1 {
            span /= 2;
        }
    }
    smallest
}

/// The script without `span` actions from the one at `from`; cancels of requests that are gone go too.
fn without(script: &Script, from: usize, span: usize) -> Script {
    let mut kept = Vec::new();
    let mut renumbered = Vec::new();
    let mut next = 0;
    for (at, (_, action)) in script.actions.iter().enumerate() {
        let gone = (from..from + span).contains(&at);
        if matches!(action, Action::Arrive(_)) {
            renumbered.push((!gone).then_some(next));
            next += usize::from(!gone);
        }
    }
    for (at, (time, action)) in script.actions.iter().enumerate() {
        if (from..from + span).contains(&at) {
            continue;
        }
        match action {
            Action::Cancel(index) => {
                if let Some(index) = renumbered[*index] {
                    kept.push((*time, Action::Cancel(index)));
                }
            }
            other => kept.push((*time, other.clone())),
        }
    }
    Script { config: script.config.clone(), actions: kept }
}
