"""What `imagenet-engine pack --resize 256` competes with: Pillow decoding and resizing the same images on one core.

    python benches/rivals/pillow_pack.py FOLDER [--resize 256] [--quality Q [--max-side N]] [--copy] [--by opencv] [--repeat 5]

Prints JSON: images per second of decode + convert("RGB") + BILINEAR resize of the short side, by process time. With --quality the
images are encoded as JPEG instead (4:2:0), those above --max-side made smaller before; with --copy they are decoded, so that damage
is found, and their bytes are kept. Pillow or Pillow-SIMD, whichever is installed; --by opencv decodes and encodes by simplejpeg
(libjpeg-turbo, its exact DCT and upsampling, as ours and Pillow's) and resizes by OpenCV, without antialiasing.
"""
import argparse
import io
import json
import pathlib
import statistics
import time

import PIL
from PIL import Image


def one_by_opencv(path, a):
    import cv2
    import simplejpeg

    image = simplejpeg.decode_jpeg(path.read_bytes(), "RGB", fastdct=False, fastupsample=False)
    h, w = image.shape[:2]
    if a.quality:
        longest = max(w, h)
        if a.max_side and longest > a.max_side:
            image = cv2.resize(image, (max(1, w * a.max_side // longest), max(1, h * a.max_side // longest)))
        return simplejpeg.encode_jpeg(image, quality=a.quality, colorspace="RGB", colorsubsampling="420", fastdct=False)
    side = a.resize
    return cv2.resize(image, (side, int(side * h / w)) if w <= h else (int(side * w / h), side)).tobytes()


def one(path, a):
    if a.by == "opencv":
        return one_by_opencv(path, a)
    if a.copy:
        data = path.read_bytes()
        Image.open(io.BytesIO(data)).load()
        return data
    image = Image.open(path).convert("RGB")
    w, h = image.size
    if a.quality:
        longest = max(w, h)
        if a.max_side and longest > a.max_side:
            image = image.resize((max(1, w * a.max_side // longest), max(1, h * a.max_side // longest)), Image.BILINEAR)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=a.quality)
        return out.getvalue()
    side = a.resize
    size = (side, int(side * h / w)) if w <= h else (int(side * w / h), side)
    return image.resize(size, Image.BILINEAR).tobytes()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--resize", type=int, default=256)
    p.add_argument("--quality", type=int)
    p.add_argument("--max-side", type=int)
    p.add_argument("--copy", action="store_true")
    p.add_argument("--by", choices=("pillow", "opencv"), default="pillow")
    p.add_argument("--repeat", type=int, default=5)
    a = p.parse_args()
    paths = sorted(f for f in pathlib.Path(a.folder).rglob("*") if f.suffix.lower() in (".jpeg", ".jpg", ".png"))
    for path in paths:  # warm the page cache
        one(path, a)
    rates = []
    for _ in range(a.repeat):
        start = time.process_time()
        for path in paths:
            one(path, a)
        rates.append(len(paths) / (time.process_time() - start))
    print(json.dumps({"images_per_s_per_core": round(statistics.median(rates), 1), "min": round(min(rates), 1), "max": round(max(rates), 1),
                      "images": len(paths), "by": a.by, "pillow": PIL.__version__}))


if __name__ == "__main__":
    main()
