// SPDX-License-Identifier: MPL-2.0
//! Bytes as digits that a stego's values leave as remainders: R, G and B of pixel after pixel, row after row.

use std::ops::Range;

use tch::{Device, Tensor};

use crate::network::quantisation::{Digits, FREE};
use crate::network::{Frame, Grid};

const CHANNELS: usize = 3;
/// The most digits that bits go into together.
const MOST_DIGITS: u32 = 12;

/// The base of the digits that a grid's stegos carry. The more secrets, the less each gains by larger ones for what
/// they take off the stego; and what they do to scattered tiles no other carrier makes up for.
pub fn base(grid: Grid, sealed: bool) -> u8 {
    if grid.secrets() <= 4 && !sealed { 4 } else { 3 }
}

/// Some rows of a stego, as wide as what is hidden in.
#[derive(Clone, Debug)]
pub struct Carrier {
    /// From the top.
    pub rows: Range<i64>,
    /// In pixels.
    pub width: i64,
    /// Of the digits.
    base: u8,
    /// Whether there is a passphrase.
    sealed: bool,
    group: Group,
}

/// So many bits go into so many digits, as one number.
#[derive(Clone, Copy, Debug)]
struct Group {
    bits: u32,
    digits: usize,
}

impl Group {
    /// The smallest of those that leave least room.
    fn of(base: u8) -> Self {
        let group = |digits: u32| Self {
            bits: u64::from(base).pow(digits).ilog2(),
            digits: digits as usize,
        };
        let better = |best: Self, other: Self| {
            if other.bits as usize * best.digits > best.bits as usize * other.digits {
                other
            } else {
                best
            }
        };
        (2..=MOST_DIGITS).map(group).fold(group(1), better)
    }
}

impl Carrier {
    /// Those of a grid's stegos, with a passphrase or without one.
    pub fn new(grid: Grid, sealed: bool, rows: Range<i64>, width: i64) -> Self {
        Self::of(base(grid, sealed), sealed, rows, width)
    }

    fn of(base: u8, sealed: bool, rows: Range<i64>, width: i64) -> Self {
        Self { rows, width, base, sealed, group: Group::of(base) }
    }

    /// Whole bytes that fit.
    pub fn capacity(&self) -> usize {
        let Group { bits, digits } = self.group;
        self.values() / digits * bits as usize / 8
    }

    fn values(&self) -> usize {
        (self.rows.end - self.rows.start) as usize * self.width as usize * CHANNELS
    }

    /// The bytes in a stego that is no smaller.
    pub fn read(&self, stego: &Frame) -> Vec<u8> {
        let (length, stride) = (self.width as usize * CHANNELS, stego.width() * CHANNELS);
        let rows = stego.pixels().chunks_exact(stride).take(self.rows.end as usize);
        let rows = rows.skip(self.rows.start as usize).flat_map(|row| &row[..length]);
        let values: Vec<u8> = rows.copied().collect();
        let (Group { bits, digits }, base) = (self.group, u64::from(self.base));
        let number = |values: &[u8]| {
            values.iter().rev().fold(0, |number, value| number * base + u64::from(*value) % base)
        };
        regrouped(values.chunks_exact(digits).map(number), bits, 8).map(|byte| byte as u8).collect()
    }

    /// What digits its values have to have, 1×3×H×W, for bytes that fit; [`FREE`] after them.
    pub fn digits(&self, bytes: &[u8], device: Device) -> Digits {
        let (Group { bits, digits }, base) = (self.group, u64::from(self.base));
        // The last number may lack bits.
        let bytes = bytes.iter().copied().chain([0; 8]).map(u64::from);
        let place = move |number: u64| (0..digits as u32).map(move |k| number / base.pow(k) % base);
        let digits = regrouped(bytes, 8, bits).flat_map(place).map(|digit| digit as f32);
        let mut values: Vec<f32> = digits.take(self.values()).collect();
        values.resize(self.values(), FREE);
        let values = Tensor::from_slice(&values).view([1, -1, self.width, CHANNELS as i64]);
        let values = values.permute([0, 3, 1, 2]).to_device(device);
        Digits { values, base: self.base, sealed: self.sealed }
    }
}

/// Numbers of so many bits as numbers of so many others, as far as they are whole; the lowest bits come first.
fn regrouped(
    mut numbers: impl Iterator<Item = u64>,
    from: u32,
    to: u32,
) -> impl Iterator<Item = u64> {
    let (mut waiting, mut count) = (0, 0);
    std::iter::from_fn(move || {
        while count < to {
            waiting |= numbers.next()? << count;
            count += from;
        }
        let number = waiting & ((1 << to) - 1);
        waiting >>= to;
        count -= to;
        Some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::quantisation::to_bytes;

    #[test]
    fn bytes_come_back_out_of_the_rows_they_went_into() {
        // Two columns are not hidden in.
        let frame = |value: u8| Frame::new(7, 6, vec![value; 7 * 6 * 3]).unwrap();
        for (base, capacity) in [(2, 7), (3, 11), (4, 15)] {
            let carrier = Carrier::of(base, false, 2..6, 5);
            assert_eq!(carrier.capacity(), capacity);
            for bytes in [vec![1, 2, 255, 0, 170], (0..capacity as u8).map(|k| !k).collect()] {
                let stego = frame(100).to_tensor(Device::Cpu) * 255.0;
                let mut rows = stego.narrow(2, 2, 4).narrow(3, 0, 5);
                rows.copy_(&to_bytes(&rows, Some(&carrier.digits(&bytes, Device::Cpu))));
                let stego = Frame::from_tensor(&(stego / 255.0)).unwrap().swap_remove(0);
                let read = carrier.read(&stego);
                assert_eq!((read.len(), &read[..bytes.len()]), (capacity, &bytes[..]));
                let changed = stego.pixels().iter().enumerate().filter(|(_, value)| **value != 100);
                assert!(changed.clone().count() > 5);
                assert!(
                    changed.into_iter().all(|(place, _)| place >= 2 * 7 * 3 && place / 3 % 7 < 5)
                );
            }
        }
    }

    #[test]
    fn digits_hold_next_to_all_the_bits_they_can() {
        for base in 2..=8_u8 {
            let Group { bits, digits } = Group::of(base);
            let part = f64::from(bits) / (digits as f64 * f64::from(base).log2());
            assert!((0.98..=1.0).contains(&part), "{base}: {part}");
        }
    }
}
