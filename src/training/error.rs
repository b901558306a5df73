// SPDX-License-Identifier: MPL-2.0
//! What can go wrong in training and evaluation.

use std::path::PathBuf;

use crate::network;

/// Errors of training and evaluation, each a sentence with the offending value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From the network and its weights.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// A folder that cannot be read or written.
    #[error("'{path}': {source}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A picture that cannot be read or written.
    #[error("'{path}': {source}")]
    Picture {
        /// The file.
        path: PathBuf,
        /// What the decoder or encoder says.
        source: image::ImageError,
    },
    /// Too few usable photographs.
    #[error("{found} usable photograph(s) in {folders}, at least {needed} needed{hint}")]
    Photographs {
        /// Photographs that can be used.
        found: usize,
        /// The folders searched.
        folders: String,
        /// Photographs needed.
        needed: usize,
        /// What was skipped and why.
        hint: String,
    },
    /// A patch size that the grids do not divide.
    #[error(
        "a patch of {patch} pixels is not possible with grid {grid}: choose a multiple of {step}"
    )]
    Patch {
        /// The patch's side in pixels.
        patch: i64,
        /// The grid, as `rows`x`columns`.
        grid: String,
        /// What must divide the patch.
        step: i64,
    },
    /// More InvBlocks in the weights to go on from than asked for.
    #[error("'{path}' has {found} InvBlocks, {asked} asked for: a module can grow, not shrink")]
    Blocks {
        /// The weights file.
        path: PathBuf,
        /// Its blocks.
        found: usize,
        /// Blocks asked for.
        asked: usize,
    },
    /// A folder whose weights would be overwritten.
    #[error(
        "'{0}' already holds weights: go on from them with --resume '{0}', or choose another folder"
    )]
    Occupied(PathBuf),
    /// Training that does not recover.
    #[error("training diverged {0} times in a row: lower --rate")]
    Diverged(usize),
}
