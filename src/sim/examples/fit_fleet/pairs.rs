//! Does a cache hit belong to the prompt or to where it went? Two runs of the same requests tell.
//!
//! A long prompt that is answered sooner than its tokens could be computed has hit. Where any replica would have the
//! prefix, the same prompts hit in both runs; where one of three has it and both policies route at random with regard to
//! it, a third of those that could hit do so in a run, and a ninth in both: hits of both runs are then three times as
//! frequent as if the runs had nothing to do with each other.

use crate::measured::Samples;

/// Prompts that are looked at, tokens.
const FROM_TOKENS: u32 = 9_000;
/// Run-to-run deviations of the three figures' logarithms, an assumption: the second run has 90 such hits.
const DEVIATIONS: [f64; 3] = [0.1, 0.1, 0.15];

/// Shares of the long prompts that hit: in the one run, in the other, and in both over the product of these.
pub fn shares(one: &Samples, other: &Samples) -> [f64; 3] {
    let (mut long, mut hits) = (0.0, [0.0; 3]);
    for (one, other) in one.requests.iter().zip(&other.requests) {
        assert_eq!(one.id, other.id, "both runs have the same requests");
        if one.input_tokens >= FROM_TOKENS {
            let (a, b) = (one.has_hit(), other.has_hit());
            long += 1.0;
            for (hits, hit) in hits.iter_mut().zip([a, b, a && b]) {
                *hits += f64::from(u8::from(hit));
            }
        }
    }
    // Half a hit where there is none keeps logarithms finite.
    let [one, other, both] = hits.map(|hits| f64::max(hits, 0.5) / f64::max(long, 1.0));
    [one, other, both / (one * other)]
}

/// How far simulated shares (by seed) are from measured ones, in squared deviations.
pub fn loss(measured: [f64; 3], simulated: &[[f64; 3]]) -> f64 {
    let figure = |at: usize| {
        let logs = simulated.iter().map(|shares| shares[at].ln()).sum::<f64>();
        ((logs / simulated.len() as f64 - measured[at].ln()) / DEVIATIONS[at]).powi(2)
    };
    (0..3).map(figure).sum::<f64>() / 3.0
}
