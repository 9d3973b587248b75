//! `origins.csv`: how far the origins of requests are from their router, and how that is known.

use crate::bytes::csv_field;
use gorgo_metrics::OriginLeg;
use std::io::Write;

/// The columns, in order.
pub const ORIGIN_COLUMNS: [&str; 3] = ["origin", "rtt_p50_ms", "how"];

/// Writes the header and a row for each origin.
///
/// # Errors
/// When the writer fails.
pub fn write_origins(out: &mut impl Write, legs: &[OriginLeg]) -> std::io::Result<()> {
    let mut text = ORIGIN_COLUMNS.join(",").into_bytes();
    text.push(b'\n');
    for leg in legs {
        text.extend_from_slice(&csv_field(&leg.origin));
        write!(text, ",{:.6},", leg.rtt_p50_ms)?;
        text.extend_from_slice(&csv_field(&leg.how));
        text.push(b'\n');
    }
    out.write_all(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_are_quoted() {
        let leg = OriginLeg { origin: "1, 2".into(), rtt_p50_ms: 20.5, how: "matrix".into() };
        let mut text = Vec::new();
        write_origins(&mut text, &[leg]).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "origin,rtt_p50_ms,how\n\"1, 2\",20.500000,matrix\n"
        );
    }
}
