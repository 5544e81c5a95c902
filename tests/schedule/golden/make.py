"""Writes schedules.json: the rates (and momenta) PyTorch's own schedulers give, stepped once per update.

    python tests/schedule/golden/make.py        (made with torch 2.11.0)

Each entry is a schedule in updates and what an update used, read from the optimizer before its step. Long runs list sampled updates and
use torch's closed form, since its recursive form loses digits over 100,000 steps.
"""
import json
import pathlib
import warnings

import torch
from torch.optim import lr_scheduler as S

warnings.simplefilter("ignore")  # torch warns of scheduler steps without optimizer steps
entries = []


def optimizer(kind, lr):
    p = [torch.nn.Parameter(torch.zeros(1))]
    if kind == "adamw":
        return torch.optim.AdamW(p, lr=lr, betas=(0.9, 0.999))
    return torch.optim.SGD(p, lr=lr, momentum=0.9)


def momentum(opt):
    group = opt.param_groups[0]
    return group["betas"][0] if "betas" in group else group["momentum"]


def main_scheduler(opt, sched, peak, low, length, warmup, p):
    if sched == "cosine":
        return S.CosineAnnealingLR(opt, T_max=length, eta_min=low)
    if sched == "linear":
        return S.LinearLR(opt, start_factor=1.0, end_factor=low / peak, total_iters=length)
    if sched == "poly":
        return S.PolynomialLR(opt, total_iters=length, power=p["power"])
    if sched == "step":
        return S.StepLR(opt, step_size=p["every"], gamma=p["rate"])
    if sched == "multistep":
        return S.MultiStepLR(opt, milestones=[m - warmup for m in p["milestones"]], gamma=p["rate"])
    if sched == "sgdr":
        return S.CosineAnnealingWarmRestarts(opt, T_0=p["first"], T_mult=p["mul"], eta_min=low)
    if sched == "constant":
        return S.ConstantLR(opt, factor=1.0, total_iters=1)
    raise KeyError(sched)


def add(sched, total, peak=0.1, low=0.0, warmup=0, warmup_lr=None, kind="sgd", **p):
    warmup_lr = peak * 0.01 if warmup_lr is None else warmup_lr
    lift = low if sched == "poly" else 0.0  # torch's has no floor: the power acts on what lies above it
    opt = optimizer(kind, peak - lift)
    if sched == "onecycle":
        s = S.OneCycleLR(opt, max_lr=peak, total_steps=total, pct_start=p["pct_start"], anneal_strategy=p["anneal"],
                         cycle_momentum=p["cycle_momentum"], base_momentum=p["base_momentum"], max_momentum=p["max_momentum"],
                         div_factor=p["div_factor"], final_div_factor=p["final_div_factor"], three_phase=p["three_phase"])
    elif warmup:
        first = S.LinearLR(opt, start_factor=(warmup_lr - lift) / (peak - lift), end_factor=1.0, total_iters=warmup)
        s = S.SequentialLR(opt, [first, main_scheduler(opt, sched, peak, low, total - warmup, warmup, p)], milestones=[warmup])
    else:
        s = main_scheduler(opt, sched, peak, low, total, 0, p)
    lr, mu = [], []
    for _ in range(total):
        lr.append(opt.param_groups[0]["lr"] + lift)
        mu.append(momentum(opt))
        opt.step()
        if len(lr) < total:
            s.step()
    entries.append(dict(sched=sched, total=total, peak=peak, min=low, warmup=warmup, warmup_lr=warmup_lr, params=p,
                        updates=list(range(total)), lr=lr, momentum=mu))


def sampled(total, *more):
    return sorted({0, 1, 2, total - 1, total - 2, total // 3 - 1, total // 3, *more, *(i * total // 97 for i in range(97))})


def add_long(sched, total, peak, low, warmup=0, **p):
    """Closed form at sampled updates: LinearLR's during the warm-up, then the main scheduler's from its own start."""
    first = S.LinearLR(optimizer("sgd", peak), start_factor=0.01, end_factor=1.0, total_iters=max(warmup, 1))
    s = main_scheduler(optimizer("sgd", peak), sched, peak, low, total - warmup, warmup, p)
    updates = sampled(total, *(u for u in (warmup - 1, warmup, warmup + 1) if u >= 0))
    lr = []
    for u in updates:
        scheduler, at = (first, u) if u < warmup else (s, u - warmup)
        scheduler.last_epoch = at
        lr.append(scheduler._get_closed_form_lr()[0])
    entries.append(dict(sched=sched, total=total, peak=peak, min=low, warmup=warmup, warmup_lr=peak * 0.01, params=p, updates=updates,
                        lr=lr, momentum=[0.9] * len(lr)))


def add_stepped(sched, total, peak, low=0.0, **p):
    """Schedulers that compute each value afresh: stepped through the whole run, some updates kept."""
    opt = optimizer("sgd", peak)
    if sched == "onecycle":
        s = S.OneCycleLR(opt, max_lr=peak, total_steps=total, pct_start=p["pct_start"], anneal_strategy=p["anneal"],
                         cycle_momentum=p["cycle_momentum"], base_momentum=p["base_momentum"], max_momentum=p["max_momentum"],
                         div_factor=p["div_factor"], final_div_factor=p["final_div_factor"], three_phase=p["three_phase"])
    else:
        s = main_scheduler(opt, sched, peak, low, total, 0, p)
    updates, lr, mu = set(sampled(total)), [], []
    for u in range(total):
        if u in updates:
            lr.append(opt.param_groups[0]["lr"])
            mu.append(momentum(opt))
        opt.step()
        if u + 1 < total:
            s.step()
    entries.append(dict(sched=sched, total=total, peak=peak, min=low, warmup=0, warmup_lr=peak * 0.01, params=p,
                        updates=sorted(updates), lr=lr, momentum=mu))


# cosine: lengths, floors, peaks above 1, warm-ups, warm-up from other rates, the shortest runs
for total, peak, low, warmup in [(10, 1.0, 1e-6, 0), (100, 0.1, 1e-6, 0), (100, 0.1, 0.0, 10), (97, 1.6, 1e-6, 5), (64, 7.2, 1e-4, 13),
                                 (2, 0.1, 1e-6, 1), (1, 0.1, 1e-6, 0), (50, 0.1, 1e-6, 49)]:
    add("cosine", total, peak, low, warmup)
add("cosine", 60, 0.5, 1e-6, 6, warmup_lr=0.05)
add("cosine", 60, 0.5, 1e-6, 6, warmup_lr=0.5)
add("cosine", 40, 1e-3, 1e-6, 4, kind="adamw")
# linear, poly, constant
for total, peak, low, warmup in [(50, 0.1, 1e-6, 0), (50, 0.1, 0.0, 7), (31, 2.0, 0.5, 3)]:
    add("linear", total, peak, low, warmup)
for power, low, warmup in [(1.0, 0.0, 0), (2.0, 0.0, 5), (0.9, 0.0, 0), (2.0, 1e-4, 6), (3.5, 0.0, 2)]:
    add("poly", 60, 7.2, low, warmup, power=power)
add("constant", 20, 0.05)
add("constant", 20, 0.05, warmup=5)
# step and multistep: a drop at the last update, drops past the end, one listed twice, a rate of one half
for every, rate, warmup, total in [(30, 0.1, 0, 90), (7, 0.5, 3, 40), (1, 0.97, 0, 50), (39, 0.1, 0, 40), (50, 0.1, 0, 40)]:
    add("step", total, 0.1, 0.0, warmup, every=every, rate=rate)
for milestones, rate, warmup, total in [([30, 60, 80], 0.1, 0, 90), ([6, 9], 0.2, 2, 12), ([5, 5, 10], 0.1, 0, 15), ([1], 0.5, 0, 4),
                                        ([20, 100], 0.1, 5, 30)]:
    add("multistep", total, 0.4, 0.0, warmup, milestones=milestones, rate=rate)
# warm restarts: the combinations in which a floored logarithm lands in the wrong cycle
for first, mul, low, warmup, total in [(3, 2, 0.0, 0, 60), (1, 3, 1e-6, 0, 150), (1, 10, 1e-6, 0, 130), (10, 1, 1e-6, 4, 57),
                                       (7, 2, 1e-3, 5, 90), (2, 5, 0.0, 0, 70)]:
    add("sgdr", total, 1.0, low, warmup, first=first, mul=mul)


def onecycle(total, peak, kind="sgd", **changed):
    p = dict(pct_start=0.3, anneal="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
             final_div_factor=1e4, three_phase=False)
    add("onecycle", total, peak, kind=kind, **{**p, **changed})


onecycle(10, 1.0)
onecycle(97, 0.4)
onecycle(50, 0.2, anneal="linear")
onecycle(20, 1.0, three_phase=True)
onecycle(83, 0.7, three_phase=True, pct_start=0.41, anneal="linear")
onecycle(40, 1.0, three_phase=True, pct_start=0.5)
onecycle(30, 0.1, pct_start=0.05)
onecycle(30, 0.1, pct_start=0.95, div_factor=1.0, final_div_factor=1.0)
onecycle(60, 2e-3, kind="adamw")
onecycle(60, 2e-3, kind="adamw", cycle_momentum=False)
onecycle(45, 0.3, base_momentum=0.5, max_momentum=0.99, div_factor=4.0)
onecycle(4, 1.0)
# a whole ImageNet run: 90 epochs of 5,004 updates
add_long("cosine", 450_360, 0.1, 1e-6)
add_long("linear", 450_360, 0.1, 1e-6)
add_long("step", 450_360, 0.1, 0.0, every=150_120, rate=0.1)
add_long("poly", 450_360, 7.2, 0.0, power=2.0)
# the same with five epochs of warm-up, and those that need to be stepped
add_long("cosine", 450_360, 1.6, 1e-6, warmup=25_020)
add_long("linear", 450_360, 1.6, 1e-6, warmup=25_020)
add_long("step", 450_360, 0.4, 0.0, warmup=25_020, every=150_120, rate=0.1)
add_long("multistep", 450_360, 0.4, 0.0, warmup=25_020, milestones=[150_120, 300_240, 400_320], rate=0.1)
add_stepped("sgdr", 450_360, 0.1, 1e-6, first=5_004, mul=2)
for three_phase in (False, True):
    add_stepped("onecycle", 450_360, 2.0, pct_start=0.3, anneal="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95,
                div_factor=25.0, final_div_factor=1e4, three_phase=three_phase)

out = {"torch": torch.__version__.split("+")[0], "schedules": entries}
path = pathlib.Path(__file__).with_name("schedules.json")
path.write_text(json.dumps(out).replace('{"sched"', '\n{"sched"') + "\n")
print(len(entries), "schedules,", sum(len(e["lr"]) for e in entries), "rates,", path.stat().st_size, "bytes")
