// SPDX-License-Identifier: MPL-2.0
//! `invmihconceal` with a harness on each pad.

use gst_check::Harness;
use gst_video::VideoInfo;
use gstinvmih::network::{Effort, Frame};

use super::{MODEL, SECRETS, buffer, init, picture};

/// The element, not started.
pub fn element() -> gst::Element {
    init();
    gst::ElementFactory::make("invmihconceal").build().unwrap()
}

/// An element with all its secret pads.
pub struct Conceal {
    pub element: gst::Element,
    pub cover: Harness,
    pub secrets: Vec<Harness>,
}

impl Conceal {
    pub fn new(cover_info: &VideoInfo, secret_info: &VideoInfo) -> Self {
        Self::of(element(), cover_info, secret_info)
    }

    pub fn of(element: gst::Element, cover_info: &VideoInfo, secret_info: &VideoInfo) -> Self {
        let mut cover = Harness::with_element(&element, Some("sink"), Some("src"));
        let mut secrets: Vec<_> = (0..SECRETS)
            .map(|u| Harness::with_element(&element, Some(&format!("secret_{u}")), None))
            .collect();
        cover.play();
        cover.set_src_caps(cover_info.to_caps().unwrap());
        for secret in &mut secrets {
            secret.play();
            secret.set_src_caps(secret_info.to_caps().unwrap());
        }
        Self { element, cover, secrets }
    }

    /// Gives each secret pad one frame and its end.
    pub fn push_stills(&mut self, stills: &[Frame], secret_info: &VideoInfo) {
        for (u, still) in stills.iter().enumerate() {
            self.push_still(u, still, secret_info);
        }
    }

    /// Gives a secret pad one frame and its end.
    pub fn push_still(&mut self, u: usize, still: &Frame, secret_info: &VideoInfo) {
        self.secrets[u].push(buffer(still, secret_info, 0)).unwrap();
        self.secrets[u].push_event(gst::event::Eos::new());
    }

    /// Flushes all pads, as a seek does.
    pub fn flush(&mut self) {
        let seqnum = gst::Seqnum::next();
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let events = [
            gst::event::FlushStart::builder().seqnum(seqnum).build(),
            gst::event::FlushStop::builder(true).seqnum(seqnum).build(),
            gst::event::Segment::builder(&segment).seqnum(seqnum).build(),
        ];
        for event in &events {
            self.cover.push_event(event.clone());
            for secret in &mut self.secrets {
                secret.push_event(event.clone());
            }
        }
    }

    pub fn push_and_pull(&mut self, cover: gst::Buffer) -> gst::Buffer {
        self.cover.push(cover).unwrap();
        self.cover.pull().unwrap()
    }
}

/// One smooth picture for each secret.
pub fn secrets((width, height): (usize, usize), first_seed: usize) -> Vec<Frame> {
    (0..SECRETS).map(|u| picture(width, height, first_seed + u)).collect()
}

/// What the element has to make of a cover and secrets.
pub fn stego(cover: &Frame, secrets: &[Frame]) -> Frame {
    let effort = Effort { refine: 0, enhance: true };
    MODEL.conceal(cover, &MODEL.mosaic_for(secrets, None, effort).unwrap()).unwrap()
}
