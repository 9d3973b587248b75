//! The tables of arrivals that `arrivals_csv` reads: which columns each has, and how it writes a time.

use crate::json_cursor::shorten;
use crate::trace_line::exact_ms;
use csv::StringRecord;
use gorgo_types::Nanos;

/// A kind of table.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Its name in messages.
    pub(crate) name: &'static str,
    /// The columns that it must have, in the order of messages.
    pub(crate) columns: &'static [&'static str],
    /// Columns that it may have and that nothing here uses.
    unused: &'static [&'static str],
    /// Which of `columns` is the request's id, if any.
    pub(crate) id: Option<usize>,
    /// Which of `columns` is the arrival time.
    pub(crate) time: usize,
    /// Which of `columns` is the prompt's length.
    pub(crate) input: usize,
    /// Which of `columns` is the output's length.
    pub(crate) output: usize,
    /// Which of `columns` is the sum of the lengths, if any.
    pub(crate) total: Option<usize>,
    /// A time as this table writes it.
    pub(crate) parse_time: fn(&str) -> Option<Nanos>,
    /// What `parse_time` wants.
    pub(crate) time_wanted: &'static str,
    /// Whether times are dates, of which the first row's is where the table's time begins.
    pub(crate) has_dates: bool,
    /// Whether rows of no tokens stand for requests that failed, and are passed over.
    pub(crate) has_failures: bool,
}

/// gorgo's own.
const ARRIVALS: Layout = Layout {
    name: "arrivals",
    columns: &["request_id", "arrival_ms", "input_tokens", "output_tokens"],
    unused: &[],
    id: Some(0),
    time: 1,
    input: 2,
    output: 3,
    total: None,
    parse_time: milliseconds,
    time_wanted: "milliseconds from the start, zero or more, below 146 years",
    has_dates: false,
    has_failures: false,
};

/// The Azure LLM inference traces of 2023 and 2024 (Azure/AzurePublicDataset).
const AZURE: Layout = Layout {
    name: "Azure",
    columns: &["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
    unused: &[],
    id: None,
    time: 0,
    input: 1,
    output: 2,
    total: None,
    parse_time: date_time,
    time_wanted: "a UTC time such as 2023-11-16 18:17:03.9799600, from 1970 to 2100",
    has_dates: true,
    has_failures: false,
};

/// BurstGPT (HPMLL/BurstGPT): a failed request has a response of 0 tokens. Release 2 adds two columns.
const BURST_GPT: Layout = Layout {
    name: "BurstGPT",
    columns: &[
        "Timestamp",
        "Model",
        "Request tokens",
        "Response tokens",
        "Total tokens",
        "Log Type",
    ],
    unused: &["Session ID", "Elapsed time"],
    id: None,
    time: 0,
    input: 2,
    output: 3,
    total: Some(4),
    parse_time: seconds,
    time_wanted: "seconds from the first midnight, zero or more, below 146 years",
    has_dates: false,
    has_failures: true,
};

/// All kinds.
const LAYOUTS: [&Layout; 3] = [&ARRIVALS, &AZURE, &BURST_GPT];

/// A header that is none: which column is at fault, what it is and what was wanted.
pub(crate) type HeaderFault = (String, &'static str, String);

/// All kinds with their columns, in words.
pub(crate) fn known() -> String {
    let kinds = LAYOUTS.map(|layout| format!("{} ({})", layout.name, layout.columns.join(", ")));
    kinds.join(" or ")
}

/// Whether any of these is a column of a kind.
pub(crate) fn is_header<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    let mut names = names.into_iter();
    names.any(|name| LAYOUTS.iter().any(|layout| layout.columns.contains(&name)))
}

impl Layout {
    /// The kind of table that has this header, and where its columns stand.
    pub(crate) fn of(header: &StringRecord) -> Result<(&'static Self, Vec<usize>), HeaderFault> {
        let names: Vec<&str> =
            header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        let matches =
            |layout: &&Self| names.iter().filter(|name| layout.columns.contains(name)).count();
        let layout = LAYOUTS.into_iter().rev().max_by_key(matches).unwrap_or(&ARRIVALS);
        if matches(&layout) == 0 {
            let got = names.first().map_or_else(String::new, |name| shorten(name));
            return Err((got, "an unknown column", format!("one of {}", known())));
        }
        layout.places(&names).map(|places| (layout, places))
    }

    fn places(&self, names: &[&str]) -> Result<Vec<usize>, HeaderFault> {
        let mut places = vec![usize::MAX; self.columns.len()];
        for (i, &name) in names.iter().enumerate() {
            let Some(column) = self.columns.iter().position(|&known| known == name) else {
                if self.unused.contains(&name) {
                    continue;
                }
                let wanted = format!("one of {}", [self.columns, self.unused].concat().join(", "));
                return Err((shorten(name), "an unknown column", wanted));
            };
            if places[column] != usize::MAX {
                return Err((name.to_owned(), "the column twice", "each column once".to_owned()));
            }
            places[column] = i;
        }
        match places.iter().position(|&place| place == usize::MAX) {
            None => Ok(places),
            Some(missing) => {
                let wanted = format!("the columns {}", self.columns.join(", "));
                Err((self.columns[missing].to_owned(), "nothing", wanted))
            }
        }
    }
}

fn milliseconds(text: &str) -> Option<Nanos> {
    if text.is_empty() {
        return None;
    }
    exact_ms(text).or_else(|| Nanos::from_ms(text.parse().ok()?).ok())
}

fn seconds(text: &str) -> Option<Nanos> {
    if text.is_empty() {
        return None;
    }
    match text.parse::<u64>() {
        Ok(whole) => whole.checked_mul(1_000_000_000).filter(|&ns| ns <= 1 << 62).map(Nanos),
        Err(_) => Nanos::from_s(text.parse().ok()?).ok(),
    }
}

/// `YYYY-MM-DD hh:mm:ss`, up to nine decimals, and perhaps `+00:00` or `Z`: nanoseconds since 1970.
fn date_time(text: &str) -> Option<Nanos> {
    let text = text.strip_suffix("+00:00").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
    let (date, time) = text.split_once([' ', 'T'])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months = lengths.get(..usize::try_from(month.checked_sub(1)?).ok()?)?;
    let last = *lengths.get(months.len())?;
    let in_range = (1970..=2100).contains(&year)
        && (1..=last).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range
        || !(1..=9).contains(&fraction.len())
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let leaps = |before: u64| (before - 1) / 4 - (before - 1) / 100 + (before - 1) / 400;
    let days =
        (year - 1970) * 365 + leaps(year) - leaps(1970) + months.iter().sum::<u64>() + day - 1;
    let ns: u64 = format!("{fraction:0<9}").parse().ok()?;
    Some(Nanos((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000 + ns))
}

/// Three numbers of so many digits each.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut values = [0; 3];
    for (value, digits) in values.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *value = part.parse().ok()?;
    }
    parts.next().is_none().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_nanoseconds_since_1970() {
        let s = |text: &str| date_time(text).map(|at| at.0);
        assert_eq!(s("1970-01-01 00:00:00"), Some(0));
        assert_eq!(s("2000-03-01 00:00:00"), Some(951_868_800_000_000_000));
        assert_eq!(s("2023-11-16 18:17:03.9799600"), Some(1_700_158_623_979_960_000));
        assert_eq!(s("2024-05-10T00:00:00.009930+00:00"), Some(1_715_299_200_009_930_000));
        assert_eq!(s("2024-02-29 23:59:59Z"), Some(1_709_251_199_000_000_000));
        for bad in [
            "",
            "2023-02-29 00:00:00",
            "2023-13-01 00:00:00",
            "2023-1-01 00:00:00",
            "2023-01-01",
            "2023-01-01 24:00:00",
            "2023-01-01 00:00:00.",
            "2023-01-01 00:00:00.x",
            "1969-12-31 00:00:00",
            "2023-01-00 00:00:00",
            "2023-00-10 00:00:00",
        ] {
            assert_eq!(s(bad), None, "{bad}");
        }
    }

    #[test]
    fn seconds_are_exact_where_whole() {
        assert_eq!(seconds("5"), Some(Nanos(5_000_000_000)));
        assert_eq!(seconds("0.5"), Some(Nanos(500_000_000)));
        for bad in ["", "-1", "NaN", "inf", "99999999999999999999", "1e12"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
