//! A test on a small disk of its own: the test binary runs itself inside a mount namespace, where it may mount a tmpfs.

#![allow(dead_code)] // each binary uses its part

use std::path::Path;
use std::process::{Command, Stdio};

/// Where [`run_inside`] tells the inner test its folder is.
const FOLDER: &str = "IE_SMALL_DISK";

/// Runs the ignored test `name` of this binary where it may mount; says so in one line where nobody may.
pub fn run_inside(name: &str) {
    let tmp = tempfile::tempdir().unwrap();
    // As a user in a namespace of users, or as root without one.
    let may = |flags: &&str| {
        let probe = format!("mount -t tmpfs -o size=64k tmpfs {}", tmp.path().display());
        Command::new("unshare").args([flags, "sh", "-c", &probe]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let Some(flags) = ["-Urm", "-m"].into_iter().find(may) else {
        eprintln!("skipped: no tmpfs can be mounted here (it needs `unshare -Urm`, or root)");
        return;
    };
    let inner = Command::new("unshare")
        .args([flags, std::env::current_exe().unwrap().to_str().unwrap(), "--ignored", "--exact", name, "--nocapture"])
        .env(FOLDER, tmp.path())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&inner.stdout), String::from_utf8_lossy(&inner.stderr));
    assert!(inner.status.success() && text.contains("1 passed"), "{text}");
    text.lines().filter(|l| l.starts_with("disk")).for_each(|l| eprintln!("{l}"));
}

/// The folder of the inner test; `None` when it is not run by [`run_inside`].
pub fn inside() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os(FOLDER).map(Into::into);
    if folder.is_none() {
        eprintln!("skipped: it is run by the test of a full disk, inside a mount namespace");
    }
    folder
}

/// Mounts a tmpfs of `kib` KiB at `at`, or gives the one there that size.
pub fn mount(at: &Path, kib: u64, again: bool) {
    std::fs::create_dir_all(at).unwrap();
    let remount = if again { "remount," } else { "" };
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("{remount}size={kib}k"), "tmpfs"]).arg(at).status().unwrap();
    assert!(status.success());
}

/// Writes until the disk of `path` is full.
pub fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let error = std::io::copy(&mut std::io::repeat(7), &mut file).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
