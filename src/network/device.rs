// SPDX-License-Identifier: MPL-2.0
//! Which device runs the network.

use std::error::Error as _;
use std::ffi::c_int;
use std::sync::LazyLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};
use tch::{Cuda, Device, Kind, Tensor};

use super::Error;

/// The name by which [`parse`] knows a device: `cpu`, `cuda:0`.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".into(),
    }
}

/// Reads a device name: `auto` (CUDA where there is one, else the CPU), `cpu`, `cuda` or
/// `cuda:INDEX`.
///
/// # Errors
/// [`Error::DeviceName`] for any other text, [`Error::DeviceAbsent`] where a CUDA device is named
/// and absent: never a fallback.
pub fn parse(name: &str) -> Result<Device, Error> {
    // First of all: libtorch remembers for good that there is no CUDA once it has computed without.
    LazyLock::force(&CUDA_LIBRARY);
    if name == "cpu" {
        return Ok(cpu());
    }
    let found = cuda_devices();
    let index = match name {
        "auto" if found == 0 => return Ok(cpu()),
        "auto" => 0,
        "cuda" => 0,
        _ => name
            .strip_prefix("cuda:")
            .and_then(|index| index.parse::<u32>().ok())
            .ok_or_else(|| Error::DeviceName(name.into()))?,
    };
    if i64::from(index) < found {
        // The fastest of cuDNN's ways for each size that comes.
        Cuda::cudnn_set_benchmark(true);
        return Ok(Device::Cuda(index as usize));
    }
    let reason = match &*CUDA_LIBRARY {
        Ok(_) => String::new(),
        // The source tells which file is missing, the error only that loading failed.
        Err(error) => match error.source() {
            Some(source) => format!(" ({source})"),
            None => format!(" ({error})"),
        },
    };
    Err(Error::DeviceAbsent { name: name.into(), found, reason })
}

/// Has glibc keep memory for feature maps in this process. It gives blocks above a threshold back to the
/// kernel as soon as they are freed, and new ones come page by page, cleared. The threshold rises to the
/// largest such block that has been freed, up to 32 MiB with what the allocator adds; twice as much may lie free.
fn keep_freed_memory() {
    const LARGEST: i64 = (32 << 20) - (64 << 10);
    // Without it all works, slower.
    let _ = Tensor::f_empty([LARGEST], (Kind::Uint8, Device::Cpu));
}

/// The CPU, made ready.
fn cpu() -> Device {
    keep_freed_memory();
    Device::Cpu
}

/// libtorch's CUDA part. It is loaded, not linked, so that one binary also starts where the CUDA
/// libraries are absent; once loaded it registers itself with libtorch and must stay.
static CUDA_LIBRARY: LazyLock<Result<Library, libloading::Error>> = LazyLock::new(|| {
    // SAFETY: the library's initialisers only register CUDA kernels with the libtorch of the same
    // release that this program is linked to.
    unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) }
});

type SetDevice = unsafe extern "C" fn(c_int) -> c_int;
type MemoryInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;

/// Bytes of a GPU's memory that are taken, by this process and others. libtorch keeps what it has
/// taken once. None for a CPU, or if CUDA does not say.
pub fn memory_taken(device: Device) -> Option<usize> {
    let (Device::Cuda(index), Ok(library)) = (device, &*CUDA_LIBRARY) else {
        return None;
    };
    let (mut free, mut total) = (0, 0);
    // SAFETY: they are functions of the CUDA runtime that the library is linked to, with these arguments.
    let results = unsafe {
        let set_device: Symbol<SetDevice> = library.get(b"cudaSetDevice").ok()?;
        let memory_info: Symbol<MemoryInfo> = library.get(b"cudaMemGetInfo").ok()?;
        [set_device(index as c_int), memory_info(&mut free, &mut total)]
    };
    (results == [0, 0]).then(|| total - free)
}

fn cuda_devices() -> i64 {
    match &*CUDA_LIBRARY {
        Ok(_) => Cuda::device_count(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused() {
        for name in ["", "gpu", "cuda:", "cuda:x", "cpu:0", "cuda:18446744073709551615"] {
            let message = parse(name).unwrap_err().to_string();
            assert!(message.contains(&format!("'{name}'")), "{message}");
        }
    }

    #[test]
    fn an_absent_device_is_an_error() {
        let message = parse("cuda:99").unwrap_err().to_string();
        assert!(message.contains("cuda:99") && message.contains("found"), "{message}");
    }
}
