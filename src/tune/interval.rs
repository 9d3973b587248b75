//! The mean of a few independent numbers, and how sure it is: `gorgo-stats`' Student's t.

/// The mean; infinite where a value is, and none for no value.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The interval that holds the mean of what the values were drawn from with this confidence (above 0, below 1). None for
/// fewer than two values, or where one is not finite.
#[must_use]
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<[f64; 2]> {
    gorgo_stats::level(values).map(|estimate| estimate.interval(confidence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_need_two_finite_values() {
        assert_eq!(mean_interval(&[1.0], 0.95), None);
        assert_eq!(mean_interval(&[1.0, f64::INFINITY], 0.95), None);
        let [low, high] = mean_interval(&[1.0, 2.0, 3.0], 0.95).expect("three values");
        // 4.3027 is the quantile of printed tables for 2 degrees of freedom.
        assert!((low - (2.0 - 4.3027 / 3.0_f64.sqrt())).abs() < 1e-3, "{low}");
        assert!((high + low - 4.0).abs() < 1e-9);
        assert_eq!(mean_interval(&[5.0, 5.0], 0.95), Some([5.0, 5.0]));
    }
}
