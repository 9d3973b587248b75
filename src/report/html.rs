//! One page of HTML that needs nothing else: style, script and pictures are in it, and its policy forbids it to load
//! anything. Tables are sorted by a click on a column's head.
//!
//! All texts are escaped here; a caller passes plain words.

use std::fmt::Write;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// A page being written.
#[derive(Clone, Debug)]
pub struct HtmlPage {
    title: String,
    body: String,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum HtmlCell {
    /// Words.
    Text(String),
    /// A number: what is shown, and what it is sorted by.
    Number(String, f64),
    /// Links: a word and where it leads, relative to the page.
    Links(Vec<(String, String)>),
}

impl HtmlPage {
    /// A page with a title.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: format!("<h1>{}</h1>\n", escaped(title)) }
    }

    /// A section's title.
    pub fn heading(&mut self, text: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escaped(text));
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", escaped(text));
    }

    /// Names and what they are.
    pub fn facts(&mut self, facts: &[(&str, String)]) {
        self.body.push_str("<dl>\n");
        for (name, value) in facts {
            let _ = writeln!(self.body, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
        }
        self.body.push_str("</dl>\n");
    }

    /// A picture that one of this crate's plots gave, and where its file is.
    pub fn picture(&mut self, svg: &str, file: &str, caption: &str) {
        // Inside HTML an SVG needs no name space, and so the page has no address in it at all.
        let svg = svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
        let _ = writeln!(
            self.body,
            "<figure>\n{}\n<figcaption>{} <a href=\"{}\">{}</a></figcaption>\n</figure>",
            svg.trim(),
            escaped(caption),
            escaped(file),
            escaped(file),
        );
    }

    /// A table that sorts.
    pub fn table(&mut self, head: &[String], rows: &[Vec<HtmlCell>]) {
        self.body.push_str("<div class=\"wide\"><table class=\"sortable\">\n<thead><tr>");
        for name in head {
            // A dotted name may break at its dots.
            let name = escaped(name).replace('.', ".<wbr>");
            let _ =
                write!(self.body, "<th scope=\"col\"><button type=\"button\">{name}</button></th>");
        }
        self.body.push_str("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.body.push_str("<tr>");
            row.iter().for_each(|cell| push_cell(&mut self.body, cell));
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody>\n</table></div>\n");
    }

    /// The page.
    #[must_use]
    pub fn finish(self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}\
             <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            escaped(&self.title),
            self.body
        )
    }
}

fn push_cell(body: &mut String, cell: &HtmlCell) {
    let _ = match cell {
        HtmlCell::Text(text) => write!(body, "<td>{}</td>", escaped(text)),
        HtmlCell::Number(text, value) if value.is_finite() => {
            write!(body, "<td class=\"n\" data-v=\"{value}\">{}</td>", escaped(text))
        }
        HtmlCell::Number(text, _) => write!(body, "<td class=\"n\">{}</td>", escaped(text)),
        HtmlCell::Links(links) => {
            body.push_str("<td>");
            for (index, (word, to)) in links.iter().enumerate() {
                let gap = if index > 0 { " " } else { "" };
                let _ = write!(body, "{gap}<a href=\"{}\">{}</a>", escaped(to), escaped(word));
            }
            write!(body, "</td>")
        }
    };
}

/// A text as HTML shows it, also between quotes. Characters that no HTML may hold become a mark.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_words_stay_words() {
        let hostile = "</td><script>alert('x')</script>\" onclick=\"y&amp;\u{0}";
        let mut page = HtmlPage::new(hostile);
        page.heading(hostile);
        page.paragraph(hostile);
        page.facts(&[(hostile, hostile.to_owned())]);
        page.picture("<svg></svg>", hostile, hostile);
        let links = HtmlCell::Links(vec![(hostile.to_owned(), hostile.to_owned())]);
        let cells = [HtmlCell::Text(hostile.to_owned()), HtmlCell::Number(hostile.to_owned(), 1.0)];
        page.table(&[hostile.to_owned()], &[vec![cells[0].clone(), cells[1].clone(), links]]);
        let html = page.finish();
        assert_eq!(html.matches("<script>").count(), 1, "the page's own");
        assert_eq!(html.matches("</td>").count(), 3);
        assert!(!html.contains("\" onclick=") && !html.contains('\u{0}'));
        assert!(html.contains("&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)"));
    }

    #[test]
    fn numbers_that_are_none_sort_as_none() {
        let mut page = HtmlPage::new("t");
        page.table(&["a".to_owned()], &[vec![HtmlCell::Number("-".to_owned(), f64::INFINITY)]]);
        assert!(page.finish().contains("<td class=\"n\">-</td>"));
    }
}
