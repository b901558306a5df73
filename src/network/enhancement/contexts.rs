// SPDX-License-Identifier: MPL-2.0
//! What is likely of a level, by how large its neighbours are.

use super::chance::Chance;
use super::transform::SIDE;

/// Channels of a block.
pub const CHANNELS: usize = 3;
/// Frequencies of a channel of a block.
pub const FREQUENCIES: usize = SIDE * SIDE;
/// Kinds of neighbourhoods, by how large levels are there.
const KINDS: usize = 21;
/// Kinds of frequencies, from low to high.
const ZONES: usize = 5;
/// Magnitudes below this are counted up, others have what is beyond it by Elias' gamma code.
pub const COUNTED: usize = 15;

/// What was learnt of the levels so far.
pub struct Contexts {
    /// By channel: whether a block has any level but 0.
    filled: [[Chance; KINDS]; CHANNELS],
    /// By grey or colour and zone.
    nonzero: [[[Chance; KINDS]; ZONES]; 2],
    /// By how far was counted, from 1.
    larger: [[Chance; KINDS]; COUNTED - 1],
}

impl Contexts {
    /// Whether a channel of a block has any level but 0, in a kind of neighbourhood.
    pub fn filled(&mut self, channel: usize, kind: usize) -> &mut Chance {
        &mut self.filled[channel][kind]
    }

    /// Whether a level is not 0.
    pub fn nonzero(&mut self, channel: usize, frequency: usize, kind: usize) -> &mut Chance {
        let zone = (frequency / SIDE + frequency % SIDE) / 3;
        &mut self.nonzero[channel.min(1)][zone][kind]
    }

    /// Whether a magnitude is larger than one from 1 on, below [`COUNTED`].
    pub fn larger(&mut self, magnitude: usize, kind: usize) -> &mut Chance {
        &mut self.larger[magnitude - 1][kind]
    }
}

/// First guesses for each kind, in thousandths, measured where pictures of 256×256 pixels were hidden.
type Guesses = [u32; KINDS];
const FILLED: Guesses = [
    32, 350, 418, 486, 565, 605, 639, 696, 731, 771, 818, 849, 870, 900, 905, 923, 927, 927, 927,
    946, 946,
];
/// From low frequencies to high ones, of which colours have more.
const LOW: Guesses = [
    54, 76, 92, 108, 153, 157, 223, 247, 285, 351, 407, 471, 529, 601, 667, 726, 785, 831, 885,
    905, 991,
];
const MIDDLE: Guesses = [
    8, 28, 38, 47, 73, 88, 148, 181, 216, 289, 354, 424, 491, 568, 639, 712, 776, 818, 866, 880,
    924,
];
const HIGH: Guesses = [
    1, 6, 14, 22, 33, 55, 95, 132, 171, 247, 314, 391, 468, 560, 633, 702, 763, 804, 832, 832, 942,
];
const HIGHEST: Guesses =
    [1, 2, 2, 3, 11, 26, 52, 92, 134, 214, 299, 379, 462, 548, 651, 715, 784, 821, 865, 891, 917];
const LARGER: Guesses =
    [16, 16, 16, 17, 22, 22, 27, 32, 45, 61, 84, 119, 168, 232, 307, 397, 473, 570, 645, 676, 711];

impl Default for Contexts {
    fn default() -> Self {
        let [low, middle, high, highest] =
            [LOW, MIDDLE, HIGH, HIGHEST].map(|guesses| guesses.map(Chance::new));
        Self {
            filled: [FILLED.map(Chance::new); CHANNELS],
            nonzero: [[low, low, middle, high, highest], [low, middle, highest, highest, highest]],
            larger: [LARGER.map(Chance::new); COUNTED - 1],
        }
    }
}

/// The least sums of magnitudes of all kinds but the first, in sixteenths: (2^(k/3) − 1) / 2, rounded up.
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

/// The kind of a neighbourhood by a weighted sum of its magnitudes, in sixteenths.
pub fn kind(sum: u32) -> usize {
    usize::from(KIND_OF[LARGEST.min(sum as usize)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbourhoods_are_told_apart_by_the_cube_root_of_two() {
        for sum in 0..2000 {
            let exact = (3.0 * (1.0 + f64::from(sum) / 8.0).log2()).floor().min(20.0);
            assert_eq!(kind(sum) as f64, exact, "{sum}");
        }
        assert_eq!(kind(u32::MAX), 20);
    }
}
