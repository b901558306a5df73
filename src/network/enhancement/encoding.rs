// SPDX-License-Identifier: MPL-2.0
//! As much of what is missing from some pictures as so many bytes hold.

use tch::{Device, Kind, Tensor};

use super::chance::Writer;
use super::choice::write;
use super::contexts::Contexts;
use super::payload::Payload;
use super::transform::{Frequencies, PER_OCTAVE, Transform, index};

/// Tries to fill the room, at most.
const TRIES: usize = 10;
/// After how many of them steps no longer change beside each other.
const ALIGNING: usize = 2;
/// A payload that leaves no more than this part of the room fills it.
const UNUSED: f64 = 0.005;
/// How much coarser steps are, in octaves, than the root of the mean square of what is missing where there is a bit
/// for each value, about.
const FIRST: f64 = 0.6;
/// How many octaves of steps halve what is coded, about.
const HALF: f64 = 0.45;
/// Taken for the part of the room that levels need which did not fit twice.
const MUCH: f64 = 4.0;
/// So many indices are next to nothing.
const NARROW: f64 = 0.15;
/// The most octaves from one try to the next.
const FARTHEST: f64 = 2.0;

/// What is missing from one picture.
struct Missing {
    frequencies: Frequencies,
    /// The index of a step as large as the root of the mean square of what is left of it.
    left: f64,
}

impl Missing {
    fn new(transform: &Transform, picture: &Tensor) -> Self {
        let left = root_index(picture.square().mean(Kind::Float).double_value(&[]));
        Self { frequencies: transform.forward(picture), left }
    }
}

/// The index of a step as large as the root of a mean square.
fn root_index(square: f64) -> f64 {
    index(square.sqrt().max(1e-3))
}

/// Pictures 1×3×H×W in levels of 255 on a device, in steps as fine as fit in `room` bytes. None if not even the coarsest do.
pub fn encoded(
    pictures: impl Iterator<Item = Tensor>,
    device: Device,
    room: usize,
) -> Option<Payload> {
    let transform = Transform::new(device);
    let missing = pictures.map(|picture| Missing::new(&transform, &picture)).collect();
    fitted(missing, room)
}

fn fitted(mut missing: Vec<Missing>, room: usize) -> Option<Payload> {
    let mut search = Search::new(&missing, room);
    let mut aligning = ALIGNING;
    let (mut best, mut last) = ((false, 0), vec![]);
    let mut fits = None;
    for _ in 0..TRIES {
        let steps = search.steps(&missing);
        if steps == last || search.is_done() {
            break;
        }
        let tried = attempt(&missing, &steps, room);
        let part =
            tried.as_ref().map_or(MUCH, |tried| tried.coded.len() as f64 / room.max(1) as f64);
        search.learn(part);
        last = steps;
        let Some(Try { coded, left }) = tried else { continue };
        let aligned = aligning == 0;
        if !aligned && part > 0.5 {
            aligning -= 1;
            for (missing, left) in missing.iter_mut().zip(left) {
                missing.left = left;
            }
            search.forget();
        }
        // The finest steps fill most.
        if part <= 1.0 && (aligned, coded.len()) >= best {
            best = (aligned, coded.len());
            fits = Some(Payload { steps: last.clone(), coded });
        }
        if aligned && (1.0 - UNUSED..=1.0).contains(&part) {
            break;
        }
    }
    fits.map(|fits| topped_up(fits, &missing, room))
}

/// A payload with finer steps for one picture after the other, as long as they fit.
fn topped_up(mut payload: Payload, missing: &[Missing], room: usize) -> Payload {
    for picture in 0..missing.len() {
        if payload.coded.len() as f64 > (1.0 - UNUSED) * room as f64 {
            break;
        }
        let mut steps = payload.steps.clone();
        steps[picture] = steps[picture].saturating_sub(1);
        let tried = attempt(missing, &steps, room).map(|tried| tried.coded);
        if let Some(coded) = tried.filter(|coded| coded.len() <= room) {
            payload = Payload { steps, coded };
        }
    }
    payload
}

/// Looks for steps whose levels fill the room.
struct Search {
    /// The mean index of the steps to try.
    index: f64,
    /// Indices whose levels are known not to fit and to fit, and the logarithms of the parts of the room that they need.
    over: Option<(f64, f64)>,
    under: Option<(f64, f64)>,
}

impl Search {
    fn new(missing: &[Missing], room: usize) -> Self {
        let values: usize = missing.iter().map(|missing| missing.frequencies.values.len()).sum();
        let halvings = (values as f64 / (8 * room).max(1) as f64).log2();
        let index = mean(missing) + (FIRST + HALF * halvings) * PER_OCTAVE;
        Self { index, over: None, under: None }
    }

    /// The steps to try. A picture's is in a fixed ratio to what is left of it: a little more or less for one gains
    /// as many decibels as it takes from another one.
    fn steps(&self, missing: &[Missing]) -> Vec<u8> {
        let mean = mean(missing);
        let step = |own: &Missing| (self.index + own.left - mean).round().clamp(0.0, 255.0) as u8;
        missing.iter().map(step).collect()
    }

    /// Steps beside each other are others now.
    fn forget(&mut self) {
        (self.over, self.under) = (None, None);
    }

    /// Whether there is next to nothing between what fits and what does not.
    fn is_done(&self) -> bool {
        let between = self.under.zip(self.over).map(|((under, _), (over, _))| under - over);
        between.is_some_and(|between| (0.0..NARROW).contains(&between))
    }

    /// The index tried needs this part of the room.
    fn learn(&mut self, part: f64) {
        let need = (part / (1.0 - UNUSED / 2.0)).max(1e-9).log2();
        let tried = (self.index, need);
        if part > 1.0 {
            self.over = Some(tried)
        } else {
            self.under = Some(tried)
        }
        self.index = match (self.over, self.under) {
            (Some((fine, over)), Some((coarse, under))) if fine < coarse => {
                fine + (coarse - fine) * (over / (over - under)).clamp(0.05, 0.95)
            }
            _ => {
                self.index
                    + (need * HALF * PER_OCTAVE)
                        .abs()
                        .clamp(1.0, FARTHEST * PER_OCTAVE)
                        .copysign(need)
            }
        };
    }
}

fn mean(missing: &[Missing]) -> f64 {
    missing.iter().map(|missing| missing.left).sum::<f64>() / missing.len().max(1) as f64
}

/// Levels in some steps.
struct Try {
    coded: Vec<u8>,
    /// The index of a step as large as the root of the mean square of what they leave of each picture.
    left: Vec<f64>,
}

/// None if they take more than twice the room.
fn attempt(missing: &[Missing], steps: &[u8], room: usize) -> Option<Try> {
    let (mut contexts, mut writer) = (Contexts::default(), Writer::new(2 * room));
    let mut left = Vec::with_capacity(steps.len());
    for (missing, step) in missing.iter().zip(steps) {
        let square = write(&missing.frequencies, *step, &mut contexts, &mut writer).ok()?;
        left.push(root_index(square));
    }
    Some(Try { coded: writer.into_bytes().ok()?, left })
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
            let used = payload.coded.len() as f64 / room as f64;
            assert!((0.8..=1.0).contains(&used), "{room}: {used}");
            let steps: [u8; 2] = payload.steps.try_into().unwrap();
            assert!(steps[0] < last[0] && steps[1] < last[1], "{room}: {steps:?}");
            // What is three times as large goes in steps about three times as large: 24 · log2(3) indices.
            assert!(steps[0].abs_diff(steps[1] + 38) <= 3, "{steps:?}");
            last = steps;
        }
    }

    /// A bit takes more decibels off of what is missing in one place than off of as much everywhere.
    #[test]
    fn what_gains_more_has_finer_steps() {
        tch::manual_seed(4);
        let noise = Tensor::randn([1, 3, 64, 64], (Kind::Float, Device::Cpu)) * 5.0;
        let corner = noise.zeros_like();
        corner
            .narrow(2, 0, 16)
            .narrow(3, 0, 16)
            .copy_(&(noise.narrow(2, 0, 16).narrow(3, 0, 16) * 4.0));
        let payload = encoded([noise, corner].into_iter(), Device::Cpu, 1000).unwrap();
        assert!(payload.steps[1] + 12 < payload.steps[0], "{:?}", payload.steps);
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
