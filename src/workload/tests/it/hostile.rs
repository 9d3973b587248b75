//! Every reader against the same hostile files: what stands in each cell, what surrounds the rows, what is no file.
//! Each refusal names the file, the line, the field and what was wanted. What one kind alone can get wrong is in
//! `malformed.rs` and `kinds.rs`.

use crate::common::{Folder, drain};
use gorgo_types::{Nanos, Request};
use gorgo_workload::{TraceOptions, WorkloadError};
use std::io::Write;
use std::path::Path;

/// A kind of file by its rows. In `row`, `T`, `I`, `O` and `N` in braces stand for a time, the two lengths and a number
/// of the row's own.
struct Kind {
    name: &'static str,
    head: &'static str,
    row: &'static str,
    /// The times of two rows.
    times: [&'static str; 2],
    /// An input and an output length.
    lengths: [&'static str; 2],
    /// What the file calls time, input and output; empty: it has none.
    fields: [&'static str; 3],
    /// Whether a length of 0 stands for a failed request.
    has_failures: bool,
}

const KINDS: [Kind; 7] = [
    Kind {
        name: "gorgo",
        head: "{\"gorgo_trace\":1,\"block_size\":16}\n",
        row: "{\"timestamp\":{T},\"input_length\":{I},\"output_length\":{O},\"hash_ids\":[{N}]}",
        times: ["5", "7.5"],
        lengths: ["9", "3"],
        fields: ["timestamp", "input_length", "output_length"],
        has_failures: false,
    },
    Kind {
        name: "Mooncake",
        head: "",
        row: "{\"timestamp\":{T},\"input_length\":{I},\"output_length\":{O},\"hash_ids\":[{N}]}",
        times: ["5", "6"],
        lengths: ["500", "3"],
        fields: ["timestamp", "input_length", "output_length"],
        has_failures: false,
    },
    Kind {
        name: "ART-Chat",
        head: "",
        row: "{\"timestamp\":{T},\"input_length\":{I},\"output_length\":{O},\"hash_ids\":[{N},{N}0]}",
        times: ["1000", "2000"],
        lengths: ["300", "3"],
        fields: ["timestamp", "input_length", "output_length"],
        has_failures: false,
    },
    Kind {
        name: "arrivals",
        head: "request_id,arrival_ms,input_tokens,output_tokens\n",
        row: "r{N},{T},{I},{O}",
        times: ["5", "6.25"],
        lengths: ["40", "2"],
        fields: ["arrival_ms", "input_tokens", "output_tokens"],
        has_failures: false,
    },
    Kind {
        name: "Azure",
        head: "TIMESTAMP,ContextTokens,GeneratedTokens\n",
        row: "{T},{I},{O}",
        times: ["2023-11-16 18:17:03.9799600", "2023-11-16 18:17:04.0"],
        lengths: ["4808", "10"],
        fields: ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
        has_failures: false,
    },
    Kind {
        name: "BurstGPT",
        head: "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n",
        row: "{T},ChatGPT,{I},{O},490,API log",
        times: ["5", "45"],
        lengths: ["472", "18"],
        fields: ["Timestamp", "Request tokens", "Response tokens"],
        has_failures: true,
    },
    Kind {
        name: "GuideLLM",
        head: "",
        row: "{\"prompt\":\"word number {N}\",\"output_tokens\":{O}}",
        times: ["", ""],
        lengths: ["", "3"],
        fields: ["", "", "output_tokens"],
        has_failures: false,
    },
];

impl Kind {
    /// A row of its own number with these cells.
    fn row(&self, number: usize, [time, input, output]: [&str; 3]) -> String {
        let row = self.row.replace("{N}", &number.to_string());
        row.replace("{T}", time).replace("{I}", input).replace("{O}", output)
    }

    /// The cells of a good row.
    fn good(&self, number: usize) -> [&'static str; 3] {
        [self.times[number], self.lengths[0], self.lengths[1]]
    }

    /// A good file of two rows.
    fn file(&self) -> String {
        let [first, second] = [0, 1].map(|number| self.row(number + 1, self.good(number)));
        format!("{}{first}\n{second}\n", self.head)
    }

    /// The line of the second row.
    fn second_line(&self) -> usize {
        self.head.lines().count() + 2
    }
}

fn read(path: &Path) -> Result<Vec<(Nanos, Request)>, WorkloadError> {
    let mut source = gorgo_workload::open(path, TraceOptions::default())?;
    drain(&mut *source)
}

fn refusal(path: &Path, what: &str) -> String {
    let error = match read(path) {
        Ok(requests) => panic!("{what} was accepted with {} requests", requests.len()),
        Err(error) => error.to_string(),
    };
    assert!(error.starts_with(&path.display().to_string()), "{what}: no file in {error}");
    error
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn every_number_of_every_kind_is_checked() {
    // None of them is a time or a length in any kind, whatever it stands for elsewhere.
    const BAD: [&str; 12] = [
        "-1",
        "NaN",
        "nan",
        "inf",
        "-inf",
        "1e300",
        "1e999",
        "18446744073709551615",
        "",
        "x",
        "0x10",
        "\u{661}",
    ];
    const BAD_LENGTHS: [&str; 4] = ["0", "1.5", "4294967296", "18446744073709551616"];
    let folder = Folder::new();
    for kind in &KINDS {
        let good = folder.file(kind.name, kind.file().as_bytes());
        assert_eq!(read(&good).unwrap_or_else(|e| panic!("{}: {e}", kind.name)).len(), 2);
        for (cell, field) in kind.fields.iter().enumerate().filter(|(_, field)| !field.is_empty()) {
            let lengths =
                BAD_LENGTHS.iter().filter(|bad| cell > 0 && !(kind.has_failures && **bad == "0"));
            for bad in BAD.iter().chain(lengths) {
                let mut cells = kind.good(1);
                cells[cell] = bad;
                let first = kind.row(1, kind.good(0));
                let text = format!("{}{first}\n{}\n", kind.head, kind.row(2, cells));
                let what = format!("{}: {field} = {bad:?}", kind.name);
                let error = refusal(&folder.file("bad", text.as_bytes()), &what);
                assert!(error.contains(&format!(":{}: ", kind.second_line())), "{what}: {error}");
                assert!(error.contains("wanted "), "{what}: {error}");
                // GuideLLM's lines are read whole: what is no JSON has a column, and no field yet.
                let column = kind.name == "GuideLLM" && error.contains("at column");
                assert!(error.contains(&format!("`{field}`")) || column, "{what}: {error}");
                // A number may be shown in another notation: 1e300 as 1e+300.
                let words = || error.split([' ', ',']).filter_map(|word| word.parse::<f64>().ok());
                let same = bad.parse::<f64>().is_ok_and(|bad| words().any(|word| word == bad));
                assert!(error.contains(bad) || same, "{what}: no value in {error}");
            }
        }
    }
}

#[test]
fn time_may_not_go_back_in_any_kind() {
    let folder = Folder::new();
    for kind in KINDS.iter().filter(|kind| !kind.fields[0].is_empty()) {
        let rows = [kind.row(1, kind.good(1)), kind.row(2, kind.good(0))];
        let text = format!("{}{}\n{}\n", kind.head, rows[0], rows[1]);
        let error = refusal(&folder.file("back", text.as_bytes()), kind.name);
        let place = format!(":{}: field `{}`", kind.second_line(), kind.fields[0]);
        assert!(
            error.contains(&place)
                && error.contains("the row before") | error.contains("the line before"),
            "{error}"
        );
    }
}

#[test]
fn ends_of_lines_and_a_byte_order_mark_change_nothing() {
    let folder = Folder::new();
    for kind in &KINDS {
        let text = kind.file();
        let wanted = format!("{:?}", read(&folder.file("lf", text.as_bytes())).expect(kind.name));
        let crlf = text.replace('\n', "\r\n");
        let marked = format!("\u{feff}{text}");
        let cut = text.trim_end().to_owned();
        for (what, text) in [("CRLF", crlf), ("BOM", marked), ("no last line feed", cut)] {
            for (form, bytes) in [
                ("plain", text.clone().into_bytes()),
                ("gzip", gzip(text.as_bytes())),
                ("zstd", zstd(text.as_bytes())),
            ] {
                let path = folder.file("changed", &bytes);
                let found =
                    read(&path).unwrap_or_else(|e| panic!("{} {what} {form}: {e}", kind.name));
                assert_eq!(format!("{found:?}"), wanted, "{} {what} {form}", kind.name);
            }
        }
    }
}

#[test]
fn files_without_rows_are_refused() {
    let folder = Folder::new();
    for kind in &KINDS {
        for (what, text) in [("empty", ""), ("header only", kind.head), ("blank", "\n\n")] {
            let error = refusal(&folder.file("none", text.as_bytes()), what);
            assert!(
                error.contains("no request in the file, wanted at least one"),
                "{what}: {error}"
            );
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_in_their_line() {
    let folder = Folder::new();
    for kind in &KINDS {
        let text = kind.file();
        // The last row's first letter or digit that is part of a cell.
        let start = text.trim_end().rfind('\n').expect("rows") + 1;
        for at in
            [start, start + text[start..].find(|c: char| c.is_ascii_digit()).expect("a digit")]
        {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = 0xff;
            let error = refusal(&folder.file("bytes", &bytes), kind.name);
            assert!(
                error.contains(&format!(":{}: ", kind.second_line())),
                "{}: {error}",
                kind.name
            );
            assert!(error.contains("wanted "), "{}: {error}", kind.name);
        }
    }
}

#[test]
fn cut_compressed_files_are_refused() {
    let folder = Folder::new();
    for kind in &KINDS {
        for (form, bytes) in
            [("gzip", gzip(kind.file().as_bytes())), ("zstd", zstd(kind.file().as_bytes()))]
        {
            for keep in [bytes.len() - 1, bytes.len() / 2, 12] {
                let path = folder.file("cut", &bytes[..keep]);
                let what = format!("{} {form} cut to {keep} of {}", kind.name, bytes.len());
                let error = refusal(&path, &what);
                assert!(error.contains("cannot be read on from here"), "{what}: {error}");
            }
        }
    }
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let folder = Folder::new();
    for kind in &KINDS {
        let is_table = !kind.head.starts_with('{') && !kind.head.is_empty();
        let row = kind.row(1, kind.good(0));
        // 100 MB of one line, and the same within a quote that nobody closes.
        let openings = if is_table { ["", "\""] } else { ["", "{\"timestamp\":"] };
        for opening in openings {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            write!(encoder, "{}{row}\n{opening}", kind.head).expect("memory");
            let filler: &[u8] =
                if opening == "\"" { &[b'\n'; 1_000_000] } else { &[b'1'; 1_000_000] };
            for _ in 0..100 {
                encoder.write_all(filler).expect("memory");
            }
            let path = folder.file("long", &encoder.finish().expect("memory"));
            let error = refusal(&path, kind.name);
            assert!(error.contains("longer than"), "{}: {error}", kind.name);
            assert!(error.contains("wanted one request"), "{}: {error}", kind.name);
        }
    }
}

#[test]
fn what_is_no_file_and_what_is_of_no_kind_is_refused() {
    let folder = Folder::new();
    let path = folder.file("x", b"x");
    for what in [path.parent().expect("a folder").to_owned(), path.with_extension("missing")] {
        let error = refusal(&what, "no file");
        assert!(error.contains("cannot be opened"), "{error}");
    }
    for text in [
        "PK\u{3}\u{4}\0\0",
        "PAR1\0\0\0",
        "<html>\n",
        "id;time\n1;2\n",
        "\0\0\0\0",
        "null\n",
        "7\n",
    ] {
        let error = refusal(&folder.file("kind", text.as_bytes()), text);
        assert!(error.contains(":1: got ") && error.contains("a JSON object"), "{text:?}: {error}");
    }
}

#[test]
fn columns_are_each_there_once_and_known() {
    let folder = Folder::new();
    for kind in KINDS.iter().filter(|kind| kind.head.contains(',') && !kind.head.starts_with('{')) {
        let columns: Vec<&str> = kind.head.trim_end().split(',').collect();
        for (index, column) in columns.iter().enumerate() {
            let with = |name: &str| {
                let mut changed = columns.clone();
                changed[index] = name;
                format!("{}\n{}\n", changed.join(","), kind.row(1, kind.good(0)))
            };
            let error = refusal(&folder.file("unknown", with("colour").as_bytes()), column);
            assert!(error.contains(":1: ") && error.contains("wanted "), "{error}");
            let other = columns[(index + 1) % columns.len()];
            let error = refusal(&folder.file("twice", with(other).as_bytes()), column);
            assert!(error.contains(&format!("`{other}`: got the column twice")), "{error}");
            let missing: Vec<&str> =
                columns.iter().filter(|name| *name != column).copied().collect();
            let text = format!("{}\n1,2\n", missing.join(","));
            let error = refusal(&folder.file("missing", text.as_bytes()), column);
            assert!(error.contains(&format!("`{column}`: got nothing")), "{error}");
        }
    }
}

#[test]
fn a_prompt_has_each_field_once_and_null_is_no_length() {
    let folder = Folder::new();
    let line = "{\"prompt\":\"a\",\"note\":1,\"prompt\":\"b\"}\n";
    let error = refusal(&folder.file("twice", line.as_bytes()), "a field twice");
    assert!(
        error.contains(":1: field `prompt`: got the field twice, wanted each field once"),
        "{error}"
    );
    let line = "{\"prompt\":\"a\",\"output_tokens_count\":null,\"output_tokens\":7}\n";
    let read = read(&folder.file("null", line.as_bytes())).expect("a length");
    assert_eq!(read[0].1.output_tokens.0, 7);
}
