//! Published figures beside simulated ones: a panel for each metric, in it a row for each policy with the paper's value
//! as a black diamond, ours as a dot with the interval of its median as a thick line, and the band of seeds as a thin one.

use super::axis::{Frame, Scale, TICK_SIZE, short};
use super::canvas::{
    Align, BLACK, Canvas, GREY, Ink, Lettering, PALETTE, Stroke, draw, shortened, text_width,
};
use super::legend::{HEADING, heading};

const WIDTH: f64 = 900.0;
const ROW: f64 = 24.0;
const COLUMNS: usize = 2;
const BETWEEN: f64 = 24.0;
const LONGEST_NAME: f64 = 170.0;
/// Above a panel's frame for its title, below it for its ticks.
const ABOVE: f64 = 26.0;
const BELOW: f64 = 40.0;
const OURS: Ink = PALETTE[0];

/// One metric.
#[derive(Clone, Debug, PartialEq)]
pub struct BesidePanel {
    /// The metric with its unit.
    pub title: String,
    /// Its policies.
    pub rows: Vec<BesideRow>,
}

/// One policy's figure.
#[derive(Clone, Debug, PartialEq)]
pub struct BesideRow {
    /// The policy.
    pub name: String,
    /// The published value; none: nothing is published.
    pub paper: Option<f64>,
    /// What stands before it: nothing for a value, `>` or `<` for a bound.
    pub relation: &'static str,
    /// Ours.
    pub ours: Option<f64>,
    /// The interval of ours.
    pub interval: [Option<f64>; 2],
    /// The band of seeds.
    pub band: [Option<f64>; 2],
}

/// The plot, as SVG.
#[must_use]
pub fn beside(title: &str, subtitle: &str, panels: &[BesidePanel]) -> String {
    let rows = panels.iter().flat_map(|panel| &panel.rows);
    let widest = rows.map(|row| text_width(&row.name, TICK_SIZE)).fold(40.0, f64::max);
    let names = widest.min(LONGEST_NAME) + 14.0;
    let column = (WIDTH - 32.0 - BETWEEN) / COLUMNS as f64;
    let heights: Vec<f64> = panels
        .chunks(COLUMNS)
        .map(|pair| {
            pair.iter().map(|panel| panel.rows.len()).max().unwrap_or(0).max(1) as f64 * ROW
        })
        .collect();
    let height = heights.iter().map(|height| height + ABOVE + BELOW).sum::<f64>();
    draw(WIDTH, HEADING + height + 34.0, |canvas| {
        heading(canvas, WIDTH, title, subtitle);
        let mut top = HEADING;
        for (pair, height) in panels.chunks(COLUMNS).zip(&heights) {
            for (index, panel) in pair.iter().enumerate() {
                let left = 16.0 + (column + BETWEEN) * index as f64 + names;
                let height = panel.rows.len().max(1) as f64 * ROW;
                let frame = Frame { left, top: top + ABOVE, width: column - names - 8.0, height };
                draw_panel(canvas, frame, panel, names);
            }
            top += height + ABOVE + BELOW;
        }
        key(canvas, top + 12.0);
    })
}

/// From zero where the values lie within a factor of 6, else logarithmic.
fn scale(panel: &BesidePanel) -> Scale {
    let ends = |row: &BesideRow| {
        [row.paper, row.ours, row.interval[0], row.interval[1], row.band[0], row.band[1]]
    };
    let values: Vec<f64> = panel.rows.iter().flat_map(ends).flatten().collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    if least > 0.0 && least.is_finite() && most / least > 6.0 {
        Scale::log(least, most)
    } else {
        Scale::linear(most)
    }
}

fn draw_panel(canvas: &mut Canvas<'_>, frame: Frame, panel: &BesidePanel, names: f64) {
    let bold = Lettering { bold: true, ..Lettering::new(13.0, Align::Left) };
    canvas.text(&panel.title, (frame.left, frame.top - 12.0), bold);
    let x = scale(panel);
    let ticks = if x.log { x.log_ticks(short) } else { x.linear_ticks(4.0, short) };
    frame.draw_x(canvas, x, &ticks);
    for (index, row) in panel.rows.iter().enumerate() {
        let y = frame.top + ROW * (index as f64 + 0.5);
        let name = shortened(&row.name, TICK_SIZE, names - 14.0);
        canvas.text(&name, (frame.left - 8.0, y), Lettering::new(TICK_SIZE, Align::Right));
        // An end that is missing lies beyond every number.
        let end = |value: Option<f64>| frame.x(x, value.unwrap_or(x.to));
        if row.band[0].is_some() {
            let band = row.band.map(end);
            canvas.line(&[(band[0], y), (band[1], y)], Stroke::solid(OURS, 1.6));
        }
        if row.interval[0].is_some() {
            let thick = row.interval.map(end);
            canvas.line(&[(thick[0], y), (thick[1], y)], Stroke::solid(OURS, 5.0));
        }
        match row.ours {
            Some(ours) => {
                let x = frame.x(x, ours);
                canvas.rectangle((x - 4.0, y - 4.0), (x + 4.0, y + 4.0), OURS);
            }
            None => {
                let grey = Lettering { ink: GREY, ..Lettering::new(TICK_SIZE, Align::Right) };
                canvas.text("beyond", (frame.right() - 4.0, y), grey);
            }
        }
        if let Some(paper) = row.paper {
            let at = (frame.x(x, paper), y);
            diamond(canvas, at);
            if !row.relation.is_empty() {
                canvas.text(row.relation, (at.0 + 9.0, y - 7.0), Lettering::new(11.0, Align::Left));
            }
        }
    }
    if panel.rows.is_empty() {
        frame.say(canvas, "Nothing is published.");
    }
    frame.draw_edges(canvas);
}

fn diamond(canvas: &mut Canvas<'_>, (x, y): (f64, f64)) {
    let size = 6.0;
    let around = [(x, y - size), (x + size, y), (x, y + size), (x - size, y), (x, y - size)];
    canvas.line(&around, Stroke::solid(super::canvas::WHITE, 4.0));
    canvas.line(&around, Stroke::solid(BLACK, 1.8));
}

fn key(canvas: &mut Canvas<'_>, y: f64) {
    let look = Lettering::new(12.0, Align::Left);
    let mut x = 40.0;
    diamond(canvas, (x, y));
    let mut say = |canvas: &mut Canvas<'_>, text: &str| {
        canvas.text(text, (x + 24.0, y), look);
        x += 24.0 + text_width(text, 12.0) + 44.0;
        x
    };
    let at = say(canvas, "published");
    canvas.rectangle((at - 4.0, y - 4.0), (at + 4.0, y + 4.0), OURS);
    let at = say(canvas, "ours, median of seeds");
    canvas.line(&[(at - 16.0, y), (at + 16.0, y)], Stroke::solid(OURS, 5.0));
    let at = say(canvas, "95 % interval of it");
    canvas.line(&[(at - 16.0, y), (at + 16.0, y)], Stroke::solid(OURS, 1.6));
    say(canvas, "8 of 10 seeds");
}
