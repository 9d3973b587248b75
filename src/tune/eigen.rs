//! Eigenvalues and eigenvectors of a small symmetric matrix, by Jacobi's rotations (1846): slow for large ones, and exact
//! to the last bits for the at most dozens of rows that a search has.

/// Most sweeps over all pairs; ten are plenty, because convergence is quadratic.
const SWEEPS: usize = 50;

/// The eigenvalues, and the eigenvectors as columns: `vectors[row][k]` belongs to `values[k]`.
pub(crate) fn symmetric(matrix: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = matrix.len();
    let mut a = matrix.to_vec();
    let mut vectors: Vec<Vec<f64>> = (0..n)
        .map(|row| (0..n).map(|column| f64::from(u8::from(row == column))).collect())
        .collect();
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..n).flat_map(|p| (p + 1..n).map(move |q| (p, q))).map(|(p, q)| a[p][q].abs()).sum();
        let all: f64 = (0..n).map(|p| a[p][p].abs()).sum();
        if off <= 1e-15 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    ((0..n).map(|k| a[k][k]).collect(), vectors)
}

/// Turns the plane of two axes so that their element becomes zero.
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    let turn = |x: f64, y: f64| (c * x - s * y, s * x + c * y);
    for row in a.iter_mut() {
        (row[p], row[q]) = turn(row[p], row[q]);
    }
    let (upper, lower) = a.split_at_mut(q);
    for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
        (*x, *y) = turn(*x, *y);
    }
    for row in vectors.iter_mut() {
        (row[p], row[q]) = turn(row[p], row[q]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_its_vectors_and_values_again() {
        let matrix = vec![vec![4.0, 1.0, -2.0], vec![1.0, 2.0, 0.5], vec![-2.0, 0.5, 3.0]];
        let (values, vectors) = symmetric(&matrix);
        for (i, row) in matrix.iter().enumerate() {
            for (j, &entry) in row.iter().enumerate() {
                let again: f64 = (0..3).map(|k| vectors[i][k] * values[k] * vectors[j][k]).sum();
                assert!((again - entry).abs() < 1e-12, "{i} {j}: {again} {entry}");
                let unit: f64 = (0..3).map(|k| vectors[k][i] * vectors[k][j]).sum();
                assert!((unit - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
        assert!((values.iter().sum::<f64>() - 9.0).abs() < 1e-12, "the trace stays");
    }

    #[test]
    fn diagonal_and_equal_values_are_no_trouble() {
        let (values, _) = symmetric(&[vec![2.0, 0.0], vec![0.0, 2.0]]);
        assert_eq!(values, [2.0, 2.0]);
        let (mut values, _) = symmetric(&[vec![1.0, 1.0], vec![1.0, 1.0]]);
        values.sort_by(f64::total_cmp);
        assert!(values[0].abs() < 1e-15 && (values[1] - 2.0).abs() < 1e-15, "{values:?}");
    }
}
