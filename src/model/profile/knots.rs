//! What the tables of a profile share: rows as they are read, and the search for the knot before a number of tokens.

/// A row: where it stands (cached tokens, or sequences), and its (new tokens or mean context, femtoseconds).
pub(super) type Row = (u64, Vec<(u64, u64)>);

/// Numbers of tokens at which a table has values, rising.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Knots {
    at: Vec<u64>,
    /// For numbers of 0, 1, 2, ... bits how many knots lie below all of them: measurements are spaced by factors, so
    /// that between two of these lie one or two knots.
    below: [u32; u64::BITS as usize + 2],
}

impl Knots {
    /// The points of all rows, and `more` of the caller's.
    pub(super) fn of(rows: &[Row], more: Option<u64>) -> Self {
        let points = rows.iter().flat_map(|(_, points)| points.iter().map(|&(at, _)| at));
        let mut at: Vec<u64> = points.chain(more).collect();
        at.sort_unstable();
        at.dedup();
        let mut below = [0; u64::BITS as usize + 2];
        for (bits, below) in below.iter_mut().enumerate() {
            let fewer = at.partition_point(|&at| (bits_of(at) as usize) < bits);
            *below = u32::try_from(fewer).expect("a table has fewer than 2^32 points");
        }
        Self { at, below }
    }

    pub(super) fn as_slice(&self) -> &[u64] {
        &self.at
    }

    /// How many knots lie at or before `tokens`.
    pub(super) fn up_to(&self, tokens: u64) -> usize {
        let bits = bits_of(tokens) as usize;
        let (low, high) = (self.below[bits] as usize, self.below[bits + 1] as usize);
        low + self.at[low..high].iter().take_while(|&&at| at <= tokens).count()
    }
}

const fn bits_of(tokens: u64) -> u32 {
    u64::BITS - tokens.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_search_is_the_plain_one(
            points in proptest::collection::vec((any::<u64>(), 0..64_u32), 1..60),
            asked in proptest::collection::vec((any::<u64>(), 0..64_u32), 1..60),
        ) {
            let row = points.iter().map(|&(point, shift)| (point >> shift, 1)).collect();
            let knots = Knots::of(&[(0, row)], Some(0));
            let asked = asked.iter().map(|&(tokens, shift)| tokens >> shift);
            for tokens in asked.chain(knots.as_slice().iter().flat_map(|&at| [at, at.saturating_sub(1)])) {
                prop_assert_eq!(knots.up_to(tokens), knots.as_slice().partition_point(|&at| at <= tokens));
            }
        }
    }
}
