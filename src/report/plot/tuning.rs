//! What a tuner did over time: one panel for each weight, the best known as a line and every candidate as a dot (filled
//! where it was accepted), then the step size (of each weight, where each has its own) and the score, on the same axis
//! of time. Weights that only follow a schedule have no step size and no score, and no panels for them.

use super::axis::{Frame, Scale, TICK_SIZE, TITLE_SIZE, Tick, short};
use super::canvas::{
    Align, Canvas, GREY, Ink, Lettering, PALETTE, Point, Stroke, WHITE, draw, stairs,
};
use super::legend::{HEADING, Legend, Sample, heading};
use crate::Tuning;
use gorgo_routing::tuner::TuneStep;

const WIDTH: f64 = 800.0;
const LEFT: f64 = 92.0;
const PANEL: f64 = 118.0;
const BETWEEN: f64 = 20.0;

const BEST: Ink = PALETTE[0];
const ACCEPTED: Ink = PALETTE[1];
const REFUSED: Ink = PALETTE[7];

/// What a panel shows.
#[derive(Clone, Copy)]
enum Panel<'a> {
    Weight(usize, &'a str),
    StepSize,
    Score,
}

impl<'a> Panel<'a> {
    /// From top to bottom.
    fn all(names: &[&'a str], searches: bool) -> Vec<Self> {
        let weights = names.iter().enumerate().map(|(place, name)| Panel::Weight(place, name));
        let search = [Panel::StepSize, Panel::Score].into_iter().filter(|_| searches);
        weights.chain(search).collect()
    }

    const fn name(self) -> &'a str {
        match self {
            Self::Weight(_, name) => name,
            Self::StepSize => "step size",
            Self::Score => "score",
        }
    }
}

/// Whether anything was tried out: a schedule only says what comes when.
fn searches(steps: &[TuneStep]) -> bool {
    steps.is_empty() || steps.iter().any(|step| step.sigma != 0.0 || step.score != 0.0)
}

/// The plot, as SVG.
#[must_use]
pub fn tuning(tuning: &Tuning<'_>) -> String {
    let names = tuning.names();
    let searches = searches(tuning.steps);
    let panels = Panel::all(&names, searches);
    let bottom = HEADING + (PANEL + BETWEEN) * panels.len() as f64;
    let sizes = step_sizes(tuning.steps, &names);
    let entries = if searches { entries(&sizes) } else { in_force() };
    let legend = Legend::new(entries, WIDTH - 40.0);
    let (time, unit_s, unit) = time_scale(tuning.steps);
    draw(WIDTH, bottom + 34.0 + legend.height() + 14.0, |canvas| {
        let title = format!("Weights of {}, tuned by {}", tuning.policy, tuning.summary.strategy);
        let (steps, accepted) = (tuning.summary.steps, tuning.summary.accepted);
        let (scenario, seed) = (tuning.scenario, tuning.seed);
        let mut about = format!("{scenario}, seed {seed}, {steps} steps");
        if searches {
            about += &format!(", {accepted} accepted");
        }
        heading(canvas, WIDTH, &title, &about);
        for (place, &panel) in panels.iter().enumerate() {
            let top = HEADING + (PANEL + BETWEEN) * place as f64;
            let frame = Frame { left: LEFT, top, width: WIDTH - LEFT - 22.0, height: PANEL };
            let is_last = place + 1 == panels.len();
            let mut ticks = time.linear_ticks(10.0, short);
            if !is_last {
                ticks =
                    ticks.into_iter().map(|t| Tick { label: Some(String::new()), ..t }).collect();
            }
            frame.draw_x(canvas, time, &ticks);
            let look =
                Lettering { upward: true, ink: GREY, ..Lettering::new(TICK_SIZE, Align::Middle) };
            canvas.text(panel.name(), (26.0, frame.top + frame.height / 2.0), look);
            match panel {
                _ if tuning.steps.is_empty() => frame.say(canvas, "No step: too few requests."),
                Panel::Weight(index, name) => {
                    let start = tuning.summary.start.values().nth(index).copied();
                    let start = start.unwrap_or(1.0);
                    weight(canvas, frame, (time, unit_s), tuning.steps, (index, name), start);
                }
                Panel::StepSize => sigma(canvas, frame, (time, unit_s), tuning.steps, &sizes),
                Panel::Score => score(canvas, frame, (time, unit_s), tuning.steps),
            }
            frame.draw_edges(canvas);
        }
        let look = Lettering::new(TITLE_SIZE, Align::Middle);
        canvas.text(&format!("time, {unit}"), (WIDTH / 2.0, bottom + 14.0), look);
        legend.draw(canvas, WIDTH / 2.0, bottom + 32.0);
    })
}

fn time_scale(steps: &[TuneStep]) -> (Scale, f64, &'static str) {
    let end_s = steps.last().map_or(1.0, |step| step.at_ns.as_s());
    let (unit_s, unit) = match end_s {
        end if end > 5.0 * 3_600.0 => (3_600.0, "h"),
        end if end > 600.0 => (60.0, "min"),
        _ => (1.0, "s"),
    };
    let to = if end_s > 0.0 { end_s / unit_s * 1.02 } else { 1.0 };
    (Scale { from: 0.0, to, log: false }, unit_s, unit)
}

/// The ticks, without the labels that would touch: powers of ten come first, then 1, 2 and 5 times them, then the rest.
fn apart(frame: Frame, scale: Scale, ticks: Vec<Tick>) -> Vec<Tick> {
    let digit = |value: f64| (value / 10_f64.powf(value.log10().floor() + 1e-9)).round();
    let rank = |tick: &Tick| match digit(tick.value) {
        1.0 | 10.0 => 0,
        2.0 | 5.0 => 1,
        _ => 2,
    };
    let mut taken: Vec<f64> = Vec::new();
    let mut order: Vec<usize> = (0..ticks.len()).collect();
    order.sort_by_key(|&i| rank(&ticks[i]));
    let mut ticks = ticks;
    for i in order {
        let y = frame.y(scale, ticks[i].value);
        if taken.iter().any(|other| (other - y).abs() < TICK_SIZE + 2.0) {
            ticks[i].label = None;
        } else if ticks[i].label.is_some() {
            taken.push(y);
        }
    }
    ticks
}

/// The candidates of one weight, and the best known.
fn weight(
    canvas: &mut Canvas<'_>,
    frame: Frame,
    (time, unit_s): (Scale, f64),
    steps: &[TuneStep],
    (index, name): (usize, &str),
    start: f64,
) {
    let all = steps.iter().flat_map(|step| [step.candidate[index], step.best[index]]);
    let (least, most) =
        all.fold((start, start), |(least, most), x| (f64::min(least, x), f64::max(most, x)));
    let scale = Scale::log(least, most);
    frame.draw_y(canvas, scale, &apart(frame, scale, scale.log_ticks(short)));
    let changes = steps.iter().map(|step| (step.at_ns.as_s() / unit_s, step.best[index]));
    let points: Vec<Point> = std::iter::once((0.0, start))
        .chain(changes)
        .chain(std::iter::once((time.to, steps.last().map_or(start, |step| step.best[index]))))
        .map(|point| frame.place(time, scale, point))
        .collect();
    canvas.line(&stairs(&points), Stroke::solid(BEST, 1.8));
    for step in steps.iter().filter(|step| step.weight.as_deref().is_none_or(|of| of == name)) {
        let at = frame.place(time, scale, (step.at_ns.as_s() / unit_s, step.candidate[index]));
        dot(canvas, at, step.accepted);
    }
}

/// Whose step sizes there are, each with its ink: of all weights together, or of single ones.
type StepSizes<'a> = Vec<(Option<&'a str>, Ink)>;

fn step_sizes<'a>(steps: &[TuneStep], names: &[&'a str]) -> StepSizes<'a> {
    let own = names.iter().copied().map(Some).zip(PALETTE[2..7].iter().copied().cycle());
    let has_steps = |of: Option<&str>| steps.iter().any(|step| step.weight.as_deref() == of);
    std::iter::once((None, BEST)).chain(own).filter(|&(of, _)| has_steps(of)).collect()
}

/// The legend of a schedule.
fn in_force() -> Vec<(String, Sample)> {
    vec![
        ("in force".to_owned(), Sample::Line(Stroke::solid(BEST, 1.8))),
        ("installed".to_owned(), Sample::Box(ACCEPTED)),
    ]
}

fn entries(sizes: &StepSizes<'_>) -> Vec<(String, Sample)> {
    let together = sizes.iter().all(|(of, _)| of.is_none());
    let best = if together { "best known, and step size" } else { "best known" };
    let mut entries = vec![(best.to_owned(), Sample::Line(Stroke::solid(BEST, 1.8)))];
    for (of, ink) in sizes {
        if let Some(name) = of {
            let line = Sample::Line(Stroke::solid(*ink, 1.8));
            entries.push((format!("step size of {name}"), line));
        }
    }
    entries.push(("candidate, accepted".to_owned(), Sample::Box(ACCEPTED)));
    entries.push(("candidate, refused".to_owned(), Sample::Box(REFUSED)));
    entries
}

fn sigma(
    canvas: &mut Canvas<'_>,
    frame: Frame,
    (time, unit_s): (Scale, f64),
    steps: &[TuneStep],
    sizes: &StepSizes<'_>,
) {
    let (least, most) = steps
        .iter()
        .map(|step| step.sigma)
        .fold((f64::INFINITY, 0.0), |(least, most), s| (f64::min(least, s), f64::max(most, s)));
    let scale = Scale::log(least, most);
    frame.draw_y(canvas, scale, &apart(frame, scale, scale.log_ticks(short)));
    for &(of, ink) in sizes {
        let own = steps.iter().filter(|step| step.weight.as_deref() == of);
        let points = own.map(|step| (step.at_ns.as_s() / unit_s, step.sigma));
        let points: Vec<Point> = points.map(|point| frame.place(time, scale, point)).collect();
        canvas.line(&stairs(&points), Stroke::solid(ink, 1.8));
    }
}

fn score(canvas: &mut Canvas<'_>, frame: Frame, (time, unit_s): (Scale, f64), steps: &[TuneStep]) {
    let finite = || steps.iter().map(|step| step.score).filter(|score| score.is_finite());
    let least = finite().fold(0.0, f64::min);
    let most = finite().fold(0.0, f64::max);
    let room = ((most - least) * 0.06).max(1e-9);
    let scale = Scale { from: least - room, to: most + room, log: false };
    // Ticks of the span, moved so that one of them is 0.
    let span = Scale { from: 0.0, to: scale.to - scale.from, log: false };
    let step = span.linear_ticks(4.0, short).get(1).map_or(1.0, |tick| tick.value);
    let first = (scale.from / step).ceil();
    let ticks: Vec<Tick> = (0..16)
        .map(|k| (first + f64::from(k)) * step)
        .take_while(|&value| value <= scale.to)
        .map(|value| Tick { value, label: Some(short(value + 0.0)) })
        .collect();
    frame.draw_y(canvas, scale, &ticks);
    for step in steps {
        let at = frame.place(time, scale, (step.at_ns.as_s() / unit_s, step.score));
        dot(canvas, at, step.accepted);
    }
}

/// A small square: filled where the candidate was accepted.
fn dot(canvas: &mut Canvas<'_>, (x, y): Point, accepted: bool) {
    let ink = if accepted { ACCEPTED } else { REFUSED };
    canvas.rectangle((x - 3.5, y - 3.5), (x + 3.5, y + 3.5), ink);
    if !accepted {
        canvas.rectangle((x - 2.2, y - 2.2), (x + 2.2, y + 2.2), WHITE);
    }
}
