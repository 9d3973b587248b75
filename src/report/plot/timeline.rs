//! Requests in flight and queued over time: one panel a policy, one line a region, all panels on the same scales.

use super::axis::{Frame, Scale, TICK_SIZE, TITLE_SIZE, Tick, short};
use super::canvas::{Align, Canvas, GREY, Lettering, Point, Stroke, draw, shortened};
use super::legend::{HEADING, Legend, Sample, heading};
use super::subtitle;
use gorgo_metrics::{RunResult, TimelineSample};

const LEFT: f64 = 62.0;
const PANEL_TITLE: f64 = 22.0;
const IN_FLIGHT_HEIGHT: f64 = 104.0;
const BETWEEN: f64 = 14.0;
const QUEUED_HEIGHT: f64 = 62.0;
const BELOW: f64 = 34.0;

/// How panels are laid out.
struct Sheet {
    columns: usize,
    panel_width: f64,
    panel_height: f64,
}

/// What all panels share.
struct Scales {
    time: Scale,
    time_unit_s: f64,
    in_flight: Scale,
    queued: Scale,
}

/// The plot, as SVG.
#[must_use]
pub fn timeline(runs: &[&RunResult]) -> String {
    let columns = match runs.len() {
        0 | 1 => 1,
        2..=4 => 2,
        _ => 3,
    };
    let panel_width = [760.0, 430.0, 320.0][columns - 1];
    let panel_height = PANEL_TITLE + IN_FLIGHT_HEIGHT + BETWEEN + QUEUED_HEIGHT + BELOW;
    let sheet = Sheet { columns, panel_width, panel_height };
    let width = panel_width * columns as f64 + 40.0;
    // Runs of one command share their regions.
    let regions = runs.iter().map(|run| &run.names.regions).max_by_key(|regions| regions.len());
    let entries = regions.into_iter().flatten().enumerate();
    let entries =
        entries.map(|(index, name)| (name.clone(), Sample::Line(Stroke::of_jagged_series(index))));
    let legend = Legend::new(entries.collect(), width - 40.0);
    let rows = runs.len().div_ceil(columns).max(1);
    let bottom = HEADING + panel_height * rows as f64;
    let (scales, unit) = scales(runs);
    draw(width, bottom + 30.0 + legend.height() + 14.0, |canvas| {
        heading(canvas, width, "Requests in flight and queued, by region", &subtitle(runs));
        for (index, run) in runs.iter().enumerate() {
            panel(canvas, &sheet, &scales, index, run);
        }
        let look = Lettering::new(TITLE_SIZE, Align::Middle);
        canvas.text(
            &format!("time since the first request, {unit}"),
            (width / 2.0, bottom + 10.0),
            look,
        );
        legend.draw(canvas, width / 2.0, bottom + 28.0);
    })
}

fn scales(runs: &[&RunResult]) -> (Scales, &'static str) {
    let samples = || runs.iter().flat_map(|run| &run.timeline);
    let end_s = samples().map(|sample| sample.at.as_s()).fold(0.0, f64::max);
    let (unit_s, unit) = match end_s {
        end if end > 5.0 * 3_600.0 => (3_600.0, "h"),
        end if end > 600.0 => (60.0, "min"),
        _ => (1.0, "s"),
    };
    let time = Scale { from: 0.0, to: if end_s > 0.0 { end_s / unit_s } else { 1.0 }, log: false };
    let most = |pick: fn(&TimelineSample) -> u32| {
        Scale::linear(f64::from(samples().map(pick).max().unwrap_or(0)))
    };
    let scales = Scales {
        time,
        time_unit_s: unit_s,
        in_flight: most(|sample| sample.in_flight),
        queued: most(|sample| sample.queued),
    };
    (scales, unit)
}

fn panel(canvas: &mut Canvas<'_>, sheet: &Sheet, scales: &Scales, index: usize, run: &RunResult) {
    let left = 20.0 + sheet.panel_width * (index % sheet.columns) as f64;
    let top = HEADING + sheet.panel_height * (index / sheet.columns) as f64;
    let upper = Frame {
        left: left + LEFT,
        top: top + PANEL_TITLE,
        width: sheet.panel_width - LEFT - 18.0,
        height: IN_FLIGHT_HEIGHT,
    };
    let lower = Frame { top: upper.bottom() + BETWEEN, height: QUEUED_HEIGHT, ..upper };
    let name = shortened(&run.names.policy, 14.5, upper.width);
    let bold = Lettering { bold: true, ..Lettering::new(13.0, Align::Left) };
    canvas.text(&name, (upper.left, top + 10.0), bold);
    if run.timeline.is_empty() {
        upper.say(canvas, "no samples");
        upper.draw_edges(canvas);
        lower.draw_edges(canvas);
        return;
    }
    let time_ticks = scales.time.linear_ticks(if sheet.columns == 1 { 10.0 } else { 6.0 }, short);
    let lines_alone: Vec<_> =
        time_ticks.iter().map(|tick| Tick { label: Some(String::new()), ..*tick }).collect();
    upper.draw_x(canvas, scales.time, &lines_alone);
    lower.draw_x(canvas, scales.time, &time_ticks);
    half(canvas, upper, scales.in_flight, scales, run, |sample| sample.in_flight);
    half(canvas, lower, scales.queued, scales, run, |sample| sample.queued);
    let look = Lettering { upward: true, ink: GREY, ..Lettering::new(TICK_SIZE, Align::Middle) };
    canvas.text("in flight", (left + 8.0, upper.top + upper.height / 2.0), look);
    canvas.text("queued", (left + 8.0, lower.top + lower.height / 2.0), look);
}

/// One count over time, a line a region.
fn half(
    canvas: &mut Canvas<'_>,
    frame: Frame,
    scale: Scale,
    scales: &Scales,
    run: &RunResult,
    pick: fn(&TimelineSample) -> u32,
) {
    let ticks = scale.linear_ticks((frame.height / 22.0).round(), short);
    // Requests are whole: a scale up to 1 has no tick at 0.5.
    let whole: Vec<_> = ticks.into_iter().filter(|tick| tick.value.fract() < 1e-9).collect();
    frame.draw_y(canvas, scale, &whole);
    for region in 0..run.names.regions.len() {
        let points = run
            .timeline
            .iter()
            .filter(|sample| sample.region.index() == region)
            .map(|sample| (sample.at.as_s() / scales.time_unit_s, f64::from(pick(sample))))
            .map(|point| frame.place(scales.time, scale, point));
        canvas.line(&thinned(points), Stroke::of_jagged_series(region));
    }
    frame.draw_edges(canvas);
}

/// A line with at most four points a pixel column: first, lowest, highest and last, so that no peak is lost.
fn thinned(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::new();
    let mut column: Vec<Point> = Vec::new();
    let flush = |column: &mut Vec<Point>, kept: &mut Vec<Point>| {
        if column.len() <= 4 {
            kept.append(column);
            return;
        }
        let first = column[0];
        let last = column[column.len() - 1];
        let lowest = column.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
        let highest = column.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
        kept.extend([first, (first.0, lowest), (last.0, highest), last]);
        column.clear();
    };
    for point in points {
        if column.first().is_some_and(|first| (first.0 - point.0).abs() >= 1.0) {
            flush(&mut column, &mut kept);
        }
        column.push(point);
    }
    flush(&mut column, &mut kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_peaks() {
        let points =
            (0..100_000).map(|i| (f64::from(i) * 0.001, if i == 54_321 { 9.0 } else { 1.0 }));
        let kept = thinned(points);
        assert!(kept.len() < 1_000, "{}", kept.len());
        assert!(kept.iter().any(|point| point.1 == 9.0));
    }
}
