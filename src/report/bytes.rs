//! Numbers as text, straight into a byte buffer: no allocation, no float where a whole number will do.

use gorgo_types::Nanos;

const NANOS_PER_MS: u64 = 1_000_000;

/// Decimal digits of a whole number.
pub(crate) fn push_integer(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Nanoseconds as milliseconds with six decimals: exact.
pub(crate) fn push_ms(out: &mut Vec<u8>, time: Nanos) {
    push_integer(out, time.0 / NANOS_PER_MS);
    let mut rest = (time.0 % NANOS_PER_MS) as u32;
    let mut decimals = *b".000000";
    for digit in decimals[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&decimals);
}

/// As [`push_ms`], nothing for none.
pub(crate) fn push_some_ms(out: &mut Vec<u8>, time: Option<Nanos>) {
    if let Some(time) = time {
        push_ms(out, time);
    }
}

/// Reads what [`push_ms`] writes: digits, and up to six decimals. None for anything else.
pub(crate) fn parse_ms(text: &[u8]) -> Option<Nanos> {
    let (whole, decimals) = match text.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b"0"[..]),
    };
    if decimals.is_empty() || decimals.len() > 6 {
        return None;
    }
    let missing = u32::try_from(6 - decimals.len()).ok()?;
    let ns = parse_integer(decimals)? * 10_u64.pow(missing);
    parse_integer(whole)?.checked_mul(NANOS_PER_MS)?.checked_add(ns).map(Nanos)
}

/// Reads decimal digits and nothing else: no sign, no space, no empty text. None where they overflow.
pub(crate) fn parse_integer(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A CSV field that may need quotes, made once for a name that is written often.
pub(crate) fn csv_field(name: &str) -> Vec<u8> {
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\"")).into_bytes()
    } else {
        name.as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ns: u64) -> String {
        let mut out = Vec::new();
        push_ms(&mut out, Nanos(ns));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn milliseconds_are_exact() {
        assert_eq!(ms(0), "0.000000");
        assert_eq!(ms(1), "0.000001");
        assert_eq!(ms(1_234_567_890), "1234.567890");
        assert_eq!(ms(u64::MAX), "18446744073709.551615");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", ".", "1.", ".5", "-1.0", "+1", " 1", "1e3", "nan", "inf", "1.0000000", "1,5"]
        {
            assert_eq!(parse_ms(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_ms(b"18446744073709.551616"), None, "one past the largest");
        assert_eq!(parse_ms(b"75.5"), Some(Nanos(75_500_000)));
        assert_eq!(parse_ms(b"75"), Some(Nanos(75_000_000)));
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!(csv_field("us-east"), b"us-east");
        assert_eq!(csv_field("Paris, \"FR\""), b"\"Paris, \"\"FR\"\"\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn times_read_back(ns in any::<u64>()) {
            prop_assert_eq!(parse_ms(ms(ns).as_bytes()), Some(Nanos(ns)));
        }

        #[test]
        fn integers_read_back(number in any::<u64>()) {
            let mut out = Vec::new();
            push_integer(&mut out, number);
            prop_assert_eq!(&out, &number.to_string().into_bytes());
            prop_assert_eq!(parse_integer(&out), Some(number));
        }
    }
}
