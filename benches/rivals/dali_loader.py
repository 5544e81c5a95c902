"""NVIDIA DALI's pipeline on the CPU, one thread, with antialiasing: what `bench loader` does, over the same files.

    python benches/rivals/dali_loader.py FOLDER [--from raw|jpeg] [--crop-size 224] [--repeat 3]

jpeg: its reader of files and its decoder of random crops. raw: arrays of 256x256 in memory, by external_source. CPU time counts its threads.
"""
import pathlib

import numpy as np
import nvidia.dali as dali
from nvidia.dali import fn, pipeline_def, types

from measure import MEAN, STD, flags, tell


def main():
    p = flags(decode_only=False, workers=False)
    p.add_argument("--from", dest="source", choices=("raw", "jpeg"), default="raw")
    a = p.parse_args()
    folder = pathlib.Path(a.folder)
    count = sum(1 for f in folder.rglob("*") if f.suffix.lower() in (".jpeg", ".jpg"))
    noise = np.random.default_rng(0).integers(0, 256, (64, 256, 256, 3), np.uint8)

    @pipeline_def(batch_size=a.batch_size, num_threads=1, device_id=None, prefetch_queue_depth=1)
    def pipeline():
        size = (a.crop_size, a.crop_size)
        if a.source == "raw":
            stored = fn.external_source(lambda info: noise[info.idx_in_epoch % len(noise)], batch=False, no_copy=True)
            image = fn.random_resized_crop(stored, size=size, interp_type=types.INTERP_LINEAR, antialias=True)
        else:
            files, _ = fn.readers.file(file_root=str(folder), random_shuffle=True)
            image = fn.decoders.image_random_crop(files, device="cpu", output_type=types.RGB)
            image = fn.resize(image, size=size, interp_type=types.INTERP_LINEAR, antialias=True)
        return fn.crop_mirror_normalize(image, dtype=types.FLOAT, output_layout="HWC", mirror=fn.random.coin_flip(),
                                        mean=[255 * m for m in MEAN], std=[255 * s for s in STD])

    built = pipeline()
    built.build()

    def an_epoch():
        return sum(len(built.run()[0]) for _ in range(max(1, count // a.batch_size)))

    tell(an_epoch, a.repeat, what=f"{a.source} to f32 by DALI on the CPU", dali=dali.__version__)


if __name__ == "__main__":
    main()
