//! A simulation against a live run, as a table and as JSON.

use crate::grid::{Grid, Style};
use crate::json::pretty;
use crate::table::milliseconds;
use gorgo_metrics::{NumberParity, Parity, SCHEMA};
use serde::Serialize;
use std::fmt::Write;

/// How far the simulator is off, for people.
#[must_use]
pub fn parity_table(parity: &Parity, style: Style) -> String {
    let mut grid = Grid::new(style);
    grid.header([
        ["policy", ""],
        ["number", ""],
        ["simulated", ""],
        ["live", ""],
        ["error", "%"],
        ["live rounds", ""],
    ]);
    for policy in &parity.policies {
        for (row, number) in policy.numbers.iter().enumerate() {
            let name = if row == 0 { policy.policy.clone() } else { String::new() };
            let rounds = number.live_rounds.map_or_else(String::new, |[least, most]| {
                format!("{} to {}", value(number, Some(least)), value(number, Some(most)))
            });
            let error =
                number.error.map_or_else(|| "-".to_owned(), |e| format!("{:+.1}", e * 100.0));
            grid.row([
                (name, false),
                (number.name.to_owned(), false),
                (value(number, number.simulated), false),
                (value(number, number.live), false),
                (error, false),
                (rounds, false),
            ]);
        }
    }
    let mut text = grid.finish();
    let _ = writeln!(text, "error: simulated / live - 1; times in ms\n");
    for order in &parity.orders {
        let words = |order: &[String]| order.join(" < ");
        let _ = if order.same {
            writeln!(text, "by {} the order is the same: {}", order.by, words(&order.live))
        } else {
            let (simulated, live) = (words(&order.simulated), words(&order.live));
            writeln!(text, "by {} the order differs: simulated {simulated}; live {live}", order.by)
        };
    }
    if !parity.only_one_side.is_empty() {
        let _ = writeln!(text, "only on one side: {}", parity.only_one_side.join(", "));
    }
    text
}

/// A number in its own unit.
fn value(number: &NumberParity, value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match number.name {
        name if name.contains("_ms.") => milliseconds(value),
        name if name.ends_with("rate") => format!("{:.1} %", value * 100.0),
        "completed" => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// The same as JSON, with the version of its shape.
#[must_use]
pub fn parity_json(parity: &Parity) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        parity: &'a Parity,
    }
    pretty(&Document { schema: SCHEMA, parity })
}
