//! Titles above and legends below the data, never over them.

use super::canvas::{Align, Canvas, GREY, Ink, Lettering, Stroke, shortened, text_width};

/// Height of a row of a legend.
const ROW: f64 = 19.0;
const SIZE: f64 = 12.0;
/// Longest name where there are several: one long name must not make every column wide.
const LONGEST: f64 = 260.0;
/// Length of a line's sample.
const SAMPLE: f64 = 26.0;

/// What stands beside a name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample {
    Line(Stroke),
    Box(Ink),
}

/// A legend laid out in columns of equal width.
pub(crate) struct Legend {
    entries: Vec<(String, Sample)>,
    columns: usize,
    column_width: f64,
}

impl Legend {
    /// A legend for a width; names too long for it are cut.
    pub fn new(entries: Vec<(String, Sample)>, width: f64) -> Self {
        let most = if entries.len() > 1 { LONGEST } else { f64::INFINITY };
        let room = most.min(width - SAMPLE - 30.0);
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(name, sample)| (shortened(&name, SIZE, room), sample))
            .collect();
        let widest = entries.iter().map(|(name, _)| text_width(name, SIZE)).fold(0.0, f64::max);
        let column_width = widest + SAMPLE + 26.0;
        let mut columns = 1;
        while columns < entries.len() && column_width * (columns as f64 + 1.0) <= width {
            columns += 1;
        }
        // As few columns as the rows need, so that the last row is not a lone entry.
        let rows = entries.len().div_ceil(columns).max(1);
        let columns = entries.len().div_ceil(rows).max(1);
        Self { entries, columns, column_width }
    }

    /// Pixels from its top to its bottom.
    pub fn height(&self) -> f64 {
        ROW * self.entries.len().div_ceil(self.columns) as f64
    }

    /// Draws it, centred on `middle`.
    pub fn draw(&self, canvas: &mut Canvas<'_>, middle: f64, top: f64) {
        let left = middle - self.column_width * self.columns as f64 / 2.0 + 6.0;
        for (index, (name, sample)) in self.entries.iter().enumerate() {
            let x = left + self.column_width * (index % self.columns) as f64;
            let y = top + ROW * ((index / self.columns) as f64 + 0.5);
            match *sample {
                Sample::Line(stroke) => {
                    canvas.line(&[(x, y), (x + SAMPLE, y)], Stroke { width: 2.2, ..stroke });
                }
                Sample::Box(ink) => {
                    canvas.rectangle((x + SAMPLE - 14.0, y - 6.0), (x + SAMPLE, y + 6.0), ink);
                }
            }
            canvas.text(name, (x + SAMPLE + 7.0, y), Lettering::new(SIZE, Align::Left));
        }
    }
}

/// Space that a title takes.
pub(crate) const HEADING: f64 = 56.0;

/// Writes a title and what it is about, at the upper left.
pub(crate) fn heading(canvas: &mut Canvas<'_>, width: f64, title: &str, subtitle: &str) {
    let room = width - 32.0;
    let bold = Lettering { bold: true, ..Lettering::new(16.0, Align::Left) };
    canvas.text(&shortened(title, 18.0, room), (16.0, 20.0), bold);
    let small = Lettering { ink: GREY, ..Lettering::new(12.0, Align::Left) };
    canvas.text(&shortened(subtitle, 12.0, room), (16.0, 40.0), small);
}
