//! Two numbers of every setting against each other, and the front: the settings that no other beats in both.

use super::axis::{Frame, Scale, Tick, short, time_label};
use super::canvas::{BLACK, PALETTE, Point, Stroke, draw};
use super::legend::{HEADING, Legend, Sample, heading};
use super::sweep::SweepUnit;

const WIDTH: f64 = 800.0;
const PLOT_HEIGHT: f64 = 380.0;

/// One of the two numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontAxis {
    /// What it is.
    pub title: String,
    /// What it counts in.
    pub unit: SweepUnit,
    /// Whether less of it is better.
    pub less: bool,
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrontPoint {
    /// The first number.
    pub x: f64,
    /// The second number.
    pub y: f64,
    /// Which of the names it goes by.
    pub series: usize,
    /// Whether no other is at least as good in both and better in one.
    pub is_front: bool,
}

/// The picture, as SVG; `names` are the series'.
#[must_use]
pub fn front(
    title: &str,
    subtitle: &str,
    [x_axis, y_axis]: [&FrontAxis; 2],
    names: &[String],
    points: &[FrontPoint],
) -> String {
    let mut entries: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(index, name)| (name.clone(), Sample::Box(PALETTE[index % PALETTE.len()])))
        .collect();
    entries.push(("front".to_owned(), Sample::Line(Stroke::solid(BLACK, 1.4))));
    let legend = Legend::new(entries, WIDTH - 40.0);
    let frame = Frame { left: 92.0, top: HEADING, width: WIDTH - 92.0 - 28.0, height: PLOT_HEIGHT };
    let height = frame.bottom() + 58.0 + legend.height() + 14.0;
    draw(WIDTH, height, |canvas| {
        heading(canvas, WIDTH, title, subtitle);
        if points.is_empty() {
            frame.say(canvas, "No setting has both numbers.");
            frame.draw_edges(canvas);
            return;
        }
        let (x, x_ticks) = scale(points.iter().map(|point| point.x), x_axis.unit);
        let (y, y_ticks) = scale(points.iter().map(|point| point.y), y_axis.unit);
        frame.draw_x(canvas, x, &x_ticks);
        frame.draw_y(canvas, y, &y_ticks);
        let place = |point: &FrontPoint| frame.place(x, y, (point.x, point.y));
        for point in points.iter().filter(|point| !point.is_front) {
            canvas.area(&square(place(point), 3.0), PALETTE[point.series % PALETTE.len()], 0.45);
        }
        let mut best: Vec<&FrontPoint> = points.iter().filter(|point| point.is_front).collect();
        best.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
        // Steps: between two points, nothing better than the worse of both is known.
        let mut steps: Vec<Point> = Vec::new();
        for point in &best {
            if let Some(&(last_x, last_y)) = steps.last() {
                let (here_x, here_y) = place(point);
                steps.push(if x_axis.less { (here_x, last_y) } else { (last_x, here_y) });
            }
            steps.push(place(point));
        }
        canvas.line(&steps, Stroke::solid(BLACK, 1.4));
        for point in best {
            canvas.area(&square(place(point), 6.0), BLACK, 1.0);
            canvas.area(&square(place(point), 4.6), PALETTE[point.series % PALETTE.len()], 1.0);
        }
        let better = |axis: &FrontAxis| {
            let word = if axis.less { "less" } else { "more" };
            format!("{} ({word} is better)", axis.title)
        };
        frame.title_x(canvas, &better(x_axis));
        frame.title_y(canvas, &better(y_axis), 68.0);
        frame.draw_edges(canvas);
        legend.draw(canvas, WIDTH / 2.0, frame.bottom() + 54.0);
    })
}

fn square((x, y): Point, half: f64) -> [Point; 4] {
    [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
}

/// Logarithmic where values differ by more than eight times; else from round number to round number around them: what
/// matters are differences.
fn scale(values: impl Iterator<Item = f64>, unit: SweepUnit) -> (Scale, Vec<Tick>) {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    let label = |value: f64| match unit {
        SweepUnit::Time => time_label(value),
        SweepUnit::Plain => short(value),
    };
    if least > 1e-3 && most / least > 8.0 {
        let scale = Scale::log(least, most);
        return (scale, scale.log_ticks(label));
    }
    let range = if most > least { most - least } else { most.abs().max(1e-9) };
    let power = 10_f64.powf((range / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| range / step <= 6.0)
        .unwrap_or(10.0 * power);
    let from = ((least - range * 0.06) / step).floor();
    let to = ((most + range * 0.06) / step).ceil();
    #[expect(clippy::cast_possible_truncation, reason = "about eight steps")]
    let count = (to - from) as i64;
    let ticks = (0..=count)
        .map(|k| (from + k as f64) * step)
        .map(|value| Tick { value, label: Some(label(value)) })
        .collect();
    (Scale { from: from * step, to: to * step, log: false }, ticks)
}
