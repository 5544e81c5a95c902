//! `pack` onto disks that are really full: small ones, mounted for the test.

#[path = "../common/namespace.rs"]
mod namespace;

use super::common::*;
use imagenet_engine::data::sheet::write_png;
use namespace::{fill, inside, mount, run_inside};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::Stdio;

#[test]
fn a_full_disk_stops_a_pack_with_73_and_room_lets_it_finish() {
    run_inside("full_disk::inside_packing");
}

fn arguments<'a>(input: &'a str, output: &'a str, resize: &'a str) -> Vec<&'a str> {
    vec!["pack", "--input", input, "--output", output, "--resize", resize, "--records-per-shard", "1000", "--progress", "none"]
}

#[test]
#[ignore = "run by a_full_disk_stops_a_pack_with_73_and_room_lets_it_finish in a mount namespace"]
fn inside_packing() {
    let Some(tmp) = inside() else { return };
    let picture = tmp.join("p.png");
    let noise: Vec<u8> = (0..256 * 256 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    write_png(&picture, 256, 256, &noise).unwrap();
    for mib in [1u64, 2, 4, 8, 16, 32, 64] {
        let kib = mib * 1024;
        let (input, disk, whole) = (tmp.join(format!("in{mib}")), tmp.join(format!("disk{mib}")), tmp.join(format!("whole{mib}")));
        std::fs::create_dir_all(input.join("class")).unwrap();
        // Pictures of 192 KiB for two thirds of the disk.
        for i in 0..(kib * 2 / 3 / 192).max(2) {
            std::fs::copy(&picture, input.join(format!("class/p{i:04}.png"))).unwrap();
        }
        mount(&disk, kib, false);
        std::fs::write(disk.join("previous"), "what was there").unwrap();
        let text = |p: &Path| p.to_str().unwrap().to_owned();
        let (i, o, w) = (text(&input), text(&disk.join("out")), text(&whole));
        assert_eq!(call(&arguments(&i, &w, "256")).0, 0);

        // Four times the pixels are known not to fit before anything is written.
        let (code, said) = call(&arguments(&i, &o, "512"));
        assert!(
            code == 73 && said.contains("the shards need ") && said.contains(" bytes, ") && said.contains(" are free"),
            "{mib}: {said}"
        );
        assert!(files(&disk.join("out")).is_empty(), "{mib}: {:?}", files(&disk.join("out")).keys());

        let (code, said) = call(&[arguments(&i, &o, "512"), vec!["--estimate"]].concat());
        assert!(code == 73 && said.contains("the shards need about ") && said.contains("what would fit: "), "{mib}: {said}");

        // What fits fits no more, since something else fills the disk meanwhile: the pack is halted when it has begun its shard.
        let mut command = program(&arguments(&i, &o, "256"));
        command.env("IE_FAILPOINT", "stop:temp-created").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        let status = format!("/proc/{}/stat", child.id());
        let halted = || std::fs::read_to_string(&status).is_ok_and(|s| s.contains(") T "));
        while !halted() {
            assert!(child.try_wait().unwrap().is_none(), "{mib}: it ended before it was halted");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        fill(&disk.join("ballast"));
        kill_process(pid, Signal::CONT).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(73), "{mib}: {said}");
        for words in ["cannot write", &o, "the disk is full: this file needs ", "bytes are free there", "run the same command again"] {
            assert!(said.contains(words), "{mib}: {words}: {said}");
        }
        assert!(files(&disk.join("out")).is_empty(), "{mib}: {:?}", files(&disk.join("out")).keys());
        assert_eq!(std::fs::read(disk.join("previous")).unwrap(), b"what was there");

        std::fs::remove_file(disk.join("ballast")).unwrap();
        let (code, said) = call(&arguments(&i, &o, "256"));
        assert!(code == 0 && files(&disk.join("out")) == files(&whole), "{mib}: {said}");
    }
    eprintln!("disks of 1 to 64 MiB: 21 packs and estimates refused with 73, 7 finished to the same bytes");
}
