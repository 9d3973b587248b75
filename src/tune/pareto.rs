//! The settings that no other one beats in everything.

use crate::goal::Score;

/// Indices of the scores that no other dominates, by rising first objective; of equal ones the first. Where none keeps the
/// bounds there is no front.
#[must_use]
pub fn front(scores: &[Score]) -> Vec<usize> {
    let is_beaten = |index: usize| {
        scores.iter().enumerate().any(|(other, score)| {
            score.dominates(&scores[index]) || (other < index && *score == scores[index])
        })
    };
    let mut front: Vec<usize> = (0..scores.len())
        .filter(|&index| {
            scores[index].is_feasible() && scores[index].costs.iter().all(|c| c.is_finite())
        })
        .filter(|&index| !is_beaten(index))
        .collect();
    let first = |index: usize| scores[index].costs.first().copied().unwrap_or(0.0);
    front.sort_by(|&a, &b| first(a).total_cmp(&first(b)));
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(breach: f64, a: f64, b: f64) -> Score {
        Score { breach, costs: vec![a, b] }
    }

    #[test]
    fn nobody_on_the_front_is_beaten_and_everybody_off_it_is() {
        let scores = [
            score(0.0, 3.0, 1.0),
            score(0.0, 1.0, 3.0),
            score(0.0, 2.0, 2.0),
            score(0.0, 2.0, 2.5),
            score(0.0, 1.0, 3.0),
            score(0.1, 0.0, 0.0),
            score(0.0, f64::INFINITY, 0.0),
        ];
        assert_eq!(front(&scores), [1, 2, 0]);
        assert!(front(&[score(0.1, 1.0, 1.0)]).is_empty());
        assert!(front(&[]).is_empty());
    }
}
