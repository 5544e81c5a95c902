#!/usr/bin/env python3
"""Every image of some folders through `imagenet-engine pack` and `unpack`, against Pillow's convert("RGB"): lists all disagreements.

    python tools/decode_diff.py ENGINE FOLDER... [--scratch DIR] [--all]

Takes the files named .jpg, .jpeg, .png, .apng and .webp, in any case. A disagreement is an image that one side decodes and the other
refuses, or one whose pixels differ. Those of a kind that docs/sources.md explains ("Where pack and Pillow part") are counted by kind, and
listed with --all; the others are printed. Exit code: 0 when all are explained, 1 when not, 2 when the run itself failed.

Needs Pillow and numpy. The kinds were settled with Pillow 13.0.0.
"""
import argparse
import collections
import csv
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy
import PIL
from PIL import Image, PngImagePlugin

NAMES = {".jpg", ".jpeg", ".png", ".apng", ".webp"}

# What is explained: which side refuses, what that side says (a regular expression), and the kind in docs/sources.md.
EXPLAINED = [
    ("ours", r"is not supported \(", "another format"),
    ("ours", r"not a picture: its first bytes", "another format"),
    ("ours", r"above the limit of|a side is above 65535", "too large"),
    ("ours", r"^JPEG.*(runs? past the end|ends too early|in no Huffman table|no end marker|restart marker is missing|cut short|cut within)",
     "jpeg: damaged data"),
    ("ours", r"lossless coding|hierarchical coding|other than 8 bits", "jpeg: coding process"),
    ("ours", r"^PNG.*(CRC|[Cc]hecksum)", "png: checksum"),
    ("ours", r"^PNG (cut|damaged: no chunk)", "png: cut"),
    ("ours", r"^PNG with (two headers|a header)|Unknown compression method", "png: header"),
    ("ours", r"^PNG with a palette|^PNG: .*PLTE", "png: palette"),
    ("ours", r"does not have enough data for image", "png: rows missing"),
    ("pillow", r"^(ValueError|SyntaxError): .*(chunk|APNG|MAX_TEXT)", "png: ancillary chunk"),
]


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(2)


def by_pillow(path):
    """The pixels, or why not in Pillow's words."""
    try:
        with Image.open(path) as image:
            return numpy.asarray(image.convert("RGB"))
    except Image.UnidentifiedImageError as error:
        return why_not_png(path) or f"{type(error).__name__}: {error}"
    except Exception as error:  # whatever a plugin raises is a refusal
        return f"{type(error).__name__}: {error}"


def why_not_png(path):
    """What the PNG plugin says, which `open` swallows."""
    try:
        with open(path, "rb") as file:
            PngImagePlugin.PngImageFile(file)
    except SyntaxError as error:
        return None if "not a PNG" in str(error) else f"SyntaxError: {error}"


def by_engine(engine, paths, scratch):
    """For each path the PNG that unpack wrote, or a reason in our words."""
    links = scratch / "in"
    names = {}
    for number, path in enumerate(paths):
        link = links / "images" / f"{number:06}.jpg"  # the content tells the type
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
        names[link.stem] = path
    # So that there is something to pack when every file is refused.
    (links / "none").mkdir()
    Image.new("RGB", (8, 8)).save(links / "none" / "sentinel.jpg")
    packed, unpacked = scratch / "packed", scratch / "unpacked"
    for command in (["pack", "--source", "folder", "--input", links, "--output", packed, "--split", "val", "--resize", "0", "--on-bad", "skip"],
                    ["unpack", packed, "--output", unpacked]):
        done = subprocess.run([engine, *map(str, command)], capture_output=True, text=True)
        if done.returncode not in (0, 3):  # 3: some images were left out
            fail(f"{done.stdout}{done.stderr}\nfailed: {engine} {' '.join(map(str, command))}")
    found = {}
    bad = packed / "bad_images.jsonl"
    for line in bad.read_text().splitlines() if bad.exists() else []:
        entry = json.loads(line)
        found[names[pathlib.Path(entry["path"]).stem]] = entry["error"]
    with open(unpacked / "index.csv", newline="") as index:
        for row in csv.DictReader(index):
            stem = pathlib.Path(row["path"]).stem
            if stem in names:
                found[names[stem]] = unpacked / row["path"]
    missing = [p for p in paths if p not in found]
    if missing:
        fail(f"neither packed nor listed as bad: {missing[:5]}")
    return found


def compare(path, ours):
    """None, or (side that refuses or "pixels", what is said)."""
    theirs = by_pillow(path)
    if isinstance(ours, str) and isinstance(theirs, str):
        return None
    if isinstance(ours, str):
        return "ours", ours
    if isinstance(theirs, str):
        return "pillow", theirs
    with Image.open(ours) as image:
        pixels = numpy.asarray(image)
    if pixels.shape != theirs.shape:
        return "pixels", f"{pixels.shape[1]}x{pixels.shape[0]} against {theirs.shape[1]}x{theirs.shape[0]}"
    apart = numpy.abs(pixels.astype(int) - theirs)
    if apart.any():
        return "pixels", f"{numpy.count_nonzero(apart)} of {apart.size} values differ, by up to {apart.max()}"
    return None


SIDES = {"ours": "refused here, decoded by Pillow", "pillow": "decoded here, refused by Pillow", "pixels": "other pixels"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", help="the imagenet-engine binary")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--scratch", type=pathlib.Path, help="parent of the temporary folder")
    parser.add_argument("--all", action="store_true", help="list explained disagreements too")
    a = parser.parse_args()
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None
    paths = sorted(p for folder in a.folders for p in folder.rglob("*") if p.suffix.lower() in NAMES and p.is_file())
    if not paths:
        fail("no image in these folders")
    kinds, unexplained = collections.Counter(), 0
    with tempfile.TemporaryDirectory(dir=a.scratch) as scratch:
        found = by_engine(a.engine, paths, pathlib.Path(scratch))
        decoded = sum(not isinstance(v, str) for v in found.values())
        for path in paths:
            difference = compare(path, found[path])
            if difference is None:
                continue
            side, said = difference
            kind = next((k for s, pattern, k in EXPLAINED if s == side and re.search(pattern, said)), None)
            kinds[f"{SIDES[side]}: {kind or 'UNEXPLAINED'}"] += 1
            unexplained += kind is None
            if kind is None or a.all:
                print(f"{path}\n    {SIDES[side]} ({kind or 'UNEXPLAINED'}): {said}")
    print(f"{len(paths)} files, {decoded} decoded here; Pillow {PIL.__version__}")
    for kind, count in sorted(kinds.items()):
        print(f"{count:6} {kind}")
    print(f"{unexplained} unexplained disagreements")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
