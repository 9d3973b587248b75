//! The TTFT of all policies as cumulative shares on a logarithmic axis. A policy that leaves requests unfinished
//! never reaches 100 %.

use super::axis::{Frame, Scale, short, time_label};
use super::canvas::{Point, Stroke, draw};
use super::legend::{HEADING, Legend, Sample, heading};
use super::subtitle;
use gorgo_metrics::{Histogram, RunResult};

const WIDTH: f64 = 800.0;
const PLOT_HEIGHT: f64 = 360.0;

/// The plot, as SVG.
#[must_use]
pub fn ttft_cdf(runs: &[&RunResult]) -> String {
    let entries = runs
        .iter()
        .enumerate()
        .map(|(index, run)| (run.names.policy.clone(), Sample::Line(Stroke::of_series(index))));
    let legend = Legend::new(entries.collect(), WIDTH - 40.0);
    let frame = Frame { left: 76.0, top: HEADING, width: WIDTH - 76.0 - 28.0, height: PLOT_HEIGHT };
    let height = frame.bottom() + 58.0 + legend.height() + 14.0;
    draw(WIDTH, height, |canvas| {
        heading(canvas, WIDTH, "Time to first token by policy", &subtitle(runs));
        let ttft: Vec<Histogram<u64>> = runs.iter().map(|run| run.ttft.histogram()).collect();
        let some: Vec<_> = ttft.iter().filter(|ttft| !ttft.is_empty()).collect();
        let least = some.iter().map(|ttft| ttft.min()).min();
        let most = some.iter().map(|ttft| ttft.max()).max();
        if let (Some(least), Some(most)) = (least, most) {
            let x = Scale::log(ms(least), ms(most));
            let y = Scale { from: 0.0, to: 100.0, log: false };
            frame.draw_x(canvas, x, &x.log_ticks(time_label));
            frame.draw_y(canvas, y, &y.linear_ticks(5.0, short));
            for (index, (run, ttft)) in runs.iter().zip(&ttft).enumerate() {
                canvas.line(&steps(run, ttft, frame, x, y), Stroke::of_series(index));
            }
            frame.title_x(canvas, "time to first token (scheduled to first token at the client)");
            frame.title_y(canvas, "share of measured requests, %", 52.0);
        } else {
            frame.say(canvas, "No measured request completed.");
        }
        frame.draw_edges(canvas);
        legend.draw(canvas, WIDTH / 2.0, frame.bottom() + 54.0);
    })
}

/// The staircase of a run, from the left edge to the right.
fn steps(run: &RunResult, ttft: &Histogram<u64>, frame: Frame, x: Scale, y: Scale) -> Vec<Point> {
    let measured = run.summary.window.measured.max(ttft.len()) as f64;
    let mut points = Vec::new();
    let mut below = 0;
    let mut last_x = f64::NEG_INFINITY;
    for bucket in ttft.iter_recorded() {
        let at = frame.x(x, ms(bucket.value_iterated_to().min(ttft.max())));
        let before = frame.y(y, below as f64 / measured * 100.0);
        below += bucket.count_at_value();
        let after = frame.y(y, below as f64 / measured * 100.0);
        // Steps within a quarter of a pixel are one.
        if at - last_x < 0.25
            && let Some(last) = points.last_mut()
        {
            *last = (last_x, after);
        } else {
            points.extend([(at, before), (at, after)]);
            last_x = at;
        }
    }
    if let Some(&(_, level)) = points.last() {
        points.push((frame.right(), level));
    }
    points
}

fn ms(ns: u64) -> f64 {
    gorgo_types::Nanos(ns).as_ms()
}
