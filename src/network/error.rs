// SPDX-License-Identifier: MPL-2.0
//! What can go wrong in the network, each a sentence with the offending values.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::PathBuf;
use std::sync::Once;

/// The network's errors.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number of secrets that no weights are made for.
    #[error("secrets={0} is not possible: choose 4, 6, 8, 9 or 16")]
    Secrets(u32),
    /// A grid outside 1×1 to 5×5.
    #[error("a grid of {rows}x{columns} is not possible: rows and columns go from 1 to 5")]
    Grid {
        /// Rows asked for.
        rows: usize,
        /// Columns asked for.
        columns: usize,
    },
    /// Text that names no grid.
    #[error("'{0}' names no grid: write ROWSxCOLUMNS, for example 4x4")]
    GridName(String),
    /// A device name that cannot be read.
    #[error("device '{0}' is not known: choose auto, cpu, cuda or cuda:INDEX")]
    DeviceName(String),
    /// A CUDA device that is not there.
    #[error("device '{name}' is not there: {found} CUDA device(s) found{reason}")]
    DeviceAbsent {
        /// The device asked for.
        name: String,
        /// How many CUDA devices libtorch sees.
        found: i64,
        /// Why libtorch's CUDA part did not load, if it did not.
        reason: String,
    },
    /// A frame whose pixels do not fit its size.
    #[error("a frame of {width}x{height} needs {} bytes of RGB, got {bytes}", *width as u128 * *height as u128 * 3)]
    FrameBytes {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes given.
        bytes: usize,
    },
    /// A frame too small to be cut into the grid's tiles.
    #[error(
        "a frame of {width}x{height} is too small to hide in: a {grid} grid needs at least {min_width}x{min_height}"
    )]
    FrameSmall {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// The grid, as `rows`x`columns`.
        grid: String,
        /// Smallest width in pixels.
        min_width: usize,
        /// Smallest height in pixels.
        min_height: usize,
    },
    /// A secret or a mosaic of another size than the cover.
    #[error(
        "a {what} of {width}x{height} does not fit a frame of {expected_width}x{expected_height}"
    )]
    FrameSize {
        /// What has the wrong size.
        what: &'static str,
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
        /// The width expected.
        expected_width: usize,
        /// The height expected.
        expected_height: usize,
    },
    /// A wrong number of secrets.
    #[error("{given} secrets given, {expected} needed")]
    SecretCount {
        /// Secrets given.
        given: usize,
        /// Secrets needed.
        expected: usize,
    },
    /// No weights file in any of the folders searched.
    #[error("no weights for {secrets} secrets: '{file}' is in none of {searched}")]
    WeightsMissing {
        /// N.
        secrets: usize,
        /// The file's name.
        file: String,
        /// The folders searched.
        searched: String,
    },
    /// A weights file that cannot be opened or written.
    #[error("weights file '{path}': {source}")]
    WeightsIo {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A weights file that is cut short or of another make.
    #[error("weights file '{path}' cannot be used: {reason}")]
    WeightsContent {
        /// The file.
        path: PathBuf,
        /// What is wrong, with what was expected.
        reason: String,
    },
    /// A key that could not be derived.
    #[error("no key could be derived from the passphrase: {0}")]
    Passphrase(String),
    /// A pass that would begin while the process exits.
    #[error("the process exits")]
    Exit,
    /// libtorch failed, for want of memory for example.
    #[error("libtorch failed: {0}")]
    Torch(String),
    /// A mistake in this program.
    #[error("this should not have happened, please report it: {0}")]
    Internal(String),
}

/// How the text of a panic begins what libtorch said.
const TORCH: &str = "Torch(\"";

thread_local! {
    /// Whether a panic of this thread becomes an error.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs what calls tch's operators. They panic where libtorch fails (for want of memory, say): that
/// becomes an error, as any other panic does.
pub(crate) fn caught<T, E: From<Error>>(run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    leave_to_errors();
    let outer = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    CATCHING.set(outer);
    result.unwrap_or_else(|panic| {
        let own = panic.downcast_ref::<String>().map(String::as_str);
        let literal = || panic.downcast_ref::<&str>().copied();
        Err(failure(own.or_else(literal).unwrap_or("unknown failure")).into())
    })
}

/// Keeps libtorch's failures from being told on standard error too, with the frames below them.
fn leave_to_errors() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = take_hook();
        set_hook(Box::new(move |panic| {
            let torch = panic.payload_as_str().is_some_and(|text| text.contains(TORCH));
            if !(torch && CATCHING.get()) {
                told(panic);
            }
        }));
    });
}

fn failure(panic: &str) -> Error {
    match panic.split_once(TORCH) {
        Some((_, message)) => Error::Torch(reason(message)),
        None => Error::Internal(panic.into()),
    }
}

/// What libtorch says itself at the start of an error's text: without the C++ frames below it.
fn reason(text: &str) -> String {
    let first = text.split("\\n").next().unwrap_or(text).trim_end_matches("\")");
    first.split_once("] ").map_or(first, |(_, said)| said).into()
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn a_failure_of_libtorch_is_an_error_in_its_own_words() {
        let matrix = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let error = caught(|| Ok::<_, Error>(matrix.matmul(&matrix))).unwrap_err().to_string();
        assert!(error.starts_with("libtorch failed: mat1 and mat2"), "{error}");
        assert!(!error.contains("unwrap") && !error.contains("frame #"), "{error}");
    }

    #[test]
    fn a_failure_of_libtorch_is_told_by_its_error_alone() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["a_failure_of_libtorch_is_an_error_in_its_own_words", "--nocapture"])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("1 passed") && !text.contains("panicked"), "{text}");
    }

    #[test]
    fn what_comes_before_and_after_the_words_is_left_out() {
        let panic =
            r#"called `Result::unwrap()`: Torch("[enforce fail at x.cpp:1] too large.\nframe #0")"#;
        assert_eq!(failure(panic).to_string(), "libtorch failed: too large.");
    }

    #[test]
    fn a_panic_of_this_program_is_not_blamed_on_libtorch() {
        let words = |run: fn() -> Result<(), Error>| caught(run).unwrap_err().to_string();
        for text in [words(|| panic!("no {}", 1)), words(|| panic!("no 1"))] {
            assert!(text.contains("report it: no 1"), "{text}");
        }
    }
}
