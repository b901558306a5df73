// SPDX-License-Identifier: MPL-2.0
//! `invmihconceal`: hides secrets in a cover.
//!
//! ```text
//! gst-launch-1.0 filesrc location=cover.png ! decodebin ! videoconvert ! invmihconceal secrets=16 secret-location=photos ! pngenc ! filesink location=stego.png
//! gst-launch-1.0 invmihconceal name=c secrets=4 ! videoconvert ! fakesink  videotestsrc num-buffers=10 ! c.sink  videotestsrc pattern=ball ! c.secret_0  videotestsrc pattern=snow ! c.secret_1  videotestsrc pattern=smpte ! c.secret_2  videotestsrc pattern=circular ! c.secret_3
//! ```
//!
//! The cover goes to the pad `sink`, secret u to `secret_u`; without secret pads the secrets are the
//! pictures of `secret-location`. Every cover frame gives one stego frame with its caps, times, flags
//! and metas; only R, G and B change. A secret's frame is its latest at or before the cover's running
//! time; the first serves earlier covers too, the last serves on after the secret's end.
//!
//! Secret pads may be linked late: covers wait until all are. Missing ones are named in a warning
//! after five seconds, and in an error once the cover has ended.
//!
//! A cover needs timestamps, but for the first frame: a picture without one stands at the start of
//! its segment.

use gst::glib;
use gst::prelude::*;

mod covers;
mod imp;
mod output;
mod pad;
mod settings;
mod stego;
mod stills;
mod upstream;
mod wait;

glib::wrapper! {
    pub struct InvMihConceal(ObjectSubclass<imp::InvMihConceal>)
        @extends gst_base::Aggregator, gst::Element, gst::Object;
}

glib::wrapper! {
    pub struct SecretPad(ObjectSubclass<pad::SecretPad>)
        @extends gst_base::AggregatorPad, gst::Pad, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "invmihconceal",
        gst::Rank::NONE,
        InvMihConceal::static_type(),
    )
}
