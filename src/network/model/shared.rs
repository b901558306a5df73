// SPDX-License-Identifier: MPL-2.0
//! The models in use in this process: one for the same weights, device and precision.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use tch::Device;

use super::Model;
use crate::network::location::WeightsPaths;
use crate::network::{Error, Precision};

type Key = (WeightsPaths, [FileStamp; 2], Device, Precision);
type Shared = Mutex<HashMap<Key, Weak<Model>>>;

static SHARED: LazyLock<Shared> = LazyLock::new(Shared::default);

/// Tells a file from another that has taken its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FileStamp {
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl FileStamp {
    fn of(path: &Path) -> Result<Self, Error> {
        let metadata = std::fs::metadata(path)
            .map_err(|source| Error::WeightsIo { path: path.into(), source })?;
        Ok(Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// The model in use, or else a loaded one.
pub fn open(
    paths: WeightsPaths,
    device: Device,
    precision: Precision,
    load: impl FnOnce(&WeightsPaths) -> Result<Model, Error>,
) -> Result<Arc<Model>, Error> {
    // Before the file is read: one that is replaced meanwhile is loaded anew the next time.
    let stamps = [FileStamp::of(&paths.hiding)?, FileStamp::of(&paths.rescaling)?];
    let key = (paths.clone(), stamps, device, precision);
    let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(model) = shared.get(&key).and_then(Weak::upgrade) {
        return Ok(model);
    }
    let model = Arc::new(load(&paths)?);
    shared.retain(|_, model| model.strong_count() > 0);
    shared.insert(key, Arc::downgrade(&model));
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Grid;

    #[test]
    fn one_model_serves_until_its_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let grid = Grid::for_secrets(4).unwrap();
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let weights = folder.path().join("hiding.safetensors");
        for name in ["hiding.safetensors", "rescaling-2x2.safetensors"] {
            std::fs::copy(bundled.join(name), folder.path().join(name)).unwrap();
        }
        let open = || Model::open(Some(folder.path()), grid, Device::Cpu);
        let model = open().unwrap();
        assert!(Arc::ptr_eq(&model, &open().unwrap()));
        let precise = Model::open_in(Some(folder.path()), grid, Device::Cpu, Precision::F32Planes);
        assert!(!Arc::ptr_eq(&model, &precise.unwrap()));
        let bytes = std::fs::read(&weights).unwrap();
        std::fs::remove_file(&weights).unwrap();
        std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
        let message = open().unwrap_err().to_string();
        assert!(message.contains("hiding.safetensors"), "{message}");
        std::fs::write(&weights, &bytes).unwrap();
        assert!(!Arc::ptr_eq(&model, &open().unwrap()));
    }
}
