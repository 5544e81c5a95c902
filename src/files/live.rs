//! What a signal that ends the process has to remove: the temporary files that are being written, and folders for passing use.

use super::folder::Folder;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Live {
    files: Vec<(Arc<Folder>, OsString)>,
    folders: Vec<PathBuf>,
}

static LIVE: Mutex<Live> = Mutex::new(Live { files: Vec::new(), folders: Vec::new() });

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes the file that `make` makes in `folder` under the name that it returns with it; nothing comes between making and noting.
pub(super) fn noted<T>(folder: &Arc<Folder>, make: impl FnOnce() -> io::Result<(T, OsString)>) -> io::Result<(T, OsString)> {
    let mut live = live();
    let (made, name) = make()?;
    live.files.push((folder.clone(), name.clone()));
    Ok((made, name))
}

/// The file has its final name, or is gone.
pub(super) fn forget(name: &OsStr, folder: &Arc<Folder>) {
    live().files.retain(|(at, noted)| noted.as_os_str() != name || !Arc::ptr_eq(at, folder));
}

/// Makes the new folder `path`, which [`end_cleanly`] removes with all that is in it until [`forget_folder`].
///
/// # Errors
/// Those of the system.
pub fn made_for_passing_use(path: &Path) -> io::Result<()> {
    let mut live = live();
    std::fs::create_dir(path)?;
    live.folders.push(path.to_owned());
    Ok(())
}

/// The folder of [`made_for_passing_use`] is its maker's to remove.
pub fn forget_folder(path: &Path) {
    live().folders.retain(|noted| noted != path);
}

/// Removes what is unfinished and then ends the process by `end`; no other thread begins a file meanwhile.
pub fn end_cleanly(end: impl FnOnce()) {
    let live = live();
    live.files.iter().for_each(|(folder, name)| drop(folder.unlink(name)));
    live.folders.iter().for_each(|path| drop(std::fs::remove_dir_all(path)));
    end();
}
