//! Scales and their ticks, and the frame that a plot's data stay inside.

use super::canvas::{Align, BLACK, Canvas, GRID, Lettering, Point, Stroke, text_width};

/// Size of tick labels.
pub(crate) const TICK_SIZE: f64 = 12.0;
/// Size of axis titles.
pub(crate) const TITLE_SIZE: f64 = 13.0;

/// A scale from values to 0..1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub from: f64,
    pub to: f64,
    pub log: bool,
}

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub value: f64,
    /// None: a small tick.
    pub label: Option<String>,
}

impl Scale {
    /// From zero to a little above `most`.
    pub fn linear(most: f64) -> Self {
        Self { from: 0.0, to: if most > 0.0 { most * 1.06 } else { 1.0 }, log: false }
    }

    /// Logarithmic, between round numbers around the values (1, 2, 5 times a power of ten, or any digit where they
    /// lie close together); never below 0.001.
    pub fn log(least: f64, most: f64) -> Self {
        let least = least.max(1e-3);
        let most = most.max(least);
        let digits: &[f64] = if most / least < 4.0 {
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
        } else {
            &[1.0, 2.0, 5.0, 10.0]
        };
        Self {
            from: round_below(least * 0.98, digits),
            to: round_above(most * 1.02, digits),
            log: true,
        }
    }

    /// Where a value lies: 0 at the start, 1 at the end, kept between.
    pub fn position(&self, value: f64) -> f64 {
        let place = if self.log {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        place.clamp(0.0, 1.0)
    }

    /// Ticks of a linear scale, about `count` of them.
    pub fn linear_ticks(&self, count: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let step = round_step(self.to, count);
        (0..=64)
            .map(|k| step * f64::from(k))
            .take_while(|&value| value <= self.to * (1.0 + 1e-9))
            .map(|value| Tick { value, label: Some(label(value)) })
            .collect()
    }

    /// Ticks of a logarithmic scale: labels at powers of ten, and at more the fewer there are.
    pub fn log_ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let decades = (self.to / self.from).log10();
        let labelled: &[u32] = match decades {
            d if d < 0.75 => &[1, 2, 3, 4, 5, 6, 7, 8, 9],
            d if d < 1.5 => &[1, 2, 3, 5, 7],
            d if d < 3.5 => &[1, 2, 5],
            _ => &[1],
        };
        let mut ticks = Vec::new();
        for power in -4..=12 {
            for digit in 1..=9 {
                let value = f64::from(digit) * 10_f64.powi(power);
                if value >= self.from * (1.0 - 1e-9) && value <= self.to * (1.0 + 1e-9) {
                    let label = labelled.contains(&digit).then(|| label(value));
                    ticks.push(Tick { value, label });
                }
            }
        }
        ticks
    }
}

/// The step of 1, 2 or 5 times a power of ten that comes nearest to `range / count`.
fn round_step(range: f64, count: f64) -> f64 {
    let rough = range / count;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    let away = |step: f64| (step / rough).ln().abs();
    steps.into_iter().fold(power, |best, step| if away(step) < away(best) { step } else { best })
}

/// The largest digit times a power of ten at or below a value.
fn round_below(value: f64, digits: &[f64]) -> f64 {
    let power = 10_f64.powi(floor_log10(value));
    digits.iter().map(|digit| digit * power).rfind(|&round| round <= value).unwrap_or(power)
}

/// The smallest digit times a power of ten at or above a value.
fn round_above(value: f64, digits: &[f64]) -> f64 {
    let power = 10_f64.powi(floor_log10(value));
    digits.iter().map(|digit| digit * power).find(|&round| round >= value).unwrap_or(10.0 * power)
}

#[expect(clippy::cast_possible_truncation, reason = "the logarithm of a time is small")]
fn floor_log10(value: f64) -> i32 {
    value.log10().floor() as i32
}

/// Milliseconds as a tick label: `10 µs`, `100 ms`, `2 s`.
pub(crate) fn time_label(ms: f64) -> String {
    let (value, unit) = match ms {
        ms if ms <= 0.0 => (0.0, "ms"),
        ms if ms < 0.999_999 => (ms * 1e3, "\u{b5}s"),
        ms if ms < 999.999 => (ms, "ms"),
        ms => (ms / 1e3, "s"),
    };
    format!("{} {unit}", short(value))
}

/// A time in three digits with its unit: `412 ms`, `1.86 s`.
pub(crate) fn time_text(ms: f64) -> String {
    let (value, unit) = match ms {
        ms if ms < 0.999_5 => (ms * 1e3, "\u{b5}s"),
        ms if ms < 999.5 => (ms, "ms"),
        ms => (ms / 1e3, "s"),
    };
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// A round number without needless decimals.
pub(crate) fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The rectangle that data are drawn in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Frame {
    pub const fn right(&self) -> f64 {
        self.left + self.width
    }

    pub const fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Where a pair of values lies on the sheet.
    pub fn place(&self, x: Scale, y: Scale, point: Point) -> Point {
        (self.x(x, point.0), self.y(y, point.1))
    }

    pub fn x(&self, scale: Scale, value: f64) -> f64 {
        self.left + self.width * scale.position(value)
    }

    pub fn y(&self, scale: Scale, value: f64) -> f64 {
        self.bottom() - self.height * scale.position(value)
    }

    /// The horizontal axis below, with lines through the frame. Labels that would touch are left out.
    pub fn draw_x(&self, canvas: &mut Canvas<'_>, scale: Scale, ticks: &[Tick]) {
        // Powers of ten come first: they are what a reader needs.
        let mut taken: Vec<(f64, f64)> = Vec::new();
        let important = |tick: &Tick| !scale.log || is_power_of_ten(tick.value);
        for first in [true, false] {
            for tick in ticks.iter().filter(|tick| important(tick) == first) {
                let x = self.x(scale, tick.value);
                let length = if tick.label.is_some() { 5.0 } else { 3.0 };
                if tick.label.is_some() {
                    canvas.line(&[(x, self.top), (x, self.bottom())], Stroke::solid(GRID, 0.8));
                }
                canvas.line(
                    &[(x, self.bottom()), (x, self.bottom() + length)],
                    Stroke::solid(BLACK, 0.8),
                );
                let Some(label) = &tick.label else { continue };
                let half = text_width(label, TICK_SIZE) / 2.0 + 4.0;
                if taken.iter().any(|&(from, to)| x + half > from && x - half < to) {
                    continue;
                }
                taken.push((x - half, x + half));
                canvas.text(
                    label,
                    (x, self.bottom() + 15.0),
                    Lettering::new(TICK_SIZE, Align::Middle),
                );
            }
        }
    }

    /// The vertical axis at the left, with lines through the frame.
    pub fn draw_y(&self, canvas: &mut Canvas<'_>, scale: Scale, ticks: &[Tick]) {
        for tick in ticks {
            let y = self.y(scale, tick.value);
            canvas.line(&[(self.left, y), (self.right(), y)], Stroke::solid(GRID, 0.8));
            canvas.line(&[(self.left - 5.0, y), (self.left, y)], Stroke::solid(BLACK, 0.8));
            if let Some(label) = &tick.label {
                canvas.text(label, (self.left - 8.0, y), Lettering::new(TICK_SIZE, Align::Right));
            }
        }
    }

    /// The left and lower edge, drawn over what comes near them.
    pub fn draw_edges(&self, canvas: &mut Canvas<'_>) {
        let corner =
            [(self.left, self.top), (self.left, self.bottom()), (self.right(), self.bottom())];
        canvas.line(&corner, Stroke::solid(BLACK, 1.0));
    }

    /// The title of the horizontal axis, below its labels.
    pub fn title_x(&self, canvas: &mut Canvas<'_>, title: &str) {
        let middle = self.left + self.width / 2.0;
        canvas.text(
            title,
            (middle, self.bottom() + 36.0),
            Lettering::new(TITLE_SIZE, Align::Middle),
        );
    }

    /// The title of the vertical axis, `distance` pixels left of it.
    pub fn title_y(&self, canvas: &mut Canvas<'_>, title: &str, distance: f64) {
        let look = Lettering { upward: true, ..Lettering::new(TITLE_SIZE, Align::Middle) };
        canvas.text(title, (self.left - distance, self.top + self.height / 2.0), look);
    }

    /// A sentence where data would be.
    pub fn say(&self, canvas: &mut Canvas<'_>, text: &str) {
        let middle = (self.left + self.width / 2.0, self.top + self.height / 2.0);
        let look = Lettering { ink: super::canvas::GREY, ..Lettering::new(14.0, Align::Middle) };
        canvas.text(text, middle, look);
    }
}

fn is_power_of_ten(value: f64) -> bool {
    let log = value.log10();
    (log - log.round()).abs() < 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_about_as_many_as_asked() {
        for most in [1.0, 3.0, 87.0, 1_020.0, 250_000.0] {
            let scale = Scale::linear(most);
            let count = scale.linear_ticks(5.0, short).len();
            assert!((4..=9).contains(&count), "{count} ticks up to {most}");
        }
        let labels: Vec<_> = Scale::linear(1_020.0)
            .linear_ticks(5.0, short)
            .into_iter()
            .filter_map(|tick| tick.label)
            .collect();
        assert_eq!(labels, ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(Scale::linear(0.0).to, 1.0);
    }

    #[test]
    fn scales_end_on_round_numbers() {
        let scale = Scale::log(37.0, 4_100.0);
        assert_eq!((scale.from, scale.to), (20.0, 5_000.0));
        let narrow = Scale::log(100.0, 100.0);
        assert!(narrow.from < 100.0 && narrow.to > 100.0, "{narrow:?}");
        assert!(Scale::log(0.0, 0.0).from > 0.0);
    }

    #[test]
    fn places_grow_with_the_logarithm() {
        let scale = Scale { from: 1.0, to: 10_000.0, log: true };
        assert_eq!([0.5, 1.0, 100.0, 1e9].map(|value| scale.position(value)), [0.0, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn labels_carry_units() {
        assert_eq!(time_label(100.0), "100 ms");
        assert_eq!(time_label(1_000.0), "1 s");
        assert_eq!(time_label(0.05), "50 \u{b5}s");
        assert_eq!(time_label(0.0), "0 ms");
        assert_eq!(time_text(1_863.2), "1.86 s");
        assert_eq!(time_text(999.6), "1.00 s");
    }

    #[test]
    fn every_log_axis_has_a_few_labels() {
        for (least, most) in [(1.0, 1.1), (30.0, 90.0), (95.0, 105.0), (1.0, 1e6), (0.001, 1e7)] {
            let ticks = Scale::log(least, most).log_ticks(time_label);
            let labels = ticks.iter().filter(|tick| tick.label.is_some()).count();
            assert!((2..=14).contains(&labels), "{labels} labels from {least} to {most}");
        }
    }
}
