//! Host memory: what this process may still take, and which limit says so.
//!
//! Three bounds: what the machine has left (`MemAvailable`), the limits of the control groups that the process is in (version 1 or 2) less
//! what their processes use, where pages of files count as free, since the kernel drops them first; and, of addresses, `ulimit -v` and
//! `ulimit -d`. Each is read from /proc or /sys in microseconds; what cannot be read bounds nothing.

use rustix::process::{Resource, getrlimit};
use std::fmt;
use std::path::{Path, PathBuf};

/// Which limit is the tightest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Machine,
    /// Of a container or service: its limit.
    Group(u64),
    /// `ulimit -v`.
    AddressSpace(u64),
    /// `ulimit -d`.
    Data(u64),
}

/// Bytes that can still be taken, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub bytes: u64,
    pub bound: Bound,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => write!(f, "the machine has no more memory free"),
            Self::Group(limit) => write!(f, "the memory of this container or service (control group) is limited to {limit} bytes"),
            Self::AddressSpace(limit) => write!(f, "the address space is limited to {limit} bytes (ulimit -v)"),
            Self::Data(limit) => write!(f, "the data of this process is limited to {limit} bytes (ulimit -d)"),
        }
    }
}

/// Memory that can still be used; none where nothing is known.
pub fn room() -> Option<Room> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let machine = machine.map(|bytes| Room { bytes, bound: Bound::Machine });
    tighter(machine, group(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")))
}

/// Addresses that can still be taken; none where they are not limited.
pub fn addresses() -> Option<Room> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let used = |key: &str| field(&status, key).unwrap_or(0);
    let of = |resource, key, bound: fn(u64) -> Bound| {
        let limit = getrlimit(resource).current?;
        Some(Room { bytes: limit.saturating_sub(used(key)), bound: bound(limit) })
    };
    tighter(of(Resource::As, "VmSize:", Bound::AddressSpace), of(Resource::Data, "VmData:", Bound::Data))
}

/// Bytes of this process that are in memory now.
pub fn resident() -> u64 {
    std::fs::read_to_string("/proc/self/status").ok().and_then(|text| field(&text, "VmRSS:")).unwrap_or(0)
}

/// The most that were, so far.
pub fn most_resident() -> u64 {
    std::fs::read_to_string("/proc/self/status").ok().and_then(|text| field(&text, "VmHWM:")).unwrap_or(0)
}

fn tighter(a: Option<Room>, b: Option<Room>) -> Option<Room> {
    a.into_iter().chain(b).min_by_key(|room| room.bytes)
}

/// `MemAvailable` of /proc/meminfo.
fn available(meminfo: &str) -> Option<u64> {
    field(meminfo, "MemAvailable:")
}

/// A line `KEY 123 kB`, in bytes.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The tightest of the control groups that `of_process` names, and of those above them.
fn group(of_process: &Path, groups: &Path) -> Option<Room> {
    let text = std::fs::read_to_string(of_process).ok()?;
    let folders = text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        let v1 = controllers.split(',').any(|c| c == "memory");
        let root = if v1 { groups.join("memory") } else { groups.to_owned() };
        let folders = Path::new(path).ancestors().map(|p| root.join(p)).collect::<Vec<_>>();
        (v1 || controllers.is_empty()).then(|| folders.into_iter().filter_map(move |folder| room_of(folder, v1)))
    });
    folders.flatten().min_by_key(|room| room.bytes)
}

/// What a group's limit leaves.
fn room_of(folder: PathBuf, v1: bool) -> Option<Room> {
    let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number(if v1 { "memory.limit_in_bytes" } else { "memory.max" })?;
    let used = number(if v1 { "memory.usage_in_bytes" } else { "memory.current" }).unwrap_or(0);
    let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let files: u64 = stat
        .lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            let keys = if v1 { ["total_inactive_file", "total_active_file"] } else { ["inactive_file", "active_file"] };
            keys.contains(&key).then(|| value.trim().parse::<u64>().ok()).flatten()
        })
        .sum();
    Some(Room { bytes: limit.saturating_sub(used.saturating_sub(files)), bound: Bound::Group(limit) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_has() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   1024 kB\n"), Some(1 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
        assert!(resident() > 1 << 20 && most_resident() >= resident() / 2);
    }

    /// Limits, use and pages of files as the kernel's documents have them, version 1 and 2.
    #[test]
    fn the_limit_of_a_container_counts_less_what_it_uses() {
        let tmp = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            std::fs::create_dir_all(tmp.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(tmp.path().join(path), text).unwrap();
        };
        let of = |text: &str| {
            write("of_process", text);
            group(&tmp.path().join("of_process"), tmp.path()).map(|room| (room.bytes, room.bound))
        };
        assert_eq!(of("0::/a/b\n"), None);
        write("a/memory.max", "5000\n");
        write("a/b/memory.max", "max\n");
        assert_eq!(of("0::/a/b\n"), Some((5000, Bound::Group(5000))), "the group above");
        write("a/memory.current", "3000\n");
        write("a/memory.stat", "anon 1900\nfile 1100\ninactive_file 700\nactive_file 300\n");
        assert_eq!(of("0::/a/b\n"), Some((3000, Bound::Group(5000))));
        write("a/b/memory.max", "2500\n");
        assert_eq!(of("0::/a/b\n"), Some((2500, Bound::Group(2500))), "the tighter of both");
        write("memory/c/memory.limit_in_bytes", "700\n");
        assert_eq!((of("4:cpu,memory:/c\n1:cpuset:/a\n"), of("4:cpu:/c\n")), (Some((700, Bound::Group(700))), None));
        write("memory/c/memory.usage_in_bytes", "650\n");
        write("memory/c/memory.stat", "inactive_file 9\ntotal_inactive_file 100\ntotal_active_file 50\n");
        assert_eq!(of("4:memory:/c\n"), Some((200, Bound::Group(700))));
        write("memory/c/memory.usage_in_bytes", "9000\n");
        assert_eq!(of("4:memory:/c\n"), Some((0, Bound::Group(700))), "more used than allowed");
    }
}
