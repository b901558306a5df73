// SPDX-License-Identifier: MPL-2.0
//! Telling applications what the next stego is made of: the base class's signal `samples-selected`.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::SecretPad;
use super::covers::Cover;
use super::imp::InvMihConceal;
use super::picture::Picture;

impl InvMihConceal {
    /// Tells of a cover and of the secrets that it will hide, if the user wants it (`emit-signals`).
    pub(super) fn tell_selection(&self, cover: &Cover) {
        let Picture { buffer, segment, .. } = &cover.picture;
        let segment = {
            let mut state = self.state.lock().unwrap();
            state.selected = Some(cover.picture.sample());
            // The base class sends it with the next stego: those of a batch come before this one.
            let next = state.batch.is_empty() && state.sent_segment.as_ref() != Some(segment);
            segment.downcast_ref::<gst::ClockTime>().filter(|_| next)
        };
        if let Some(segment) = segment {
            self.obj().update_segment(segment);
        }
        self.obj().selected_samples(buffer.pts(), buffer.dts(), buffer.duration(), None);
        self.state.lock().unwrap().selected = None;
    }

    /// What a pad gives to the stego that applications are told of.
    pub(super) fn selected_sample(&self, pad: &gst_base::AggregatorPad) -> Option<gst::Sample> {
        match pad.downcast_ref::<SecretPad>() {
            Some(secret) => secret.imp().sample(),
            None => self.state.lock().unwrap().selected.clone(),
        }
    }
}
