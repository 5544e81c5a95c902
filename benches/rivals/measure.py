"""What the rivals' scripts share: flags, the transforms of training, and rates by the clock and by CPU time."""
import argparse
import json
import resource
import statistics
import time

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def flags(decode_only=True, workers=True):
    """The parser of the flags that loaders have in common."""
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--crop-size", type=int, default=224)
    p.add_argument("--repeat", type=int, default=3)
    if workers:
        p.add_argument("--workers", type=int, default=0)
    if decode_only:
        p.add_argument("--decode-only", action="store_true")
    return p


def of_training(crop_size):
    """RandomResizedCrop, flip, ToTensor and Normalize by torchvision."""
    from torchvision import transforms
    return transforms.Compose([transforms.RandomResizedCrop(crop_size), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
                               transforms.Normalize(MEAN, STD)])


def cpu_seconds():
    """Of this process and of the workers that it has joined."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def tell(an_epoch, repeat, **more):
    """Prints the medians of `repeat` epochs as JSON. `an_epoch` returns how many pictures it saw; the first fills caches and compiles."""
    rates, per_core = [], []
    for number in range(repeat + 1):
        start, cpu = time.perf_counter(), cpu_seconds()
        seen = an_epoch()
        if number:
            rates.append(seen / (time.perf_counter() - start))
            per_core.append(seen / (cpu_seconds() - cpu))
    print(json.dumps({"images_per_s": round(statistics.median(rates), 1), "images_per_s_per_core": round(statistics.median(per_core), 1),
                      "pictures": seen, **more}))
