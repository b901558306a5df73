// SPDX-License-Identifier: MPL-2.0
//! The enhancement layer, which the paper does not have: what reveal would miss of each secret, coded as a
//! codec does, in the lowest digits, to the base 3 or 4, of the stego's values.
//!
//! Conceal knows what reveal will make of a stego. The difference to the secrets goes through a block DCT
//! ([`transform`]), is rounded ([`choice`]) and coded with adaptive probabilities ([`coefficients`]) and put into the
//! stego's digits ([`digits`]) while it is rounded, so that the values' other errors make up for what that
//! does to the mosaic. Reveal adds what it reads there to what the network says. Where digits were changed,
//! a checksum tells ([`payload`]), and the network's secrets are left.

mod chance;
mod choice;
mod coefficients;
mod contexts;
mod corrections;
mod digits;
mod encoding;
mod neighbours;
mod payload;
mod ring;
#[cfg(test)]
mod tests;
mod transform;

use std::ops::Range;
use std::sync::Arc;

use tch::Tensor;

use super::Grid;
use super::area::extended;
use super::exit;
use super::mosaic::cut;
use super::passphrase::Key;
use super::refinement::Revealing;
use super::scrambling::Scrambling;

pub use corrections::Corrections;
use digits::Carrier;
pub use digits::base;
use ring::{Link, Part, ring};
pub use transform::Transform;

/// A coder that cannot go on: it has no room left, or what it reads was not written so.
#[derive(Debug)]
pub struct Stuck;

/// Rows beside those of interest that go through the network with them: what is farther away counts for nothing.
const MARGIN: i64 = 32;

/// What stegos of one mosaic are to carry besides.
#[derive(Debug)]
pub struct Enhancement {
    /// The secrets, N×3×H×W of bytes on the network's device, with what lies beyond the hidden area.
    pub secrets: Tensor,
    /// Of the mosaic, if there is a passphrase, and its key.
    pub scrambling: Option<(Arc<Scrambling>, Key)>,
}

/// Shares the secrets, which are never written.
impl Clone for Enhancement {
    fn clone(&self) -> Self {
        Self { secrets: self.secrets.shallow_clone(), scrambling: self.scrambling.clone() }
    }
}

impl Enhancement {
    /// A stego 1×3×H×W, rounded, that carries what reveal would miss. A carrier stays empty if `wanted`,
    /// asked before each, says no.
    pub fn embedded(
        &self,
        network: &Revealing,
        hidden: &Tensor,
        wanted: &dyn Fn() -> bool,
    ) -> Tensor {
        let stego = hidden.clamp(0.0, 1.0);
        let (height, width) = (stego.size()[2], stego.size()[3]);
        let sealed = self.scrambling.is_some();
        for Link { carrier: rows, part } in ring(network.grid, height) {
            let mut own = narrowed(&stego, &rows);
            let carrier = Carrier::new(network.grid, sealed, rows, width);
            let wanted = wanted() && !exit::has_begun();
            let bytes = wanted.then(|| self.payload(network, &stego, &carrier, &part)).flatten();
            own.copy_(&match bytes {
                Some(bytes) => {
                    network.hiding.carrying(&own, &carrier.digits(&bytes, stego.device()))
                }
                None => network.hiding.quantise(&own),
            });
        }
        stego
    }

    /// What a carrier holds for a part; none if there is no room.
    fn payload(
        &self,
        network: &Revealing,
        stego: &Tensor,
        carrier: &Carrier,
        part: &Part,
    ) -> Option<Vec<u8>> {
        let key = self.scrambling.as_ref().map(|(_, key)| key);
        let overhead = payload::overhead(network.grid.columns(), key);
        let room = carrier.capacity().checked_sub(overhead)?;
        if part.rows.is_empty() {
            return None;
        }
        let place = place(network.grid, self.size(), &carrier.rows);
        let missing = self.missing(network, stego, part);
        let payload = encoding::encoded(missing, stego.device(), room)?;
        Some(payload.into_bytes(&place, key))
    }

    /// Height and width of the secrets.
    fn size(&self) -> [i64; 2] {
        [self.secrets.size()[2], self.secrets.size()[3]]
    }

    /// What reveal misses of a part's secrets, in levels of 255: 1×3×H×W of each, found out as it is asked for.
    fn missing<'a>(
        &self,
        network: &'a Revealing,
        stego: &Tensor,
        part: &Part,
    ) -> impl Iterator<Item = Tensor> + use<'a> {
        let (rows, columns) = (network.grid.rows() as i64, network.grid.columns() as i64);
        let [height, width] = self.size();
        let hidden = stego.size()[2];
        let tile = hidden / rows;
        let near = (part.rows.start - MARGIN).max(0)..(part.rows.end + MARGIN).min(tile);
        let first = part.tile_row * tile;
        let mosaic = self.mosaic(network, stego, first + near.start..first + near.end);
        let line = Grid::new(1, columns as usize).into_iter();
        let tiles = line.flat_map(move |line| cut(&mosaic, line).split(network.together as i64, 0));

        let pictured = part.pictured(network.grid, hidden, height);
        let size = [pictured.end - pictured.start, width];
        let inside = (part.rows.start - near.start) * rows..(part.rows.end - near.start) * rows;
        let secrets = self.secrets.narrow(0, part.tile_row * columns, columns);
        let secrets = narrowed(&secrets, &pictured).split(1, 0);
        let revealed = tiles.flat_map(move |some| {
            let revealed = network.rescaling.upscale(&some, network.precision);
            let revealed = narrowed(&revealed, &inside).clamp(0.0, 1.0) * 255.0;
            extended(&revealed, size).split(1, 0)
        });
        secrets.into_iter().zip(revealed).map(|(secret, revealed)| secret - revealed)
    }

    /// Rows of the mosaic that reveal finds in a stego.
    fn mosaic(&self, network: &Revealing, stego: &Tensor, rows: Range<i64>) -> Tensor {
        let reveal = |stego: &Tensor| network.hiding.reveal(stego, network.precision);
        if let Some((scrambling, _)) = &self.scrambling {
            return narrowed(&scrambling.unscramble(&reveal(stego)), &rows);
        }
        // The wavelet takes an even number from an even row.
        let start = (rows.start - MARGIN).max(0) / 2 * 2;
        let end = ((rows.end + MARGIN) / 2 * 2).min(stego.size()[2]);
        let mosaic = reveal(&narrowed(stego, &(start..end)).contiguous());
        narrowed(&mosaic, &(rows.start - start..rows.end - start))
    }
}

/// What makes a carrier another one than all others, so that a payload counts where it was put alone. The height
/// and width are the stego's.
fn place(grid: Grid, [height, width]: [i64; 2], carrier: &Range<i64>) -> Vec<u8> {
    let numbers = [grid.rows() as i64, grid.columns() as i64, height, width, carrier.start];
    numbers.into_iter().flat_map(i64::to_le_bytes).collect()
}

/// Rows of N×C×H×W.
fn narrowed(picture: &Tensor, rows: &Range<i64>) -> Tensor {
    picture.narrow(2, rows.start, rows.end - rows.start)
}
