//! Cost profiles as users hand them over, in files of their own: what is refused, and where.

use gorgo_scenario::data::{GPU_FILES, read_checked_profile};
use proptest::prelude::*;

/// A profile with every sort of key.
const GOOD: &str = "name = \"mine\"\n\
    prefill_base_ms = 2.0\n\
    prefill_ms_per_token = 0.02\n\
    prefill_ms_per_token_squared = 1e-7\n\
    prefill_floor = [[1, 5.0], [64, 6.0]]\n\
    decode_base_ms = 6.0\n\
    decode_ms_per_sequence = 0.01\n\
    decode_table = [[1, [[100, 6.5], [900, 7.0]]], [8, [[100, 8.5]]]]\n\
    overhead_ms = 10.0\n\
    kv_bytes_per_token = 131072\n\
    kv_pool_tokens = 400_000\n\
    [limits]\nmax_prefill_tokens = 8192\n\
    [provenance]\ngpus = 2\nprefill_error_mean = 0.01\n";

fn error(text: &str) -> String {
    read_checked_profile("mine.toml", text).expect_err(text).to_string()
}

#[test]
fn the_good_one_is_good_with_any_line_ends_and_without_a_name() {
    let good = read_checked_profile("mine.toml", GOOD).unwrap_or_else(|error| panic!("{error}"));
    let nameless = read_checked_profile("a/mine.toml", &GOOD.replace("name = \"mine\"\n", ""));
    assert_eq!(nameless.unwrap_or_else(|error| panic!("{error}")), good);
    let crlf = read_checked_profile("mine.toml", &GOOD.replace('\n', "\r\n"));
    assert_eq!(crlf.unwrap_or_else(|error| panic!("{error}")), good);
}

#[test]
fn every_number_of_a_profile_is_checked_where_it_stands() {
    let mut checked = 0;
    for (number, line) in GOOD.lines().enumerate() {
        let Some((key, value)) = line.split_once(" = ") else { continue };
        if key == "name" {
            continue;
        }
        let is_whole = !value.contains('.') && !value.contains('e') && !value.contains('[');
        let mut bad = vec!["\"x\"", "true", "-1", "nan", "inf", "1979-05-27", "{}"];
        match key {
            "prefill_floor" | "decode_table" => {
                bad.extend(["[[1]]", "[[1, -5.0]]", "[[1, nan]]", "7"])
            }
            "prefill_error_mean" => bad.push("1e300"),
            _ if is_whole => bad.extend(["1.5", "1e300", "18446744073709551616"]),
            _ => bad.extend(["1e300", "[]"]),
        }
        for bad in bad {
            let lines = GOOD.lines().enumerate();
            let changed =
                lines.map(
                    |(index, text)| {
                        if index == number { format!("{key} = {bad}") } else { text.to_owned() }
                    },
                );
            let text = changed.collect::<Vec<_>>().join("\n");
            let error = error(&text);
            let place = format!("mine.toml:{}", number + 1);
            assert!(error.starts_with(&place), "{key} = {bad}\ngave {error}\nwithout {place}");
            assert!(error.contains(key), "{key} = {bad}\ngave {error}");
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} cases");
}

#[test]
fn tables_and_keys_that_make_no_sense_are_refused() {
    let cases = [
        ("", "mine.toml", "a nanosecond at least"),
        ("name = \"x\"", "mine.toml", "a nanosecond at least"),
        ("ms_per_tokn = 1.0", "mine.toml:1", "did you mean `ms_per_token`?"),
        ("ms_per_token = 1.0\nms_per_token = 2.0", "mine.toml:2", "duplicate key"),
        ("ms_per_token = ", "mine.toml:1", "not TOML"),
        (
            "ms_per_token = 1.0\ndecode_table = [[8, [[1, 5.0]]], [4, [[1, 5.0]]]]",
            "mine.toml:2",
            "more than the row before",
        ),
        ("ms_per_token = 1.0\ndecode_table = [[8, []]]", "mine.toml:2", "from 1 to 256 points"),
        (
            "ms_per_token = 1.0\ndecode_table = [[0, [[1, 5.0]]]]",
            "mine.toml:2",
            "at least 1 sequence",
        ),
        (
            "ms_per_token = 1.0\ndecode_table = [[9, [[5, 5.0], [1, 5.0]]]]",
            "mine.toml:2",
            "more tokens than the point before",
        ),
        ("ms_per_token = 1.0\nkv_bytes_per_token = 0", "mine.toml:2", "kv_bytes_per_token"),
        ("ms_per_token = 1.0\nkv_pool_tokens = 0", "mine.toml:2", "kv_pool_tokens"),
        ("\u{feff}ms_per_token = -1.0", "mine.toml:1", "ms_per_token"),
    ];
    for (text, place, part) in cases {
        let error = error(text);
        assert!(
            error.starts_with(place) && error.contains(part),
            "{text:?}\ngave {error}\nwithout {place} {part}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(
        noise in "\\PC{0,120}",
        which in 0..GPU_FILES.len(),
        cuts in prop::collection::vec((0..6_000_usize, 0..30_usize, "[0-9a-z.,=\\[\\]\"\n-]{0,6}"), 1..5),
    ) {
        let _ = read_checked_profile("x.toml", &noise);
        for text in [GOOD, GPU_FILES[which].1] {
            let mut text = text.to_owned();
            for (at, length, new) in &cuts {
                let at = text.floor_char_boundary(*at);
                let end = text.floor_char_boundary(at + length);
                text.replace_range(at..end, new);
            }
            let _ = read_checked_profile("x.toml", &text);
        }
    }
}
