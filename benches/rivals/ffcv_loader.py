"""What `imagenet-engine bench loader` competes with: FFCV's loader over the same pictures.

    python benches/rivals/ffcv_loader.py FOLDER [--batch-size 32] [--crop-size 224] [--repeat 3] [--jpeg]

FOLDER is an ImageFolder tree; it is written to a .beton file first (raw pixels, or with --jpeg the JPEG files as they are). Prints JSON:
pictures per second of read or decode, random resized crop, flip and normalisation to f32 (NHWC), by the clock and by CPU time, with one
worker. FFCV 1.0.2 needs opencv4, libturbojpeg and pkg-config to build.
"""
import tempfile
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

from measure import MEAN, STD, flags, tell


def main():
    p = flags(decode_only=False, workers=False)
    p.add_argument("--jpeg", action="store_true")
    a = p.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as tmp:
        beton = str(Path(tmp) / "pictures.beton")
        mode = {"write_mode": "jpg", "jpeg_quality": 95} if a.jpeg else {"write_mode": "raw"}
        writer = DatasetWriter(beton, {"image": RGBImageField(**mode), "label": IntField()}, num_workers=1)
        writer.from_indexed_dataset(ImageFolder(a.folder), chunksize=10)
        image = [RandomResizedCropRGBImageDecoder((a.crop_size, a.crop_size)), RandomHorizontalFlip(),
                 NormalizeImage(np.array(MEAN) * 255, np.array(STD) * 255, np.float32), ToTensor()]
        loader = Loader(beton, batch_size=a.batch_size, num_workers=1, order=OrderOption.RANDOM, os_cache=True, drop_last=False,
                        pipelines={"image": image, "label": [IntDecoder(), ToTensor(), Squeeze()]})
        tell(lambda: sum(len(batch[0]) for batch in loader), a.repeat, what=("jpeg" if a.jpeg else "raw") + ", crop, flip, normalise")


if __name__ == "__main__":
    main()
