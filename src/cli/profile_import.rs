//! `gorgo profile import`: a profile of one's own from a CSV of timings. Each row is checked where it stands; what the
//! numbers must be together is the model's to say.

use crate::exit::Failure;
use crate::text::read_text;
use gorgo_model::{CostProfile, ProfileSpec};
use gorgo_scenario::data;
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `gorgo profile import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Columns phase (prefill or decode), sequences, tokens (new ones, or context of each), cached_tokens, ms.
    csv: PathBuf,
    /// The profile's name.
    #[arg(long)]
    name: String,
}

/// One row of a CSV of timings.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Timing {
    phase: String,
    sequences: u64,
    tokens: u64,
    #[serde(default)]
    cached_tokens: u64,
    ms: f64,
}

/// The profile of a file of timings, as TOML.
pub fn import(args: &ImportArgs) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if args.name.is_empty() || !args.name.chars().all(plain) {
        let wanted = "letters, digits, dots, dashes and underscores";
        return Err(Failure::input(format!("--name: got {:?}, wanted {wanted}", args.name)));
    }
    let text = read_text(&args.csv)?;
    let spec = from_csv(&args.csv.display().to_string(), &text, &args.name);
    spec.map(|spec| as_toml(&spec)).map_err(Failure::input)
}

/// Tables as they stand in the file, and lines through their ends for what lies beyond.
fn from_csv(file: &str, text: &str, name: &str) -> Result<ProfileSpec, String> {
    let rows: Vec<(u64, Timing)> = data::read_csv_lines(file, text).map_err(|e| e.to_string())?;
    let mut spec = ProfileSpec { name: name.to_owned(), ..ProfileSpec::default() };
    for (line, row) in rows {
        check(&row).map_err(|problem| format!("{file}:{line}: {problem}"))?;
        let (table, at) = match row.phase.as_str() {
            "prefill" => (&mut spec.prefill_table, row.cached_tokens),
            _ => (&mut spec.decode_table, row.sequences),
        };
        let point = (row.tokens, row.ms);
        match table.iter_mut().find(|row| row.0 == at) {
            Some(row) if row.1.iter().any(|known| known.0 == point.0) => {
                let problem = format!("tokens: got {} a second time", point.0);
                return Err(format!("{file}:{line}: {problem}, wanted each point once"));
            }
            Some(row) => row.1.push(point),
            None => table.push((at, vec![point])),
        }
    }
    for table in [&mut spec.prefill_table, &mut spec.decode_table] {
        if table.is_empty() {
            return Err(format!("{file}: wanted at least one row of prefill and one of decode"));
        }
        table.sort_by_key(|row| row.0);
        table.iter_mut().for_each(|row| row.1.sort_by_key(|point| point.0));
    }
    let (first, last) = (spec.prefill_table[0].1[0], spec.prefill_table[0].1.last());
    spec.prefill_ms_per_token = slope(first, *last.unwrap_or(&first));
    let heads: Vec<(u64, f64)> = spec.decode_table.iter().map(|row| (row.0, row.1[0].1)).collect();
    spec.decode_ms_per_sequence = slope(heads[0], *heads.last().unwrap_or(&heads[0]));
    CostProfile::try_from(spec.clone()).map_err(|error| format!("{file}: {error}"))?;
    Ok(spec)
}

/// What a row must hold by itself.
fn check(row: &Timing) -> Result<(), String> {
    let refuse = |field: &str, got: String, wanted: &str| {
        Err(format!("{field}: got {got}, wanted {wanted}"))
    };
    match row.phase.as_str() {
        "prefill" if row.sequences != 1 => {
            return refuse("sequences", row.sequences.to_string(), "1 for prefill");
        }
        "decode" if row.cached_tokens != 0 => {
            let wanted = "0 for decode: all context counts as tokens";
            return refuse("cached_tokens", row.cached_tokens.to_string(), wanted);
        }
        "prefill" | "decode" => {}
        other => return refuse("phase", format!("{other:?}"), "prefill or decode"),
    }
    if !(1e-6..=1e6).contains(&row.ms) {
        return refuse("ms", row.ms.to_string(), "a time from 0.000001 to 1000000 ms");
    }
    if !(1..=4_096).contains(&row.sequences) {
        return refuse("sequences", row.sequences.to_string(), "from 1 to 4096");
    }
    for (field, tokens, least) in [
        ("tokens", row.tokens, u64::from(row.phase == "prefill")),
        ("cached_tokens", row.cached_tokens, 0),
    ] {
        if !(least..=1 << 24).contains(&tokens) {
            return refuse(field, tokens.to_string(), &format!("from {least} to 16777216 tokens"));
        }
    }
    Ok(())
}

fn slope(first: (u64, f64), last: (u64, f64)) -> f64 {
    let span = last.0.saturating_sub(first.0);
    if span == 0 { 0.0 } else { ((last.1 - first.1) / span as f64).max(0.0) }
}

fn as_toml(spec: &ProfileSpec) -> String {
    let mut text = format!(
        "[[profiles]]\nname = {:?}\nprefill_ms_per_token = {:?}\ndecode_ms_per_sequence = {:?}\n\
         overhead_ms = 10.0\nkv_bytes_per_token = {}\nkv_pool_tokens = {}\n",
        spec.name,
        spec.prefill_ms_per_token,
        spec.decode_ms_per_sequence,
        spec.kv_bytes_per_token,
        spec.kv_pool_tokens
    );
    for (name, table) in
        [("prefill_table", &spec.prefill_table), ("decode_table", &spec.decode_table)]
    {
        let _ = writeln!(text, "{name} = [");
        for (at, points) in table {
            let points: Vec<String> =
                points.iter().map(|(x, ms)| format!("[{x}, {ms:?}]")).collect();
            let _ = writeln!(text, "    [{at}, [{}]],", points.join(", "));
        }
        text.push_str("]\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_scenario::Parsed;
    use proptest::prelude::*;

    const HEAD: &str = "phase,sequences,tokens,cached_tokens,ms";
    const GOOD: &str = "prefill,1,100,0,12.5\nprefill,1,2000,0,60\nprefill,1,2000,500,70\n\
                        decode,1,1000,0,7\ndecode,32,1000,0,9.5\n";

    fn read(text: &str) -> Result<ProfileSpec, String> {
        from_csv("t.csv", text, "mine")
    }

    #[test]
    fn what_is_printed_is_a_profile_of_a_scenario() {
        let scenario = include_str!("../../scenarios/bench/replicas_1.toml");
        let spec = read(&format!("{HEAD}\n{GOOD}")).expect("good");
        let text = format!("{scenario}\n{}", as_toml(&spec));
        let parsed =
            Parsed::new("s.toml", &text, &[""; 0]).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(parsed.table().profiles[0].value.prefill_table, spec.prefill_table);
        let same = [
            format!("\u{feff}{HEAD}\n{GOOD}"),
            format!("{HEAD}\r\n{}", GOOD.replace('\n', "\r\n")),
            format!("{HEAD}\n{}", GOOD.trim_end()),
        ];
        for text in same {
            assert_eq!(read(&text).as_ref(), Ok(&spec), "{text:?}");
        }
    }

    #[test]
    fn every_bad_row_is_refused_with_line_field_and_value() {
        let row = |row: &str| format!("{HEAD}\n{GOOD}{row}\n");
        let mut cases: Vec<(String, String)> = [
            (String::new(), "t.csv: wanted at least one row"),
            (format!("{HEAD}\n"), "t.csv: wanted at least one row of prefill and one of decode"),
            (
                format!("{HEAD}\nprefill,1,100,0,1\n"),
                "wanted at least one row of prefill and one of",
            ),
            (format!("{HEAD},colour\n{GOOD}"), "t.csv:2"),
            ("phase,sequences,tokens,tokens,ms\nprefill,1,1,1,1\n".to_owned(), "t.csv:2"),
            ("phase,sequences,tokens\nprefill,1,100\n".to_owned(), "missing field `ms`"),
            (row("prefill,1,100"), "t.csv:7:1: row: got 3 fields, wanted 5"),
            (row("train,1,5,0,1"), "t.csv:7: phase: got \"train\", wanted prefill or decode"),
            (row("prefill,2,5,0,1"), "t.csv:7: sequences: got 2, wanted 1 for prefill"),
            (row("decode,0,5,0,1"), "t.csv:7: sequences: got 0, wanted from 1 to 4096"),
            (row("decode,5000,5,0,1"), "t.csv:7: sequences: got 5000, wanted from 1 to 4096"),
            (row("decode,1,5,9,1"), "t.csv:7: cached_tokens: got 9, wanted 0 for decode"),
            (row("prefill,1,0,0,1"), "t.csv:7: tokens: got 0, wanted from 1 to 16777216"),
            (row("prefill,1,2000,500,1"), "t.csv:7: tokens: got 2000 a second time"),
            (row("decode,32,2000,0,1"), "decode_table"),
            (row("prefill,1,16777217,0,1"), "t.csv:7: tokens: got 16777217"),
            (
                row("prefill,1,18446744073709551615,0,1"),
                "t.csv:7: tokens: got 18446744073709551615",
            ),
        ]
        .map(|(text, part)| (text, part.to_owned()))
        .into();
        for bad in ["-1", "1.5", "x", "", "1e300", "18446744073709551616", "NaN"] {
            for (column, field) in [(1, "sequences"), (2, "tokens"), (3, "cached_tokens")] {
                let mut cells = ["prefill", "1", "5", "0", "1"];
                cells[column] = bad;
                cases.push((row(&cells.join(",")), format!("t.csv:7:1: {field}: ")));
            }
        }
        for bad in ["-1", "0", "NaN", "inf", "-inf", "1e300", "1e-300"] {
            cases.push((row(&format!("decode,8,5,0,{bad}")), "t.csv:7: ms: got ".to_owned()));
        }
        for bad in ["x", "", "1,5"] {
            cases.push((row(&format!("decode,8,5,0,{bad}")), "t.csv:7:1: ".to_owned()));
        }
        for (text, part) in cases {
            let error = read(&text).expect_err(&text);
            assert!(
                error.contains(&part) && error.contains("wanted") | error.contains("missing"),
                "{text}\ngave {error}\nwithout {part}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(
            noise in "\\PC{0,80}",
            edits in prop::collection::vec((0..200_usize, "[0-9a-z,.\n\"-]{0,4}"), 1..5),
        ) {
            let _ = read(&noise);
            let mut text = format!("{HEAD}\n{GOOD}");
            for (at, new) in edits {
                let at = at.min(text.len());
                let end = (at + 1).min(text.len());
                text.replace_range(at..end, &new);
            }
            let _ = read(&text);
        }
    }
}
