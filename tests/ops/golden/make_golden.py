"""Makes golden.json beside it. Needs torch (2.11.0 was used) on the CPU; inputs are small integers or short decimals."""
import json, pathlib
import torch
import torch.nn.functional as F

torch.manual_seed(0)
out = {"torch": torch.__version__.split("+")[0]}

# max-pool: ties everywhere (values 0..3), and NaNs; NHWC like ours
x = torch.randint(0, 4, (2, 7, 6, 3)).float()
x[1, 2, 3, 1] = x[1, 5, 5, 2] = x[1, 2, 4, 1] = float("nan")
y, index = F.max_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1, return_indices=True)
text = lambda t: [repr(v) for v in t.flatten().tolist()]
out["max_pool"] = {"x": text(x), "y": text(y.permute(0, 2, 3, 1)), "pixel": index.permute(0, 2, 3, 1).flatten().tolist()}
dx = torch.autograd.functional.vjp(
    lambda a: F.max_pool2d(a.permute(0, 3, 1, 2), 3, 2, 1), x, torch.arange(y.numel()).float().reshape(y.shape))[1]
out["max_pool"]["dx_of_arange_nchw"] = dx.flatten().tolist()

# batch norm: two updates of the running statistics, then evaluation; and the gradients of the second batch
bn = torch.nn.BatchNorm2d(3, eps=1e-5, momentum=0.1).double()
bn.weight.data = torch.tensor([0.5, -1.25, 2.0]).double()
bn.bias.data = torch.tensor([0.1, 0.2, -0.3]).double()
batches = [(torch.randint(-9, 10, (2, 3, 4, 3)) / 4).double() + m for m in (1, 5)]
steps = []
for b in batches:
    b.requires_grad_()
    y = bn(b.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    d = (torch.arange(b.numel()) % 7 - 3).double().reshape(b.shape)
    bn.zero_grad()
    y.backward(d)
    steps.append({k: v.flatten().tolist() for k, v in {
        "y": b.detach(), "out": y.detach(), "dy": b.grad, "dgamma": bn.weight.grad, "dbeta": bn.bias.grad,
        "mean": bn.running_mean, "variance": bn.running_var}.items()})
bn.eval()
evaluated = bn(batches[0].detach().permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
out["norm"] = {"steps": steps, "eval": evaluated.flatten().tolist()}

# cross-entropy with label smoothing
z = (torch.randint(-40, 41, (4, 7)) / 8).double().requires_grad_()
labels = torch.tensor([0, 3, 6, 2])
out["loss"] = {"logits": z.detach().flatten().tolist(), "labels": labels.tolist(), "cases": []}
for smoothing in (0.0, 0.1):
    loss = F.cross_entropy(z, labels, label_smoothing=smoothing)
    d, = torch.autograd.grad(loss, z)
    out["loss"]["cases"].append({"smoothing": smoothing, "mean": loss.item(), "dlogits": d.flatten().tolist()})

pathlib.Path(__file__).with_name("golden.json").write_text(json.dumps(out).replace('}, {', '},\n {') + "\n")
