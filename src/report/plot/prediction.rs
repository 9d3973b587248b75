//! Foretold against measured times: for each model a row of density panels, one for each group of requests, with its
//! calibration over it; below, the errors of all models as cumulative shares.
//!
//! The darker a cell, the more requests, in steps of powers of two: most requests lie in a few cells. Where all is well
//! the cells lie on the dashed line, and the dots (median measured of a tenth of the requests, bars from 10 to 90 %) too.

use super::axis::{Frame, Scale, TICK_SIZE, short, time_label};
use super::canvas::{Align, Canvas, GREY, Ink, Lettering, PALETTE, Point, Stroke, draw};
use super::legend::{HEADING, Legend, Sample, heading};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 20.0;
const BETWEEN: f64 = 16.0;
/// Height of a row's own title, and of what stands below its panels.
const ROW_TITLE: f64 = 34.0;
const ROW_FOOT: f64 = 52.0;
const ERRORS_HEIGHT: f64 = 230.0;
/// Cells along a side of a panel.
const CELLS: u32 = 46;
/// Half the side of a calibration dot.
const DOT: f64 = 3.0;
/// Errors below this are all as good.
const LEAST_ERROR_MS: f64 = 1.0;

/// A tenth of the requests, or so: what was foretold and what came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionBin {
    /// Median of what was foretold, ms.
    pub foretold_ms: f64,
    /// 10th, 50th and 90th percentile of what was measured, ms.
    pub measured_ms: [f64; 3],
}

/// The requests of one panel.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PredictionPanel {
    /// What they have in common.
    pub title: String,
    /// (foretold, measured), ms. What is not above zero lies at the panel's edge.
    pub pairs: Vec<(f64, f64)>,
    /// Their calibration.
    pub bins: Vec<PredictionBin>,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PredictionModel {
    /// Its name.
    pub name: String,
    /// Its panels; of no panel, the model is only among the errors.
    pub panels: Vec<PredictionPanel>,
    /// Every |foretold − measured|, ms.
    pub errors_ms: Vec<f64>,
}

/// The plot, as SVG.
#[must_use]
pub fn prediction(title: &str, subtitle: &str, models: &[PredictionModel]) -> String {
    let shown: Vec<&PredictionModel> = models.iter().filter(|m| !m.panels.is_empty()).collect();
    let columns = shown.iter().map(|model| model.panels.len()).max().unwrap_or(1);
    let room = WIDTH - LEFT - RIGHT - BETWEEN * (columns as f64 - 1.0);
    let side = (room / columns as f64).min(360.0);
    let row = ROW_TITLE + side + ROW_FOOT;
    let entries = models.iter().enumerate();
    let entries =
        entries.map(|(i, model)| (model.name.clone(), Sample::Line(Stroke::of_series(i))));
    let legend = Legend::new(entries.collect(), WIDTH - 40.0);
    let errors_top = HEADING + row * shown.len() as f64 + ROW_TITLE;
    let height = errors_top + ERRORS_HEIGHT + 58.0 + legend.height() + 14.0;
    let scale = common_scale(&shown);
    draw(WIDTH, height, |canvas| {
        heading(canvas, WIDTH, title, subtitle);
        for (index, model) in shown.iter().enumerate() {
            let top = HEADING + row * index as f64;
            let bold = Lettering { bold: true, ..Lettering::new(13.0, Align::Left) };
            canvas.text(&model.name, (16.0, top + 6.0), bold);
            for (column, panel) in model.panels.iter().enumerate() {
                let left = LEFT + (side + BETWEEN) * column as f64;
                let frame = Frame { left, top: top + ROW_TITLE, width: side, height: side };
                draw_panel(canvas, frame, scale, panel, column == 0);
            }
        }
        let bold = Lettering { bold: true, ..Lettering::new(13.0, Align::Left) };
        canvas.text("Errors", (16.0, errors_top - ROW_TITLE + 6.0), bold);
        let width = WIDTH - LEFT - RIGHT;
        let frame = Frame { left: LEFT, top: errors_top, width, height: ERRORS_HEIGHT };
        draw_errors(canvas, frame, models);
        legend.draw(canvas, WIDTH / 2.0, frame.bottom() + 54.0);
    })
}

/// One scale for both axes of every panel, so that their diagonals are the same.
fn common_scale(models: &[&PredictionModel]) -> Scale {
    let pairs = models.iter().flat_map(|model| &model.panels).flat_map(|panel| &panel.pairs);
    let measured = || pairs.clone().map(|pair| pair.1).filter(|ms| ms.is_finite());
    let most = pairs.clone().map(|pair| pair.0).chain(measured()).fold(1.0, finite_max);
    // Below what was measured there is nothing to see but predictions that cannot be.
    Scale::log(measured().fold(f64::INFINITY, f64::min).min(most) * 0.6, most)
}

fn finite_max(most: f64, ms: f64) -> f64 {
    if ms.is_finite() { most.max(ms) } else { most }
}

fn draw_panel(
    canvas: &mut Canvas<'_>,
    frame: Frame,
    scale: Scale,
    panel: &PredictionPanel,
    first: bool,
) {
    frame.draw_x(canvas, scale, &scale.log_ticks(time_label));
    let mut ticks = scale.log_ticks(time_label);
    if !first {
        ticks.iter_mut().for_each(|tick| tick.label = tick.label.as_ref().map(|_| String::new()));
    }
    frame.draw_y(canvas, scale, &ticks);
    draw_density(canvas, frame, scale, &panel.pairs);
    let diagonal = [(frame.left, frame.bottom()), (frame.right(), frame.top)];
    canvas.line(&diagonal, Stroke { ink: GREY, width: 1.2, dash: Some((6.0, 4.0)) });
    for bin in &panel.bins {
        let at = |ms: f64| frame.place(scale, scale, (bin.foretold_ms, ms));
        let [low, middle, high] = bin.measured_ms.map(at);
        canvas.line(&[low, high], Stroke::solid(PALETTE[1], 1.3));
        let (x, y) = middle;
        canvas.rectangle((x - DOT, y - DOT), (x + DOT, y + DOT), PALETTE[1]);
    }
    let look = Lettering { ink: GREY, ..Lettering::new(TICK_SIZE, Align::Left) };
    canvas.text(&panel.title, (frame.left + 8.0, frame.top - 9.0), look);
    frame.title_x(canvas, "foretold TTFT");
    if first {
        frame.title_y(canvas, "measured TTFT", 66.0);
    }
    frame.draw_edges(canvas);
}

/// Counts the pairs of each cell and shades it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions lie between 0 and 1, so cells below CELLS"
)]
fn draw_density(canvas: &mut Canvas<'_>, frame: Frame, scale: Scale, pairs: &[(f64, f64)]) {
    let cells = f64::from(CELLS);
    let cell = |ms: f64| ((scale.position(ms) * cells) as u32).min(CELLS - 1);
    let mut counts = vec![0_u32; (CELLS * CELLS) as usize];
    for &(foretold, measured) in pairs {
        counts[(cell(measured) * CELLS + cell(foretold)) as usize] += 1;
    }
    for (place, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let place = place as u32;
        let (row, column) = (f64::from(place / CELLS), f64::from(place % CELLS));
        let left = frame.left + frame.width * column / cells;
        let bottom = frame.bottom() - frame.height * row / cells;
        let corner = (left + frame.width / cells, bottom - frame.height / cells);
        canvas.rectangle((left, corner.1), (corner.0, bottom), shade(count));
    }
}

/// From a light blue for one request to a dark one for 128 and more.
fn shade(count: u32) -> Ink {
    let depth = f64::from(count.ilog2().min(7)) / 7.0;
    let channel = |light: f64, dark: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between the two ends, both within a byte"
        )]
        let byte = (light + (dark - light) * depth).round() as u8;
        byte
    };
    plotters::style::RGBColor(channel(176.0, 8.0), channel(208.0, 40.0), channel(238.0, 96.0))
}

/// The errors of every model as cumulative shares.
fn draw_errors(canvas: &mut Canvas<'_>, frame: Frame, models: &[PredictionModel]) {
    let most = models.iter().flat_map(|m| m.errors_ms.iter().copied()).fold(0.0, finite_max);
    if most <= LEAST_ERROR_MS {
        frame.say(canvas, "No error above a millisecond.");
        frame.draw_edges(canvas);
        return;
    }
    let (x, y) = (Scale::log(LEAST_ERROR_MS, most), Scale { from: 0.0, to: 100.0, log: false });
    frame.draw_x(canvas, x, &x.log_ticks(time_label));
    frame.draw_y(canvas, y, &y.linear_ticks(5.0, short));
    for (index, model) in models.iter().enumerate() {
        canvas.line(&cumulative(frame, x, y, &model.errors_ms), Stroke::of_series(index));
    }
    frame.title_x(canvas, "|foretold - measured| TTFT");
    frame.title_y(canvas, "share of requests, %", 52.0);
    frame.draw_edges(canvas);
}

fn cumulative(frame: Frame, x: Scale, y: Scale, errors_ms: &[f64]) -> Vec<Point> {
    let mut sorted = errors_ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let mut points: Vec<Point> = Vec::new();
    for (below, error) in (1_u32..).zip(sorted) {
        let at = frame.place(x, y, (error, 100.0 * f64::from(below) / count));
        match points.last_mut() {
            // Half a pixel of the line is one point of it.
            Some(last) if at.0 - last.0 < 0.5 && points_apart(*last, at) => *last = at,
            _ => points.push(at),
        }
    }
    points
}

/// Whether a point can stand for the one before: where the line does not jump between them.
fn points_apart(before: Point, after: Point) -> bool {
    (before.1 - after.1).abs() < 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(pairs: Vec<(f64, f64)>) -> PredictionModel {
        let errors_ms = pairs.iter().map(|(a, b)| (a - b).abs()).collect();
        let bin = PredictionBin { foretold_ms: 100.0, measured_ms: [90.0, 105.0, 300.0] };
        let panel = PredictionPanel { title: "r0".to_owned(), pairs, bins: vec![bin] };
        PredictionModel { name: "replay".to_owned(), panels: vec![panel], errors_ms }
    }

    #[test]
    fn it_draws_what_it_is_given_and_survives_what_cannot_be() {
        let svg = prediction("t", "s", &[model(vec![(100.0, 110.0), (2_000.0, 1_800.0)])]);
        assert!(svg.starts_with("<svg") && svg.contains("measured TTFT"), "{svg}");
        for pairs in [vec![], vec![(-5.0, 10.0)], vec![(f64::NAN, f64::INFINITY)], vec![(1.0, 1.0)]]
        {
            let svg = prediction("t", "s", &[model(pairs)]);
            assert!(!svg.contains("NaN") && svg.ends_with("</svg>\n"), "{svg}");
        }
        assert!(prediction("t", "s", &[]).contains("No error"), "nothing is nothing");
    }
}
