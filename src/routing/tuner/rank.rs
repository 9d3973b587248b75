//! Which of two ways of routing is slower in the tail: a paired rank test that noise cannot bribe.
//!
//! Every sample gets the Savage score of its rank among all that are looked at: the expected value of that order statistic of
//! an exponential distribution, less its mean of 1. Scores grow slowly over the fast half and steeply over the slow
//! tail, so the test looks where a high percentile lies, but a single stall of any length weighs no more than the
//! slowest rank does. (It is the log-rank test without censoring; Savage, Annals of Mathematical Statistics 27, 1956.)
//!
//! Samples come in groups, of which one block was routed the one way and the others the other way, in an order that was
//! drawn. A group's difference is the mean score of the one less that of the other; were both ways the same, every
//! difference would be as likely with the other sign. So their sum divided by the root of the sum of their squares has
//! mean 0 and variance 1, whatever the load did from one group to the next, and however much the samples within a block
//! depend on each other. Read [`super::paired`] next.

/// One judged sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranked {
    /// What it cost; infinite where it failed. Never NaN.
    pub cost: f64,
    /// What makes it slow whoever routes it; any finite number.
    pub work: f64,
}

/// How many standard deviations of pure chance the samples above lie above (are faster than) those below, of samples
/// with their group, whether they are above, and their score. Groups are numbered in order. 0 where no group has both.
pub(super) fn advantage(samples: impl IntoIterator<Item = (u64, bool, f64)>) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    let mut add = |[(below, belows), (above, aboves)]: [(f64, u32); 2]| {
        if belows > 0 && aboves > 0 {
            let difference = below / f64::from(belows) - above / f64::from(aboves);
            sum += difference;
            squares += difference * difference;
        }
    };
    let mut group = None;
    let mut sides = [(0.0, 0); 2];
    for (of, is_above, score) in samples {
        if group != Some(of) {
            add(std::mem::take(&mut sides));
            group = Some(of);
        }
        let (sum, count) = &mut sides[usize::from(is_above)];
        *sum += score;
        *count += 1;
    }
    add(sides);
    if squares > 0.0 { sum / libm::sqrt(squares) } else { 0.0 }
}

/// The Savage score of each sample's cost, less what its work explains of it: the regression on the Savage score of the
/// work. A sample's work does not depend on the lot, so this takes away noise and nothing of the difference.
pub(super) fn scores(samples: &[Ranked]) -> Vec<f64> {
    let mut scores = savage_scores(samples, |sample| sample.cost);
    let work = savage_scores(samples, |sample| sample.work);
    // Both have mean 0.
    let shared: f64 = scores.iter().zip(&work).map(|(score, work)| score * work).sum();
    let squares: f64 = work.iter().map(|work| work * work).sum();
    if squares > 0.0 {
        let slope = shared / squares;
        scores.iter_mut().zip(work).for_each(|(score, work)| *score -= slope * work);
    }
    scores
}

/// The Savage score of each sample by one of its values, equal values sharing the mean of theirs.
#[expect(clippy::cast_precision_loss, reason = "a trial has far fewer than 2^53 samples")]
fn savage_scores(samples: &[Ranked], value: impl Fn(&Ranked) -> f64) -> Vec<f64> {
    let value = |i: usize| value(&samples[i]);
    let n = samples.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_unstable_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
    let mut scores = vec![0.0; n];
    let mut expected = 0.0;
    let mut from = 0;
    while from < n {
        let shared_value = value(order[from]);
        let to = from + order[from..].iter().take_while(|&&i| value(i) == shared_value).count();
        let mut shared = 0.0;
        for rank in from..to {
            expected += 1.0 / (n - rank) as f64;
            shared += expected - 1.0;
        }
        order[from..to].iter().for_each(|&i| scores[i] = shared / (to - from) as f64);
        from = to;
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_random::{Key, Purpose};

    fn sample(cost: f64) -> Ranked {
        Ranked { cost, work: 1.0 }
    }

    /// What the test says of costs with their group, and whether they are above.
    fn judged(dealt: &[(u64, bool)], costs: &[f64]) -> f64 {
        let samples: Vec<Ranked> = costs.iter().copied().map(sample).collect();
        let scored = dealt.iter().zip(scores(&samples));
        advantage(scored.map(|(&(group, above), score)| (group, above, score)))
    }

    #[test]
    fn scores_are_savages() {
        let costs = [5.0, 1.0, f64::INFINITY];
        let samples: Vec<Ranked> = costs.iter().copied().map(sample).collect();
        let scores = savage_scores(&samples, |sample| sample.cost);
        let expected = [1.0 / 3.0 + 0.5 - 1.0, 1.0 / 3.0 - 1.0, 1.0 / 3.0 + 0.5 + 1.0 - 1.0];
        for (score, expected) in scores.iter().zip(expected) {
            assert!((score - expected).abs() < 1e-12, "{scores:?}");
        }
        let tied: Vec<Ranked> = [2.0, 2.0, 9.0].map(sample).to_vec();
        let scores = savage_scores(&tied, |sample| sample.cost);
        assert_eq!(scores[0], scores[1]);
        assert!(scores.iter().sum::<f64>().abs() < 1e-12, "they sum to zero");
    }

    /// Costs with a load that doubles halfway and a heavy tail; those above times `factor`.
    fn trial(seed: u64, factor: f64) -> f64 {
        let key = Key::new(seed).with(Purpose::Turn);
        let cost = |i: u64, above: bool| {
            let load = if i < 128 { 1.0 } else { 2.0 };
            let unit = key.word(i).draw().unit();
            load * unit.powf(-0.5) * if above { factor } else { 1.0 }
        };
        let first = |group| key.word(1_000).word(group).draw().below(2);
        let dealt: Vec<(u64, bool)> = (0..256).map(|i| (i / 2, i % 2 == first(i / 2))).collect();
        let costs: Vec<f64> = (0..256).zip(&dealt).map(|(i, dealt)| cost(i, dealt.1)).collect();
        judged(&dealt, &costs)
    }

    #[test]
    fn chance_alone_has_mean_0_and_variance_1_although_the_load_changes() {
        let z: Vec<f64> = (0..2_000).map(|seed| trial(seed, 1.0)).collect();
        let mean = z.iter().sum::<f64>() / 2_000.0;
        let variance = z.iter().map(|z| z * z).sum::<f64>() / 2_000.0;
        assert!(mean.abs() < 0.08 && (0.9..1.1).contains(&variance), "{mean} {variance}");
    }

    #[test]
    fn what_is_faster_is_seen_and_what_is_slower_too() {
        let mean = |factor| (0..200).map(|seed| trial(seed, factor)).sum::<f64>() / 200.0;
        assert!(mean(0.8) > 2.0, "{}", mean(0.8));
        assert!(mean(1.25) < -2.0, "{}", mean(1.25));
    }

    #[test]
    fn nothing_to_compare_is_no_advantage() {
        assert_eq!(judged(&[], &[]), 0.0);
        assert_eq!(judged(&[(0, true), (1, false)], &[1.0, 2.0]), 0.0);
        assert_eq!(judged(&[(0, true), (0, false)], &[1.0, 1.0]), 0.0);
    }
}
