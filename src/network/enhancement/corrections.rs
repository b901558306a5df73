// SPDX-License-Identifier: MPL-2.0
//! What a stego carries for reveal to add to its secrets.

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use tch::{Device, Tensor};

use crate::network::passphrase::Key;
use crate::network::{Frame, Grid};

use super::Damaged;
use super::bits::Carrier;
use super::chance::Reader;
use super::coefficients::{Contexts, code};
use super::payload::Payload;
use super::ring::{Link, Part, ring};
use super::transform::{Levels, SIDE, Transform, VALUES};

/// Of all secrets in a stego.
pub struct Corrections {
    grid: Grid,
    transform: Transform,
    parts: Vec<Correction>,
}

/// Of the secrets in one part.
struct Correction {
    part: Part,
    /// Index of the step and levels of each secret.
    secrets: Vec<(u8, Levels)>,
}

impl Corrections {
    /// Those in a stego that are whole, of secrets of `height`×`width` pixels.
    pub fn read(
        stego: &Frame,
        grid: Grid,
        [height, width]: [i64; 2],
        key: Option<&Key>,
        device: Device,
    ) -> Self {
        let read = |Link { carrier, part }| {
            let carrier = Carrier { rows: carrier, width };
            let payload = Payload::read(carrier.read(stego), grid.columns(), key)?;
            let rows = (part.rows.end - part.rows.start) * grid.rows() as i64;
            let secrets = levels(&payload, rows as usize, width as usize).ok()?;
            Some(Correction { part, secrets })
        };
        let parts = ring(grid, height).into_par_iter().filter_map(read).collect();
        Self { grid, transform: Transform::new(device), parts }
    }

    /// Adds those of secret `first` and on to them, K×3×H×W in [0, 1].
    pub fn add_to(&self, secrets: &Tensor, first: usize) {
        if self.parts.is_empty() {
            return;
        }
        // Conceal found out what is missing from what a file holds.
        let secrets = secrets.shallow_clone().clamp_(0.0, 1.0);
        for (u, secret) in (first..).zip(secrets.split(1, 0)) {
            let (tile_row, column) = ((u / self.grid.columns()) as i64, u % self.grid.columns());
            let own = self.parts.iter().filter(|correction| correction.part.tile_row == tile_row);
            for Correction { part, secrets } in own {
                let (step, levels) = &secrets[column];
                let [start, end] =
                    [part.rows.start, part.rows.end].map(|row| row * self.grid.rows() as i64);
                let mut rows = secret.narrow(2, start, end - start);
                rows +=
                    self.transform.inverse(levels, *step, end - start, secret.size()[3]) / 255.0;
            }
        }
    }
}

fn levels(payload: &Payload, height: usize, width: usize) -> Result<Vec<(u8, Levels)>, Damaged> {
    let columns = width.div_ceil(SIDE);
    let values = height.div_ceil(SIDE) * columns * VALUES;
    let (mut contexts, mut reader) = (Contexts::default(), Reader::new(&payload.coded));
    let read = |step: &u8| {
        let mut levels = Levels { columns, values: vec![0; values] };
        code(&mut levels, &mut contexts, &mut reader)?;
        Ok((*step, levels))
    };
    payload.steps.iter().map(read).collect()
}
