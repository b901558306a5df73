// SPDX-License-Identifier: MPL-2.0
//! What an element has done since it was started: the property `stats`.

use std::time::Duration;

use gst::glib;
use gst::prelude::*;

/// Counts frames of the cover or the stego.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    frames: u64,
    inference: Duration,
    last_inference: Duration,
    /// Sum over the frames in dB, where an element measures it.
    cover_psnr: Option<f64>,
}

impl Stats {
    /// The property; `fields` describes what an element has beside the common ones.
    pub fn property(fields: &str) -> glib::ParamSpec {
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(&format!(
                "Since the element was started: frames (guint64), inference-time and \
                 last-inference-time of all frames and of the last one in the network \
                 (guint64, ns){fields}"
            ))
            .read_only()
            .build()
    }

    /// Counts one frame, the network's time for it and, if measured, the stego's PSNR to its cover.
    pub fn count(&mut self, inference: Duration, cover_psnr: Option<f64>) {
        self.frames += 1;
        self.inference += inference;
        self.last_inference = inference;
        if let Some(psnr) = cover_psnr {
            *self.cover_psnr.get_or_insert_default() += psnr;
        }
    }

    /// The property's value.
    pub fn structure(&self) -> gst::Structure {
        let builder = gst::Structure::builder("invmih-stats")
            .field("frames", self.frames)
            .field("inference-time", nanoseconds(self.inference))
            .field("last-inference-time", nanoseconds(self.last_inference));
        let mean = self.cover_psnr.map(|sum| sum / self.frames as f64);
        builder.field_if_some("cover-psnr", mean).build()
    }
}

/// A duration as GStreamer's structures have it.
pub fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_times_add_up() {
        gst::init().unwrap();
        let mut stats = Stats::default();
        assert!(!stats.structure().has_field("cover-psnr"));
        stats.count(Duration::from_nanos(30), Some(20.0));
        stats.count(Duration::from_nanos(12), Some(30.0));
        let structure = stats.structure();
        assert_eq!(structure.get::<u64>("frames"), Ok(2));
        assert_eq!(structure.get::<u64>("inference-time"), Ok(42));
        assert_eq!(structure.get::<u64>("last-inference-time"), Ok(12));
        assert_eq!(structure.get::<f64>("cover-psnr"), Ok(25.0));
    }
}
