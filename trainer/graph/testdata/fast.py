"""Writes fast.json: two training steps of a fast net with PyTorch in float64, by SGD with
the options of its recipe and by Muon, the latter written down from airbench94_muon.py, and
the losses of fifty steps.

    /usr/bin/python3 trainer/graph/testdata/fast.py     (Debian's python3-torch)

Weights, images and targets are made as in fixtures.py.
"""
import json
import os
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../format/formattest"))
import lcg as generator  # noqa: E402
B, M, N, SIDE, STEM, WIDTHS = 5, 4, 3, 8, 16, (8, 16, 16)
LR, BIAS, MOMENTUM, DECAY, MUON = 0.05, 8.0, 0.85, 0.1, 0.6
SCALE = 1 / WIDTHS[-1]     # of the logits


def lcg(seed, n):
    return torch.tensor(generator.lcg(seed, n))


images = lcg(1, B * SIDE * SIDE).reshape(B, 1, SIDE, SIDE)
targets = F.softmax(2 * lcg(2, B * N).reshape(B, N), 1)
views = torch.stack([torch.rot90(images, j, (2, 3)) for j in range(M)], 1).reshape(B * M, 1, SIDE, SIDE)
stem, stem_bias = lcg(190, 9 * STEM).reshape(3, 3, 1, STEM), lcg(191, STEM)


def filters(w):
    return w.permute(3, 2, 0, 1)                   # (k, k, in, out) -> (out, in, k, k)


def zeropower(g):                                  # as in airbench94_muon.py
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm() + 1e-7)
    if g.size(0) > g.size(1):
        x = x.T
    for _ in range(3):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if g.size(0) > g.size(1) else x


def train(muon, steps=2):
    params, running, cin = [], [], STEM
    for w in WIDTHS:
        for _ in range(2):
            params.append(0.25 * lcg(200 + len(params), 9 * cin * w).reshape(3, 3, cin, w))
            params.append(0.25 * lcg(200 + len(params), w))
            running.append((torch.zeros(w), torch.ones(w)))
            cin = w
    head = 0.25 * lcg(200 + len(params), N * M * cin).reshape(N * M, cin) / SCALE
    params = [p.requires_grad_() for p in params + [head]]

    def loss():
        x = F.relu(F.conv2d(views, filters(stem), stem_bias, padding=1))
        for i in range(6):
            x = F.conv2d(x, filters(params[2 * i]), padding=1)
            if i % 2 == 0:
                x = F.max_pool2d(x, 2)
            x = F.relu(F.batch_norm(x, *running[i], None, params[2 * i + 1], training=True, momentum=0.4, eps=1e-5))
        logits = SCALE * (x.mean((2, 3)) @ params[-1].T)
        label = torch.zeros(B, M, N, M)
        for j in range(M):
            label[:, j, :, j] = targets
        return -(label.reshape(B * M, N * M) * F.log_softmax(logits, 1)).sum(1).mean()

    conv, bias = params[0:12:2], params[1:12:2]
    groups = [{"params": bias, "lr": LR * BIAS}, {"params": [params[-1]], "lr": LR}]
    if not muon:
        groups.append({"params": conv, "lr": LR})
    sgd = torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM, nesterov=True)
    velocity = [torch.zeros_like(p) for p in conv]
    losses = []
    for step in range(steps + 1):
        for p in params:
            p.grad = None
        l = loss()
        losses.append(l.item())
        if step == steps:
            break
        l.backward()
        with torch.no_grad():
            for p in params:
                if p.dim() > 1 and not (muon and p.dim() == 4):
                    p.mul_(1 - LR * DECAY)         # decoupled, of weights alone
            for p, v in zip(conv, velocity):
                if muon:
                    v.mul_(MUON).add_(p.grad)
                    g = filters(p.grad + MUON * v)
                    p.mul_(p.shape[-1] ** 0.5 / p.norm())
                    u = zeropower(g.reshape(len(g), -1)).reshape(g.shape)
                    p.add_(u.permute(2, 3, 1, 0), alpha=-LR)
        sgd.step()
    with torch.no_grad():
        params[-1].mul_(SCALE)                     # as it is in a slab
    return {"losses": losses, "params": [probe(p) for p in params], "running": [[probe(m), probe(v)] for m, v in running]}


def probe(t):
    t = t.detach().flatten()
    return {"first": t[:4].tolist(), "dot": (t * lcg(3, t.numel())).sum().item(), "norm": t.norm().item()}


with open(os.path.join(HERE, "fast.json"), "w") as f:
    json.dump({"sgd": train(False), "muon": train(True), "course": train(False, 50)["losses"]}, f)
    f.write("\n")
