"""What `imagenet-engine bench loader` competes with: WebDataset over tars of the same pictures.

    python benches/rivals/webdataset_loader.py FOLDER [--workers 0] [--batch-size 32] [--crop-size 224] [--repeat 3] [--decode-only]

FOLDER is an ImageFolder tree; its JPEG files are put into one tar first. Prints JSON as torch_loader.py does, for the same work.
"""
import argparse
import io
import json
import statistics
import tarfile
import tempfile
import time
from pathlib import Path

import torch
import torchvision
import webdataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from torch_loader import MEAN, STD, cpu_seconds


def write(folder, path):
    data = ImageFolder(folder)
    with tarfile.open(path, "w") as tar:
        for i, (name, label) in enumerate(data.samples):
            for end, content in ((".jpg", Path(name).read_bytes()), (".cls", str(label).encode())):
                info = tarfile.TarInfo(f"{i:08d}{end}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return len(data)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--workers", type=int, default=0)
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--crop-size", type=int, default=224)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--decode-only", action="store_true")
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.decode_only:
        transform, collate = (lambda image: image.size), list
    else:
        transform, collate = transforms.Compose([
            transforms.RandomResizedCrop(a.crop_size), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
            transforms.Normalize(MEAN, STD)]), None
    with tempfile.TemporaryDirectory() as tmp:
        tar = str(Path(tmp) / "pictures.tar")
        count = write(a.folder, tar)
        data = webdataset.WebDataset(tar, shardshuffle=False).shuffle(100).decode("pilrgb").to_tuple("jpg", "cls").map_tuple(transform, int)
        rates, per_core = [], []
        for repeat in range(a.repeat + 1):  # the first fills the page cache
            loader = torch.utils.data.DataLoader(data, a.batch_size, num_workers=a.workers, collate_fn=collate)
            start, cpu, seen = time.perf_counter(), cpu_seconds(), 0
            for batch in loader:
                seen += len(batch) if a.decode_only else len(batch[1])
            del loader  # joins the workers, whose time then counts
            assert seen == count, (seen, count)
            if repeat:
                rates.append(seen / (time.perf_counter() - start))
                per_core.append(seen / (cpu_seconds() - cpu))
    print(json.dumps({"images_per_s": round(statistics.median(rates), 1), "images_per_s_per_core": round(statistics.median(per_core), 1),
                      "pictures": count, "what": "decode" if a.decode_only else "decode, crop, flip, normalise",
                      "torch": torch.__version__, "torchvision": torchvision.__version__, "webdataset": webdataset.__version__}))


if __name__ == "__main__":
    main()
