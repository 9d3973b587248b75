//! Malformed input: each case is refused with file, line, field, value and what was wanted.

use crate::common::{Folder, drain, read};
use gorgo_workload::{ArrivalsCsv, ArrivalsOptions, TraceOptions, TraceSource, WorkloadError};

const HEADER: &str = r#"{"gorgo_trace":1,"block_size":16}"#;
const GOOD: &str = r#"{"timestamp":5,"input_length":20,"output_length":3,"hash_ids":[1,2]}"#;

/// The good line with one piece replaced.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from));
    GOOD.replace(from, to)
}

/// The good line with fields added.
fn and(fields: &str) -> String {
    with("}", &format!(",{fields}}}"))
}

/// Bad third lines of a file, and parts of the message: what a line must have.
fn bad_required_fields() -> Vec<(String, [&'static str; 3])> {
    let ms = "milliseconds from the start";
    let tokens = "a whole number of tokens from 1 to 4294967295";
    let id = "a whole number from 0 to 18446744073709551615";
    vec![
        (with("\"timestamp\":5,", ""), ["`timestamp`", "got nothing", "this field in every line"]),
        (with("5,", "-1,"), ["`timestamp`", "got -1", ms]),
        (with("5,", "NaN,"), ["`timestamp`", "got NaN", ms]),
        (with("5,", "Infinity,"), ["`timestamp`", "got Infinity", ms]),
        (with("5,", "-Infinity,"), ["`timestamp`", "got -Infinity", ms]),
        (with("5,", "1e999,"), ["`timestamp`", "got 1e999", ms]),
        (with("5,", "1e300,"), ["`timestamp`", "got 1e300", "146 years"]),
        (with("5,", "\"5\","), ["`timestamp`", "got \"5\"", ms]),
        (with("5,", "null,"), ["`timestamp`", "got null", ms]),
        (with("5,", "05,"), ["`timestamp`", "got 05", ms]),
        (with("5,", "4,"), ["`timestamp`", "got 4", "at least 5, the line before"]),
        (with(":20", ":0"), ["`input_length`", "got 0", tokens]),
        (with(":20", ":-20"), ["`input_length`", "got -20", tokens]),
        (with(":20", ":20.5"), ["`input_length`", "got 20.5", tokens]),
        (with(":20", ":4294967296"), ["`input_length`", "got 4294967296", tokens]),
        (with(":20", ":true"), ["`input_length`", "got true", tokens]),
        (with(":20", ":[20]"), ["`input_length`", "got [20]", tokens]),
        (with(":3,", ":0,"), ["`output_length`", "got 0", tokens]),
        (with(":3,", ":4294967290,"), ["`output_length`", "got 4294967290", "at most 4294967295"]),
        (with(":3,", ":1e2,"), ["`output_length`", "got 1e2", tokens]),
        (
            with("[1,2]", "[1]"),
            ["`hash_ids`", "got 1 ids", "2 ids: input_length 20 / block size 16"],
        ),
        (with("[1,2]", "[1,2,3]"), ["`hash_ids`", "got 3 ids", "2 ids"]),
        (with("[1,2]", "[1,-2]"), ["`hash_ids[1]`", "got -2", id]),
        (with("[1,2]", "[\"1\",2]"), ["`hash_ids[0]`", "got \"1\"", id]),
        (with("[1,2]", "[1,2.0]"), ["`hash_ids[1]`", "got 2.0", id]),
        (
            with("[1,2]", "[1,18446744073709551616]"),
            ["`hash_ids[1]`", "got 18446744073709551616", id],
        ),
        (with("[1,2]", "7"), ["`hash_ids`", "got 7", "an array of whole numbers"]),
        (with("[1,2]", "[1 2]"), ["got 2 at column", "`,` or `]`", "`hash_ids`"]),
        (with("[1,2]", "[1,2,]"), ["`hash_ids[2]`", "got ]", id]),
    ]
}

/// The same, for what is optional and for lines that are no object.
fn bad_optional_fields_and_shapes() -> Vec<(String, [&'static str; 3])> {
    let tokens = "a whole number of tokens from 1 to 4294967295";
    vec![
        (and("\"output_hash_ids\":[9,2]"), ["`output_hash_ids[0]`", "got 9", "1, as in hash_ids"]),
        (and("\"output_hash_ids\":[]"), ["`output_hash_ids`", "got 0 ids", "2 ids"]),
        (and("\"max_tokens\":2"), ["`max_tokens`", "got 2", "at least output_length (3)"]),
        (and("\"max_tokens\":-5"), ["`max_tokens`", "got -5", tokens]),
        (and("\"turn\":1"), ["`turn`", "got 1", "a session_id beside it"]),
        (and("\"session_id\":-4"), ["`session_id`", "got -4", "or a string"]),
        (and("\"session_id\":1.5"), ["`session_id`", "got 1.5", "or a string"]),
        (and("\"session_id\":1,\"turn\":4294967296"), ["`turn`", "got 4294967296", "4294967295"]),
        (and("\"user_id\":{}"), ["`user_id`", "got {}", "or a string"]),
        (and("\"lat\":91,\"lon\":0"), ["`lat`", "got 91", "degrees from -90 to 90"]),
        (and("\"lat\":1,\"lon\":-180.5"), ["`lon`", "got -180.5", "degrees from -180 to 180"]),
        (and("\"lat\":48"), ["`lat`", "got 48", "a lon beside it"]),
        (and("\"lon\":48"), ["`lon`", "got 48", "a lat beside it"]),
        (and("\"country\":7"), ["`country`", "got 7", "a string that is not empty"]),
        (and("\"region\":\" \""), ["`region`", "got \" \"", "a string that is not empty"]),
        (and("\"state\":\"a\u{1}\""), ["`state`", "got \"a", "closed by a quote"]),
        (and("\"slo_class\":1"), ["`slo_class`", "got 1", "a string"]),
        (and("\"messages\":\"hi\""), ["`messages`", "got \"hi\"", "an array of messages"]),
        (
            and("\"input_lenght\":3"),
            ["`input_lenght`", "an unknown field", "one of timestamp, input_length"],
        ),
        (and("\"timestamp\":6"), ["`timestamp`", "the field twice", "each field once"]),
        ("[1,2]".to_owned(), ["got [1,2] at column 1", "wanted", "a JSON object"]),
        ("timestamp,input".to_owned(), ["got timestamp at column 1", "wanted", "a JSON object"]),
        ("{timestamp:5}".to_owned(), ["got timestamp:5 at column 2", "wanted", "name in quotes"]),
        (with("]}", "]"), ["the end of the line", "`,` or `}`", "`hash_ids`"]),
        (
            with(":20,\"output_length\":3,\"hash_ids\":[1,2]}", ":"),
            ["the end of the line", "`input_length`", tokens],
        ),
        (format!("{GOOD} x"), ["got x at column", "the end of the line", "wanted"]),
        (format!("{GOOD}{GOOD}"), ["got {\"timestamp", "the end of the line", "wanted"]),
    ]
}

#[test]
fn every_bad_line_is_refused_with_its_place_value_and_what_was_wanted() {
    let folder = Folder::new();
    let cases = [bad_required_fields(), bad_optional_fields_and_shapes()].concat();
    assert!(cases.len() >= 40);
    for (i, (line, parts)) in cases.iter().enumerate() {
        let path =
            folder.file(&format!("{i}.jsonl"), format!("{HEADER}\n{GOOD}\n{line}\n").as_bytes());
        let error = read(&path, TraceOptions::default()).expect_err(line).to_string();
        let place = format!("{}:3: ", path.display());
        assert!(error.starts_with(&place), "{line}\ngave {error}\nwithout {place}");
        for part in parts.iter().chain(&["wanted "]) {
            assert!(error.contains(part), "{line}\ngave {error}\nwithout {part}");
        }
    }
}

#[test]
fn every_bad_file_is_refused_with_its_line() {
    let session = |turn: u32| and(&format!("\"session_id\":8,\"turn\":{turn}"));
    let cases: Vec<(String, u64, [&str; 2])> = vec![
        (
            format!("{HEADER}\n{}\n{}\n", session(1), session(1)),
            3,
            ["`turn`: got 1", "more than 1"],
        ),
        (
            format!("{HEADER}\n{}\n{}\n", session(1), session(0)),
            3,
            ["`turn`: got 0", "more than 1"],
        ),
        (format!("{HEADER}\n\n{GOOD}\n"), 2, ["got a blank line", "only at the end"]),
        (HEADER.replace(":1,", ":2,"), 1, ["`gorgo_trace`: got 2", "version"]),
        (HEADER.replace(":1,", ":\"1\","), 1, ["`gorgo_trace`: got \"1\"", "version"]),
        (HEADER.replace("16", "0"), 1, ["`block_size`: got 0", "from 1 to 1048576"]),
        (HEADER.replace("16", "-16"), 1, ["`block_size`: got -16", "from 1 to 1048576"]),
        (HEADER.replace(",\"block_size\":16", ""), 1, ["`block_size`: got nothing", "first line"]),
        (
            HEADER.replace("block_size", "blocksize"),
            1,
            ["`blocksize`: got an unknown field", "block_size"],
        ),
        (format!("{HEADER}\n{HEADER}\n"), 2, ["`gorgo_trace`: got an unknown field", "one of"]),
        (
            format!("{HEADER}\n{GOOD}\n{{\"timestamp\":6,\"input_le"),
            3,
            ["got \"input_le at column 16", "a field's name, closed by a quote"],
        ),
        (GOOD.to_owned(), 1, ["`hash_ids`: got 2 ids", "block size 512"]),
    ];
    let folder = Folder::new();
    for (i, (text, line, parts)) in cases.iter().enumerate() {
        let path = folder.file(&format!("{i}.jsonl"), text.as_bytes());
        let error = read(&path, TraceOptions::default()).expect_err(text).to_string();
        let place = format!("{}:{line}: ", path.display());
        assert!(error.starts_with(&place), "{text}\ngave {error}\nwithout {place}");
        for part in parts {
            assert!(error.contains(part), "{text}\ngave {error}\nwithout {part}");
        }
    }
}

#[test]
fn files_without_requests_and_files_that_are_not_there_are_refused() {
    let folder = Folder::new();
    for (name, text) in [("empty", ""), ("blank", "\n\n"), ("header", HEADER)] {
        let path = folder.file(name, text.as_bytes());
        let error = read(&path, TraceOptions::default()).expect_err(name).to_string();
        assert!(error.ends_with("no request in the file, wanted at least one"), "{error}");
    }
    let path = folder.file("one", format!("{HEADER}\n{GOOD}").as_bytes());
    let window = TraceOptions { window_from_s: Some(1.0), ..TraceOptions::default() };
    let error = read(&path, window).expect_err("nothing in the window").to_string();
    assert!(error.contains("no request in the window 1.000s.."), "{error}");
    let missing = TraceSource::open(&path.with_extension("none"), TraceOptions::default());
    assert!(matches!(missing, Err(WorkloadError::Open { .. })));
    let directory = path.parent().expect("a file has a folder");
    assert!(TraceSource::open(directory, TraceOptions::default()).is_err());
}

#[test]
fn cut_or_damaged_compressed_files_are_refused_at_the_line_where_it_shows() {
    let folder = Folder::new();
    let mut text = format!("{HEADER}\n");
    for i in 0..2_000u64 {
        let ids = [i * 7919 % 1009, i * 104_729 % 10_007];
        text += &with("[1,2]", &format!("{ids:?}"));
        text.push('\n');
    }
    let gzip = gzip(text.as_bytes());
    let zstd = ruzstd::encoding::compress_to_vec(
        text.as_bytes(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    for (name, bytes) in [("a.gz", gzip), ("b.zst", zstd)] {
        let whole = folder.file(name, &bytes);
        assert_eq!(read(&whole, TraceOptions::default()).expect("whole").len(), 2_000);
        for keep in [bytes.len() - 1, bytes.len() / 2, 9] {
            let path = folder.file(&format!("cut-{keep}-{name}"), &bytes[..keep]);
            let error = read(&path, TraceOptions::default()).expect_err("a cut file");
            assert!(matches!(error, WorkloadError::Read { .. }), "{error}");
            assert!(error.to_string().starts_with(&format!("{}:", path.display())), "{error}");
        }
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0x5a);
        let path = folder.file(&format!("damaged-{name}"), &damaged);
        assert!(read(&path, TraceOptions::default()).is_err(), "{name} was damaged");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn bad_options_are_refused_by_name() {
    let folder = Folder::new();
    let path = folder.file("one", format!("{HEADER}\n{GOOD}").as_bytes());
    let base = TraceOptions::default();
    let cases = [
        (TraceOptions { speedup: 0.0, ..base }, "parameter `speedup`: got 0, wanted a number from"),
        (TraceOptions { speedup: f64::NAN, ..base }, "parameter `speedup`: got NAN"),
        (TraceOptions { window_from_s: Some(-1.0), ..base }, "parameter `window from`: got -1"),
        (
            TraceOptions { window_from_s: Some(2.0), window_to_s: Some(1.0), ..base },
            "parameter `window`: got 2.000s..1.000s",
        ),
    ];
    for (options, part) in cases {
        let error = read(&path, options).expect_err(part).to_string();
        assert!(error.to_lowercase().contains(&part.to_lowercase()), "{error} without {part}");
    }
}

#[test]
fn every_bad_arrivals_file_is_refused_with_its_place() {
    const HEADER: &str = "request_id,arrival_ms,input_tokens,output_tokens\n";
    let tokens = "a whole number of tokens from 1";
    let cases: Vec<(String, u64, [&str; 2])> = vec![
        (format!("{HEADER}a,5,1,1\na,6,1,1\n"), 3, ["`request_id`: got `a`", "no earlier row"]),
        (format!("{HEADER}a,5,1,1\nb,4,1,1\n"), 3, ["`arrival_ms`: got `4`", "at least 5"]),
        (format!("{HEADER}a,-5,1,1\n"), 2, ["`arrival_ms`: got `-5`", "milliseconds"]),
        (format!("{HEADER}a,nan,1,1\n"), 2, ["`arrival_ms`: got `nan`", "milliseconds"]),
        (format!("{HEADER}a,inf,1,1\n"), 2, ["`arrival_ms`: got `inf`", "milliseconds"]),
        (format!("{HEADER}a,,1,1\n"), 2, ["`arrival_ms`: got nothing", "milliseconds"]),
        (format!("{HEADER}a,5,0,1\n"), 2, ["`input_tokens`: got `0`", tokens]),
        (format!("{HEADER}a,5,1,1.5\n"), 2, ["`output_tokens`: got `1.5`", tokens]),
        (format!("{HEADER}a,5,1,99999999999\n"), 2, ["`output_tokens`: got `99999999999`", tokens]),
        (format!("{HEADER},5,1,1\n"), 2, ["`request_id`: got nothing", "an id"]),
        (format!("{HEADER}a,5,1\n"), 2, ["got 3 cells", "wanted 4"]),
        (
            "request_id,arrival_ms,input_tokens\na,1,1\n".into(),
            1,
            ["`output_tokens`: got nothing", "columns"],
        ),
        (
            "request_id,arrival_ms,input_tokens,output_tokens,x\n".into(),
            1,
            ["`x`: got an unknown column", "one of"],
        ),
        (
            "request_id,request_id,input_tokens,output_tokens\n".into(),
            1,
            ["`request_id`: got the column twice", "once"],
        ),
    ];
    let folder = Folder::new();
    for (i, (text, line, parts)) in cases.iter().enumerate() {
        let path = folder.file(&format!("{i}.csv"), text.as_bytes());
        let read = ArrivalsCsv::open(&path, ArrivalsOptions::default())
            .and_then(|mut source| drain(&mut source));
        let error = read.expect_err(text).to_string();
        let place = format!("{}:{line}: ", path.display());
        assert!(error.starts_with(&place), "{text}\ngave {error}\nwithout {place}");
        for part in parts {
            assert!(error.contains(part), "{text}\ngave {error}\nwithout {part}");
        }
    }
}
