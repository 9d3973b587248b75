//! One number over two things that vary: a cell for each pair of values, the darker the larger, with the best one framed
//! and those that cannot be told from it.
//!
//! Which cells these are is the caller's; here is only ink. Read `heat_map.rs` for tables of times.

use super::axis::time_text;
use super::canvas::{
    Align, BLACK, Canvas, GREY, Ink, Lettering, PALETTE, Point, Stroke, WHITE, draw, shortened,
    shortened_path, text_width,
};
use super::heat_map::ink;
use super::legend::{HEADING, heading};
use super::sweep::SweepUnit;

/// Least and most width and height of a cell.
const CELL_WIDTH: (f64, f64) = (24.0, 96.0);
const CELL_HEIGHT: (f64, f64) = (20.0, 52.0);
/// What all cells together should take.
const ROOM: (f64, f64) = (700.0, 440.0);
const LABEL_SIZE: f64 = 11.5;
const LONGEST_LABEL: f64 = 150.0;

/// One of the two things that vary.
#[derive(Clone, Debug, PartialEq)]
pub struct SurfaceAxis {
    /// What it is.
    pub name: String,
    /// Its values, in order.
    pub labels: Vec<String>,
}

/// What a cell is beside its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurfaceMark {
    /// The best of all.
    Best,
    /// It cannot be told from the best.
    Same,
    /// It is worse than the best.
    Other,
}

/// One pair of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfaceCell {
    /// The number.
    pub value: f64,
    /// What it is.
    pub mark: SurfaceMark,
}

/// The picture, as SVG. `cells` has a row for each label of `y`, and in it a cell for each of `x`; none: nothing was
/// run there.
#[must_use]
pub fn surface(
    title: &str,
    subtitle: &str,
    [x, y]: [&SurfaceAxis; 2],
    unit: SweepUnit,
    cells: &[Vec<Option<SurfaceCell>>],
) -> String {
    let (columns, rows) = (x.labels.len().max(1) as f64, y.labels.len().max(1) as f64);
    let size = (
        (ROOM.0 / columns).clamp(CELL_WIDTH.0, CELL_WIDTH.1),
        (ROOM.1 / rows).clamp(CELL_HEIGHT.0, CELL_HEIGHT.1),
    );
    let widest = |labels: &[String]| {
        let widths = labels.iter().map(|label| text_width(label, LABEL_SIZE));
        widths.fold(0.0, f64::max).min(LONGEST_LABEL)
    };
    let left = 46.0 + widest(&y.labels) + 8.0;
    let slanted = widest(&x.labels) > size.0 - 4.0;
    let below = if slanted { widest(&x.labels) + 12.0 } else { 22.0 };
    let (wide, high) = (size.0 * columns, size.1 * rows);
    let width = (left + wide + 24.0).max(620.0);
    let top = HEADING + 4.0;
    let height = top + high + below + 26.0 + 58.0;
    let all = || cells.iter().flatten().flatten().map(|cell| cell.value);
    let range = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    draw(width, height, |canvas| {
        heading(canvas, width, title, subtitle);
        for (index, label) in y.labels.iter().enumerate() {
            let at = top + (rows - index as f64 - 0.5) * size.1;
            let label = shortened(label, LABEL_SIZE, LONGEST_LABEL);
            canvas.text(&label, (left - 8.0, at), Lettering::new(LABEL_SIZE, Align::Right));
        }
        for (index, label) in x.labels.iter().enumerate() {
            let at = left + (index as f64 + 0.5) * size.0;
            let label = shortened(label, LABEL_SIZE, LONGEST_LABEL);
            if slanted {
                let look = Lettering { upward: true, ..Lettering::new(LABEL_SIZE, Align::Right) };
                canvas.text(&label, (at, top + high + 8.0), look);
            } else {
                let look = Lettering::new(LABEL_SIZE, Align::Middle);
                canvas.text(&label, (at, top + high + 14.0), look);
            }
        }
        let name = Lettering::new(13.0, Align::Middle);
        let x_name = shortened_path(&x.name, 13.0, width - 40.0);
        canvas.text(&x_name, (left + wide / 2.0, top + high + below + 10.0), name);
        let upward = Lettering { upward: true, ..name };
        canvas.text(
            &shortened_path(&y.name, 13.0, high.max(150.0)),
            (20.0, top + high / 2.0),
            upward,
        );
        // Frames after all cells, so that no neighbour covers one.
        for marks in [false, true] {
            for (row, cells) in cells.iter().enumerate() {
                for (column, cell) in cells.iter().enumerate() {
                    let Some(cell) = cell else { continue };
                    let corner =
                        (left + column as f64 * size.0, top + (rows - row as f64 - 1.0) * size.1);
                    if marks {
                        draw_mark(canvas, corner, size, cell.mark);
                    } else {
                        draw_cell(canvas, corner, size, cell.value, range, unit);
                    }
                }
            }
        }
        draw_key(canvas, (left, top + high + below + 42.0), range, unit);
    })
}

fn draw_cell(
    canvas: &mut Canvas<'_>,
    (x, y): Point,
    (width, height): (f64, f64),
    value: f64,
    range: (f64, f64),
    unit: SweepUnit,
) {
    let share = share_of(value, range);
    canvas.rectangle((x + 0.5, y + 0.5), (x + width - 0.5, y + height - 0.5), ink(share));
    let text = words(value, unit);
    let size = 11.0;
    if text_width(&text, size) <= width - 8.0 {
        let ink = if share > 0.5 { WHITE } else { BLACK };
        let look = Lettering { ink, ..Lettering::new(size, Align::Middle) };
        canvas.text(&text, (x + width / 2.0, y + height / 2.0), look);
    }
}

fn draw_mark(
    canvas: &mut Canvas<'_>,
    (x, y): Point,
    (width, height): (f64, f64),
    mark: SurfaceMark,
) {
    let Some(stroke) = stroke_of(mark) else { return };
    let inset = 2.0;
    let (left, top) = (x + inset, y + inset);
    let (right, bottom) = (x + width - inset, y + height - inset);
    // The last side goes a little further, so that the corner is closed.
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top - 0.5)];
    canvas.line(&corners, stroke);
}

fn stroke_of(mark: SurfaceMark) -> Option<Stroke> {
    match mark {
        SurfaceMark::Best => Some(Stroke::solid(PALETTE[1], 4.0)),
        SurfaceMark::Same => Some(Stroke::solid(PALETTE[3], 2.0)),
        SurfaceMark::Other => None,
    }
}

/// The scale with its ends, and what the frames mean.
fn draw_key(canvas: &mut Canvas<'_>, (left, top): Point, range: (f64, f64), unit: SweepUnit) {
    const STEPS: usize = 60;
    const WIDTH: f64 = 120.0;
    if range.0 > range.1 {
        canvas.text("nothing to draw", (left, top), Lettering::new(12.0, Align::Left));
        return;
    }
    let look = |align| Lettering { ink: GREY, ..Lettering::new(11.0, align) };
    let least = words(range.0, unit);
    canvas.text(&least, (left, top), look(Align::Left));
    let start = left + text_width(&least, 11.0) + 6.0;
    let step = WIDTH / STEPS as f64;
    for index in 0..STEPS {
        let x = start + index as f64 * step;
        let share = (index as f64 + 0.5) / STEPS as f64;
        canvas.rectangle((x, top - 6.0), (x + step + 0.3, top + 6.0), ink(share));
    }
    let most = words(range.1, unit);
    canvas.text(&most, (start + WIDTH + 6.0, top), look(Align::Left));
    let mut x = start + WIDTH + text_width(&most, 11.0) + 30.0;
    for (mark, text) in [(SurfaceMark::Best, "best"), (SurfaceMark::Same, "not told from it")] {
        draw_mark(canvas, (x, top - 9.0), (22.0, 18.0), mark);
        canvas.text(text, (x + 27.0, top), look(Align::Left));
        x += 27.0 + text_width(text, 11.0) + 18.0;
    }
}

/// From 0 to 1 between the ends: by logarithms where they are far apart.
fn share_of(value: f64, (least, most): (f64, f64)) -> f64 {
    if most <= least {
        0.0
    } else if least > 0.0 && most / least > 8.0 {
        (value / least).ln() / (most / least).ln()
    } else {
        (value - least) / (most - least)
    }
}

/// A number in a few digits.
pub(crate) fn words(value: f64, unit: SweepUnit) -> String {
    match unit {
        SweepUnit::Time => time_text(value),
        SweepUnit::Plain => plain(value),
    }
}

/// A plain number in about three digits.
fn plain(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.001 || size == 0.0 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

/// The ink of the better and the worse in other pictures of a sweep.
pub(crate) fn shade(share: f64) -> Ink {
    ink(1.0 - share * 0.75)
}
