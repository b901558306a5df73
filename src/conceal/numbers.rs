// SPDX-License-Identifier: MPL-2.0
//! The numbers of secret pads: which are free, and which may be added.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::{CAT, InvMihConceal};
use crate::settings::check_number;

impl InvMihConceal {
    /// The number of a pad that may be added now, the one that was asked for or the first that is
    /// free, taken until the pad is released.
    pub(super) fn reserved_number(&self, asked: Option<usize>) -> Option<usize> {
        let mut numbers = self.numbers.lock().unwrap();
        let number = asked.or_else(|| (0..).find(|number| !numbers.contains(number)))?;
        if numbers.contains(&number) {
            gst::warning!(CAT, imp = self, "there is a pad secret_{number} already");
            return None;
        }
        match self.check_new_pad(number) {
            Ok(()) => {
                numbers.insert(number);
                Some(number)
            }
            Err(error) => {
                drop(numbers);
                self.post_error_message(error);
                None
            }
        }
    }

    /// Whether a pad may be added now.
    fn check_new_pad(&self, number: usize) -> Result<(), gst::ErrorMessage> {
        let state = self.state.lock().unwrap();
        if state.stills.is_some() {
            return Err(gst::error_msg!(
                gst::LibraryError::Settings,
                ("secret_{number} comes too late: the secrets of secret-location are in use")
            ));
        }
        match &state.model {
            Some(_) => check_number("secret", number, state.secrets),
            None => Ok(()),
        }
    }

    /// Frees the number of a pad that was released.
    pub(super) fn give_number_back(&self, pad: &gst::Pad) {
        let secret = pad.downcast_ref::<super::SecretPad>();
        if let Some(number) = secret.and_then(|pad| pad.imp().number()) {
            self.numbers.lock().unwrap().remove(&number);
        }
    }
}
