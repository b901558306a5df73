// SPDX-License-Identifier: MPL-2.0
//! The modules in training: one hiding module for all grids or for one, one rescaling module a grid.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::Error;
use crate::network::hiding::Hiding;
use crate::network::location::serving;
use crate::network::noise_shaping::NoiseShaper;
use crate::network::rescaling::Rescaling;
use crate::network::weights::{Header, Module, SENSITIVITY, WeightsFile, save};
use crate::network::{Grid, Precision};

/// The authors' bounds of ρ.
const HIDING_CLAMP: f64 = 2.0;
const RESCALING_CLAMP: f64 = 1.0;

/// The first file that serves as a module in some folders.
fn first_with(module: Module, folders: &[PathBuf]) -> Result<Option<WeightsFile>, Error> {
    let first = folders.iter().find_map(|folder| serving(folder, module));
    Ok(first.map(|(served, path)| WeightsFile::open_as(&path, served)).transpose()?)
}

/// The most InvBlocks that some modules have in a folder, if it has one of them.
///
/// # Errors
/// [`Error::Network`] for files that cannot be used.
pub fn most_blocks(modules: &[Module], folder: &Path) -> Result<Option<usize>, Error> {
    let folders = [folder.to_path_buf()];
    let files = modules.iter().map(|&module| first_with(module, &folders));
    let files = files.collect::<Result<Vec<_>, _>>()?;
    Ok(files.iter().flatten().map(|file| file.header.blocks).max())
}

/// InvBlocks of each module.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    /// G (paper: 16).
    pub hiding: usize,
    /// R (paper: 8).
    pub rescaling: usize,
}

/// Modules whose variables share one store, each under its own prefix, for one optimizer.
pub struct Modules {
    /// All variables.
    pub store: VarStore,
    /// Present unless rescaling is trained alone.
    pub hiding: Option<Hiding>,
    /// One for each grid; while hiding is trained alone those that there are, frozen.
    pub rescaling: Vec<(Grid, Rescaling)>,
    headers: Vec<Header>,
}

impl Modules {
    /// Fresh modules: this one for hiding, if any, and rescaling for these grids.
    pub fn new(hiding: Option<Module>, grids: &[Grid], blocks: Blocks, device: Device) -> Self {
        let store = VarStore::new(device);
        let root = store.root();
        let mut headers = Vec::new();
        let mut declare = |module, blocks, clamp| {
            headers.push(Header { module, blocks, clamp });
            &root / module.name()
        };
        let hiding = hiding.map(|module| {
            let path = declare(module, blocks.hiding, HIDING_CLAMP);
            Hiding::new(&path, blocks.hiding, HIDING_CLAMP)
        });
        let rescaling = grids
            .iter()
            .map(|&grid| {
                let path = declare(Module::Rescaling(grid), blocks.rescaling, RESCALING_CLAMP);
                (grid, Rescaling::new(&path, grid, blocks.rescaling, RESCALING_CLAMP))
            })
            .collect();
        Self { store, hiding, rescaling, headers }
    }

    /// Adds the rescaling modules of some grids that have weights, each from the first folder that
    /// has its file, to make tiles with. They are neither trained nor saved.
    ///
    /// # Errors
    /// [`Error::Network`] for files that cannot be used.
    pub fn add_frozen(&mut self, grids: &[Grid], folders: &[PathBuf]) -> Result<(), Error> {
        for &grid in grids {
            let module = Module::Rescaling(grid);
            let Some(file) = first_with(module, folders)? else {
                continue;
            };
            let Header { blocks, clamp, .. } = file.header;
            let device = self.store.device();
            let rescaling = file.restored(device, Precision::best(device), |path| {
                Rescaling::new(path, grid, blocks, clamp)
            })?;
            self.rescaling.push((grid, rescaling));
        }
        Ok(())
    }

    /// Goes on from weights, each module from the first folder that has its file. A module without
    /// one stays fresh; one with fewer InvBlocks grows, its new blocks starting as the identity. They come
    /// first: next to the stego they would work on the latent r, which reveal has not.
    ///
    /// # Errors
    /// [`Error::Network`] for files that cannot be used, [`Error::Blocks`] for more blocks than here,
    /// [`Error::Clamp`].
    pub fn resume(&self, folders: &[PathBuf]) -> Result<(), Error> {
        for header in &self.headers {
            let Some(file) = first_with(header.module, folders)? else {
                continue;
            };
            let path = file.path.clone();
            let (found, asked) = (file.header.blocks, header.blocks);
            if found > asked {
                return Err(Error::Blocks { path, found, asked });
            }
            let (found, expected) = (file.header.clamp, header.clamp);
            if found != expected {
                return Err(Error::Clamp { path, found, expected });
            }
            let variables = variables_of(header.module, &self.store.variables());
            file.copy_to(&after(header.blocks - file.header.blocks, variables))?;
        }
        Ok(())
    }

    /// Has the hiding module's stegos rounded for a reveal of this sensitivity, to the nearest if
    /// it is none: of a network that has diverged, for example.
    pub fn shape_noise(&mut self, sensitivity: &Tensor) {
        if let Some(hiding) = &mut self.hiding {
            // As the file will have it.
            let sensitivity = sensitivity.to_kind(Kind::Half).to_kind(Kind::Float);
            hiding.shaper = NoiseShaper::new(&sensitivity, self.store.device());
        }
    }

    /// What the hiding module's stegos are rounded for.
    pub fn sensitivity(&self) -> Option<&Tensor> {
        self.hiding.as_ref()?.shaper.as_ref().map(NoiseShaper::sensitivity)
    }

    /// Writes one file a module from the store's variables or their averages.
    ///
    /// # Errors
    /// [`Error::Network`], a full disk for example.
    pub fn save(&self, folder: &Path, variables: &HashMap<String, Tensor>) -> Result<(), Error> {
        for &header in &self.headers {
            let mut tensors = variables_of(header.module, variables);
            if let (Module::Hiding(_), Some(sensitivity)) = (header.module, self.sensitivity()) {
                tensors.insert(SENSITIVITY.into(), sensitivity.shallow_clone());
            }
            save(folder, header, &tensors)?;
        }
        Ok(())
    }
}

/// A module's variables without its first InvBlocks, named as if they were all.
fn after(count: usize, variables: HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let renamed = |name: &str| {
        let (block, rest) = name.strip_prefix("blocks.")?.split_once('.')?;
        let block = block.parse::<usize>().ok()?.checked_sub(count)?;
        Some(format!("blocks.{block}.{rest}"))
    };
    let all = variables.into_iter();
    all.filter_map(|(name, variable)| Some((renamed(&name)?, variable))).collect()
}

/// A module's variables out of the store's, without the prefix.
fn variables_of(module: Module, variables: &HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let prefix = format!("{}.", module.name());
    variables
        .iter()
        .filter_map(|(name, variable)| {
            Some((name.strip_prefix(&prefix)?.to_string(), variable.shallow_clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::coupling::tests::randomise;

    fn modules(blocks: usize) -> Modules {
        let blocks = Blocks { hiding: blocks, rescaling: blocks };
        let grid = Grid::new(2, 2).unwrap();
        Modules::new(Some(Module::Hiding(None)), &[grid], blocks, Device::Cpu)
    }

    #[test]
    fn another_bound_of_rho_is_refused_with_both() {
        let folder = tempfile::tempdir().unwrap();
        let (small, header) = (modules(1), Module::Hiding(None));
        let header = Header { module: header, blocks: 1, clamp: 1.5 };
        let variables = variables_of(header.module, &small.store.variables());
        save(folder.path(), header, &variables).unwrap();
        let text = small.resume(&[folder.path().into()]).unwrap_err().to_string();
        assert!(text.contains("was trained with clamp 1.5, this program trains with 2"), "{text}");
    }

    #[test]
    fn a_module_grows_in_front_and_does_what_it_did() {
        let folder = tempfile::tempdir().unwrap();
        let small = modules(1);
        randomise(&small.store);
        small.save(folder.path(), &small.store.variables()).unwrap();
        let grown = modules(3);
        grown.resume(&[folder.path().into()]).unwrap();
        let last = |modules: &Modules, name: &str| modules.store.variables()[name].shallow_clone();
        let half = last(&small, "hiding.blocks.0.phi.convs.4.weight").to_kind(Kind::Half);
        assert_eq!(last(&grown, "hiding.blocks.2.phi.convs.4.weight").to_kind(Kind::Half), half);
        let first = last(&grown, "rescaling-2x2.blocks.0.psi.convs.4.weight");
        assert_eq!(first.abs().max().double_value(&[]), 0.0);
        let picture = || Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
        let (cover, mosaic) = (picture(), picture());
        let conceal = |modules: &Modules| {
            modules.hiding.as_ref().unwrap().conceal(&cover, &mosaic, Precision::F32)
        };
        // The file has halves.
        let error = (conceal(&small) - conceal(&grown)).abs().max().double_value(&[]);
        assert!(error < 1e-3, "{error}");
    }
}
