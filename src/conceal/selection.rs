// SPDX-License-Identifier: MPL-2.0
//! Telling applications what the next stego is made of: the base class's signal `samples-selected`.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::SecretPad;
use super::imp::InvMihConceal;

impl InvMihConceal {
    /// Tells of the next cover and of the secrets that it will hide, if the user wants it
    /// (`emit-signals`).
    pub(super) fn tell_selection(&self) {
        let Some(cover) = self.next_sample(&self.cover_pad) else {
            return;
        };
        if let Some(buffer) = cover.buffer() {
            self.obj().selected_samples(buffer.pts(), buffer.dts(), buffer.duration(), None);
        }
    }

    /// What a pad gives to the next stego.
    pub(super) fn next_sample(&self, pad: &gst_base::AggregatorPad) -> Option<gst::Sample> {
        match pad.downcast_ref::<SecretPad>() {
            Some(secret) => secret.imp().sample(),
            None => self.state.lock().unwrap().covers.next_sample(pad),
        }
    }
}
