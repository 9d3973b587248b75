//! TTFT of several settings as cumulative shares: a line through the middle of the seeds and a band from the lowest to
//! the highest of them. From histograms, so no request need be kept; one that did not complete keeps its run below
//! 100 %.

use super::axis::{Frame, Scale, short, time_label};
use super::canvas::{Point, Stroke, draw};
use super::legend::{HEADING, Legend, Sample, heading};

const WIDTH: f64 = 800.0;
const PLOT_HEIGHT: f64 = 380.0;
/// Places along the axis at which shares are taken.
const PLACES: usize = 240;

/// One run: TTFT of its completed measured requests by bucket (most of the bucket in ns, how many), rising, and how many
/// requests were measured.
#[derive(Clone, Debug, PartialEq)]
pub struct BandRun {
    /// The buckets.
    pub ttft_ns: Vec<(u64, u64)>,
    /// Measured requests, completed or not.
    pub measured: u64,
}

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct BandSeries {
    /// Its name.
    pub name: String,
    /// A run for each seed.
    pub runs: Vec<BandRun>,
}

/// The picture, as SVG.
#[must_use]
pub fn ttft_bands(title: &str, subtitle: &str, series: &[BandSeries]) -> String {
    let entries = series
        .iter()
        .enumerate()
        .map(|(index, series)| (series.name.clone(), Sample::Line(Stroke::of_series(index))));
    let legend = Legend::new(entries.collect(), WIDTH - 40.0);
    let frame = Frame { left: 76.0, top: HEADING, width: WIDTH - 76.0 - 28.0, height: PLOT_HEIGHT };
    let height = frame.bottom() + 58.0 + legend.height() + 14.0;
    let buckets = || series.iter().flat_map(|series| &series.runs).flat_map(|run| &run.ttft_ns);
    let least = buckets().map(|(top, _)| *top).min();
    let most = buckets().map(|(top, _)| *top).max();
    draw(WIDTH, height, |canvas| {
        heading(canvas, WIDTH, title, subtitle);
        if let (Some(least), Some(most)) = (least, most) {
            let x = Scale::log(ms(least), ms(most));
            let y = Scale { from: 0.0, to: 100.0, log: false };
            frame.draw_x(canvas, x, &x.log_ticks(time_label));
            frame.draw_y(canvas, y, &y.linear_ticks(5.0, short));
            let places: Vec<f64> = (0..=PLACES)
                .map(|place| x.from * (x.to / x.from).powf(place as f64 / PLACES as f64))
                .collect();
            let curves: Vec<Vec<[f64; 3]>> =
                series.iter().map(|series| curve(&series.runs, &places)).collect();
            let line = |curve: &[[f64; 3]], which: usize| -> Vec<Point> {
                let at = places.iter().zip(curve);
                at.map(|(&ms, shares)| frame.place(x, y, (ms, shares[which]))).collect()
            };
            for (index, curve) in curves.iter().enumerate() {
                let mut around = line(curve, 0);
                around.extend(line(curve, 2).into_iter().rev());
                canvas.area(&around, Stroke::of_series(index).ink, 0.22);
            }
            for (index, curve) in curves.iter().enumerate() {
                canvas.line(&line(curve, 1), Stroke::of_series(index));
            }
            frame.title_x(canvas, "time to first token (scheduled to first token at the client)");
            frame.title_y(canvas, "share of measured requests, %", 52.0);
        } else {
            frame.say(canvas, "No measured request completed.");
        }
        frame.draw_edges(canvas);
        legend.draw(canvas, WIDTH / 2.0, frame.bottom() + 54.0);
    })
}

/// The lowest, middle and highest share of the runs at each place, %.
fn curve(runs: &[BandRun], places: &[f64]) -> Vec<[f64; 3]> {
    let shares: Vec<Vec<f64>> = runs.iter().map(|run| shares(run, places)).collect();
    (0..places.len())
        .map(|place| {
            let mut values: Vec<f64> = shares.iter().map(|run| run[place]).collect();
            values.sort_unstable_by(f64::total_cmp);
            let Some((&first, &last)) = values.first().zip(values.last()) else { return [0.0; 3] };
            let middle = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
            [first, middle, last]
        })
        .collect()
}

/// The share of a run's requests at or below each place, %.
fn shares(run: &BandRun, places: &[f64]) -> Vec<f64> {
    let mut buckets = run.ttft_ns.iter().peekable();
    let mut below = 0_u64;
    let measured = run.measured.max(1) as f64;
    places
        .iter()
        .map(|&place| {
            while let Some((_, count)) = buckets.next_if(|(top, _)| ms(*top) <= place) {
                below = below.saturating_add(*count);
            }
            below as f64 / measured * 100.0
        })
        .collect()
}

fn ms(ns: u64) -> f64 {
    gorgo_types::Nanos(ns).as_ms()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_hold_the_seeds_and_stay_below_what_completed() {
        let run = |top_ms: u64, count, measured| BandRun {
            ttft_ns: vec![(top_ms * 1_000_000, count)],
            measured,
        };
        let runs = [run(10, 8, 10), run(20, 10, 10), run(30, 10, 10)];
        let found = curve(&runs, &[5.0, 10.0, 25.0, 40.0]);
        assert_eq!(
            found,
            [[0.0, 0.0, 0.0], [0.0, 0.0, 80.0], [0.0, 80.0, 100.0], [80.0, 100.0, 100.0]]
        );
        assert_eq!(curve(&[], &[1.0]), [[0.0; 3]]);
    }
}
