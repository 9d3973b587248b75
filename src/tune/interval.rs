//! The mean of a few independent numbers, and how sure it is: Student's t.

/// The mean; infinite where a value is, and none for no value.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The interval that holds the mean of what the values were drawn from with this confidence (above 0, below 1): Student's,
/// so it takes the values as independent and their mean as normal. None for fewer than two values, or where one is not
/// finite.
#[must_use]
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<[f64; 2]> {
    let n = values.len();
    let centre = mean(values).filter(|mean| n >= 2 && mean.is_finite())?;
    let squares: f64 = values.iter().map(|value| (value - centre) * (value - centre)).sum();
    let error = libm::sqrt(squares / (n as f64 - 1.0) / n as f64);
    let half = student_quantile(f64::midpoint(1.0, confidence), n - 1) * error;
    Some([centre - half, centre + half])
}

/// The quantile of Student's t, for a probability from 0.5 to below 1 and 1 degree of freedom or more.
#[must_use]
pub fn student_quantile(probability: f64, freedom: usize) -> f64 {
    let freedom = freedom.max(1);
    let (mut low, mut high) = (0.0, 1.0);
    while student(high, freedom) < probability && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if student(middle, freedom) < probability { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The distribution function of Student's t at t >= 0, by its finite series (Abramowitz and Stegun, 26.7.3 and 26.7.4).
fn student(t: f64, freedom: usize) -> f64 {
    let n = freedom as f64;
    let theta = libm::atan(t / libm::sqrt(n));
    let (sin, cos) = (libm::sin(theta), libm::cos(theta));
    let is_odd = freedom % 2 == 1;
    // The terms begin at cos (odd) or 1 (even); each is the last times cos² and a ratio of neighbouring numbers.
    let (mut term, mut sum) = if is_odd { (cos, cos) } else { (1.0, 1.0) };
    let mut k = if is_odd { 3 } else { 2 };
    while k < freedom {
        term *= cos * cos * (k as f64 - 1.0) / k as f64;
        sum += term;
        k += 2;
    }
    let between = match (is_odd, freedom) {
        (true, 1) => 2.0 * theta / std::f64::consts::PI,
        (true, _) => 2.0 / std::f64::consts::PI * (theta + sin * sum),
        (false, _) => sin * sum,
    };
    f64::midpoint(1.0, between)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of printed tables (NIST handbook, 1.3.6.7.2).
    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, freedom, wanted) in [
            (0.975, 1, 12.706),
            (0.975, 2, 4.303),
            (0.975, 3, 3.182),
            (0.975, 4, 2.776),
            (0.975, 9, 2.262),
            (0.975, 19, 2.093),
            (0.95, 7, 1.895),
            (0.99, 30, 2.457),
            (0.975, 100, 1.984),
        ] {
            let got = student_quantile(p, freedom);
            assert!((got - wanted).abs() < 6e-4, "{p} {freedom}: {got}");
        }
    }

    #[test]
    fn intervals_need_two_finite_values() {
        assert_eq!(mean_interval(&[1.0], 0.95), None);
        assert_eq!(mean_interval(&[1.0, f64::INFINITY], 0.95), None);
        let [low, high] = mean_interval(&[1.0, 2.0, 3.0], 0.95).expect("three values");
        assert!(
            (low - (2.0 - 4.3027 / 3.0_f64.sqrt())).abs() < 1e-3
                && (high + low - 4.0).abs() < 1e-12
        );
        assert_eq!(mean_interval(&[5.0, 5.0], 0.95), Some([5.0, 5.0]));
    }
}
