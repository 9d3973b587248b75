//! Numbers over something that is changed step by step: a line for each series, its spread as whiskers, one panel or
//! several that share a legend. Steps stand at equal distances under their own labels, so that 10 ms and 60 s fit on one
//! axis. What it does not do: fit, smooth, or connect across a missing value.

use super::axis::{Frame, Scale, Tick, short, time_label};
use super::canvas::{
    Align, Canvas, GREY, Lettering, PALETTE, Point, Stroke, draw, shortened, shortened_path,
    text_width,
};
use super::legend::{HEADING, Legend, Sample, heading};

const PANEL_HEIGHT: f64 = 236.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 18.0;
/// Above a panel: its own title. Below: labels and the axis' title.
const ABOVE: f64 = 26.0;
const BELOW: f64 = 62.0;
const LABEL_SIZE: f64 = 11.5;

/// What a panel's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepUnit {
    /// Milliseconds; labels go over to seconds by themselves.
    Time,
    /// A plain number, whose unit stands in the panel's title.
    Plain,
}

/// A value of one series at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepValue {
    /// The value itself.
    pub middle: f64,
    /// Lower and upper end of its spread.
    pub spread: (f64, f64),
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepSeries {
    /// Its name in the legend; equal names of several panels look alike.
    pub name: String,
    /// A value for each step; none: the line is broken there.
    pub values: Vec<Option<SweepValue>>,
}

/// One panel.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPanel {
    /// What is drawn.
    pub title: String,
    /// What is changed from step to step.
    pub axis: String,
    /// The steps' labels.
    pub steps: Vec<String>,
    /// What the numbers are.
    pub unit: SweepUnit,
    /// The lines.
    pub series: Vec<SweepSeries>,
}

impl SweepPanel {
    fn finite(&self) -> impl Iterator<Item = f64> {
        let values = self.series.iter().flat_map(|series| series.values.iter().flatten());
        values.flat_map(|v| [v.middle, v.spread.0, v.spread.1]).filter(|value| value.is_finite())
    }

    /// Logarithmic where none is zero and values differ by more than eight times; plain numbers, such as rates, by more
    /// than forty.
    fn scale(&self) -> Scale {
        let (least, most) = self
            .finite()
            .fold((f64::INFINITY, 0.0), |(least, most), v| (f64::min(least, v), f64::max(most, v)));
        let much = if self.unit == SweepUnit::Time { 8.0 } else { 40.0 };
        if least > 0.0 && most / least > much {
            Scale::log(least, most)
        } else {
            Scale::linear(most)
        }
    }

    fn ticks(&self, scale: Scale) -> Vec<Tick> {
        let label = |value: f64| match self.unit {
            SweepUnit::Time => time_label(value),
            SweepUnit::Plain => short(value),
        };
        if scale.log { scale.log_ticks(label) } else { scale.linear_ticks(5.0, label) }
    }
}

/// The plot, as SVG: `columns` panels side by side (at least one).
#[must_use]
pub fn sweep(title: &str, subtitle: &str, panels: &[SweepPanel], columns: usize) -> String {
    let columns = columns.clamp(1, panels.len().max(1));
    let rows = panels.len().div_ceil(columns);
    let width: f64 = if columns == 1 { 760.0 } else { 460.0 * columns as f64 };
    let names = names(panels);
    let look = |index: usize| Stroke::of_series(index);
    let entries = names.iter().enumerate();
    let entries = entries.map(|(index, name)| (name.clone(), Sample::Line(look(index))));
    let legend = Legend::new(entries.collect(), width - 40.0);
    let row = ABOVE + PANEL_HEIGHT + BELOW;
    let bottom = HEADING + row * rows as f64;
    draw(width, bottom + legend.height() + 16.0, |canvas| {
        heading(canvas, width, title, subtitle);
        for (index, panel) in panels.iter().enumerate() {
            let (column, line) = ((index % columns) as f64, (index / columns) as f64);
            let room = width / columns as f64;
            let frame = Frame {
                left: column * room + LEFT,
                top: HEADING + ABOVE + line * row,
                width: room - LEFT - RIGHT,
                height: PANEL_HEIGHT,
            };
            draw_panel(canvas, frame, panel, &names);
        }
        legend.draw(canvas, width / 2.0, bottom + 4.0);
    })
}

/// The series' names, in the order of their first appearance.
fn names(panels: &[SweepPanel]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for series in panels.iter().flat_map(|panel| &panel.series) {
        if !names.contains(&series.name) {
            names.push(series.name.clone());
        }
    }
    names
}

fn draw_panel(canvas: &mut Canvas<'_>, frame: Frame, panel: &SweepPanel, names: &[String]) {
    let bold = Lettering { bold: true, ..Lettering::new(13.0, Align::Left) };
    let title = shortened(&panel.title, 14.0, frame.width + LEFT - 16.0);
    canvas.text(&title, (frame.left - LEFT + 16.0, frame.top - 14.0), bold);
    let scale = panel.scale();
    frame.draw_y(canvas, scale, &panel.ticks(scale));
    draw_steps(canvas, frame, panel);
    if panel.finite().next().is_none() {
        frame.say(canvas, "no value");
    }
    let count = panel.series.len().max(1) as f64;
    for (index, series) in panel.series.iter().enumerate() {
        let style = names.iter().position(|name| *name == series.name).unwrap_or(index);
        let stroke = Stroke::of_series(style);
        // Whiskers of different series stand side by side.
        let shift = (index as f64 - (count - 1.0) / 2.0) * (14.0 / count).min(2.6);
        let at = |step: usize, value: f64| -> Point {
            (step_x(frame, panel, step) + shift, frame.y(scale, value))
        };
        for run in runs(&series.values) {
            let points: Vec<Point> = run.iter().map(|&(step, v)| at(step, v.middle)).collect();
            canvas.line(&points, stroke);
            for &(step, value) in &run {
                let whisker = Stroke::solid(stroke.ink, 1.0);
                canvas.line(&[at(step, value.spread.0), at(step, value.spread.1)], whisker);
                let (x, y) = at(step, value.middle);
                canvas.rectangle((x - 2.5, y - 2.5), (x + 2.5, y + 2.5), stroke.ink);
            }
        }
    }
    frame.draw_edges(canvas);
}

fn step_x(frame: Frame, panel: &SweepPanel, step: usize) -> f64 {
    frame.left + frame.width * (step as f64 + 0.5) / panel.steps.len().max(1) as f64
}

/// Labels of the steps: all of them, or every second, third ... where they would touch.
fn draw_steps(canvas: &mut Canvas<'_>, frame: Frame, panel: &SweepPanel) {
    let room = frame.width / panel.steps.len().max(1) as f64;
    let widest = panel.steps.iter().map(|label| text_width(label, LABEL_SIZE)).fold(0.0, f64::max);
    let every = ((widest + 2.0) / room).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few labels")]
    let every = every as usize;
    let ink = Stroke::solid(super::canvas::BLACK, 0.8);
    for (index, label) in panel.steps.iter().enumerate() {
        let x = step_x(frame, panel, index);
        canvas.line(&[(x, frame.bottom()), (x, frame.bottom() + 4.0)], ink);
        if index.is_multiple_of(every) {
            let look = Lettering::new(LABEL_SIZE, Align::Middle);
            canvas.text(label, (x, frame.bottom() + 15.0), look);
        }
    }
    let look = Lettering { ink: GREY, ..Lettering::new(12.0, Align::Middle) };
    let axis = shortened_path(&panel.axis, 12.0, frame.width);
    canvas.text(&axis, (frame.left + frame.width / 2.0, frame.bottom() + 34.0), look);
}

/// Stretches of a line without a missing value, with the steps' numbers.
fn runs(values: &[Option<SweepValue>]) -> Vec<Vec<(usize, SweepValue)>> {
    let mut all = Vec::new();
    let mut run = Vec::new();
    for (step, value) in values.iter().enumerate() {
        match value.filter(|value| value.middle.is_finite()) {
            Some(value) => run.push((step, value)),
            None if run.is_empty() => {}
            None => all.push(std::mem::take(&mut run)),
        }
    }
    all.push(run);
    all
}

/// Rows with a few dots each: a row for each series, a dot for each step of the panel, its spread as a line. For many
/// series and few steps, where lines would tangle. Panels stand side by side and share their rows, those of the first.
#[must_use]
pub fn dots(title: &str, subtitle: &str, panels: &[SweepPanel]) -> String {
    const ROW: f64 = 24.0;
    let names = names(panels);
    let widest = names.iter().map(|name| text_width(name, LABEL_SIZE)).fold(0.0, f64::max);
    let margin = widest.min(200.0) + 28.0;
    let each = if panels.len() > 2 { 250.0 } else { 330.0 };
    let width = (margin + (each + 52.0) * panels.len() as f64).max(520.0);
    let steps = panels.first().map_or(&[][..], |panel| &panel.steps);
    let entries = steps.iter().enumerate();
    let entries: Vec<_> = entries
        .map(|(index, step)| (step.clone(), Sample::Box(PALETTE[index % PALETTE.len()])))
        .collect();
    let legend = Legend::new(entries, width - 40.0);
    let height = ROW * names.len() as f64;
    let bottom = HEADING + ABOVE + height + 40.0;
    draw(width, bottom + legend.height() + 16.0, |canvas| {
        heading(canvas, width, title, subtitle);
        for (row, name) in names.iter().enumerate() {
            let y = HEADING + ABOVE + ROW * (row as f64 + 0.5);
            let label = shortened(name, LABEL_SIZE, 200.0);
            canvas.text(&label, (margin - 12.0, y), Lettering::new(LABEL_SIZE, Align::Right));
        }
        for (index, panel) in panels.iter().enumerate() {
            let left = margin + (each + 52.0) * index as f64;
            let frame = Frame { left, top: HEADING + ABOVE, width: each, height };
            draw_dots(canvas, frame, panel, &names, ROW);
        }
        legend.draw(canvas, width / 2.0, bottom);
    })
}

fn draw_dots(
    canvas: &mut Canvas<'_>,
    frame: Frame,
    panel: &SweepPanel,
    names: &[String],
    row: f64,
) {
    let bold = Lettering { bold: true, ..Lettering::new(13.0, Align::Left) };
    canvas.text(&shortened(&panel.title, 14.0, frame.width), (frame.left, frame.top - 14.0), bold);
    let scale = panel.scale();
    frame.draw_x(canvas, scale, &panel.ticks(scale));
    for (line, name) in names.iter().enumerate() {
        let top = frame.top + row * line as f64;
        let rule = Stroke::solid(super::canvas::GRID, 0.8);
        canvas.line(&[(frame.left, top), (frame.right(), top)], rule);
        let Some(series) = panel.series.iter().find(|series| series.name == *name) else {
            continue;
        };
        let count = series.values.len().max(1) as f64;
        for (step, value) in series.values.iter().enumerate() {
            let Some(value) = value.filter(|value| value.middle.is_finite()) else { continue };
            let ink = PALETTE[step % PALETTE.len()];
            let y = top + row * (step as f64 + 1.0) / (count + 1.0);
            let x = |value: f64| frame.x(scale, value);
            let ends = [(x(value.spread.0), y), (x(value.spread.1), y)];
            canvas.line(&ends, Stroke::solid(ink, 1.2));
            let middle = x(value.middle);
            canvas.rectangle((middle - 3.2, y - 3.2), (middle + 3.2, y + 3.2), ink);
        }
    }
    frame.draw_edges(canvas);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(middle: f64) -> Option<SweepValue> {
        Some(SweepValue { middle, spread: (middle * 0.9, middle * 1.1) })
    }

    fn panel(values: Vec<Option<SweepValue>>) -> SweepPanel {
        SweepPanel {
            title: "TTFT P50".into(),
            axis: "interval".into(),
            steps: (0..values.len()).map(|step| format!("{step} s")).collect(),
            unit: SweepUnit::Time,
            series: vec![SweepSeries { name: "gorgo".into(), values }],
        }
    }

    #[test]
    fn a_line_is_broken_where_a_value_is_missing() {
        let infinite = value(f64::INFINITY);
        let found = runs(&[value(1.0), None, value(2.0), value(3.0), infinite, value(4.0)]);
        let steps: Vec<Vec<usize>> =
            found.iter().map(|run| run.iter().map(|&(step, _)| step).collect()).collect();
        assert_eq!(steps, [vec![0], vec![2, 3], vec![5]]);
    }

    #[test]
    fn wide_spans_are_logarithmic_and_zero_never_is() {
        assert!(panel(vec![value(10.0), value(1_000.0)]).scale().log);
        assert!(!panel(vec![value(10.0), value(20.0)]).scale().log);
        assert!(!panel(vec![value(0.0), value(1_000.0)]).scale().log);
    }

    #[test]
    fn every_name_and_label_is_drawn_and_nothing_at_all_is_no_panic() {
        let svg = sweep("t", "s", &[panel(vec![value(10.0), value(20.0)])], 2);
        assert!(svg.contains("gorgo") && svg.contains("1 s"), "{svg}");
        let rows = dots("t", "s", &[panel(vec![value(10.0), None])]);
        assert!(rows.contains("gorgo"), "{rows}");
        assert!(sweep("t", "s", &[], 1).ends_with("</svg>\n"));
        assert!(sweep("t", "s", &[panel(Vec::new())], 1).contains("no value"));
        assert!(!dots("t", "s", &[]).is_empty());
    }
}
