// SPDX-License-Identifier: MPL-2.0
//! A channel of a block among the levels of a picture, and what is near it.

use super::contexts::{FREQUENCIES, kind};
use super::transform::{Levels, SIDE, VALUES};

/// One channel of one block.
pub struct Channel<'a> {
    /// Of the whole picture. Those of blocks and channels before this one count.
    pub levels: &'a mut Levels,
    /// The block's number, row by row.
    pub block: usize,
    /// The channel's number.
    pub channel: usize,
}

impl Channel<'_> {
    /// The levels themselves.
    pub fn own(&mut self) -> &mut [i16] {
        let start = self.start(self.block, self.channel);
        &mut self.levels.values[start..][..FREQUENCIES]
    }

    /// The kind of neighbourhood of the whole: by the mean of the magnitudes of the blocks beside.
    pub fn kind(&self) -> usize {
        let sum = |block| {
            let start = self.start(block, self.channel);
            let levels = &self.levels.values[start..][..FREQUENCIES];
            levels.iter().map(|level| u32::from(level.unsigned_abs())).sum::<u32>()
        };
        kind(4 * self.beside().into_iter().flatten().map(sum).sum::<u32>())
    }

    /// The kind of neighbourhood of a frequency: by magnitudes of about the same one in the blocks around and the
    /// channels before, and of lower ones.
    pub fn kind_of(&self, frequency: usize) -> usize {
        let of = |blocks: [Option<usize>; 2]| {
            blocks.into_iter().flatten().map(|block| self.near(block, frequency)).sum::<u32>()
        };
        let channels =
            (0..self.channel).map(|channel| self.magnitude(self.block, channel, frequency));
        let channels = channels.sum::<u32>();
        kind(
            4 * (2 * (of(self.beside()) + channels)
                + of(self.across())
                + 3 * self.lower(frequency)),
        )
    }

    fn start(&self, block: usize, channel: usize) -> usize {
        block * VALUES + channel * FREQUENCIES
    }

    fn magnitude(&self, block: usize, channel: usize, frequency: usize) -> u32 {
        self.levels.values[self.start(block, channel) + frequency].unsigned_abs().into()
    }

    /// The blocks to the left and above, if there are.
    fn beside(&self) -> [Option<usize>; 2] {
        let left = (!self.block.is_multiple_of(self.levels.columns)).then(|| self.block - 1);
        [left, self.block.checked_sub(self.levels.columns)]
    }

    /// The blocks above to the left and to the right, if there are.
    fn across(&self) -> [Option<usize>; 2] {
        let [left, above] = self.beside();
        let right = !(self.block + 1).is_multiple_of(self.levels.columns);
        [
            above.zip(left).map(|(above, _)| above - 1),
            above.filter(|_| right).map(|above| above + 1),
        ]
    }

    /// Magnitudes of a frequency and of the four next to it in another block.
    fn near(&self, block: usize, frequency: usize) -> u32 {
        let (row, column) = (frequency / SIDE, frequency % SIDE);
        let start = self.start(block, self.channel) + frequency;
        let at = |there: bool, place: usize| match there {
            true => u32::from(self.levels.values[place].unsigned_abs()),
            false => 0,
        };
        let vertical = at(row > 0, start.wrapping_sub(SIDE)) + at(row < SIDE - 1, start + SIDE);
        let horizontal = at(column > 0, start.wrapping_sub(1)) + at(column < SIDE - 1, start + 1);
        3 * at(true, start) + vertical + horizontal
    }

    /// Magnitudes of the five lower frequencies nearest to one.
    fn lower(&self, frequency: usize) -> u32 {
        let (row, column) = (frequency / SIDE, frequency % SIDE);
        let at = |rows: usize, columns: usize| match row >= rows && column >= columns {
            true => self.magnitude(self.block, self.channel, frequency - rows * SIDE - columns),
            false => 0,
        };
        2 * (at(0, 1) + at(1, 0)) + at(1, 1) + at(0, 2) + at(2, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a picture of 3×2 blocks with a single level.
    fn kinds(at: (usize, usize, usize), place: (usize, usize), frequency: usize) -> (usize, usize) {
        let mut levels = Levels { columns: 3, values: vec![0; 6 * VALUES] };
        let (block, channel, own) = at;
        levels.values[block * VALUES + channel * FREQUENCIES + own] = -4;
        let channel = Channel { levels: &mut levels, block: place.0, channel: place.1 };
        (channel.kind(), channel.kind_of(frequency))
    }

    #[test]
    fn what_is_near_counts_the_more_the_nearer() {
        // The same frequency of the block to the left, the next one there, the same one across, none.
        let (whole, left) = kinds((3, 1, 9), (4, 1), 9);
        let [next, across, far] =
            [(3, 1, 17), (2, 1, 9), (3, 1, 27)].map(|at| kinds(at, (4, 1), 9).1);
        assert!(whole > 0 && left > next && left > across && next > 0 && across > 0 && far == 0);
        // Colours before it, lower frequencies.
        assert!(kinds((4, 0, 9), (4, 1), 9).1 > 0 && kinds((4, 1, 8), (4, 1), 9).1 > 0);
    }

    #[test]
    fn blocks_past_an_edge_are_none() {
        // The block before the first of a row is the last of the row above, which is not near.
        assert_eq!(kinds((2, 0, 0), (3, 0), 0), (0, 0));
        assert_eq!(kinds((3, 0, 0), (5, 0), 0), (0, 0));
        assert!(kinds((1, 0, 0), (5, 0), 0).1 > 0);
        assert_eq!(kinds((0, 0, 7), (1, 0), 8).1, 0);
    }
}
