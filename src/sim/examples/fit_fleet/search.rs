//! Minimising without derivatives: CMA-ES (Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772) in the
//! unit cube, with the tutorial's default constants. Steps outside the cube are put on its faces, and charged for.
//!
//! A simulated fleet at its knee is a rough function: neighbouring parameters give queues that differ by per cents. An
//! evolution strategy looks only at the order of its candidates, so that this does little harm.

use gorgo_random::{Draw, Key, Purpose};

/// State of a search over n parameters.
pub struct Search {
    mean: Vec<f64>,
    sigma: f64,
    /// Covariance, and its factors: C = B·diag(d²)·Bᵀ.
    covariance: Vec<Vec<f64>>,
    axes: Vec<Vec<f64>>,
    lengths: Vec<f64>,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    weights: Vec<f64>,
    generation: u64,
    key: Key,
}

/// A candidate: where it was drawn and what it stands for, inside the cube.
#[derive(Clone)]
pub struct Candidate {
    drawn: Vec<f64>,
    pub inside: Vec<f64>,
}

impl Candidate {
    /// What being outside costs, to be added to the loss.
    pub fn penalty(&self) -> f64 {
        let outside = self.drawn.iter().zip(&self.inside).map(|(a, b)| (a - b).powi(2));
        20.0 * outside.sum::<f64>()
    }
}

impl Search {
    /// Starts at a point of the cube with a step of `sigma`.
    pub fn new(start: Vec<f64>, sigma: f64, seed: u64) -> Self {
        let n = start.len();
        let offspring = 4 + (3.0 * (n as f64).ln()) as usize;
        let parents = offspring / 2;
        let raw: Vec<f64> =
            (1..=parents).map(|i| (parents as f64 + 0.5).ln() - (i as f64).ln()).collect();
        let sum: f64 = raw.iter().sum();
        let identity: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        Self {
            mean: start,
            sigma,
            covariance: identity.clone(),
            axes: identity,
            lengths: vec![1.0; n],
            path_sigma: vec![0.0; n],
            path_c: vec![0.0; n],
            weights: raw.iter().map(|w| w / sum).collect(),
            generation: 0,
            key: Key::new(seed).with(Purpose::Decision),
        }
    }

    /// Where it stands.
    pub fn mean(&self) -> Vec<f64> {
        self.mean.iter().map(|x| x.clamp(0.0, 1.0)).collect()
    }

    /// Its step size.
    pub const fn sigma(&self) -> f64 {
        self.sigma
    }

    /// The candidates of the next generation.
    pub fn ask(&self) -> Vec<Candidate> {
        let n = self.mean.len();
        let generation = self.key.word(self.generation);
        (0..2 * self.weights.len() as u64)
            .map(|which| {
                let z: Vec<f64> =
                    (0..n as u64).map(|i| normal(generation.word(which).word(i).draw())).collect();
                let drawn: Vec<f64> = (0..n)
                    .map(|i| {
                        let step: f64 =
                            (0..n).map(|j| self.axes[i][j] * self.lengths[j] * z[j]).sum();
                        self.mean[i] + self.sigma * step
                    })
                    .collect();
                let inside = drawn.iter().map(|x| x.clamp(0.0, 1.0)).collect();
                Candidate { drawn, inside }
            })
            .collect()
    }

    /// Learns from the losses of all candidates that [`Search::ask`] gave.
    pub fn tell(&mut self, mut judged: Vec<(f64, Candidate)>) {
        judged.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = self.mean.len();
        let dim = n as f64;
        let effective = 1.0 / self.weights.iter().map(|w| w * w).sum::<f64>();
        let c_sigma = (effective + 2.0) / (dim + effective + 5.0);
        let damping =
            1.0 + 2.0 * (((effective - 1.0) / (dim + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma;
        let c_c = (4.0 + effective / dim) / (dim + 4.0 + 2.0 * effective / dim);
        let c_1 = 2.0 / ((dim + 1.3).powi(2) + effective);
        let c_mu = (2.0 * (effective - 2.0 + 1.0 / effective) / ((dim + 2.0).powi(2) + effective))
            .min(1.0 - c_1);
        let old = self.mean.clone();
        let steps: Vec<Vec<f64>> = judged
            .iter()
            .take(self.weights.len())
            .map(|(_, c)| (0..n).map(|i| (c.drawn[i] - old[i]) / self.sigma).collect())
            .collect();
        let step: Vec<f64> = (0..n)
            .map(|i| self.weights.iter().zip(&steps).map(|(w, step)| w * step[i]).sum())
            .collect();
        for (mean, step) in self.mean.iter_mut().zip(&step) {
            *mean += self.sigma * step;
        }
        // C^(-1/2)·step, by the factors.
        let along: Vec<f64> = (0..n)
            .map(|j| (0..n).map(|i| self.axes[i][j] * step[i]).sum::<f64>() / self.lengths[j])
            .collect();
        let push = (c_sigma * (2.0 - c_sigma) * effective).sqrt();
        for i in 0..n {
            let white: f64 = (0..n).map(|j| self.axes[i][j] * along[j]).sum();
            self.path_sigma[i] = (1.0 - c_sigma) * self.path_sigma[i] + push * white;
        }
        let norm = self.path_sigma.iter().map(|x| x * x).sum::<f64>().sqrt();
        let expected = dim.sqrt() * (1.0 - 1.0 / (4.0 * dim) + 1.0 / (21.0 * dim * dim));
        self.generation += 1;
        let settled = (1.0 - (1.0 - c_sigma).powf(2.0 * self.generation as f64)).sqrt();
        let moving = norm / settled < (1.4 + 2.0 / (dim + 1.0)) * expected;
        let push = if moving { (c_c * (2.0 - c_c) * effective).sqrt() } else { 0.0 };
        for (path, step) in self.path_c.iter_mut().zip(&step) {
            *path = (1.0 - c_c) * *path + push * step;
        }
        let lost = if moving { 0.0 } else { c_1 * c_c * (2.0 - c_c) };
        for i in 0..n {
            for j in 0..n {
                let rank_mu: f64 =
                    self.weights.iter().zip(&steps).map(|(w, s)| w * s[i] * s[j]).sum();
                self.covariance[i][j] = (1.0 - c_1 - c_mu + lost) * self.covariance[i][j]
                    + c_1 * self.path_c[i] * self.path_c[j]
                    + c_mu * rank_mu;
            }
        }
        self.sigma *=
            ((c_sigma / damping) * (norm / expected - 1.0)).exp().min(std::f64::consts::E);
        (self.lengths, self.axes) = factors(&self.covariance);
    }
}

/// Square roots of the eigenvalues, and the eigenvectors as columns: Jacobi's rotations.
fn factors(matrix: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = matrix.len();
    let mut a = matrix.to_vec();
    let mut v: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..50 {
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q].abs() < 1e-18 {
                    continue;
                }
                let theta = 0.5 * (2.0 * a[p][q]).atan2(a[q][q] - a[p][p]);
                let (sin, cos) = theta.sin_cos();
                for row in &mut a {
                    (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                }
                let (upper, lower) = a.split_at_mut(q);
                for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
                for row in &mut v {
                    (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                }
            }
        }
    }
    ((0..n).map(|i| a[i][i].max(1e-20).sqrt()).collect(), v)
}

/// A standard normal from one draw (Box and Muller).
fn normal(draw: Draw) -> f64 {
    let (u, v) = (draw.unit(), draw.next().unit());
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}
