// SPDX-License-Identifier: MPL-2.0
//! `invmihreveal`: reveals the secrets in a stego.
//!
//! ```text
//! gst-launch-1.0 filesrc location=stego.png ! decodebin ! videoconvert ! invmihreveal secrets=16 ! videoconvert ! pngenc ! multifilesink location=revealed_%02d.png
//! ```
//!
//! `src` gives all secrets, as `output` says; `src_u` gives secret u alone, with the stego's times.
//! All are pushed from one thread: where several are linked, each needs a queue.
//!
//! As a sequence the secrets share the stego's duration, N times its frame rate. A stego without a
//! duration and without a constant frame rate, as a picture is, gives all of them its own timestamp, and
//! one without a timestamp none.
//!
//! The secrets have the stego's size, whatever theirs was before they were hidden. A stego that a
//! lossy file or a scaler has changed gives pictures too, the secrets damaged or not to be seen.
//!
//! Live, the latency is the sources' and the longest that a stego has taken so far, rounded up to a power
//! of two of milliseconds; the first one does not count. It is announced anew as it grows. QoS events
//! go no further upstream, or a stego would be dropped with all its secrets.

use gst::glib;
use gst::prelude::*;

mod imp;
mod negotiation;
mod output;
mod pads;
mod session;

glib::wrapper! {
    pub struct InvMihReveal(ObjectSubclass<imp::InvMihReveal>)
        @extends gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    output::Output::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "invmihreveal",
        gst::Rank::NONE,
        InvMihReveal::static_type(),
    )
}
