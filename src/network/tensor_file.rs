// SPDX-License-Identifier: MPL-2.0
//! Tensors in safetensors files, written whole or not at all.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use tch::{Device, Kind, Tensor};

use crate::whole_file;

/// One of a file's tensors in f32.
///
/// # Errors
/// What is wrong with it, for a kind other than f16 and f32.
pub fn tensor(name: &str, view: &TensorView) -> Result<Tensor, String> {
    let kind = match view.dtype() {
        Dtype::F16 => Kind::Half,
        Dtype::F32 => Kind::Float,
        other => return Err(format!("tensor '{name}' is {other:?}, expected F16 or F32")),
    };
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    let tensor = Tensor::f_from_data_size(view.data(), &shape, kind);
    Ok(tensor.map_err(|error| error.to_string())?.to_kind(Kind::Float))
}

/// Writes named tensors of f16 or f32 and what is said of them.
///
/// # Errors
/// The system's, a full disk for example, and one for a tensor of another kind.
pub fn write(
    path: &Path,
    tensors: &HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
) -> io::Result<()> {
    let bytes = tensors.iter().map(|(name, tensor)| Ok((name, Bytes::of(name, tensor)?)));
    let bytes: Vec<_> = bytes.collect::<io::Result<_>>()?;
    let views = bytes.iter().map(|(name, bytes)| Ok((name, bytes.view()?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let file = views.and_then(|views| safetensors::serialize(views, Some(metadata)));
    whole_file::write(path, &file.map_err(io::Error::other)?)
}

/// A tensor as a file holds it.
struct Bytes {
    kind: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Bytes {
    fn of(name: &str, tensor: &Tensor) -> io::Result<Self> {
        let kind = match tensor.kind() {
            Kind::Half => Dtype::F16,
            Kind::Float => Dtype::F32,
            other => {
                let reason = format!("tensor '{name}' is {other:?}, not Half or Float");
                return Err(io::Error::other(reason));
            }
        };
        let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        let shape = tensor.size().iter().map(|&size| size as usize).collect();
        Ok(Self { kind, shape, bytes })
    }

    fn view(&self) -> Result<TensorView<'_>, safetensors::SafeTensorError> {
        TensorView::new(self.kind, self.shape.clone(), &self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::SafeTensors;

    #[test]
    fn tensors_come_back_in_f32() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let values = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3]) / 4.0;
        let tensors = HashMap::from([
            ("full".to_string(), values.shallow_clone()),
            ("half".to_string(), values.to_kind(Kind::Half)),
        ]);
        write(&path, &tensors, HashMap::new()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        for name in ["full", "half"] {
            assert_eq!(tensor(name, &file.tensor(name).unwrap()).unwrap(), values, "{name}");
        }
    }

    #[test]
    fn other_kinds_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes = HashMap::from([("a".to_string(), Tensor::from_slice(&[1u8]))]);
        let error = write(&path, &bytes, HashMap::new()).unwrap_err().to_string();
        assert!(error.contains("'a' is Uint8") && !path.exists(), "{error}");
        let view = TensorView::new(Dtype::U8, vec![1], &[1]).unwrap();
        assert!(tensor("a", &view).unwrap_err().contains("'a' is U8"));
    }
}
