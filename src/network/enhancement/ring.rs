// SPDX-License-Identifier: MPL-2.0
//! Which rows of the stego carry what is missing of which secrets.

use std::ops::Range;

use crate::network::Grid;

use super::transform::SIDE;

/// Carriers that a stego has at least.
const CARRIERS: i64 = 3;

/// Rows of the tiles in one row of tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of tiles, from 0.
    pub tile_row: i64,
    /// Of each of these tiles. The secrets' rows that they stand for begin with a block.
    pub rows: Range<i64>,
}

impl Part {
    /// The rows that it stands for of secrets of `whole` rows, of which `hidden` are hidden: to the last part belong
    /// those below.
    pub fn pictured(&self, grid: Grid, hidden: i64, whole: i64) -> Range<i64> {
        let rows = grid.rows() as i64;
        let (start, end) = (self.rows.start * rows, self.rows.end * rows);
        start..if end == hidden { whole } else { end }
    }
}

/// A part and its carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Rows of the stego, from an even one to an even one.
    pub carrier: Range<i64>,
    /// What these rows carry; may be none.
    pub part: Part,
}

/// All carriers of a stego from above, each with the part that lies above itself: what rounding and the bits
/// did to a part is known when the next carrier is written. The first carrier has the last part, of which
/// that is not known, nor is it of any part where a passphrase has scattered the tiles.
pub fn ring(grid: Grid, height: i64) -> Vec<Link> {
    let rows = grid.rows() as i64;
    let pieces = (CARRIERS as u64).div_ceil(rows as u64) as i64;
    let (count, tile) = (rows * pieces, height / rows);
    // As many tile rows as make whole blocks of a secret.
    let unit = (1..=SIDE as i64).find(|unit| unit * rows % SIDE as i64 == 0).unwrap_or(1);
    let even = |row: i64| row - row % 2;
    let boundary = |piece: i64| {
        let row = tile * piece / pieces;
        if piece == pieces { tile } else { row - row % unit }
    };
    let part = |index: i64| {
        let piece = index % pieces;
        Part { tile_row: index / pieces, rows: boundary(piece)..boundary(piece + 1) }
    };
    let link = |index: i64| Link {
        carrier: even(height * index / count)..even(height * (index + 1) / count),
        part: part((index + count - 1) % count),
    };
    (0..count).map(link).filter(|link| !link.carrier.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_carries_and_is_carried_once() {
        for (rows, columns) in [(2, 2), (3, 2), (4, 2), (3, 3), (4, 4)] {
            let grid = Grid::new(rows, columns).unwrap();
            let least = grid.smallest_frame().1 as i64;
            for height in (1..200).map(|times| times * least) {
                let ring = ring(grid, height);
                assert!(height < 16 || ring.len() >= CARRIERS as usize);
                assert!(ring.iter().all(|link| link.carrier.start % 2 == 0));
                let carriers = ring.iter().flat_map(|link| link.carrier.clone());
                assert!(carriers.eq(0..height), "{grid} {height}");
                let tile = height / rows as i64;
                let mut carried: Vec<_> = ring
                    .iter()
                    .flat_map(|Link { part, .. }| {
                        part.rows.clone().map(|row| part.tile_row * tile + row)
                    })
                    .collect();
                carried.sort();
                // Of the lowest frames, whose carriers have next to no room, some rows are left out.
                assert!(height < 16 || carried.into_iter().eq(0..height), "{grid} {height}");
                let starts = ring.iter().map(|link| link.part.rows.start * rows as i64);
                assert!(starts.map(|row| row % 8).all(|row| row == 0));
                let pictured =
                    |Link { part, .. }: &Link| part.pictured(grid, height, height + least - 1);
                let last = ring.iter().map(pictured).map(|rows| rows.end).max();
                assert!(height < 16 || last == Some(height + least - 1));
            }
        }
    }

    #[test]
    fn a_carrier_lies_below_what_it_carries() {
        let ring = ring(Grid::new(2, 2).unwrap(), 256);
        assert_eq!(ring[0].part, Part { tile_row: 1, rows: 64..128 });
        assert_eq!(ring[1], Link { carrier: 64..128, part: Part { tile_row: 0, rows: 0..64 } });
        assert_eq!(ring[3].carrier, 192..256);
    }
}
