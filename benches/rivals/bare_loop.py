"""The least that a loader in Python can do: one loop without a loader around it, over the strongest libraries.

    python benches/rivals/bare_loop.py FOLDER --by pillow|opencv [--from raw|jpeg] [--crop-size 224] [--repeat 3]

raw: the images lie in memory, decoded and resized to a short side of 256 before the clock starts. jpeg: the files are read and decoded, by
Pillow or by simplejpeg (libjpeg-turbo). Then a random resized crop, a flip and normalisation to f32 into a batch's place. Pillow resizes with
antialiasing (pillow-simd: by AVX2 where it was built with CC="cc -mavx2"), OpenCV's INTER_LINEAR without. Nothing is checked, shuffled or
copied to a batch more than once. Prints JSON.
"""
import math
import pathlib
import random

import numpy as np

from measure import MEAN, STD, flags, tell



def rectangle(width, height, r):
    """torchvision's RandomResizedCrop.get_params."""
    for _ in range(10):
        area, ratio = width * height * r.uniform(0.08, 1), math.exp(r.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return r.randint(0, width - w), r.randint(0, height - h), w, h
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def parser():
    p = flags(decode_only=False, workers=False)
    p.add_argument("--by", choices=("pillow", "opencv"), default="pillow")
    p.add_argument("--from", dest="source", choices=("raw", "jpeg"), default="raw")
    return p


def by_pillow(a):
    """Versions, what makes an item of a path, and what makes pixels of an item and a generator of random numbers."""
    import io

    import PIL
    from PIL import Image

    def read(path):
        return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")

    def stored(path):
        image = read(path)
        w, h = image.size
        image = image.resize((256, int(256 * h / w)) if w <= h else (int(256 * w / h), 256), Image.BILINEAR)
        return image.size, image.tobytes()

    def cropped(item, r):
        image = Image.frombuffer("RGB", item[0], item[1], "raw", "RGB", 0, 1) if a.source == "raw" else read(item)
        x, y, w, h = rectangle(*image.size, r)
        image = image.resize((a.crop_size, a.crop_size), Image.BILINEAR, box=(x, y, x + w, y + h))
        return np.asarray(image.transpose(Image.FLIP_LEFT_RIGHT) if r.random() < 0.5 else image)

    return {"pillow": PIL.__version__}, stored, cropped


def by_opencv(a):
    """The same."""
    import cv2
    import simplejpeg
    cv2.setNumThreads(1)

    def read(path):
        return simplejpeg.decode_jpeg(path.read_bytes(), "RGB")

    def stored(path):
        image = read(path)
        h, w = image.shape[:2]
        return cv2.resize(image, (256, int(256 * h / w)) if w <= h else (int(256 * w / h), 256), interpolation=cv2.INTER_AREA)

    def cropped(item, r):
        image = item if a.source == "raw" else read(item)
        x, y, w, h = rectangle(image.shape[1], image.shape[0], r)
        image = cv2.resize(image[y:y + h, x:x + w], (a.crop_size, a.crop_size), interpolation=cv2.INTER_LINEAR)
        return cv2.flip(image, 1) if r.random() < 0.5 else image

    return {"opencv": cv2.__version__, "simplejpeg": simplejpeg.__version__}, stored, cropped


def work(a):
    """Versions, the items, and what writes the input made of an item and a generator of random numbers to its place."""
    versions, stored, cropped = (by_pillow if a.by == "pillow" else by_opencv)(a)
    paths = sorted(f for f in pathlib.Path(a.folder).rglob("*") if f.suffix.lower() in (".jpeg", ".jpg"))
    items = [stored(path) for path in paths] if a.source == "raw" else paths
    # whole rows at a time: numpy is slow where the innermost axis is three long
    size = a.crop_size
    scale = np.tile(np.float32([1 / (255 * s) for s in STD]), size)
    shift = np.tile(np.float32([-m / s for m, s in zip(MEAN, STD)]), size)

    def write(item, r, place):
        np.copyto(place, cropped(item, r).reshape(size, 3 * size))
        place *= scale
        place += shift

    return versions, items, write


def main():
    a = parser().parse_args()
    versions, items, write = work(a)
    batch = np.empty((a.batch_size, a.crop_size, 3 * a.crop_size), np.float32)

    def an_epoch():
        random.shuffle(items)
        for i, item in enumerate(items):
            write(item, random, batch[i % a.batch_size])
        return len(items)

    tell(an_epoch, a.repeat, what=f"{a.source} to f32 by {a.by}", **versions)


if __name__ == "__main__":
    main()
