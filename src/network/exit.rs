// SPDX-License-Identifier: MPL-2.0
//! Holds the network still while the process exits: libtorch takes itself apart then, and a thread that is
//! in it would crash.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{RwLock, TryLockError};

use super::Error;

/// Read by each pass, written by the exit alone.
static PASSES: RwLock<()> = RwLock::new(());
static COUNT: AtomicU64 = AtomicU64::new(0);
static PROCESS: AtomicU32 = AtomicU32::new(0);
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Runs a pass, which the exit of the process waits for.
///
/// # Errors
/// [`Error::Exit`] once that has begun, or the pass's own.
pub fn before_exit<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let pass = match PASSES.try_read() {
        Ok(pass) => pass,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(Error::Exit),
    };
    let result = run();
    drop(pass);
    // What libtorch sets up is taken apart before what was registered earlier, and it sets up most in the
    // first passes.
    if (COUNT.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two() {
        PROCESS.store(process::id(), Ordering::Relaxed);
        // SAFETY: the function takes no arguments and stays loaded, as plugins do. Where there is no memory
        // to register it, the exit is as it was without.
        unsafe { libc::atexit(hold) };
    }
    result
}

/// Whether the process exits: what goes on for long had better end.
pub fn has_begun() -> bool {
    BEGUN.load(Ordering::Relaxed)
}

/// Waits for the passes under way and lets none begin. A forked process has none, but may have the lock of
/// one that its parent was in.
extern "C" fn hold() {
    let own = PROCESS.load(Ordering::Relaxed) == process::id();
    if own && !BEGUN.swap(true, Ordering::Relaxed) {
        std::mem::forget(PASSES.write());
    }
}
