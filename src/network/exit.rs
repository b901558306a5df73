// SPDX-License-Identifier: MPL-2.0
//! Holds the network still while the process exits: libtorch takes itself apart then, and a thread that is
//! in it would crash.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// Read by each pass, written by the exit.
static PASSES: RwLock<()> = RwLock::new(());
static COUNT: AtomicU64 = AtomicU64::new(0);
static EXITING: AtomicBool = AtomicBool::new(false);

/// Runs a pass, which the exit of the process waits for. If that has begun, this does not return.
pub fn before_exit<T>(run: impl FnOnce() -> T) -> T {
    let pass = PASSES.read().unwrap_or_else(PoisonError::into_inner);
    let result = run();
    drop(pass);
    // What libtorch sets up is taken apart before what was registered earlier, and it sets up most in the
    // first passes.
    if (COUNT.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two() {
        // SAFETY: the function takes no arguments and stays, as the plugin does that it is in. Where there
        // is no memory to register it, the exit is as it was without.
        unsafe { libc::atexit(hold) };
    }
    result
}

/// Whether the process exits: what goes on for long had better end.
pub fn has_begun() -> bool {
    EXITING.load(Ordering::Relaxed)
}

/// Waits for the passes under way; those to come wait for the end.
extern "C" fn hold() {
    if !EXITING.swap(true, Ordering::Relaxed) {
        std::mem::forget(PASSES.write());
    }
}
