// SPDX-License-Identifier: MPL-2.0
//! A source that sends no segment. A process of its own: GStreamer warns of it, which ends other tests.

use gst::prelude::*;

#[test]
fn covers_without_a_segment_are_an_error() {
    gst::init().unwrap();
    gstinvmih::plugin_register_static().unwrap();
    let element = gst::ElementFactory::make("invmihconceal").build().unwrap();
    let stills = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos");
    element.set_property("secret-location", stills);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let taker = gst::Pad::builder(gst::PadDirection::Sink)
        .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
        .build();
    let source = gst::Pad::builder(gst::PadDirection::Src).build();
    for pad in [&taker, &source] {
        pad.set_active(true).unwrap();
    }
    element.static_pad("src").unwrap().link(&taker).unwrap();
    source.link(&element.static_pad("sink").unwrap()).unwrap();
    element.set_state(gst::State::Playing).unwrap();
    let format = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 24, 16);
    source.push_event(gst::event::StreamStart::new("cover"));
    source.push_event(gst::event::Caps::new(&format.build().unwrap().to_caps().unwrap()));
    source.push(gst::Buffer::from_mut_slice(vec![77; 24 * 16 * 3])).unwrap();
    let errors = [gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &errors).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    let text = error.error().to_string();
    assert!(text.contains("sink: frames come without a segment"), "{text}");
    element.set_state(gst::State::Null).unwrap();
}
