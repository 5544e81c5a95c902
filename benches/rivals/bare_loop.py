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



def rectangle(width, height, r=random):
    """torchvision's RandomResizedCrop.get_params."""
    for _ in range(10):
        area, ratio = width * height * r.uniform(0.08, 1), math.exp(r.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return r.randint(0, width - w), r.randint(0, height - h), w, h
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def main():
    p = flags(decode_only=False, workers=False)
    p.add_argument("--by", choices=("pillow", "opencv"), default="pillow")
    p.add_argument("--from", dest="source", choices=("raw", "jpeg"), default="raw")
    a = p.parse_args()
    size = a.crop_size
    paths = sorted(f for f in pathlib.Path(a.folder).rglob("*") if f.suffix.lower() in (".jpeg", ".jpg"))
    # whole rows at a time: numpy is slow where the innermost axis is three long
    batch = np.empty((a.batch_size, size, 3 * size), np.float32)
    scale = np.tile(np.float32([1 / (255 * s) for s in STD]), size)
    shift = np.tile(np.float32([-m / s for m, s in zip(MEAN, STD)]), size)

    def normalise(pixels, place):
        np.copyto(batch[place], pixels.reshape(size, 3 * size))
        batch[place] *= scale
        batch[place] += shift

    if a.by == "pillow":
        import io

        import PIL
        from PIL import Image
        versions = {"pillow": PIL.__version__}

        def read(path):
            return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")

        def stored(path):
            image = read(path)
            w, h = image.size
            image = image.resize((256, int(256 * h / w)) if w <= h else (int(256 * w / h), 256), Image.BILINEAR)
            return image.size, image.tobytes()

        def one(item, place):
            image = Image.frombuffer("RGB", item[0], item[1], "raw", "RGB", 0, 1) if a.source == "raw" else read(item)
            x, y, w, h = rectangle(*image.size)
            image = image.resize((size, size), Image.BILINEAR, box=(x, y, x + w, y + h))
            if random.random() < 0.5:
                image = image.transpose(Image.FLIP_LEFT_RIGHT)
            normalise(np.asarray(image), place)
    else:
        import cv2
        cv2.setNumThreads(1)
        import simplejpeg
        versions = {"opencv": cv2.__version__, "simplejpeg": simplejpeg.__version__}

        def read(path):
            return simplejpeg.decode_jpeg(path.read_bytes(), "RGB")

        def stored(path):
            image = read(path)
            h, w = image.shape[:2]
            return cv2.resize(image, (256, int(256 * h / w)) if w <= h else (int(256 * w / h), 256), interpolation=cv2.INTER_AREA)

        def one(item, place):
            image = item if a.source == "raw" else read(item)
            x, y, w, h = rectangle(image.shape[1], image.shape[0])
            image = cv2.resize(image[y:y + h, x:x + w], (size, size), interpolation=cv2.INTER_LINEAR)
            normalise(cv2.flip(image, 1) if random.random() < 0.5 else image, place)

    items = [stored(path) for path in paths] if a.source == "raw" else list(paths)

    def an_epoch():
        random.shuffle(items)
        for i, item in enumerate(items):
            one(item, i % a.batch_size)
        return len(items)

    tell(an_epoch, a.repeat, what=f"{a.source} to f32 by {a.by}", **versions)


if __name__ == "__main__":
    main()
