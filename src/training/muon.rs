// SPDX-License-Identifier: MPL-2.0
//! Muon (Jordan et al., 2024): momentum made orthogonal, so that a kernel's weak directions move as
//! much as its strong ones.

use tch::Tensor;

const MOMENTUM: f64 = 0.95;
/// The root of the mean square of a movement, at rate 1: about Adam's, so that one rate does for both
/// (Liu et al., 2025).
const SCALE: f64 = 0.2;
/// Coefficients of the Newton-Schulz iteration: it takes singular values to about 1, fast rather
/// than exactly.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];
const ITERATIONS: usize = 5;

/// Takes the gradient of a kernel O×I×H×W into its momentum. Returns what to go against, times the
/// rate.
pub fn direction(gradient: &Tensor, momentum: &mut Tensor) -> Tensor {
    let _ = momentum.lerp_(gradient, 1.0 - MOMENTUM);
    let matrix = gradient.lerp(momentum, MOMENTUM).flatten(1, -1);
    let size = matrix.size();
    let (rows, columns) = (size[0], size[1]);
    let orthogonal = match rows > columns {
        true => orthogonal(&matrix.tr()).tr(),
        false => orthogonal(&matrix),
    };
    (orthogonal * (SCALE * (rows.max(columns) as f64).sqrt())).reshape(gradient.size())
}

/// The nearest matrix with orthonormal rows to one of no more rows than columns, roughly. Each
/// iterate is the matrix times a polynomial of its Gram matrix, so only those small ones are
/// multiplied.
fn orthogonal(matrix: &Tensor) -> Tensor {
    // Singular values have to be at most 1.
    let matrix = matrix / (matrix.norm() + 1e-12);
    let gram = matrix.matmul(&matrix.tr());
    let mut factor = Tensor::eye(gram.size()[0], (gram.kind(), gram.device()));
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..ITERATIONS {
        let gram = factor.matmul(&gram).matmul(&factor);
        let polynomial = &gram * b + gram.matmul(&gram) * c;
        factor = &factor * a + polynomial.matmul(&factor);
    }
    factor.matmul(&matrix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn random(shape: &[i64]) -> Tensor {
        tch::manual_seed(7);
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn all_singular_values_come_near_one() {
        let strengths = Tensor::from_slice(&[1.0f32, 0.5, 0.2, 0.1]).unsqueeze(1);
        let matrix = random(&[4, 40]) * strengths;
        let orthogonal = orthogonal(&matrix);
        let values = orthogonal.matmul(&orthogonal.tr()).linalg_eigvalsh("L").sqrt();
        assert!(values.min().double_value(&[]) > 0.6, "{values}");
        assert!(values.max().double_value(&[]) < 1.3, "{values}");
    }

    #[test]
    fn a_kernel_moves_against_its_gradient_by_about_the_scale() {
        for shape in [[8, 4, 3, 3], [32, 1, 3, 3]] {
            let gradient = random(&shape);
            let direction = direction(&gradient, &mut gradient.zeros_like());
            assert_eq!(direction.size(), shape);
            assert!((&direction * &gradient).sum(Kind::Float).double_value(&[]) > 0.0);
            let size = direction.square().mean(Kind::Float).sqrt().double_value(&[]);
            assert!((0.5 * SCALE..1.5 * SCALE).contains(&size), "{size}");
        }
    }

    #[test]
    fn no_gradient_moves_nothing() {
        let gradient = random(&[2, 2, 3, 3]).zeros_like();
        let direction = direction(&gradient, &mut gradient.zeros_like());
        assert_eq!(direction.abs().max().double_value(&[]), 0.0);
    }
}
