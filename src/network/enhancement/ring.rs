// SPDX-License-Identifier: MPL-2.0
//! Which rows of the stego carry what is missing of which secrets.

use std::ops::Range;

use crate::network::Grid;

use super::transform::SIDE;

/// Carriers that a stego has at least.
const CARRIERS: i64 = 6;

/// Rows of the tiles in one row of tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of tiles, from 0.
    pub tile_row: i64,
    /// Of each of these tiles. The secrets' rows that they stand for begin with a block.
    pub rows: Range<i64>,
}

/// A part and its carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Rows of the stego, from an even one to an even one; may be none.
    pub carrier: Range<i64>,
    /// What these rows carry; may be none.
    pub part: Part,
}

/// All carriers of a stego from above, each with the part that lies above itself, the first with the last
/// part: once a carrier's rows are rounded, what that did to them is known when the next one is written.
pub fn ring(grid: Grid, height: i64) -> Vec<Link> {
    let rows = grid.rows() as i64;
    let pieces = (CARRIERS as u64).div_ceil(rows as u64) as i64;
    let (count, tile) = (rows * pieces, height / rows);
    let even = |row: i64| row - row % 2;
    let boundary = |piece: i64| {
        let row = tile * piece / pieces;
        if piece == pieces { tile } else { row - row % SIDE as i64 }
    };
    let part = |index: i64| {
        let piece = index % pieces;
        Part { tile_row: index / pieces, rows: boundary(piece)..boundary(piece + 1) }
    };
    let link = |index: i64| Link {
        carrier: even(height * index / count)..even(height * (index + 1) / count),
        part: part((index + count - 1) % count),
    };
    (0..count).map(link).collect()
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
                assert!(ring.len() >= CARRIERS as usize);
                let carriers = ring.iter().flat_map(|link| link.carrier.clone());
                assert!(carriers.eq(0..height), "{grid} {height}");
                let mut parts: Vec<_> = ring.iter().map(|link| &link.part).collect();
                parts.rotate_left(1);
                let tile = height / rows as i64;
                let rows = parts
                    .iter()
                    .flat_map(|part| part.rows.clone().map(|row| part.tile_row * tile + row));
                assert!(rows.eq(0..height), "{grid} {height}");
                assert!(parts.iter().all(|part| part.rows.start % 8 == 0));
            }
        }
    }

    #[test]
    fn a_carrier_lies_below_what_it_carries() {
        let ring = ring(Grid::new(2, 2).unwrap(), 256);
        assert_eq!(ring[0].part, Part { tile_row: 1, rows: 80..128 });
        assert_eq!(ring[1], Link { carrier: 42..84, part: Part { tile_row: 0, rows: 0..40 } });
        assert_eq!(ring[5].carrier, 212..256);
    }
}
