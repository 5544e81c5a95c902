//! Memory of a container: a control group of a few megabytes, in which commands run or are refused with 71, and are never killed.
//!
//! It needs a memory controller of version 1 that may be written (root in most containers); elsewhere one line says that it was not tested.

use crate::stderr;
use imagenet_engine::data::sheet::write_png;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/memory/imagenet-engine-test-{}", std::process::id()));
        let made = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() && std::fs::create_dir(&path).is_ok();
        if !made {
            eprintln!("skipped: no control group can be made here (it needs root and a memory controller of version 1)");
        }
        made.then_some(Self(path))
    }

    fn run(&self, mib: u64, args: &[&str]) -> Output {
        std::fs::write(self.0.join("memory.limit_in_bytes"), (mib << 20).to_string()).unwrap();
        let join = format!("echo $$ > {}/tasks && exec \"$0\" \"$@\"", self.0.display());
        let mut command = Command::new("sh");
        command.arg("-c").arg(join).arg(env!("CARGO_BIN_EXE_imagenet-engine")).args(args);
        command.stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn weights_and_images_that_memory_cannot_hold_are_refused_and_nothing_is_killed() {
    let Some(group) = Group::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let weights = crate::received::weights(folder.path(), ["a", "b"], 0.01).to_str().unwrap().to_owned();
    for name in ["large", "one"] {
        std::fs::create_dir_all(path(&format!("{name}/a"))).unwrap();
    }
    // 6000 x 6000 pixels are 108 MB, in a file of a few hundred kilobytes.
    let large = path("one/a/0.png");
    write_png(Path::new(&large), 6000, 6000, &vec![7; 3 * 6000 * 6000]).unwrap();
    (0..6).for_each(|i| std::fs::hard_link(&large, path(&format!("large/a/{i}.png"))).unwrap());
    let small = path("small.png");
    write_png(Path::new(&small), 40, 40, &[9; 3 * 40 * 40]).unwrap();

    let outcome = |mib: u64, args: &[&str]| {
        let output = group.run(mib, args);
        let said = stderr(&output);
        let code = output.status.code();
        assert!(
            code == Some(0) || code == Some(71) && said.contains("bytes") | said.contains("MiB"),
            "{mib} MiB, {args:?}: {code:?} {said}"
        );
        code == Some(0)
    };
    let (mut ran, mut refused) = (0, 0);
    let mut count = |done: bool| if done { ran += 1 } else { refused += 1 };
    for mib in [50, 70, 90, 100, 110, 120, 140, 160, 200] {
        let exported = path(&format!("exported-{mib}"));
        count(outcome(mib, &["predict", "--device", "cpu", "--threads", "1", "--weights", &weights, &small]));
        count(outcome(mib, &["export", "--weights", &weights, "--output", &exported]));
        let (packed, all) = (path(&format!("packed-{mib}")), path(&format!("all-{mib}")));
        count(outcome(mib, &["pack", "--input", &path("one"), "--output", &packed, "--resize", "64", "--progress", "none"]));
        let done =
            outcome(mib, &["pack", "--input", &path("large"), "--output", &all, "--resize", "64", "--jobs", "6", "--progress", "none"]);
        count(done);
        assert!(done || mib < 160, "six images one after the other need no more than one: {mib} MiB");
    }
    assert!(ran >= 8 && refused >= 8, "{ran} ran, {refused} were refused");
    let output = group.run(100, &["pack", "--input", &path("one"), "--output", &path("named"), "--resize", "64", "--progress", "none"]);
    let said = stderr(&output);
    assert!(output.status.code() == Some(71) && said.contains("one/a/0.png") && said.contains("36.0 megapixels"), "{said}");
    eprintln!("{ran} commands ran under limits of 50 to 200 MiB, {refused} were refused with 71");
}
