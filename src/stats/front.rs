//! Which of several are beaten by none in everything: a Pareto front.

/// For each point, less being better in every coordinate: whether no other is at least as good in all coordinates and
/// better in one. Equal points stand or fall together; a point with a NaN is neither on the front nor beats another.
#[must_use]
pub fn is_undominated(points: &[Vec<f64>]) -> Vec<bool> {
    let is_number = |point: &[f64]| !point.iter().any(|x| x.is_nan());
    let mut order: Vec<usize> = (0..points.len()).filter(|&at| is_number(&points[at])).collect();
    // In this order nobody is beaten by one who comes later, so those on the front by now are all who can beat the next.
    order.sort_by(|&a, &b| {
        let pairs = points[a].iter().zip(&points[b]);
        // 0 and -0 are equal here, as they are in what beats what.
        pairs.filter_map(|(a, b)| a.partial_cmp(b)).find(|order| order.is_ne()).unwrap_or(a.cmp(&b))
    });
    let mut is_front = vec![false; points.len()];
    let mut front: Vec<usize> = Vec::new();
    for at in order {
        if !front.iter().any(|&other| beats(&points[other], &points[at])) {
            is_front[at] = true;
            front.push(at);
        }
    }
    is_front
}

fn beats(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gorgo_random::{Key, Purpose};

    #[test]
    fn a_front_is_what_nothing_beats() {
        let pairs = [(1.0, 5.0), (2.0, 3.0), (2.0, 4.0), (3.0, 3.0), (4.0, 1.0), (2.0, 3.0)];
        let points: Vec<Vec<f64>> = pairs.iter().map(|&(x, y)| vec![x, y]).collect();
        assert_eq!(is_undominated(&points), [true, true, false, false, true, true]);
        assert!(is_undominated(&[]).is_empty());
        let odd = [vec![f64::NAN, 0.0], vec![1.0, 1.0], vec![0.0, f64::INFINITY]];
        assert_eq!(is_undominated(&odd), [false, true, true]);
        assert_eq!(is_undominated(&[vec![-0.0, 1.0], vec![0.0, 0.0]]), [false, true]);
        // Against the definition, in two and three dimensions.
        for dimensions in [2_u64, 3] {
            let key = Key::new(dimensions).with(Purpose::SweepSetting);
            let draw = |i: u64, x: u64| key.word(i).word(x).draw().below(12) as f64;
            let points: Vec<Vec<f64>> =
                (0..200).map(|i| (0..dimensions).map(|x| draw(i, x)).collect()).collect();
            let is_beaten = |own: &Vec<f64>| points.iter().any(|other| beats(other, own));
            let wanted: Vec<bool> = points.iter().map(|own| !is_beaten(own)).collect();
            assert_eq!(is_undominated(&points), wanted);
        }
    }
}
