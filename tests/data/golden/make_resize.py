"""Writes resize.json: SHA-256 (the first eight digits) of what Pillow's Image.resize makes of images that both sides make by a formula.

    python tests/data/golden/make_resize.py        (made with Pillow 13.0.0)

A case is [number, width, height, to_width, to_height, box or null, bilinear, bicubic, lanczos]. Byte i of image `number` is byte i % 8 of
splitmix64's finaliser of (number << 32) + i / 8; where the number is odd only its highest bit counts: black or white, so that sharp
filters overshoot.
"""
import hashlib
import json
import pathlib
import random

import numpy as np
import PIL
from PIL import Image

FILTERS = (Image.BILINEAR, Image.BICUBIC, Image.LANCZOS)


def image(number, width, height):
    count = 3 * width * height
    with np.errstate(over="ignore"):
        z = np.arange((count + 7) // 8, dtype=np.uint64) + np.uint64(number << 32) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    pixels = z.astype("<u8").view(np.uint8)[:count]
    if number % 2:
        pixels = np.where(pixels >= 128, 255, 0).astype(np.uint8)
    return Image.fromarray(pixels.reshape(height, width, 3), "RGB")


def cases():
    r = random.Random(13)
    side = lambda: round(2 ** r.uniform(0, 8))
    for number in range(500):  # sizes, whole images
        w, h, tw, th = side(), side(), side(), side()
        if number % 10 == 0:
            w, h = 1, h
        elif number % 10 == 1:
            w, h = r.choice([(1, 1), (2, 3), (3, 1)])
        elif number % 10 == 2:
            w, h = r.choice([(1500, 3), (2, 1700), (1201, 5)])
        elif number % 10 == 3:
            tw, th = r.choice([(w, th), (tw, h), (w, h), (1, 1), (w + 1, h), (max(1, w - 1), h)])
        elif number % 10 == 4:
            w, h = r.choice([(500, 375), (375, 500), (640, 427)])
            short = r.choice([256, 232, 224, 128])
            tw, th = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
        yield number, w, h, tw, th, None
    for number in range(500, 700):  # boxes
        w, h, tw, th = side() + 1, side() + 1, side(), side()
        left, top = r.uniform(0, w - 0.5), r.uniform(0, h - 0.5)
        box = [left, top, r.uniform(left + 0.3, w), r.uniform(top + 0.3, h)]
        if number % 3 == 0:
            box = [int(left), int(top), r.randint(int(left) + 1, w), r.randint(int(top) + 1, h)]
            if number % 2:
                tw, th = box[2] - box[0], box[3] - box[1]
        elif number % 3 == 1:
            box = [round(v, 1) for v in box]
        if box[0] < box[2] and box[1] < box[3]:
            yield number, w, h, tw, th, box


def main():
    lines = []
    for number, w, h, tw, th, box in cases():
        made = (image(number, w, h).resize((tw, th), f, box=box).tobytes() for f in FILTERS)
        lines.append(json.dumps([number, w, h, tw, th, box] + [hashlib.sha256(m).hexdigest()[:8] for m in made], separators=(",", ":")))
    text = '{"pillow": "%s", "cases": [\n%s\n]}\n' % (PIL.__version__, ",\n".join(lines))
    pathlib.Path(__file__).with_name("resize.json").write_text(text)


if __name__ == "__main__":
    main()
