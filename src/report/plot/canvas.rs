//! A sheet to draw on, in pixels as floats. plotters' SVG backend knows whole units only, so the sheet has
//! [`UNITS`] units a pixel and is shown at its true size.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, ShapeStyle, TextStyle,
};

/// Units of the SVG's coordinates in a pixel.
const UNITS: f64 = 8.0;

/// A plain ink.
pub(crate) type Ink = RGBColor;

/// Text and axes.
pub(crate) const BLACK: Ink = RGBColor(0x22, 0x22, 0x22);
/// Lines behind the data.
pub(crate) const GRID: Ink = RGBColor(0xe3, 0xe3, 0xe3);
/// Lesser text.
pub(crate) const GREY: Ink = RGBColor(0x66, 0x66, 0x66);
/// Paper.
pub(crate) const WHITE: Ink = RGBColor(0xff, 0xff, 0xff);

/// Okabe and Ito's palette (Color Universal Design, 2008) without its yellow, which is lost on white; grey instead.
/// Neighbours differ in lightness too.
pub(crate) const PALETTE: [Ink; 8] = [
    RGBColor(0x00, 0x72, 0xb2), // blue
    RGBColor(0xd5, 0x5e, 0x00), // vermillion
    RGBColor(0x00, 0x9e, 0x73), // bluish green
    RGBColor(0xe6, 0x9f, 0x00), // orange
    RGBColor(0x00, 0x00, 0x00), // black
    RGBColor(0x56, 0xb4, 0xe9), // sky blue
    RGBColor(0xcc, 0x79, 0xa7), // reddish purple
    RGBColor(0x99, 0x99, 0x99), // grey
];

/// A point on the sheet: pixels from the left and from the top.
pub(crate) type Point = (f64, f64);

/// A line that stays level from one change to the next.
pub(crate) fn stairs(points: &[Point]) -> Vec<Point> {
    let mut stairs = Vec::with_capacity(2 * points.len());
    for pair in points.windows(2) {
        stairs.extend([pair[0], (pair[1].0, pair[0].1)]);
    }
    stairs.extend(points.last());
    stairs
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stroke {
    pub ink: Ink,
    pub width: f64,
    /// Pixels on, pixels off; none: solid.
    pub dash: Option<(f64, f64)>,
}

impl Stroke {
    /// The look of the `index`-th of many jagged lines, which dashes would tear: eight colours, then their tints.
    pub fn of_jagged_series(index: usize) -> Self {
        let RGBColor(red, green, blue) = PALETTE[index % PALETTE.len()];
        let lighten = |part: u8| part / 2 + 0x78;
        let tinted = RGBColor(lighten(red), lighten(green), lighten(blue));
        let ink = if (index / PALETTE.len()).is_multiple_of(2) {
            PALETTE[index % PALETTE.len()]
        } else {
            tinted
        };
        Self::solid(ink, 1.3)
    }

    pub const fn solid(ink: Ink, width: f64) -> Self {
        Self { ink, width, dash: None }
    }

    /// The look of the `index`-th of many lines: eight colours, then the same dashed, then dotted.
    pub fn of_series(index: usize) -> Self {
        let dash = match index / PALETTE.len() % 3 {
            0 => None,
            1 => Some((7.0, 3.5)),
            _ => Some((2.0, 2.5)),
        };
        Self { ink: PALETTE[index % PALETTE.len()], width: 1.8, dash }
    }
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Middle,
    Right,
}

/// How a text looks. Its point is at the middle of its height.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lettering {
    pub size: f64,
    pub ink: Ink,
    pub align: Align,
    pub bold: bool,
    /// Read from below to above.
    pub upward: bool,
}

impl Lettering {
    pub const fn new(size: f64, align: Align) -> Self {
        Self { size, ink: BLACK, align, bold: false, upward: false }
    }
}

/// The sheet.
pub(crate) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// Draws a sheet of so many pixels and gives its SVG.
pub(crate) fn draw(width: f64, height: f64, paint: impl FnOnce(&mut Canvas<'_>)) -> String {
    let mut svg = String::new();
    {
        let backend = SVGBackend::with_string(&mut svg, (extent(width), extent(height)));
        let mut canvas = Canvas { backend };
        canvas.rectangle((0.0, 0.0), (width, height), WHITE);
        paint(&mut canvas);
        canvas.backend.present().expect("memory takes what is written");
    }
    // The backend states the size in units; readers should see it in pixels.
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    format!(
        "<svg width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {} {}\" \
         xmlns=\"http://www.w3.org/2000/svg\">{body}",
        extent(width),
        extent(height),
    )
}

impl Canvas<'_> {
    /// Fills a rectangle between two corners: upper left, lower right.
    pub fn rectangle(&mut self, upper_left: Point, lower_right: Point, ink: Ink) {
        let style = ShapeStyle { color: ink.to_rgba(), filled: true, stroke_width: 0 };
        let drawn = self.backend.draw_rect(units(upper_left), units(lower_right), &style, true);
        drawn.expect("memory takes what is written");
    }

    /// Fills what a closed line encloses; `share` of the ink covers what is below.
    pub fn area(&mut self, corners: &[Point], ink: Ink, share: f64) {
        let path: Vec<(i32, i32)> = corners.iter().copied().map(units).collect();
        let drawn = self.backend.fill_polygon(path, &ink.mix(share));
        drawn.expect("memory takes what is written");
    }

    /// Draws a line through points.
    pub fn line(&mut self, points: &[Point], stroke: Stroke) {
        match stroke.dash {
            None => self.solid(points, stroke),
            Some((on, off)) => {
                for dash in dashes(points, on, off) {
                    self.solid(&dash, stroke);
                }
            }
        }
    }

    fn solid(&mut self, points: &[Point], stroke: Stroke) {
        let style = ShapeStyle {
            color: stroke.ink.to_rgba(),
            filled: false,
            stroke_width: extent(stroke.width).max(1),
        };
        let mut path: Vec<(i32, i32)> = points.iter().copied().map(units).collect();
        path.dedup();
        if path.len() > 1 {
            self.backend.draw_path(path, &style).expect("memory takes what is written");
        }
    }

    /// Writes a line of text.
    pub fn text(&mut self, text: &str, at: Point, look: Lettering) {
        // The backend divides sizes by 1.24.
        let size = look.size * UNITS * 1.24;
        let weight = if look.bold { FontStyle::Bold } else { FontStyle::Normal };
        let mut font = FontDesc::new(FontFamily::SansSerif, size, weight);
        if look.upward {
            font = font.transform(FontTransform::Rotate270);
        }
        let across = match look.align {
            Align::Left => HPos::Left,
            Align::Middle => HPos::Center,
            Align::Right => HPos::Right,
        };
        let style = TextStyle::from(font).color(&look.ink).pos(Pos::new(across, VPos::Center));
        let drawn = self.backend.draw_text(text, &style, units(at));
        drawn.expect("memory takes what is written");
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a sheet is a few thousand pixels")]
fn units((x, y): Point) -> (i32, i32) {
    ((x * UNITS).round() as i32, (y * UNITS).round() as i32)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sheet is a few thousand pixels, none of them negative"
)]
fn extent(pixels: f64) -> u32 {
    (pixels * UNITS).round() as u32
}

/// Cuts a line into dashes of `on` pixels with gaps of `off`.
fn dashes(points: &[Point], on: f64, off: f64) -> Vec<Vec<Point>> {
    let mut all = Vec::new();
    let mut current: Vec<Point> = points.first().copied().into_iter().collect();
    let (mut drawing, mut left) = (true, on);
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let length = (x1 - x0).hypot(y1 - y0);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let point = (x0 + (x1 - x0) * done / length, y0 + (y1 - y0) * done / length);
            if drawing {
                current.push(point);
                all.push(std::mem::take(&mut current));
            } else {
                current.push(point);
            }
            drawing = !drawing;
            left = if drawing { on } else { off };
        }
        left -= length - done;
        if drawing {
            current.push((x1, y1));
        }
    }
    if drawing {
        all.push(current);
    }
    all
}

/// About how many pixels wide a text is in DejaVu Sans, the widest font that `sans-serif` usually stands for.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '\'' | '|' => 0.29,
            'f' | 't' | 'r' | ' ' | '.' | ',' | ':' | '-' | '(' | ')' | 'I' => 0.40,
            'm' | 'M' | 'W' | '%' | '\u{2026}' => 1.0,
            'w' => 0.82,
            'A'..='Z' => 0.72,
            _ => 0.63,
        })
        .sum();
    em * size
}

/// A text cut to a width, with an ellipsis where it was cut.
pub(crate) fn shortened(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let candidate: String = kept.iter().chain(['\u{2026}'].iter()).collect();
        if text_width(&candidate, size) <= width {
            return candidate;
        }
    }
    String::new()
}

/// A dotted path cut to a width at its beginning: its last word is what tells it from others.
pub(crate) fn shortened_path(path: &str, size: f64, width: f64) -> String {
    if text_width(path, size) <= width {
        return path.to_owned();
    }
    let mut starts =
        path.char_indices().skip(1).map(|(start, _)| format!("\u{2026}{}", &path[start..]));
    starts.find(|text| text_width(text, size) <= width).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_what_they_should() {
        let all = dashes(&[(0.0, 0.0), (4.0, 0.0), (4.0, 6.0)], 3.0, 2.0);
        // 10 pixels: on 0-3, off 3-5, on 5-8, off 8-10; the corner lies at 4.
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], [(0.0, 0.0), (3.0, 0.0)]);
        assert_eq!(all[1], [(4.0, 1.0), (4.0, 4.0)]);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shortened("gorgo", 12.0, 100.0), "gorgo");
        let path = "router.policies.gorgo.w_queue";
        assert_eq!(shortened_path(path, 12.0, 500.0), path);
        let cut = shortened_path(path, 12.0, 80.0);
        assert!(cut.starts_with('\u{2026}') && cut.ends_with("w_queue"), "{cut}");
        assert!(text_width(&cut, 12.0) <= 80.0 && shortened_path(path, 12.0, 1.0).is_empty());
        let cut = shortened("a-policy-with-a-very-long-name", 12.0, 60.0);
        assert!(cut.ends_with('\u{2026}') && text_width(&cut, 12.0) <= 60.0, "{cut}");
    }

    #[test]
    fn the_sheet_states_pixels() {
        let svg = draw(100.0, 50.0, |canvas| {
            canvas.text("<&>", (1.0, 1.0), Lettering::new(10.0, Align::Left))
        });
        assert!(
            svg.starts_with("<svg width=\"100\" height=\"50\" viewBox=\"0 0 800 400\""),
            "{svg}"
        );
        assert!(svg.contains("&lt;&amp;&gt;") && svg.trim_end().ends_with("</svg>"), "{svg}");
    }
}
