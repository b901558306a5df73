// SPDX-License-Identifier: MPL-2.0
//! What is missing from pictures, as levels of the frequencies of 8×8 blocks.

use tch::{Device, Kind, Tensor};

use crate::network::decomposition::{Decomposition, dims};

/// Side of a block in pixels.
pub const SIDE: usize = 8;
/// Values of a block: three channels of so many frequencies.
pub const VALUES: usize = 3 * SIDE * SIDE;
/// Steps double every so many indices.
pub const PER_OCTAVE: f64 = 24.0;

/// The step, in levels of 255, of an index.
pub fn step(index: u8) -> f64 {
    (f64::from(index) / PER_OCTAVE).exp2()
}

/// The index, not yet rounded, of a step.
pub fn index(step: f64) -> f64 {
    step.log2() * PER_OCTAVE
}

/// Pictures to frequencies and back.
#[derive(Debug)]
pub struct Transform {
    dct: Decomposition,
    /// 3×3, orthonormal: grey and two differences of colours.
    colours: Tensor,
}

/// Frequencies in whole steps, block by block in rows: channel by channel, low frequencies first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Blocks in a row.
    pub columns: usize,
    /// [`VALUES`] a block.
    pub values: Vec<i16>,
}

impl Transform {
    /// On a device.
    pub fn new(device: Device) -> Self {
        let rows = [[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0_f32]];
        let colours = Tensor::from_slice2(&rows);
        let norms = colours.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt();
        Self { dct: Decomposition::dct(SIDE, device), colours: (colours / norms).to_device(device) }
    }

    /// 1×3×H×W of differences in levels of 255 to (H/8)·(W/8)·192 values, both rounded up.
    pub fn forward(&self, picture: &Tensor) -> Frequencies {
        let bands = self.bands(picture);
        let (_, _, rows, columns) = dims(&bands);
        let values = bands.view([-1, 3, rows, columns]).permute([2, 3, 1, 0]).reshape([-1]);
        let values = values.to_device(Device::Cpu);
        let mut copied = vec![0.0; values.numel()];
        values.copy_data(&mut copied, values.numel());
        Frequencies { columns: columns as usize, values: copied }
    }

    /// K×3×H×W to K×192×(H/8)×(W/8), both rounded up: frequency by frequency, the three channels of each.
    pub fn bands(&self, pictures: &Tensor) -> Tensor {
        let (_, _, height, width) = dims(pictures);
        let pad = |size: i64| (-size).rem_euclid(SIDE as i64);
        let padded = pictures.constant_pad_nd([0, pad(width), 0, pad(height)]);
        self.dct.forward(&self.mixed(&padded, &self.colours))
    }

    /// The differences 1×3×`height`×`width` that levels stand for.
    pub fn inverse(&self, levels: &Levels, index: u8, height: i64, width: i64) -> Tensor {
        let values = Tensor::from_slice(&levels.values).to_device(self.colours.device());
        let values = values.to_kind(Kind::Float) * step(index);
        let blocks = values.view([-1, levels.columns as i64, 3, (SIDE * SIDE) as i64]);
        let (rows, columns, _, _) = dims(&blocks);
        let bands = blocks.permute([3, 2, 0, 1]).reshape([1, VALUES as i64, rows, columns]);
        let picture = self.mixed(&self.dct.inverse(&bands), &self.colours.tr());
        picture.narrow(2, 0, height).narrow(3, 0, width)
    }

    fn mixed(&self, picture: &Tensor, colours: &Tensor) -> Tensor {
        colours.matmul(&picture.flatten(2, 3)).view_as(picture)
    }
}

/// Frequencies in levels of 255, in the order of [`Levels`].
pub struct Frequencies {
    /// Blocks in a row.
    pub columns: usize,
    /// [`VALUES`] a block.
    pub values: Vec<f32>,
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn differences_come_back_within_their_step() {
        tch::manual_seed(7);
        let transform = Transform::new(Device::Cpu);
        let picture = Tensor::randn([1, 3, 21, 13], (Kind::Float, Device::Cpu)) * 30.0;
        let mut last = 0.0;
        for index in [0, 24, 72] {
            let Frequencies { columns, values } = transform.forward(&picture);
            let values =
                values.iter().map(|value| (f64::from(*value) / step(index)).round() as i16);
            let levels = Levels { columns, values: values.collect() };
            assert_eq!((levels.columns, levels.values.len()), (2, 6 * VALUES));
            let back = transform.inverse(&levels, index, 21, 13);
            let error = (back - &picture).square().mean(Kind::Float).double_value(&[]).sqrt();
            assert!(error < 0.45 * step(index) && error > last, "{index}: {error}");
            last = error;
        }
    }

    #[test]
    fn grey_differences_are_of_one_channel_and_the_first_frequency() {
        let transform = Transform::new(Device::Cpu);
        let picture = Tensor::full([1, 3, 8, 8], 5.0, (Kind::Float, Device::Cpu));
        let frequencies = transform.forward(&picture).values;
        // 5 · √3 · 8.
        assert!((frequencies[0] - 69.28).abs() < 0.01);
        assert!(frequencies[1..].iter().all(|value| value.abs() < 1e-3));
    }
}
