"""Writes update.json: 50 steps of each optimizer in f64 on tensors that both sides make from the same integer formula.

    python tests/ops/golden/make_update.py        (made with torch 2.11.0)

sgd and adamw are torch.optim's own. lion, lars and lamb are not in torch: they are written out here, whole tensors at a time, from the
published algorithm (Lion: Chen et al. 2023, algorithm 2) and from timm's documented formulas (lars, lamb), and are read off nothing of
ours. Rate and first momentum move from step to step; the second of the two tensors has no weight decay.
"""
import json
import math
import pathlib

import torch

torch.set_default_dtype(torch.float64)
SIZES, STEPS = [(40, 1.0), (9, 0.5)], 50
MASK = (1 << 64) - 1


def mix(z):
    """splitmix64's finaliser."""
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def uniform(stream, count, scale):
    """In [-scale, scale), exact in f32 for powers of two."""
    return torch.tensor([((mix((stream << 32) + i) >> 40) / 2.0**23 - 1.0) * scale for i in range(count)])


def lr_at(step, peak):
    return peak * (1 + step % 7) / 7


def momentum_at(step):
    return (0.85, 0.9, 0.95)[step % 3]


def tensors():
    return [uniform(i, n, s) for i, (n, s) in enumerate(SIZES)]


def gradients(step):
    return [uniform(100 + 10 * step + i, n, 0.25) for i, (n, s) in enumerate(SIZES)]


def torch_run(make, set_momentum, peak):
    p = [torch.nn.Parameter(t) for t in tensors()]
    opt = make(p)
    for step in range(STEPS):
        for group in opt.param_groups:
            group["lr"] = lr_at(step, peak)
            set_momentum(group, momentum_at(step))
        for parameter, g in zip(p, gradients(step)):
            parameter.grad = g
        opt.step()
    return [t.detach() for t in p]


def groups(p, wd):
    return [{"params": [p[0]], "weight_decay": wd}, {"params": [p[1]], "weight_decay": 0.0}]


def sgd_momentum(group, m):
    group["momentum"] = m


def adam_momentum(group, m):
    group["betas"] = (m, group["betas"][1])


def lion(peak, wd, beta2):
    p, m = tensors(), [torch.zeros(n) for n, _ in SIZES]
    for step in range(STEPS):
        lr, beta1 = lr_at(step, peak), momentum_at(step)
        for i, g in enumerate(gradients(step)):
            decay = wd if i == 0 else 0.0
            update = torch.sign(beta1 * m[i] + (1 - beta1) * g)
            p[i] = p[i] - lr * (update + decay * p[i])
            m[i] = beta2 * m[i] + (1 - beta2) * g
    return p


def lars(peak, wd, coefficient, eps, nesterov):
    p, b = tensors(), [torch.zeros(n) for n, _ in SIZES]
    for step in range(STEPS):
        lr, mu = lr_at(step, peak), momentum_at(step)
        for i, g in enumerate(gradients(step)):
            if i == 0:
                w_norm, g_norm = p[i].norm(2.0), g.norm(2.0)
                g = (g + wd * p[i]) * (coefficient * w_norm / (g_norm + w_norm * wd + eps))
            b[i] = mu * b[i] + g
            p[i] = p[i] - lr * (g + mu * b[i] if nesterov else b[i])
    return p


def lamb(peak, wd, beta2, eps):
    p = tensors()
    m, v = [torch.zeros(n) for n, _ in SIZES], [torch.zeros(n) for n, _ in SIZES]
    for step in range(STEPS):
        lr, beta1 = lr_at(step, peak), momentum_at(step)
        c1, c2 = 1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)
        for i, g in enumerate(gradients(step)):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            u = (m[i] / c1) / (v[i].sqrt() / math.sqrt(c2) + eps)
            trust = 1.0
            if i == 0:
                u = u + wd * p[i]
                trust = p[i].norm(2.0) / u.norm(2.0)
            p[i] = p[i] - lr * trust * u
    return p


SGD, ADAMW = torch.optim.SGD, torch.optim.AdamW
runs = {
    "sgd": torch_run(lambda p: SGD(groups(p, 1e-2), lr=1, momentum=0.9), sgd_momentum, 0.1),
    "sgd-nesterov": torch_run(lambda p: SGD(groups(p, 1e-2), lr=1, momentum=0.9, nesterov=True), sgd_momentum, 0.1),
    "sgd-dampening": torch_run(lambda p: SGD(groups(p, 1e-2), lr=1, momentum=0.9, dampening=0.3), sgd_momentum, 0.1),
    "adamw": torch_run(lambda p: ADAMW(groups(p, 0.1), lr=1, betas=(0.9, 0.99), eps=1e-8), adam_momentum, 0.02),
    "lion": lion(0.01, 0.3, 0.99),
    "lars": lars(2.0, 1e-2, 0.02, 1e-8, False),
    "lars-nesterov": lars(2.0, 1e-2, 0.02, 1e-8, True),
    "lamb": lamb(0.02, 0.1, 0.999, 1e-6),
}
out = {"torch": torch.__version__.split("+")[0], "runs": {name: torch.cat(p).tolist() for name, p in runs.items()}}
# torch's own clipping: the norm of everything, and the first tensor after it
grads = [torch.nn.Parameter(t) for t in tensors()]
for t, g in zip(grads, gradients(0)):
    t.grad = g
out["clip"] = {"norm": torch.nn.utils.clip_grad_norm_(grads, 0.5).item(), "clipped": torch.cat([t.grad for t in grads]).tolist()}
path = pathlib.Path(__file__).with_name("update.json")
path.write_text(json.dumps(out).replace(' "', '\n"') + "\n")
print(path.stat().st_size, "bytes")
