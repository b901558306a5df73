// SPDX-License-Identifier: MPL-2.0
//! The folders of a run: what it goes on from and where it writes.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::Error;
use crate::network::Grid;
use crate::network::location::serving;
use crate::network::weights::Module;
use crate::whole_file;

/// Makes the folder `out` if need be and reserves it for one run, until what this returns is dropped:
/// two would overwrite each other's weights. What a run that was killed left half written goes.
///
/// # Errors
/// [`Error::Busy`] while another run has it, [`Error::Io`].
pub fn reserve(out: &Path) -> Result<File, Error> {
    let failed = |source| Error::Io { path: out.into(), source };
    fs::create_dir_all(out).map_err(failed)?;
    let folder = File::open(out).map_err(failed)?;
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(Error::Busy(out.into())),
        Ok(()) => whole_file::remove_unfinished(out).map_err(failed)?,
        // Not every file system can reserve a folder; that is no reason not to train.
        Err(TryLockError::Error(_)) => {}
    }
    Ok(folder)
}

/// Whether two paths are of one folder.
pub fn same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// Checks before a run that it goes on from what is there, and overwrites nothing else.
///
/// # Errors
/// [`Error::NothingToResume`] if the folder `resume` has no weights, [`Error::Occupied`] if `out` has
/// some and is not gone on from, [`Error::Io`].
pub fn check(out: &Path, resume: Option<&Path>) -> Result<(), Error> {
    if let Some(folder) = resume
        && !has_weights(folder)?
    {
        return Err(Error::NothingToResume(folder.into()));
    }
    if resume != Some(out) && has_weights(out)? {
        return Err(Error::Occupied(out.into()));
    }
    Ok(())
}

/// Checks before a run that trains the hiding module for all grids that the folder `out` has none that
/// would win over it.
///
/// # Errors
/// [`Error::OwnHidingWins`].
pub fn check_own_hiding(out: &Path, grids: &[Grid]) -> Result<(), Error> {
    let own = grids.iter().map(|&grid| out.join(Module::Hiding(Some(grid)).file_name()));
    match own.into_iter().find(|path| path.is_file()) {
        Some(path) => Err(Error::OwnHidingWins(path)),
        None => Ok(()),
    }
}

/// Copies the weights of modules from one folder to another that has none of them: what a run goes on
/// from has to be there for the next, though it is broken off before it has trained them all.
///
/// # Errors
/// [`Error::Io`].
pub fn bring(from: &Path, to: &Path, modules: &[Module]) -> Result<(), Error> {
    for &module in modules {
        let Some((served, source)) = serving(from, module) else {
            continue;
        };
        if serving(to, module).is_some() {
            continue;
        }
        let target = to.join(served.file_name());
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            |source| Error::Io { path, source }
        };
        let bytes = fs::read(&source).map_err(failed(&source))?;
        whole_file::write(&target, &bytes).map_err(failed(&target))?;
    }
    Ok(())
}

fn has_weights(folder: &Path) -> Result<bool, Error> {
    let failed = |source| Error::Io { path: folder.into(), source };
    let entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>();
    let mut paths = entries.map_err(failed)?.into_iter().map(|entry| entry.path());
    Ok(paths.any(|path| path.extension().is_some_and(|e| e == "safetensors")))
}

/// The files of those modules that the folder has no weights for.
pub fn absent(folder: &Path, modules: &[Module]) -> Vec<String> {
    let absent = modules.iter().filter(|&&module| serving(folder, module).is_none());
    absent.map(|module| module.file_name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_reserved_until_its_run_ends() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new");
        let run = reserve(&out).unwrap();
        let unfinished = out.join(".invmih-unfinished-a1b2c3");
        std::fs::write(&unfinished, "half").unwrap();
        std::fs::write(out.join("another"), "whole").unwrap();
        let error = reserve(&out).unwrap_err().to_string();
        assert!(error.contains("another run") && error.contains("--out"), "{error}");
        assert!(unfinished.exists());
        drop(run);
        reserve(&out).unwrap();
        assert!(!unfinished.exists() && out.join("another").exists());
    }

    #[test]
    fn a_module_is_absent_without_its_file_or_one_that_serves_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let grid = Grid::new(2, 2).unwrap();
        let modules = [Module::Hiding(Some(grid)), Module::Rescaling(grid)];
        let absent = || absent(folder.path(), &modules);
        assert_eq!(absent(), ["hiding-2x2.safetensors", "rescaling-2x2.safetensors"]);
        std::fs::write(folder.path().join("hiding.safetensors"), "").unwrap();
        assert_eq!(absent(), ["rescaling-2x2.safetensors"]);
    }

    #[test]
    fn what_a_run_goes_on_from_is_brought_and_nothing_overwritten() {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let own = Module::Hiding(Some(Grid::new(2, 2).unwrap()));
        let rescaling = Module::Rescaling(Grid::new(2, 2).unwrap());
        std::fs::write(from.path().join("hiding.safetensors"), "a").unwrap();
        std::fs::write(from.path().join(rescaling.file_name()), "b").unwrap();
        let read = |name: &str| std::fs::read_to_string(to.path().join(name)).ok();
        // The module for all serves where a grid has none of its own.
        bring(from.path(), to.path(), &[own, rescaling]).unwrap();
        assert_eq!(read("hiding.safetensors").as_deref(), Some("a"));
        assert_eq!(read(&rescaling.file_name()).as_deref(), Some("b"));
        std::fs::write(from.path().join(own.file_name()), "c").unwrap();
        std::fs::write(from.path().join(rescaling.file_name()), "d").unwrap();
        bring(from.path(), to.path(), &[own, rescaling]).unwrap();
        assert_eq!(read(&own.file_name()), None);
        assert_eq!(read(&rescaling.file_name()).as_deref(), Some("b"));
    }
}
