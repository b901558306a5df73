// SPDX-License-Identifier: MPL-2.0
//! A GStreamer plugin that hides up to sixteen images or videos inside one.

#![deny(missing_docs)]

pub mod network;
pub mod training;
