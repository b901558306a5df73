// SPDX-License-Identifier: MPL-2.0
//! A frame of a cover or a secret with what says how it is to be read and shown.

use gst::glib;
use gst::prelude::*;
use gst_base::prelude::*;
use gst_video::VideoInfo;

/// A frame and how it is to be read and shown.
#[derive(Debug)]
pub struct Picture {
    pub buffer: gst::Buffer,
    pub caps: gst::Caps,
    pub info: VideoInfo,
    pub segment: gst::Segment,
}

impl Picture {
    /// As it is shown to applications.
    pub fn sample(&self) -> gst::Sample {
        let Self { buffer, caps, segment, .. } = self;
        gst::Sample::builder().buffer(buffer).caps(caps).segment(segment).build()
    }

    /// Whether it stands for a gap event.
    pub fn is_gap(&self) -> bool {
        is_gap(&self.buffer)
    }
}

/// Whether a buffer stands for a gap event.
pub fn is_gap(buffer: &gst::BufferRef) -> bool {
    buffer.size() == 0 && buffer.flags().contains(gst::BufferFlags::GAP)
}

/// The caps of a pad's frames to come.
#[derive(Debug, Default)]
pub struct Format(Option<(gst::Caps, VideoInfo)>);

impl Format {
    /// Takes caps; refused ones leave the frames without.
    pub fn set(&mut self, caps: &gst::CapsRef) -> Result<(), glib::BoolError> {
        let info = VideoInfo::from_caps(caps);
        self.0 = info.as_ref().ok().map(|info| (caps.to_owned(), info.clone()));
        info.map(drop)
    }

    /// What the caps say.
    pub fn info(&self) -> Option<&VideoInfo> {
        self.0.as_ref().map(|(_, info)| info)
    }

    /// A frame that came to a pad.
    pub fn picture(
        &self,
        pad: &impl IsA<gst_base::AggregatorPad>,
        buffer: gst::Buffer,
    ) -> Result<Picture, gst::ErrorMessage> {
        let (caps, info) = self.0.clone().ok_or_else(|| {
            gst::error_msg!(gst::StreamError::Format, ("{} has no caps", pad.as_ref().name()))
        })?;
        Ok(Picture { buffer, caps, info, segment: pad.segment() })
    }
}
