// SPDX-License-Identifier: MPL-2.0
//! The m×n grid in which the secrets are spliced to one mosaic (paper, section 2).

use std::fmt;

use super::Error;

/// A grid of `rows`×`columns` tiles: N = m·n secrets in one cover. Secret u sits at row
/// u / columns, column u mod columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    rows: usize,
    columns: usize,
}

impl Grid {
    /// The grids that weights are made for.
    pub const SHIPPED: [Grid; 5] = [
        Grid { rows: 2, columns: 2 },
        Grid { rows: 3, columns: 2 },
        Grid { rows: 4, columns: 2 },
        Grid { rows: 3, columns: 3 },
        Grid { rows: 4, columns: 4 },
    ];

    /// A grid of any size from 1×1 to 5×5.
    ///
    /// # Errors
    /// [`Error::Grid`] outside that range.
    pub fn new(rows: usize, columns: usize) -> Result<Self, Error> {
        if (1..=5).contains(&rows) && (1..=5).contains(&columns) {
            Ok(Self { rows, columns })
        } else {
            Err(Error::Grid { rows, columns })
        }
    }

    /// The grid for a number of secrets: 4 = 2×2, 6 = 3×2, 8 = 4×2, 9 = 3×3, 16 = 4×4.
    ///
    /// # Errors
    /// [`Error::Secrets`] for any other number.
    pub fn for_secrets(secrets: u32) -> Result<Self, Error> {
        Self::SHIPPED
            .into_iter()
            .find(|grid| grid.secrets() == secrets as usize)
            .ok_or(Error::Secrets(secrets))
    }

    /// m, the tiles from top to bottom.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// n, the tiles from left to right.
    pub fn columns(self) -> usize {
        self.columns
    }

    /// Width and height in pixels of the smallest frame that the grid and the wavelet divide; all
    /// others are multiples of them.
    pub fn smallest_frame(self) -> (usize, usize) {
        let even = |tiles: usize| if tiles.is_multiple_of(2) { tiles } else { 2 * tiles };
        (even(self.columns), even(self.rows))
    }

    /// N = m·n.
    pub fn secrets(self) -> usize {
        self.rows * self.columns
    }
}

/// `4x4`: rows, then columns, as in the names of the weights files.
impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rows, self.columns)
    }
}

impl std::str::FromStr for Grid {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text
            .split_once('x')
            .and_then(|(rows, columns)| Some((rows.parse().ok()?, columns.parse().ok()?)));
        let (rows, columns) = parsed.ok_or_else(|| Error::GridName(text.into()))?;
        Self::new(rows, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_choose_the_grid() {
        let grids = [(4, "2x2"), (6, "3x2"), (8, "4x2"), (9, "3x3"), (16, "4x4")];
        for (secrets, name) in grids {
            let grid = Grid::for_secrets(secrets).unwrap();
            assert_eq!(grid.to_string(), name);
            assert_eq!(name.parse::<Grid>().unwrap(), grid);
        }
    }

    #[test]
    fn other_counts_name_the_value_and_the_choices() {
        let message = Grid::for_secrets(5).unwrap_err().to_string();
        assert!(message.contains('5') && message.contains("4, 6, 8, 9 or 16"), "{message}");
    }

    #[test]
    fn grids_past_five_are_refused() {
        assert!(Grid::new(6, 1).is_err() && Grid::new(0, 1).is_err());
        assert!("4x".parse::<Grid>().is_err());
    }
}
