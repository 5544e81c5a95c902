"""Makes formats.json: small PNG and WebP files, and what Pillow makes of them.

Pillow 13.0.0 (libwebp 1.6.0), numpy 2.4. Run in this folder: python make_formats.py

Each entry: `name`; `file`, the bytes in hexadecimal; `size` and `pixels`, the SHA-256 of convert("RGB"), both null where Pillow refuses;
`apart`, where `decode` knowingly does otherwise, the kind of docs/sources.md ("Where pack and Pillow part").
"""

import hashlib
import io
import itertools
import json
import struct
import warnings
import zlib

import numpy as np
from PIL import Image

warnings.simplefilter("ignore")
rng = np.random.default_rng(11)
entries = []


def entry(name, data, apart=None):
    try:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        found = {"size": image.size, "pixels": hashlib.sha256(image.tobytes()).hexdigest()}
    except Exception:
        found = {"size": None, "pixels": None}
    entries.append({"name": name, "file": data.hex(), **found, **({"apart": apart} if apart else {})})


# PNG, chunk by chunk.
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name, data=b"", crc=None):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) if crc is None else crc)


def ihdr(w, h, depth, color, compression=0, filters=0, interlaced=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, color, compression, filters, interlaced))


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def lines(values, depth):
    """Lines of samples, packed, each behind a filter of its own kind (0 to 4 in turn)."""
    out, before, bpp = b"", None, max(1, values.shape[2] * depth // 8)
    for y, line in enumerate(values):
        flat = line.reshape(-1)
        if depth == 16:
            raw = flat.astype(">u2").tobytes()
        else:
            bits = "".join(f"{int(v):0{depth}b}" for v in flat)
            bits += "0" * (-len(bits) % 8)
            raw = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        before = before or bytes(len(raw))
        kind, made = y % 5, bytearray()
        for i, x in enumerate(raw):
            a, b, c = raw[i - bpp] if i >= bpp else 0, before[i], before[i - bpp] if i >= bpp else 0
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            made.append((x - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
        out += bytes([kind]) + bytes(made)
        before = raw
    return out


PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def scanlines(values, depth, interlaced):
    if not interlaced:
        return lines(values, depth)
    parts = [values[y::dy, x::dx] for x, y, dx, dy in PASSES]
    return b"".join(lines(p, depth) for p in parts if p.size)


for (color, depths), interlaced in itertools.product({0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items(), (0, 1)):
    for depth in depths:
        w, h = (13, 7) if depth < 8 else (6, 5)
        values = rng.integers(0, min(2 ** depth, 600), (h, w, CHANNELS[color]))
        values[0, 0, 0] = 2 ** depth - 1 if color != 3 else 0
        data = chunk(b"IDAT", zlib.compress(scanlines(values, depth, interlaced)))
        head = SIGNATURE + ihdr(w, h, depth, color, interlaced=interlaced)
        name = f"png type {color} depth {depth}" + " interlaced" * interlaced
        if color == 3:
            colors = chunk(b"PLTE", rng.integers(0, 256, 3 * min(2 ** depth, 40), dtype=np.uint8).tobytes())  # fewer than indices: black
            entry(name, head + colors + data + chunk(b"IEND"))
            entry(name + " tRNS", head + colors + chunk(b"tRNS", b"\x00\x80") + data + chunk(b"IEND"))
        else:
            entry(name, head + data + chunk(b"IEND"))
            if color in (0, 2):
                clear = struct.pack(f">{CHANNELS[color]}H", *values[1, 1])
                entry(name + " tRNS", head + chunk(b"tRNS", clear) + data + chunk(b"IEND"))

GRAY = ihdr(4, 2, 8, 0)
ROWS = b"\x00\x01\x02\x03\x04" + b"\x00\x05\x06\x07\x08"
Z = zlib.compress(ROWS)
IDAT, END = chunk(b"IDAT", Z), chunk(b"IEND")
INDEXED = ihdr(4, 1, 8, 3)
INDICES = chunk(b"IDAT", zlib.compress(b"\x00\x00\x01\x02\xff"))
FRAME = struct.pack(">IIIIIHHBB", 0, 4, 2, 0, 0, 1, 10, 0, 0)


def second(sequence):
    return struct.pack(">I", sequence)


def png(name, *chunks, apart=None):
    entry("png " + name, SIGNATURE + b"".join(chunks), apart)


ANCILLARY, CHECKSUM, CUT, HEADER, PALETTE, ROWS_MISSING = (
    "png: ancillary chunk", "png: checksum", "png: cut", "png: header", "png: palette", "png: rows missing")
png("plain", GRAY, IDAT, END)
for name, data in [(b"cICP", b"\x01\x0d\x09\x01"), (b"cICP", b"x"), (b"iCCP", b"x\0\0no zlib"), (b"sBIT", b"\xff"), (b"bKGD", b""), (b"hIST", b"1"),
                   (b"tEXt", b"\0"), (b"zTXt", b"key\0\0bad"), (b"iTXt", b"a"), (b"eXIf", b"not tiff"), (b"tIME", b"\xff"), (b"mDCV", b"1"),
                   (b"acTL", b"\0\0\0\0\0\0\0\0"), (b"acTL", b"\0\0\0\x09\0\0\0\0"), (b"sPLT", b""), (b"vpAg", b""), (b"cLLI", b"1"), (b"oFFs", b"")]:
    png(f"bad {name.decode()} of {len(data)} bytes", GRAY, chunk(name, data), IDAT, END)
for name, data in [(b"gAMA", b"xx"), (b"cHRM", b"x"), (b"sRGB", b""), (b"pHYs", b"1234"), (b"tRNS", b"x"), (b"iCCP", b""), (b"iCCP", b"x\0\x01yy"),
                   (b"acTL", b"1"), (b"fcTL", b"1"), (b"fcTL", second(7) + FRAME[4:]), (b"fcTL", FRAME[:4] + struct.pack(">I", 9) + FRAME[8:]),
                   (b"zTXt", b"key\0\x07bad")]:
    png(f"refused by Pillow: bad {name.decode()} of {len(data)} bytes", GRAY, chunk(name, data), IDAT, END, apart=ANCILLARY)
png("short gAMA after the image data", GRAY, IDAT, chunk(b"gAMA", b"x"), END, apart=ANCILLARY)
ACTL = chunk(b"acTL", b"\0\0\0\x02\0\0\0\0")
for name, numbers in [("right", (1, 2)), ("a gap", (1, 3)), ("twice the same", (1, 1)), ("backwards", (2, 1)), ("from 0 again", (0, 1))]:
    a, b = numbers
    png(f"animation, sequence {name}", GRAY, ACTL, chunk(b"fcTL", FRAME), IDAT, chunk(b"fcTL", second(a) + FRAME[4:]),
        chunk(b"fdAT", second(b) + Z), END)
png("animation without frames", GRAY, ACTL, IDAT, END)
png("animation, still image apart", GRAY, ACTL, IDAT, chunk(b"fcTL", FRAME), chunk(b"fdAT", second(1) + zlib.compress(ROWS[::-1])), END)
png("wrong Adler-32", GRAY, chunk(b"IDAT", Z[:-1] + bytes([Z[-1] ^ 1])), END)
png("wrong Adler-32 in a chunk of its own", GRAY, chunk(b"IDAT", Z[:-4]), chunk(b"IDAT", b"1234"), END, apart=CHECKSUM)
png("damaged deflate", GRAY, chunk(b"IDAT", Z[:3] + b"\xff\xff" + Z[5:]), END)
png("damaged zlib header", GRAY, chunk(b"IDAT", b"\x00" + Z[1:]), END)
png("deflate cut", GRAY, chunk(b"IDAT", Z[:7]), END)
png("impossible filter", GRAY, chunk(b"IDAT", zlib.compress(b"\x07" + ROWS[1:])), END)
png("half a row", GRAY, chunk(b"IDAT", zlib.compress(ROWS[:7])), END)
png("a row too few", GRAY, chunk(b"IDAT", zlib.compress(ROWS[:5])), END, apart=ROWS_MISSING)
png("a row too many", GRAY, chunk(b"IDAT", zlib.compress(ROWS + ROWS)), END)
png("bytes after the zlib stream", GRAY, chunk(b"IDAT", Z + b"more"), END)
png("wrong CRC of IHDR", GRAY[:-1] + b"?", IDAT, END)
png("wrong CRC of PLTE", INDEXED, chunk(b"PLTE", b"abcdefghi", 1), INDICES, END)
png("wrong CRC of IDAT", GRAY, chunk(b"IDAT", Z, 1), END, apart=CHECKSUM)
png("wrong CRC of IEND", GRAY, IDAT, chunk(b"IEND", b"", 1), apart=CHECKSUM)
png("wrong CRC of text before", GRAY, chunk(b"tEXt", b"a\0b", 1), IDAT, END)
png("wrong CRC of text after", GRAY, IDAT, chunk(b"tEXt", b"a\0b", 1), END)
png("no IEND", GRAY, IDAT, apart=CUT)
png("cut in the last CRC of IDAT", GRAY, IDAT[:-2], apart=CUT)
png("cut in IDAT", GRAY, IDAT[:-8], apart=CUT)
png("cut in text after", GRAY, IDAT, chunk(b"tEXt", b"a\0bcdef")[:-8])
png("zeros for a chunk after", GRAY, IDAT, b"\0" * 12, END, apart=CUT)
png("garbage for a chunk before", GRAY, chunk(b"a-cD"), IDAT, END)
png("image data in pieces", GRAY, chunk(b"IDAT", Z[:5]), chunk(b"IDAT"), chunk(b"IDAT", Z[5:]), END)
png("image data around text", GRAY, chunk(b"IDAT", Z[:5]), chunk(b"tEXt", b"a\0b"), chunk(b"IDAT", Z[5:]), END)
png("image data twice", GRAY, IDAT, chunk(b"tEXt", b"a\0b"), chunk(b"IDAT", zlib.compress(ROWS[::-1])), END)
png("no image data", GRAY, END)
png("unknown critical chunk", GRAY, chunk(b"ABCD"), IDAT, END)
png("gAMA before IHDR", chunk(b"gAMA", b"1234"), GRAY, IDAT, END)
png("two headers", ihdr(2, 2, 8, 0), GRAY, IDAT, END, apart=HEADER)
png("a header of 14 bytes", chunk(b"IHDR", GRAY[8:21] + b"x"), IDAT, END, apart=HEADER)
png("compression method 1", ihdr(4, 2, 8, 0, compression=1), IDAT, END, apart=HEADER)
png("filter method 1", ihdr(4, 2, 8, 0, filters=1), IDAT, END)
png("interlace method 2", ihdr(4, 2, 8, 0, interlaced=2), IDAT, END)
png("depth 3", ihdr(4, 2, 3, 0), IDAT, END)
png("palette of 16 bits", ihdr(4, 2, 16, 3), IDAT, END)
png("no width", ihdr(0, 2, 8, 0), IDAT, END)
png("palette beside gray", GRAY, chunk(b"PLTE", b"x"), IDAT, END)
png("palette of two colours", INDEXED, chunk(b"PLTE", b"abcdef"), INDICES, END)
png("two palettes", INDEXED, chunk(b"PLTE", b"abcdef"), chunk(b"PLTE", b"ghijklmno"), INDICES, END)
png("no palette", INDEXED, INDICES, END, apart=PALETTE)
png("palette of 5 bytes", INDEXED, chunk(b"PLTE", b"abcde"), INDICES, END, apart=PALETTE)
png("palette of 257 colours", INDEXED, chunk(b"PLTE", b"abc" * 257), INDICES, END)


# WebP, by libwebp's encoder.
def scene(w, h):
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([128 + 100 * np.sin(x / 5.0), 255.0 * y / h, 128 + 90 * np.cos((x + y) / 7.0)], -1)
    a[(x - w * 0.6) ** 2 + (y - h * 0.4) ** 2 < (h * 0.3) ** 2] = [200, 30, 60]
    return Image.fromarray(np.clip(a + rng.normal(0, 4, a.shape), 0, 255).astype(np.uint8))


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, "WEBP", **options)
    return out.getvalue()


def webp(name, data, apart=None):
    entry("webp " + name, data, apart)


def riff(*chunks):
    body = b"WEBP" + b"".join(n + struct.pack("<I", len(d)) + d + b"\0" * (len(d) % 2) for n, d in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def parts(data):
    at, found = 12, []
    while at < len(data):
        size = struct.unpack("<I", data[at + 4:at + 8])[0]
        found.append((data[at:at + 4], data[at + 8:at + 8 + size]))
        at += 8 + size + size % 2
    return found


for w, h in [(1, 1), (2, 3), (5, 4), (17, 16), (33, 21)]:
    image = scene(w, h)
    for quality in (5, 75, 100):
        webp(f"lossy {w}x{h} at {quality}", saved(image, quality=quality))
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(rng.choice(np.array([0, 0, 90, 255], dtype=np.uint8), (h, w))))
    webp(f"lossy with alpha {w}x{h}", saved(clear, quality=60))
    if w < 20:
        webp(f"lossless {w}x{h}", saved(image, lossless=True))
        webp(f"lossless with alpha {w}x{h}", saved(clear, lossless=True, exact=True))
webp("lossless palette", saved(scene(20, 16).quantize(6).convert("RGB"), lossless=True))
webp("metadata", saved(scene(9, 8), quality=50, exif=b"Exif\0\0not tiff", icc_profile=b"no profile", xmp=b"?"))
frames = [scene(24, 18) for _ in range(2)]
moving = saved(frames[0], save_all=True, append_images=frames[1:], quality=40)
webp("animated", moving)
VP8X, VP8 = parts(saved(scene(12, 10), exif=b"x"))[:2]
ANIM = (b"ANIM", b"\x10\x20\x30\xff\0\0")


def frame(x, y, w, h, bits, *inner):
    u24 = lambda n: struct.pack("<I", n)[:3]
    return b"ANMF", u24(x // 2) + u24(y // 2) + u24(w - 1) + u24(h - 1) + u24(100) + bytes([bits]) + riff(*inner)[12:]


def extended(bits, w, h):
    return b"VP8X", bytes([bits, 0, 0, 0]) + struct.pack("<I", w - 1)[:3] + struct.pack("<I", h - 1)[:3]


clear = scene(12, 10).convert("RGBA")
clear.putalpha(Image.fromarray(rng.choice(np.array([0, 128, 255], dtype=np.uint8), (10, 12))))
LOSSLESS = parts(saved(clear, lossless=True, exact=True))[0]
BLENDED = parts(saved(clear, quality=70))[1:]
for bits, name in [(0, "blended"), (2, "not blended"), (1, "cleared")]:
    webp(f"animated, first frame within the canvas, {name}", riff(extended(0x12, 20, 15), ANIM, frame(4, 2, 12, 10, bits, *BLENDED)))
    webp(f"animated, first frame within the canvas, lossless, {name}", riff(extended(0x12, 20, 15), ANIM, frame(8, 4, 12, 10, bits, LOSSLESS)))
webp("animated, frame beyond the canvas", riff(extended(2, 20, 15), ANIM, frame(10, 2, 12, 10, 0, VP8)))
webp("animated, frame of another size", riff(extended(2, 20, 15), ANIM, frame(2, 2, 11, 10, 0, VP8)))
webp("animated, no frame", riff(extended(2, 20, 15), ANIM))
webp("unknown chunks", riff(extended(0, 12, 10), (b"ABCD", b"odd"), VP8, (b"XYZ ", b"")))
webp("metadata announced and missing", riff(extended(0x2C, 12, 10), VP8))
webp("canvas of another size", riff(extended(0, 14, 10), VP8))
webp("no image", riff(extended(0, 12, 10)))
webp("damaged alpha", riff(extended(0x10, 12, 10), (b"ALPH", b"\x01\xff\xff"), VP8))
plain = riff(VP8)
webp("bytes after the end", plain + b"more")
for cut in (11, 15, 20, 27, 40, len(plain) // 2, len(plain) - 1):
    webp(f"cut to {cut} bytes", plain[:cut])
webp("image data cut", riff((VP8[0], VP8[1][: len(VP8[1]) // 2])))
webp("image data cut, lossless", riff((LOSSLESS[0], LOSSLESS[1][: len(LOSSLESS[1]) // 2])))
webp("wrong start code", riff((VP8[0], VP8[1][:3] + b"\x9e" + VP8[1][4:])))
webp("no key frame", riff((VP8[0], bytes([VP8[1][0] | 1]) + VP8[1][1:])))
webp("wrong signature, lossless", riff((LOSSLESS[0], b"\x2e" + LOSSLESS[1][1:])))

with open("formats.json", "w") as out:
    json.dump({"pillow": Image.__version__, "entries": entries}, out, separators=(",", ":"))
