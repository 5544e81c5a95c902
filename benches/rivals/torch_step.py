"""The same training step in PyTorch, for `imagenet-engine bench step`: synthetic pictures, cross-entropy, SGD with momentum.

    python benches/rivals/torch_step.py --model resnet50 --batch-size 16 --device cpu [--crop-size 224] [--precision fp32|bf16]
                                        [--steps 10] [--threads N] [--compile]

channels_last, the median of the steps after the warm-up, one line of JSON: {"images_per_s", "batch", "device", "precision", ...}.
"""
import argparse
import json
import statistics
import time

import torch
import torchvision


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", default="resnet50")
    p.add_argument("--batch-size", type=int, default=16)
    p.add_argument("--crop-size", type=int, default=224)
    p.add_argument("--classes", type=int, default=1000)
    p.add_argument("--device", default="cpu")
    p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--warmup", type=int, default=3)
    p.add_argument("--threads", type=int)
    p.add_argument("--compile", action="store_true")
    a = p.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    net = torchvision.models.get_model(a.model, weights=None, num_classes=a.classes).to(a.device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    x = torch.randn(a.batch_size, 3, a.crop_size, a.crop_size, device=a.device).to(memory_format=torch.channels_last)
    y = torch.randint(a.classes, (a.batch_size,), device=a.device)
    forward = torch.compile(net) if a.compile else net

    def step():
        with torch.autocast(a.device.split(":")[0], torch.bfloat16, enabled=a.precision == "bf16"):
            loss = torch.nn.functional.cross_entropy(forward(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if a.device.startswith("cuda"):
            torch.cuda.synchronize()

    for _ in range(a.warmup):
        step()
    times = []
    for _ in range(a.steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    print(json.dumps({
        "images_per_s": round(a.batch_size / median, 3), "batch": a.batch_size, "device": a.device, "precision": a.precision,
        "model": a.model, "crop_size": a.crop_size, "threads": torch.get_num_threads(), "torch": torch.__version__,
        "compiled": a.compile, "min_s": round(min(times), 4), "median_s": round(median, 4), "max_s": round(max(times), 4),
    }))


if __name__ == "__main__":
    main()
