// SPDX-License-Identifier: MPL-2.0
//! The kernels, compiled for the CPU with a GPU's instructions emulated, beside libtorch.

use std::fs;
use std::process::Command;

use libloading::{Library, Symbol};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::{Arguments, Launch};
use crate::network::Precision;
use crate::network::coupling::tests::randomise;
use crate::network::dense::DenseBlock;

const ENTRY: &str = r#"
static Convolution argument;
template <void (*OWN)(Convolution)> static void call() { OWN(argument); }

extern "C" void launch(const char* name, const unsigned* blocks, unsigned threads, unsigned shared,
                       const Convolution* given) {
    argument = *given;
    fibers.resize(threads);
    const std::string kernel = name;
    entry = kernel == "hidden" ? call<hidden> : kernel == "last_1" ? call<last_1> :
            kernel == "last_2" ? call<last_2> : kernel == "last_3" ? call<last_3> : call<last_4>;
    for (blockIdx.z = 0; blockIdx.z < blocks[2]; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < blocks[1]; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < blocks[0]; ++blockIdx.x) run_block(shared);
}
"#;

/// The kernels as a library of this machine's.
fn emulated() -> Library {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("kernels.cpp"), folder.path().join("kernels.so"));
    let kernel = include_str!("convolution.cu");
    let text = ["#include <string>\n", include_str!("emulated.hpp"), kernel, ENTRY].concat();
    fs::write(&source, text).unwrap();
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++17", "-O2", "-shared", "-fPIC", "-Wno-unknown-pragmas", "-o"]);
    assert!(compiler.arg(&library).arg(&source).status().unwrap().success());
    // SAFETY: the library's initialisers only allocate memory.
    unsafe { Library::new(library) }.unwrap()
}

fn launch(library: &Library, launch: &Launch) {
    type Entry = unsafe extern "C" fn(*const u8, *const u32, u32, u32, *const Arguments);
    let Launch { kernel, blocks, threads, shared, arguments } = launch;
    let name = format!("{kernel}\0");
    // SAFETY: `ENTRY` has this signature.
    let entry: Symbol<Entry> = unsafe { library.get(b"launch") }.unwrap();
    // SAFETY: the arguments' tensors are on the CPU and outlive the call.
    unsafe { entry(name.as_ptr(), blocks.as_ptr(), *threads, *shared, arguments) };
}

/// A dense block's output in f32 from weights, input and feature maps that are rounded to bf16, as those of
/// the kernels are: what bf16 costs on any machine.
fn rounded(store: &VarStore, x: &Tensor) -> Tensor {
    let bf16 = |x: &Tensor| x.to_kind(Kind::BFloat16).to_kind(Kind::Float);
    let parameters = store.variables();
    let convolution = |maps: &Tensor, k: i64| {
        let weight = bf16(&parameters[&format!("convs.{k}.weight")]);
        maps.conv2d(&weight, Some(&parameters[&format!("convs.{k}.bias")]), 1, 1, 1, 1)
    };
    let hidden = |maps: Tensor, k| {
        let new = convolution(&maps, k);
        Tensor::cat(&[&maps, &bf16(&new.maximum(&(&new * 0.2)))], 1)
    };
    convolution(&(0..4).fold(bf16(x), hidden), 4)
}

/// Dense blocks from some numbers of channels to others, on pictures×height×width on a device: as near to
/// f32 as bf16 can be.
fn compare(
    device: Device,
    cases: &[(i64, i64, [i64; 3])],
    forward: impl Fn(&DenseBlock, &Tensor) -> Tensor,
) {
    for &(inputs, outputs, [pictures, height, width]) in cases {
        let stores = [Device::Cpu, device].map(VarStore::new);
        let [reference, block] =
            stores.each_ref().map(|store| DenseBlock::new(&store.root(), inputs, outputs, 1.0));
        let [mut first, mut second] = stores;
        randomise(&first);
        second.copy(&first).unwrap();
        first.freeze();
        second.freeze();
        let x = Tensor::randn([pictures, inputs, height, width], (Kind::Float, Device::Cpu));
        let expected = reference.forward(&x, Precision::F32);
        let error = |y: &Tensor| ((y - &expected).norm() / expected.norm()).double_value(&[]);
        let actual = forward(&block, &x.to_device(device)).to_device(Device::Cpu);
        assert_eq!(actual.size(), expected.size());
        let (own, least) = (error(&actual), error(&rounded(&first, &x)));
        assert!(own < 1.1 * least, "{inputs} to {outputs}: {own}, rounding alone {least}");
    }
}

#[test]
fn emulated_kernels_are_as_exact_as_bf16() {
    let library = emulated();
    // Every kernel, for less than a block of threads and for several.
    let cases = [
        (9, 3, [1, 7, 5]),
        (12, 12, [2, 33, 5]),
        (3, 21, [1, 4, 4]),
        (3, 45, [1, 3, 17]),
        (45, 3, [1, 3, 2]),
        (16, 32, [1, 5, 6]),
    ];
    compare(Device::Cpu, &cases, |block, x| {
        block.packed().forward(x, |kernel| launch(&library, kernel))
    });
}

#[cfg(feature = "cuda-kernels")]
#[test]
#[ignore = "needs a GPU"]
fn kernels_on_a_gpu_are_as_exact_as_bf16() {
    let device = crate::network::device::parse("cuda").unwrap();
    let gpu = super::gpu::Gpu::of(0).unwrap();
    let channels = [(9, 3), (3, 9), (12, 12), (3, 21), (24, 3), (3, 45), (45, 3), (16, 32)];
    let cases = channels.map(|(inputs, outputs)| (inputs, outputs, [2, 135, 241]));
    compare(device, &cases, |block, x| block.packed().forward(x, |kernel| gpu.launch(kernel)));
}

#[cfg(feature = "cuda-kernels")]
#[test]
fn a_gpu_that_is_absent_has_no_kernels() {
    assert!(super::gpu::Gpu::of(99).is_err());
}
