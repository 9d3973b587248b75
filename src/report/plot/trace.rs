//! Pictures of a trace: its rate over time, its lengths, and how much of its prompts caches of several sizes would have
//! had. The numbers are the caller's; this crate knows no traces.

use super::axis::{Frame, Scale, TICK_SIZE, short};
use super::canvas::{Align, Canvas, Lettering, PALETTE, Point, Stroke, draw, text_width};
use super::legend::{HEADING, heading};

const WIDTH: f64 = 800.0;
const LEFT: f64 = 76.0;
/// Bins over the width of a histogram.
const BINS: usize = 60;
const ROW: f64 = 28.0;

/// The rate over time: `rate_rps` in windows of `window_s` seconds from time zero. `subtitle` says what of.
#[must_use]
pub fn trace_rate(subtitle: &str, window_s: f64, rate_rps: &[f64]) -> String {
    let frame = Frame { left: LEFT, top: HEADING, width: WIDTH - LEFT - 28.0, height: 260.0 };
    draw(WIDTH, frame.bottom() + 56.0, |canvas| {
        heading(canvas, WIDTH, "Requests over time", subtitle);
        if rate_rps.is_empty() {
            frame.say(canvas, "No request.");
            frame.draw_edges(canvas);
            return;
        }
        let end_s = window_s * rate_rps.len() as f64;
        let (unit_s, unit) = match end_s {
            end if end > 3.0 * 86_400.0 => (86_400.0, "days"),
            end if end > 5.0 * 3_600.0 => (3_600.0, "h"),
            end if end > 600.0 => (60.0, "min"),
            _ => (1.0, "s"),
        };
        let x = Scale { from: 0.0, to: end_s / unit_s, log: false };
        let y = Scale::linear(rate_rps.iter().copied().fold(0.0, f64::max));
        frame.draw_x(canvas, x, &x.linear_ticks(10.0, short));
        frame.draw_y(canvas, y, &y.linear_ticks(5.0, short));
        let edge = |index: usize| index as f64 * window_s / unit_s;
        let steps: Vec<Point> = (rate_rps.iter().enumerate())
            .flat_map(|(i, &rate)| [(edge(i), rate), (edge(i + 1), rate)])
            .map(|point| frame.place(x, y, point))
            .collect();
        canvas.line(&steps, Stroke::solid(PALETTE[0], 1.3));
        frame.draw_edges(canvas);
        frame.title_x(canvas, &format!("time since the first request, {unit}"));
        frame.title_y(canvas, &format!("requests/s (windows of {} s)", short(window_s)), 54.0);
    })
}

/// The lengths of prompts and outputs as histograms over one logarithmic axis; each is (tokens, requests), ascending.
#[must_use]
pub fn trace_lengths(subtitle: &str, input: &[(u64, u64)], output: &[(u64, u64)]) -> String {
    let upper =
        Frame { left: LEFT, top: HEADING + 18.0, width: WIDTH - LEFT - 28.0, height: 170.0 };
    let lower = Frame { top: upper.bottom() + 56.0, ..upper };
    draw(WIDTH, lower.bottom() + 56.0, |canvas| {
        heading(canvas, WIDTH, "Lengths", subtitle);
        let lengths = || input.iter().chain(output).map(|&(tokens, _)| tokens);
        let (least, most) = (lengths().min().unwrap_or(1), lengths().max().unwrap_or(1));
        let x = Scale::log(least as f64, most as f64);
        for (frame, name, counts, ink) in
            [(upper, "prompts", input, PALETTE[0]), (lower, "outputs", output, PALETTE[1])]
        {
            let bold = Lettering { bold: true, ..Lettering::new(13.0, Align::Left) };
            canvas.text(name, (frame.left, frame.top - 11.0), bold);
            frame.draw_x(canvas, x, &x.log_ticks(tokens_text));
            let bins = bins(counts, x);
            let y = Scale::linear(bins.iter().copied().max().unwrap_or(0) as f64);
            let ticks = y.linear_ticks(4.0, short);
            let whole: Vec<_> =
                ticks.into_iter().filter(|tick| tick.value.fract() < 1e-9).collect();
            frame.draw_y(canvas, y, &whole);
            for (bin, &count) in bins.iter().enumerate().filter(|&(_, &count)| count > 0) {
                let left = frame.left + frame.width * bin as f64 / BINS as f64;
                let right = frame.left + frame.width * (bin + 1) as f64 / BINS as f64;
                let top = frame.y(y, count as f64).min(frame.bottom() - 1.0);
                canvas.rectangle((left + 0.4, top), (right - 0.4, frame.bottom()), ink);
            }
            frame.draw_edges(canvas);
            frame.title_y(canvas, "requests per bin", 58.0);
        }
        lower.title_x(canvas, "tokens");
    })
}

/// How many prompt tokens each kind of cache would have had: (name, share from 0 to 1), as bars.
#[must_use]
pub fn trace_reuse(subtitle: &str, shares: &[(String, f64)]) -> String {
    let widest = shares.iter().map(|(name, _)| text_width(name, TICK_SIZE)).fold(40.0, f64::max);
    let left = widest + 34.0;
    let height = ROW * shares.len().max(1) as f64 + 8.0;
    let frame = Frame { left, top: HEADING, width: WIDTH - left - 80.0, height };
    draw(WIDTH, frame.bottom() + 56.0, |canvas| {
        heading(canvas, WIDTH, "Reuse of prefixes", subtitle);
        let x = Scale { from: 0.0, to: 100.0, log: false };
        frame.draw_x(canvas, x, &x.linear_ticks(10.0, short));
        for (index, (name, share)) in shares.iter().enumerate() {
            bar(canvas, frame, x, index, name, share * 100.0);
        }
        frame.draw_edges(canvas);
        frame.title_x(canvas, "prompt tokens whose prefix was there, % of all");
    })
}

fn bar(canvas: &mut Canvas<'_>, frame: Frame, x: Scale, index: usize, name: &str, percent: f64) {
    let middle = frame.top + 4.0 + ROW * (index as f64 + 0.5);
    let right = frame.x(x, percent);
    canvas.rectangle((frame.left, middle - 9.0), (right, middle + 9.0), PALETTE[0]);
    canvas.text(name, (frame.left - 10.0, middle), Lettering::new(TICK_SIZE, Align::Right));
    let value = format!("{percent:.1} %");
    canvas.text(&value, (right + 7.0, middle), Lettering::new(TICK_SIZE, Align::Left));
}

fn bins(counts: &[(u64, u64)], x: Scale) -> Vec<u64> {
    let mut bins = vec![0; BINS];
    for &(tokens, requests) in counts {
        let place = x.position(tokens as f64) * BINS as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to BINS"
        )]
        let bin = (place as usize).min(BINS - 1);
        bins[bin] += requests;
    }
    bins
}

/// `500`, `20k`, `4M`.
fn tokens_text(tokens: f64) -> String {
    match tokens {
        t if t >= 999_999.5 => format!("{}M", short(t / 1e6)),
        t if t >= 9_999.5 => format!("{}k", short(t / 1e3)),
        t => short(t),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_in_a_bin() {
        let counts = [(1, 5), (2, 7), (131_072, 1)];
        let bins = bins(&counts, Scale::log(1.0, 131_072.0));
        assert_eq!(bins.iter().sum::<u64>(), 13);
    }

    #[test]
    fn empty_traces_and_one_request_are_drawn() {
        for rates in [&[][..], &[0.0], &[1.0, 0.0, 3.0]] {
            assert!(trace_rate("x", 1.0, rates).trim_end().ends_with("</svg>"));
        }
        assert!(trace_lengths("x", &[(7, 1)], &[(1, 1)]).contains("outputs"));
        assert!(trace_lengths("x", &[], &[]).contains("prompts"));
        assert!(trace_reuse("x", &[("within a user".into(), 0.5)]).contains("50.0 %"));
        assert_eq!([500.0, 20_000.0, 4e6].map(tokens_text), ["500", "20k", "4M"]);
    }
}
