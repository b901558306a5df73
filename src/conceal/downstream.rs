// SPDX-License-Identifier: MPL-2.0
//! What downstream answers to a stego: that it is the last, or that it is refused.

use gst::subclass::prelude::*;

use super::imp::{CAT, InvMihConceal};

impl InvMihConceal {
    /// The stream's flow after a stego was not taken. The cover's source reports a refusal, unless it
    /// has ended.
    pub(super) fn not_taken(&self, flow: gst::FlowError) -> gst::FlowError {
        gst::debug!(CAT, imp = self, "a stego was not taken: {flow}");
        match flow {
            gst::FlowError::Flushing | gst::FlowError::Error => flow,
            gst::FlowError::Eos => {
                self.end();
                flow
            }
            refusal if self.remember_refusal(refusal) => {
                self.report_refusal(refusal);
                gst::FlowError::Error
            }
            refusal => refusal,
        }
    }

    /// No stego comes any more, until a flush.
    pub(super) fn end(&self) {
        self.stop_waiting_until_cover_comes();
        // The base class drops what waits on the pads; after a seek it may have to serve.
        let pads = self.secret_pads();
        pads.iter().filter(|pad| pad.imp().has_ended()).for_each(|pad| pad.imp().keep_last());
    }

    /// Says that downstream refused a stego, as the cover's source would.
    pub(super) fn report_refusal(&self, refusal: gst::FlowError) {
        let why = format!("a stego was refused downstream: {refusal}");
        gst::element_imp_error!(self, gst::StreamError::Failed, ("{why}"));
    }
}
