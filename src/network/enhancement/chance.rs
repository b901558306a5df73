// SPDX-License-Identifier: MPL-2.0
//! Bits by a range coder, each with a probability that is learnt from the bits before it.

use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use constriction::stream::queue::{DefaultRangeDecoder, DefaultRangeEncoder};
use constriction::stream::{Decode, Encode};
use std::borrow::Borrow;
use std::num::NonZeroU32;

use super::Stuck;

/// Probabilities are multiples of 2⁻¹⁶.
const PRECISION: usize = 16;
const WHOLE: u32 = 1 << PRECISION;
/// The least probability of either value.
const LEAST: u32 = 64;
/// How many bits a first guess is worth.
const GUESS: u32 = 16;
/// How many bits a probability is the mean of, once there were so many.
const MEMORY: u32 = 160;

/// How likely a bit is set, from those before it in the same circumstances.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// Of [`WHOLE`].
    set: u32,
    /// What it already knows, in bits.
    seen: u32,
}

impl Chance {
    /// Even, and never learning.
    pub const EVEN: Self = Self { set: WHOLE / 2, seen: 0 };

    /// A first guess, so many times in a thousand.
    pub const fn new(thousandths: u32) -> Self {
        let set = WHOLE * thousandths / 1000;
        Self { set: if set < LEAST { LEAST } else { set }, seen: GUESS }
    }

    fn learn(&mut self, bit: bool) {
        let target = if bit { WHOLE - LEAST } else { LEAST };
        self.seen = (self.seen + 1).min(MEMORY);
        let step = self.seen + 1;
        self.set = (self.set * (step - 1) + target) / step;
    }

    /// What a bit takes, in bits.
    pub fn bits(&self, bit: bool) -> f32 {
        let chance = if bit { self.set } else { self.unset() };
        PRECISION as f32 - (chance as f32).log2()
    }

    fn unset(self) -> u32 {
        WHOLE - self.set
    }

    /// What is left of a bit's interval: where it starts, and how long it is.
    fn interval(self, bit: bool) -> Option<(u32, NonZeroU32)> {
        let (start, length) = if bit { (self.unset(), self.set) } else { (0, self.unset()) };
        Some((start, NonZeroU32::new(length)?))
    }
}

impl EntropyModel<PRECISION> for Chance {
    type Symbol = bool;
    type Probability = u32;
}

impl EncoderModel<PRECISION> for Chance {
    fn left_cumulative_and_probability(&self, bit: impl Borrow<bool>) -> Option<(u32, NonZeroU32)> {
        self.interval(*bit.borrow())
    }
}

impl DecoderModel<PRECISION> for Chance {
    fn quantile_function(&self, quantile: u32) -> (bool, u32, NonZeroU32) {
        let bit = quantile >= self.unset();
        let (start, length) = self.interval(bit).unwrap_or((0, NonZeroU32::MIN));
        (bit, start, length)
    }
}

/// Writes or reads bits: what goes through it is the same either way, so that both sides follow one path.
pub trait Coder {
    /// Passes a bit on, or puts in what was passed on in its place.
    ///
    /// # Errors
    /// [`Stuck`] where there is no room, or nothing that could have been written.
    fn code(&mut self, bit: &mut bool, chance: Chance) -> Result<(), Stuck>;

    /// A bit whose probability is learnt.
    ///
    /// # Errors
    /// As [`code`](Self::code).
    fn learnt(&mut self, bit: &mut bool, chance: &mut Chance) -> Result<(), Stuck> {
        self.code(bit, *chance)?;
        chance.learn(*bit);
        Ok(())
    }
}

/// Collects what is written, as long as it fits.
pub struct Writer {
    encoder: DefaultRangeEncoder,
    /// In bytes.
    room: usize,
}

impl Writer {
    /// For so many bytes.
    pub fn new(room: usize) -> Self {
        Self { encoder: DefaultRangeEncoder::new(), room }
    }

    /// All that was written.
    ///
    /// # Errors
    /// [`Stuck`] if it does not fit.
    pub fn into_bytes(self) -> Result<Vec<u8>, Stuck> {
        let Ok(words) = self.encoder.into_compressed();
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        if bytes.len() > self.room { Err(Stuck) } else { Ok(bytes) }
    }
}

impl Coder for Writer {
    fn code(&mut self, bit: &mut bool, chance: Chance) -> Result<(), Stuck> {
        // A word may still go when all is written, but hardly more.
        if self.encoder.bulk().len() * 4 > self.room {
            return Err(Stuck);
        }
        self.encoder.encode_symbol(*bit, chance).map_err(|_| Stuck)
    }
}

/// Reads what a [`Writer`] has written.
pub struct Reader(DefaultRangeDecoder);

impl Reader {
    /// From all the bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let words: Vec<_> = words.iter().copied().map(u32::from_le_bytes).collect();
        let Ok(decoder) = DefaultRangeDecoder::from_compressed(words);
        Self(decoder)
    }
}

impl Coder for Reader {
    fn code(&mut self, bit: &mut bool, chance: Chance) -> Result<(), Stuck> {
        *bit = self.0.decode_symbol(chance).map_err(|_| Stuck)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(coder: &mut impl Coder, bits: &mut [bool]) -> Result<(), Stuck> {
        let mut chance = Chance::new(500);
        bits.iter_mut().try_for_each(|bit| coder.learnt(bit, &mut chance))
    }

    #[test]
    fn bits_come_back_and_rare_ones_cost_little() {
        let mut bits: Vec<_> = (0..8000).map(|k| k % 97 == 3).collect();
        let mut writer = Writer::new(1000);
        coded(&mut writer, &mut bits).unwrap();
        let bytes = writer.into_bytes().unwrap();
        // 8000 bits of an entropy of 0.083 each are 83 bytes.
        assert!(bytes.len() < 110, "{}", bytes.len());
        let mut read = vec![false; bits.len()];
        coded(&mut Reader::new(&bytes), &mut read).unwrap();
        assert_eq!(read, bits);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut bits: Vec<_> = (0..8000).map(|k| k * k % 7 < 3).collect();
        assert!(coded(&mut Writer::new(500), &mut bits).is_err());
        let mut writer = Writer::new(4);
        coded(&mut writer, &mut bits[..40]).unwrap();
        assert!(writer.into_bytes().is_err());
    }

    #[test]
    fn what_was_not_written_is_read_without_a_panic() {
        for bytes in [vec![], vec![255; 64], (0..64).collect()] {
            let mut bits = vec![false; 4000];
            let _ = coded(&mut Reader::new(&bytes), &mut bits);
        }
    }
}
