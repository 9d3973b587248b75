//! The TTFT of one policy as a histogram with bins of equal width on a logarithmic axis; P50 and P99 are the
//! summary's, not the bins'.

use super::axis::{Frame, Scale, short, time_label, time_text};
use super::canvas::{
    Align, BLACK, Canvas, GREY, Ink, Lettering, PALETTE, Stroke, draw, text_width,
};
use super::legend::{HEADING, heading};
use super::{grouped, subtitle};
use gorgo_metrics::{Histogram, RunResult};
use gorgo_types::Nanos;

const WIDTH: f64 = 800.0;
/// Bins over the width of the plot.
const BINS: usize = 70;
/// Room for the names of the marks above the frame.
const MARKS: f64 = 22.0;

/// The plot, as SVG.
#[must_use]
pub fn ttft_histogram(run: &RunResult) -> String {
    let frame =
        Frame { left: 84.0, top: HEADING + MARKS, width: WIDTH - 84.0 - 28.0, height: 300.0 };
    draw(WIDTH, frame.bottom() + 56.0, |canvas| {
        let title = format!("Time to first token: {}", run.names.policy);
        heading(canvas, WIDTH, &title, &about(run));
        if run.ttft.is_empty() {
            frame.say(canvas, "No measured request completed.");
            frame.draw_edges(canvas);
            return;
        }
        let ttft = run.ttft.histogram();
        let x = Scale::log(Nanos(ttft.min()).as_ms(), Nanos(ttft.max()).as_ms());
        let counts = bins(&ttft, x);
        let y = Scale::linear(counts.iter().copied().max().unwrap_or(0) as f64);
        frame.draw_x(canvas, x, &x.log_ticks(time_label));
        let ticks = y.linear_ticks(5.0, short);
        // Requests are whole: a scale up to 2 has no tick at 0.4.
        let whole: Vec<_> = ticks.into_iter().filter(|tick| tick.value.fract() < 1e-9).collect();
        frame.draw_y(canvas, y, &whole);
        for (bin, &count) in counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
            let left = frame.left + frame.width * bin as f64 / BINS as f64;
            let right = frame.left + frame.width * (bin + 1) as f64 / BINS as f64;
            // A bin of one request among a million is still seen.
            let top = frame.y(y, count as f64).min(frame.bottom() - 1.0);
            canvas.rectangle((left + 0.4, top), (right - 0.4, frame.bottom()), PALETTE[5]);
        }
        frame.draw_edges(canvas);
        marks(canvas, frame, x, run);
        frame.title_x(canvas, "time to first token (scheduled to first token at the client)");
        frame.title_y(canvas, "requests per bin", 60.0);
    })
}

/// The subtitle, with what is not in the bins.
fn about(run: &RunResult) -> String {
    let window = run.summary.window;
    let missing = window.measured.saturating_sub(window.measured_completed);
    let mut text = subtitle(&[run]);
    if missing > 0 {
        text.push_str(&format!(
            "; {} of them did not complete and are in no bin",
            grouped(missing)
        ));
    }
    text
}

fn bins(ttft: &Histogram<u64>, x: Scale) -> Vec<u64> {
    let mut counts = vec![0; BINS];
    for bucket in ttft.iter_recorded() {
        let value = ttft.median_equivalent(bucket.value_iterated_to());
        let place = x.position(Nanos(value).as_ms()) * BINS as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to BINS"
        )]
        let bin = (place as usize).min(BINS - 1);
        counts[bin] += bucket.count_at_value();
    }
    counts
}

/// P50 and P99 as lines, named above the frame on sides that keep the names apart.
fn marks(canvas: &mut Canvas<'_>, frame: Frame, x: Scale, run: &RunResult) {
    const SIZE: f64 = 12.0;
    let ttft = run.summary.ttft_ms;
    let mark = |canvas: &mut Canvas<'_>, name: &str, value: Option<f64>, ink: Ink, align: Align| {
        let y = frame.top - 9.0;
        let bold = Lettering { ink, bold: true, ..Lettering::new(SIZE, align) };
        let Some(value) = value else {
            let grey = Lettering { ink: GREY, ..Lettering::new(SIZE, Align::Right) };
            let below = if name == "P50" { frame.top + 9.0 } else { y };
            canvas.text(&format!("{name}: never (did not complete)"), (frame.right(), below), grey);
            return;
        };
        let at = frame.x(x, value);
        canvas.line(&[(at, frame.top - 4.0), (at, frame.bottom())], Stroke::solid(ink, 1.8));
        let text = format!("{name} {}", time_text(value));
        let width = text_width(&text, SIZE) * 1.1;
        let (at, align) = match align {
            Align::Right if at - width < frame.left => (frame.left, Align::Left),
            Align::Left if at + width > WIDTH - 4.0 => (WIDTH - 6.0, Align::Right),
            align => (at, align),
        };
        canvas.text(&text, (at, y), Lettering { align, ..bold });
    };
    mark(canvas, "P50", ttft.p50, BLACK, Align::Right);
    mark(canvas, "P99", ttft.p99, PALETTE[1], Align::Left);
}
