// SPDX-License-Identifier: MPL-2.0
//! What one stego reveals on which pads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_video::VideoInfo;

use super::output::{Output, montage};
use crate::network::{Frame, Grid, Model, Scrambler};
use crate::numbers::number_of;
use crate::video;

/// What does not change from READY to READY.
#[derive(Clone)]
pub struct Session {
    pub model: Arc<Model>,
    pub grid: Grid,
    pub scrambler: Option<Arc<Scrambler>>,
    pub output: Output,
}

/// What one stego reveals.
pub struct Pictures {
    /// All secrets, or none if no pad wants them.
    pub secrets: Vec<Frame>,
    /// What `src` gives in place of the secrets.
    pub joined: Option<Frame>,
    /// Time in the network.
    pub inference: Duration,
}

impl Session {
    /// Reveals what the pads need of a stego.
    pub fn pictures(
        &self,
        stego: &gst::BufferRef,
        info: &VideoInfo,
        pads: &[&gst::Pad],
    ) -> Result<Pictures, gst::ErrorMessage> {
        let frame = video::read(stego, info)?;
        let scrambler = self.scrambler.as_deref();
        let src = pads.iter().any(|pad| secret_of(pad).is_none());
        let each = pads.len() > usize::from(src);
        let start = Instant::now();
        let secrets = match each || src && self.output != Output::Preview {
            true => self.model.reveal(&frame, scrambler)?,
            false => vec![],
        };
        let preview = match src && self.output == Output::Preview {
            true => Some(self.model.preview(&frame, scrambler)?),
            false => None,
        };
        let inference = start.elapsed();
        let joined = match src && self.output == Output::Montage {
            true => Some(montage(&secrets, self.grid)?),
            false => preview,
        };
        Ok(Pictures { secrets, joined, inference })
    }
}

/// u of `src_u`, none of `src`.
pub fn secret_of(pad: &gst::Pad) -> Option<usize> {
    number_of("src", &pad.name())
}
