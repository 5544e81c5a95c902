//! What this program is built from: known advisories, licences and how many packages, each against what is written down.

use semver::{Version, VersionReq};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

const LICENCES: [&str; 13] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "0BSD",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT-0",
    "MPL-2.0", // of files, and none of theirs is changed here
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn read(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Name and version of what a lock file takes from a registry.
fn locked(text: &str) -> Vec<(String, Version)> {
    let lock: toml::Table = text.parse().unwrap();
    let packages = lock["package"].as_array().unwrap().iter().filter(|p| p.get("source").is_some());
    packages.map(|p| (p["name"].as_str().unwrap().to_owned(), p["version"].as_str().unwrap().parse().unwrap())).collect()
}

/// What of `packages` an advisory of `list` affects without a reason, was not looked up, or is excused in vain.
fn wrong(packages: &[(String, Version)], list: &Value) -> Vec<String> {
    let any = |list: &Value, version: &Version| {
        list.as_array().unwrap().iter().any(|r| r.as_str().unwrap().parse::<VersionReq>().unwrap().matches(version))
    };
    let mut wrong = Vec::new();
    let known: BTreeSet<&str> = list["crates"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let new = packages.iter().filter(|(name, _)| !known.contains(name.as_str()));
    wrong.extend(new.map(|(name, _)| format!("{name} was not looked up: run tools/advisories.py")));
    for advisory in list["advisories"].as_array().unwrap() {
        let id = advisory["id"].as_str().unwrap();
        let of_crate = packages.iter().filter(|(name, _)| advisory["crate"] == name.as_str());
        let hit: Vec<_> = of_crate.filter(|(_, v)| !any(&advisory["patched"], v) && !any(&advisory["unaffected"], v)).collect();
        match advisory.get("accepted") {
            None => wrong.extend(hit.iter().map(|(name, v)| format!("{id} affects {name} {v}: {}", advisory["title"]))),
            Some(_) if hit.is_empty() => wrong.push(format!("{id} is excused, and affects nothing")),
            Some(_) => {}
        }
    }
    wrong
}

#[test]
fn no_advisory_affects_a_locked_version_without_a_reason() {
    let list: Value = serde_json::from_str(&read("tools/advisories.json")).unwrap();
    let packages: Vec<_> = ["Cargo.lock", "fuzz/Cargo.lock"].iter().flat_map(|lock| locked(&read(lock))).collect();
    assert!(packages.len() > 150 && list["advisories"].as_array().unwrap().len() > 20);
    assert_eq!(wrong(&packages, &list), Vec::<String>::new());
}

/// The comparison can fail: versions that are known to be bad, a crate nobody looked up, an excuse for nothing.
#[test]
fn affected_versions_are_noticed() {
    let list: Value = serde_json::from_str(&read("tools/advisories.json")).unwrap();
    let with = |name: &str, version: &str| {
        let mut packages = locked(&read("Cargo.lock"));
        packages.push((name.to_owned(), version.parse().unwrap()));
        wrong(&packages, &list)
    };
    for (name, version, id) in [
        ("tar", "0.4.44", "RUSTSEC-2026-0067"),
        ("memmap2", "0.9.5", "RUSTSEC-2026-0186"),
        ("crossbeam-utils", "0.8.6", "RUSTSEC-2022-0041"),
    ] {
        assert!(with(name, version).iter().any(|w| w.contains(id)), "{name} {version}: {:?}", with(name, version));
    }
    assert!(with("left-pad", "1.0.0")[0].contains("left-pad was not looked up"));
    assert_eq!(with("tar", "0.4.46"), Vec::<String>::new());
    let without: Vec<_> = locked(&read("Cargo.lock")).into_iter().filter(|(name, _)| name != "paste").collect();
    assert_eq!(wrong(&without, &list), ["RUSTSEC-2024-0436 is excused, and affects nothing"]);
}

/// The output of cargo; none where it has no network and needs one.
fn cargo(arguments: &[&str]) -> Option<String> {
    let done = Command::new(env!("CARGO")).current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if !done.status.success() && ["download", "network", "offline"].iter().any(|word| said.contains(word)) {
        eprintln!("skipped: cargo cannot fetch what it needs to know all packages ({})", said.lines().next().unwrap_or_default());
        return None;
    }
    assert!(done.status.success(), "{said}");
    Some(String::from_utf8(done.stdout).unwrap())
}

/// Stricter than SPDX where AND and OR stand beside each other without brackets.
fn allowed(licence: &str) -> bool {
    let word = |w: &str| LICENCES.contains(&w.trim().trim_matches(['(', ')']).trim());
    licence.replace('/', " OR ").split(" AND ").all(|part| part.split(" OR ").any(word))
}

#[test]
fn every_licence_is_one_of_the_list() {
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0") && allowed("MIT/GPL-3.0"));
    assert!(!allowed("GPL-3.0") && !allowed("MIT AND GPL-3.0") && !allowed(""));
    let Some(text) = cargo(&["metadata", "--format-version", "1", "--locked", "--all-features"]) else { return };
    let metadata: Value = serde_json::from_str(&text).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 150, "{}", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(allowed(licence), "{} {}: licence '{licence}'", package["name"], package["version"]);
    }
}

#[test]
fn the_counts_in_the_docs_are_right() {
    let count = |features: &[&str]| {
        let tree = ["tree", "--locked", "--prefix", "none", "--edges", "normal,build", "--target", "x86_64-unknown-linux-gnu"];
        let text = cargo(&[&tree[..], features].concat())?;
        let names: BTreeSet<String> = text.lines().map(|l| l.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
        Some(names.len() - 1) // without this one
    };
    let (Some(plain), Some(all)) = (count(&[]), count(&["--all-features"])) else { return };
    let locked = locked(&read("Cargo.lock")).len();
    let sentence = format!("{plain} packages of others in a default build, {all} with every feature, {locked} in Cargo.lock");
    assert!(read("docs/reliability.md").replace('\n', " ").contains(&sentence), "docs/reliability.md does not say: {sentence}");
}
