// SPDX-License-Identifier: MPL-2.0
//! Noise-shaped quantisation: the stego is rounded to 8 bits so that the error falls where reveal
//! hears it least.
//!
//! Reveal amplifies an error in the stego unevenly: the directions that carry the mosaic by a
//! hundred and more, others not at all. With J its Jacobian, the mosaic loses δᵀJᵀJδ to a rounding
//! error δ. The values of a 2×2 block are therefore rounded one after the other, each to what best
//! makes up for the errors of those before it (the nearest-plane method of Babai, "On Lovász'
//! lattice reduction and the nearest lattice point problem", Combinatorica 1986).

use tch::{Device, Kind, Tensor};

use super::quantisation::{Digits, straight_through, to_bytes};

/// Values of a 2×2 block in RGB.
const VALUES: usize = 12;
/// How much an error of the stego weighs beside the one that it makes in the mosaic.
const STEGO_WEIGHT: f64 = 3.0;
/// As [`STEGO_WEIGHT`], where digits are sealed.
const SEALED_STEGO_WEIGHT: f64 = 1.0;
/// Ways to round that are kept where digits have to be carried.
const WAYS: i64 = 4;

type Matrix = [[f64; VALUES]; VALUES];

/// Rounds stegos for a hiding module.
#[derive(Debug)]
pub struct NoiseShaper {
    sensitivity: Tensor,
    /// Of the sensitivity with the stego's own weight: a kernel 12×12×1×1.
    inverse: Tensor,
    steps: Vec<Step>,
    /// For sealed digits.
    sealed: Vec<Step>,
}

/// The rounding of one value of every block.
#[derive(Debug)]
struct Step {
    value: i64,
    /// 1×12×1×1: what is taken off for the error of each value that was rounded before.
    compensation: Tensor,
    /// What the square of an error costs that is left then.
    cost: f64,
}

impl NoiseShaper {
    /// For the mean of JᵀJ over blocks, 12×12 in the order of `pixel_unshuffle`. None unless it is
    /// of that size and its symmetric part, with the stego's own weight, positive definite.
    pub fn new(sensitivity: &Tensor, device: Device) -> Option<Self> {
        if sensitivity.size() != [VALUES as i64; 2] {
            return None;
        }
        let values = sensitivity.to_device(Device::Cpu).to_kind(Kind::Double).contiguous();
        let values = Vec::<f64>::try_from(values.view([-1])).ok()?;
        let matrix = |weight: f64| -> Matrix {
            let own = |i, j| weight * f64::from(u8::from(i == j));
            let at = |i, j| (values[i * VALUES + j] + values[j * VALUES + i]) / 2.0 + own(i, j);
            std::array::from_fn(|i| std::array::from_fn(|j| at(i, j)))
        };
        let steps = |weight| -> Option<Vec<Step>> {
            let steps = plan(matrix(weight))?.into_iter();
            Some(steps.map(|planned| planned.on(device)).collect())
        };
        let (steps, sealed) = (steps(STEGO_WEIGHT)?, steps(SEALED_STEGO_WEIGHT)?);
        // Of what is positive definite, or libtorch panics.
        let inverse = Tensor::from_slice2(&matrix(STEGO_WEIGHT)).inverse().to_kind(Kind::Float);
        let inverse = inverse.unsqueeze(-1).unsqueeze(-1).to_device(device);
        Some(Self { sensitivity: sensitivity.copy(), inverse, steps, sealed })
    }

    /// The matrix that it was made for.
    pub fn sensitivity(&self) -> &Tensor {
        &self.sensitivity
    }

    /// A gradient N×3×H×W in the stego divided by how much reveal amplifies each direction of a 2×2
    /// block, as Newton's method does: what it hears least has to move most.
    pub fn preconditioned(&self, gradient: &Tensor) -> Tensor {
        let blocks = gradient.pixel_unshuffle(2);
        blocks.conv2d(&self.inverse, None::<&Tensor>, 1, 0, 1, 1).pixel_shuffle(2)
    }

    /// Clamps N×3×H×W of even sides to [0, 1] and rounds to 1/255, so that bytes carry what digits there are.
    /// The gradient passes as through [`quantise`](super::quantisation::quantise).
    pub fn quantise(&self, picture: &Tensor, digits: Option<&Digits>) -> Tensor {
        let digits = digits.map(|digits| digits.map(|values| values.pixel_unshuffle(2)));
        let round = |levels: Tensor| self.round(&levels.pixel_unshuffle(2), digits.as_ref());
        straight_through(picture, |levels| round(levels).pixel_shuffle(2))
    }

    /// Levels of 0 to 255, N×12×H/2×W/2, and what digits they have to carry, as [`to_bytes`] takes them.
    fn round(&self, levels: &Tensor, digits: Option<&Digits>) -> Tensor {
        let mut ways = Ways::new(levels);
        let sealed = digits.is_some_and(|digits| digits.sealed);
        for Step { value, compensation, cost } in if sealed { &self.sealed } else { &self.steps } {
            let digits = digits.map(|digits| digits.map(|values| values.narrow(1, *value, 1)));
            let level = levels.narrow(1, *value, 1);
            let wanted = &level - ways.compensated(compensation);
            let nearest = to_bytes(&wanted, digits.as_ref());
            match digits {
                Some(digits) => {
                    let away = (&wanted - &nearest).sign() * f64::from(digits.base);
                    let other = to_bytes(&(&nearest + away), Some(&digits));
                    ways.fork(
                        *value,
                        [nearest, other].map(|byte| Branch {
                            cost: (&byte - &wanted).square() * *cost,
                            error: byte - &level,
                        }),
                    );
                }
                None => ways.go_on(*value, &(nearest - level)),
            }
        }
        (levels + ways.best()).round()
    }
}

/// Ways to round a picture's blocks, K of each.
struct Ways {
    /// Of the values rounded so far, N×K×12×H×W; 0 for the others.
    errors: Tensor,
    /// N×K×H×W.
    costs: Tensor,
}

/// Goes on from each of K ways.
struct Branch {
    /// Of the next value, N×K×H×W.
    error: Tensor,
    /// What it adds, N×K×H×W.
    cost: Tensor,
}

impl Ways {
    /// One way, for levels N×12×H×W: nothing is rounded yet.
    fn new(levels: &Tensor) -> Self {
        let errors = levels.zeros_like().unsqueeze(1);
        Self { costs: errors.select(2, 0).zeros_like(), errors }
    }

    /// What the next value's level makes up for in each way, N×K×H×W.
    fn compensated(&self, compensation: &Tensor) -> Tensor {
        let errors = self.errors.flatten(0, 1);
        errors.conv2d(compensation, None::<&Tensor>, 1, 0, 1, 1).view_as(&self.costs)
    }

    /// The next value has these errors.
    fn go_on(&mut self, value: i64, error: &Tensor) {
        self.errors.select(2, value).copy_(error);
    }

    /// Each way goes on in two, of which those of least cost are kept.
    fn fork(&mut self, value: i64, branches: [Branch; 2]) {
        let [near, far] = &branches;
        let costs = Tensor::cat(&[&self.costs + &near.cost, &self.costs + &far.cost], 1);
        let ways = costs.size()[1];
        let (costs, kept) = costs.topk(WAYS.min(ways), 1, false, false);
        let error = Tensor::cat(&[&near.error, &far.error], 1).gather(1, &kept, false);
        self.errors = self.chosen(&kept.remainder(ways / 2));
        self.costs = costs;
        self.go_on(value, &error);
    }

    /// The errors of some of the ways, whose places N×K×H×W are given.
    fn chosen(&self, ways: &Tensor) -> Tensor {
        let ways = ways.unsqueeze(2).expand([-1, -1, VALUES as i64, -1, -1], false);
        self.errors.gather(1, &ways, false)
    }

    /// The errors of the way of least cost, N×12×H×W.
    fn best(&self) -> Tensor {
        match self.costs.size()[1] {
            1 => self.errors.squeeze_dim(1),
            _ => self.chosen(&self.costs.argmin(1, true)).squeeze_dim(1),
        }
    }
}

/// The rounding of one value, as [`Step`] holds it.
struct Planned {
    value: usize,
    compensation: [f64; VALUES],
    cost: f64,
}

impl Planned {
    fn on(self, device: Device) -> Step {
        let compensation = Tensor::from_slice(&self.compensation).to_kind(Kind::Float);
        let compensation = compensation.view([1, VALUES as i64, 1, 1]).to_device(device);
        Step { value: self.value as i64, compensation, cost: self.cost }
    }
}

/// The values in the order in which they are rounded, each with its compensation: the rows of the
/// unit upper triangular U in sensitivity = UᵀDU. The last to be rounded, which nothing makes up
/// for, are those that matter least. None for a matrix that is not positive definite.
fn plan(mut left: Matrix) -> Option<Vec<Planned>> {
    let mut open: Vec<usize> = (0..VALUES).collect();
    let mut steps = Vec::with_capacity(VALUES);
    while !open.is_empty() {
        let places = 0..open.len();
        let least =
            |&a: &usize, &b: &usize| left[open[a]][open[a]].total_cmp(&left[open[b]][open[b]]);
        let value = open.remove(places.min_by(least)?);
        let pivot = left[value][value];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        let mut compensation = [0.0; VALUES];
        for &other in &open {
            compensation[other] = left[value][other] / pivot;
        }
        for &i in &open {
            for &j in &open {
                left[i][j] -= pivot * compensation[i] * compensation[j];
            }
        }
        steps.push(Planned { value, compensation, cost: pivot });
    }
    steps.reverse();
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 + 100·ddᵀ/|d|², with d = sin(1), sin(2), …
    fn sensitivity() -> Tensor {
        let direction = Tensor::arange_start(1, 13, (Kind::Float, Device::Cpu)).sin();
        let unit = &direction / direction.norm();
        Tensor::eye(12, (Kind::Float, Device::Cpu)) + unit.outer(&unit) * 100.0
    }

    fn picture() -> Tensor {
        tch::manual_seed(3);
        Tensor::rand([2, 3, 32, 16], (Kind::Float, Device::Cpu)) * 0.8 + 0.1
    }

    fn digits(picture: &Tensor, base: u8, sealed: bool) -> Digits {
        Digits { values: picture.randint_like(base.into()), base, sealed }
    }

    /// What an error of the stego costs in the mosaic.
    fn cost(rounded: &Tensor, picture: &Tensor, sensitivity: &Tensor) -> f64 {
        let error = ((rounded - picture) * 255.0).pixel_unshuffle(2).transpose(0, 1).flatten(1, 3);
        (sensitivity.matmul(&error) * error).mean(Kind::Float).double_value(&[])
    }

    #[test]
    fn the_error_goes_where_it_costs_little() {
        let (picture, sensitivity) = (picture(), sensitivity());
        let shaper = NoiseShaper::new(&sensitivity, Device::Cpu).unwrap();
        let shaped = shaper.quantise(&picture, None);
        let levels = &shaped * 255.0;
        assert!((&levels - levels.round()).abs().max().double_value(&[]) < 1e-3);
        let plain = super::super::quantisation::quantise(&picture);
        let [plain_cost, shaped_cost] =
            [plain, shaped].map(|rounded| cost(&rounded, &picture, &sensitivity));
        assert!(shaped_cost < 0.4 * plain_cost, "{shaped_cost}, plain {plain_cost}");
    }

    /// Digits make steps as much larger as their base, and the nearest plane alone the errors' squares by its square.
    #[test]
    fn bytes_that_carry_digits_make_up_for_each_other_better() {
        let (picture, sensitivity) = (picture(), sensitivity());
        let shaper = NoiseShaper::new(&sensitivity, Device::Cpu).unwrap();
        let plain = cost(&shaper.quantise(&picture, None), &picture, &sensitivity);
        for (base, square) in [(2, 4.0), (3, 9.0), (4, 16.0)] {
            let digits = digits(&picture, base, false);
            let carrying = shaper.quantise(&picture, Some(&digits));
            let bytes = (&carrying * 255.0).round();
            assert_eq!(bytes.remainder(i64::from(base)), digits.values);
            let carrying = cost(&carrying, &picture, &sensitivity);
            assert!(carrying < 0.965 * square * plain, "{base}: {carrying}, plain {plain}");
        }
    }

    #[test]
    fn what_sealed_digits_do_costs_less_and_the_stego_more() {
        let (picture, sensitivity) = (picture(), sensitivity());
        let shaper = NoiseShaper::new(&sensitivity, Device::Cpu).unwrap();
        let [open, sealed] = [false, true].map(|sealed| {
            tch::manual_seed(11);
            let rounded = shaper.quantise(&picture, Some(&digits(&picture, 3, sealed)));
            let square = (&rounded - &picture).square().mean(Kind::Float).double_value(&[]);
            // The picture's own part of the sensitivity is 1.
            (cost(&rounded, &picture, &sensitivity) - square * 255.0 * 255.0, square)
        });
        assert!(sealed.0 < open.0 && sealed.1 > open.1, "{sealed:?} {open:?}");
    }

    #[test]
    fn bytes_stay_within_their_range_whatever_they_carry() {
        let shaper = NoiseShaper::new(&sensitivity(), Device::Cpu).unwrap();
        let ends = (picture() * 2.0 - 0.5).clamp(0.0, 1.0);
        for base in 2..=4 {
            let digits = digits(&ends, base, false);
            let bytes = (shaper.quantise(&ends, Some(&digits)) * 255.0).round();
            assert_eq!(bytes.remainder(i64::from(base)), digits.values);
            assert!(bytes.min().double_value(&[]) >= 0.0 && bytes.max().double_value(&[]) <= 255.0);
        }
    }

    #[test]
    fn even_sensitivity_rounds_to_the_nearest() {
        let picture = picture();
        let even = Tensor::eye(12, (Kind::Float, Device::Cpu)) * 7.0;
        let shaped = NoiseShaper::new(&even, Device::Cpu).unwrap().quantise(&picture, None);
        let nearest = super::super::quantisation::quantise(&picture);
        assert!((shaped - nearest).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn what_is_no_sensitivity_is_refused() {
        let refused = |matrix: &Tensor| NoiseShaper::new(matrix, Device::Cpu).is_none();
        assert!(refused(&Tensor::eye(11, (Kind::Float, Device::Cpu))));
        assert!(refused(&(sensitivity() * -1.0)));
        assert!(refused(&(sensitivity() * f64::NAN)));
        // Not invertible with the stego's own weight.
        assert!(refused(&(Tensor::eye(12, (Kind::Float, Device::Cpu)) * -STEGO_WEIGHT)));
        assert!(!refused(&sensitivity().zeros_like()));
    }
}
