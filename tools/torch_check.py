"""Holds the program against PyTorch on real pictures: the same initial weights, the same pixels in the same order.

    python tools/torch_check.py --engine target/release/imagenet-engine --data PACKED [--model resnet18] [--batch-size 64] [--updates 20]

PACKED is a folder `pack` wrote with square raw records (for example shared/data/tiny at --resize 64). Needs torch, torchvision,
safetensors, pillow, numpy. Checks and prints:
  1. training losses (f32, SGD, constant rate) against torch in f64: within 1e-4 relative for the first 5 updates, 2e-3 through the
     last. Early training is chaotic: at --lr 0.01 torch's own f32 losses leave its f64 ones by 3e-4 at the second update and 1e-2 at
     the sixth, so the rate is small by default, and torch's own distance is printed beside ours. --updates may go past an epoch;
  2. model.safetensors loads into torchvision with strict=True;
  3. torch's evaluation logits from that file agree with `predict` within 1e-3 absolute.
Exit status 0 if all hold.
"""
import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import safetensors.torch
import torch
import torchvision
from PIL import Image

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--engine", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--model", default="resnet18")
    p.add_argument("--batch-size", type=int, default=64)
    p.add_argument("--updates", type=int, default=20)
    p.add_argument("--lr", type=float, default=1e-4)
    p.add_argument("--wd", type=float, default=1e-4)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        sys.exit(check(a, pathlib.Path(work)))


def pictures(engine, data, work, count):
    """The first `count` pictures in packed order, or all there are: uint8 [n, h, w, 3], labels, paths."""
    subprocess.run([engine, "unpack", data, "--output", work / "png", "--limit", str(count)], check=True, capture_output=True)
    rows = list(csv.DictReader(open(work / "png" / "index.csv")))[:count]
    paths = [work / "png" / r["path"] for r in rows]
    pixels = np.stack([np.asarray(Image.open(f).convert("RGB")) for f in paths])
    return pixels, torch.tensor([int(r["label"]) for r in rows]), paths


def normalise(pixels):
    return ((torch.from_numpy(pixels).float() / 255 - MEAN) / STD).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def check(a, work):
    torch.manual_seed(a.seed)
    pixels, labels, paths = pictures(a.engine, a.data, work, a.batch_size * a.updates)
    if len(labels) < a.batch_size:
        sys.exit(f"{len(labels)} images do not fill one batch: --batch-size {len(labels)} or less")
    size, classes = pixels.shape[1], len(json.loads((pathlib.Path(a.data) / "dataset.json").read_text())["classes"])
    net = torchvision.models.get_model(a.model, weights=None, num_classes=classes)
    safetensors.torch.save_file(net.state_dict(), work / "init.safetensors", {"format": "pt"})

    exact = torchvision.models.get_model(a.model, weights=None, num_classes=classes)
    exact.load_state_dict(net.state_dict())
    theirs = train(exact.double(), normalise(pixels).double(), labels, a)
    narrow = train(net.to(memory_format=torch.channels_last), normalise(pixels), labels, a)
    subprocess.run([a.engine, "train", "--data", a.data, "--model", a.model, "--init", work / "init.safetensors", "--augment", "none",
                    "--shuffle", "none", "--sched", "constant", "--warmup-epochs", "0", "--lr", str(a.lr), "--wd", str(a.wd),
                    "--batch-size", str(a.batch_size), "--max-steps", str(a.updates), "--train-crop-size", str(size), "--val-crop-size",
                    str(size), "--log-interval", "1", "--device", "cpu", "--output", work / "run", "--progress", "none"], check=True, stdout=subprocess.DEVNULL)
    events = [json.loads(line) for line in open(work / "run" / "metrics.jsonl")]
    ours = [e["loss"] for e in events if e["event"] == "step"]
    errors = [abs(x - y) / y for x, y in zip(ours, theirs)]
    print("update  torch f64   ours f32    distance  torch f32   distance")
    for i, (x, y, e, n) in enumerate(zip(theirs, ours, errors, narrow)):
        print(f"{i:6}  {x:.7f}  {y:.7f}  {e:.1e}   {n:.7f}  {abs(n - x) / x:.1e}")
    ok = len(ours) == a.updates
    ok &= told("losses of updates 0-4 within 1e-4", max(errors[:5]), 1e-4)
    ok &= told(f"losses of updates 0-{a.updates - 1} within 2e-3", max(errors), 2e-3)

    trained = torchvision.models.get_model(a.model, weights=None, num_classes=classes)
    print(trained.load_state_dict(safetensors.torch.load_file(work / "run" / "model.safetensors"), strict=True))
    trained.eval()
    sample = list(range(0, len(paths), max(1, len(paths) // 16)))
    with torch.no_grad():
        logits = trained(normalise(pixels[sample]))
    out = subprocess.run([a.engine, "predict", "--weights", work / "run" / "model.safetensors", "--json", "--top", str(classes),
                          *[paths[i] for i in sample]], check=True, capture_output=True, text=True).stdout
    names = json.loads((pathlib.Path(a.data) / "dataset.json").read_text())["classes"]
    names = [c["name"] if isinstance(c, dict) else c for c in names]
    worst = 0.0
    for row, line in zip(logits, out.splitlines()):
        for top in json.loads(line)["top"]:
            worst = max(worst, abs(row[names.index(top["class"])].item() - top["logit"]))
    ok &= told(f"evaluation logits of {len(sample)} pictures within 1e-3", worst, 1e-3)
    return 0 if ok else 1


def train(net, x, y, a):
    decayed = [p for p in net.parameters() if p.dim() > 1]
    rest = [p for p in net.parameters() if p.dim() == 1]
    optimizer = torch.optim.SGD([{"params": decayed, "weight_decay": a.wd}, {"params": rest, "weight_decay": 0.0}], lr=a.lr, momentum=0.9)
    losses = []
    per_epoch = len(y) // a.batch_size  # each epoch has the same order (--shuffle none) and drops the same rest
    for i in range(a.updates):
        first = i % per_epoch * a.batch_size
        at = slice(first, first + a.batch_size)
        loss = torch.nn.functional.cross_entropy(net(x[at]), y[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def told(what, value, limit):
    print(f"{'ok  ' if value < limit else 'FAIL'} {what}: {value:.2e}")
    return value < limit


if __name__ == "__main__":
    main()
