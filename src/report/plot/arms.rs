//! What happens when one thing is varied: a panel for each metric, its values evenly spaced along the axis, and for each
//! policy a line through the medians with the band of seeds as a bar at each.

use super::axis::{Frame, Scale, TICK_SIZE, TITLE_SIZE, short};
use super::canvas::{Align, Canvas, Lettering, Point, Stroke, draw, shortened, text_width};
use super::legend::{HEADING, Legend, Sample, heading};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 86.0;
const PANEL: f64 = 210.0;
const BETWEEN: f64 = 44.0;
/// Between the heading and the first panel's title.
const ABOVE: f64 = 18.0;
/// How far apart the policies' bars stand at one value, so that none hides another.
const SHIFT: f64 = 7.0;

/// One metric over all values of what is varied.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmsPanel {
    /// The metric with its unit.
    pub title: String,
    /// The policies.
    pub series: Vec<ArmsSeries>,
}

/// One policy's values.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmsSeries {
    /// The policy.
    pub name: String,
    /// For each value of what is varied the median and the band of seeds; none where there is no number.
    pub points: Vec<Option<[f64; 3]>>,
}

/// The plot, as SVG: `labels` are the values of what is varied, `varied` says what it is.
#[must_use]
pub fn arms(
    title: &str,
    subtitle: &str,
    varied: &str,
    labels: &[String],
    panels: &[ArmsPanel],
) -> String {
    let mut names: Vec<&str> = Vec::new();
    for series in panels.iter().flat_map(|panel| &panel.series) {
        if !names.contains(&series.name.as_str()) {
            names.push(&series.name);
        }
    }
    let entry = |(index, name): (usize, &&str)| {
        ((*name).to_owned(), Sample::Line(Stroke::of_series(index)))
    };
    let legend = Legend::new(names.iter().enumerate().map(entry).collect(), WIDTH - 40.0);
    let width = WIDTH - LEFT - 24.0;
    let step = width / labels.len().max(1) as f64;
    let is_slanted = labels.iter().any(|label| text_width(label, TICK_SIZE) > step - 6.0);
    let lines: Vec<Vec<String>> = labels.iter().map(|label| wrapped(label, step - 6.0)).collect();
    let deepest = lines.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let below = if is_slanted { 16.0 * deepest as f64 + 6.0 } else { 22.0 };
    let bottom = HEADING + ABOVE + panels.len().max(1) as f64 * (PANEL + BETWEEN) - BETWEEN;
    let height = bottom + below + 30.0 + legend.height() + 18.0;
    draw(WIDTH, height, |canvas| {
        heading(canvas, WIDTH, title, subtitle);
        for (index, panel) in panels.iter().enumerate() {
            let top = HEADING + ABOVE + (PANEL + BETWEEN) * index as f64 + 10.0;
            let frame = Frame { left: LEFT, top, width, height: PANEL - 10.0 };
            draw_panel(canvas, frame, panel, &names, step);
        }
        for (index, lines) in lines.iter().enumerate() {
            let x = LEFT + step * (index as f64 + 0.5);
            for (line, text) in lines.iter().enumerate() {
                let y = bottom + 15.0 + 15.0 * line as f64;
                canvas.text(text, (x, y), Lettering::new(TICK_SIZE, Align::Middle));
            }
        }
        let middle = LEFT + width / 2.0;
        let look = Lettering::new(TITLE_SIZE, Align::Middle);
        canvas.text(varied, (middle, bottom + below + 14.0), look);
        legend.draw(canvas, WIDTH / 2.0, bottom + below + 30.0);
    })
}

/// A label in lines that fit a width, broken at spaces; a word that is too long is cut.
fn wrapped(label: &str, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in label.split_whitespace() {
        let word = shortened(word, TICK_SIZE, width.max(12.0));
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), TICK_SIZE) <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// From zero where the values lie within a factor of 8, else logarithmic.
fn scale(panel: &ArmsPanel) -> Scale {
    let values: Vec<f64> = panel
        .series
        .iter()
        .flat_map(|series| series.points.iter().flatten())
        .flatten()
        .copied()
        .collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    if least > 0.0 && least.is_finite() && most / least > 8.0 {
        Scale::log(least, most)
    } else {
        Scale::linear(most)
    }
}

fn draw_panel(canvas: &mut Canvas<'_>, frame: Frame, panel: &ArmsPanel, names: &[&str], step: f64) {
    let y = scale(panel);
    let ticks = if y.log { y.log_ticks(short) } else { y.linear_ticks(5.0, short) };
    frame.draw_y(canvas, y, &ticks);
    let bold = Lettering { bold: true, ..Lettering::new(13.0, Align::Left) };
    canvas.text(&panel.title, (frame.left, frame.top - 12.0), bold);
    for series in &panel.series {
        let index = names.iter().position(|name| *name == series.name).unwrap_or(0);
        let stroke = Stroke::of_series(index);
        let shift = SHIFT * (index as f64 - (names.len() as f64 - 1.0) / 2.0);
        let shift = shift.clamp(-0.4 * step, 0.4 * step);
        let x = |arm: usize| frame.left + step * (arm as f64 + 0.5) + shift;
        let mut line: Vec<Point> = Vec::new();
        for (arm, point) in series.points.iter().enumerate() {
            let Some([middle, low, high]) = *point else {
                canvas.line(&std::mem::take(&mut line), thin(stroke));
                continue;
            };
            let bar = [(x(arm), frame.y(y, low)), (x(arm), frame.y(y, high))];
            canvas.line(&bar, Stroke { width: 1.2, dash: None, ..stroke });
            let at = (x(arm), frame.y(y, middle));
            canvas.rectangle((at.0 - 3.0, at.1 - 3.0), (at.0 + 3.0, at.1 + 3.0), stroke.ink);
            line.push(at);
        }
        canvas.line(&line, thin(stroke));
    }
    if panel.series.is_empty() {
        frame.say(canvas, "No run.");
    }
    frame.draw_edges(canvas);
}

/// The line between two values: it leads the eye, the values are the squares.
const fn thin(stroke: Stroke) -> Stroke {
    Stroke { width: 1.1, ..stroke }
}
