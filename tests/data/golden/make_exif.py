"""Writes exif.json: EXIF blocks, whole and broken, and what Pillow says of each: the orientation that it finds, and whether it warns or
gives up while it reads the first directory.

    python tests/data/golden/make_exif.py        (made with Pillow 13.0)
"""
import io
import json
import struct
import warnings
from pathlib import Path

import PIL
from PIL import Image


def block(order, entries, data=b"", next_offset=0, first=8):
    """One directory of (tag, type, count, value or offset as 4 bytes), then `data`."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "L", first)
    table = struct.pack(order + "H", len(entries)) + b"".join(struct.pack(order + "HHL", *e[:3]) + e[3] for e in entries)
    return head + table + struct.pack(order + "L", next_offset) + data


def short(order, value):
    return struct.pack(order + "HH", value, 0)


def long(order, value):
    return struct.pack(order + "L", value)


def cases():
    for order, name in (("<", "little"), (">", "big")):
        after = 8 + 2 + 12 * 3 + 4  # where the data of three entries begins
        whole = block(order, [(0x010F, 2, 6, long(order, after)), (0x0112, 3, 1, short(order, 6)), (0x011A, 5, 1, long(order, after + 6))],
                      b"maker\0" + struct.pack(order + "LL", 72, 1))
        for length in range(len(whole) + 1):
            yield f"{name}, cut to {length}", whole[:length]
        yield f"{name}, upright", block(order, [(0x0112, 3, 1, short(order, 1))])
        yield f"{name}, no entries", block(order, [])
        yield f"{name}, a type nobody knows", block(order, [(0x9999, 99, 1 << 30, long(order, 7)), (0x0112, 3, 1, short(order, 3))])
        yield f"{name}, a value far beyond", block(order, [(0x0112, 3, 1, short(order, 8)), (0x010F, 2, 100, long(order, 5000))])
        yield f"{name}, a value of 4 GB", block(order, [(0x010F, 2, 0xFFFFFFF0, long(order, 8)), (0x0112, 3, 1, short(order, 8))])
        yield f"{name}, a directory beyond the end", block(order, [(0x0112, 3, 1, short(order, 6))], first=400)
        yield f"{name}, a count that is too large", block(order, [(0x0112, 3, 1, short(order, 6))])[:8] + struct.pack(order + "H", 900) + bytes(40)
    yield "nothing of TIFF", b"no TIFF here, only text that somebody put there"


def main():
    plain = io.BytesIO()
    Image.new("L", (1, 1)).save(plain, "JPEG")
    found = []
    for name, exif in cases():
        body = b"Exif\0\0" + exif
        jpeg = plain.getvalue()[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain.getvalue()[2:]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                orientation, broken = Image.open(io.BytesIO(jpeg)).getexif().get(0x0112), False
            except Exception:  # whatever it is, Pillow cannot read it
                orientation, broken = None, True
        found.append({"name": name, "exif": exif.hex(), "orientation": orientation, "broken": broken or bool(said)})
    made = {"made by": f"make_exif.py, Pillow {PIL.__version__}", "cases": found}
    Path(__file__).with_name("exif.json").write_text(json.dumps(made, indent=0) + "\n")


main()
