"""Writes parity.json: what PyTorch computes from weights and pixels that both sides make from the same integer formula.

    python tests/train/golden/make_parity.py        (made with torch 2.11.0, torchvision 0.26.0)

resnet18, 10 classes, 32 pictures of 64x64 a batch, SGD lr 0.0005, momentum 0.9, Nesterov, weight decay 5e-4 on filters and matrices
only: the training losses of 20 updates in f32 and f64, and the evaluation logits of the initial weights.
"""
import json
import math
import pathlib

import numpy as np
import torch
import torchvision

BATCH, SIZE, CLASSES, UPDATES = 32, 64, 10, 20


def mix(values):
    """splitmix64's finaliser on uint64."""
    z = values.astype(np.uint64)
    with np.errstate(over="ignore"):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(tensor_index, count):
    """In [-1, 1), exact in f32: 24 bits of mix(tensor_index * 2^32 + i)."""
    bits = mix(np.arange(count, dtype=np.uint64) + np.uint64(tensor_index << 32)) >> np.uint64(40)
    return bits.astype(np.float64) / 2.0**23 - 1.0


@torch.no_grad()
def formula_weights(net):
    """By position among the floating-point entries of the state dict; power-of-two scales keep everything exact."""
    index = 0
    for name, tensor in net.state_dict().items():
        if not tensor.dtype.is_floating_point:
            continue
        u = uniform(index, tensor.numel()).reshape(tensor.shape)
        index += 1
        if tensor.dim() == 4:
            value = u * 2.0 ** round(math.log2(math.sqrt(6.0 / (tensor[0].numel()))))
        elif name == "fc.weight":
            value = u * 2.0**-4
        elif name.endswith("running_mean"):
            value = u * 0.125
        elif name.endswith("running_var") or name.endswith("bn1.weight") or name.endswith("bn2.weight") or name.endswith("downsample.1.weight"):
            value = 1.0 + u * 0.125
        else:
            value = u * 0.125
        tensor.copy_(torch.from_numpy(value))


def batch(step):
    """uint8 [BATCH, SIZE, SIZE, 3] and labels; a pattern by label under noise, all in integers."""
    n = np.arange(BATCH, dtype=np.uint64) + np.uint64(step * BATCH)
    labels = (mix(n + np.uint64(1 << 40)) % np.uint64(CLASSES)).astype(np.int64)
    i, y, x, c = np.meshgrid(n, np.arange(SIZE), np.arange(SIZE), np.arange(3), indexing="ij")
    noise = mix(((i.astype(np.uint64) * np.uint64(SIZE) + y.astype(np.uint64)) * np.uint64(SIZE) + x.astype(np.uint64)) * np.uint64(3)
                + c.astype(np.uint64) + np.uint64(1 << 41)) % np.uint64(128)
    label = labels[:, None, None, None]
    pattern = ((x // 8) * (label + 1) + (y // 8) * (label // 2) + c * label) % 8 * 16
    return (noise.astype(np.int64) + pattern).astype(np.uint8), labels


def prepare(pixels, dtype):
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float32)
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float32)
    x = (torch.from_numpy(pixels).to(torch.float32) / 255 - mean) / std
    return x.permute(0, 3, 1, 2).to(dtype)


def losses(dtype):
    net = torchvision.models.resnet18(num_classes=CLASSES).to(dtype)
    formula_weights(net)
    decayed = [p for p in net.parameters() if p.dim() > 1]
    rest = [p for p in net.parameters() if p.dim() == 1]
    optimizer = torch.optim.SGD([{"params": decayed, "weight_decay": 5e-4}, {"params": rest, "weight_decay": 0.0}],
                                lr=0.0005, momentum=0.9, nesterov=True)
    out = []
    for step in range(UPDATES):
        pixels, labels = batch(step)
        loss = torch.nn.functional.cross_entropy(net(prepare(pixels, dtype)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    return out


def main():
    torch.manual_seed(0)
    with torch.no_grad():
        net = torchvision.models.resnet18(num_classes=CLASSES)
        formula_weights(net)
        net.eval()
        logits = net(prepare(batch(0)[0], torch.float32)).flatten().tolist()
    pixels, labels = batch(0)
    golden = {
        "torch": torch.__version__, "torchvision": torchvision.__version__,
        "pixel_sum": int(pixels.astype(np.int64).sum()), "labels": labels.tolist(),
        "eval_logits": logits,
    }
    golden["losses_f64"] = losses(torch.float64)
    golden["losses_f32"] = losses(torch.float32)
    path = pathlib.Path(__file__).with_name("parity.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(golden["losses_f64"], golden["losses_f32"], sep="\n")


if __name__ == "__main__":
    main()
