//! The settings that no other one beats in everything.

use crate::goal::Score;
use gorgo_stats::is_undominated;

/// Indices of the scores that no other dominates, by rising first objective; of equal ones the first. Where none keeps the
/// bounds there is no front.
#[must_use]
pub fn front(scores: &[Score]) -> Vec<usize> {
    let is_candidate =
        |score: &Score| score.is_feasible() && score.costs.iter().all(|cost| cost.is_finite());
    let kept: Vec<usize> = (0..scores.len()).filter(|&at| is_candidate(&scores[at])).collect();
    let costs: Vec<Vec<f64>> = kept.iter().map(|&at| scores[at].costs.clone()).collect();
    let is_first = |place: usize| !costs[..place].contains(&costs[place]);
    let undominated = is_undominated(&costs);
    let mut front: Vec<usize> = (0..kept.len())
        .filter(|&place| undominated[place] && is_first(place))
        .map(|place| kept[place])
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
