// SPDX-License-Identifier: MPL-2.0
//! As much of what is missing from some pictures as so many bytes hold.

use tch::{Device, Kind, Tensor};

use super::chance::Writer;
use super::coefficients::{Contexts, code, rounded};
use super::payload::Payload;
use super::transform::{Frequencies, Transform, index};

/// A step beside the root of the mean square of what is missing, in indices: the least and the most.
const FINEST: i64 = -24;
const COARSEST: i64 = 80;

/// What is missing from one picture.
struct Missing {
    frequencies: Frequencies,
    /// The index of a step as large as the root of its mean square.
    index: f64,
}

impl Missing {
    fn new(transform: &Transform, picture: &Tensor) -> Self {
        let energy = picture.square().mean(Kind::Float).double_value(&[]);
        Self { frequencies: transform.forward(picture), index: index(energy.sqrt().max(1e-3)) }
    }

    /// The index of a step beside its own: all pictures' steps are in one ratio to their errors, so that all
    /// gain alike.
    fn step(&self, beside: i64) -> u8 {
        (self.index + beside as f64).round().clamp(0.0, 255.0) as u8
    }
}

/// Pictures 1×3×H×W in levels of 255 on a device, in steps as fine as fit in `room` bytes. None if not even the coarsest do.
pub fn encoded(
    pictures: impl Iterator<Item = Tensor>,
    device: Device,
    room: usize,
) -> Option<Payload> {
    let transform = Transform::new(device);
    let missing: Vec<_> = pictures.map(|picture| Missing::new(&transform, &picture)).collect();
    let (mut fits, mut finest, mut coarsest) = (None, FINEST, COARSEST);
    while finest <= coarsest {
        let beside = (finest + coarsest).div_euclid(2);
        match attempt(&missing, beside, room) {
            Some(payload) => {
                fits = Some(payload);
                coarsest = beside - 1;
            }
            None => finest = beside + 1,
        }
    }
    fits
}

fn attempt(missing: &[Missing], beside: i64, room: usize) -> Option<Payload> {
    let steps: Vec<_> = missing.iter().map(|missing| missing.step(beside)).collect();
    let (mut contexts, mut writer) = (Contexts::default(), Writer::new(room));
    for (missing, step) in missing.iter().zip(&steps) {
        code(&mut rounded(&missing.frequencies, *step), &mut contexts, &mut writer).ok()?;
    }
    Some(Payload { steps, coded: writer.into_bytes().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise, three times as much in the first picture as in the second.
    fn noise_in(room: usize) -> Option<Payload> {
        tch::manual_seed(4);
        let noise = |gain: f64| Tensor::randn([1, 3, 40, 24], (Kind::Float, Device::Cpu)) * gain;
        encoded([9.0, 3.0].map(noise).into_iter(), Device::Cpu, room)
    }

    #[test]
    fn more_room_makes_finer_steps() {
        let mut last = [u8::MAX; 2];
        for room in [200, 400, 800, 1600] {
            let payload = noise_in(room).unwrap();
            assert!(payload.coded.len() <= room && payload.coded.len() > room / 2);
            let steps: [u8; 2] = payload.steps.try_into().unwrap();
            assert!(steps[0] < last[0] && steps[1] < last[1], "{room}: {steps:?}");
            // What is three times as large goes in steps three times as large: 8 · log2(3) indices.
            assert!(steps[0].abs_diff(steps[1] + 13) <= 1, "{steps:?}");
            last = steps;
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        assert_eq!(noise_in(3), None);
    }

    #[test]
    fn nothing_missing_fits_anywhere() {
        let nothing = Tensor::zeros([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        assert!(encoded([nothing].into_iter(), Device::Cpu, 40).is_some());
    }
}
