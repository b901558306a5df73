// SPDX-License-Identifier: MPL-2.0
//! The property `stats` that both elements have: what an element did since it was started.

use std::time::Duration;

use gst::glib;
use gst::prelude::*;

/// Counts of one run.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    frames: u64,
    inference: Duration,
    /// Sum over the frames, on conceal alone.
    cover_error: Option<f64>,
}

impl Stats {
    /// The property, anew for each class.
    pub fn property() -> glib::ParamSpec {
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "Of the frames since the start: frames (guint64), inference-time (guint64, \
                 nanoseconds in the network altogether) and, where covers are concealed in, \
                 cover-psnr (gdouble, dB over all stegos)",
            )
            .read_only()
            .build()
    }

    /// Counts a frame that took some time.
    pub fn add(&mut self, inference: Duration) {
        self.frames += 1;
        self.inference += inference;
    }

    /// Counts the mean squared error of a stego, in levels of 8 bits.
    pub fn add_cover_error(&mut self, error: f64) {
        *self.cover_error.get_or_insert_default() += error;
    }

    /// The value of the property.
    pub fn structure(&self) -> gst::Structure {
        let mut builder = gst::Structure::builder("application/x-invmih-stats")
            .field("frames", self.frames)
            .field("inference-time", nanoseconds(self.inference));
        if let Some(error) = self.cover_error {
            builder = builder.field("cover-psnr", psnr(error / self.frames as f64));
        }
        builder.build()
    }
}

/// For a field of a structure.
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// PSNR in dB of a mean squared error in levels of 8 bits.
pub fn psnr(error: f64) -> f64 {
    10.0 * (255.0 * 255.0 / error).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_psnr_is_that_of_all_frames_together() {
        gst::init().unwrap();
        let mut stats = Stats::default();
        for error in [1.0, 3.0] {
            stats.add(Duration::from_nanos(7));
            stats.add_cover_error(error);
        }
        let structure = stats.structure();
        assert_eq!(structure.get("frames"), Ok(2u64));
        assert_eq!(structure.get("inference-time"), Ok(14u64));
        let psnr = structure.get::<f64>("cover-psnr").unwrap();
        assert!((psnr - 45.1205).abs() < 1e-3, "{psnr}");
        assert!(Stats::default().structure().get::<f64>("cover-psnr").is_err());
    }
}
