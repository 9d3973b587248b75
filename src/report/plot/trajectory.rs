//! A search by its candidates: a dot for each in the order in which they came, and the best so far as a line.

use super::axis::{Frame, Scale, short};
use super::canvas::{Ink, PALETTE, Point, Stroke, WHITE, draw, stairs};
use super::legend::{HEADING, Legend, Sample, heading};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 320.0;
const BEST: Ink = PALETTE[0];
const FULL: Ink = PALETTE[1];
const STOPPED: Ink = PALETTE[7];
const BROKEN: Ink = PALETTE[5];
/// What lies above this many times the best is drawn at the upper edge: it would flatten everything else.
const TALLEST: f64 = 4.0;

/// A candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrajectoryPoint {
    /// Its objective.
    pub value: f64,
    /// The best by then.
    pub best: f64,
    /// Whether it met all seeds; else it was stopped early.
    pub is_full: bool,
    /// Whether it keeps its bounds.
    pub is_kept: bool,
}

/// The plot, as SVG; `metric` is what the vertical axis shows.
#[must_use]
pub fn trajectory(title: &str, subtitle: &str, metric: &str, points: &[TrajectoryPoint]) -> String {
    let entries = vec![
        ("best so far".to_owned(), Sample::Line(Stroke::solid(BEST, 1.8))),
        ("met all seeds".to_owned(), Sample::Box(FULL)),
        ("stopped early".to_owned(), Sample::Box(STOPPED)),
        ("breaks a bound".to_owned(), Sample::Box(BROKEN)),
    ];
    let is_broken = points.iter().any(|point| !point.is_kept);
    let entries = entries.into_iter().take(if is_broken { 4 } else { 3 }).collect();
    let legend = Legend::new(entries, WIDTH - 40.0);
    let frame = Frame { left: 84.0, top: HEADING + 8.0, width: WIDTH - 106.0, height: HEIGHT };
    let bottom = frame.bottom() + 52.0;
    draw(WIDTH, bottom + legend.height() + 16.0, |canvas| {
        heading(canvas, WIDTH, title, subtitle);
        let x = Scale { from: 0.0, to: (points.len() as f64).max(1.0), log: false };
        let y = scale(points);
        let ticks = if y.log { y.log_ticks(short) } else { y.linear_ticks(6.0, short) };
        frame.draw_y(canvas, y, &ticks);
        frame.draw_x(canvas, x, &x.linear_ticks(10.0, short));
        frame.title_x(canvas, "candidate");
        frame.title_y(canvas, metric, 62.0);
        if points.is_empty() {
            frame.say(canvas, "no candidate");
        }
        for (place, point) in points.iter().enumerate() {
            let value = if point.value.is_finite() { point.value } else { y.to };
            let (at_x, at_y) = frame.place(x, y, (place as f64, value));
            let ink = match (point.is_kept, point.is_full) {
                (false, _) => BROKEN,
                (true, true) => FULL,
                (true, false) => STOPPED,
            };
            canvas.rectangle((at_x - 3.0, at_y - 3.0), (at_x + 3.0, at_y + 3.0), ink);
            if !point.is_full {
                canvas.rectangle((at_x - 1.8, at_y - 1.8), (at_x + 1.8, at_y + 1.8), WHITE);
            }
        }
        let known = points.iter().enumerate().filter(|(_, point)| point.best.is_finite());
        let line: Vec<Point> =
            known.map(|(place, point)| frame.place(x, y, (place as f64, point.best))).collect();
        canvas.line(&stairs(&line), Stroke::solid(BEST, 1.8));
        frame.draw_edges(canvas);
        legend.draw(canvas, WIDTH / 2.0, bottom);
    })
}

/// Logarithmic where all are above zero; else from zero, or from the least where that is below.
fn scale(points: &[TrajectoryPoint]) -> Scale {
    let finite = || points.iter().flat_map(|p| [p.value, p.best]).filter(|v| v.is_finite());
    let least = finite().fold(f64::INFINITY, f64::min);
    let most = finite().fold(f64::NEG_INFINITY, f64::max);
    if least >= 1e-3 && most.is_finite() {
        return Scale::log(least, most.min(least * TALLEST));
    }
    let most = if most.is_finite() { most } else { 1.0 };
    if least.is_finite() && least < 0.0 {
        Scale { from: least, to: most.max(0.0), log: false }
    } else {
        Scale::linear(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_candidate_is_drawn_and_none_at_all_is_no_panic() {
        let point =
            |value, is_full, is_kept| TrajectoryPoint { value, best: 10.0, is_full, is_kept };
        let points =
            [point(10.0, true, true), point(1e9, false, true), point(f64::INFINITY, false, false)];
        let svg = trajectory("t", "s", "ttft_ms.p95", &points);
        assert!(svg.contains("best so far") && svg.contains("breaks a bound"), "{svg}");
        assert!(!trajectory("t", "s", "m", &points[..2]).contains("breaks a bound"));
        assert!(trajectory("t", "s", "m", &[]).contains("no candidate"));
    }
}
