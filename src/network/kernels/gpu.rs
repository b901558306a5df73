// SPDX-License-Identifier: MPL-2.0
//! The kernels on a GPU: compiled by NVRTC when the first model is loaded, once for each GPU.

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cudarc::driver::sys::CUfunction_attribute;
use cudarc::driver::{
    self, CudaContext, CudaFunction, CudaStream, DeviceRepr, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::{self, CompileOptions, compile_ptx_with_opts};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::{Arguments, Launch, MOST_TILES, shared};

const SOURCE: &str = concat!(include_str!("instructions.cuh"), include_str!("convolution.cu"));
const KERNELS: [&str; 6] = ["input", "hidden", "last_1", "last_2", "last_3", "last_4"];

// SAFETY: it has the layout of convolution.cu's struct, pointers and numbers without padding.
unsafe impl DeviceRepr for Arguments {}

/// The kernels on one GPU.
pub struct Gpu {
    stream: Arc<CudaStream>,
    kernels: HashMap<&'static str, CudaFunction>,
}

/// The kernels on a GPU, or why there are none.
pub type Found = Result<Arc<Gpu>, String>;

impl Gpu {
    /// Those of a GPU.
    ///
    /// # Errors
    /// Why they cannot be had: no NVRTC, say, or matrix units that know no bf16.
    pub fn of(index: usize) -> Found {
        static GPUS: LazyLock<Mutex<HashMap<usize, Found>>> = LazyLock::new(Mutex::default);
        let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
        gpus.entry(index).or_insert_with(|| Self::new(index).map(Arc::new)).clone()
    }

    fn new(index: usize) -> Result<Self, String> {
        LazyLock::force(&NVRTC);
        // SAFETY: looking for libraries runs their initialisers, which may run at any time.
        if !unsafe { nvrtc::sys::is_culib_present() && driver::sys::is_culib_present() } {
            return Err("NVRTC or the driver is missing".into());
        }
        // cudarc panics where a library is older than what it knows.
        catch_unwind(|| Self::compiled(index)).unwrap_or_else(|_| Err("CUDA is too old".into()))
    }

    fn compiled(index: usize) -> Result<Self, String> {
        let said = |error: driver::DriverError| error.to_string();
        let context = CudaContext::new(index).map_err(said)?;
        let (major, minor) = context.compute_capability().map_err(said)?;
        if major < 8 {
            return Err(format!("compute capability {major}.{minor} knows no bf16, 8.0 does"));
        }
        let options = CompileOptions {
            arch: Some("compute_80"),
            options: vec!["--std=c++17".into()],
            ..CompileOptions::default()
        };
        let code = compile_ptx_with_opts(SOURCE, options).map_err(|error| error.to_string())?;
        let module = context.load_module(code).map_err(said)?;
        let mut kernels = HashMap::new();
        for name in KERNELS {
            let kernel = module.load_function(name).map_err(said)?;
            let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            kernel.set_attribute(attribute, shared(MOST_TILES) as i32).map_err(said)?;
            kernels.insert(name, kernel);
        }
        // tch has no way to another stream.
        Ok(Self { stream: context.default_stream(), kernels })
    }

    /// Starts a kernel.
    ///
    /// # Panics
    /// If CUDA does not, as tch's operators do.
    pub fn launch(&self, launch: &Launch) {
        let [x, y, z] = launch.blocks;
        let config = LaunchConfig {
            grid_dim: (x, y, z),
            block_dim: (launch.threads, 1, 1),
            shared_mem_bytes: launch.shared,
        };
        let mut builder = self.stream.launch_builder(&self.kernels[launch.kernel]);
        builder.arg(&launch.arguments);
        // SAFETY: the kernel takes these arguments, whose tensors libtorch's allocator gives away again
        // only to what comes later on the same stream; it stays within them for every size.
        if let Err(error) = unsafe { builder.launch(config) } {
            panic!("the CUDA kernel '{}' did not start: {error}", launch.kernel);
        }
    }
}

/// libtorch's way to the NVRTC and the driver of its own release, which are found by their names once it is
/// loaded, unless others lie where libraries are looked for first.
static NVRTC: LazyLock<Option<Library>> = LazyLock::new(|| {
    // SAFETY: it has no initialisers of its own, those of NVRTC and the driver may run at any time.
    unsafe { Library::open(Some("libcaffe2_nvrtc.so"), RTLD_NOW | RTLD_LOCAL) }.ok()
});
