// SPDX-License-Identifier: MPL-2.0
//! Weights files that are damaged, made up or nonsense: each is read or refused with a reason that
//! names it, without a panic and without memory for what it claims to hold.

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use common::fuzz::config;
use gstinvmih::network::weights::{self, Header, Module, SENSITIVITY, WeightsFile};
use gstinvmih::network::{Device, Error, Grid, Model};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// The variables that the files are for.
fn variables() -> HashMap<String, Tensor> {
    let store = VarStore::new(Device::Cpu);
    let _ = store.root().zeros("weight", &[3, 2, 3, 3]);
    let _ = store.root().zeros("bias", &[3]);
    store.variables()
}

/// A whole file.
static SAVED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let header = Header { module: Module::Hiding(None), blocks: 4, clamp: 1.5 };
    let mut tensors = variables();
    tensors.insert(SENSITIVITY.into(), Tensor::eye(12, (Kind::Float, Device::Cpu)));
    fs::read(weights::save(folder.path(), header, &tensors).unwrap()).unwrap()
});

/// Reads a file and copies its tensors as a model does.
fn load(bytes: &[u8]) -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fuzzed.safetensors");
    fs::write(&path, bytes).unwrap();
    let variables = variables();
    let file = WeightsFile::open(&path)?;
    file.shapes();
    file.copy_to(&variables)?;
    file.shaper(Device::Cpu)?;
    assert!(variables.values().all(|tensor| bool::try_from(tensor.isfinite().all()).unwrap()));
    Ok(())
}

/// The most memory that the process has had at once, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Read or refused, and nothing like a gigabyte was ever asked for.
fn check(loaded: Result<(), Error>, before: usize) {
    if let Err(error) = loaded {
        assert!(matches!(error, Error::WeightsContent { .. }), "{error:?}");
        assert!(error.to_string().contains(".safetensors"), "{error}");
    }
    let grown = peak() - before;
    assert!(grown < 1 << 30, "{grown} bytes more");
}

/// A file with a header of JSON and `bytes` bytes of zeros.
fn file(header: &str, bytes: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; bytes]].concat()
}

fn any_header() -> impl Strategy<Value = String> {
    let numbers = ["0", "4", "64", "65", "-1", "1e308", "nan", "inf", "1e-320", "", "x"];
    let dtypes = ["F16", "F32", "F64", "BF16", "I64", "BOOL", "F8_E4M3", "none"];
    let lengths = [0, 1, 2, 3, 18, 54, 1 << 31, 1 << 62, u64::MAX];
    let shape = vec(select(lengths.to_vec()), 0..6);
    let names = ["weight", "bias", SENSITIVITY, "other", ""];
    let tensor = (select(names.to_vec()), select(dtypes.to_vec()), shape, vec(0..300_u64, 2));
    (
        select(vec!["1", "2", ""]),
        select(vec!["hiding", "rescaling", "none"]),
        select(vec!["any", "2x2", "5x5", "6x6", "0x0", "99999999999999999999x1", "x", ""]),
        select(numbers.to_vec()),
        select(numbers.to_vec()),
        vec(tensor, 0..4),
    )
        .prop_map(|(format, module, grid, blocks, clamp, tensors)| {
            let metadata = [
                ("format", format),
                ("module", module),
                ("grid", grid),
                ("blocks", blocks),
                ("clamp", clamp),
                ("z", "zero"),
            ];
            let metadata = metadata.map(|(key, value)| format!("{key:?}:{value:?}")).join(",");
            let tensors: String = tensors
                .into_iter()
                .map(|(name, dtype, shape, offsets)| {
                    format!(
                        ",{name:?}:{{\"dtype\":{dtype:?},\"shape\":{shape:?},\"data_offsets\":{offsets:?}}}"
                    )
                })
                .collect();
            format!("{{\"__metadata__\":{{{metadata}}}{tensors}}}")
        })
}

#[test]
fn what_the_tests_damage_is_read_whole() {
    load(&SAVED).unwrap();
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn changed_bytes(changes in vec((any::<Index>(), any::<u8>()), 1..6)) {
        let before = peak();
        let mut bytes = SAVED.clone();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        check(load(&bytes), before);
    }

    #[test]
    fn bytes_cut_out(ends in any::<(Index, Index)>()) {
        let before = peak();
        let mut bytes = SAVED.clone();
        let (a, b) = (ends.0.index(bytes.len()), ends.1.index(bytes.len()));
        bytes.drain(a.min(b)..=a.max(b));
        let loaded = load(&bytes);
        prop_assert!(loaded.is_err());
        check(loaded, before);
    }

    #[test]
    fn nonsense(length in any::<u64>(), short in 0..64_u64, bytes in vec(any::<u8>(), 0..200)) {
        let before = peak();
        for length in [length, short] {
            let bytes = [&length.to_le_bytes()[..], &bytes].concat();
            prop_assert!(load(&bytes).is_err());
        }
        check(load(&bytes), before);
    }

    #[test]
    fn headers_that_claim_anything(header in any_header(), bytes in 0..300_usize) {
        let before = peak();
        check(load(&file(&header, bytes)), before);
    }

    #[test]
    fn values_of_any_kind(bytes in vec(any::<u8>(), 12), half in any::<bool>()) {
        let before = peak();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values.safetensors");
        let (dtype, length) = if half { ("F16", 6) } else { ("F32", 3) };
        let header = format!(
            "{{\"__metadata__\":{{\"format\":\"1\",\"module\":\"hiding\",\"grid\":\"any\",\"blocks\":\"0\",\
             \"clamp\":\"1\",\"z\":\"zero\"}},\
             \"a\":{{\"dtype\":\"{dtype}\",\"shape\":[{length}],\"data_offsets\":[0,12]}}}}"
        );
        let mut content = file(&header, 0);
        content.extend(&bytes);
        fs::write(&path, content).unwrap();
        let variable = Tensor::zeros([length], (Kind::Float, Device::Cpu));
        let target = HashMap::from([("a".to_string(), variable.shallow_clone())]);
        let loaded = WeightsFile::open(&path).and_then(|file| file.copy_to(&target));
        // The network never computes with what is no number.
        prop_assert!(bool::try_from(variable.isfinite().all()).unwrap());
        check(loaded, before);
    }
}

proptest! {
    #![proptest_config(config(10))]

    /// The header is what decides; of the 8 MB after it most bytes are as good as any others.
    #[test]
    fn a_model_with_a_damaged_file(
        name in select(vec!["hiding.safetensors", "rescaling-2x2.safetensors"]),
        changes in vec((0..2000_usize, any::<u8>()), 1..4),
    ) {
        let before = peak();
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let folder = tempfile::tempdir().unwrap();
        for file in ["hiding.safetensors", "rescaling-2x2.safetensors"] {
            let mut bytes = fs::read(bundled.join(file)).unwrap();
            for &(place, value) in changes.iter().filter(|_| file == name) {
                bytes[place] = value;
            }
            fs::write(folder.path().join(file), bytes).unwrap();
        }
        let grid = Grid::new(2, 2).unwrap();
        check(Model::open(Some(folder.path()), grid, Device::Cpu).map(drop), before);
    }
}
