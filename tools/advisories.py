#!/usr/bin/env python3
"""Writes tools/advisories.json anew: the RustSec advisories that name a crate of Cargo.lock or fuzz/Cargo.lock.

    git clone --depth 1 https://github.com/rustsec/advisory-db /tmp/advisory-db
    tools/advisories.py /tmp/advisory-db

`cargo test --test supply` holds Cargo.lock against the list: no version that an advisory affects, but where "accepted" gives a reason
(written by hand, kept by this script), and no crate that was not looked up. Python 3.11 or later, nothing besides.
"""

import json
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tools/advisories.json"


def crates():
    locks = [tomllib.loads((ROOT / name).read_text()) for name in ("Cargo.lock", "fuzz/Cargo.lock")]
    return sorted({package["name"] for lock in locks for package in lock["package"] if "source" in package})


def advisory(path):
    text = path.read_text()
    header = re.match(r"```toml\n(.*?)\n```", text, re.S).group(1)
    fields = tomllib.loads(header)
    title = next(line[2:] for line in text.splitlines() if line.startswith("# "))
    return fields["advisory"], fields.get("versions", {}), title


def main():
    database = Path(sys.argv[1])
    commit = subprocess.run(["git", "-C", database, "log", "-1", "--format=%H %cs"], capture_output=True, text=True, check=True)
    commit, committed = commit.stdout.split()
    before = json.loads(LIST.read_text())["advisories"] if LIST.exists() else []
    accepted = {entry["id"]: entry["accepted"] for entry in before if "accepted" in entry}
    found = []
    for name in crates():
        for path in sorted((database / "crates" / name).glob("*.md")):
            head, versions, title = advisory(path)
            if "withdrawn" in head:
                continue
            entry = {"id": head["id"], "crate": name, "date": str(head["date"]), "title": title}
            entry |= {"kind": head.get("informational", "vulnerability")}
            entry |= {"patched": versions.get("patched", []), "unaffected": versions.get("unaffected", [])}
            if head["id"] in accepted:
                entry["accepted"] = accepted[head["id"]]
            found.append(entry)
    listed = {"checked": str(date.today()), "database": {"commit": commit, "date": committed}, "crates": crates(), "advisories": found}
    LIST.write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(found)} advisories name one of {len(listed['crates'])} crates; database of {committed}")


if __name__ == "__main__":
    main()
