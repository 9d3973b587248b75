//! Tests of cost profiles: arithmetic by hand, segments against single steps, what is refused.

use super::*;
use crate::ModelError;
use proptest::prelude::*;

fn item(new_tokens: u32, cached_tokens: u32) -> PrefillItem {
    PrefillItem { new_tokens, cached_tokens }
}

/// Round numbers: 10 ms + 1 ms a token + 0.001 ms a token squared; floor 5 ms to 20 ms; decode 2 + 0.5 B + 0.01 S.
fn spec() -> ProfileSpec {
    ProfileSpec {
        name: "test".to_owned(),
        prefill_base_ms: 10.0,
        prefill_ms_per_token: 1.0,
        prefill_ms_per_token_squared: 0.001,
        prefill_floor: vec![(1, 50.0), (11, 100.0), (21, 100.0)],
        decode_base_ms: Some(2.0),
        decode_ms_per_sequence: 0.5,
        decode_ms_per_context_token: 0.01,
        decode_floor_ms: 4.0,
        overhead_ms: 7.5,
        kv_bytes_per_token: 131_072,
        kv_pool_tokens: 100_000,
        limits: EngineLimits::default(),
        range: ProfileRange {
            prefill_tokens: 1_000,
            cached_tokens: 2_000,
            decode_sequences: 8,
            decode_context_tokens: 5_000,
        },
        ..ProfileSpec::default()
    }
}

fn profile() -> CostProfile {
    CostProfile::try_from(spec()).unwrap()
}

fn fs(ms: f64) -> Femtos {
    Femtos::from_ms(ms).unwrap()
}

#[test]
fn a_large_prefill_is_the_fit() {
    // 10 + 300 + 0.0005 · (100·(2·50 + 100) + 200·(2·0 + 200)) = 310 + 0.0005 · 60,000
    assert_eq!(profile().prefill(&[item(100, 50), item(200, 0)]), fs(340.0));
    assert_eq!(profile().overhead, Nanos(7_500_000));
}

#[test]
fn a_small_prefill_is_the_floor_and_its_prefix() {
    let profile = profile();
    assert_eq!(profile.prefill(&[item(1, 0)]), fs(50.0));
    assert_eq!(profile.prefill(&[item(6, 0)]), fs(75.0));
    assert_eq!(profile.prefill(&[item(3, 0), item(3, 0)]), fs(75.0));
    assert_eq!(profile.prefill(&[item(6, 1_000)]), fs(75.0 + 0.001 * 6_000.0));
    assert_eq!(profile.prefill(&[item(80, 0)]), fs(100.0), "flat after the last point");
    assert_eq!(profile.prefill(&[item(90, 0)]), fs(100.0 + 0.0005 * 8_100.0), "then the fit");
}

#[test]
fn the_floor_of_decode_binds_until_the_formula_passes_it() {
    let profile = profile();
    // 2 + 0.5·2 + 0.01·S reaches 4 at S = 100.
    assert_eq!(profile.decode_step(2, 0), fs(4.0));
    assert_eq!(profile.decode_step(2, 200), fs(5.0));
    let DecodeSegment { first, increment, steps } = profile.decode_segment(2, 90);
    assert_eq!((first, increment, steps), (fs(4.0), Femtos::ZERO, 6), "90, 92, .., 100");
    let above = profile.decode_segment(2, 100);
    assert_eq!((above.first, above.increment, above.steps), (fs(4.0), fs(0.02), u64::MAX));
}

#[test]
fn a_decode_without_context_cost_has_no_knot() {
    let flat = ProfileSpec { decode_ms_per_context_token: 0.0, ..spec() };
    let segment = CostProfile::try_from(flat).unwrap().decode_segment(1, 10);
    assert_eq!((segment.first, segment.steps), (fs(4.0), u64::MAX));
}

#[test]
fn half_of_an_odd_coefficient_keeps_its_femtosecond() {
    let odd = ProfileSpec { prefill_ms_per_token_squared: 8.6743e-7, ..spec() };
    let profile = CostProfile::try_from(odd).unwrap();
    // c/2 = 433,715 fs.
    let quadratic = profile.prefill(&[item(1_000, 0)]).0 - fs(1_010.0).0;
    assert_eq!(quadratic, 433_715 * 1_000_000);
}

#[test]
fn a_constant_profile_is_exact() {
    let profile = CostProfile::constant(Nanos(1_000), 3, Nanos(500), 20, 1);
    assert_eq!(profile.prefill(&[item(7, 99), item(1, 0)]).to_nanos(), Nanos(1_024));
    assert_eq!(profile.decode_step(4, 100).to_nanos(), Nanos(680));
    let segment = profile.decode_segment(4, 100);
    assert_eq!(segment.increment.to_nanos(), Nanos(4));
    assert_eq!(segment.steps, u64::MAX);
    assert_eq!(profile.overhead, Nanos::ZERO);
}

#[test]
fn the_largest_numbers_do_not_wrap() {
    let largest = ProfileSpec {
        prefill_base_ms: 1e9,
        prefill_ms_per_token: 1e6,
        prefill_ms_per_token_squared: 1e6,
        decode_base_ms: Some(1e9),
        decode_ms_per_sequence: 1e6,
        decode_ms_per_context_token: 1e6,
        decode_floor_ms: 1e9,
        ..spec()
    };
    let profile = CostProfile::try_from(largest).unwrap();
    let batch = vec![item(u32::MAX, u32::MAX); 10_000];
    assert!(profile.prefill(&batch) >= profile.prefill(&batch[..1]));
    assert!(profile.decode_step(u32::MAX, u64::MAX) > profile.decode_step(1, 1));
    assert_eq!(profile.decode_segment(u32::MAX, u64::MAX).steps, u64::MAX);
}

#[test]
fn outside_the_range_is_said() {
    let profile = profile();
    assert!(profile.prefill_in_range(&[item(500, 2_000), item(500, 0)]));
    assert!(!profile.prefill_in_range(&[item(500, 2_001)]));
    assert!(!profile.prefill_in_range(&[item(500, 0), item(501, 0)]));
    assert!(profile.decode_in_range(8, 5_000));
    assert!(!profile.decode_in_range(9, 5_000));
    assert!(!profile.decode_in_range(8, 5_001));
}

#[test]
fn bad_numbers_are_refused_by_name() {
    type Change = fn(&mut ProfileSpec, f64);
    let fields: [(&str, Change); 10] = [
        ("prefill_base_ms", |s, v| s.prefill_base_ms = v),
        ("prefill_ms_per_token", |s, v| s.prefill_ms_per_token = v),
        ("prefill_ms_per_token_squared", |s, v| s.prefill_ms_per_token_squared = v),
        ("prefill_floor[1]", |s, v| s.prefill_floor[1].1 = v),
        ("decode_base_ms", |s, v| s.decode_base_ms = Some(v)),
        ("decode_ms_per_sequence", |s, v| s.decode_ms_per_sequence = v),
        ("decode_ms_per_context_token", |s, v| s.decode_ms_per_context_token = v),
        ("decode_floor_ms", |s, v| s.decode_floor_ms = v),
        ("overhead_ms", |s, v| s.overhead_ms = v),
        ("provenance.prefill_error_p95", |s, v| s.provenance.prefill_error_p95 = v),
    ];
    for (name, set) in fields {
        for bad in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2e9] {
            let mut spec = spec();
            set(&mut spec, bad);
            let Err(error) = CostProfile::try_from(spec) else { panic!("{name} = {bad} passed") };
            let ModelError::Invalid { part, field, value, .. } = error else { panic!("{error}") };
            assert_eq!((part.as_str(), field.as_str()), ("profile `test`", name));
            assert_eq!(value, bad.to_string());
        }
    }
}

#[test]
fn contradictions_are_refused() {
    let wrong: [(&str, ProfileSpec); 7] = [
        ("more tokens", ProfileSpec { prefill_floor: vec![(4, 1.0), (4, 2.0)], ..spec() }),
        ("no less time", ProfileSpec { prefill_floor: vec![(4, 2.0), (5, 1.0)], ..spec() }),
        ("2^32", ProfileSpec { prefill_floor: vec![(0, 1.0)], ..spec() }),
        ("kv_bytes_per_token", ProfileSpec { kv_bytes_per_token: 0, ..spec() }),
        ("kv_pool_tokens", ProfileSpec { kv_pool_tokens: 0, ..spec() }),
        (
            "nanosecond",
            ProfileSpec {
                prefill_base_ms: 0.0,
                prefill_ms_per_token: 0.0,
                prefill_floor: vec![],
                ..spec()
            },
        ),
        (
            "nanosecond",
            ProfileSpec {
                decode_base_ms: Some(0.0),
                decode_ms_per_sequence: 0.0,
                decode_floor_ms: 0.0,
                ..spec()
            },
        ),
    ];
    for (says, spec) in wrong {
        let error = CostProfile::try_from(spec).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_spec_with_an_unknown_key_is_refused() {
    let text = toml::to_string(&spec()).unwrap();
    assert_eq!(toml::from_str::<ProfileSpec>(&text).unwrap(), spec());
    assert!(toml::from_str::<ProfileSpec>(&format!("prefil_floor = []\n{text}")).is_err());
}

/// 0 cached: 40, 60, 110 ms at 10, 20, 40 tokens; 100 cached: 45, 70 at 10, 40. Decode rows of 2 and 4 sequences.
fn tables() -> ProfileSpec {
    ProfileSpec {
        prefill_floor: vec![],
        decode_floor_ms: 0.0,
        prefill_table: vec![
            (0, vec![(10, 40.0), (20, 60.0), (40, 110.0)]),
            (100, vec![(10, 45.0), (40, 120.0)]),
        ],
        decode_table: vec![
            (2, vec![(10, 4.0), (20, 6.0), (40, 7.0)]),
            (4, vec![(10, 8.0), (20, 8.0)]),
        ],
        ..spec()
    }
}

#[test]
fn a_lone_pass_at_a_knot_is_what_was_measured() {
    let profile = CostProfile::try_from(tables()).unwrap();
    for (n, p, ms) in
        [(10, 0, 40.0), (20, 0, 60.0), (40, 0, 110.0), (10, 100, 45.0), (40, 100, 120.0)]
    {
        assert_eq!(profile.prefill(&[item(n, p)]), fs(ms), "{n} after {p}");
    }
    assert_eq!(profile.prefill(&[item(1, 0)]), fs(40.0), "none is shorter than the shortest");
    // Fit at 30: 10 + 30 + 0.45; the table is 30 - 0.2 and 110 - 50.8 above it at 20 and 40, so 44.5 at 30.
    let between = profile.prefill(&[item(30, 0)]);
    let expected = 40.45 + ((60.0 - 30.2) + (110.0 - 50.8)) / 2.0;
    assert!((between.as_ms() - expected).abs() < 1e-9, "{between:?}");
}

/// No fit to speak of, so that what is above it is the time: (n, p) in ms.
fn bare(prefill_table: Vec<TableRow>) -> CostProfile {
    let none = ProfileSpec {
        prefill_base_ms: 0.0,
        prefill_ms_per_token: 0.0,
        prefill_ms_per_token_squared: 0.0,
        ..tables()
    };
    CostProfile::try_from(ProfileSpec { prefill_table, ..none }).unwrap()
}

#[test]
fn a_hole_is_filled_from_the_rows_around_it() {
    // A step between 10 and 20 tokens that the middle row lacks, and that a line along its own points would miss.
    let profile = bare(vec![
        (0, vec![(10, 10.0), (20, 30.0), (40, 32.0)]),
        (100, vec![(10, 11.0), (40, 34.0)]),
        (300, vec![(10, 13.0), (20, 36.0), (40, 38.0)]),
    ]);
    assert_eq!(profile.prefill(&[item(20, 100)]), fs(32.0), "a third of the way from 30 to 36");
    assert_eq!(profile.prefill(&[item(20, 200)]), fs(34.0));
}

#[test]
fn beyond_the_rows_that_have_a_point_the_nearest_tells_it() {
    let profile = bare(vec![
        (0, vec![(10, 10.0), (20, 30.0), (40, 32.0), (80, 60.0)]),
        (100, vec![(10, 12.0), (40, 38.0)]),
    ]);
    // 2 ms more at 10 tokens and 6 at 40: 2 + 4 / 3 at 20, and still 6 at 80.
    let above =
        |n| profile.prefill(&[item(n, 100)]).as_ms() - profile.prefill(&[item(n, 0)]).as_ms();
    assert!((above(20) - (2.0 + 4.0 / 3.0)).abs() < 1e-9, "{}", above(20));
    assert!((above(80) - 6.0).abs() < 1e-9, "{}", above(80));
    // Rows without a point in common keep to their own.
    let apart = bare(vec![(0, vec![(10, 10.0), (30, 20.0)]), (100, vec![(20, 50.0), (40, 70.0)])]);
    assert_eq!(apart.prefill(&[item(20, 0)]), fs(15.0));
    assert_eq!(apart.prefill(&[item(30, 100)]), fs(60.0));
    assert_eq!(apart.prefill(&[item(10, 100)]), fs(50.0));
}

#[test]
fn beyond_the_end_of_a_row_is_out_of_range() {
    let wide = ProfileSpec { range: ProfileRange::UNLIMITED, ..tables() };
    let profile = CostProfile::try_from(ProfileSpec {
        prefill_table: vec![
            (0, vec![(10, 40.0), (80, 60.0)]),
            (100, vec![(10, 45.0), (40, 120.0)]),
        ],
        decode_table: vec![(2, vec![(10, 4.0), (40, 7.0)]), (4, vec![(10, 8.0), (20, 8.0)])],
        ..wide
    })
    .unwrap();
    let pass = |n, p| profile.prefill_in_range(&[item(n, p)]);
    assert_eq!(
        [pass(80, 0), pass(81, 0), pass(40, 100), pass(41, 100)],
        [true, false, true, false]
    );
    assert_eq!([pass(40, 1), pass(41, 1), pass(1, 101)], [true, false, false], "between the rows");
    assert!(!profile.prefill_in_range(&[item(41, 0), item(40, 0)]), "81 in all");
    let step = |batch: u32, mean: u64| profile.decode_in_range(batch, u64::from(batch) * mean);
    assert_eq!([step(2, 40), step(2, 41), step(4, 20), step(4, 21)], [true, false, true, false]);
    assert_eq!([step(3, 20), step(3, 21), step(1, 10), step(5, 10)], [true, false, false, false]);
}

#[test]
fn slopes_of_decode_alone_are_refused() {
    let without = |per_sequence, per_token| ProfileSpec {
        decode_base_ms: None,
        decode_floor_ms: 0.0,
        decode_ms_per_sequence: per_sequence,
        decode_ms_per_context_token: per_token,
        ..spec()
    };
    for (per_sequence, per_token) in [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
        let error =
            CostProfile::try_from(without(per_sequence, per_token)).unwrap_err().to_string();
        assert!(error.contains("decode_base_ms") && error.contains("to begin with"), "{error}");
    }
    // Said, or something else is the least that a step takes.
    let said = ProfileSpec { decode_base_ms: Some(0.0), ..without(1.0, 0.0) };
    assert_eq!(CostProfile::try_from(said).unwrap().decode_step(3, 9), fs(3.0));
    assert!(
        CostProfile::try_from(ProfileSpec { decode_floor_ms: 1.0, ..without(1.0, 0.0) }).is_ok()
    );
    assert!(CostProfile::try_from(ProfileSpec { decode_base_ms: None, ..tables() }).is_ok());
}

#[test]
fn in_a_batch_the_table_counts_once() {
    let profile = CostProfile::try_from(tables()).unwrap();
    // Fit of both: 10 + 20 + 0.0005 * (10 * 210 + 10 * 10) = 31.1; above it at 20 tokens: 60 - 30.2; the prefix at 10
    // tokens after 100: (45 - 21.05) - (40 - 20.05).
    let both = profile.prefill(&[item(10, 100), item(10, 0)]).as_ms();
    let expected = 31.1 + (60.0 - 30.2) + ((45.0 - 21.05) - (40.0 - 20.05));
    assert!((both - expected).abs() < 1e-9, "{both}, expected {expected}");
}

#[test]
fn decode_is_linear_between_knots_and_rows() {
    let profile = CostProfile::try_from(tables()).unwrap();
    let step = |batch: u32, mean: u64| profile.decode_step(batch, u64::from(batch) * mean).as_ms();
    assert_eq!([step(2, 10), step(2, 20), step(2, 40)], [4.0, 6.0, 7.0]);
    assert_eq!([step(2, 0), step(1, 15), step(2, 15)], [4.0, 5.0, 5.0]);
    assert_eq!([step(3, 10), step(3, 20), step(4, 20)], [6.0, 7.0, 8.0]);
    // After its last knot a row goes on by its last slope, or by the fit's where that is flat.
    assert_eq!([step(2, 60), step(4, 30)], [8.0, 8.0 + 0.01 * 40.0]);
    // Two sequences more than the last row has: the fit's b and c for each.
    assert!((step(6, 20) - (8.0 + 2.0 * (0.5 + 0.01 * 20.0))).abs() < 1e-9);
    assert_eq!(profile.decode_segment(2, 25).steps, 8, "mean 12.5 to the knot at 20");
}

#[test]
fn contradictions_in_tables_are_refused() {
    let decode = |table| ProfileSpec { decode_table: table, ..tables() };
    let prefill = |table| ProfileSpec { prefill_table: table, ..tables() };
    let wrong = [
        ("beside decode_table", ProfileSpec { decode_floor_ms: 1.0, ..tables() }),
        ("beside prefill_table", ProfileSpec { prefill_floor: vec![(1, 1.0)], ..tables() }),
        ("does not fall", decode(vec![(1, vec![(1, 2.0), (2, 1.0)])])),
        ("at least 1 sequence", decode(vec![(0, vec![(1, 2.0)])])),
        ("nanosecond", decode(vec![(1, vec![(1, 0.0)])])),
        ("at most 4096", decode(vec![(5_000, vec![(1, 1.0)])])),
        ("more than the row before", decode(vec![(2, vec![(1, 1.0)]), (2, vec![(1, 1.0)])])),
        ("more tokens", decode(vec![(1, vec![(2, 1.0), (2, 1.0)])])),
        ("1 to 256 points", decode(vec![(1, vec![])])),
        ("0 cached tokens first", prefill(vec![(5, vec![(1, 1.0)])])),
        ("above 0", prefill(vec![(0, vec![(1, 0.0)])])),
        ("2^24", prefill(vec![(0, vec![(1 << 40, 1.0)])])),
        ("zero or more", prefill(vec![(0, vec![(1, -1.0)])])),
        (
            "at most 2^20",
            decode(vec![(1, vec![(999, 1.0)]), (4_096, (0..256).map(|c| (c, 1.0)).collect())]),
        ),
        (
            "at most 2^20",
            prefill((0..80).map(|p| (p, (1..=200).map(|n| (80 * n + p, 1.0)).collect())).collect()),
        ),
        ("beside prefill_ms_per_token", ProfileSpec { ms_per_token: Some(1.0), ..tables() }),
    ];
    for (says, spec) in wrong {
        let error = CostProfile::try_from(spec).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn one_number_is_a_profile() {
    let spec: ProfileSpec = toml::from_str("name = \"gorgo-v1\"\nms_per_token = 0.094").unwrap();
    let profile = CostProfile::try_from(spec).unwrap();
    assert_eq!(profile.prefill(&[item(1_000, 500)]), fs(94.0));
    assert_eq!(profile.decode_step(3, 10_000), fs(0.282));
}

proptest! {
    /// A segment says of every step it covers what the step itself costs; the next segment starts where it ends.
    #[test]
    fn segments_are_their_steps(
        sequences in 1_u32..300,
        context in 0_u64..2_000,
        floor in 0.0_f64..40.0,
        slope in 0.0_f64..0.02,
    ) {
        let spec = ProfileSpec {
            decode_floor_ms: floor,
            decode_ms_per_context_token: slope,
            ..spec()
        };
        let profile = CostProfile::try_from(spec).unwrap();
        let mut at = context;
        let mut left = 200_u64;
        while left > 0 {
            let segment = profile.decode_segment(sequences, at);
            prop_assert!(segment.steps >= 1);
            let steps = segment.steps.min(left);
            for k in 0..steps {
                let expected = profile.decode_step(sequences, at + k * u64::from(sequences));
                prop_assert_eq!(segment.first + segment.increment * k, expected);
            }
            at += steps * u64::from(sequences);
            left -= steps;
        }
    }

    /// The same of tables, whatever stands in them.
    #[test]
    fn segments_of_tables_are_their_steps(
        sequences in 1_u32..40,
        context in 0_u64..3_000,
        times in proptest::collection::vec(0.001_f64..9.0, 12),
    ) {
        let mut rows: Vec<TableRow> = Vec::new();
        for (index, batch) in [1_u64, 3, 17].into_iter().enumerate() {
            let mut ms = 0.0;
            let point = |(at, more): (usize, &f64)| {
                ms += more;
                (at as u64 * 37 + 5 * batch, ms)
            };
            rows.push((batch, times[index * 4..][..4].iter().enumerate().map(point).collect()));
        }
        let profile = CostProfile::try_from(ProfileSpec { decode_table: rows, ..tables() }).unwrap();
        let (mut at, mut left) = (context, 200_u64);
        while left > 0 {
            let segment = profile.decode_segment(sequences, at);
            prop_assert!(segment.steps >= 1);
            let steps = segment.steps.min(left);
            for k in 0..steps {
                let expected = profile.decode_step(sequences, at + k * u64::from(sequences));
                prop_assert_eq!(segment.first + segment.increment * k, expected);
            }
            at += steps * u64::from(sequences);
            left -= steps;
        }
    }

    /// More tokens, cached or new, never take less time.
    #[test]
    fn prefill_never_falls(n in 1_u32..200, p in 0_u32..5_000, other in 1_u32..50) {
        let profile = profile();
        let time = |n, p| profile.prefill(&[item(n, p), item(other, 7)]);
        prop_assert!(time(n + 1, p) >= time(n, p));
        prop_assert!(time(n, p + 1) >= time(n, p));
    }
}
