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
//! duration, as a picture is, gives all of them its own timestamp.

use gst::glib;
use gst::prelude::*;

mod imp;
mod negotiation;
mod output;
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
