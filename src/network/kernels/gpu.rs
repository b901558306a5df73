// SPDX-License-Identifier: MPL-2.0
//! The kernels on a GPU: compiled by NVRTC when the first block needs them, once for each GPU.

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cudarc::driver::sys::CUfunction_attribute;
use cudarc::driver::{
    self, CudaContext, CudaFunction, CudaStream, DeviceRepr, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::{self, CompileOptions, compile_ptx_with_opts};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use super::{Arguments, Launch};

const SOURCE: &str = concat!(include_str!("instructions.cuh"), include_str!("convolution.cu"));
const KERNELS: [&str; 5] = ["hidden", "last_1", "last_2", "last_3", "last_4"];
/// The most shared memory that any of them takes: three stages of 28,800 bytes.
const SHARED: i32 = 86_400;

// SAFETY: it has the layout of convolution.cu's struct, pointers and integers without padding that
// would be read.
unsafe impl DeviceRepr for Arguments {}

/// The kernels on one GPU.
pub struct Gpu {
    stream: Arc<CudaStream>,
    kernels: HashMap<&'static str, CudaFunction>,
}

impl Gpu {
    /// Those of a GPU; `None` where they cannot be had: no NVRTC, or matrix units that know no bf16.
    pub fn of(index: usize) -> Option<Arc<Self>> {
        static GPUS: LazyLock<Mutex<HashMap<usize, Option<Arc<Gpu>>>>> =
            LazyLock::new(Mutex::default);
        let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
        // cudarc panics where a library lacks what it wants.
        let make = || catch_unwind(|| Self::new(index)).ok().flatten().map(Arc::new);
        gpus.entry(index).or_insert_with(make).clone()
    }

    fn new(index: usize) -> Option<Self> {
        LazyLock::force(&NVRTC);
        // SAFETY: looking for libraries runs their initialisers, which may run at any time.
        if !unsafe { nvrtc::sys::is_culib_present() && driver::sys::is_culib_present() } {
            return None;
        }
        let context = CudaContext::new(index).ok()?;
        if context.compute_capability().ok()? < (8, 0) {
            return None;
        }
        let options = CompileOptions {
            arch: Some("compute_80"),
            options: vec!["--std=c++17".into()],
            ..CompileOptions::default()
        };
        let module = context.load_module(compile_ptx_with_opts(SOURCE, options).ok()?).ok()?;
        let mut kernels = HashMap::new();
        for name in KERNELS {
            let kernel = module.load_function(name).ok()?;
            let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            kernel.set_attribute(attribute, SHARED).ok()?;
            kernels.insert(name, kernel);
        }
        // libtorch's threads work on the default stream too.
        Some(Self { stream: context.default_stream(), kernels })
    }

    /// Starts a kernel; `None` if that fails.
    pub fn launch(&self, launch: &Launch) -> Option<()> {
        let [x, y, z] = launch.blocks;
        let config = LaunchConfig {
            grid_dim: (x, y, z),
            block_dim: (launch.threads, 1, 1),
            shared_mem_bytes: launch.shared,
        };
        let mut builder = self.stream.launch_builder(self.kernels.get(launch.kernel)?);
        builder.arg(&launch.arguments);
        // SAFETY: the kernel takes these arguments, whose tensors libtorch's allocator gives away again
        // only to what comes later on the same stream; it stays within them for every size.
        unsafe { builder.launch(config) }.ok().map(drop)
    }
}

/// libtorch's way to the NVRTC and the driver of its own release; once it is loaded both are found by
/// their names.
static NVRTC: LazyLock<Option<Library>> = LazyLock::new(|| {
    // SAFETY: it has no initialisers of its own, those of NVRTC and the driver may run at any time.
    unsafe { Library::open(Some("libcaffe2_nvrtc.so"), RTLD_NOW | RTLD_GLOBAL) }.ok()
});
