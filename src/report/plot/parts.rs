//! Where the time to first token goes: the mean parts of each policy, stacked. They add up to the mean TTFT of the
//! completed requests.

use super::axis::{Frame, Scale, TICK_SIZE, time_label, time_text};
use super::canvas::{Align, GREY, Ink, Lettering, draw, shortened, text_width};
use super::legend::{HEADING, Legend, Sample, heading};
use super::subtitle;
use gorgo_metrics::{PartsMs, RunResult, TtftParts};
use plotters::style::RGBColor;

const WIDTH: f64 = 800.0;
const ROW: f64 = 30.0;
const LONGEST_NAME: f64 = 230.0;

/// Inks of the parts in the order of [`TtftParts::names`]: the network in blues, waiting in warm colours, work in
/// green, the rest in greys and purples. Eight are Okabe and Ito's; the others are shades of them.
const INKS: [Ink; 12] = [
    RGBColor(0x00, 0x00, 0x00), // client_queue
    RGBColor(0x56, 0xb4, 0xe9), // client_to_router
    RGBColor(0x99, 0x99, 0x99), // routing
    RGBColor(0xe6, 0x9f, 0x00), // router_queue
    RGBColor(0xa6, 0xd8, 0xf2), // forward
    RGBColor(0xf0, 0xe4, 0x42), // failed_attempts
    RGBColor(0x8c, 0x4a, 0x6e), // connect
    RGBColor(0x00, 0x72, 0xb2), // network_out
    RGBColor(0xcc, 0x79, 0xa7), // replica_overhead
    RGBColor(0xd5, 0x5e, 0x00), // replica_queue
    RGBColor(0x00, 0x9e, 0x73), // prefill
    RGBColor(0x00, 0x3b, 0x5c), // network_back
];

/// The plot, as SVG.
#[must_use]
pub fn ttft_parts(runs: &[&RunResult]) -> String {
    let parts: Vec<Option<PartsMs>> = runs.iter().map(|run| run.summary.ttft_parts_ms).collect();
    // A part that is zero everywhere would only lengthen the legend.
    let shown: Vec<usize> = (0..INKS.len())
        .filter(|&part| parts.iter().flatten().any(|parts| parts.values()[part] > 0.0))
        .collect();
    let entries =
        shown.iter().map(|&part| (words(TtftParts::names()[part]), Sample::Box(INKS[part])));
    let legend = Legend::new(entries.collect(), WIDTH - 40.0);
    let names: Vec<String> =
        runs.iter().map(|run| shortened(&run.names.policy, TICK_SIZE, LONGEST_NAME)).collect();
    let widest = names.iter().map(|name| text_width(name, TICK_SIZE)).fold(40.0, f64::max);
    let left = widest + 34.0;
    let height = ROW * runs.len().max(2) as f64 + 6.0;
    let frame = Frame { left, top: HEADING, width: WIDTH - left - 82.0, height };
    draw(WIDTH, frame.bottom() + 56.0 + legend.height() + 14.0, |canvas| {
        heading(canvas, WIDTH, "Where the time to first token goes", &subtitle(runs));
        let totals: Vec<Option<f64>> =
            parts.iter().map(|parts| parts.map(|parts| parts.values().iter().sum())).collect();
        let most = totals.iter().flatten().copied().fold(0.0, f64::max);
        if most > 0.0 {
            let x = Scale::linear(most);
            frame.draw_x(canvas, x, &x.linear_ticks(6.0, time_label));
            frame.title_x(canvas, "mean time to first token of completed requests");
        }
        for (row, parts) in parts.iter().enumerate() {
            let middle = frame.top + 3.0 + ROW * (row as f64 + 0.5);
            canvas.text(
                &names[row],
                (frame.left - 10.0, middle),
                Lettering::new(TICK_SIZE, Align::Right),
            );
            let (Some(parts), Some(total)) = (parts, totals[row]) else {
                let grey = Lettering { ink: GREY, ..Lettering::new(TICK_SIZE, Align::Left) };
                canvas.text("no measured request completed", (frame.left + 8.0, middle), grey);
                continue;
            };
            let x = Scale::linear(most);
            let mut sum = 0.0;
            for (value, ink) in
                parts.values().into_iter().zip(INKS).filter(|&(value, _)| value > 0.0)
            {
                let from = frame.x(x, sum);
                sum += value;
                canvas.rectangle((from, middle - 10.0), (frame.x(x, sum), middle + 10.0), ink);
            }
            let bold = Lettering { bold: true, ..Lettering::new(TICK_SIZE, Align::Left) };
            canvas.text(&time_text(total), (frame.x(x, total) + 6.0, middle), bold);
        }
        if runs.is_empty() {
            frame.say(canvas, "No run.");
        }
        frame.draw_edges(canvas);
        legend.draw(canvas, WIDTH / 2.0, frame.bottom() + 52.0);
    })
}

/// A part's name in words.
fn words(name: &str) -> String {
    name.replace('_', " ")
}
