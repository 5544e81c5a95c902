//! Which file a path means: itself, or where it is the folder of a run, one of the run's checkpoints or weight files.

use super::list;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// What is looked for in a run's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To go on from: the newest checkpoint.
    Checkpoint,
    /// To evaluate or start from: the best weights, else the last, else the newest checkpoint.
    Weights,
}

/// The file that `path` means. A path that is no folder is returned as it is, whether it is there or not.
///
/// # Errors
/// `Data` for a folder that holds no such file, saying what it is.
pub fn locate(path: &Path, wanted: Wanted) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let there = |name: &str| Some(path.join(name)).filter(|file| file.is_file());
    let newest = || [path.join("checkpoints"), path.to_owned()].iter().find_map(|folder| Some(list(folder).first()?.1.clone()));
    let found = match wanted {
        Wanted::Checkpoint => newest().or_else(|| there("best.safetensors")),
        Wanted::Weights => there("best.safetensors").or_else(|| there("model.safetensors")).or_else(newest),
    };
    found.ok_or_else(|| {
        let error = Error::data("no checkpoint or weights in this folder").at(path.display().to_string());
        match there("dataset.json") {
            Some(_) => error.because("it is a packed dataset (dataset.json)").next("the folder of a run, or a .safetensors file"),
            None => error.because("a run's folder holds checkpoints/, best.safetensors or model.safetensors").next(weight_files(path)),
        }
    })
}

/// What to type instead: a weight file that is there under another name, if there is one.
fn weight_files(path: &Path) -> String {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "safetensors")).collect();
    files.sort();
    files.first().map_or_else(|| "the folder of a run, or a .safetensors file".to_owned(), |file| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_run_s_folder_means_its_newest_checkpoint_or_its_best_weights() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let touch = |name: &str| fs::write(at(name), b"").unwrap();
        let found = |wanted| locate(folder.path(), wanted);
        assert_eq!(found(Wanted::Weights).unwrap_err().exit_code(), 65);
        touch("resnet50.safetensors");
        assert!(found(Wanted::Checkpoint).unwrap_err().to_string().contains("next:  ") && found(Wanted::Weights).is_err());
        fs::create_dir(at("checkpoints")).unwrap();
        for name in ["00000009.safetensors", "00000010.safetensors", "00000011.safetensors.corrupt"] {
            touch(&format!("checkpoints/{name}"));
        }
        let newest = at("checkpoints/00000010.safetensors");
        assert_eq!((found(Wanted::Checkpoint).unwrap(), found(Wanted::Weights).unwrap()), (newest.clone(), newest.clone()));
        assert_eq!(locate(&at("checkpoints"), Wanted::Checkpoint).unwrap(), newest);
        touch("model.safetensors");
        assert_eq!(found(Wanted::Weights).unwrap(), at("model.safetensors"));
        touch("best.safetensors");
        assert_eq!((found(Wanted::Weights).unwrap(), found(Wanted::Checkpoint).unwrap()), (at("best.safetensors"), newest));
        assert_eq!(locate(&at("gone"), Wanted::Weights).unwrap(), at("gone"));
        fs::create_dir(at("packed")).unwrap();
        touch("packed/dataset.json");
        assert!(locate(&at("packed"), Wanted::Weights).unwrap_err().to_string().contains("packed dataset"));
    }
}
