"""Makes jpeg/: JPEGs of every form that libjpeg decodes, and changes of them, with what Pillow makes of each.

Pillow 13.0.0 with libjpeg-turbo 3.2.0, numpy 2.4; cjpeg and djpeg of libjpeg-turbo 3.2.0. Run in this folder: python make_jpeg.py

jpeg/NAME.jpg        the inputs
jpeg/expected.txt    NAME, width x height, SHA-256 of Image.open(NAME).convert("RGB"); or NAME, refused
jpeg/changes.txt     NAME, offset, bytes taken out, bytes put in (hexadecimal), the first 16 digits of the SHA-256; or refused

A change that Pillow decodes although libjpeg warns of damage is left out (djpeg ends with 2 then), and so is one that only the part of
Pillow written in Python refuses (for its metadata).
"""

import hashlib
import io
import os
import struct
import subprocess
import warnings

import numpy as np
from PIL import Image

warnings.simplefilter("ignore")
os.makedirs("jpeg", exist_ok=True)


def scene(w, h, seed=0):
    y, x = np.mgrid[0:h, 0:w]
    r = np.random.default_rng(seed)
    a = np.stack([128 + 100 * np.sin(x / 9.0 + seed), 255.0 * y / h, 128 + 90 * np.cos((x + y) / 13.0)], -1)
    a[(x - w * 0.6) ** 2 + (y - h * 0.4) ** 2 < (h * 0.22) ** 2] = [200, 30, 60]
    return np.clip(a + r.normal(0, 4, a.shape), 0, 255).astype(np.uint8)


def cjpeg(w, h, *args, quality=70, scans=None):
    ppm = io.BytesIO()
    Image.fromarray(scene(w, h)).save(ppm, "PPM")
    args = ["cjpeg", "-quality", str(quality), *args]
    if scans:
        with open("scans.tmp", "w") as f:
            f.write(scans)
        args += ["-scans", "scans.tmp"]
    return subprocess.run(args, input=ppm.getvalue(), capture_output=True, check=True).stdout


def markers(b):
    """Code and offset of each, to the end of the image."""
    i = 2
    while True:
        if b[i] != 0xFF or b[i + 1] in (0, 0xFF):
            i += 1
            continue
        m = b[i + 1]
        yield m, i
        if m == 0xD9:
            return
        i += 2 if 0xD0 <= m <= 0xD7 else 2 + struct.unpack(">H", b[i + 2 : i + 4])[0]


def length(b, i):
    return 2 + struct.unpack(">H", b[i + 2 : i + 4])[0]


def cut(b, scans):
    """With the first so many scans."""
    at = [i for m, i in markers(b) if m == 0xDA][scans]
    return b[:at] + b"\xff\xd9"


def without(b, code):
    out = b
    for m, i in reversed(list(markers(b))):
        if m == code:
            out = out[:i] + out[i + length(b, i) :]
    return out


def ids(b, of):
    b = bytearray(b)
    for m, i in markers(bytes(b)):
        for k, v in enumerate(of):
            if m in (0xC0, 0xC1, 0xC2):
                b[i + 10 + 3 * k] = v
            if m == 0xDA:
                b[i + 5 + 2 * k] = v
    return bytes(b)


DEEP = "0 1 2: 0-0,0,3;0: 1-2,0,2;0: 3-9,0,4;1: 1-63,0,1;2: 1-63,0,2;0 1 2: 0-0,3,2;0: 10-63,0,2;0: 1-2,2,1;0 1 2: 0-0,2,1;0: 1-2,1,0;0: 3-9,4,3;1: 1-63,1,0;"
forms = {
    "baseline": cjpeg(33, 40),
    "progressive": cjpeg(33, 40, "-progressive"),
    "arithmetic": cjpeg(45, 40, "-arithmetic"),
    "arithmetic_restarts": cjpeg(33, 40, "-arithmetic", "-restart", "2B"),
    "arithmetic_progressive": cjpeg(45, 40, "-arithmetic", "-progressive"),
    "arithmetic_gray": cjpeg(33, 40, "-arithmetic", "-grayscale"),
    "arithmetic_scans": cjpeg(33, 40, "-arithmetic", scans="0;1;2;"),
    "scans": cjpeg(33, 40, scans="0 1;2;"),
    "plain": cjpeg(33, 24, "-sample", "1x1"),
}
forms["scans_one_of_two"] = cut(forms["scans"], 1)
forms["no_tables"] = without(forms["baseline"], 0xC4)
forms["no_tables_progressive"] = without(forms["progressive"], 0xC4)
forms["dac"] = forms["baseline"][:2] + b"\xff\xcc\0\4\0\x10" + forms["baseline"][2:]
for sample in ("2x2", "1x1", "4x2", "1x2", "2x4", "1x4"):
    for k in (1, 3, 6, 9):
        forms[f"cut_{sample}_{k}"] = cut(cjpeg(45, 41, "-sample", sample, quality=60, scans=DEEP), k)
forms["cut_arithmetic"] = cut(cjpeg(101, 70, "-arithmetic", "-progressive"), 2)
forms["cut_wide"] = cut(cjpeg(130, 71, "-progressive", quality=85), 2)
forms["cut_gray"] = cut(cjpeg(61, 70, "-progressive", "-grayscale"), 2)
forms["cut_no_chroma"] = cut(cjpeg(33, 40, scans="0: 0-0,0,0;1: 0-0,0,0;2: 0-0,0,0;0: 1-63,0,0;1: 1-63,0,0;2: 1-63,0,0;"), 1)
for sample in ("4x1", "2x2,1x1,2x1", "1x1,2x2,1x1", "3x1", "2x2,2x1,1x2"):
    forms["sample_" + sample.replace(",", "_")] = cjpeg(45, 41, "-sample", sample)
forms["sample_4x4"] = cjpeg(45, 41, "-sample", "4x4", scans="0;1;2;")
for name, of in (("000", b"\0\0\0"), ("111", b"\1\1\1"), ("122", b"\1\2\2"), ("RGB", b"RGB"), ("012", b"\0\1\2")):
    forms["ids_" + name] = ids(without(forms["baseline"], 0xE0), of)
cmyk = io.BytesIO()
Image.fromarray(scene(33, 24)).convert("CMYK").save(cmyk, "JPEG", quality=80)
forms["ids_cmyk"] = ids(cmyk.getvalue(), b"\1\2\2\1")
wide = bytearray(forms["plain"])  # a table of 16 bits, with values that leave the range of the inverse DCT
at = next(i for m, i in markers(bytes(wide)) if m == 0xDB)
forms["quant_16"] = bytes(wide[:at]) + b"\xff\xdb\0\x83\x10" + struct.pack(">64H", *range(900, 64900, 1000)) + bytes(wide[at + length(wide, at) :])
os.path.exists("scans.tmp") and os.remove("scans.tmp")


def pillow(b):
    """Size and pixels, or None."""
    try:
        im = Image.open(io.BytesIO(b), formats=["JPEG"]).convert("RGB")
        return im.size, hashlib.sha256(im.tobytes()).hexdigest()
    except Exception:
        return None


def libjpeg(b):
    """0, 1 for an error, 2 for a warning."""
    return subprocess.run(["djpeg", "-outfile", os.devnull], input=b, capture_output=True).returncode


with open("jpeg/expected.txt", "w") as f:
    for name, b in sorted(forms.items()):
        with open(f"jpeg/{name}.jpg", "wb") as out:
            out.write(b)
        made = pillow(b)
        assert made is None or libjpeg(b) == 0, name
        f.write(f"{name} {made[0][0]}x{made[0][1]} {made[1]}\n" if made else f"{name} refused\n")

changes = []


def change(name, at, take, put):
    changes.append((name, at, take, put))


for name in ("baseline", "progressive", "arithmetic"):
    b = forms[name]
    all_ = list(markers(b))
    sof = next(i for m, i in all_ if m in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
    sos = next(i for m, i in all_ if m == 0xDA)
    end = all_[-1][1]
    for m in range(1, 255):
        if m in (1, 2, 0x4F, 0xBF) or m >= 0xC0:
            change(name, end, 0, bytes([0xFF, m, 0, 2]))
            if name == "baseline":
                change(name, sof, 0, bytes([0xFF, m]))
    for m in (0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xFE, 0xDC) if name == "baseline" else ():
        for n in (0, 1, 3, 4, 5):
            change(name, sos, 0, bytes([0xFF, m, 0, n] + [0] * max(0, n - 2)))
    for m, i in all_[:-1]:
        n = length(b, i)
        for more in (1, 2, 17, 65):  # longer and shorter, with the bytes
            change(name, i + 2, n - 2, struct.pack(">H", n - 2 + more) + b[i + 4 : i + n] + bytes(more))
        for less in (1, 2, 3):
            change(name, i + 2, n - 2, struct.pack(">H", n - 2 - less) + b[i + 4 : i + n - less])
        change(name, i, n, b"")
        change(name, i, 0, b[i : i + n])
        if m in (0xC0, 0xC2, 0xC9, 0xDA):
            for k in range(4, n):
                for v in (0, 1, 2, 0x12, 0x31, 0x10, 63, 255):
                    change(name, i + k, 1, bytes([v]))
        if m == 0xC4:
            for v in (0, 2, 3, 4, 0x10, 0x12, 0x20, 0x30):
                change(name, i + 4, 1, bytes([v]))
at = [i for m, i in markers(forms["progressive"]) if m == 0xDA]
for i in (at[0], at[-1]):
    end = i + length(forms["progressive"], i)
    for ss, se in ((0, 0), (0, 1), (1, 0), (1, 63), (1, 64), (5, 63)):
        for bits in range(0, 256, 11):
            change("progressive", end - 3, 3, bytes([ss, se, bits]))
plain = without(forms["plain"], 0xE0)
forms["bare"] = plain
with open("jpeg/bare.jpg", "wb") as out:
    out.write(plain)


def segment(code, payload):
    return bytes([0xFF, code]) + struct.pack(">H", len(payload) + 2) + payload


jfif, adobe = b"JFIF\0\1\1\0\0\1\0\1\0\0\0\0", b"Adobe\0\x64\0\0\0\0"
for j in (None, 7, 8, 12, 13, 14, 16):
    for a in (None, 7, 11, b"\0", b"\1", b"\2", b"\0\0"):
        put = b"" if j is None else segment(0xE0, jfif[:j])
        put += b"" if a is None else segment(0xEE, adobe[:a] if isinstance(a, int) else adobe + a)
        change("bare", 2, 0, put)
        if a == b"\0":
            change("bare", len(plain) - 2, 0, put)

kept = []
for name, at, take, put in changes:
    b = forms[name][:at] + put + forms[name][at + take :]
    made, lib = pillow(b), libjpeg(b)
    if made and lib == 0:
        kept.append((name, at, take, put.hex() or "-", made[1][:16]))
    elif not made and lib == 1:
        kept.append((name, at, take, put.hex() or "-", "refused"))
with open("jpeg/changes.txt", "w") as f:
    for name, at, take, put, result in dict.fromkeys(kept):
        f.write(f"{name} {at} {take} {put} {result}\n")
