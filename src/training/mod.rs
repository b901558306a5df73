// SPDX-License-Identifier: MPL-2.0
//! Training and evaluation. Knows no GStreamer.

pub mod average;
pub mod benchmark;
pub mod clipping;
pub mod dataset;
pub mod divergence;
mod error;
pub mod evaluation;
pub mod losses;
pub mod metrics;
pub mod modules;
pub mod preset;
pub mod run;
pub mod schedule;
pub mod trainer;

pub use error::Error;
