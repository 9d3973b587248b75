//! CMA-ES: a normal distribution over the unit cube whose mean, step and full covariance follow the better half of what
//! was tried.
//!
//! The algorithm and every constant are those of N. Hansen, *The CMA Evolution Strategy: A Tutorial* (arXiv 1604.00772,
//! 2016), with positive weights only. It sees nothing but the order of the candidates, so feasibility and noise are the
//! judge's. **Bounds** are mirrors: what is drawn outside the cube is reflected into it before it is tried, while the
//! distribution learns from where it was drawn. So nothing piles up at an edge, and an optimum on an edge is reached from
//! both sides of the mirror. When the distribution has shrunk below what is told apart, it starts again elsewhere with
//! twice the candidates (Auger and Hansen's IPOP, 2005).
//!
//! Deliberately not here: budgets, seeds, constraints. Read `search.rs` next.

use crate::eigen::symmetric;
use crate::normal::{normals, uniforms};

/// The first step, in edges of the cube: Hansen advises about a third, where the optimum is expected within the cube.
const FIRST_SIGMA: f64 = 0.3;
/// The largest step: beyond it mirrored draws are uniform, and a larger one changes nothing.
const LARGEST_SIGMA: f64 = 1.0;

/// A search by CMA-ES in the unit cube.
#[derive(Clone, Debug)]
pub struct Cma {
    seed: u64,
    /// Below this deviation along every axis it starts anew.
    smallest: f64,
    generation: u64,
    restarts: u64,
    state: State,
}

/// The distribution, and what it is learned by.
#[derive(Clone, Debug)]
struct State {
    mean: Vec<f64>,
    sigma: f64,
    covariance: Vec<Vec<f64>>,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    /// Square roots of the eigenvalues of the covariance, and its eigenvectors.
    deviations: Vec<f64>,
    axes: Vec<Vec<f64>>,
    lambda: usize,
    weights: Vec<f64>,
    age: u64,
    /// What was drawn last, before the mirrors.
    drawn: Vec<Vec<f64>>,
}

impl Cma {
    /// A search over `dimensions` axes (1 or more) from the middle of the cube. `smallest` is the deviation, in edges of
    /// the cube, below which settings are no longer told apart; 0 never starts again.
    #[must_use]
    pub fn new(dimensions: usize, seed: u64, smallest: f64) -> Self {
        let state = State::new(vec![0.5; dimensions], default_lambda(dimensions));
        Self { seed, smallest, generation: 0, restarts: 0, state }
    }

    /// How many candidates the next generation has.
    #[must_use]
    pub const fn lambda(&self) -> usize {
        self.state.lambda
    }

    /// The step, in edges of the cube.
    #[must_use]
    pub const fn sigma(&self) -> f64 {
        self.state.sigma
    }

    /// How often it has started again.
    #[must_use]
    pub const fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The next generation's points, inside the cube.
    pub fn ask(&mut self) -> Vec<Vec<f64>> {
        let state = &mut self.state;
        let n = state.mean.len();
        let z = normals(self.seed, self.generation, n * state.lambda);
        state.drawn = z.chunks(n).map(|z| state.at(z)).collect();
        self.generation += 1;
        state.drawn.iter().map(|x| x.iter().map(|&x| mirrored(x)).collect()).collect()
    }

    /// Tells the order of the generation that was asked for last: indices, the best first. Indices that are not of it are
    /// passed over, and so is a second telling.
    pub fn tell(&mut self, order: &[usize]) {
        let drawn = std::mem::take(&mut self.state.drawn);
        let best: Vec<&Vec<f64>> = order.iter().filter_map(|&index| drawn.get(index)).collect();
        if best.len() < self.state.weights.len() {
            return;
        }
        self.state.learn(&best);
        let widest = self.state.deviations.iter().fold(0.0, |a: f64, &b| a.max(b));
        if self.state.sigma * widest < self.smallest || !widest.is_finite() {
            self.restarts += 1;
            let n = self.state.mean.len();
            let lambda = (2 * self.state.lambda).min(1_024);
            self.state = State::new(uniforms(self.seed, self.restarts, n), lambda);
        }
    }
}

/// Hansen's number of candidates: 4 + 3 ln n.
fn default_lambda(dimensions: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
    let more = (3.0 * libm::log(dimensions as f64)) as usize;
    4 + more
}

/// Folds the line onto 0 to 1, as mirrors at both ends would.
fn mirrored(x: f64) -> f64 {
    let folded = (x / 2.0 - libm::floor(x / 2.0)) * 2.0;
    if folded > 1.0 { 2.0 - folded } else { folded }
}

impl State {
    fn new(mean: Vec<f64>, lambda: usize) -> Self {
        let n = mean.len();
        let mu = lambda / 2;
        let half = libm::log((lambda as f64 + 1.0) / 2.0);
        let raw: Vec<f64> = (1..=mu).map(|rank| half - libm::log(rank as f64)).collect();
        let sum: f64 = raw.iter().sum();
        let unit = |row: usize| (0..n).map(|column| f64::from(u8::from(row == column))).collect();
        Self {
            mean,
            sigma: FIRST_SIGMA,
            covariance: (0..n).map(unit).collect(),
            path_sigma: vec![0.0; n],
            path_c: vec![0.0; n],
            deviations: vec![1.0; n],
            axes: (0..n).map(unit).collect(),
            lambda,
            weights: raw.iter().map(|weight| weight / sum).collect(),
            age: 0,
            drawn: Vec::new(),
        }
    }

    /// The mean, and a step of the distribution from it.
    fn at(&self, z: &[f64]) -> Vec<f64> {
        let step = |row: usize| -> f64 {
            (0..z.len()).map(|k| self.axes[row][k] * self.deviations[k] * z[k]).sum()
        };
        (0..z.len()).map(|row| self.mean[row] + self.sigma * step(row)).collect()
    }

    /// One generation: equations 39 to 47 of the tutorial, with its names in the comments.
    fn learn(&mut self, best: &[&Vec<f64>]) {
        let n = self.mean.len();
        let nf = n as f64;
        let mueff = 1.0 / self.weights.iter().map(|weight| weight * weight).sum::<f64>();
        let cs = (mueff + 2.0) / (nf + mueff + 5.0);
        let cc = (4.0 + mueff / nf) / (nf + 4.0 + 2.0 * mueff / nf);
        let c1 = 2.0 / ((nf + 1.3) * (nf + 1.3) + mueff);
        let cmu = 2.0 * (mueff - 2.0 + 1.0 / mueff) / ((nf + 2.0) * (nf + 2.0) + mueff);
        let cmu = cmu.min(1.0 - c1);
        let damping = 1.0 + cs + 2.0 * (libm::sqrt((mueff - 1.0) / (nf + 1.0)) - 1.0).max(0.0);
        // The expected length of a standard normal vector.
        let chi = libm::sqrt(nf) * (1.0 - 1.0 / (4.0 * nf) + 1.0 / (21.0 * nf * nf));
        // y of every candidate, and its weighted mean <y>_w.
        let y: Vec<Vec<f64>> = best[..self.weights.len()]
            .iter()
            .map(|x| x.iter().zip(&self.mean).map(|(x, mean)| (x - mean) / self.sigma).collect())
            .collect();
        let yw: Vec<f64> =
            (0..n).map(|i| y.iter().zip(&self.weights).map(|(y, w)| w * y[i]).sum()).collect();
        for (mean, step) in self.mean.iter_mut().zip(&yw) {
            *mean += self.sigma * step;
        }
        // C^(-1/2) <y>_w, by way of the axes.
        let along: Vec<f64> = (0..n)
            .map(|k| (0..n).map(|i| self.axes[i][k] * yw[i]).sum::<f64>() / self.deviations[k])
            .collect();
        let keep = libm::sqrt(cs * (2.0 - cs) * mueff);
        for i in 0..n {
            let white: f64 = (0..n).map(|k| self.axes[i][k] * along[k]).sum();
            self.path_sigma[i] = (1.0 - cs) * self.path_sigma[i] + keep * white;
        }
        let length = libm::sqrt(self.path_sigma.iter().map(|p| p * p).sum());
        self.age += 1;
        let settled = 1.0 - libm::pow(1.0 - cs, 2.0 * self.age as f64);
        let hs = f64::from(u8::from(length / libm::sqrt(settled) < (1.4 + 2.0 / (nf + 1.0)) * chi));
        let keep = libm::sqrt(cc * (2.0 - cc) * mueff);
        for (path, step) in self.path_c.iter_mut().zip(&yw) {
            *path = (1.0 - cc) * *path + hs * keep * step;
        }
        let old = 1.0 - c1 - cmu + (1.0 - hs) * c1 * cc * (2.0 - cc);
        for i in 0..n {
            for j in 0..n {
                let rank_mu: f64 = y.iter().zip(&self.weights).map(|(y, w)| w * y[i] * y[j]).sum();
                let rank_one = self.path_c[i] * self.path_c[j];
                self.covariance[i][j] = old * self.covariance[i][j] + c1 * rank_one + cmu * rank_mu;
            }
        }
        self.sigma *= libm::exp((cs / damping) * (length / chi - 1.0));
        self.sigma = self.sigma.min(LARGEST_SIGMA);
        let (values, axes) = symmetric(&self.covariance);
        self.deviations = values.iter().map(|value| libm::sqrt(value.max(1e-30))).collect();
        self.axes = axes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_fold_the_line_and_leave_the_inside_alone() {
        for (x, wanted) in
            [(0.3, 0.3), (0.0, 0.0), (1.0, 1.0), (-0.2, 0.2), (1.25, 0.75), (2.5, 0.5)]
        {
            assert!((mirrored(x) - wanted).abs() < 1e-12, "{x}: {}", mirrored(x));
        }
        assert!((mirrored(-7.9) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn a_generation_lies_inside_and_is_the_same_for_the_same_seed() {
        let mut a = Cma::new(3, 5, 0.0);
        let mut b = Cma::new(3, 5, 0.0);
        for _ in 0..10 {
            let points = a.ask();
            assert_eq!(points, b.ask());
            assert_eq!(points.len(), 7);
            assert!(points.iter().flatten().all(|x| (0.0..=1.0).contains(x)));
            let order: Vec<usize> = (0..points.len()).rev().collect();
            a.tell(&order);
            b.tell(&order);
        }
        assert_ne!(Cma::new(3, 6, 0.0).ask(), Cma::new(3, 5, 0.0).ask());
    }

    #[test]
    fn an_order_that_names_nobody_changes_nothing() {
        let mut cma = Cma::new(2, 1, 0.0);
        cma.tell(&[0, 1, 2]);
        let _ = cma.ask();
        cma.tell(&[100, 200, 300]);
        assert!((cma.sigma() - FIRST_SIGMA).abs() < 1e-15);
    }
}
