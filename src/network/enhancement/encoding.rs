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
    let mut fitting = Fitting::new(missing, room);
    let mut tries = 0..TRIES;
    while tries.next().is_some() && fitting.tries_other_steps() {}
    fitting.topped_up()
}

/// Fills a room with what is missing from some pictures.
struct Fitting {
    missing: Vec<Missing>,
    /// In bytes.
    room: usize,
    search: Search,
    /// So many tries still change the steps beside each other.
    aligning: usize,
    /// The steps tried last.
    last: Vec<u8>,
    /// The best that fits, and whether its steps were beside each other as all later ones.
    best: Option<(bool, Payload)>,
}

impl Fitting {
    fn new(missing: Vec<Missing>, room: usize) -> Self {
        let search = Search::new(&missing, room);
        Self { missing, room, search, aligning: ALIGNING, last: vec![], best: None }
    }

    /// False if there is nothing left to try.
    fn tries_other_steps(&mut self) -> bool {
        let steps = self.search.steps(&self.missing);
        if steps == self.last || self.search.is_done() {
            return false;
        }
        let tried = attempt(&self.missing, &steps, self.room);
        let part = tried.as_ref().map_or(MUCH, |tried| self.part(&tried.coded));
        self.search.learn(part);
        self.last = steps;
        let Some(Try { coded, left }) = tried else { return true };
        let aligned = self.aligning == 0;
        if part <= 1.0 {
            self.keep(aligned, coded);
        }
        if !aligned && part > 0.5 {
            self.align(left);
        }
        !(aligned && (1.0 - UNUSED..=1.0).contains(&part))
    }

    /// The part of the room that levels take.
    fn part(&self, coded: &[u8]) -> f64 {
        coded.len() as f64 / self.room.max(1) as f64
    }

    /// Keeps what fits if none is better: the finest steps fill most.
    fn keep(&mut self, aligned: bool, coded: Vec<u8>) {
        let rank = |(aligned, payload): &(bool, Payload)| (*aligned, payload.coded.len());
        if self.best.as_ref().is_none_or(|best| (aligned, coded.len()) >= rank(best)) {
            self.best = Some((aligned, Payload { steps: self.last.clone(), coded }));
        }
    }

    /// Takes steps by what the last ones left, which makes what was learnt of them void.
    fn align(&mut self, left: Vec<f64>) {
        self.aligning -= 1;
        for (missing, left) in self.missing.iter_mut().zip(left) {
            missing.left = left;
        }
        self.search.forget();
    }

    /// The best with finer steps for one picture after the other, as long as they fit.
    fn topped_up(self) -> Option<Payload> {
        let (_, mut payload) = self.best.clone()?;
        for picture in 0..self.missing.len() {
            if self.part(&payload.coded) > 1.0 - UNUSED {
                break;
            }
            let mut steps = payload.steps.clone();
            steps[picture] = steps[picture].saturating_sub(1);
            let tried = attempt(&self.missing, &steps, self.room).map(|tried| tried.coded);
            if let Some(coded) = tried.filter(|coded| coded.len() <= self.room) {
                payload = Payload { steps, coded };
            }
        }
        Some(payload)
    }
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
