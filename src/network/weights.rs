// SPDX-License-Identifier: MPL-2.0
//! Weights files: one module each, safetensors in fp16, described by their metadata.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use safetensors::tensor::{SafeTensors, TensorView};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::noise_shaping::NoiseShaper;
use super::{Error, Grid, Precision, tensor_file};

/// The version of the format written and read here.
const FORMAT: &str = "1";

/// The tensor of a hiding module that its stegos are rounded by.
pub const SENSITIVITY: &str = "rounding.sensitivity";

/// More InvBlocks than any training here makes.
pub const MOST_BLOCKS: usize = 64;
/// The largest bound of ρ.
const MOST_CLAMP: f64 = 16.0;

/// Far more than the largest module takes in f32.
const MOST_BYTES: u64 = 1 << 30;

/// Which module a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// Invertible Image Hiding; with a grid where it was tuned for one alone.
    Hiding(Option<Grid>),
    /// Invertible Image Rescaling for one grid.
    Rescaling(Grid),
}

impl Module {
    /// `hiding`, `hiding-4x4`, `rescaling-4x4`.
    pub fn name(self) -> String {
        match self {
            Self::Hiding(None) => "hiding".into(),
            Self::Hiding(Some(grid)) => format!("hiding-{grid}"),
            Self::Rescaling(grid) => format!("rescaling-{grid}"),
        }
    }

    /// The modules that can serve in its place, the best first: for a grid's own hiding module
    /// itself and the one for all.
    pub fn candidates(self) -> Vec<Self> {
        match self {
            Self::Hiding(Some(_)) => vec![self, Self::Hiding(None)],
            _ => vec![self],
        }
    }

    /// The [`name`](Self::name) with the extension `.safetensors`.
    pub fn file_name(self) -> String {
        format!("{}.safetensors", self.name())
    }
}

/// `hiding for any grid`, `rescaling for 4x4`.
impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hiding(None) => write!(f, "hiding for any grid"),
            Self::Hiding(Some(grid)) => write!(f, "hiding for {grid}"),
            Self::Rescaling(grid) => write!(f, "rescaling for {grid}"),
        }
    }
}

/// What a weights file says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    /// The module.
    pub module: Module,
    /// Its InvBlocks.
    pub blocks: usize,
    /// Bound of ρ.
    pub clamp: f64,
}

impl Header {
    fn to_metadata(self) -> HashMap<String, String> {
        let (module, grid) = match self.module {
            Module::Hiding(grid) => ("hiding", grid),
            Module::Rescaling(grid) => ("rescaling", Some(grid)),
        };
        let grid = grid.map_or("any".into(), |grid| grid.to_string());
        let entries = [
            ("format", FORMAT.into()),
            ("module", module.into()),
            ("grid", grid),
            ("blocks", self.blocks.to_string()),
            ("clamp", self.clamp.to_string()),
            ("z", "zero".into()),
        ];
        entries.into_iter().map(|(key, value): (&str, String)| (key.into(), value)).collect()
    }

    /// The reason, on failure, completes "cannot be used: …".
    fn from_metadata(metadata: &HashMap<String, String>) -> Result<Self, String> {
        let entry = |key: &str| {
            metadata.get(key).map(String::as_str).ok_or(format!("its metadata has no '{key}'"))
        };
        let number = |key: &str| {
            let text = entry(key)?;
            text.parse::<f64>().map_err(|_| format!("its {key} is '{text}', not a number"))
        };
        match entry("format")? {
            FORMAT => {}
            other => {
                return Err(format!("its format is version {other}, this program reads {FORMAT}"));
            }
        }
        match entry("z")? {
            "zero" => {}
            other => {
                return Err(format!("it was trained with z = '{other}', this program has 'zero'"));
            }
        }
        let grid = match entry("grid")? {
            "any" => None,
            name => Some(name.parse::<Grid>().map_err(|error| error.to_string())?),
        };
        let module = match (entry("module")?, grid) {
            ("hiding", grid) => Module::Hiding(grid),
            ("rescaling", Some(grid)) => Module::Rescaling(grid),
            (other, _) => {
                return Err(format!("its module is '{other}', grid '{}'", entry("grid")?));
            }
        };
        let (blocks, clamp) = (number("blocks")?, number("clamp")?);
        // A file must not make the program build what no memory holds.
        if blocks.fract() != 0.0 || !(0.0..=MOST_BLOCKS as f64).contains(&blocks) {
            return Err(format!("it has {blocks} InvBlocks, 0 to {MOST_BLOCKS} are possible"));
        }
        // exp must stay a number.
        if !(clamp > 0.0 && clamp <= MOST_CLAMP) {
            return Err(format!("its clamp is {clamp}, not above 0 and up to {MOST_CLAMP}"));
        }
        Ok(Self { module, blocks: blocks as usize, clamp })
    }
}

/// A weights file read into memory, its header checked.
pub struct WeightsFile {
    /// Where it was read.
    pub path: PathBuf,
    bytes: Vec<u8>,
    /// What the file says of itself.
    pub header: Header,
}

impl WeightsFile {
    /// Reads a file of any module.
    ///
    /// # Errors
    /// [`Error::WeightsIo`] and [`Error::WeightsContent`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::WeightsIo { path: path.into(), source };
        let reject = |reason| Error::WeightsContent { path: path.into(), reason };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > MOST_BYTES {
            return Err(reject(format!("it has {size} bytes, {MOST_BYTES} are possible")));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        // The whole file, so that one cut short is told here and not in the middle of the copy.
        SafeTensors::deserialize(&bytes).map_err(|error| reject(describe(&error, bytes.len())))?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| reject(describe(&error, bytes.len())))?;
        let metadata = metadata.metadata().as_ref();
        let metadata = metadata.ok_or_else(|| reject("it has no metadata".into()))?;
        let header = Header::from_metadata(metadata).map_err(reject)?;
        Ok(Self { path: path.into(), bytes, header })
    }

    /// Reads a file that must hold `module`.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::WeightsContent`] naming both modules.
    pub fn open_as(path: &Path, module: Module) -> Result<Self, Error> {
        let file = Self::open(path)?;
        if file.header.module != module {
            return Err(file.reject(format!("it holds {}, expected {module}", file.header.module)));
        }
        Ok(file)
    }

    /// Copies the file into a module's variables, by name.
    ///
    /// # Errors
    /// [`Error::WeightsContent`] for a tensor that is missing, that the module has not, of another shape
    /// or kind or not finite.
    pub fn copy_to(&self, variables: &HashMap<String, Tensor>) -> Result<(), Error> {
        let tensors = self.tensors()?;
        if let Some(name) = variables.keys().find(|name| tensors.tensor(name).is_err()) {
            return Err(self.reject(format!("tensor '{name}' is missing")));
        }
        let hiding = matches!(self.header.module, Module::Hiding(_));
        for (name, view) in tensors.iter().filter(|(name, _)| !hiding || *name != SENSITIVITY) {
            let variable = variables
                .get(name)
                .ok_or_else(|| self.reject(format!("the module has no tensor '{name}'")))?;
            let tensor = self.tensor(name, &view)?;
            if tensor.size() != variable.size() {
                return Err(self.reject(format!(
                    "tensor '{name}' has shape {:?}, expected {:?}",
                    tensor.size(),
                    variable.size()
                )));
            }
            tch::no_grad(|| variable.shallow_clone().f_copy_(&tensor))?;
        }
        Ok(())
    }

    /// A module with these weights, in the precision that it computes in.
    ///
    /// # Errors
    /// Those of [`copy_to`](Self::copy_to).
    pub(crate) fn restored<M>(
        &self,
        device: Device,
        precision: Precision,
        module: impl FnOnce(&tch::nn::Path) -> M,
    ) -> Result<M, Error> {
        let mut store = VarStore::new(device);
        let module = module(&store.root());
        self.copy_to(&store.variables())?;
        store.freeze();
        store.set_kind(precision.kind());
        Ok(module)
    }

    /// How stegos are rounded, where a hiding module says so.
    ///
    /// # Errors
    /// [`Error::WeightsContent`] for a tensor that is no sensitivity.
    pub fn shaper(&self, device: Device) -> Result<Option<NoiseShaper>, Error> {
        let tensors = self.tensors()?;
        let Ok(view) = tensors.tensor(SENSITIVITY) else {
            return Ok(None);
        };
        let sensitivity = self.tensor(SENSITIVITY, &view)?;
        let shaper = NoiseShaper::new(&sensitivity, device).ok_or_else(|| {
            let size = sensitivity.size();
            self.reject(format!(
                "tensor '{SENSITIVITY}' of {size:?} is no positive semidefinite 12×12 matrix"
            ))
        })?;
        Ok(Some(shaper))
    }

    /// Name and shape of every parameter.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let tensors = SafeTensors::deserialize(&self.bytes);
        let mut shapes: Vec<_> = tensors
            .iter()
            .flat_map(|tensors| tensors.iter())
            .filter(|(name, _)| *name != SENSITIVITY)
            .map(|(name, view)| (name.to_string(), view.shape().to_vec()))
            .collect();
        shapes.sort();
        shapes
    }

    fn tensors(&self) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize(&self.bytes)
            .map_err(|error| self.reject(describe(&error, self.bytes.len())))
    }

    fn tensor(&self, name: &str, view: &TensorView) -> Result<Tensor, Error> {
        let tensor = tensor_file::tensor(name, view).map_err(|reason| self.reject(reason))?;
        if bool::try_from(tensor.isfinite().all())? {
            Ok(tensor)
        } else {
            Err(self.reject(format!("tensor '{name}' has values that are not finite")))
        }
    }

    fn reject(&self, reason: String) -> Error {
        Error::WeightsContent { path: self.path.clone(), reason }
    }
}

fn describe(error: &safetensors::SafeTensorError, bytes: usize) -> String {
    format!("it is no whole safetensors file ({error}; {bytes} bytes read)")
}

/// Writes a module's variables to `folder` in fp16, whole or not at all, under the module's file
/// name, and returns the path.
///
/// # Errors
/// [`Error::WeightsIo`], a full disk for example; [`Error::WeightsContent`] for values that are not
/// finite.
pub fn save(
    folder: &Path,
    header: Header,
    variables: &HashMap<String, Tensor>,
) -> Result<PathBuf, Error> {
    let path = folder.join(header.module.file_name());
    let half = |(name, variable): (&String, &Tensor)| {
        let half = variable.to_kind(Kind::Half);
        if !bool::try_from(half.isfinite().all())? {
            let reason = format!("tensor '{name}' has values that are not finite in fp16");
            return Err(Error::WeightsContent { path: path.clone(), reason });
        }
        Ok((name.clone(), half))
    };
    let halves = variables.iter().map(half).collect::<Result<_, Error>>()?;
    tensor_file::write(&path, &halves, header.to_metadata())
        .map_err(|source| Error::WeightsIo { path: path.clone(), source })?;
    Ok(path)
}

#[cfg(test)]
mod tests;
