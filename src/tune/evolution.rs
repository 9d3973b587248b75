//! The (1+1) evolution strategy of GORGO v2's tuner, offline: the same steps, on an objective that is simulated instead of
//! measured while routing.
//!
//! The strategy itself is `gorgo_routing`'s [`Evolution`], which mutates logarithms. So an axis of the unit cube is given to
//! it as `exp(span * x)`: for a logarithmic domain the span is the logarithm of its width, and a step is the published
//! one; other domains get a span of 2. The parameters are the published ones but for the quirk that accepts what is up to
//! 0.5 % worse: a candidate must be better by as much.

use crate::error::TuneError;
use crate::normal::normals;
use gorgo_routing::tuner::{Bounds, Evolution, EvolutionParameters};

/// The strategy over the unit cube.
#[derive(Clone, Debug)]
pub struct OnePlusOne {
    search: Evolution,
    spans: Vec<f64>,
    seed: u64,
}

impl OnePlusOne {
    /// A search from the middle of the cube. `spans` are the axes' widths in natural logarithms, above 0.
    ///
    /// # Errors
    /// When there are no axes or more than 16, or a span is not above 0 and below 700.
    pub fn new(spans: &[f64], seed: u64) -> Result<Self, TuneError> {
        let bad = |got: String, wanted: &str| TuneError::new("the evolution strategy", got, wanted);
        if let Some(span) = spans.iter().find(|span| !(**span > 0.0 && **span < 700.0)) {
            return Err(bad(format!("a span of {span}"), "more than 0 and less than 700"));
        }
        let bounds: Vec<Bounds> = spans
            .iter()
            .enumerate()
            .map(|(axis, span)| Bounds { name: axis.to_string(), low: 1.0, high: libm::exp(*span) })
            .collect();
        let start: Vec<f64> = spans.iter().map(|span| libm::exp(span * 0.5)).collect();
        let parameters = EvolutionParameters { quirk: false, ..EvolutionParameters::default() };
        let search = Evolution::new(parameters, &bounds, &start)
            .map_err(|error| bad(error.to_string(), "1 to 16 axes"))?;
        Ok(Self { search, spans: spans.to_vec(), seed })
    }

    /// The point that is asked for first.
    #[must_use]
    pub fn start(&self) -> Vec<f64> {
        vec![0.5; self.spans.len()]
    }

    /// The next point; none: the search has ended, because its step has become small.
    pub fn ask(&mut self) -> Option<Vec<f64>> {
        let z = normals(self.seed, self.search.steps(), self.spans.len());
        let mutated = self.search.propose(&z)?;
        let back = |(x, span): (&f64, &f64)| (libm::log(*x) / span).clamp(0.0, 1.0);
        Some(mutated.iter().zip(&self.spans).map(back).collect())
    }

    /// Tells what a point came to: less is better. True where it is now the best.
    pub fn tell(&mut self, point: &[f64], cost: f64) -> bool {
        let there: Vec<f64> =
            point.iter().zip(&self.spans).map(|(x, span)| libm::exp(x * span)).collect();
        self.search.report(&there, -cost)
    }

    /// The step size: the standard deviation of a logarithm.
    #[must_use]
    pub const fn sigma(&self) -> f64 {
        self.search.sigma()
    }
}
