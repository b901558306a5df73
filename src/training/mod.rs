// SPDX-License-Identifier: MPL-2.0
//! Training and evaluation. Knows no GStreamer.

mod adam;
pub mod average;
pub mod benchmark;
pub mod bicubic;
pub mod clipping;
pub mod curves;
pub mod damage;
pub mod dataset;
pub mod divergence;
mod error;
pub mod evaluation;
pub mod folders;
pub mod losses;
pub mod metrics;
pub mod modules;
mod muon;
pub mod objective;
pub mod optimizer;
mod plot;
pub mod preset;
mod progress;
pub mod published;
mod remainder;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sensitivity;
pub mod sheet;
pub mod speed;
pub mod state;
pub mod trainer;
pub mod validation;

pub use error::Error;

/// Each value once, in their order.
pub fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}
