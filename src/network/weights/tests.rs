// SPDX-License-Identifier: MPL-2.0
//! What weights files keep and what is refused.

use super::*;
use tch::nn::VarStore;

fn grid(name: &str) -> Grid {
    name.parse().unwrap()
}

fn header() -> Header {
    Header { module: Module::Rescaling(grid("3x2")), blocks: 4, clamp: 1.5 }
}

fn variables(names: &[&str]) -> HashMap<String, Tensor> {
    let store = VarStore::new(Device::Cpu);
    for name in names {
        let _ = store.root().randn(name, &[2, 3], 0.0, 1.0);
    }
    store.variables()
}

fn saved(folder: &tempfile::TempDir) -> (PathBuf, HashMap<String, Tensor>) {
    let variables = variables(&["a", "b"]);
    (save(folder.path(), header(), &variables).unwrap(), variables)
}

#[test]
fn a_file_gives_back_its_header_and_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (path, original) = saved(&folder);
    let file = WeightsFile::open_as(&path, header().module).unwrap();
    assert_eq!(file.header, header());
    let copy = variables(&["a", "b"]);
    file.copy_to(&copy).unwrap();
    for (name, tensor) in original {
        let half = tensor.to_kind(Kind::Half).to_kind(Kind::Float);
        assert_eq!(copy[&name], half, "{name}");
    }
}

#[test]
fn a_file_cut_short_is_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = saved(&folder);
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let message = WeightsFile::open(&path).err().unwrap().to_string();
        assert!(message.contains(&format!("{length} bytes")), "{message}");
    }
}

#[test]
fn a_file_larger_than_any_weights_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let message = WeightsFile::open(&path).err().unwrap().to_string();
    assert!(message.contains("1099511627776 bytes") && message.contains("large"), "{message}");
}

#[test]
fn another_grid_is_named_with_the_one_expected() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = saved(&folder);
    let other = WeightsFile::open_as(&path, Module::Rescaling(grid("2x2")));
    let message = other.err().unwrap().to_string();
    assert!(message.contains("3x2") && message.contains("2x2"), "{message}");
}

#[test]
fn tensors_must_be_known_complete_and_finite() {
    let folder = tempfile::tempdir().unwrap();
    let (path, original) = saved(&folder);
    let file = WeightsFile::open(&path).unwrap();
    assert!(file.copy_to(&variables(&["a"])).unwrap_err().to_string().contains("'b'"));
    let missing = file.copy_to(&variables(&["a", "b", "c"])).unwrap_err().to_string();
    assert!(missing.contains("'c' is missing"), "{missing}");
    let mut endless = original["a"].shallow_clone();
    let _ = tch::no_grad(|| endless.fill_(f64::INFINITY));
    let before = std::fs::read(&path).unwrap();
    let message = save(folder.path(), header(), &original).unwrap_err().to_string();
    assert!(message.contains("'a'") && message.contains("not finite"), "{message}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // 65504, the largest number of fp16, is followed by infinity: 0x7c00.
    let mut bytes = before;
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[0x00, 0x7c]);
    std::fs::write(&path, &bytes).unwrap();
    let file = WeightsFile::open(&path).unwrap();
    let message = file.copy_to(&variables(&["a", "b"])).unwrap_err().to_string();
    assert!(message.contains("not finite"), "{message}");
}

#[test]
fn a_file_says_how_its_stegos_are_rounded_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut tensors) = saved(&folder);
    let header = |module| Header { module, ..header() };
    let hiding = header(Module::Hiding(None));
    let path = save(folder.path(), hiding, &tensors).unwrap();
    let shaper = |path: &Path| WeightsFile::open(path).unwrap().shaper(Device::Cpu);
    assert!(shaper(&path).unwrap().is_none());
    let matrix = Tensor::eye(12, (Kind::Float, Device::Cpu)) * 7.0;
    tensors.insert(SENSITIVITY.into(), matrix.shallow_clone());
    save(folder.path(), hiding, &tensors).unwrap();
    assert_eq!(*shaper(&path).unwrap().unwrap().sensitivity(), matrix);
    // It is no variable of the module.
    let file = WeightsFile::open(&path).unwrap();
    file.copy_to(&variables(&["a", "b"])).unwrap();
    let rescaling = save(folder.path(), header(Module::Rescaling(grid("2x2"))), &tensors).unwrap();
    let refused = WeightsFile::open(&rescaling).unwrap().copy_to(&variables(&["a", "b"]));
    assert!(refused.unwrap_err().to_string().contains(SENSITIVITY));
    tensors.insert(SENSITIVITY.into(), matrix * -1.0);
    save(folder.path(), hiding, &tensors).unwrap();
    let message = shaper(&path).unwrap_err().to_string();
    assert!(message.contains(SENSITIVITY) && message.contains("12×12"), "{message}");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (key, value) in [("blocks", "1e9"), ("blocks", "-1"), ("blocks", "many"), ("clamp", "inf")]
    {
        let mut metadata = header().to_metadata();
        metadata.insert(key.into(), value.into());
        assert!(Header::from_metadata(&metadata).is_err(), "{key} {value}");
    }
}

#[test]
fn another_format_is_refused() {
    let mut metadata = header().to_metadata();
    metadata.insert("format".into(), "2".into());
    let reason = Header::from_metadata(&metadata).unwrap_err();
    assert!(reason.contains("version 2") && reason.contains("reads 1"), "{reason}");
}
