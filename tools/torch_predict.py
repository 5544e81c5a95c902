"""Holds `predict`, and `pack` with `eval`, against torchvision on a folder of photos: the same weights, logits and losses side by side.

    python tools/torch_predict.py --engine target/release/imagenet-engine --photos FOLDER [--model resnet18] [--images 64]

FOLDER has a folder per class. Needs torch, torchvision, safetensors, pillow. The weights are random; for each of four transforms (torchvision's
256/224 and 232/224, timm's crop share 0.95 with bicubic, Lanczos at 160) the largest difference of a logit must be below 1e-4, and the loss
over the folder packed at its own sizes within 1e-5. Exit status 0 if all hold.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import safetensors.torch
import torch
import torchvision
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode as I

CASES = [
    ([], 256, 224, I.BILINEAR),
    (["--val-resize-size", "232"], 232, 224, I.BILINEAR),
    (["--crop-pct", "0.95", "--val-interpolation", "bicubic"], 235, 224, I.BICUBIC),
    (["--val-resize-size", "182", "--val-crop-size", "160", "--val-interpolation", "lanczos"], 182, 160, I.LANCZOS),
]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--engine", required=True)
    p.add_argument("--photos", required=True)
    p.add_argument("--model", default="resnet18")
    p.add_argument("--images", type=int, default=64)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        sys.exit(check(a, pathlib.Path(work)))


def run(*args):
    return subprocess.run([str(arg) for arg in args], check=True, capture_output=True, text=True).stdout


def check(a, work):
    torch.manual_seed(0)
    folder = torchvision.datasets.ImageFolder(a.photos)
    net = torchvision.models.get_model(a.model, weights=None, num_classes=len(folder.classes)).eval()
    weights = work / "weights.safetensors"
    safetensors.torch.save_file(net.state_dict(), weights, {"format": "pt"})
    names = work / "names.txt"
    names.write_text("".join(f"{name}\n" for name in folder.classes))
    common = ["--weights", weights, "--model", a.model, "--class-names", names, "--precision", "fp32", "--json"]
    run(a.engine, "pack", "--input", a.photos, "--source", "folder", "--output", work / "packed", "--split", "val", "--resize", "0")
    step = max(1, len(folder) // a.images)
    paths, ok = [path for path, _ in folder.samples[::step]], True
    for flags, resize, crop, mode in CASES:
        prepare = T.Compose([T.Resize(resize, mode), T.CenterCrop(crop), T.ToTensor(), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
        out = run(a.engine, "predict", *common, "--top", len(folder.classes), *flags, *paths)
        worst = 0.0
        for path, line in zip(paths, out.splitlines(), strict=True):
            with torch.no_grad():
                theirs = net(prepare(Image.open(path).convert("RGB"))[None])[0]
            for top in json.loads(line)["top"]:
                worst = max(worst, abs(theirs[folder.class_to_idx[top["class"]]].item() - top["logit"]))
        ok &= told(f"Resize({resize}, {mode.value}), CenterCrop({crop}): logits of {len(paths)} photos", worst, 1e-4)
        total = 0.0
        for path, label in folder.samples:
            with torch.no_grad():
                loss = torch.nn.functional.cross_entropy(net(prepare(Image.open(path).convert("RGB"))[None]), torch.tensor([label]))
            total += loss.item() / len(folder)
        ours = json.loads(run(a.engine, "eval", *common, *flags, "--data", work / "packed"))["loss"]
        ok &= told(f"    loss of {len(folder)} packed images", abs(ours - total), 1e-5)
    return 0 if ok else 1


def told(what, value, limit):
    print(f"{'ok  ' if value < limit else 'FAIL'} {what}: {value:.1e}")
    return value < limit


if __name__ == "__main__":
    main()
