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
//! Pads may be linked late: covers wait until all are. Missing ones are named in a warning after
//! five seconds, and in an error once the cover has ended.
//!
//! With `batch-size` k, up to k covers go through the network together. A stream that is not live
//! waits for k covers, a live one takes those that are there.
//!
//! With `enhance`, as by default, each stego carries in its low bits what reveal would miss of its
//! secrets. Finding that out takes longer than the network's pass.
//!
//! With `refine`, each stego is fitted to its very cover and secrets in so many gradient steps, for
//! pictures that may take their time. A stop or a flush ends it.
//!
//! With `emit-signals`, `samples-selected` comes before each stego; its handler finds the cover and the
//! secrets with `gst_aggregator_peek_next_sample()`.
//!
//! With `post-messages`, each stego has an element message `invmihconceal` of its own: timestamp,
//! stream-time, running-time and duration (guint64, nanoseconds) where known, cover-psnr (gdouble, dB)
//! and inference-time (guint64, nanoseconds).
//!
//! A cover needs timestamps, but for the first frame: a picture without one stands at the start of
//! its segment.
//!
//! Live, a cover waits for its secrets no longer than the latency, once each has had a frame: then
//! their last frames serve. The element's own latency is the cover's frame duration times `batch-size`
//! and the longest pass of the network so far, rounded up to a power of two of milliseconds; the first
//! pass of a size does not count. At a variable frame rate it is two such passes. It is announced anew
//! as it grows. No stego is dropped for being late, and QoS
//! events go no further upstream.
//!
//! Events of the cover's stream leave in their order with the stegos, those before the first one after
//! its segment. EOS sent to the element ends the cover: stegos that are due come before it.
//!
//! A flushing seek, in time only, goes to every source that can seek. A secret whose source cannot but
//! has ended keeps its last frame, as one does that has nothing at the new position. While such a
//! source goes on, the seek is refused with a warning: the flush would stop it for good. A source
//! that refuses a seek though it said it can ends the stream with an error.
//!
//! The weights are read when the element goes to PAUSED. What happens to their files afterwards
//! matters to the next start only: a file of another inode, size or time is read anew.

use gst::glib;
use gst::prelude::*;

mod covers;
mod downstream;
mod events;
mod held_events;
mod imp;
mod output;
mod pad;
mod picture;
mod selection;
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
    SecretPad::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "invmihconceal",
        gst::Rank::NONE,
        InvMihConceal::static_type(),
    )
}
