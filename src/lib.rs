// SPDX-License-Identifier: MPL-2.0
//! A GStreamer plugin that hides up to sixteen images or videos inside one.

#![deny(missing_docs)]

mod conceal;
mod latency;
pub mod network;
mod numbers;
mod pictures;
mod reveal;
mod settings;
mod stats;
pub mod training;
mod video;
mod whole_file;

pub use plugin::plugin_register_static;

// The macro's items have no documentation.
#[allow(missing_docs)]
mod plugin {
    use gst::glib;

    fn init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
        crate::conceal::register(plugin)?;
        crate::reveal::register(plugin)
    }

    gst::plugin_define!(
        invmih,
        env!("CARGO_PKG_DESCRIPTION"),
        init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MPL-2.0",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        "gst-plugin-invmih",
        env!("BUILD_REL_DATE")
    );
}
