// SPDX-License-Identifier: MPL-2.0
//! What a stego carries for reveal to add to its secrets.

use std::ops::Range;

use rayon::iter::{IntoParallelIterator, IntoParallelRefMutIterator, ParallelIterator};
use tch::{Device, Tensor};

use crate::network::passphrase::Key;
use crate::network::{Frame, Grid};

use super::chance::Reader;
use super::coefficients::code;
use super::contexts::Contexts;
use super::digits::Carrier;
use super::payload::Payload;
use super::place;
use super::ring::{Link, Part, ring};
use super::transform::{Levels, SIDE, Transform, VALUES};

/// Of all secrets in a stego, to be taken in their order.
pub struct Corrections {
    grid: Grid,
    /// Rows of a secret that are hidden.
    hidden: i64,
    /// Height and width of the secrets.
    size: [i64; 2],
    transform: Transform,
    parts: Vec<Correction>,
}

/// Of the secrets in one part, as far as they have not been taken yet.
struct Correction {
    part: Part,
    /// Index of the step of each secret.
    steps: std::vec::IntoIter<u8>,
    contexts: Contexts,
    reader: Reader,
}

impl Corrections {
    /// Those in a stego that are whole, of which `height`×`width` pixels hide something.
    pub fn read(
        stego: &Frame,
        grid: Grid,
        [height, width]: [i64; 2],
        key: Option<&Key>,
        device: Device,
    ) -> Self {
        let size = stego.size();
        let read = |Link { carrier: rows, part }: Link| {
            let place = place(grid, size, &rows);
            let carrier = Carrier::new(grid, key.is_some(), rows, width);
            let payload = Payload::read(&carrier.read(stego), &place, grid.columns(), key)?;
            let reader = Reader::new(&payload.coded);
            let steps = payload.steps.into_iter();
            Some(Correction { part, steps, contexts: Contexts::default(), reader })
        };
        let parts = ring(grid, height).into_par_iter().filter_map(read).collect();
        Self { grid, hidden: height, size, transform: Transform::new(device), parts }
    }

    /// The next secrets K×3×H×W, of the stego's size, the first of them number `first`, in [0, 1] with what they miss.
    pub fn added_to(&mut self, mut secrets: Tensor, first: usize) -> Tensor {
        if self.parts.is_empty() {
            return secrets;
        }
        // Conceal found out what is missing from what a file holds.
        let _ = secrets.clamp_(0.0, 1.0);
        for (u, secret) in (first..).zip(secrets.split(1, 0)) {
            for (rows, step, levels) in self.levels(u / self.grid.columns()) {
                let height = rows.end - rows.start;
                let mut rows = secret.narrow(2, rows.start, height);
                rows += self.transform.inverse(&levels, step, height, self.size[1]) / 255.0;
            }
        }
        secrets
    }

    /// Those of the next secret in a row of tiles: rows of the secret, the index of the step, and levels.
    fn levels(&mut self, tile_row: usize) -> Vec<(Range<i64>, u8, Levels)> {
        let (grid, hidden, [height, width]) = (self.grid, self.hidden, self.size);
        let next = |correction: &mut Correction| {
            let part = &correction.part;
            if part.tile_row != tile_row as i64 || part.rows.is_empty() {
                return None;
            }
            let rows = part.pictured(grid, hidden, height);
            let (step, levels) =
                correction.next((rows.end - rows.start) as usize, width as usize)?;
            Some((rows, step, levels))
        };
        self.parts.par_iter_mut().filter_map(next).collect()
    }
}

impl Correction {
    /// The next secret's step and levels, of so many pixels.
    fn next(&mut self, height: usize, width: usize) -> Option<(u8, Levels)> {
        let columns = width.div_ceil(SIDE);
        let values = height.div_ceil(SIDE) * columns * VALUES;
        let mut levels = Levels { columns, values: vec![0; values] };
        let step = self.steps.next()?;
        if code(&mut levels, &mut self.contexts, &mut self.reader).is_err() {
            self.steps = vec![].into_iter();
            return None;
        }
        Some((step, levels))
    }
}
