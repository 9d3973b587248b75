//! `--fail-if`: a metric, `>` or `<`, and a bound. It reads the text; `judge.rs` next holds runs against it.
//!
//! A bound with a sign is a change of NEW against BASE: `+5%` of BASE's value, `-0.5pt` of a share, `+20ms`, or without
//! a unit in the metric's own. A bound without a sign is a level of NEW: `800ms`, `0.99`.

use std::fmt;

/// What a metric is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// NEW / BASE - 1.
    Relative(f64),
    /// NEW - BASE, in the metric's unit.
    Absolute(f64),
    /// NEW, in the metric's unit.
    Level(f64),
}

/// A rule that fails the comparison when it is surely so.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// As it was written.
    pub text: String,
    /// The dotted path of a summary's number.
    pub metric: String,
    /// Whether being above the bound fails, or being below.
    pub above: bool,
    /// The bound.
    pub bound: Bound,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The problem of a text, under the place where it is.
fn blame(text: &str, at: usize, problem: &str) -> String {
    let column = text[..at].chars().count();
    format!("{problem}\n  | {text}\n  | {}^", " ".repeat(column))
}

const WANTED: &str = "wanted a metric, > or <, and a bound, as in 'ttft_ms.p99 > +5%', \
'good_fraction < -0.5pt', 'ttft_ms.p50 > +20ms' or 'ttft_ms.p99 > 800ms'";

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// What is wrong, where, and what was wanted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(at) = text.find(['>', '<']) else {
            return Err(blame(text, text.trim_end().len(), &format!("no > or <: {WANTED}")));
        };
        let metric = text[..at].trim();
        if metric.is_empty() {
            return Err(blame(text, 0, &format!("no metric: {WANTED}")));
        }
        let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        if let Some(place) = metric.find(odd) {
            let start = text.len() - text.trim_start().len();
            let problem = "not part of a metric's name: wanted one as `gorgo help metrics` has it";
            return Err(blame(text, start + place, problem));
        }
        let rest = &text[at + 1..];
        let start = at + 1 + (rest.len() - rest.trim_start().len());
        let bound = bound(text, start, metric)?;
        let above = text[at..].starts_with('>');
        Ok(Self { text: text.trim().to_owned(), metric: metric.to_owned(), above, bound })
    }
}

/// Whether a metric is a share, from 0 to 1.
pub fn is_share(metric: &str) -> bool {
    ["fraction", "rate", "share"].iter().any(|word| metric.ends_with(word))
}

fn bound(text: &str, start: usize, metric: &str) -> Result<Bound, String> {
    let rest = text[start..].trim_end();
    let signed = rest.starts_with(['+', '-']);
    let digits = |c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_' | '+' | '-'));
    let end = rest.find(digits).unwrap_or(rest.len());
    let number: f64 = match rest[..end].replace('_', "").parse() {
        Ok(number) if f64::is_finite(number) => number,
        _ => {
            let problem =
                "no number: wanted a change such as +5%, -0.5pt or +20ms, or a level such as 800ms";
            return Err(blame(text, start, problem));
        }
    };
    let unit = rest[end..].trim_start();
    let unit_at = start + rest.len() - unit.len();
    let wrong = |problem: String| Err(blame(text, unit_at, &problem));
    let is_time = metric.contains("_ms");
    let is_share = is_share(metric);
    let value = match unit {
        "%" if !signed => {
            return Err(blame(
                text,
                start,
                &format!("a change in % has a sign: wanted +{number}% or -{number}%"),
            ));
        }
        "%" if number <= -100.0 => {
            return Err(blame(text, start, "nothing falls by 100 % or more: wanted less"));
        }
        "%" => return Ok(Bound::Relative(number / 100.0)),
        "pt" if !is_share => {
            return wrong(format!(
                "pt is for shares, which {metric} is not: wanted +5% or a number"
            ));
        }
        "pt" => number / 100.0,
        "us" | "ms" | "s" if !is_time => {
            return wrong(format!("{metric} is no time in ms: wanted %, pt or a number alone"));
        }
        "us" => number / 1_000.0,
        "ms" | "" => number,
        "s" => number * 1_000.0,
        other => return wrong(format!("unknown unit {other:?}: wanted %, pt, us, ms, s or none")),
    };
    Ok(if signed { Bound::Absolute(value) } else { Bound::Level(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_changes_with_a_sign_and_levels_without() {
        let bound = |text| Rule::parse(text).map(|rule| (rule.above, rule.bound)).unwrap();
        assert_eq!(bound("ttft_ms.p99 > +5%"), (true, Bound::Relative(0.05)));
        assert_eq!(bound("ttft_ms.p99>+5 %"), (true, Bound::Relative(0.05)));
        assert_eq!(bound("good_fraction < -0.5pt"), (false, Bound::Absolute(-0.005)));
        assert_eq!(bound("ttft_ms.p50 > +20ms"), (true, Bound::Absolute(20.0)));
        assert_eq!(bound("ttft_ms.p50 > +0.02s"), (true, Bound::Absolute(20.0)));
        assert_eq!(bound("ttft_ms.p99 > 1_200"), (true, Bound::Level(1200.0)));
        assert_eq!(bound("goodput_rps < -1.5"), (false, Bound::Absolute(-1.5)));
        assert_eq!(bound("good_fraction < 0.99"), (false, Bound::Level(0.99)));
    }

    #[test]
    fn bad_rules_are_blamed_where_they_are_bad() {
        for (text, column, words) in [
            ("ttft_ms.p99", 11, "no > or <"),
            ("", 0, "no > or <"),
            ("> +5%", 0, "no metric"),
            ("ttft ms > +5%", 4, "not part of a metric's name"),
            ("ttft_ms.p99 >> +5%", 13, "no number"),
            ("ttft_ms.p99 >", 13, "no number"),
            ("ttft_ms.p99 > +inf", 14, "no number"),
            ("ttft_ms.p99 > +1e999", 16, "unknown unit"),
            ("ttft_ms.p99 > 5%", 14, "has a sign"),
            ("ttft_ms.p99 < -100%", 14, "nothing falls"),
            ("ttft_ms.p99 > +5pt", 16, "pt is for shares"),
            ("good_fraction < -5ms", 18, "no time"),
            ("ttft_ms.p99 > +5 parsecs", 17, "unknown unit"),
            ("ttft_ms.p99 > +-5%", 14, "no number"),
            ("µ > +5%", 0, "not part of"),
        ] {
            let said = Rule::parse(text).expect_err(text);
            let caret = said.lines().last().unwrap().chars().position(|c| c == '^').unwrap();
            assert!(said.contains(words), "{text}: {said}");
            assert_eq!(caret, column + 4, "{said}");
        }
    }
}
