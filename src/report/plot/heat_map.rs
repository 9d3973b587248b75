//! A square table of times as a picture: a row starts, a column answers, the darker the longer.

use super::canvas::{
    Align, BLACK, Canvas, GREY, Ink, Lettering, WHITE, draw, shortened, text_width,
};
use super::legend::{HEADING, heading};

/// Least and most side of a cell.
const CELL: (f64, f64) = (30.0, 64.0);
/// What all cells together should take.
const ROOM: f64 = 760.0;
const LABEL_SIZE: f64 = 11.5;
/// The longest label, pixels.
const LONGEST_LABEL: f64 = 190.0;

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeatCell {
    /// The time, ms.
    pub ms: f64,
    /// It was estimated, not measured: its number stands in brackets.
    pub estimated: bool,
}

/// The picture, as SVG. `cells` has one row for each label, and in it one cell for each.
#[must_use]
pub fn heat_map(title: &str, subtitle: &str, labels: &[String], cells: &[Vec<HeatCell>]) -> String {
    let count = labels.len().max(1) as f64;
    let side = (ROOM / count).clamp(CELL.0, CELL.1);
    let widest = labels.iter().map(|label| text_width(label, LABEL_SIZE)).fold(0.0, f64::max);
    let margin = widest.min(LONGEST_LABEL) + 14.0;
    let table = side * count;
    let width = (16.0 + margin + table + 24.0).max(480.0);
    let left = 16.0 + margin;
    let top = HEADING + margin;
    let height = top + table + 58.0;
    let all = || cells.iter().flatten().map(|cell| cell.ms);
    let most = all().fold(0.0, f64::max);
    draw(width, height, |canvas| {
        heading(canvas, width, title, subtitle);
        for (index, label) in labels.iter().enumerate() {
            let middle = (index as f64 + 0.5) * side;
            let label = shortened(label, LABEL_SIZE, LONGEST_LABEL);
            let right = Lettering::new(LABEL_SIZE, Align::Right);
            canvas.text(&label, (left - 8.0, top + middle), right);
            let upward = Lettering { upward: true, ..Lettering::new(LABEL_SIZE, Align::Left) };
            canvas.text(&label, (left + middle, top - 8.0), upward);
        }
        for (row, cells) in cells.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                let corner = (left + column as f64 * side, top + row as f64 * side);
                draw_cell(canvas, corner, side, *cell, most);
            }
        }
        draw_key(canvas, (left, top + table + 26.0), most);
    })
}

fn draw_cell(canvas: &mut Canvas<'_>, (x, y): (f64, f64), side: f64, cell: HeatCell, most: f64) {
    let share = share_of(cell.ms, most);
    canvas.rectangle((x + 0.5, y + 0.5), (x + side - 0.5, y + side - 0.5), ink(share));
    let digits = if cell.ms < 9.95 { format!("{:.1}", cell.ms) } else { format!("{:.0}", cell.ms) };
    let text = if cell.estimated { format!("({digits})") } else { digits };
    let size = (side * 0.36).min(14.0) * if cell.estimated { 0.85 } else { 1.0 };
    let look = Lettering {
        ink: if share > 0.5 { WHITE } else { BLACK },
        ..Lettering::new(size, Align::Middle)
    };
    canvas.text(&text, (x + side / 2.0, y + side / 2.0), look);
}

/// The scale from white to dark, with its ends.
fn draw_key(canvas: &mut Canvas<'_>, (left, top): (f64, f64), most: f64) {
    const STEPS: usize = 60;
    const WIDTH: f64 = 180.0;
    let step = WIDTH / STEPS as f64;
    for index in 0..STEPS {
        let x = left + index as f64 * step;
        let share = (index as f64 + 0.5) / STEPS as f64;
        canvas.rectangle((x, top - 6.0), (x + step + 0.3, top + 6.0), ink(share));
    }
    let look = |align| Lettering { ink: GREY, ..Lettering::new(11.0, align) };
    canvas.text("0", (left - 5.0, top), look(Align::Right));
    canvas.text(&format!("{most:.0} ms"), (left + WIDTH + 6.0, top), look(Align::Left));
}

fn share_of(ms: f64, most: f64) -> f64 {
    if most > 0.0 { (ms / most).clamp(0.0, 1.0) } else { 0.0 }
}

/// From nearly white to a dark blue, straight in each channel: lightness falls all the way, also in grey.
pub(crate) fn ink(share: f64) -> Ink {
    let channel = |light: f64, dark: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between the two ends, both within a byte"
        )]
        let byte = (light + (dark - light) * share).round() as u8;
        byte
    };
    plotters::style::RGBColor(channel(244.0, 8.0), channel(248.0, 48.0), channel(252.0, 107.0))
}
