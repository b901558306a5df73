// SPDX-License-Identifier: MPL-2.0
//! In which numbers and which memory layout the convolutions compute.

use clap::ValueEnum;
use tch::{Device, Kind, Tensor};

/// Arithmetic of the convolutions; coupling, wavelet and residual stream are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Precision {
    /// bf16, channels innermost in memory.
    Bf16,
    /// f32, channels innermost in memory.
    F32,
    /// f32, planes in memory, as the authors' program computes: slower, to compare with.
    F32Planes,
}

impl Precision {
    /// What is fastest on a device: bf16 on CUDA and on CPUs that have it in hardware, f32
    /// elsewhere.
    pub fn best(device: Device) -> Self {
        match device {
            Device::Cuda(_) => Self::Bf16,
            _ if cpu_has_bf16() => Self::Bf16,
            _ => Self::F32,
        }
    }

    /// The type of the weights and of the feature maps.
    pub fn kind(self) -> Kind {
        match self {
            Self::Bf16 => Kind::BFloat16,
            Self::F32 | Self::F32Planes => Kind::Float,
        }
    }

    /// The values of N×C×H×W in the memory layout of this precision; convolutions, `cat` and
    /// what works on each element keep it.
    pub(super) fn laid_out(self, x: &Tensor) -> Tensor {
        match self {
            Self::Bf16 | Self::F32 => innermost(x).permute([0, 3, 1, 2]),
            Self::F32Planes => x.contiguous(),
        }
    }
}

/// N×C×H×W as N×H×W×C in memory, copied only if it lies otherwise.
pub(super) fn innermost(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous()
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_has_bf16() -> bool {
    false
}
