"""Makes transforms.txt: hashes of what torchvision's transforms give for images drawn by a formula.

torch 2.15.0, torchvision 0.29.2, Pillow 13.0.0, numpy 2.4. Run in this folder: python make_transforms.py

One line a case: width height resize crop interpolation normalisation kind hash, the first 16 digits of the SHA-256
kind photo: Compose([Resize(resize, interpolation), CenterCrop(crop), ToTensor(), Normalize(mean, std)]) of a PIL image, the float32
            values in C order with the channels last, little-endian
kind pack:  Resize(resize, interpolation) alone: the RGB bytes
"""

import hashlib

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode as I

assert (torch.__version__.split("+")[0], torchvision.__version__.split("+")[0], Image.__version__) == ("2.15.0", "0.29.2", "13.0.0")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
MODES = {"bilinear": I.BILINEAR, "bicubic": I.BICUBIC, "lanczos": I.LANCZOS}


def drawn(w, h):
    """The pixels of tests/data/transforms.rs: hashed noise over slopes and bars, all in u32 arithmetic."""
    y, x, c = np.meshgrid(np.arange(h, dtype=np.uint32), np.arange(w, dtype=np.uint32), np.arange(3, dtype=np.uint32), indexing="ij")
    n = (x * np.uint32(2654435761)) ^ (y * np.uint32(2246822519)) ^ (c * np.uint32(3266489917))
    n ^= n >> 15
    n *= np.uint32(2246822519)
    n ^= n >> 13
    slope = x * np.uint32(255) // np.uint32(w) + y * np.uint32(3) * (c + np.uint32(1))
    bars = ((x // np.uint32(7)) ^ (y // np.uint32(5))) % np.uint32(2) * np.uint32(255)
    pick = (x // np.uint32(16) + y // np.uint32(16)) % np.uint32(3)
    return np.where(pick == 0, n % 256, np.where(pick == 1, slope % 256, bars)).astype(np.uint8)


def values(im, resize, crop, mode, norm):
    t = T.Compose([T.Resize(resize, MODES[mode]), T.CenterCrop(crop), T.ToTensor(), T.Normalize(*norm)])
    return t(im).permute(1, 2, 0).contiguous().numpy().astype("<f4").tobytes()


rng = np.random.default_rng(11)
cases = []
# The sizes people use: torchvision's V1 and V2, timm's shares, and what a 288 crop takes.
for w, h in [(500, 375), (375, 500), (256, 341), (341, 256), (1024, 683), (224, 224), (100, 80), (640, 427)]:
    for resize, crop in [(256, 224), (232, 224), (235, 224), (224, 224), (320, 288)]:
        for mode in MODES:
            cases.append((w, h, resize, crop, mode))
# Sizes where halves are rounded to even, single pixels, stripes, and images far longer than wide.
for w, h, resize, crop in [(57, 40, 40, 33), (58, 40, 40, 33), (61, 43, 40, 40), (1, 1, 9, 8), (1, 7, 5, 5), (900, 3, 32, 32), (3, 900, 32, 31), (2, 2, 48, 47), (333, 17, 16, 16), (33, 34, 33, 32)]:
    for mode in MODES:
        cases.append((w, h, resize, crop, mode))
for _ in range(300):
    w, h = (int(v) for v in np.exp(rng.uniform(np.log(4), np.log(420), 2)))
    crop = int(rng.integers(1, 120))
    resize = crop + int(rng.integers(0, 40))
    if max(w, h) * resize // min(w, h) > 6000:
        continue
    cases.append((w, h, resize, crop, str(rng.choice(list(MODES)))))

lines = []
for k, (w, h, resize, crop, mode) in enumerate(cases):
    im, name = Image.fromarray(drawn(w, h)), "half" if k % 7 == 3 else "imagenet"
    out = values(im, resize, crop, mode, HALF if name == "half" else IMAGENET)
    lines.append(f"{w} {h} {resize} {crop} {mode} {name} photo {hashlib.sha256(out).hexdigest()[:16]}")
    if mode == "bilinear":
        packed = np.asarray(T.Resize(resize, MODES[mode])(im))
        lines.append(f"{w} {h} {resize} {crop} {mode} {name} pack {hashlib.sha256(packed.tobytes()).hexdigest()[:16]}")
open("transforms.txt", "w").write("\n".join(lines) + "\n")
print(len(lines), "lines")
