//! A small table writer: cells lined up in columns, the best of a column marked.

use std::fmt::Write;

/// A number with the digits that matter: four significant ones or so, or four after the point. `-` where it is infinite
/// or no number.
#[must_use]
pub fn short_number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "-".to_owned(),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

/// A dotted name as the two lines of a header: the last word below what comes before it.
#[must_use]
pub fn in_two_lines(name: &str) -> [&str; 2] {
    name.rsplit_once('.').map_or([name, ""], |(before, last)| [before, last])
}

/// Where a table is going: it decides how the best value of a column is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A terminal that shows bold letters.
    Terminal,
    /// A file, a pipe, or a terminal under `NO_COLOR`: the best value gets a star.
    Plain,
}

/// Rows of cells, the first column to the left, the others to the right.
#[derive(Clone, Debug)]
pub struct Grid {
    style: Style,
    headers: Vec<[String; 2]>,
    rows: Vec<Vec<(String, bool)>>,
}

/// A text with the spaces before and after it.
struct Padded {
    before: usize,
    text: String,
    after: usize,
}

impl Grid {
    /// A table without columns.
    #[must_use]
    pub const fn new(style: Style) -> Self {
        Self { style, headers: Vec::new(), rows: Vec::new() }
    }

    /// Sets the columns by their headers: two lines each, by use what it is and its unit.
    pub fn header<'a>(&mut self, headers: impl IntoIterator<Item = [&'a str; 2]>) {
        self.headers = headers.into_iter().map(|lines| lines.map(str::to_owned)).collect();
    }

    /// Adds a row of texts, each with whether it is the best of its column. Missing cells stay empty; those beyond
    /// the last column are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, bool)>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text, a newline after each row.
    #[must_use]
    pub fn finish(mut self) -> String {
        let columns = self.headers.len();
        for row in &mut self.rows {
            row.resize(columns, (String::new(), false));
        }
        let stars: Vec<usize> = (0..columns).map(|column| self.star_room(column)).collect();
        let widths: Vec<usize> =
            (0..columns).map(|column| self.width(column, stars[column])).collect();
        let mut out = String::new();
        for line in 0..2 {
            push_line(
                &mut out,
                self.headers.iter().enumerate().map(|(column, header)| {
                    // A header ends where the digits do, or further right where it is the widest.
                    let free = widths[column] - length(&header[line]);
                    let after = stars[column].min(free);
                    Padded { before: free - after, text: header[line].clone(), after }
                }),
            );
        }
        let gaps = 2 * columns.saturating_sub(1);
        out.push_str(&"-".repeat(widths.iter().sum::<usize>() + gaps));
        out.push('\n');
        for row in &self.rows {
            push_line(
                &mut out,
                row.iter().enumerate().map(|(column, (text, best))| {
                    let before = widths[column] - length(text) - stars[column];
                    match (self.style, best) {
                        (Style::Terminal, true) => {
                            Padded { before, text: format!("\x1b[1m{text}\x1b[0m"), after: 0 }
                        }
                        (Style::Plain, true) => {
                            Padded { before, text: format!("{text}*"), after: 0 }
                        }
                        (_, false) => Padded { before, text: text.clone(), after: stars[column] },
                    }
                }),
            );
        }
        out
    }

    /// Room for a star after the digits of a column: 1 where any cell has one.
    fn star_room(&self, column: usize) -> usize {
        usize::from(self.style == Style::Plain && self.rows.iter().any(|row| row[column].1))
    }

    fn width(&self, column: usize, star: usize) -> usize {
        let header = self.headers[column].iter().map(|line| length(line)).max().unwrap_or(0);
        let cells = self.rows.iter().map(|row| length(&row[column].0) + star).max().unwrap_or(0);
        header.max(cells)
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Writes cells two spaces apart, the first to the left, without spaces at the end of the line.
fn push_line(out: &mut String, cells: impl Iterator<Item = Padded>) {
    let start = out.len();
    for (column, Padded { before, text, after }) in cells.enumerate() {
        let (before, after) = if column == 0 { (0, before + after) } else { (before + 2, after) };
        let _ = write!(out, "{:before$}{text}{:after$}", "", "");
    }
    out.truncate(start + out[start..].trim_end().len());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(style: Style) -> Grid {
        let mut grid = Grid::new(style);
        grid.header([["name", ""], ["speed", "m/s"], ["n", ""]]);
        grid.row([("a".to_owned(), false), ("9.5".to_owned(), true), ("1".to_owned(), false)]);
        grid.row([("longer".to_owned(), false), ("10.25".to_owned(), false)]);
        grid
    }

    #[test]
    fn stars_stand_beyond_the_digits() {
        let wanted = "\
name    speed   n
          m/s
-----------------
a         9.5*  1
longer  10.25
";
        assert_eq!(grid(Style::Plain).finish(), wanted);
    }

    #[test]
    fn bold_takes_no_room() {
        let wanted = "\
name    speed  n
          m/s
----------------
a         \x1b[1m9.5\x1b[0m  1
longer  10.25
";
        assert_eq!(grid(Style::Terminal).finish(), wanted);
    }

    #[test]
    fn nothing_is_a_rule_of_nothing() {
        assert_eq!(Grid::new(Style::Plain).finish(), "\n\n\n");
    }
}
