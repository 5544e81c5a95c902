"""What `imagenet-engine bench loader` competes with: torchvision's ImageFolder and DataLoader over the same pictures.

    python benches/rivals/torch_loader.py FOLDER [--workers 0] [--batch-size 32] [--crop-size 224] [--repeat 3] [--decode-only]

Prints JSON: pictures per second of decode, RandomResizedCrop, flip, ToTensor and Normalize (or of the decode alone), by the clock and by
CPU time (of this process and its workers). The torch library's threads are held to one, so that a core's second is one core's.
"""
import argparse
import json
import resource
import statistics
import time

import torch
import torchvision
from torchvision import transforms
from torchvision.datasets import ImageFolder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def cpu_seconds():
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


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
        data = ImageFolder(a.folder, transform=lambda image: image.size)  # ImageFolder's loader has decoded it to RGB
        collate = list
    else:
        data = ImageFolder(a.folder, transform=transforms.Compose([
            transforms.RandomResizedCrop(a.crop_size), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
            transforms.Normalize(MEAN, STD)]))
        collate = None
    rates, per_core = [], []
    for repeat in range(a.repeat + 1):  # the first fills the page cache
        loader = torch.utils.data.DataLoader(data, a.batch_size, shuffle=True, num_workers=a.workers, collate_fn=collate)
        start, cpu, seen = time.perf_counter(), cpu_seconds(), 0
        for batch in loader:
            seen += len(batch) if a.decode_only else len(batch[1])
        del loader  # joins the workers, whose time then counts
        if repeat:
            rates.append(seen / (time.perf_counter() - start))
            per_core.append(seen / (cpu_seconds() - cpu))
    print(json.dumps({"images_per_s": round(statistics.median(rates), 1), "images_per_s_per_core": round(statistics.median(per_core), 1),
                      "pictures": len(data), "what": "decode" if a.decode_only else "decode, crop, flip, normalise",
                      "torch": torch.__version__, "torchvision": torchvision.__version__}))


if __name__ == "__main__":
    main()
