// SPDX-License-Identifier: MPL-2.0
//! What the commands share: progress bars and threads.

use std::num::NonZeroU16;

use indicatif::{ProgressBar, ProgressStyle};

/// Prints a line. That nobody reads it any more is no reason to stop: what counts goes to files.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
pub(crate) use say;

/// A bar that a command fills.
pub fn progress_bar(template: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::no_length().with_style(style)
}

/// Bounds the threads of the CPU, all cores by default.
pub fn set_threads(threads: Option<NonZeroU16>) {
    if let Some(threads) = threads {
        tch::set_num_threads(threads.get().into());
    }
}
