//! Wording and places of errors, assignments, units; arbitrary text never panics.

use crate::{
    Bytes, Count, Duration, Located, NonNegative, PositiveDuration, Rate, Share, Source, UsdPerGb,
    UsdPerHour, closest,
};
use gorgo_types::Nanos;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Shop {
    opens: Duration,
    #[serde(default)]
    every: Option<PositiveDuration>,
    #[serde(default)]
    rate: Option<Rate>,
    #[serde(default)]
    memory: Option<Bytes>,
    #[serde(default)]
    shelves: Vec<Shelf>,
    #[serde(default)]
    small: Option<u8>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Shelf {
    name: Located<String>,
    #[serde(default)]
    books: Option<Count>,
    #[serde(default)]
    full: Option<Share>,
    #[serde(default)]
    weight: Option<NonNegative>,
    #[serde(default)]
    kind: Option<Kind>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    Plain,
    Locked { keys: u32 },
}

fn read(text: &str, sets: &[&str]) -> Result<Shop, String> {
    let mut source = Source::new("shop.toml", text);
    sets.iter().for_each(|set| source.set(set));
    source.document().and_then(|document| document.read()).map_err(|error| error.to_string())
}

#[test]
fn an_error_shows_file_line_column_key_and_carets() {
    let text =
        "opens = \"9 h\"\n\n[[shelves]]\nname = \"a\"\n\n[[shelves]]\nname = \"b\"\nbooks = 0\n";
    let wanted = "shop.toml:8:9: shelves[1].books: got 0, wanted a whole number, at least 1\n  \
                  |\n8 | books = 0\n  |         ^";
    assert_eq!(read(text, &[]), Err(wanted.to_owned()));
}

#[test]
fn an_unknown_key_lists_the_known_ones_and_guesses() {
    let error = read("opens = \"9h\"\nshelfs = []\n", &[]).expect_err("unknown key");
    assert_eq!(
        error,
        "shop.toml:2:1: shelfs: unknown key `shelfs`\n  |\n2 | shelfs = []\n  | ^^^^^^\n  \
         = did you mean `shelves`?\n  = known keys: opens, every, rate, memory, shelves, small"
    );
}

#[test]
fn every_error_names_what_was_got_and_wanted() {
    let cases = [
        ("opens = 75", "opens: got 75, wanted a duration in quotes, such as \"75ms\""),
        ("opens = 7.5", "opens: got 7.5, wanted a duration in quotes"),
        ("opens = \"75\"", "opens: got \"75\", wanted a unit after the number"),
        ("opens = \"-5ms\"", "opens: got \"-5ms\", wanted zero or more"),
        ("opens = \"5 parsecs\"", "wanted one of the units ns, us, ms, s, min, h"),
        ("opens = \"inf s\"", "opens: got \"inf s\", wanted a duration"),
        ("opens = \"9999999 h\"", "wanted less than 146 years"),
        ("opens = true", "opens: got true, wanted a duration"),
        ("opens = []", "opens: got an array, wanted a duration"),
        ("opens = {}", "opens: got a table, wanted a duration"),
        ("opens = \"1s\"\nevery = \"0s\"", "every: got \"0s\", wanted more than zero"),
        ("opens = \"1s\"\nrate = 5", "rate: got 5, wanted a rate in quotes, such as \"25 req/s\""),
        ("opens = \"1s\"\nrate = \"-1 req/s\"", "wanted more than zero and at most 1e9/s"),
        ("opens = \"1s\"\nrate = \"0/s\"", "wanted more than zero"),
        ("opens = \"1s\"\nmemory = \"8 Gb\"", "wanted an amount of memory in quotes"),
        ("opens = \"1s\"\nsmall = 300", "small: got 300, wanted a whole number from 0 to 255"),
        ("opens = \"1s\"\nsmall = -1", "small: got -1, wanted a whole number from 0 to 255"),
        ("opens = \"1s\"\nsmall = \"x\"", "small: got \"x\", wanted a whole number"),
        ("opens = \"1s\"\n[[shelves]]\nname = 4", "shelves[0].name: got 4, wanted a string"),
        (
            "opens = \"1s\"\n[[shelves]]\nname=\"a\"\nfull = 1.5",
            "got 1.5, wanted a number from 0 to 1",
        ),
        ("opens = \"1s\"\n[[shelves]]\nname=\"a\"\nweight = nan", "got NaN, wanted a number, zero"),
        ("opens = \"1s\"\n[[shelves]]\nname=\"a\"\nweight = inf", "got inf, wanted a number, zero"),
        ("opens = \"1s\"\n[[shelves]]\nname=\"a\"\nkind = \"open\"", "unknown kind `open`"),
        (
            "opens = \"1s\"\n[[shelves]]\nname=\"a\"\n[shelves.kind.locked]\nkeys=1\nkees=1",
            "unknown key `kees`",
        ),
        ("opens = \"1s\"\n[[shelves]]\nbooks = 3", "missing key `name`"),
        ("opens = \"1s\"\nopens = \"1s\"", "not TOML: duplicate key"),
        ("opens = ", "not TOML"),
        ("", "missing key `opens`"),
    ];
    for (text, wanted) in cases {
        let error = read(text, &[]).expect_err(text);
        assert!(error.contains(wanted), "{text}\ngave\n{error}\nwanted {wanted}");
        assert!(error.starts_with("shop.toml:"), "no place in\n{error}");
    }
}

#[test]
fn assignments_reach_tables_arrays_by_index_and_by_name() {
    let text = "opens = \"1s\"\n[[shelves]]\nname = \"a\"\n[[shelves]]\nname = \"b\"\n";
    let sets = [
        "opens=2s",
        "shelves.b.books=3",
        "shelves.0.full = 0.5",
        "shelves.a.kind.locked.keys=2",
        "rate=3/s",
    ];
    let shop = read(text, &sets).expect("all paths exist or are known keys");
    assert_eq!(shop.opens, Duration(Nanos::from_secs(2)));
    assert_eq!(shop.shelves[1].books, Some(Count(3)));
    assert_eq!(shop.shelves[0].full, Some(Share(0.5)));
    assert_eq!(shop.shelves[0].kind, Some(Kind::Locked { keys: 2 }));
    assert_eq!(shop.rate, Some(Rate(3.0)));
    let twice = read(text, &["opens=\"2s\"", "opens=\"3s\""]).expect("the later one wins");
    assert_eq!(twice.opens, Duration(Nanos::from_secs(3)));
}

#[test]
fn errors_of_assignments_point_at_their_text() {
    let text = "opens = \"1s\"\n[[shelves]]\nname = \"a\"\n";
    let cases = [
        ("opens", "--set:1:1: got \"opens\", wanted an assignment"),
        ("opens=", "--set:1:7: opens: got nothing after the equals sign"),
        ("opens.x=1", "--set:1:7: opens.x: `opens` is a string, which has no `x`"),
        ("opnes=\"1s\"", "--set:1:1: opnes: unknown key `opnes`"),
        (
            "shelves.z.books=1",
            "--set:1:9: shelves.z.books: got `z`, wanted an element of `shelves`",
        ),
        ("shelves.7.books=1", "an index below 1 or one of the names a"),
        ("shelves.a.boks=1", "--set:1:11: shelves[0].boks: unknown key `boks`"),
        (
            "shelves.a.books=0",
            "--set:1:17: shelves[0].books: got 0, wanted a whole number, at least 1",
        ),
        ("..=1", "wanted dotted keys"),
        ("opens=[1", "not TOML"),
        ("small=\"4", "not TOML"),
    ];
    for (set, wanted) in cases {
        let error = read(text, &[set]).expect_err(set);
        assert!(error.contains(wanted), "{set}\ngave\n{error}\nwanted {wanted}");
    }
}

#[test]
fn located_values_remember_their_place() {
    let source =
        Source::new("shop.toml", "opens = \"1s\"\n[[shelves]]\nname = \"aé\" # \u{1f600}\n");
    let document = source.document().expect("valid");
    let shop: Shop = document.read().expect("valid");
    let error = document.blame(&shop.shelves[0].name, "got \"aé\", wanted \"b\"");
    assert_eq!((error.line(), error.column(), error.key()), (Some(3), Some(8), "shelves[0].name"));
    assert!(error.to_string().ends_with("|        ^^^^"), "{error}");
}

#[test]
fn near_words_are_found_and_far_ones_are_not() {
    assert_eq!(closest("gorog", ["gorgo", "random"]), Some("gorgo"));
    assert_eq!(closest("zebra", ["gorgo", "random"]), None);
    assert_eq!(closest("x", []), None);
}

proptest! {
    #[test]
    fn durations_written_read_the_same(ns in 0..4_600_000_000_000_000_000_u64) {
        // Above 2^53 a number with a unit is read as a float; whole units keep it exact up to there.
        let ns = if ns > 1 << 53 { ns / 1_000_000_000 * 1_000_000_000 } else { ns };
        let span = Duration(Nanos(ns));
        prop_assert_eq!(span.to_string().parse::<Duration>(), Ok(span));
    }

    #[test]
    fn rates_and_bytes_written_read_the_same(per_s in 1e-9..1e9_f64, bytes in 0..1_u64 << 53) {
        let rate = Rate(per_s);
        prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        prop_assert_eq!(Bytes(bytes).to_string().parse::<Bytes>(), Ok(Bytes(bytes)));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}", set in "\\PC{0,40}") {
        let _ = read(&text, &[&set]);
        let _ = read("opens = \"1s\"", &[&set]);
        let _ = text.parse::<Duration>();
        let _ = text.parse::<Rate>();
        let _ = text.parse::<Bytes>();
    }

    #[test]
    fn texts_like_ours_never_panic(
        text in "((opens|shelves|name|\\[\\[shelves\\]\\]|\\[shelves\\]) ?=? ?(\"[0-9]{0,3}(ms|s)?\"|[0-9]{0,3}|\\{\\})?\n){0,6}",
        set in "(shelves|opens|0|a|\\.|=){0,6}=?[0-9a-z\"\\[]{0,4}",
    ) {
        let _ = read(&text, &[&set]);
    }
}

#[test]
fn prices_are_read_and_written_and_refused() {
    let hour = |text: &str| text.parse::<UsdPerHour>();
    assert_eq!(hour("3.99 USD/h"), Ok(UsdPerHour(3.99)));
    assert_eq!(hour(" 4USD/h ").map(|price| price.to_string()), Ok("4 USD/h".to_owned()));
    assert_eq!(hour("-0 USD/h").map(|price| price.0.is_sign_negative()), Ok(false));
    assert_eq!("0.0875 USD/GB".parse(), Ok(UsdPerGb(0.0875)));
    for bad in [
        "3.99",
        "$3.99",
        "3.99 USD/GB",
        "3 EUR/h",
        "NaN USD/h",
        "inf USD/h",
        "USD/h",
        "",
        "1e3 USD/h",
    ] {
        let error = hour(bad).expect_err(bad);
        assert!(error.contains("wanted a price in quotes, such as \"3.99 USD/h\""), "{error}");
    }
    for bad in ["-1 USD/GB", "1000001 USD/GB"] {
        let error = bad.parse::<UsdPerGb>().expect_err(bad);
        assert!(error.contains("zero or more and at most 1000000 USD"), "{error}");
    }
}
