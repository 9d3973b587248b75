//! Parallel coordinates: an upright axis for each thing that varies, a line for each setting, the best ones in blue, the
//! darkest the best, over all others in grey. A thing that makes no difference to a setting breaks its line.

use super::canvas::{
    Align, BLACK, GREY, GRID, Lettering, Point, Stroke, draw, shortened, text_width,
};
use super::legend::{HEADING, heading};
use super::surface::shade;

const WIDTH: f64 = 900.0;
const PLOT_HEIGHT: f64 = 330.0;
const LABEL_SIZE: f64 = 11.0;

/// One upright axis.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelAxis {
    /// What it is; words that do not fit are cut.
    pub name: String,
    /// Marks: where from 0 (below) to 1 (above), and what stands there.
    pub marks: Vec<(f64, String)>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelLine {
    /// Where it crosses each axis, from 0 to 1; none: the axis makes no difference to it.
    pub places: Vec<Option<f64>>,
    /// Its rank among the best, from 0, the best; none: it is not one of them.
    pub rank: Option<usize>,
}

/// The picture, as SVG.
#[must_use]
pub fn parallel(
    title: &str,
    subtitle: &str,
    axes: &[ParallelAxis],
    lines: &[ParallelLine],
) -> String {
    let (left, right) = (110.0, 130.0);
    let step = (WIDTH - left - right) / axes.len().saturating_sub(1).max(1) as f64;
    let top = HEADING + 34.0;
    let x = |axis: usize| left + step * axis as f64;
    let y = |place: f64| top + PLOT_HEIGHT * (1.0 - place.clamp(0.0, 1.0));
    let best = lines.iter().filter(|line| line.rank.is_some()).count().max(2);
    let pieces = |line: &ParallelLine| {
        let mut pieces: Vec<Vec<Point>> = vec![Vec::new()];
        for (axis, place) in line.places.iter().enumerate() {
            match (place, pieces.last_mut()) {
                (Some(place), Some(piece)) => piece.push((x(axis), y(*place))),
                (None, Some(piece)) if !piece.is_empty() => pieces.push(Vec::new()),
                _ => {}
            }
        }
        pieces
    };
    draw(WIDTH, top + PLOT_HEIGHT + 34.0, |canvas| {
        heading(canvas, WIDTH, title, subtitle);
        for line in lines.iter().filter(|line| line.rank.is_none()) {
            pieces(line).iter().for_each(|piece| canvas.line(piece, Stroke::solid(GRID, 1.0)));
        }
        // The best last: nothing covers it.
        let mut ranked: Vec<_> =
            lines.iter().filter_map(|line| line.rank.map(|rank| (rank, line))).collect();
        ranked.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        for (rank, line) in ranked {
            let share = rank as f64 / (best - 1) as f64;
            let width = if rank == 0 { 3.0 } else { 1.8 };
            let stroke = Stroke::solid(shade(share), width);
            pieces(line).iter().for_each(|piece| canvas.line(piece, stroke));
        }
        for (index, axis) in axes.iter().enumerate() {
            let at = x(index);
            canvas.line(&[(at, top), (at, top + PLOT_HEIGHT)], Stroke::solid(BLACK, 1.0));
            let name = Lettering { bold: true, ..Lettering::new(LABEL_SIZE, Align::Middle) };
            let room = if axes.len() > 1 { step - 8.0 } else { WIDTH };
            canvas.text(
                &shortened(&axis.name, LABEL_SIZE * 1.08, room.max(150.0)),
                (at, top - 16.0),
                name,
            );
            let last = index + 1 == axes.len();
            let mut taken: Vec<f64> = Vec::new();
            for (place, label) in &axis.marks {
                let height = y(*place);
                let side = if last { 1.0 } else { -1.0 };
                canvas.line(&[(at, height), (at + 4.0 * side, height)], Stroke::solid(BLACK, 1.0));
                if taken.iter().any(|other| (other - height).abs() < LABEL_SIZE + 1.0) {
                    continue;
                }
                taken.push(height);
                let align = if last { Align::Left } else { Align::Right };
                let look = Lettering { ink: GREY, ..Lettering::new(LABEL_SIZE, align) };
                let room = if index == 0 { left - 12.0 } else { step * 0.6 };
                let text = shortened(label, LABEL_SIZE, if last { right - 12.0 } else { room });
                // Lines run below labels: paper first.
                let wide = text_width(&text, LABEL_SIZE) * 0.92;
                if index > 0 && !last {
                    let corner = (at - 8.0 - wide, height - 6.5);
                    canvas.rectangle(corner, (at - 6.0, height + 6.5), super::canvas::WHITE);
                }
                canvas.text(&text, (at + 7.0 * side, height), look);
            }
        }
    })
}
