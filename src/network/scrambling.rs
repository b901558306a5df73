// SPDX-License-Identifier: MPL-2.0
//! Keyed scrambling of the mosaic in 16×16 blocks: their order, turn, flip, negation and channel
//! order (the encryption-then-compression family of Kurihara, Shiota and Kiya). It defeats casual
//! and automated reveal; it is no cipher.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use tch::{Device, Kind, Tensor};

use super::Error;
use super::passphrase::{Key, Numbers};

const BLOCK: usize = 16;
const CHANNELS: usize = 3;

/// The six orders of three channels.
const ORDERS: [[usize; CHANNELS]; 6] =
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// A passphrase's scrambling for mosaics of any size; keeps that of the last size.
pub struct Scrambler {
    key: Key,
    last: Mutex<Option<Arc<Scrambling>>>,
}

impl Scrambler {
    /// Derives the key, which takes some tenths of a second.
    ///
    /// # Errors
    /// [`Error::Passphrase`].
    pub fn new(passphrase: &[u8]) -> Result<Self, Error> {
        Ok(Self { key: Key::derive(passphrase)?, last: Mutex::default() })
    }

    /// Of a passphrase that a user may have left out or empty: then nothing is scrambled.
    ///
    /// # Errors
    /// [`Error::Passphrase`].
    pub fn optional(passphrase: Option<&[u8]>) -> Result<Option<Self>, Error> {
        passphrase.filter(|passphrase| !passphrase.is_empty()).map(Self::new).transpose()
    }

    /// What the passphrase stands for.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// The scrambling of 1×3×H×W mosaics like this one.
    pub(super) fn like(&self, mosaic: &Tensor) -> Arc<Scrambling> {
        let size = mosaic.size();
        let (height, width) = (size[2] as usize, size[3] as usize);
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*last {
            Some(scrambling)
                if scrambling.size == (width, height)
                    && scrambling.source.device() == mosaic.device() =>
            {
                scrambling.clone()
            }
            _ => {
                let scrambling = Scrambling::new(&self.key, width, height, mosaic.device());
                last.insert(Arc::new(scrambling)).clone()
            }
        }
    }
}

/// A key's scrambling for mosaics of one size.
#[derive(Debug)]
pub struct Scrambling {
    size: (usize, usize),
    /// Where each value of a scrambled mosaic comes from: 3·H·W indices.
    source: Tensor,
    /// The inverse of `source`.
    target: Tensor,
    /// 1 where a value of a scrambled mosaic is negated, else 0.
    negated: Tensor,
}

// SAFETY: the tensors are never written after `new`, and libtorch's operators may read one tensor
// from several threads at once.
unsafe impl Sync for Scrambling {}

impl Scrambling {
    /// The scrambling of B×3×`height`×`width` mosaics.
    pub fn new(key: &Key, width: usize, height: usize, device: Device) -> Self {
        let mut map = Map::new(width, height);
        let mut numbers = key.numbers(width as u32, height as u32);
        let (columns, rest_columns) = spans(width);
        let (rows, rest_rows) = spans(height);
        // Partial blocks change places among their own shape.
        for (rows, columns) in [
            (&rows, &columns),
            (&rows, &rest_columns),
            (&rest_rows, &columns),
            (&rest_rows, &rest_columns),
        ] {
            map.scramble(&blocks(rows, columns), &mut numbers);
        }
        map.into_scrambling(device)
    }

    /// B×3×H×W mosaics, scrambled.
    pub fn scramble(&self, mosaics: &Tensor) -> Tensor {
        self.negate(flat(mosaics).index_select(1, &self.source)).view_as(mosaics)
    }

    /// The inverse of [`scramble`](Self::scramble).
    pub fn unscramble(&self, mosaics: &Tensor) -> Tensor {
        self.negate(flat(mosaics)).index_select(1, &self.target).view_as(mosaics)
    }

    /// The gradient of a loss in the mosaics that [`unscramble`](Self::unscramble) takes, given that in
    /// the mosaics B×3×H×W that it gives.
    pub fn unscramble_gradient(&self, unscrambled: &Tensor) -> Tensor {
        let values = flat(unscrambled).index_select(1, &self.source);
        (&values - &values * &self.negated * 2.0).view_as(unscrambled)
    }

    /// x or 1 − x, which is its own inverse.
    fn negate(&self, values: Tensor) -> Tensor {
        &values + (1.0 - &values * 2.0) * &self.negated
    }
}

fn flat(mosaics: &Tensor) -> Tensor {
    mosaics.reshape([mosaics.size()[0], -1])
}

/// A rectangle of pixels.
#[derive(Clone, Debug)]
struct Block {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Block {
    /// The pixel of this block that comes to (y, x) of its place, after the turn and flips.
    fn pixel(
        &self,
        y: usize,
        x: usize,
        turned: bool,
        upside_down: bool,
        mirrored: bool,
    ) -> (usize, usize) {
        let (y, x) = if turned { (x, y) } else { (y, x) };
        let y = if upside_down { self.rows.len() - 1 - y } else { y };
        let x = if mirrored { self.columns.len() - 1 - x } else { x };
        (self.rows.start + y, self.columns.start + x)
    }
}

/// Whole blocks along an axis, and what is left at its end.
fn spans(length: usize) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let whole = length / BLOCK;
    let spans = (0..whole).map(|k| k * BLOCK..(k + 1) * BLOCK).collect();
    let rest = whole * BLOCK..length;
    (spans, if rest.is_empty() { vec![] } else { vec![rest] })
}

fn blocks(rows: &[Range<usize>], columns: &[Range<usize>]) -> Vec<Block> {
    rows.iter()
        .flat_map(|rows| {
            columns.iter().map(|columns| Block { rows: rows.clone(), columns: columns.clone() })
        })
        .collect()
}

struct Map {
    width: usize,
    height: usize,
    source: Vec<i32>,
    target: Vec<i32>,
    negated: Vec<bool>,
}

impl Map {
    fn new(width: usize, height: usize) -> Self {
        let values = CHANNELS * width * height;
        let [source, target] = [(); 2].map(|()| vec![0; values]);
        Self { width, height, source, target, negated: vec![false; values] }
    }

    /// Scrambles blocks of one shape among themselves.
    fn scramble(&mut self, blocks: &[Block], numbers: &mut Numbers) {
        let order = numbers.permutation(blocks.len());
        for (place, from) in blocks.iter().zip(order) {
            self.fill(place, &blocks[from], numbers);
        }
    }

    fn fill(&mut self, place: &Block, from: &Block, numbers: &mut Numbers) {
        let whole = place.rows.len() == BLOCK && place.columns.len() == BLOCK;
        // A swap of the axes before the flips makes all eight turns and mirrors of a square.
        let turned = numbers.below(2) == 1 && whole;
        let (upside_down, mirrored) = (numbers.below(2) == 1, numbers.below(2) == 1);
        let negated = numbers.below(2) == 1;
        let order = ORDERS[numbers.below(6) as usize];
        for (channel, &from_channel) in order.iter().enumerate() {
            for (y, row) in place.rows.clone().enumerate() {
                for (x, column) in place.columns.clone().enumerate() {
                    let (from_row, from_column) = from.pixel(y, x, turned, upside_down, mirrored);
                    let value = self.index(channel, row, column);
                    let from = self.index(from_channel, from_row, from_column);
                    (self.source[value], self.target[from]) = (from as i32, value as i32);
                    self.negated[value] = negated;
                }
            }
        }
    }

    fn index(&self, channel: usize, row: usize, column: usize) -> usize {
        (channel * self.height + row) * self.width + column
    }

    fn into_scrambling(self, device: Device) -> Scrambling {
        Scrambling {
            size: (self.width, self.height),
            source: Tensor::from_slice(&self.source).to_device(device),
            target: Tensor::from_slice(&self.target).to_device(device),
            negated: Tensor::from_slice(&self.negated).to_device(device).to_kind(Kind::Float),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [(usize, usize); 4] = [(1920, 1080), (126, 92), (16, 16), (5, 3)];

    fn scrambling(seed: u8, width: usize, height: usize) -> Scrambling {
        Scrambling::new(&Key::from_bytes([seed; 32]), width, height, Device::Cpu)
    }

    fn mosaics(width: usize, height: usize) -> Tensor {
        Tensor::rand([2, 3, height as i64, width as i64], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn the_key_undoes_it() {
        for (width, height) in SIZES {
            let (mosaics, scrambling) = (mosaics(width, height), scrambling(1, width, height));
            let back = scrambling.unscramble(&scrambling.scramble(&mosaics));
            assert!((back - mosaics).abs().max().double_value(&[]) < 1e-6, "{width}x{height}");
        }
    }

    #[test]
    fn no_passphrase_and_an_empty_one_scramble_nothing() {
        assert!(Scrambler::optional(None).unwrap().is_none());
        assert!(Scrambler::optional(Some(b"")).unwrap().is_none());
    }

    #[test]
    fn another_key_does_not() {
        let mosaics = mosaics(126, 92);
        let scrambled = scrambling(1, 126, 92).scramble(&mosaics);
        let error = scrambling(2, 126, 92).unscramble(&scrambled) - &mosaics;
        // Independent values in [0, 1] differ by 1/6 in the mean square.
        assert!(error.square().mean(Kind::Float).double_value(&[]) > 0.15);
    }

    /// The share of some values that 200 keys leave where and as they are, on the mean: one key may
    /// well leave one block of a small mosaic in its place.
    fn clear(width: usize, height: usize, within: impl Fn(usize, usize) -> bool) -> f64 {
        let (mut all, mut clear) = (0, 0);
        for seed in 0..200 {
            let scrambling = scrambling(seed, width, height);
            let source = Vec::<i32>::try_from(&scrambling.source).unwrap();
            let negated = Vec::<f32>::try_from(&scrambling.negated).unwrap();
            for (place, (&from, &negated)) in source.iter().zip(&negated).enumerate() {
                if within(place % width, place / width % height) {
                    all += 1;
                    clear += usize::from(from == place as i32 && negated == 0.0);
                }
            }
        }
        clear as f64 / all as f64
    }

    #[test]
    fn nearly_no_value_stays_clear() {
        for (width, height) in [(320, 208), (126, 92)] {
            let share = clear(width, height, |_, _| true);
            assert!(share < 0.01, "{width}x{height}: {share}");
        }
    }

    /// 126x94: 14 columns and 14 rows in blocks that are not whole.
    #[test]
    fn no_edge_stays_clear() {
        let right = clear(126, 94, |x, y| x >= 112 && y < 80);
        let below = clear(126, 94, |x, y| x < 112 && y >= 80);
        assert!(right < 0.02 && below < 0.02, "right {right}, below {below}");
        // The corner has no other of its shape. A key leaves both its axes in a quarter of cases,
        // its sign in half of them, a channel in a third: 0.04 on the mean.
        let corner = clear(126, 94, |x, y| x >= 112 && y >= 80);
        assert!(corner < 0.08, "corner {corner}");
    }
}
