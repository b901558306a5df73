// SPDX-License-Identifier: MPL-2.0
//! The bound of the gradient's norm, drawn from the norms that are usual in the run: on small
//! batches a few hard patches have gradients that would throw the weights about.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::divergence::median;

/// Norms that the median is taken over.
const WINDOW: usize = 200;
/// Until there are some norms, and at most ever.
const LARGEST: f64 = 1.0;
/// Gradients past this many medians say nothing of use.
const HOPELESS: f64 = 50.0;

/// The norms of the last steps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Clip(VecDeque<f64>);

impl Clip {
    /// What to clip a gradient of this norm to; none if it had better be left out.
    pub fn limit(&mut self, norm: f64) -> Option<f64> {
        if !norm.is_finite() {
            return None;
        }
        let usual = if self.0.is_empty() { norm } else { median(self.0.iter()) };
        if self.0.len() == WINDOW {
            self.0.pop_front();
        }
        self.0.push_back(norm);
        (norm <= HOPELESS * usual).then_some(usual.min(LARGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_norm_is_the_limit() {
        let mut clip = Clip::default();
        for norm in [0.1, 0.3, 0.2] {
            assert!(clip.limit(norm).is_some());
        }
        assert_eq!(clip.limit(4.0), Some(0.2));
        assert_eq!(clip.limit(400.0), None);
        assert_eq!(clip.limit(f64::NAN), None);
    }

    #[test]
    fn it_is_never_past_one() {
        let mut clip = Clip::default();
        assert_eq!(clip.limit(8.0), Some(1.0));
        assert_eq!(clip.limit(9.0), Some(1.0));
    }
}
