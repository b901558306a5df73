// SPDX-License-Identifier: MPL-2.0
//! The numbers of request pads: which are free, and which may be added.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex};

use gst::prelude::*;
use gst::subclass::prelude::*;

/// u of the pad `NAME_u`, none of any other.
pub fn number_of(name: &str, pad: &str) -> Option<usize> {
    pad.strip_prefix(name)?.strip_prefix('_')?.parse().ok()
}

/// The numbers of an element's pads `NAME_0`, `NAME_1` and so on, also of those that are being added.
pub struct PadNumbers {
    name: &'static str,
    category: &'static LazyLock<gst::DebugCategory>,
    taken: Mutex<BTreeSet<usize>>,
}

impl PadNumbers {
    /// For pads of a name, of an element that logs in a category.
    pub fn new(name: &'static str, category: &'static LazyLock<gst::DebugCategory>) -> Self {
        Self { name, category, taken: Mutex::default() }
    }

    /// The number of a pad that may be added now, that of the name asked for or the first that is free,
    /// taken until the pad gives it back. What `check` has against it goes on the element's bus.
    pub fn reserve<T: ElementImpl>(
        &self,
        element: &T,
        asked: Option<&str>,
        check: impl FnOnce(usize) -> Result<(), gst::ErrorMessage>,
    ) -> Option<usize> {
        let mut taken = self.taken.lock().unwrap();
        let asked = asked.and_then(|pad| number_of(self.name, pad));
        let number = asked.or_else(|| (0..).find(|number| !taken.contains(number)))?;
        if taken.contains(&number) {
            let Self { name, category, .. } = self;
            gst::warning!(category, imp = element, "there is a pad {name}_{number} already");
            return None;
        }
        if let Err(error) = check(number) {
            drop(taken);
            element.post_error_message(error);
            return None;
        }
        taken.insert(number);
        Some(number)
    }

    /// Frees the number of a pad that was released.
    pub fn give_back(&self, pad: &gst::Pad) {
        if let Some(number) = number_of(self.name, &pad.name()) {
            self.taken.lock().unwrap().remove(&number);
        }
    }
}
