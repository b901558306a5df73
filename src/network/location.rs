// SPDX-License-Identifier: MPL-2.0
//! Where weights are looked for.

use std::path::{Path, PathBuf};

use super::weights::Module;
use super::{Error, Grid};

/// The two files that a grid needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightsPaths {
    /// `hiding-RxC.safetensors` where there is one, else `hiding.safetensors`.
    pub hiding: PathBuf,
    /// `rescaling-RxC.safetensors`.
    pub rescaling: PathBuf,
}

impl WeightsPaths {
    /// Looks in `location` alone if given; else in `INVMIH_MODEL_PATH`, the installed data folder
    /// and the source tree that the program was built in, taking the first with weights for the grid.
    ///
    /// # Errors
    /// [`Error::WeightsMissing`] naming the file and the folders searched.
    pub fn find(location: Option<&Path>, grid: Grid) -> Result<Self, Error> {
        let folders = location.map_or_else(default_folders, |folder| vec![folder.into()]);
        Self::first(&folders, grid)
    }

    /// Takes the first folder with both files.
    fn first(folders: &[PathBuf], grid: Grid) -> Result<Self, Error> {
        let file = |folder: &PathBuf, module| Some(serving(folder, module)?.1);
        let rescaling = |folder| file(folder, Module::Rescaling(grid));
        let hiding = |folder| file(folder, Module::Hiding(Some(grid)));
        let missing = |file| Error::WeightsMissing {
            secrets: grid.secrets(),
            file,
            searched: folders
                .iter()
                .map(|f| format!("'{}'", f.display()))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let both = |folder| Some(Self { hiding: hiding(folder)?, rescaling: rescaling(folder)? });
        folders.iter().find_map(both).ok_or_else(|| {
            let lacks_rescaling = folders.iter().all(|folder| rescaling(folder).is_none());
            let lacking =
                if lacks_rescaling { Module::Rescaling(grid) } else { Module::Hiding(None) };
            missing(lacking.file_name())
        })
    }
}

/// The module that serves as a module in a folder, with its file: a grid's own hiding module wins over
/// the one for all.
pub fn serving(folder: &Path, module: Module) -> Option<(Module, PathBuf)> {
    let candidates = module.candidates().into_iter();
    let mut files = candidates.map(|candidate| (candidate, folder.join(candidate.file_name())));
    files.find(|(_, path)| path.is_file())
}

fn default_folders() -> Vec<PathBuf> {
    let environment = std::env::var_os("INVMIH_MODEL_PATH").filter(|path| !path.is_empty());
    let installed = option_env!("INVMIH_DATADIR").map(PathBuf::from);
    in_order(environment.map(PathBuf::from), installed)
}

/// The folders that are set, and the source tree's last.
fn in_order(environment: Option<PathBuf>, installed: Option<PathBuf>) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    environment.into_iter().chain(installed).chain([source]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_weights() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["rescaling-2x2.safetensors", "hiding.safetensors"] {
            std::fs::write(folder.path().join(name), []).unwrap();
        }
        folder
    }

    #[test]
    fn the_variable_comes_before_the_installation_and_that_before_the_source() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let (variable, installed) = (Path::new("/variable"), Path::new("/installed"));
        let both = in_order(Some(variable.into()), Some(installed.into()));
        assert_eq!(both, [variable, installed, &source]);
        assert_eq!(in_order(None, Some(installed.into())), [installed, &source]);
        assert_eq!(in_order(None, None), [source]);
    }

    #[test]
    fn the_first_folder_with_both_files_is_taken() {
        let grid = Grid::for_secrets(4).unwrap();
        let (half, whole, other) = (with_weights(), with_weights(), with_weights());
        std::fs::remove_file(half.path().join("hiding.safetensors")).unwrap();
        let folders = [&half, &whole, &other].map(|folder| folder.path().to_path_buf());
        let paths = WeightsPaths::first(&folders, grid).unwrap();
        assert!(paths.hiding.starts_with(whole.path()), "{paths:?}");
        assert!(paths.rescaling.starts_with(whole.path()), "{paths:?}");
    }

    #[test]
    fn a_location_that_is_given_is_the_only_one() {
        let empty = tempfile::tempdir().unwrap();
        let grid = Grid::for_secrets(4).unwrap();
        let error = WeightsPaths::find(Some(empty.path()), grid).unwrap_err().to_string();
        assert!(error.ends_with(&format!("'{}'", empty.path().display())), "{error}");
    }

    #[test]
    fn a_grids_own_hiding_weights_win() {
        let folder = tempfile::tempdir().unwrap();
        let grid = Grid::for_secrets(4).unwrap();
        let missing = WeightsPaths::find(Some(folder.path()), grid).unwrap_err().to_string();
        assert!(
            missing.contains("4 secrets") && missing.contains("rescaling-2x2.safetensors"),
            "{missing}"
        );
        for name in ["rescaling-2x2.safetensors", "hiding.safetensors"] {
            std::fs::write(folder.path().join(name), []).unwrap();
        }
        let paths = WeightsPaths::find(Some(folder.path()), grid).unwrap();
        assert!(paths.hiding.ends_with("hiding.safetensors"));
        std::fs::write(folder.path().join("hiding-2x2.safetensors"), []).unwrap();
        let paths = WeightsPaths::find(Some(folder.path()), grid).unwrap();
        assert!(paths.hiding.ends_with("hiding-2x2.safetensors"));
    }
}
