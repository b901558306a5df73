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

/// Takes the gradients of some kernels, K×O×I×H×W, into their momenta. Returns what to go against,
/// times the rate.
pub fn direction(gradient: &Tensor, momentum: &mut Tensor) -> Tensor {
    let _ = momentum.lerp_(gradient, 1.0 - MOMENTUM);
    let matrices = gradient.lerp(momentum, MOMENTUM).flatten(2, -1);
    let size = matrices.size();
    let (rows, columns) = (size[1], size[2]);
    let orthogonal = match rows > columns {
        true => orthogonal(&matrices.mt()).mt(),
        false => orthogonal(&matrices),
    };
    (orthogonal * (SCALE * (rows.max(columns) as f64).sqrt())).reshape(gradient.size())
}

/// The nearest matrices with orthonormal rows to K×R×C of no more rows than columns, roughly. Each
/// iterate is the matrix times a polynomial of its Gram matrix, so only those small ones are
/// multiplied.
fn orthogonal(matrices: &Tensor) -> Tensor {
    // Singular values have to be at most 1.
    let norms = matrices.norm_scalaropt_dim(2.0, [1i64, 2].as_slice(), true);
    let matrices = matrices / (norms + 1e-12);
    let gram = matrices.matmul(&matrices.mt());
    let mut factor = Tensor::eye(gram.size()[1], (gram.kind(), gram.device()));
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..ITERATIONS {
        let gram = factor.matmul(&gram).matmul(&factor);
        let polynomial = &gram * b + gram.matmul(&gram) * c;
        factor = &factor * a + polynomial.matmul(&factor);
    }
    factor.matmul(&matrices)
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
        // Another size of the second matrix changes nothing.
        let matrices =
            random(&[2, 4, 40]) * strengths * Tensor::from_slice(&[1.0f32, 9.0]).view([2, 1, 1]);
        let orthogonal = orthogonal(&matrices);
        let values = orthogonal.matmul(&orthogonal.mt()).linalg_eigvalsh("L").sqrt();
        assert!(values.min().double_value(&[]) > 0.6, "{values}");
        assert!(values.max().double_value(&[]) < 1.3, "{values}");
    }

    #[test]
    fn a_kernel_moves_against_its_gradient_by_about_the_scale() {
        for shape in [[2, 8, 4, 3, 3], [3, 32, 1, 3, 3]] {
            let gradients = random(&shape);
            let directions = direction(&gradients, &mut gradients.zeros_like());
            assert_eq!(directions.size(), shape);
            for (direction, gradient) in directions.unbind(0).iter().zip(gradients.unbind(0)) {
                assert!((direction * gradient).sum(Kind::Float).double_value(&[]) > 0.0);
                let size = direction.square().mean(Kind::Float).sqrt().double_value(&[]);
                assert!((0.5 * SCALE..1.5 * SCALE).contains(&size), "{size}");
            }
        }
    }

    #[test]
    fn no_gradient_moves_nothing() {
        let gradient = random(&[1, 2, 2, 3, 3]).zeros_like();
        let direction = direction(&gradient, &mut gradient.zeros_like());
        assert_eq!(direction.abs().max().double_value(&[]), 0.0);
    }
}
