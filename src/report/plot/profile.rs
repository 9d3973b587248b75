//! The curves of a cost profile, one panel above the other, with the points of its tables.

use super::axis::{Frame, Scale, short, time_label};
use super::canvas::{Align, Canvas, Lettering, Point, Stroke, draw};
use super::legend::{HEADING, Legend, Sample, heading};

const WIDTH: f64 = 800.0;
const PLOT_HEIGHT: f64 = 270.0;
/// Half the side of a point's square.
const DOT: f64 = 2.6;

/// One line of a panel: what the profile says, and the points of its table.
#[derive(Clone, Debug)]
pub struct ProfileCurve {
    /// What stands in the legend.
    pub name: String,
    /// (x, ms) along the curve.
    pub line: Vec<(f64, f64)>,
    /// (x, ms) of the table's points.
    pub points: Vec<(f64, f64)>,
}

/// One picture of a profile. Both axes are logarithmic; the vertical one is in ms.
#[derive(Clone, Debug)]
pub struct ProfilePanel {
    /// What it shows.
    pub title: String,
    /// What the horizontal axis counts.
    pub x_title: String,
    /// Its lines.
    pub curves: Vec<ProfileCurve>,
}

/// The plot, as SVG.
#[must_use]
pub fn profile(title: &str, subtitle: &str, panels: &[ProfilePanel]) -> String {
    let legends: Vec<Legend> = (panels.iter())
        .map(|panel| {
            let name = |(index, curve): (usize, &ProfileCurve)| {
                (curve.name.clone(), Sample::Line(Stroke::of_series(index)))
            };
            Legend::new(panel.curves.iter().enumerate().map(name).collect(), WIDTH - 40.0)
        })
        .collect();
    let height = |legend: &Legend| 28.0 + PLOT_HEIGHT + 58.0 + legend.height() + 18.0;
    let total = HEADING + legends.iter().map(height).sum::<f64>();
    draw(WIDTH, total, |canvas| {
        heading(canvas, WIDTH, title, subtitle);
        let mut top = HEADING;
        for (panel, legend) in panels.iter().zip(&legends) {
            let look = Lettering { bold: true, ..Lettering::new(13.0, Align::Left) };
            canvas.text(&panel.title, (16.0, top + 8.0), look);
            let frame =
                Frame { left: 84.0, top: top + 28.0, width: WIDTH - 112.0, height: PLOT_HEIGHT };
            draw_panel(canvas, frame, panel);
            legend.draw(canvas, WIDTH / 2.0, frame.bottom() + 54.0);
            top += height(legend);
        }
    })
}

fn draw_panel(canvas: &mut Canvas<'_>, frame: Frame, panel: &ProfilePanel) {
    let all = || panel.curves.iter().flat_map(|curve| curve.line.iter().chain(&curve.points));
    let ends = |part: fn(&(f64, f64)) -> f64| {
        let least = all().map(part).fold(f64::INFINITY, f64::min);
        (least, all().map(part).fold(0.0, f64::max))
    };
    if all().next().is_none() {
        frame.say(canvas, "Nothing to show.");
        frame.draw_edges(canvas);
        return;
    }
    let ((x_least, x_most), (y_least, y_most)) = (ends(|point| point.0), ends(|point| point.1));
    let (x, y) = (Scale::log(x_least, x_most), Scale::log(y_least, y_most));
    frame.draw_x(canvas, x, &x.log_ticks(short));
    frame.draw_y(canvas, y, &y.log_ticks(time_label));
    for (index, curve) in panel.curves.iter().enumerate() {
        let stroke = Stroke::of_series(index);
        let line: Vec<Point> = curve.line.iter().map(|&point| frame.place(x, y, point)).collect();
        canvas.line(&line, stroke);
        for &point in &curve.points {
            let (across, down) = frame.place(x, y, point);
            canvas.rectangle((across - DOT, down - DOT), (across + DOT, down + DOT), stroke.ink);
        }
    }
    frame.title_x(canvas, &panel.x_title);
    frame.title_y(canvas, "time (squares: table)", 62.0);
    frame.draw_edges(canvas);
}
