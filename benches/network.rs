// SPDX-License-Identifier: MPL-2.0
//! The network's parts on the CPU, in each precision: `cargo bench`.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use gstinvmih::network::dense::DenseBlock;
use gstinvmih::network::device;
use gstinvmih::network::effect::Effect;
use gstinvmih::network::hiding::Hiding;
use gstinvmih::network::mosaic::{cut, splice};
use gstinvmih::network::noise_shaping::NoiseShaper;
use gstinvmih::network::quantisation::quantise;
use gstinvmih::network::rescaling::Rescaling;
use gstinvmih::network::{Device, Grid, Precision};
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

const PRECISIONS: [Precision; 3] = [Precision::Bf16, Precision::F32, Precision::F32Planes];
/// Side of the pictures in pixels.
const SIDE: i64 = 256;
/// Side of a training patch in pixels.
const PATCH: i64 = 144;
/// InvBlocks of the shipped hiding module and of each rescaling module.
const BLOCKS: (usize, usize) = (8, 4);

/// K×3×side×side in [0, 1].
fn pictures(count: i64, side: i64) -> Tensor {
    Tensor::rand([count, 3, side, side], (Kind::Float, Device::Cpu))
}

fn group<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    pixels: i64,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(pixels as u64));
    group
}

/// A store whose weights are of the precision's type.
fn frozen<M>(precision: Precision, module: impl FnOnce(&tch::nn::Path) -> M) -> M {
    let device = device::parse("cpu").expect("a CPU is always there");
    let mut store = VarStore::new(device);
    let module = module(&store.root());
    store.freeze();
    store.set_kind(precision.kind());
    module
}

fn dense(criterion: &mut Criterion) {
    let mut group = group(criterion, "dense block, 12 channels", SIDE * SIDE);
    let x = Tensor::rand([1, 12, SIDE, SIDE], (Kind::Float, Device::Cpu));
    for precision in PRECISIONS {
        let block = frozen(precision, |path| DenseBlock::new(path, 12, 12, 1.0));
        group.bench_function(format!("{precision:?}"), |bencher| {
            bencher.iter(|| no_grad(|| black_box(block.apply(&x, Effect::Add, &x, precision))))
        });
    }
    group.finish();
}

fn hiding(criterion: &mut Criterion) {
    let mut group = group(criterion, "hiding, conceal", SIDE * SIDE);
    let (cover, mosaic) = (pictures(1, SIDE), pictures(1, SIDE));
    for precision in PRECISIONS {
        let hiding = frozen(precision, |path| Hiding::new(path, BLOCKS.0, 2.0));
        group.bench_function(format!("{precision:?}"), |bencher| {
            bencher.iter(|| no_grad(|| black_box(hiding.conceal(&cover, &mosaic, precision))))
        });
    }
    group.finish();
}

fn rounding(criterion: &mut Criterion) {
    let mut group = group(criterion, "rounding a stego", SIDE * SIDE);
    let stego = pictures(1, SIDE);
    // What the sensitivity is does not change the time.
    let sensitivity = Tensor::eye(12, (Kind::Float, Device::Cpu));
    let shaper = NoiseShaper::new(&sensitivity, Device::Cpu).unwrap();
    group.bench_function("to the nearest", |bencher| bencher.iter(|| black_box(quantise(&stego))));
    group.bench_function("for reveal", |bencher| {
        bencher.iter(|| black_box(shaper.quantise(&stego, None)))
    });
    group.finish();
}

fn rescaling(criterion: &mut Criterion) {
    for grid in [Grid::SHIPPED[0], Grid::SHIPPED[4]] {
        let name = format!("rescaling {grid}, one secret down");
        let mut group = group(criterion, &name, SIDE * SIDE);
        let secret = pictures(1, SIDE);
        for precision in PRECISIONS {
            let rescaling = frozen(precision, |path| Rescaling::new(path, grid, BLOCKS.1, 1.0));
            group.bench_function(format!("{precision:?}"), |bencher| {
                bencher.iter(|| no_grad(|| black_box(rescaling.downscale(&secret, precision))))
            });
        }
        group.finish();
    }
}

/// A joint training step's passes forwards and backwards for four secrets; cover pixels a second.
fn training(criterion: &mut Criterion) {
    let mut group = group(criterion, "training pass, 2x2", PATCH * PATCH);
    let grid = Grid::SHIPPED[0];
    let (cover, secrets) = (pictures(1, PATCH), pictures(grid.secrets() as i64, PATCH));
    for precision in PRECISIONS {
        let store = VarStore::new(Device::Cpu);
        let hiding = Hiding::new(&(store.root() / "hiding"), BLOCKS.0, 2.0);
        let rescaling = Rescaling::new(&(store.root() / "rescaling"), grid, BLOCKS.1, 1.0);
        group.bench_function(format!("{precision:?}"), |bencher| {
            bencher.iter(|| {
                let mosaic = splice(&rescaling.downscale(&secrets, precision), grid);
                let stego = quantise(&hiding.conceal(&cover, &mosaic, precision));
                let received = cut(&hiding.reveal(&stego, precision), grid);
                let recovered = rescaling.upscale(&received, precision);
                let error = |a: &Tensor, b: &Tensor| (a - b).square().mean(Kind::Float);
                (error(&stego, &cover) + error(&recovered, &secrets)).backward();
            })
        });
    }
    group.finish();
}

criterion_group!(parts, dense, hiding, rounding, rescaling, training);
criterion_main!(parts);
