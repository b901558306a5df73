// SPDX-License-Identifier: MPL-2.0
//! Levels of frequencies to few bits: how large one is, is likely like its neighbours.

use super::Stuck;
use super::chance::{Chance, Coder};
use super::transform::{Frequencies, Levels, SIDE, VALUES, step};

const CHANNELS: usize = 3;
const FREQUENCIES: usize = SIDE * SIDE;
/// Kinds of neighbourhoods, by how large levels are there.
const KINDS: usize = 21;
/// Kinds of frequencies, from low to high.
const ZONES: usize = 5;
/// Magnitudes below this are counted up, others have what is beyond it by Elias and Gamma.
const COUNTED: usize = 15;
/// A neighbourhood's sum of magnitudes has so many fractions of one.
const FRACTIONS: u32 = 16;

/// What was learnt of the levels so far.
pub struct Contexts {
    /// By channel: whether a block has any level but 0.
    filled: [[Chance; KINDS]; CHANNELS],
    /// By grey or colour and zone.
    nonzero: [[[Chance; KINDS]; ZONES]; 2],
    /// By how far was counted, from 1.
    larger: [[Chance; KINDS]; COUNTED - 1],
}

/// First guesses for each kind, in thousandths, measured where 256×256 pictures of ImageNet were hidden.
type Guesses = [u32; KINDS];
const FILLED: Guesses = [
    50, 330, 450, 560, 710, 750, 810, 850, 890, 915, 930, 960, 970, 980, 980, 990, 990, 990, 990,
    990, 990,
];
/// Of low frequencies.
const NONZERO: Guesses = [
    14, 20, 28, 41, 65, 91, 126, 171, 227, 290, 360, 435, 515, 590, 650, 720, 780, 830, 870, 900,
    920,
];
/// Of high ones, which in colours are more.
const NONZERO_HIGH: Guesses =
    [1, 2, 4, 8, 17, 33, 60, 98, 150, 205, 270, 360, 460, 565, 660, 700, 780, 830, 870, 900, 920];
const LARGER: Guesses =
    [8, 10, 12, 16, 20, 27, 37, 54, 80, 113, 150, 205, 263, 350, 460, 500, 550, 600, 650, 700, 750];

impl Default for Contexts {
    fn default() -> Self {
        let [low, high] = [NONZERO, NONZERO_HIGH].map(|guesses| guesses.map(Chance::new));
        Self {
            filled: [FILLED.map(Chance::new); CHANNELS],
            nonzero: [[low, low, low, low, high], [low, low, high, high, high]],
            larger: [LARGER.map(Chance::new); COUNTED - 1],
        }
    }
}

/// The least sums of magnitudes, in [`FRACTIONS`], of all kinds but the first: (2^(k/3) − 1) / 2, rounded up.
const STARTS: [usize; KINDS - 1] =
    [3, 5, 8, 13, 18, 24, 33, 43, 56, 73, 94, 120, 154, 196, 248, 315, 399, 504, 638, 805];
const LARGEST: usize = STARTS[KINDS - 2];

/// The kind of each sum up to the largest start.
static KIND_OF: [u8; LARGEST + 1] = {
    let mut kinds = [0; LARGEST + 1];
    let (mut sum, mut kind) = (0, 0);
    while sum <= LARGEST {
        if kind < KINDS - 1 && sum == STARTS[kind] {
            kind += 1;
        }
        kinds[sum] = kind as u8;
        sum += 1;
    }
    kinds
};

/// Which neighbourhood a sum of magnitudes is, in [`FRACTIONS`].
fn kind(sum: u32) -> usize {
    usize::from(KIND_OF[LARGEST.min(sum as usize)])
}

/// From how far below a level a value is rounded up to it: less where neighbours are small, since levels
/// there cost most bits.
const UP: [(usize, f32); 3] = [(2, 0.15), (7, 0.27), (KINDS, 0.35)];
/// Below this a value in steps becomes 0 anywhere.
const NOTHING: f32 = 0.65;
/// Levels are clamped to ± this.
const MOST: f32 = i16::MAX as f32;

/// Frequencies in whole steps of an index.
pub fn rounded(frequencies: &Frequencies, index: u8) -> Levels {
    let inverse = (1.0 / step(index)) as f32;
    let Frequencies { columns, values } = frequencies;
    let mut levels = Levels { columns: *columns, values: vec![0; values.len()] };
    for (channel, own) in values.chunks_exact(FREQUENCIES).enumerate() {
        let (block, channel) = (channel / CHANNELS, channel % CHANNELS);
        let place = Place { levels: &mut levels, block, channel };
        let around = place.around();
        for (frequency, value) in own.iter().enumerate() {
            let steps = value.abs() * inverse;
            if steps >= NOTHING {
                let kind = place.kind(frequency, around);
                let up = UP.iter().find(|(kinds, _)| kind < *kinds).map_or(0.0, |(_, up)| *up);
                let level = (steps + up).floor().min(MOST).copysign(*value);
                let at = place.start(block, channel) + frequency;
                place.levels.values[at] = level as i16;
            }
        }
    }
    levels
}

/// Puts the levels of one picture through a coder, all of them set before, if it writes.
///
/// # Errors
/// The coder's, and [`Stuck`] if it reads what cannot have been written.
pub fn code(
    levels: &mut Levels,
    contexts: &mut Contexts,
    coder: &mut impl Coder,
) -> Result<(), Stuck> {
    let blocks = levels.values.len() / VALUES;
    for block in 0..blocks {
        for channel in 0..CHANNELS {
            Place { levels, block, channel }.code(contexts, coder)?;
        }
    }
    Ok(())
}

/// One channel of one block.
struct Place<'a> {
    levels: &'a mut Levels,
    block: usize,
    channel: usize,
}

impl Place<'_> {
    fn code(&mut self, contexts: &mut Contexts, coder: &mut impl Coder) -> Result<(), Stuck> {
        let around = self.around();
        let own = self.start(self.block, self.channel);
        let mut filled = self.levels.values[own..][..FREQUENCIES].iter().any(|level| *level != 0);
        coder.learnt(&mut filled, &mut contexts.filled[self.channel][kind(4 * around)])?;
        if !filled {
            return Ok(());
        }
        for frequency in 0..FREQUENCIES {
            let kind = self.kind(frequency, around);
            let zone = (frequency / SIDE + frequency % SIDE) / 3;
            let nonzero = &mut contexts.nonzero[self.channel.min(1)][zone][kind];
            let level = &mut self.levels.values[own + frequency];
            code_level(level, nonzero, kind, &mut contexts.larger, coder)?;
        }
        Ok(())
    }

    fn start(&self, block: usize, channel: usize) -> usize {
        block * VALUES + channel * FREQUENCIES
    }

    fn magnitude(&self, block: usize, channel: usize, frequency: usize) -> u32 {
        self.levels.values[self.start(block, channel) + frequency].unsigned_abs().into()
    }

    /// The blocks to the left and above, if there are.
    fn before(&self) -> impl Iterator<Item = usize> + use<> {
        let left = (!self.block.is_multiple_of(self.levels.columns)).then(|| self.block - 1);
        let above = self.block.checked_sub(self.levels.columns);
        left.into_iter().chain(above)
    }

    /// The sum of the same channel's magnitudes in the blocks before: with it as a sum in [`FRACTIONS`], the mean of
    /// each counts as four neighbours.
    fn around(&self) -> u32 {
        let sum = |block| {
            let values = &self.levels.values[self.start(block, self.channel)..][..FREQUENCIES];
            values.iter().map(|level| u32::from(level.unsigned_abs())).sum::<u32>()
        };
        self.before().map(sum).sum()
    }

    /// The neighbourhood of a frequency.
    fn kind(&self, frequency: usize, around: u32) -> usize {
        kind(self.neighbours(frequency) + around)
    }

    /// Magnitudes of the same frequency in the blocks and channels before, and of lower ones.
    fn neighbours(&self, frequency: usize) -> u32 {
        let own = |frequency| self.magnitude(self.block, self.channel, frequency);
        let mut sum: u32 =
            self.before().map(|block| self.magnitude(block, self.channel, frequency)).sum();
        let (down, across) = (frequency >= SIDE, !frequency.is_multiple_of(SIDE));
        if down {
            sum += own(frequency - SIDE);
        }
        if across {
            sum += own(frequency - 1);
        }
        if down && across {
            sum += own(frequency - SIDE - 1);
        }
        let others = 0..self.channel;
        let others: u32 =
            others.map(|channel| self.magnitude(self.block, channel, frequency)).sum();
        sum * FRACTIONS + others * FRACTIONS / 2
    }
}

fn code_level(
    level: &mut i16,
    nonzero: &mut Chance,
    kind: usize,
    larger: &mut [[Chance; KINDS]; COUNTED - 1],
    coder: &mut impl Coder,
) -> Result<(), Stuck> {
    let given = usize::from(level.unsigned_abs());
    let mut more = given > 0;
    coder.learnt(&mut more, nonzero)?;
    let mut magnitude = 0;
    while more {
        magnitude += 1;
        if magnitude == COUNTED {
            magnitude += code_rest(given.saturating_sub(COUNTED), coder)?;
            break;
        }
        more = given > magnitude;
        coder.learnt(&mut more, &mut larger[magnitude - 1][kind])?;
    }
    let mut negative = *level < 0;
    if magnitude > 0 {
        coder.code(&mut negative, Chance::EVEN)?;
    }
    let magnitude = i16::try_from(magnitude).map_err(|_| Stuck)?;
    *level = if negative { -magnitude } else { magnitude };
    Ok(())
}

/// A number by Elias' gamma code of one more.
fn code_rest(given: usize, coder: &mut impl Coder) -> Result<usize, Stuck> {
    let given = given + 1;
    let mut digits = 1;
    loop {
        let mut more = given >> digits > 0;
        coder.code(&mut more, Chance::EVEN)?;
        if !more {
            break;
        }
        digits += 1;
        if digits > 16 {
            return Err(Stuck);
        }
    }
    let mut number = 1;
    for digit in (0..digits - 1).rev() {
        let mut bit = given >> digit & 1 == 1;
        coder.code(&mut bit, Chance::EVEN)?;
        number = number << 1 | usize::from(bit);
    }
    Ok(number - 1)
}

#[cfg(test)]
mod tests {
    use super::super::chance::{Reader, Writer};
    use super::*;
    use proptest::prelude::*;

    fn written(levels: &Levels) -> Vec<u8> {
        let mut writer = Writer::new(usize::MAX);
        code(&mut levels.clone(), &mut Contexts::default(), &mut writer).unwrap();
        writer.into_bytes().unwrap()
    }

    fn read(bytes: &[u8], columns: usize, values: usize) -> Result<Levels, Stuck> {
        let mut levels = Levels { columns, values: vec![0; values] };
        code(&mut levels, &mut Contexts::default(), &mut Reader::new(bytes))?;
        Ok(levels)
    }

    proptest! {
        #[test]
        fn levels_come_back(
            sparse in proptest::collection::vec((0..6 * VALUES, -i16::MAX..=i16::MAX), 0..40),
            dense in proptest::collection::vec(-3..=3_i16, 2 * VALUES),
        ) {
            let mut values = vec![0; 6 * VALUES];
            values[..2 * VALUES].copy_from_slice(&dense);
            for (place, level) in sparse {
                values[place] = level;
            }
            let levels = Levels { columns: 3, values };
            prop_assert_eq!(read(&written(&levels), 3, 6 * VALUES).unwrap(), levels);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..6000),
        ) {
            let _ = read(&bytes, 2, 4 * VALUES);
        }
    }

    #[test]
    fn a_magnitude_that_no_level_has_is_an_error() {
        let written = |given: usize| {
            let mut writer = Writer::new(100);
            let (mut contexts, mut yes) = (Contexts::default(), true);
            writer.learnt(&mut yes, &mut contexts.filled[0][0]).unwrap();
            writer.learnt(&mut yes, &mut contexts.nonzero[0][0][0]).unwrap();
            for counted in &mut contexts.larger {
                writer.learnt(&mut yes, &mut counted[0]).unwrap();
            }
            code_rest(given - COUNTED, &mut writer).unwrap();
            writer.into_bytes().unwrap()
        };
        assert_eq!(read(&written(32_767), 1, VALUES).unwrap().values[0], 32_767);
        assert!(read(&written(32_768), 1, VALUES).is_err());
        // All bits set, so that numbers have no end.
        assert!(read(&[255; 4000], 1, VALUES).is_err());
    }

    #[test]
    fn nothing_takes_next_to_nothing() {
        let levels = Levels { columns: 32, values: vec![0; 1024 * VALUES] };
        assert!(written(&levels).len() < 32, "{}", written(&levels).len());
    }

    #[test]
    fn neighbourhoods_are_told_apart_by_the_cube_root_of_two() {
        for sum in 0..2000 {
            let exact = (3.0 * (1.0 + f64::from(sum) / 8.0).log2()).floor().min(20.0);
            assert_eq!(kind(sum) as f64, exact, "{sum}");
        }
        assert_eq!(kind(u32::MAX), 20);
    }
}
