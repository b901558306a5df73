// SPDX-License-Identifier: MPL-2.0
//! The Invertible Mosaic Image Hiding Network (Chen et al., ICASSP 2024). Knows no GStreamer.

mod area;
pub mod coupling;
pub mod decomposition;
pub mod dense;
pub mod device;
pub mod effect;
pub(crate) mod enhancement;
mod error;
mod exit;
mod frame;
mod grid;
mod headroom;
pub mod hiding;
#[cfg(any(test, feature = "cuda-kernels"))]
mod kernels;
pub mod location;
mod model;
pub mod mosaic;
pub mod noise_shaping;
pub mod passphrase;
mod precision;
pub mod quantisation;
mod refinement;
pub mod rescaling;
pub mod scrambling;
pub(crate) mod tensor_file;
pub mod weights;

pub use error::Error;
pub(crate) use error::caught;
pub use frame::{Frame, decibels};
pub use grid::Grid;
pub use model::{Effort, Model, Mosaic};
pub use precision::Precision;
pub use refinement::MOST_STEPS;
pub use scrambling::Scrambler;
pub use tch::Device;
