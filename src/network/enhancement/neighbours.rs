// SPDX-License-Identifier: MPL-2.0
//! What is near the levels of a channel of a block: those of a picture go through the coder in their order, and those
//! before it count.

use super::contexts::{CHANNELS, FREQUENCIES, kind};
use super::transform::SIDE;

/// Levels of one channel of one block, low frequencies first.
pub type Block = [i16; FREQUENCIES];
type Sums = [u32; FREQUENCIES];

/// What counts of the levels of a picture that went through the coder.
pub struct Neighbours {
    /// Blocks in a row.
    columns: usize,
    /// Of each channel of each block: at each frequency the magnitude there, three times, and those of the four next to it.
    near: Vec<Sums>,
    /// Of each channel of each block: all magnitudes.
    wholes: Vec<u32>,
    /// Of the block that is not complete: magnitudes of the channels that are.
    same: Sums,
}

/// What is around a channel of a block.
pub struct Around {
    /// The kind of neighbourhood of the whole: by the mean of the magnitudes of the blocks beside.
    pub kind: usize,
    sums: Sums,
}

impl Neighbours {
    /// Of a picture with so many blocks in a row, none of them known yet.
    pub fn new(columns: usize) -> Self {
        Self { columns, near: vec![], wholes: vec![], same: [0; FREQUENCIES] }
    }

    /// The number of the next channel.
    pub fn channel(&self) -> usize {
        self.near.len() % CHANNELS
    }

    /// What is around the next channel: magnitudes of about the same frequency in the blocks around and in the channels
    /// before, twice in those beside it.
    pub fn around(&self) -> Around {
        let [left, above, before, after] = self.places();
        let mut sums = self.same.map(|magnitude| 2 * magnitude);
        for (place, weight) in [(left, 2), (above, 2), (before, 1), (after, 1)] {
            let Some(place) = place else { continue };
            for (sum, near) in sums.iter_mut().zip(&self.near[place]) {
                *sum += weight * near;
            }
        }
        let beside = [left, above].into_iter().flatten();
        let whole = beside.map(|place| self.wholes[place]).sum::<u32>();
        Around { kind: kind(4 * whole), sums }
    }

    /// Where the same channel of the blocks to the left, above, and above to the left and to the right is, if there are.
    fn places(&self) -> [Option<usize>; 4] {
        let (place, row) = (self.near.len(), self.columns * CHANNELS);
        let column = place / CHANNELS % self.columns;
        let above = place.checked_sub(row);
        [
            (column > 0).then(|| place - CHANNELS),
            above,
            above.filter(|_| column > 0).map(|above| above - CHANNELS),
            above.filter(|_| column + 1 < self.columns).map(|above| above + CHANNELS),
        ]
    }

    /// The next channel has these levels.
    pub fn push(&mut self, levels: &Block) {
        let own = levels.map(|level| u32::from(level.unsigned_abs()));
        self.near.push(near(&own));
        self.wholes.push(own.iter().sum());
        for (same, own) in self.same.iter_mut().zip(&own) {
            *same += own;
        }
        if self.channel() == 0 {
            self.same = [0; FREQUENCIES];
        }
    }
}

/// Three times each magnitude, and those of the four frequencies next to it.
fn near(own: &Sums) -> Sums {
    let mut sums = own.map(|magnitude| 3 * magnitude);
    for place in 0..FREQUENCIES - SIDE {
        sums[place] += own[place + SIDE];
        sums[place + SIDE] += own[place];
    }
    for (sums, own) in sums.as_chunks_mut::<SIDE>().0.iter_mut().zip(own.as_chunks::<SIDE>().0) {
        for place in 0..SIDE - 1 {
            sums[place] += own[place + 1];
            sums[place + 1] += own[place];
        }
    }
    sums
}

impl Around {
    /// The kind of neighbourhood of a frequency, with the lower ones of the channel itself.
    pub fn kind_of(&self, own: &Block, frequency: usize) -> usize {
        kind(4 * (self.sums[frequency] + 3 * lower(own, frequency)))
    }
}

/// Magnitudes of the five lower frequencies nearest to one.
fn lower(own: &Block, frequency: usize) -> u32 {
    let (row, column) = (frequency / SIDE, frequency % SIDE);
    let at = |rows: usize, columns: usize| match row >= rows && column >= columns {
        true => u32::from(own[frequency - rows * SIDE - columns].unsigned_abs()),
        false => 0,
    };
    2 * (at(0, 1) + at(1, 0)) + at(1, 1) + at(0, 2) + at(2, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a picture of 3×2 blocks with a single level.
    fn kinds(at: (usize, usize, usize), place: (usize, usize), frequency: usize) -> (usize, usize) {
        let (block, channel, own) = at;
        let levels = |number: usize| {
            let mut levels = [0; FREQUENCIES];
            if number == block * CHANNELS + channel {
                levels[own] = -4;
            }
            levels
        };
        let mut neighbours = Neighbours::new(3);
        let number = place.0 * CHANNELS + place.1;
        (0..number).for_each(|number| neighbours.push(&levels(number)));
        assert_eq!(neighbours.channel(), place.1);
        let around = neighbours.around();
        (around.kind, around.kind_of(&levels(number), frequency))
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
    fn what_is_past_an_edge_is_not_near() {
        // The block before the first of a row is the last of the row above.
        assert_eq!(kinds((2, 0, 0), (3, 0), 0), (0, 0));
        assert_eq!(kinds((3, 0, 0), (5, 0), 0), (0, 0));
        assert!(kinds((1, 0, 0), (5, 0), 0).1 > 0);
        // Nor is the last frequency of one row next to the first of the row below.
        assert_eq!(kinds((0, 0, 7), (1, 0), 8).1, 0);
        assert_eq!(kinds((1, 0, 7), (1, 0), 8).1, 0);
        // The channels of the block before are not those of this one.
        assert_eq!(kinds((0, 2, 9), (2, 1), 9), (0, 0));
    }
}
