"""What `imagenet-engine bench loader` competes with: FFCV's loader over the same pictures.

    python benches/rivals/ffcv_loader.py FOLDER [--batch-size 32] [--crop-size 224] [--repeat 3] [--jpeg]

FOLDER is an ImageFolder tree; it is written to a .beton file first (raw pixels, or with --jpeg the JPEG files as they are). Prints JSON:
pictures per second of read or decode, random resized crop, flip and normalisation to f32 (NHWC), by the clock and by CPU time, with one
worker. FFCV 1.0.2 needs opencv4, libturbojpeg and pkg-config to build.
"""
import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import IntDecoder, RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, Squeeze, ToTensor
from ffcv.writer import DatasetWriter
from torchvision.datasets import ImageFolder

MEAN = np.array([0.485, 0.456, 0.406]) * 255
STD = np.array([0.229, 0.224, 0.225]) * 255


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--crop-size", type=int, default=224)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--jpeg", action="store_true")
    a = p.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as tmp:
        beton = str(Path(tmp) / "pictures.beton")
        data = ImageFolder(a.folder)
        mode = {"write_mode": "jpg", "jpeg_quality": 95} if a.jpeg else {"write_mode": "raw"}
        writer = DatasetWriter(beton, {"image": RGBImageField(**mode), "label": IntField()}, num_workers=1)
        writer.from_indexed_dataset(data, chunksize=10)
        image = [RandomResizedCropRGBImageDecoder((a.crop_size, a.crop_size)), RandomHorizontalFlip(),
                 NormalizeImage(MEAN, STD, np.float32), ToTensor()]
        loader = Loader(beton, batch_size=a.batch_size, num_workers=1, order=OrderOption.RANDOM, os_cache=True, drop_last=False,
                        pipelines={"image": image, "label": [IntDecoder(), ToTensor(), Squeeze()]})
        rates, per_core = [], []
        for repeat in range(a.repeat + 1):  # the first compiles
            start, cpu, seen = time.perf_counter(), cpu_seconds(), 0
            for batch in loader:
                seen += len(batch[0])
            if repeat:
                rates.append(seen / (time.perf_counter() - start))
                per_core.append(seen / (cpu_seconds() - cpu))
    print(json.dumps({"images_per_s": round(statistics.median(rates), 1), "images_per_s_per_core": round(statistics.median(per_core), 1),
                      "pictures": len(data), "what": ("jpeg" if a.jpeg else "raw") + ", crop, flip, normalise"}))


if __name__ == "__main__":
    main()
