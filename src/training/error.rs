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
    /// A stego that cannot be taken through JPEG.
    #[error("a stego does not pass through JPEG: {0}")]
    Damage(image::ImageError),
    /// No photograph to train on.
    #[error("0 usable photographs in {folders}{hint}")]
    Photographs {
        /// The folders searched.
        folders: String,
        /// What was skipped and why.
        hint: String,
    },
    /// Two folders to measure that cannot be told apart in the tables.
    #[error("two folders are named '{0}': rename one, the tables would mix them up")]
    SameName(String),
    /// A report whose folder of pictures would have the report's own name.
    #[error("'{0}' has no extension: name the report with one, .md for example")]
    ReportName(PathBuf),
    /// A report that is to be a file and is a folder.
    #[error("'{0}' is a folder: name a file for the report")]
    ReportFolder(PathBuf),
    /// Too few pictures to measure.
    #[error("{found} pictures, {needed} needed: a cover and {secrets} secrets")]
    Pictures {
        /// Pictures found.
        found: usize,
        /// Pictures that one group takes.
        needed: usize,
        /// N.
        secrets: usize,
    },
    /// A picture too small to measure.
    #[error("'{path}' is {width}x{height}, to measure it takes {smallest} pixels in each side")]
    PictureSmall {
        /// The file.
        path: PathBuf,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The smallest side in pixels.
        smallest: u32,
    },
    /// A picture whose size the ablation without rescaling cannot hide in.
    #[error(
        "a picture of {}x{} cannot be cut into bicubic tiles: width and height have to be multiples of {} and {}", size.0, size.1, step.0, step.1
    )]
    PictureMultiple {
        /// Its width and height in pixels.
        size: (usize, usize),
        /// What must divide them.
        step: (usize, usize),
    },
    /// A folder to go on from that has no weights.
    #[error("there are no weights to go on from in '{0}': check --resume")]
    NothingToResume(PathBuf),
    /// A run's state that is cut short or of another make.
    #[error(
        "'{path}' cannot be used: {reason}; without that file a new schedule starts from the weights"
    )]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong, with what was expected.
        reason: String,
    },
    /// A folder to go on in whose unfinished run is another one.
    #[error(
        "'{0}' has an unfinished run of other stages, grids, InvBlocks or another recipe: repeat its options to go on with it, or choose another --out to start anew from its weights"
    )]
    OtherRun(PathBuf),
    /// A grid that has no rescaling to train.
    #[error(
        "grid 1x1 hides one picture as it is, there is no rescaling to train: choose a larger grid"
    )]
    NoRescaling,
    /// Weights trained with another bound of ρ.
    #[error("'{path}' was trained with clamp {found}, this program trains with {expected}")]
    Clamp {
        /// The weights file.
        path: PathBuf,
        /// Its clamp.
        found: f64,
        /// The clamp here.
        expected: f64,
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
    /// A hiding module of its own for several grids at once.
    #[error("{0} grids cannot share one hiding module of their own: give --own-hiding one --grid")]
    OwnHiding(usize),
    /// A hiding module of its own where none is trained.
    #[error("--own-hiding trains no rescaling: leave it out, or choose --stage hiding or joint")]
    NoHiding,
    /// A grid's own hiding module beside the one for all that is to be trained.
    #[error(
        "'{0}' would win over the hiding module that is trained here: give --own-hiding, or choose another --out"
    )]
    OwnHidingWins(PathBuf),
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
    /// A folder that another run trains in.
    #[error("another run is training in '{0}': wait for its end, or choose another --out")]
    Busy(PathBuf),
    /// Training that does not recover.
    #[error("training went back to its last good state {0} times: lower --rate")]
    Diverged(usize),
}
