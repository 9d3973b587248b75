//! SVG plots of runs, fit for a paper: units on every axis, legends outside of the data, the colour-blind safe palette
//! of Okabe and Ito, and the same bytes for the same runs.
//!
//! plotters writes the SVG; scales, ticks, legends and layout are made here (`plot/canvas.rs`, `plot/axis.rs`,
//! `plot/legend.rs`), because the data must never run under a label. One file for each picture.

mod arms;
mod axis;
mod bands;
mod beside;
mod canvas;
mod cdf;
mod front;
mod heat_map;
mod histogram;
mod legend;
mod parallel;
mod parts;
mod prediction;
mod profile;
mod surface;
mod sweep;
mod timeline;
mod trace;
mod trajectory;
mod tuning;

pub use arms::{ArmsPanel, ArmsSeries, arms};
pub use bands::{BandRun, BandSeries, ttft_bands};
pub use beside::{BesidePanel, BesideRow, beside};
pub use cdf::ttft_cdf;
pub use front::{FrontAxis, FrontPoint, front};
pub use heat_map::{HeatCell, heat_map};
pub use histogram::ttft_histogram;
pub use parallel::{ParallelAxis, ParallelLine, parallel};
pub use parts::ttft_parts;
pub use prediction::{PredictionBin, PredictionModel, PredictionPanel, prediction};
pub use profile::{ProfileCurve, ProfilePanel, profile};
pub use surface::{SurfaceAxis, SurfaceCell, SurfaceMark, surface};
pub use sweep::{SweepPanel, SweepSeries, SweepUnit, SweepValue, dots, sweep};
pub use timeline::timeline;
pub use trace::{trace_lengths, trace_rate, trace_reuse};
pub use trajectory::{TrajectoryPoint, trajectory};
pub use tuning::tuning;

use gorgo_metrics::RunResult;

/// "scenario, seed 7, 12,000 measured requests", with what did not complete.
fn subtitle(runs: &[&RunResult]) -> String {
    let Some(first) = runs.first() else { return String::new() };
    let summary = &first.summary;
    let measured: Vec<u64> = runs.iter().map(|run| run.summary.window.measured).collect();
    let same = measured.iter().all(|&count| count == measured[0]);
    let count = if same {
        grouped(measured[0])
    } else {
        let (least, most) = (measured.iter().min(), measured.iter().max());
        format!("{} to {}", grouped(*least.unwrap_or(&0)), grouped(*most.unwrap_or(&0)))
    };
    let each = if runs.len() > 1 { " each" } else { "" };
    format!("{}, seed {}, {count} measured requests{each}", summary.scenario, summary.seed)
}

/// A count with commas between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
