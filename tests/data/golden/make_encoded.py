"""Makes encoded.json: the SHA-256 of the JPEG files that Pillow makes of images of this folder.

Pillow 13.0.0 (libjpeg-turbo 3.2.0). Run in this folder: python make_encoded.py

Each entry: `input`, a file here or the name of an entry of formats.json; `quality`; `sha256` of Image.save(quality=...), 4:2:0, and 4:4:4 at
quality 100.
"""

import hashlib
import io
import json

from PIL import Image

FILES = ["rgb.png", "rgba.png", "palette4.png", "bits1.png", "gray16.png", "yuv422.jpg", "cmyk.jpg", "rotated.jpg"]
ENTRIES = ["webp lossy 1x1 at 75", "webp lossy 2x3 at 75", "webp lossy 5x4 at 100", "webp lossless 17x16", "webp lossy 33x21 at 75",
           "webp animated", "png type 2 depth 8", "png type 6 depth 8 interlaced", "png type 0 depth 4"]

formats = {e["name"]: bytes.fromhex(e["file"]) for e in json.load(open("formats.json"))["entries"]}
made = []
for name in FILES + ENTRIES:
    image = Image.open(io.BytesIO(formats[name]) if name in formats else name).convert("RGB")
    image = Image.frombytes("RGB", image.size, image.tobytes())  # without its resolution and comment
    for quality in (1, 30, 75, 90, 98, 100):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality, subsampling=0 if quality == 100 else 2)
        made.append({"input": name, "quality": quality, "sha256": hashlib.sha256(out.getvalue()).hexdigest()})
with open("encoded.json", "w") as out:
    json.dump(made, out, separators=(",", ":"))
