//! A distribution of lengths as a table: which share of the texts has at most so many tokens.

use crate::WorkloadError;
use crate::error::{in_range, whole_in_range};

/// Points (tokens, share of texts that have at most so many), both rising, the last share 1. Between two points the
/// logarithm of the length is even: tails fall off within a stretch as they do from stretch to stretch. Lengths are
/// rounded up, so that a stretch of one token is that length; 0 tokens count as 1.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenShares(pub Vec<(u32, f64)>);

impl TokenShares {
    /// Checks the points.
    ///
    /// # Errors
    /// When there are none, they do not rise, or the last share is not 1.
    pub fn validate(&self, field: &'static str) -> Result<(), WorkloadError> {
        let wrong = |got: String, wanted: &str| WorkloadError::Parameter {
            field,
            got,
            wanted: wanted.to_owned(),
        };
        let Some(&(last, share)) = self.0.last() else {
            return Err(wrong("no points".to_owned(), "at least one point"));
        };
        if (share - 1.0).abs() > 1e-9 {
            let wanted = "1: all texts have at most so many tokens";
            return Err(wrong(format!("a share of {share} at {last} tokens"), wanted));
        }
        for &(tokens, share) in &self.0 {
            whole_in_range(field, u64::from(tokens), 0, 16_000_000, "tokens")?;
            in_range(field, share, 0.0, 1.0, "share")?;
        }
        for two in self.0.windows(2) {
            if two[1].0 <= two[0].0 || two[1].1 < two[0].1 {
                let got = format!("{:?} after {:?}", two[1], two[0]);
                return Err(wrong(got, "tokens and shares that rise"));
            }
        }
        Ok(())
    }

    /// The length at a share, from 0 to 1.
    pub(super) fn at(&self, share: f64) -> u32 {
        let after = self.0.partition_point(|point| point.1 < share).min(self.0.len() - 1);
        let (tokens, upto) = self.0[after];
        let Some(&(before, from)) = after.checked_sub(1).and_then(|index| self.0.get(index)) else {
            return tokens.max(1);
        };
        let into = if upto > from { (share - from) / (upto - from) } else { 1.0 };
        let (low, high) = (f64::from(before), f64::from(tokens));
        let length = if before == 0 { high * into } else { low * libm::pow(high / low, into) };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a length between two of the table"
        )]
        let length = length.ceil() as u32;
        length.clamp(before + 1, tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_one_token_is_that_length_and_a_long_one_is_even_in_its_logarithm() {
        let shares = TokenShares(vec![(0, 0.0), (1, 0.25), (2, 0.5), (10, 0.6), (1000, 1.0)]);
        shares.validate("input_tokens").expect("valid");
        assert_eq!([0.1, 0.25, 0.26, 0.5].map(|share| shares.at(share)), [1, 1, 2, 2]);
        assert_eq!([0.6, 0.8, 1.0].map(|share| shares.at(share)), [10, 100, 1000]);
    }

    #[test]
    fn points_that_make_no_distribution_are_refused() {
        for (points, wanted) in [
            (vec![], "no points"),
            (vec![(5, 0.5)], "a share of 0.5 at 5 tokens"),
            (vec![(5, 0.5), (4, 1.0)], "(4, 1.0) after (5, 0.5)"),
            (vec![(5, 0.5), (6, 0.4), (7, 1.0)], "(6, 0.4) after (5, 0.5)"),
            (vec![(5, -0.5), (7, 1.0)], "got -0.5"),
            (vec![(5, f64::NAN), (7, 1.0)], "NaN"),
            (vec![(5, 0.5), (u32::MAX, 1.0)], "got 4294967295"),
        ] {
            let error = TokenShares(points).validate("input_tokens").expect_err(wanted).to_string();
            assert!(error.contains("input_tokens") && error.contains(wanted), "{error}");
        }
    }
}
