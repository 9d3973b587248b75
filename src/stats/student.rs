//! Student's t distribution: how far a mean of few samples may lie from the truth.

/// The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (Press et al., *Numerical Recipes*,
/// 3rd edition, 6.4). It takes the half where the fraction converges fast.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let log_front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
        + a * libm::log(x)
        + b * libm::log1p(-x);
    let front = libm::exp(log_front);
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, 1.0 - x) / b
    }
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for step in 1..=300 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        let factor = d * c;
        h *= factor;
        if (factor - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

/// The probability that Student's t with these degrees of freedom (positive, not necessarily whole) is above `t`.
#[must_use]
pub fn t_above(t: f64, freedom: f64) -> f64 {
    let tail = 0.5 * incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t));
    if t >= 0.0 { tail } else { 1.0 - tail }
}

/// The `t` that Student's t stays below with probability `share`, in (0, 1).
#[must_use]
pub fn t_quantile(share: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (-1.0, 1.0);
    while t_above(high, freedom) > 1.0 - share && high < 1e12 {
        high *= 2.0;
    }
    while t_above(low, freedom) < 1.0 - share && low > -1e12 {
        low *= 2.0;
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if t_above(middle, freedom) > 1.0 - share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of printed tables of Student's t (for example NIST/SEMATECH e-Handbook, 1.3.6.7.2).
    #[test]
    fn the_quantiles_are_those_of_printed_tables() {
        for (share, freedom, wanted) in [
            (0.975, 1.0, 12.706),
            (0.975, 4.0, 2.776),
            (0.975, 19.0, 2.093),
            (0.975, 100.0, 1.984),
            (0.95, 9.0, 1.833),
            (0.995, 9.0, 3.250),
            (0.975, 1e6, 1.960),
        ] {
            let got = t_quantile(share, freedom);
            assert!((got - wanted).abs() < 6e-4, "{share} {freedom}: {got}, wanted {wanted}");
            assert!((t_quantile(1.0 - share, freedom) + got).abs() < 1e-9);
            assert!((t_above(got, freedom) - (1.0 - share)).abs() < 1e-9);
        }
        assert!((t_above(0.0, 3.0) - 0.5).abs() < 1e-12);
        assert!((t_above(f64::INFINITY, 3.0)).abs() < 1e-12);
    }
}
