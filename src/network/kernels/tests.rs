// SPDX-License-Identifier: MPL-2.0
//! The kernels, compiled for the CPU with a GPU's instructions emulated, compared with f32.

use std::fs;
use std::process::Command;

use libloading::{Library, Symbol};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::{Arguments, Launch};
use crate::network::Precision;
use crate::network::coupling::tests::randomise;
use crate::network::dense::DenseBlock;
use crate::network::effect::Effect;

const ENTRY: &str = r#"
static Convolution argument;
template <void (*OWN)(Convolution)> static void call() { OWN(argument); }

extern "C" void launch(const char* name, const unsigned* blocks, unsigned threads, unsigned shared,
                       const Convolution* given) {
    argument = *given;
    fibers.resize(threads);
    const std::string kernel = name;
    entry = kernel == "input" ? call<input> : kernel == "hidden" ? call<hidden> :
            kernel == "last_1" ? call<last_1> : kernel == "last_2" ? call<last_2> :
            kernel == "last_3" ? call<last_3> : call<last_4>;
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

/// A dense block from some number of channels to another, what it does to a path, and
/// pictures×height×width.
type Case = (i64, i64, Effect, [i64; 3]);

/// Paths that kernels compute on a device, given block, input, effect and path, are as near to f32 as
/// bf16 permits.
fn compare(
    device: Device,
    cases: &[Case],
    apply: impl Fn(&DenseBlock, &Tensor, Effect, &Tensor) -> Tensor,
) {
    for &(inputs, outputs, effect, [pictures, height, width]) in cases {
        let stores = [Device::Cpu, device].map(VarStore::new);
        let [reference, block] =
            stores.each_ref().map(|store| DenseBlock::new(&store.root(), inputs, outputs, 1.0));
        let [mut first, mut second] = stores;
        randomise(&first);
        second.copy(&first).unwrap();
        first.freeze();
        second.freeze();
        let [x, path] = [inputs, outputs].map(|channels| {
            Tensor::randn([pictures, channels, height, width], (Kind::Float, Device::Cpu))
        });
        let expected = reference.apply(&x, effect, &path, Precision::F32);
        let error = |path: &Tensor| (path - &expected).norm().double_value(&[]);
        let actual = apply(&block, &x.to_device(device), effect, &path.to_device(device));
        assert_eq!(actual.size(), expected.size());
        let own = error(&actual.to_device(Device::Cpu));
        let least = error(&effect.on(&path, &rounded(&first, &x)));
        assert!(own < 1.1 * least, "{inputs} to {outputs}: {own}, rounding alone {least}");
    }
}

#[test]
fn emulated_kernels_are_as_exact_as_bf16() {
    let library = emulated();
    // Every kernel and every effect, for less than a block of threads and for several.
    let cases = [
        (9, 3, Effect::Add, [1, 7, 5]),
        (12, 12, Effect::Multiply(2.0), [2, 33, 5]),
        (3, 21, Effect::Subtract, [1, 4, 4]),
        (3, 45, Effect::Divide(1.0), [1, 3, 17]),
        (45, 3, Effect::Add, [1, 3, 2]),
        (16, 32, Effect::Subtract, [1, 5, 6]),
    ];
    compare(Device::Cpu, &cases, |block, x, effect, path| {
        block.packed().apply(x, effect, path, |kernel| launch(&library, kernel))
    });
}

#[cfg(feature = "cuda-kernels")]
#[test]
#[ignore = "needs a GPU"]
fn kernels_on_a_gpu_are_as_exact_as_bf16() {
    let device = crate::network::device::parse("cuda").unwrap();
    let gpu = super::gpu::Gpu::of(0).unwrap();
    let cases = [
        (9, 3, Effect::Add),
        (3, 9, Effect::Multiply(1.0)),
        (12, 12, Effect::Divide(2.0)),
        (3, 21, Effect::Subtract),
        (24, 3, Effect::Subtract),
        (3, 45, Effect::Multiply(1.0)),
        (45, 3, Effect::Add),
        (16, 32, Effect::Divide(1.0)),
    ];
    let cases = cases.map(|(inputs, outputs, effect)| (inputs, outputs, effect, [2, 135, 241]));
    compare(device, &cases, |block, x, effect, path| {
        block.packed().apply(x, effect, path, |kernel| gpu.launch(kernel))
    });
}

#[cfg(feature = "cuda-kernels")]
#[test]
fn a_gpu_that_is_absent_has_no_kernels() {
    assert!(super::gpu::Gpu::of(99).is_err());
}
