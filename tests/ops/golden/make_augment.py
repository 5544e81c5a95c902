"""Writes augment.json: SHA-256 (the first sixteen digits) of what torchvision's transforms of PIL images give.

    python tests/ops/golden/make_augment.py        (made with torchvision 0.29.2, torch 2.15.0 and Pillow 13.0.0)

Images are made by the formula of ../../data/golden/make_resize.py. "random" holds [number, width, height, x, y, crop_width, crop_height,
size, flip, f32, bf16]: resized_crop, hflip, ToTensor, Normalize; "centre" holds [number, width, height, resize, size, to_width, to_height,
left, top, f32, bf16]: Resize, CenterCrop, ToTensor, Normalize. Hashes are of the values of [size, size, 3], little endian.
"""
import hashlib
import json
import pathlib
import random
import sys

import PIL
import torch
import torchvision
from torchvision import transforms
from torchvision.transforms import functional

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "data/golden"))
from make_resize import image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
finish = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def hashes(pil):
    value = finish(pil).permute(1, 2, 0).contiguous()
    halves = value.to(torch.bfloat16).view(torch.int16)
    return [hashlib.sha256(v.numpy().tobytes()).hexdigest()[:16] for v in (value, halves)]


def main():
    r = random.Random(5)
    random_crops, centre = [], []
    for number in range(1000, 1080):
        w, h = r.choice([(341, 256), (256, 341), (256, 256), (500, 375), (round(2 ** r.uniform(0, 9)), round(2 ** r.uniform(0, 9)))])
        cw, ch = r.randint(1, w), r.randint(1, h)
        x, y = r.randint(0, w - cw), r.randint(0, h - ch)
        size, flip = r.choice([224, 176, 64, 33, 7, 1, min(cw, 300), min(ch, 300)]), r.randint(0, 1)
        made = functional.resized_crop(image(number, w, h), y, x, ch, cw, [size, size], functional.InterpolationMode.BILINEAR)
        random_crops.append([number, w, h, x, y, cw, ch, size, flip] + hashes(functional.hflip(made) if flip else made))
    for number in range(1080, 1120):
        w, h = r.choice([(341, 256), (256, 341), (300, 256), (500, 375), (375, 500), (640, 427), (256, 700)])
        resize, size = r.choice([(256, 224), (232, 224), (224, 224), (128, 112), (64, 64), (300, 288)])
        resized = transforms.Resize(resize)(image(number, w, h))
        # where CenterCrop begins, read off an image of coordinates
        grid = torch.stack(torch.meshgrid(torch.arange(resized.height), torch.arange(resized.width), indexing="ij"))
        top, left = transforms.CenterCrop(size)(grid)[:, 0, 0].tolist()
        centre.append([number, w, h, resize, size, *resized.size, left, top] + hashes(transforms.CenterCrop(size)(resized)))
    rows = lambda cases: ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    versions = f'"torchvision": "{torchvision.__version__}", "torch": "{torch.__version__}", "pillow": "{PIL.__version__}"'
    text = f'{{{versions}, "random": [\n{rows(random_crops)}\n], "centre": [\n{rows(centre)}\n]}}\n'
    pathlib.Path(__file__).with_name("augment.json").write_text(text)


if __name__ == "__main__":
    main()
