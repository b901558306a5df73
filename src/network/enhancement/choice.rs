// SPDX-License-Identifier: MPL-2.0
//! Which levels to write: of the nearest ones to a value and 0 what costs least of bits and error together.

use super::Stuck;
use super::chance::Coder;
use super::coefficients::code_channel;
use super::contexts::{COUNTED, Contexts, FREQUENCIES};
use super::neighbours::{Around, Block, Neighbours};
use super::transform::{Frequencies, step};

/// What a bit weighs beside the square of an error in steps: about what it would take off in finer ones, 2·ln(2)/12.
const BIT: f32 = 0.105;
/// Levels are clamped to ± this.
const MOST: f32 = i16::MAX as f32;

/// Writes the frequencies of one picture in whole steps of an index, and returns the mean square of what that leaves
/// of them.
///
/// # Errors
/// The coder's.
pub fn write(
    frequencies: &Frequencies,
    index: u8,
    contexts: &mut Contexts,
    coder: &mut impl Coder,
) -> Result<f64, Stuck> {
    let inverse = (1.0 / step(index)) as f32;
    let Frequencies { columns, values } = frequencies;
    let mut neighbours = Neighbours::new(*columns);
    let mut left = 0.0;
    for values in values.as_chunks::<FREQUENCIES>().0 {
        let (around, channel) = (neighbours.around(), neighbours.channel());
        let steps = values.map(|value| value * inverse);
        let (mut own, error) = chosen(&steps, &around, channel, contexts);
        left += f64::from(error);
        code_channel(&mut own, &around, channel, contexts, coder)?;
        neighbours.push(&own);
    }
    Ok(left * step(index).powi(2) / values.len().max(1) as f64)
}

/// The levels of a channel for values in steps, and the sum of their squared errors.
fn chosen(
    steps: &[f32; FREQUENCIES],
    around: &Around,
    channel: usize,
    contexts: &mut Contexts,
) -> (Block, f32) {
    let mut own = [0; FREQUENCIES];
    let energy = steps.iter().map(|steps| steps * steps).sum();
    if steps.iter().all(|steps| steps.abs() < 0.5) {
        return (own, energy);
    }
    let filled = contexts.filled(channel, around.kind);
    let mut gain = BIT * (filled.bits(false) - filled.bits(true));
    let mut left = 0.0;
    for (frequency, steps) in steps.iter().enumerate() {
        let kind = around.kind_of(&own, frequency);
        let nonzero = *contexts.nonzero(channel, frequency, kind);
        let none = steps * steps + BIT * nonzero.bits(false);
        let (level, cost) = nearest(steps.abs(), BIT * (nonzero.bits(true) + 1.0), kind, contexts)
            .filter(|(_, cost)| *cost < none)
            .unwrap_or((0.0, none));
        gain += steps * steps - cost;
        left += (steps.abs() - level).powi(2);
        own[frequency] = level.copysign(*steps) as i16;
    }
    if gain > 0.0 { (own, left) } else { ([0; FREQUENCIES], energy) }
}

/// Of the two levels from 1 on that are nearest to a value in steps, the one that costs least, and that cost;
/// `cost` is what any of them takes.
fn nearest(steps: f32, mut cost: f32, kind: usize, contexts: &mut Contexts) -> Option<(f32, f32)> {
    let nearest = (steps + 0.5).floor().min(MOST);
    let mut best: Option<(f32, f32)> = None;
    for magnitude in 1..COUNTED.min(nearest as usize + 1) {
        let (level, larger) = (magnitude as f32, *contexts.larger(magnitude, kind));
        let own = (steps - level).powi(2) + cost + BIT * larger.bits(false);
        if level >= nearest - 1.0 && best.is_none_or(|(_, least)| own < least) {
            best = Some((level, own));
        }
        cost += BIT * larger.bits(true);
    }
    // The code of what is beyond weighs next to nothing beside so large a value.
    let counted = nearest < COUNTED as f32;
    if counted { best } else { Some((nearest, (steps - nearest).powi(2) + cost)) }
}

#[cfg(test)]
mod tests {
    use super::super::chance::{Reader, Writer};
    use super::super::coefficients::code;
    use super::super::transform::{Levels, VALUES};
    use super::*;

    /// What is written of a picture of 4×4 blocks in steps of 1, and what `write` says is left.
    fn written(values: &[f32]) -> (Levels, f64) {
        let frequencies = Frequencies { columns: 4, values: values.to_vec() };
        let mut writer = Writer::new(1 << 20);
        let left = write(&frequencies, 0, &mut Contexts::default(), &mut writer).unwrap();
        let mut levels = Levels { columns: 4, values: vec![0; values.len()] };
        let bytes = writer.into_bytes().unwrap();
        code(&mut levels, &mut Contexts::default(), &mut Reader::new(&bytes)).unwrap();
        (levels, left)
    }

    /// Waves of all sizes up to some.
    fn values(size: f32) -> Vec<f32> {
        (0..16 * VALUES)
            .map(|k| (k as f32 * 1.7).sin() * (k as f32 * 0.013).cos().powi(3) * size)
            .collect()
    }

    #[test]
    fn levels_are_near_their_values_and_what_is_left_is_told() {
        for size in [1.0, 6.0, 40.0, 1e6] {
            let values = values(size);
            let (levels, left) = written(&values);
            let errors =
                values.iter().zip(&levels.values).map(|(v, l)| f64::from(v - f32::from(*l)));
            let squares: f64 = errors.map(|error| error * error).sum();
            let mean = squares / values.len() as f64;
            assert!((mean / left - 1.0).abs() < 1e-3, "{size}: {mean} {left}");
            for (value, level) in values.iter().zip(&levels.values) {
                let level = f32::from(*level);
                let far = (value.clamp(-MOST, MOST) - level).abs();
                assert!(far <= 1.5 && level.abs() <= value.abs() + 0.5, "{value} {level}");
                assert!(level != 0.0 || value.abs() < 3.0, "{value}");
            }
        }
    }

    #[test]
    fn a_value_alone_has_to_be_large_to_be_worth_its_bits() {
        let alone = |value: f32| {
            let mut values = vec![0.0; 16 * VALUES];
            values[5 * VALUES + 20] = value;
            written(&values).0.values[5 * VALUES + 20]
        };
        assert_eq!([0.4, 0.9, 20.4, -20.4].map(alone), [0, 0, 20, -20]);
        // Among many of its size it is worth them.
        assert_eq!(written(&[0.9; 16 * VALUES]).0.values[15 * VALUES + 20], 1);
    }
}
