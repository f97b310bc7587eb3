"""Writes step.json: two training steps of SLA+SD, balance.json: losses for a long tail on
joint labels, and episode.json: losses of few-shot episodes, with PyTorch in float64.

    /usr/bin/python3 trainer/graph/testdata/fixtures.py     (Debian's python3-torch)

Weights, images and targets are not stored: both sides make them with lcg. Of
each parameter after the steps the file holds its first values and its dot
product with an lcg vector, which every element enters.
"""
import json
import os
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_default_dtype(torch.float64)
sys.path.insert(0, os.path.join(HERE, "../../../format/formattest"))
import lcg as generator  # noqa: E402


def lcg(seed, n):
    return torch.tensor(generator.lcg(seed, n))


B, M, N, SIDE, C, WIDTH = 5, 4, 3, 8, 1, 8
T, BETA, LR, MOMENTUM, DECAY = 2.0, 0.5, 0.1, 0.9, 1e-2

params, running = [], []


def param(shape, offset, scale):
    n = 1
    for d in shape:
        n *= d
    t = (offset + scale * lcg(200 + len(params), n).reshape(shape)).requires_grad_()
    params.append(t)
    return t


def conv_bn(x, p, r, stride, residual=None, first=False):
    w, gamma, beta = p
    y = F.conv2d(x, w.permute(3, 2, 0, 1), stride=stride, padding=1)   # (k, k, in, out) -> (out, in, k, k)
    y = F.batch_norm(y, r[0], r[1], gamma, beta, training=True, momentum=0.1, eps=1e-5)
    if residual is not None:
        y = y + residual
    return F.relu(y)


def make(cin, cout):
    running.append((torch.zeros(cout), torch.ones(cout)))
    return param([3, 3, cin, cout], 0, 0.25), param([cout], 1, 0.25), param([cout], 0, 0.25)


stem = make(C, WIDTH)
blocks, cin = [], WIDTH
for s in range(3):
    cout = WIDTH << s
    blocks.append((make(cin, cout), make(cout, cout), 1 if s == 0 else 2))
    cin = cout
jw, jb = param([N * M, cin], 0, 0.25), param([N * M], 0, 0.25)
uw, ub = param([N, cin], 0, 0.25), param([N], 0, 0.25)

images = lcg(1, B * C * SIDE * SIDE).reshape(B, C, SIDE, SIDE)
targets = F.softmax(2 * lcg(2, B * N).reshape(B, N), 1)        # soft labels, as of mixup
views = torch.stack([torch.rot90(images, j, (2, 3)) for j in range(M)], 1).reshape(B * M, C, SIDE, SIDE)


def loss():
    r = iter(running)
    x = conv_bn(views, stem, next(r), 1)
    for a, b, stride in blocks:
        y = conv_bn(x, a, next(r), stride)
        skip = x
        if stride == 2:
            skip = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, x.shape[1]))
        x = conv_bn(y, b, next(r), 1, skip)
    z = x.mean((2, 3))
    joint = z @ jw.T + jb                                           # class-major: k = y*M + j
    label = torch.zeros(B, M, N, M)
    for j in range(M):
        label[:, j, :, j] = targets
    ce = -(label.reshape(B * M, N * M) * F.log_softmax(joint, 1)).sum(1).mean()
    per_view = joint.reshape(B, M, N, M)
    s = torch.stack([per_view[:, j, :, j] for j in range(M)]).mean(0).detach()
    u = z.reshape(B, M, -1)[:, 0] @ uw.T + ub
    kl = F.kl_div(F.log_softmax(u / T, 1), F.softmax(s / T, 1), reduction="batchmean")
    return ce + T * T * kl + BETA * -(targets * F.log_softmax(u, 1)).sum(1).mean()


opt = torch.optim.SGD(params, lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
losses = []
for _ in range(2):
    opt.zero_grad()
    l = loss()
    l.backward()
    losses.append(l.item())
    opt.step()
losses.append(loss().item())


def probe(t):
    t = t.detach().flatten()
    return {"first": t[:4].tolist(), "dot": (t * lcg(3, t.numel())).sum().item(), "norm": t.norm().item()}


with open(os.path.join(HERE, "step.json"), "w") as f:
    json.dump({"losses": losses, "params": [probe(p) for p in params],
               "running": [[probe(m), probe(v)] for m, v in running]}, f)
    f.write("\n")

# The losses for a long tail: rows of features and a head of cosines, joint labels of
# images of these classes. Written as Cao et al.'s public code has them (F.cross_entropy
# with weights is a mean weighted by these), with classes repeated for the views.
COUNTS, CLASSES, FEATURES = [500, 60, 7], [0, 2, 1, 0], 5
w = torch.tensor([(1 - 0.9999) / (1 - 0.9999 ** n) for n in COUNTS])
w = (w * N / w.sum()).repeat_interleave(M)
margin = torch.tensor(COUNTS) ** -0.25
margin = (margin * 0.5 / margin.max()).repeat_interleave(M)
label = torch.tensor([y * M + j for y in CLASSES for j in range(M)])
cases = {}
for name in ("ce", "cb-rw", "cb-focal", "ldam", "ldam drw"):
    z = lcg(11, len(label) * FEATURES).reshape(-1, FEATURES).requires_grad_()
    head = lcg(12, N * M * FEATURES).reshape(-1, FEATURES).requires_grad_()
    if name.startswith("ldam"):
        cosine = F.normalize(z) @ F.normalize(head).T
        logits = 30 * (cosine - margin * F.one_hot(label, N * M))
    else:
        logits = z @ head.T
    weight = None if name in ("ce", "ldam") else w
    if name == "cb-focal":
        rows = F.cross_entropy(logits, label, reduction="none")
        l = (weight[label] * (1 - torch.exp(-rows)) * rows).sum() / weight[label].sum()
    else:
        l = F.cross_entropy(logits, label, weight=weight)
    l.backward()
    cases[name] = {"loss": l.item(), "dz": z.grad.flatten().tolist(), "dw": head.grad.flatten().tolist()}
with open(os.path.join(HERE, "balance.json"), "w") as f:
    json.dump({"counts": COUNTS, "classes": CLASSES, "cases": cases}, f)
    f.write("\n")

# Losses of an episode: the features of WAY * SHOT images that are shown and WAY * QUERIES
# that are asked, under M views each, image-major. Ridge regression is written in its primal
# form, prototypes with F.cosine_similarity.
WAY, SHOT, QUERIES, FEATURES = 3, 2, 2, 6
cases = {}
for name in ("proto", "ridge"):
    z = lcg(21, WAY * (SHOT + QUERIES) * M * FEATURES).reshape(-1, FEATURES).requires_grad_()
    rows = F.normalize(z)
    support, asked = rows[:WAY * SHOT * M], rows[WAY * SHOT * M:]
    joint = lambda each: torch.tensor([(r // M // each) * M + r % M for r in range(WAY * each * M)])
    one_hot = F.one_hot(joint(SHOT), WAY * M).double()
    if name == "proto":
        means = one_hot.T @ support / SHOT
        logits = 10 * F.cosine_similarity(asked[:, None], means[None], dim=2)
    else:
        weights = torch.linalg.solve(support.T @ support + torch.eye(FEATURES), support.T @ one_hot)
        logits = 10 * asked @ weights
    l = F.cross_entropy(logits, joint(QUERIES))
    l.backward()
    cases[name] = {"loss": l.item(), "dz": z.grad.flatten().tolist()}
with open(os.path.join(HERE, "episode.json"), "w") as f:
    json.dump({"way": WAY, "shot": SHOT, "queries": QUERIES, "views": M, "features": FEATURES, "cases": cases}, f)
    f.write("\n")
