"""Makes the pictures of this folder and what Pillow makes of them.

Pillow 13.0.0 (libjpeg-turbo 3.1), numpy 2.4. Run in this folder: python make.py

NAME.EXT             the input
NAME.full.png        Image.open(NAME.EXT).convert("RGB")
NAME.48.png          the same, short side resized to 48 as torchvision's Resize(48): BILINEAR, antialiased
NAME.96.png          likewise, enlarged (of two)
crops.json           torchvision 0.26's RandomResizedCrop.get_params written as plain f64 loops over given uniform numbers
"""

import json
import math

import numpy as np
from PIL import Image

rng = np.random.default_rng(7)


def scene(w, h):
    """Colour slopes, edges and a little noise: what a photograph has."""
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([128 + 100 * np.sin(x / 9.0), 255.0 * y / h, 128 + 90 * np.cos((x + y) / 13.0)], -1)
    a[(x - w * 0.6) ** 2 + (y - h * 0.4) ** 2 < (h * 0.22) ** 2] = [200, 30, 60]
    a[h // 2 :, : w // 5] = [20, 60, 180]
    return np.clip(a + rng.normal(0, 1.5, a.shape), 0, 255).astype(np.uint8)


def short(im, n):
    w, h = im.size
    size = (n, int(n * h / w)) if w <= h else (int(n * w / h), n)
    return im if min(w, h) == n else im.resize(size, Image.BILINEAR)


rgb = Image.fromarray(scene(101, 70))
tall = Image.fromarray(scene(62, 90))
rgb.save("yuv420.jpg", quality=90, subsampling=2)
tall.save("yuv422.jpg", quality=85, subsampling=1)
rgb.save("yuv444.jpg", quality=92, subsampling=0)
rgb.save("progressive.jpg", quality=88, progressive=True)
rgb.save("restarts.jpg", quality=80, restart_marker_blocks=3)
rgb.convert("L").save("gray.jpg", quality=90)
rgb.convert("CMYK").save("cmyk.jpg", quality=92)
exif = Image.Exif()
exif[0x0112] = 6
tall.save("rotated.jpg", quality=90, exif=exif)
rgb.save("rgb.png")
Image.fromarray(np.dstack([scene(70, 66), rng.integers(0, 256, (66, 70), dtype=np.uint8)]), "RGBA").save("rgba.png")
rgb.convert("P", palette=Image.ADAPTIVE, colors=40).save("palette.png")
rgb.convert("P", palette=Image.ADAPTIVE, colors=12).save("palette4.png", bits=4, transparency=3)
rgb.convert("LA").save("la.png")
rgb.convert("1").save("bits1.png")
ramp = (np.arange(64 * 50).reshape(50, 64) % 600).astype(np.uint16)
Image.fromarray(ramp).save("gray16.png")

inputs = "yuv420.jpg yuv422.jpg yuv444.jpg progressive.jpg restarts.jpg gray.jpg cmyk.jpg rotated.jpg rgb.png rgba.png palette.png palette4.png la.png bits1.png gray16.png"
for name in inputs.split():
    im = Image.open(name).convert("RGB")
    stem = name.split(".")[0] + ("p" if name.endswith("png") else "j")
    im.save(f"{stem}.full.png", optimize=True)
    for n in (48, 96) if name in ("rgb.png", "yuv420.jpg") else (48,):
        short(im, n).save(f"{stem}.{n}.png", optimize=True)

data = open("yuv420.jpg", "rb").read()
open("bad_half.jpg", "wb").write(data[: len(data) // 2])
open("bad_no_end.jpg", "wb").write(data[:-2])
p = open("progressive.jpg", "rb").read()
open("bad_progressive.jpg", "wb").write(p[: len(p) * 2 // 3])
g = open("rgb.png", "rb").read()
open("bad_half.png", "wb").write(g[: len(g) // 2])


def get_params(width, height, scale, ratio, uniforms):
    """torchvision/transforms/transforms.py, with random numbers given; positions by multiply-shift of 32-bit words."""
    it = iter(uniforms)
    area = height * width
    log_ratio = (math.log(ratio[0]), math.log(ratio[1]))
    for _ in range(10):
        target_area = area * (scale[0] + (scale[1] - scale[0]) * next(it))
        aspect_ratio = math.exp(log_ratio[0] + (log_ratio[1] - log_ratio[0]) * next(it))
        w = int(round(math.sqrt(target_area * aspect_ratio)))
        h = int(round(math.sqrt(target_area / aspect_ratio)))
        if 0 < w <= width and 0 < h <= height:
            i = int(next(it) * (height - h + 1))
            j = int(next(it) * (width - w + 1))
            return i, j, h, w
    in_ratio = float(width) / float(height)
    if in_ratio < min(ratio):
        w = width
        h = int(round(w / min(ratio)))
    elif in_ratio > max(ratio):
        h = height
        w = int(round(h * max(ratio)))
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


M = (1 << 32) - 1


def philox(key, c):
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 & M, (p0 >> 32) ^ c[3] ^ k1, p0 & M]
        k0, k1 = (k0 + 0x9E3779B9) & M, (k1 + 0xBB67AE85) & M
    return c


def words(seed, epoch, item):
    block = 0
    while True:
        yield from philox((seed & M, seed >> 32), [block, item & M, item >> 32, 2 << 28 | epoch])
        block += 1


def crop(width, height, scale, seed, epoch, item):
    source = words(seed, epoch, item)

    def double():
        low = next(source)
        return ((low | next(source) << 32) >> 11) * 2.0**-53

    # Area and ratio are doubles of two words each, a position is one word: walk the attempts once to know which is which.
    area = width * height
    lr = (math.log(3 / 4), math.log(4 / 3))
    draws = []
    for _ in range(10):
        u, v = double(), double()
        draws += [u, v]
        target = area * (scale[0] + (scale[1] - scale[0]) * u)
        r = math.exp(lr[0] + (lr[1] - lr[0]) * v)
        w, h = int(round(math.sqrt(target * r))), int(round(math.sqrt(target / r)))
        if 0 < w <= width and 0 < h <= height:
            draws += [next(source) / 2.0**32, next(source) / 2.0**32]
            break
    i, j, h, w = get_params(width, height, scale, (3 / 4, 4 / 3), draws)
    return [j, i, w, h, next(source) >> 31]


cases = []
for k, (w, h, scale) in enumerate([(500, 375, (0.08, 1.0)), (64, 64, (0.35, 1.0)), (300, 40, (0.08, 1.0)), (33, 470, (0.9, 1.0)), (256, 341, (0.25, 0.5))]):
    for item in range(25):
        seed, epoch = 42 + (k << 33), item % 7
        cases.append({"width": w, "height": h, "scale": scale, "seed": seed, "epoch": epoch, "id": item * 12345 + k, "crop": crop(w, h, scale, seed, epoch, item * 12345 + k)})
with open("crops.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
