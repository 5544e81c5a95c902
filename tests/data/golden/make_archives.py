"""Makes the small archives in archives/ with GNU tar, Info-ZIP and Python, and archives/listing.json: what Python's tarfile and zipfile
read from each (name, SHA-256 of the content, the first 16 digits), for regular files that end like images.

The images are not images but short texts: listing and reading do not look at them. Run with GNU tar 1.34, zip 3.0, Python 3.11.
"""

import hashlib
import io
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile

out = pathlib.Path(__file__).parent / "archives"
shutil.rmtree(out, ignore_errors=True)
out.mkdir()
work = pathlib.Path(tempfile.mkdtemp())
os.environ["TZ"] = "UTC"


def content(name):
    return f"content of {name}\n".encode() * (1 + len(name) % 40)


short = ["n01/a.jpg", "n01/b  c.JPEG", "n01/ends with dots...png", "n02/empty.jpg", "n02/x.jpg", "n02/notes.txt"]
long = [f"n02/{'long' * 30}.jpg", f"n03/{'p' * 90}/{'q' * 60}/r.jpg", "n03/" + "s" * 96, "n03/" + "t" * 92 + ".jpg"]
odd = ["n03/Flügel ä.jpg", "n03/猫.png"]


def tree(names):
    root = work / "tree"
    shutil.rmtree(root, ignore_errors=True)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if "empty" in name else content(name))
        os.utime(path, (1600000000.25, 1600000000.25))
    (root / "n04").mkdir()
    return root


def sh(*args, cwd=None, ok=(0,)):
    done = subprocess.run(args, cwd=cwd, capture_output=True)
    assert done.returncode in ok, (args, done.stderr)
    return done.stdout


# GNU tar, every format it has.
for fmt in ["v7", "oldgnu", "gnu", "ustar", "posix"]:
    root = tree(short if fmt == "v7" else short + odd + (long[:0] if fmt == "ustar" else long))
    (root / "n01/link.jpg").symlink_to("a.jpg")
    os.link(root / "n01/a.jpg", root / "n01/hard.jpg")
    sh("tar", f"--format={fmt}", "--sort=name", "-b2", "-cf", str(out / f"gnutar_{fmt}.tar"), "-C", str(root), ".")
root = tree(short)
sh("tar", "--format=gnu", "-V", "A label", "-b2", "-cf", str(out / "label_gnu.tar"), "-C", str(root), "n01", "n02")
sh("tar", "--format=posix", "-V", "A label", "-b2", "-cf", str(out / "label_posix.tar"), "-C", str(root), "n01", "n02")
sh("tar", "--format=gnu", "-g", str(work / "snapshot"), "-b2", "-cf", str(out / "incremental.tar"), "-C", str(root), "n01", "n02")
sh("tar", "--format=ustar", "-b1", "-cf", str(out / "blocking_1.tar"), "-C", str(root), "n01", "n02")
(root / "n02/big.jpg").write_bytes(os.urandom(9000))
for fmt in ["gnu", "posix"]:
    volumes = [work / f"{fmt}{i}" for i in range(9)]
    [v.unlink(missing_ok=True) for v in volumes]
    flags = [x for v in volumes for x in ("-f", str(v))]
    sh("tar", f"--format={fmt}", "-M", "-L", "8", "-b2", "-c", *flags, "-C", str(root), "n02/big.jpg", "n01")
    shutil.copy(volumes[1], out / f"volume2_{fmt}.tar")


def member(tar, name, data=None, **fields):
    info = tarfile.TarInfo(name)
    data = content(name) if data is None else data
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


# Python, with what GNU tar does not write.
for fmt in ["USTAR", "GNU", "PAX"]:
    with tarfile.open(out / f"python_{fmt.lower()}.tar", "w", format=getattr(tarfile, f"{fmt}_FORMAT")) as tar:
        for name in short + odd + ([long[1]] if fmt == "USTAR" else long):
            member(tar, name)
        member(tar, "n01/contiguous.jpg", type=tarfile.CONTTYPE)
        member(tar, "n01/old.jpg", type=tarfile.AREGTYPE)
        if fmt == "PAX":
            member(tar, "short", pax_headers={"path": "n01/named by pax.jpg", "comment": "of\nlines 9 x=y\n"})
            member(tar, "n01/mtime.jpg", mtime=1.5)


def patched(source, name, change):
    data = bytearray((out / source).read_bytes())
    at = 0
    while at + 512 <= len(data) and any(data[at:at + 512]):
        header = data[at:at + 512]
        size = int(bytes(header[124:135]).rstrip(b" \0") or b"0", 8)
        signed = change(header)
        header[148:156] = b" " * 8
        total = sum(b - 256 if signed and b > 127 else b for b in header)
        header[148:156] = b"%06o\0 " % total
        data[at:at + 512] = header
        at += 512 + (size + 511) // 512 * 512
    (out / name).write_bytes(data)


def base_256(header):
    size = int(bytes(header[124:135]).rstrip(b" \0") or b"0", 8)
    header[124:136] = b"\x80" + size.to_bytes(11, "big")


def spaces(header):
    size = int(bytes(header[124:135]).rstrip(b" \0") or b"0", 8)
    header[124:136] = b"%11o " % size


patched("python_gnu.tar", "base_256.tar", base_256)
patched("python_ustar.tar", "signed_sums.tar", lambda header: True)
patched("python_ustar.tar", "spaces.tar", spaces)
with open(out / "joined.tar", "wb") as f:
    f.write((out / "gnutar_v7.tar").read_bytes() + (out / "python_pax.tar").read_bytes())

# Zips.
root = tree(short + odd)
for name, flags in {"stored": ["-0"], "deflated": ["-9"], "zip64": ["-fz"], "bzip2": ["-Z", "bzip2"], "secret": ["-P", "x"]}.items():
    sh("zip", "-X", "-r", *flags, str(out / f"infozip_{name}.zip"), "n01", "n02", "n03", cwd=root)
(out / "infozip_streamed.zip").write_bytes(sh("bash", "-c", "zip -X -r - n01 n02 n03 | cat", cwd=root))
(root / "n01/link.jpg").symlink_to("a.jpg")
sh("zip", "-X", "-r", "-y", str(out / "infozip_links.zip"), "n01", cwd=root)
with zipfile.ZipFile(out / "python.zip", "w", zipfile.ZIP_DEFLATED) as z:
    z.comment = b"a comment"
    for name in short + odd + long:
        z.writestr(name, content(name))
    z.writestr("__MACOSX/n01/._a.jpg", b"of a Mac")
    z.writestr("n01/.DS_Store", b"of a Mac")
with zipfile.ZipFile(out / "python_zip64.zip", "w") as z:
    for name in short:
        with z.open(name, "w", force_zip64=True) as f:
            f.write(content(name))
with zipfile.ZipFile(out / "python_lzma.zip", "w", zipfile.ZIP_LZMA) as z:
    z.writestr("n01/a.jpg", content("a"))
whole = (out / "infozip_deflated.zip").read_bytes()
(out / "stub.zip").write_bytes(b"#!/bin/sh\nexit 0\n" + whole)
(out / "tail.zip").write_bytes(whole + b"\nsome bytes")
cp437 = io.BytesIO()
with zipfile.ZipFile(cp437, "w") as z:
    info = zipfile.ZipInfo("n01/Xber.jpg")
    info.create_system = 0
    z.writestr(info, content("x"))
(out / "cp437.zip").write_bytes(cp437.getvalue().replace(b"n01/Xber", b"n01/\x9aber"))


def image(name):
    parts = name.split("/")
    hidden = name.startswith("__MACOSX/") or any(p.startswith(".") for p in parts if p not in (".", ".."))
    return not hidden and name.lower().endswith((".jpg", ".jpeg", ".png"))


def listed(name, data):
    return [name[2:] if name.startswith("./") else name, hashlib.sha256(data).hexdigest()[:16]]


listing = {}
for path in sorted(out.glob("*")):
    if path.name.startswith("volume2"):
        continue
    found = []
    if path.name == "incremental.tar":  # Python takes its access times for a prefix of the name
        for name in sh("tar", "-tf", str(path)).decode().splitlines():
            if image(name):
                found.append(listed(name, sh("tar", "-xOf", str(path), name)))
    elif path.suffix == ".tar":
        with tarfile.open(path, ignore_zeros="joined" in path.name, encoding="utf-8") as tar:
            for info in tar:
                if info.isfile() and image(info.name):
                    # Only joined.tar has names twice: the last is what unpacking leaves.
                    found = [(name, sha) for name, sha in found if name != info.name.removeprefix("./")]
                    found.append(listed(info.name, tar.extractfile(info).read()))
    else:
        with zipfile.ZipFile(path) as z:
            for info in z.infolist():
                usable = info.compress_type in (0, 8) and not info.flag_bits & 1 and not stat.S_ISLNK(info.external_attr >> 16)
                name = info.filename
                if info.create_system == 3 and not info.flag_bits & 0x800:  # Python takes it for code page 437, unzip does not
                    name = name.encode("cp437").decode()
                if image(name) and usable:
                    found.append(listed(name, z.read(info)))
    listing[path.name] = sorted(found)
(out / "listing.json").write_text(json.dumps(listing, indent=0, ensure_ascii=False) + "\n")
print({k: len(v) for k, v in listing.items()}, sum(p.stat().st_size for p in out.glob("*")))
